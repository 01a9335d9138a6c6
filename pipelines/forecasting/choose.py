"""From networks to a forecaster: companions and networks weighed, and intervals calibrated, on validation windows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import source
from pipelines.forecasting.fitting import units_of
from pipelines.forecasting.predict import NETWORK, Forecaster, Own, Parts
from pipelines.forecasting.prepare import Prepared, fit_ridge_before, ordinal_of
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs
from toolkit.evaluation.combination import Combination, fit_weights
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.credibility import own_factors
from toolkit.evaluation.intervals import Conformal
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
    sizes = dict(zip(panel.ids, prepared.sizes.tolist(), strict=True)) if plan.scaling == "series" else {}
    forecaster = Forecaster(plan, runtime, ridge, sizes, source(config.data))
    units, weighed = units_of(config, prepared), 0.0
    few = windows.apart(splits.validation, plan.horizon) < ENOUGH
    if kind == "auto":
        combination, tried = _weigh(forecaster, prepared, names, units, few=few)
        weighed = _freedom(combination)
    else:
        combination = Combination((kind,), np.ones((1, 1)), {kind: 1.0, "combination": 1.0})
        earlier = few and kind != NETWORK
        cutoffs = _with_earlier(prepared) if earlier else splits.validation
        tried = _tried(forecaster, prepared, names, cutoffs, afresh=earlier)
    forecaster = replace(forecaster, combination=combination)
    whole = _calibrate(forecaster, panel, *tried, weighed)
    own = _own(forecaster, prepared, weighed) if plan.trained_until is None and len(panel) > 1 else None
    ridge = fit_ridge_before(panel, splits.test_starts, plan) if "ridge" in combination.used else None
    if ridge is not None and plan.trained_until is not None:  # of what it has seen no interval can be learned
        plan = replace(plan, trained_until=ordinal_of(panel, splits.test_starts))
    return replace(forecaster, plan=plan, conformal=whole, own=own, ridge=ridge)


def _weigh(
    forecaster: Forecaster, prepared: Prepared, names: Sequence[str], units: np.ndarray, *, few: bool
) -> tuple[Combination, tuple[Cutoffs, Parts]]:
    """Weights of these forecasters, and what they were found on.

    Where validation windows are few, simple methods are weighed on earlier windows too. A network has learned from
    these. So its share is found on validation windows, beside all simple methods as one.

    Args:
        units: (series,) that errors are measured in.
    """
    validation = prepared.splits.validation
    if not few:
        tried = _tried(forecaster, prepared, names, validation, afresh=False)
        return _fit(prepared, tried[0], tried[1].forecasts, units), tried
    tried = _tried(forecaster, prepared, [n for n in names if n != NETWORK], _with_earlier(prepared), afresh=True)
    simple = _fit(prepared, tried[0], tried[1].forecasts, units)
    if NETWORK not in names:
        return simple, tried
    cutoffs, parts = _tried(forecaster, prepared, names, validation, afresh=True)
    pair = {NETWORK: parts.forecasts[NETWORK], "simple": simple.combine(parts.forecasts)}
    both = _fit(prepared, cutoffs, pair, units)
    if both.winner == "simple":
        return simple, tried
    weights = np.concatenate([both.weights[:, :1], both.weights[:, 1:] * simple.weights], axis=1)
    alone = _fit(prepared, cutoffs, parts.forecasts, units).validation
    scores = {**alone, "combination": both.validation["combination"]}
    return Combination((NETWORK, *simple.names), weights, scores), (cutoffs, parts)


def _tried(
    forecaster: Forecaster, prepared: Prepared, names: Sequence[str], cutoffs: Cutoffs, *, afresh: bool
) -> tuple[Cutoffs, Parts]:
    """Some of these windows in the order of time, and forecasts there.

    Args:
        afresh: whether the ridge is fitted anew before each of them, or each few, and not once before validation.
    """
    panel, cutoffs = prepared.panel, cutoffs.sample(CHOSEN_ON)
    times = windows.cutoff_ordinals(panel, cutoffs)
    order, parts = np.argsort(times, kind="stable"), []
    cutoffs, times = cutoffs.take(order), times[order]
    if not afresh:
        return cutoffs, forecaster.parts(panel, cutoffs, names)
    for group in np.array_split(np.unique(times), min(FITS, len(np.unique(times)))):
        ends = panel.offsets[:-1] + np.clip(group[0] - panel.starts, 0, panel.lengths)
        ridge = fit_ridge_before(panel, ends, prepared.plan) if "ridge" in names else None
        now = replace(forecaster, ridge=ridge)
        parts.append(now.parts(panel, cutoffs.take(np.flatnonzero(np.isin(times, group))), names))
    return cutoffs, Parts.joined(parts)


def _fit(prepared: Prepared, cutoffs: Cutoffs, forecasts: Mapping[str, np.ndarray], units: np.ndarray) -> Combination:
    """Weights of forecasts at some cutoffs, where something can be said, which takes a value before."""
    truth = windows.ahead(prepared.panel, prepared.panel.values, cutoffs, prepared.plan.horizon)
    truth[~np.isfinite(next(iter(forecasts.values()))[:, 0])] = np.nan
    squared = prepared.plan.point == "mean"
    return fit_weights(truth, forecasts, units[cutoffs.series], BLOCKS, squared=squared)


def _freedom(combination: Combination) -> float:
    """How many numbers were fitted to the windows: that one was chosen, and how far weights are from equal ones."""
    return 1 + len(combination.used) - float((1 / (combination.weights**2).sum(axis=1)).mean())


def _own(forecaster: Forecaster, prepared: Prepared, weighed: float) -> Own | None:
    """Intervals of single series; None where these differ by no more than chance."""
    plan, panel = prepared.plan, prepared.panel
    most = min(MEASURED_ON, max(STEPS_MEASURED // plan.horizon, EACH_MEASURED))
    learned = {NETWORK, "ridge"} & set(forecaster.used)  # else windows of the training part count too
    cutoffs = prepared.splits.validation if learned else _with_earlier(prepared)
    cutoffs = cutoffs.sample_series(most, EACH_MEASURED)
    parts = forecaster.parts(panel, cutoffs, forecaster.used)
    scores = _beside(forecaster, panel, cutoffs, parts)[-1]
    blocks = windows.cutoff_ordinals(panel, cutoffs) // plan.horizon
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


def _with_earlier(prepared: Prepared) -> Cutoffs:
    """Cutoffs a horizon apart in the later half of the training part, and those of validation."""
    splits, horizon = prepared.splits, prepared.plan.horizon
    begins, ends = splits.panel.offsets[:-1], splits.training_ends
    firsts = np.maximum((begins + ends) // 2, ends - EACH_MEASURED * horizon)
    earlier = windows.rolling(splits.panel, firsts, ends, horizon=horizon, step=horizon)
    return Cutoffs(*map(np.concatenate, zip(earlier, splits.validation, strict=True)))


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
    return forecaster.calibrate(truth, quantiles, spread, worth, weighed)


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
