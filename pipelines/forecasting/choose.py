"""From networks to a forecaster: companions and networks weighed, and intervals calibrated, on validation windows."""

from dataclasses import replace

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import source
from pipelines.forecasting.fitting import units_of
from pipelines.forecasting.predict import NETWORK, Forecaster, Own, Parts
from pipelines.forecasting.prepare import Prepared, fit_ridge_before
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs
from toolkit.evaluation.combination import Combination, fit_weights
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.credibility import own_factors
from toolkit.evaluation.intervals import Conformal, fit_conformal
from toolkit.runtime import Runtime

BLOCKS = 4  # parts of the horizon with weights of their own
CHOSEN_ON = 2_000  # validation windows that weights and intervals are fitted on
# Validation windows, steps of them, and windows of one series, that intervals of single series rest on.
MEASURED_ON, STEPS_MEASURED, EACH_MEASURED = 20_000, 2_000_000, 30


def choose(config: Config, prepared: Prepared, graph: bytes | None) -> Forecaster:
    """Weigh the forecasters on validation windows, and calibrate the intervals of what is served."""
    splits, plan, kind, panel = prepared.splits, prepared.plan, config.model.kind, prepared.panel
    names = [NETWORK] * bool(graph) + [*COMPANIONS, "ridge"] if kind == "auto" else [kind]
    ridge = fit_ridge_before(panel, splits.training_ends, plan) if "ridge" in names else None
    runtime = Runtime(graph) if graph else None
    forecaster = Forecaster(plan, runtime, ridge, _sizes(prepared), source(config.data))
    cutoffs = _in_time(prepared, splits.validation.sample(CHOSEN_ON))
    parts = forecaster.parts(panel, cutoffs, names)
    if kind == "auto":
        truth = windows.ahead(panel, panel.values, cutoffs, plan.horizon)
        truth[~np.isfinite(parts.forecasts[names[0]][:, 0])] = np.nan  # nothing can be said without any value
        combination = fit_weights(truth, parts.forecasts, units_of(config, prepared)[cutoffs.series], BLOCKS)
    else:
        combination = Combination((kind,), np.ones((1, 1)), {kind: 1.0, "combination": 1.0})
    weighed = len(combination.used) if kind == "auto" else 0
    forecaster = replace(forecaster, combination=combination)
    whole = _calibrate(forecaster, panel, cutoffs, parts, weighed)
    own = _own(forecaster, prepared, weighed) if plan.trained_until is None and len(panel) > 1 else None
    ridge = fit_ridge_before(panel, splits.test_starts, plan) if "ridge" in combination.used else None
    return replace(forecaster, conformal=whole, own=own, ridge=ridge)


def _own(forecaster: Forecaster, prepared: Prepared, weighed: int) -> Own | None:
    """Intervals of single series; None where these differ by no more than chance."""
    plan, panel = prepared.plan, prepared.panel
    most = min(MEASURED_ON, max(STEPS_MEASURED // plan.horizon, EACH_MEASURED))
    cutoffs = _not_learned_from(forecaster, prepared).sample_series(most, EACH_MEASURED)
    parts = forecaster.parts(panel, cutoffs, forecaster.used)
    scores = _beside(forecaster, panel, cutoffs, parts)[-1]
    blocks = windows.ordinals(panel, cutoffs, 0, 1)[:, 0] // plan.horizon
    factors, left_out = own_factors(np.abs(scores), cutoffs.series, blocks)
    if (factors == 1).all():
        return None
    names = [panel.ids[series] for series in cutoffs.series.tolist()]
    conformal = _calibrate(forecaster, panel, cutoffs, parts, weighed, left_out)
    return Own(dict(zip(names, factors.tolist(), strict=True)), conformal)


def _not_learned_from(forecaster: Forecaster, prepared: Prepared) -> Cutoffs:
    """Validation windows, and where nothing that is served is fitted to them, windows of the training part too."""
    splits, horizon = prepared.splits, prepared.plan.horizon
    if {NETWORK, "ridge"} & set(forecaster.used):
        return splits.validation
    begins, ends = splits.panel.offsets[:-1], splits.training_ends
    firsts = np.maximum((begins + ends) // 2, ends - EACH_MEASURED * horizon)
    earlier = windows.rolling(splits.panel, firsts, ends, horizon=horizon, step=horizon)
    return Cutoffs(*map(np.concatenate, zip(earlier, splits.validation, strict=True)))


def _calibrate(
    forecaster: Forecaster,
    panel: Panel,
    cutoffs: Cutoffs,
    parts: Parts,
    weighed: int,
    factors: np.ndarray | None = None,
) -> Conformal:
    """How intervals must be moved to hold at these cutoffs; see `fit_conformal` and `Forecaster.base`."""
    truth, quantiles, spread, scores = _beside(forecaster, panel, cutoffs, parts, factors)
    worth = windows.independent(panel, cutoffs, scores)
    return fit_conformal(truth, quantiles, spread, forecaster.plan.levels, independent=worth, weighed=weighed)


def _beside(
    forecaster: Forecaster, panel: Panel, cutoffs: Cutoffs, parts: Parts, factors: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What came, as it is calibrated, NaN where nothing can be said; quantiles; spread; and errors of the median in it.

    Shapes: -> (rows, horizon); (rows, horizon, levels); (rows, horizon); (rows, horizon)
    """
    quantiles, spread = forecaster.base(parts, factors)
    median = quantiles[:, :, forecaster.plan.median]
    truth = forecaster.as_calibrated(windows.ahead(panel, panel.values, cutoffs, forecaster.plan.horizon))
    truth[~((spread > 0) & np.isfinite(median))] = np.nan
    return truth, quantiles, spread, (truth - median) / spread


def _in_time(prepared: Prepared, cutoffs: Cutoffs) -> Cutoffs:
    """Cutoffs in the order of time."""
    return cutoffs.take(np.argsort(windows.ordinals(prepared.panel, cutoffs, 0, 1)[:, 0], kind="stable"))


def _sizes(prepared: Prepared) -> dict[str, float]:
    if prepared.plan.scaling != "series":
        return {}
    return dict(zip(prepared.panel.ids, prepared.sizes.tolist(), strict=True))
