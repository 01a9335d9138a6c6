"""How the rungs of `seqloom ladder` differ for a translator, beyond the encoder."""

from typing import Any

NOTE = ""  # to the page
ALWAYS: dict[str, Any] = {
    "model.members": 1,
    "model.copy_words": False,
    "model.value_columns": False,
    "search.coverage_penalty": 0.0,
    "decoder.layers": 1,
    "decoder.attend_from": "top",
    "compare": [],
}
PLAIN: dict[str, Any] = {"decoder.attention": "none"}
ATTENTION: dict[str, Any] = {"decoder.attention": "bahdanau"}
GNMT: dict[str, Any] = {
    "decoder.attend_from": "bottom",
    "decoder.layers": 4,
    "decoder.residual": True,
    "decoder.normalization": "layer",
}


def metric(_: Any) -> str:
    """That of report.json by which rungs are compared."""
    return "bleu"
