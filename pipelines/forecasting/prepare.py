"""What is learned from the training part of the series before a network is."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits, read_splits
from pipelines.forecasting.facts import YEARS, evenly, measure, mostly_sparse, years_of
from pipelines.forecasting.inputs import Plan, refuse_not_positive
from pipelines.forecasting.inspect import EXAMINED, find_season
from toolkit.data import windows
from toolkit.data.batches import round_up
from toolkit.data.calendar import SHORT, Cycle
from toolkit.data.panel import Panel
from toolkit.evaluation.forecasting import naive_scale
from toolkit.evaluation.ridge import Ridge, fit_ridge

SEASONS_READ = 14
HORIZONS_READ = 8  # without a season, as 14 seasons are about so many of the usual horizons
FEW_WINDOWS = 2_000  # to learn from, where twice as many are worth more than a longer past
FEWEST_SEGMENTS = 8  # in the median series, for it is to give windows of 4
SEASONS_SMOOTHED = 4  # season and level are found from the first three
LONGEST_SEGMENT = 60  # longer seasons are cut into pieces


@dataclass(frozen=True)
class Prepared:
    """Series with their cutoffs, and what was found out about them.

    Shapes: deviations, units (series,): the standard deviation and the error of the seasonal naive forecast in training
    """

    splits: Splits
    plan: Plan
    deviations: np.ndarray
    units: np.ndarray

    @cached_property
    def sizes(self) -> np.ndarray:
        """What each series is divided by with `scaling: series`: deviations, of logarithms where the network reads
        those. Shapes: (series,)"""
        if not self.plan.log:
            return self.deviations
        logarithms = replace(self.panel, values=np.log(self.panel.values))
        return sizes(logarithms, self.splits.training_ends, self.plan.season)[0]

    @property
    def panel(self) -> Panel:
        return self.splits.panel


def prepare(config: Config, plan: Plan | None = None, learned: Mapping[str, int] | None = None) -> Prepared:
    """Read the series, split them, and find out season, history and scales on the training part.

    Args:
        plan: of a run that is trained on; the horizon and all else stay as they were.
        learned: what that run has learned from, see `read_splits`.
    """
    splits, horizon = read_splits(config, plan, learned)
    panel, ends = splits.panel, splits.training_ends
    if plan is None:
        plan = _plan(config, splits, horizon)
    elif plan.trained_until is not None:  # what is trained on now must not calibrate intervals
        plan = replace(plan, trained_until=_trained_until(config, splits))
    if plan.point == "median" and mostly_sparse(found := measure(panel)):
        warnings.warn(
            f"{found.sparse.sum():,} of {len(panel):,} series are mostly 0, and so are their forecasts, being medians;"
            " model.point: mean forecasts means, whose sums are right.",
            stacklevel=2,
        )
    if plan.log:
        refuse_not_positive(panel, panel.values, np.repeat(np.arange(len(panel)), np.diff(panel.offsets)))
    return Prepared(splits, plan, *sizes(panel, ends, plan.season))


def _plan(config: Config, splits: Splits, horizon: int) -> Plan:
    panel, ends = splits.panel, splits.training_ends
    lengths = ends - panel.offsets[:-1]
    season = config.season if isinstance(config.season, int) else _season(panel, ends)
    median = int(np.median(lengths))
    segment = _segment(config, season, horizon, median)
    history = _history(config, season, horizon, segment, lengths)
    known, past = (_columns(names, panel.covariates) for names in (config.data.known, config.data.past))
    model, static = config.model, _columns(config.data.static, panel.statics)
    return Plan(
        frequency=panel.frequency,
        horizon=horizon,
        season=season,
        history=history,
        segment=segment,
        levels=tuple(model.quantiles),
        known=known,
        past=past,
        static=static,
        calendar=config.data.calendar or config.data.holidays is not None,
        cycles=_cycles(panel, ends),
        holidays=config.data.holidays,
        scales=_scales(panel, ends, known + past, static),
        categories=panel.categories,
        ids=panel.ids if model.series_vectors or model.network == "smoothing" else (),
        trained_until=_trained_until(config, splits) if model.intervals == "recent" else None,
        calibrated="logarithms" if model.log else "values",
        day_first=panel.day_first,
        **model.model_dump(include={"scaling", "center", "anchor", "network", "log", "lower", "upper", "point"}),
    )


def _trained_until(config: Config, splits: Splits) -> int:
    """The ordinal before which the network that is served may have seen values."""
    return ordinal_of(splits.panel, splits.test_starts if config.training.refit else splits.training_ends)


def ordinal_of(panel: Panel, ends: np.ndarray) -> int:
    """The ordinal before which all these ends of series are (series,), in values of the panel."""
    return int((panel.starts + ends - panel.offsets[:-1]).max())


def _season(panel: Panel, ends: np.ndarray) -> int:
    """The season that most of the training parts show."""
    examined = evenly(np.flatnonzero(ends > panel.offsets[:-1]), EXAMINED)
    return find_season([panel.values[panel.offsets[k] : ends[k]] for k in examined], panel.frequency)


def _cycles(panel: Panel, ends: np.ndarray) -> tuple[Cycle, ...]:
    """Those of the calendar that the training part holds often enough to learn from, not by heart."""
    enough = years_of(panel, ends - panel.offsets[:-1]) >= YEARS
    return tuple(each for each in panel.frequency.cycles if enough or each in SHORT)


def _segment(config: Config, season: int, horizon: int, median: int) -> int:
    """A season, or a whole part of one that is not longer than the horizon; without a season the horizon, or less where
    the `median` series is short; 1 where the decoder wants single steps."""
    if config.model.segment:
        return config.model.segment
    if config.model.network != "segment":
        return 1
    longest = min(LONGEST_SEGMENT, horizon)
    if season == 1:
        return max(1, min(longest, median // FEWEST_SEGMENTS))
    return max(part for part in range(1, min(longest, season) + 1) if season % part == 0)


def _history(config: Config, season: int, horizon: int, segment: int, lengths: np.ndarray) -> int:
    """Steps to read: whole segments, and so few that the median series still gives windows to learn from; where all
    series would give few, half of what it has room for, if that is enough to read."""
    if config.model.history:
        return round_up(config.model.history, segment)
    room = int(np.median(lengths)) - 2 * horizon
    if config.model.network == "smoothing":
        wanted = max(SEASONS_SMOOTHED * season, 3 * horizon)
    else:
        seasons = SEASONS_READ if season <= LONGEST_SEGMENT else 2
        wanted = max(seasons * season, HORIZONS_READ * horizon if season == 1 else 0)
        few = len(lengths) * (room + horizon - min(wanted, room)) < FEW_WINDOWS
        wanted = max(season, 2 * horizon, 4 * segment, min(wanted, room // 2 if few else room))
    return max(min(wanted, room) // segment, 1) * segment


def _columns(names: list[str], columns: dict[str, np.ndarray]) -> tuple[str, ...]:
    """What came of these columns of the file: one, or one a word."""
    return tuple(each for name in names for each in columns if each == name or each.startswith(f"{name}="))


def _scales(
    panel: Panel, ends: np.ndarray, covariates: tuple[str, ...], statics: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each column, of the training part."""
    position = np.arange(len(panel.values))
    training = position < np.repeat(ends, np.diff(panel.offsets))
    columns = {name: panel.covariates[name][training] for name in covariates}
    columns |= {name: panel.statics[name] for name in statics}
    return {name: _mean_and_deviation(values) for name, values in columns.items()}


def _mean_and_deviation(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def sizes(panel: Panel, ends: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and seasonal naive error of each training part. Shapes: -> (series,), (series,)"""
    deviations, units = np.ones(len(panel)), np.ones(len(panel))
    for series, values in windows.whole_pasts(panel, ends):
        units[series] = naive_scale(values, season)
        with warnings.catch_warnings(action="ignore"):  # series that are all missing
            spread = np.nanstd(values, axis=1)
        deviations[series] = np.where(spread > 0, spread, 1.0)
    return deviations, units


def fit_ridge_before(panel: Panel, ends: np.ndarray, plan: Plan) -> Ridge:
    """The global ridge of all that lies before some places (series,)."""
    histories = [panel.values[begin:end] for begin, end in zip(panel.offsets[:-1], ends, strict=True)]
    return fit_ridge(histories, plan.horizon, plan.season)
