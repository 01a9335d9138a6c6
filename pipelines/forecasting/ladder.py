"""How the rungs of `seqloom ladder` differ for a forecaster, beyond the encoder."""

from typing import Any

NOTE = " From the rung of attention on, the past is read step by step, and no longer in segments."  # to the page
ALWAYS: dict[str, Any] = {"model.kind": "network", "model.members": 1, "training.refit": False}
PLAIN: dict[str, Any] = {"model.network": "segment"}
ATTENTION: dict[str, Any] = {"model.network": "attention", "model.segment": None}
GNMT: dict[str, Any] = {"encoder.bidirectional": False}  # the past of a series is read from one end


def metric(config: Any) -> str:
    """That of report.json by which rungs are compared."""
    return "rmsse" if config.model.point == "mean" else "mase"
