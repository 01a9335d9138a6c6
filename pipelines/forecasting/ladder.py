"""How the rungs of `seqloom ladder` differ for a forecaster, beyond the encoder."""

from typing import Any

METRIC = "mase"  # of report.json, for the picture
NOTE = " From the rung of attention on, the past is read step by step, and no longer in segments."  # to the page
ALWAYS: dict[str, Any] = {"model.kind": "network", "model.members": 1, "training.refit": False}
PLAIN: dict[str, Any] = {"model.network": "segment"}
ATTENTION: dict[str, Any] = {"model.network": "attention", "model.segment": None}
GNMT: dict[str, Any] = {"encoder.bidirectional": False}  # the past of a series is read from one end
