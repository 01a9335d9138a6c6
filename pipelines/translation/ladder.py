"""How the rungs of `seqloom ladder` differ for a translator, beyond the encoder."""

from typing import Any

METRIC = "bleu"  # of report.json, for the picture
ALWAYS: dict[str, Any] = {"model.members": 1, "model.copy_words": False, "model.value_columns": False, "compare": []}
PLAIN: dict[str, Any] = {"decoder.attention": "none", "decoder.layers": 1, "search.coverage_penalty": 0.0}
ATTENTION: dict[str, Any] = {"decoder.attention": "bahdanau", "decoder.attend_from": "top", "decoder.layers": 1}
GNMT: dict[str, Any] = {
    "decoder.attend_from": "bottom",
    "decoder.layers": 4,
    "decoder.residual": True,
    "decoder.normalization": "layer",
}
