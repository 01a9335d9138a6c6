"""From networks to a forecaster: companions and networks weighed, and intervals calibrated, on validation windows."""

from collections.abc import Sequence
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
ENOUGH = 10  # of them that do not overlap; with fewer, simple methods are judged at earlier cutoffs too
FITS = 20  # of a ridge, at most, for those
# Validation windows, steps of them, and windows of one series, that intervals of single series rest on.
MEASURED_ON, STEPS_MEASURED, EACH_MEASURED = 20_000, 2_000_000, 30
STILL = 1e-6  # an error, in units of its spread, that is only rounding


def choose(config: Config, prepared: Prepared, graph: bytes | None) -> Forecaster:
    """Weigh the forecasters on validation windows, and calibrate the intervals of what is served."""
    splits, plan, kind, panel = prepared.splits, prepared.plan, config.model.kind, prepared.panel
    names = [NETWORK] * bool(graph) + [*COMPANIONS, "ridge"] if kind == "auto" else [kind]
    runtime = Runtime(graph) if graph else None
    ridge = fit_ridge_before(panel, splits.training_ends, plan) if "ridge" in names else None
    forecaster = Forecaster(plan, runtime, ridge, _sizes(prepared), source(config.data))
    units, weighed = units_of(config, prepared), 0.0
    few = windows.apart(splits.validation, plan.horizon) < ENOUGH
    if kind == "auto":
        combination, tried = (_weigh_by_few if few else _weigh)(forecaster, prepared, names, units)
        weighed = _freedom(combination)
    else:
        combination = Combination((kind,), np.ones((1, 1)), {kind: 1.0, "combination": 1.0})
        tried = _tried(forecaster, prepared, names, earlier=few and kind != NETWORK)
    forecaster = replace(forecaster, combination=combination)
    whole = _calibrate(forecaster, panel, *tried, weighed)
    own = _own(forecaster, prepared, weighed) if plan.trained_until is None and len(panel) > 1 else None
    ridge = fit_ridge_before(panel, splits.test_starts, plan) if "ridge" in combination.used else None
    return replace(forecaster, conformal=whole, own=own, ridge=ridge)


def _weigh(
    forecaster: Forecaster, prepared: Prepared, names: Sequence[str], units: np.ndarray, *, earlier: bool = False
) -> tuple[Combination, tuple[Cutoffs, Parts]]:
    """Weights of these forecasters, and what they were found on.

    Args:
        units: (series,) that errors are measured in.
        earlier: see `_tried`.
    """
    cutoffs, parts = _tried(forecaster, prepared, names, earlier=earlier)
    truth = _known(prepared, cutoffs, parts)
    return fit_weights(truth, parts.forecasts, units[cutoffs.series], BLOCKS), (cutoffs, parts)


def _weigh_by_few(
    forecaster: Forecaster, prepared: Prepared, names: Sequence[str], units: np.ndarray
) -> tuple[Combination, tuple[Cutoffs, Parts]]:
    """The same where validation windows are few: simple methods are weighed on earlier windows too.

    A network has learned from these. So its share is found on validation windows, beside all simple methods as one.
    """
    simple, tried = _weigh(forecaster, prepared, [name for name in names if name != NETWORK], units, earlier=True)
    if NETWORK not in names:
        return simple, tried
    cutoffs, parts = _tried(forecaster, prepared, names, earlier=False, each=True)
    pair = {NETWORK: parts.forecasts[NETWORK], "simple": simple.combine(parts.forecasts)}
    truth, scales = _known(prepared, cutoffs, parts), units[cutoffs.series]
    both = fit_weights(truth, pair, scales, BLOCKS)
    if both.winner == "simple":
        return simple, tried
    weights = np.concatenate([both.weights[:, :1], both.weights[:, 1:] * simple.weights], axis=1)
    alone = fit_weights(truth, parts.forecasts, scales, BLOCKS).validation
    validation = {**alone, "combination": both.validation["combination"]}
    return Combination((NETWORK, *simple.names), weights, validation), (cutoffs, parts)


def _tried(
    forecaster: Forecaster, prepared: Prepared, names: Sequence[str], *, earlier: bool, each: bool = False
) -> tuple[Cutoffs, Parts]:
    """Validation windows in the order of time, and forecasts there.

    Args:
        earlier: with windows of the later half of the training part, for what is fitted before these or not at all.
        each: whether the ridge is fitted anew before each of them, or each few, and not once before all; always with
            earlier ones.
    """
    panel, plan, validation = prepared.panel, prepared.plan, prepared.splits.validation
    cutoffs = _joined(_earlier(prepared), validation) if earlier else validation
    cutoffs = _in_time(prepared, cutoffs.sample(CHOSEN_ON))
    if not earlier and not each:
        return cutoffs, forecaster.parts(panel, cutoffs, names)
    times, parts = windows.ordinals(panel, cutoffs, 0, 1)[:, 0], []
    for group in np.array_split(np.unique(times), min(FITS, len(np.unique(times)))):
        ends = panel.offsets[:-1] + np.clip(group[0] - panel.starts, 0, panel.lengths)
        ridge = fit_ridge_before(panel, ends, plan) if "ridge" in names else None
        now = replace(forecaster, ridge=ridge)
        parts.append(now.parts(panel, cutoffs.take(np.flatnonzero(np.isin(times, group))), names))
    return cutoffs, Parts.joined(parts)


def _known(prepared: Prepared, cutoffs: Cutoffs, parts: Parts) -> np.ndarray:
    """What came (rows, horizon), NaN where it is not known or nothing can be said for want of any value before."""
    truth = windows.ahead(prepared.panel, prepared.panel.values, cutoffs, prepared.plan.horizon)
    truth[~np.isfinite(next(iter(parts.forecasts.values()))[:, 0])] = np.nan
    return truth


def _freedom(combination: Combination) -> float:
    """How many numbers were fitted to the windows: that one was chosen, and how far weights are from equal ones."""
    return 1 + len(combination.used) - float((1 / (combination.weights**2).sum(axis=1)).mean())


def _own(forecaster: Forecaster, prepared: Prepared, weighed: float) -> Own | None:
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
    shown = np.isfinite(scores).any(axis=1)  # a row that nothing came for says nothing of its series
    names = [panel.ids[series] for series in cutoffs.series[shown].tolist()]
    # Where many series stand still, most scores are 0, and would leave the others hardly any width. A factor of 0
    # leaves a window out.
    erred = np.isin(cutoffs.series, cutoffs.series[(np.abs(scores) > STILL).any(axis=1)])
    conformal = _calibrate(forecaster, panel, cutoffs, parts, weighed, np.where(erred, left_out, 0))
    return Own(dict(zip(names, factors[shown].tolist(), strict=True)), conformal)


def _not_learned_from(forecaster: Forecaster, prepared: Prepared) -> Cutoffs:
    """Validation windows, and where nothing that is served is fitted to them, windows of the training part too."""
    if {NETWORK, "ridge"} & set(forecaster.used):
        return prepared.splits.validation
    return _joined(_earlier(prepared), prepared.splits.validation)


def _earlier(prepared: Prepared) -> Cutoffs:
    """Cutoffs a horizon apart in the later half of the training part."""
    splits, horizon = prepared.splits, prepared.plan.horizon
    begins, ends = splits.panel.offsets[:-1], splits.training_ends
    firsts = np.maximum((begins + ends) // 2, ends - EACH_MEASURED * horizon)
    return windows.rolling(splits.panel, firsts, ends, horizon=horizon, step=horizon)


def _joined(earlier: Cutoffs, later: Cutoffs) -> Cutoffs:
    return Cutoffs(*map(np.concatenate, zip(earlier, later, strict=True)))


def _calibrate(
    forecaster: Forecaster,
    panel: Panel,
    cutoffs: Cutoffs,
    parts: Parts,
    weighed: float,
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
