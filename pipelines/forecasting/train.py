"""From a config to a sealed run folder."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting import model as models
from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits
from pipelines.forecasting.evaluate import LEARNED, evaluate_run, learned_until
from pipelines.forecasting.fitting import Networks, Start, begin_network, fit_all, refit_all, training_cutoffs
from pipelines.forecasting.inputs import make_inputs
from pipelines.forecasting.predict import NAME, OWN, RIDGE, Forecaster
from pipelines.forecasting.prepare import Prepared, prepare
from toolkit import artifact
from toolkit import config as configs
from toolkit.errors import SeqloomError
from toolkit.runtime import Runtime
from toolkit.training.checkpoints import other_training
from toolkit.training.fit import Task
from toolkit.training.runs import finish, history_csv, named_weights

TOLERANCE = 1e-4  # between the exported graph and the Keras model, in normalised units


def train(config: Config, folder: Path, *, resume: bool, start: Start | None = None) -> dict[str, Any]:
    """Train, weigh, calibrate, seal and evaluate; returns the report's numbers.

    Args:
        start: a run to train on from, with its plan.

    Raises:
        SeqloomError: the folder holds a run already, or a step failed; what was on disk before is still there.
    """
    artifact.refuse_foreign(folder, resume)
    with artifact.locked(folder):
        prepared = prepare(config, start.plan, start.learned) if start else prepare(config)
        checkpoints = folder / "checkpoints"
        fitted = fit_all(config, prepared, checkpoints, start)
        if not fitted.members and any(checkpoints.glob("*/*")):  # which would be removed, though nothing came of them
            raise other_training(checkpoints)
        graph = _exported(config, prepared, fitted)
        forecaster = choose(config, prepared, graph)
        if config.training.refit:
            fitted = refit_all(config, prepared, checkpoints, fitted, start)
            graph = _exported(config, prepared, fitted)
        return finish(
            folder,
            NAME,
            _facts(prepared),
            write=lambda: _write(config, prepared.splits, forecaster, fitted, graph, folder),
            score=lambda: evaluate_run(folder, config, prepared, fitted.history, fitted.seconds),
        )


def begin(config: Config, prepared: Prepared) -> tuple[models.Network, Task]:
    """The first network as it starts, and what it is to be fitted to."""
    return begin_network(config, prepared, training_cutoffs(prepared, prepared.splits.training_ends), member=0)


def _exported(config: Config, prepared: Prepared, fitted: Networks) -> bytes | None:
    """The networks, if any, as a graph that is known to compute what they do, but for rounding in half precision."""
    if not fitted.networks:
        return None
    graph = models.to_onnx(fitted.networks).SerializeToString()
    if config.training.mixed_precision != "none":
        return graph
    cutoffs = prepared.splits.validation.sample(64)
    arrays = make_inputs(prepared.plan, prepared.panel, cutoffs, prepared.sizes[cutoffs.series]).arrays
    expected = np.mean([network.predict_on_batch(arrays) for network in fitted.networks], axis=0)
    found = Runtime(graph).run(arrays)["quantiles"]
    difference = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
    if not difference <= TOLERANCE:
        raise SeqloomError(f"the exported graph differs from the network by {difference:.1e}, so it was not kept.")
    return graph


def _write(
    config: Config, splits: Splits, forecaster: Forecaster, fitted: Networks, graph: bytes | None, folder: Path
) -> None:
    """The files that predict."""
    artifact.write_text(folder / "config.yaml", configs.dump(config))
    artifact.write_json(folder / "plan.json", forecaster.plan)
    artifact.write_json(folder / "source.json", forecaster.source)
    artifact.write_json(folder / "sizes.json", dict(forecaster.sizes))
    artifact.write_json(folder / LEARNED, learned_until(splits))
    artifact.write_json(folder / "combination.json", forecaster.combination)
    artifact.write_json(folder / "intervals.json", forecaster.conformal)
    for name in (OWN, RIDGE):  # of a run that was killed while it wrote its report
        (folder / name).unlink(missing_ok=True)
    if forecaster.own is not None:
        artifact.write_json(folder / OWN, forecaster.own)
    if graph:
        artifact.write_bytes(folder / "model.onnx", graph)
        artifact.write_weights(folder / artifact.WEIGHTS, named_weights(fitted.networks))
        artifact.write_text(folder / "history.csv", history_csv(fitted.history))
    if forecaster.ridge is not None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **forecaster.ridge.to_arrays())
        artifact.write_bytes(folder / RIDGE, buffer.getvalue())


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What the manifest says beyond the files."""
    panel = prepared.panel
    return {
        "data": {
            "series": len(panel),
            "steps": len(panel.values),
            "sha256": hashlib.sha256(panel.values.tobytes()).hexdigest(),
        },
    }
