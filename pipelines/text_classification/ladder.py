"""How the rungs of `seqloom ladder` differ for a text classifier, beyond the encoder."""

from typing import Any

NOTE = ""  # to the page
ALWAYS: dict[str, Any] = {"model.members": 1, "model.linear": False, "model.segment": None}
PLAIN: dict[str, Any] = {"model.pooling": ["last"], "model.word_skip": False}
ATTENTION: dict[str, Any] = {"model.pooling": ["attention"], "model.word_skip": False}
GNMT: dict[str, Any] = {}


def metric(_: Any) -> str:
    """That of report.json by which rungs are compared."""
    return "macro_f1"
