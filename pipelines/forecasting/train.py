"""From a config to a sealed run folder."""

import hashlib
import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting import model as models
from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits, source
from pipelines.forecasting.evaluate import LEARNED, evaluate_run, learned_until
from pipelines.forecasting.fitting import (
    Networks,
    Start,
    begin_network,
    fit_all,
    refit_all,
    training_cutoffs,
    units_of,
)
from pipelines.forecasting.inputs import make_inputs
from pipelines.forecasting.predict import NAME, NETWORK, Forecaster
from pipelines.forecasting.prepare import Prepared, fit_ridge_before, prepare
from toolkit import artifact
from toolkit import config as configs
from toolkit.data import windows
from toolkit.data.windows import Cutoffs
from toolkit.errors import SeqloomError
from toolkit.evaluation.combination import Combination, fit_weights
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.intervals import fit_conformal
from toolkit.runtime import Runtime
from toolkit.training.fit import Task
from toolkit.training.runs import finish, history_csv, named_weights

TOLERANCE = 1e-4  # between the exported graph and the Keras model, in normalised units
BLOCKS = 4  # parts of the horizon with weights of their own
CHOSEN_ON = 2_000  # validation windows that weights and intervals are fitted on


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


def choose(config: Config, prepared: Prepared, graph: bytes | None) -> Forecaster:
    """Weigh the forecasters on validation windows, and calibrate the intervals of what is served."""
    splits, plan, kind = prepared.splits, prepared.plan, config.model.kind
    names = [NETWORK] * bool(graph) + [*COMPANIONS, "ridge"] if kind == "auto" else [kind]
    ridge = fit_ridge_before(prepared.panel, splits.training_ends, plan) if "ridge" in names else None
    runtime = Runtime(graph) if graph else None
    forecaster = Forecaster(plan, runtime, ridge, _sizes(prepared), source(config.data))
    cutoffs = _in_time(prepared, splits.validation.sample(CHOSEN_ON))
    truth = windows.ahead(prepared.panel, prepared.panel.values, cutoffs, plan.horizon)
    parts = forecaster.parts(prepared.panel, cutoffs, names)
    truth[~np.isfinite(parts.forecasts[names[0]][:, 0])] = np.nan  # nothing can be said about a row without any value
    if kind == "auto":
        combination = fit_weights(truth, parts.forecasts, units_of(config, prepared)[cutoffs.series], BLOCKS)
    else:
        combination = Combination((kind,), np.ones((1, 1)), {kind: 1.0, "combination": 1.0})
    forecaster = replace(forecaster, combination=combination)
    quantiles, spread = forecaster.base(parts)
    truth = forecaster.as_calibrated(truth)
    truth[~(spread > 0)] = np.nan
    conformal = fit_conformal(
        truth,
        quantiles,
        spread,
        plan.levels,
        independent=windows.independent(prepared.panel, cutoffs, (truth - quantiles[:, :, plan.median]) / spread),
        weighed=len(combination.used) if kind == "auto" else 0,
    )
    ridge = fit_ridge_before(prepared.panel, splits.test_starts, plan) if "ridge" in combination.used else None
    return replace(forecaster, conformal=conformal, ridge=ridge)


def _in_time(prepared: Prepared, cutoffs: Cutoffs) -> Cutoffs:
    """Cutoffs in the order of time."""
    return cutoffs.take(np.argsort(windows.ordinals(prepared.panel, cutoffs, 0, 1)[:, 0], kind="stable"))


def _sizes(prepared: Prepared) -> dict[str, float]:
    if prepared.plan.scaling != "series":
        return {}
    return dict(zip(prepared.panel.ids, prepared.sizes.tolist(), strict=True))


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
    assert forecaster.combination is not None and forecaster.conformal is not None
    artifact.write_text(folder / "config.yaml", configs.dump(config))
    artifact.write_json(folder / "plan.json", forecaster.plan.to_json())
    artifact.write_json(folder / "source.json", asdict(forecaster.source))
    artifact.write_json(folder / "sizes.json", dict(forecaster.sizes))
    artifact.write_json(folder / LEARNED, learned_until(splits))
    artifact.write_json(folder / "combination.json", forecaster.combination.to_json())
    artifact.write_json(folder / "intervals.json", forecaster.conformal.to_json())
    if graph:
        artifact.write_bytes(folder / "model.onnx", graph)
        artifact.write_weights(folder / artifact.WEIGHTS, named_weights(fitted.networks))
        artifact.write_text(folder / "history.csv", history_csv(fitted.history))
    if forecaster.ridge is not None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **forecaster.ridge.to_arrays())
        artifact.write_bytes(folder / "ridge.npz", buffer.getvalue())


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
