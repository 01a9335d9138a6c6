"""From windows to what the network reads, and back. The same for training and for prediction; imports no Keras."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from toolkit.data import windows
from toolkit.data.calendar import Cycle
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel
from toolkit.data.windows import LARGEST, Cutoffs, Scale
from toolkit.errors import DataError, expect

MOST_STEPS = 10_000_000
MOST_ORDINAL, MOST_DATED, MOST_SECONDS = 2**60, 2**48, 10**9  # of numbers that count; of steps of dates; in such a step
LARGEST_LOGARITHM = float(np.log(LARGEST))  # a forecast beyond this many times the centre of its window is cut


@dataclass(frozen=True)
class Plan:
    """What the data says about how to forecast them; fixed before training and kept in the run folder."""

    frequency: Frequency
    horizon: int
    season: int
    history: int  # steps that the network reads, whole segments
    segment: int
    levels: tuple[float, ...]
    scaling: Literal["window", "series"]
    center: Literal["last", "mean"]
    anchor: Literal["center", "season"]
    known: tuple[str, ...] = ()  # columns whose future is known
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    calendar: bool = False
    cycles: tuple[Cycle, ...] | None = None  # of the calendar; None for all of the frequency, as in older runs
    holidays: str | None = None
    scales: dict[str, tuple[float, float]] | None = None  # mean and deviation of each of these columns
    categories: dict[str, tuple[str, ...]] | None = None  # words of those that held text
    ids: tuple[str, ...] = ()  # series that something is learned of; number 0 is for all others
    lower: float | None = None
    upper: float | None = None
    network: Literal["segment", "direct", "attention", "smoothing"] = "segment"
    log: bool = False
    trained_until: int | None = None  # ordinal; with it, intervals follow the forecasts of later times
    point: Literal["median", "mean"] = "median"
    calibrated: Literal["values", "logarithms"] = "values"  # what intervals are calibrated on; in older runs values
    day_first: bool | None = None  # how dates were written; decides where those of a new file could be read both ways

    def __post_init__(self) -> None:
        """ValueError for what no data says."""
        frequency, sizes = self.frequency, (self.horizon, self.season, self.history, self.segment)
        fits = all(1 <= size <= MOST_STEPS for size in sizes) and self.history % self.segment == 0
        expect(fits, "horizon, season, history or segment is none")
        rise = all(low < high for low, high in pairwise((0, *self.levels, 1)))
        expect(rise and 0.5 in self.levels, "levels must rise from 0 to 1, with 0.5 among them")
        counted = frequency.unit == "integer"
        longest, farthest = (MOST_ORDINAL, MOST_ORDINAL) if counted else (MOST_SECONDS, MOST_DATED)
        known = 1 <= frequency.step <= longest and abs(frequency.phase) <= farthest and 1 <= frequency.day <= 31
        expect(known, "there is no such frequency")
        expect(abs(self.trained_until or 0) <= farthest, "trained_until is no time")
        scales = self.scales or {}
        scaled = scales.keys() == {*self.known, *self.past, *self.static} and all(
            size > 0 for _, size in scales.values()
        )
        expect(scaled, "scales must have every column and be above 0")

    @property
    def trained(self) -> dict[str, Any]:
        """What `read_panel` must know of the series that this is of."""
        return {"categories": self.categories, "frequency": self.frequency, "day_first": self.day_first}

    @property
    def parts(self) -> int:
        """Segments in the horizon."""
        return -(-self.horizon // self.segment)

    @property
    def median(self) -> int:
        return self.levels.index(0.5)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Of what is learned of each series, by its name."""
        return {name: number for number, name in enumerate(self.ids, 1)}

    @cached_property
    def calendar_names(self) -> tuple[str, ...]:
        return tuple(self.calendar_of(np.zeros(1, np.int64))) if self.calendar else ()

    def calendar_of(self, ordinals: np.ndarray) -> dict[str, np.ndarray]:
        """Features (steps,) of the calendar, by name."""
        return self.frequency.calendar(ordinals, self.holidays, self.cycles)


class Inputs(NamedTuple):
    """What the network reads, and what turns its outputs into forecasts."""

    arrays: dict[str, np.ndarray]
    scale: Scale
    seen: np.ndarray  # (rows,), whether any value is known to it; without one there is no level to forecast around
    anchor: np.ndarray | None  # (rows, horizon), normalised, is added to the outputs
    log: bool = False  # whether all of these are in logarithms

    @property
    def unit(self) -> np.ndarray:
        """What an output of 1 is in the units of the data, near the centre of the window. Shapes: (rows, 1)"""
        return self.scale.size * np.exp(self.scale.center) if self.log else self.scale.size

    def targets(self, truth: np.ndarray) -> np.ndarray:
        """Truth in its units; NaN where it, or all before it, is unknown. Shapes: (rows, horizon) -> the same"""
        normal = self.scale.apply(np.log(truth) if self.log else truth)
        return np.where(self.seen[:, None], normal if self.anchor is None else normal - self.anchor, np.nan)

    def forecasts(self, outputs: np.ndarray) -> np.ndarray:
        """Shapes: (rows, horizon, levels) -> the same, in the units of the data."""
        moved = outputs if self.anchor is None else outputs + self.anchor[:, :, None]
        found = self.scale.invert(moved.astype(np.float64))
        if not self.log:
            return found
        centre = self.scale.center[:, :, None]
        return np.exp(np.clip(found, centre - LARGEST_LOGARITHM, centre + LARGEST_LOGARITHM))


def make_inputs(plan: Plan, panel: Panel, cutoffs: Cutoffs, sizes: np.ndarray | None, hide: Any = None) -> Inputs:
    """What the network reads at some cutoffs.

    Args:
        sizes: (rows,) what to divide by with `scaling: series`.
        hide: a function of the windows (rows, steps) that returns which of their values to hide, while training.

    Shapes: segments (rows, history / segment, features), lengths (rows,), future (rows, parts, features) where anything
        is known about it, statics (rows, n) where there are any, series (rows,) where something is learned of each.
        For smoothing, windows are padded on the left and there are no lengths.

    Raises:
        DataError: a value has no logarithm.
    """
    values = windows.past(panel, panel.values, cutoffs, plan.history)
    if plan.log:
        refuse_not_positive(panel, values, cutoffs.series)
        values = np.log(values)
    if hide is not None:
        values = np.where(hide(values), np.nan, values)
    sizes = sizes if plan.scaling == "series" else None
    scale = windows.fit_scale(values, center=plan.center, sizes=sizes, logarithms=plan.log)
    known = np.isfinite(values)
    normal = np.where(known, scale.apply(np.where(known, values, 0.0)), 0.0)
    channels = [normal, (~known).astype(np.float32)]
    channels += [_column(plan, panel, name, cutoffs, -plan.history) for name in (*plan.past, *plan.known)]
    channels += _calendar(plan, panel, cutoffs, -plan.history, 0)
    padded_left = plan.network == "smoothing"
    begun = np.full(len(cutoffs), plan.history) if padded_left else cutoffs.ends - panel.offsets[cutoffs.series]
    segments, lengths = windows.to_segments(np.stack(channels, axis=-1), begun, plan.segment)
    arrays = {"segments": segments} if padded_left else {"segments": segments, "lengths": lengths}
    reach = plan.parts * plan.segment
    # The last segment may go on past the horizon, where nothing is known when a forecast is made.
    beyond = ((0, 0), (0, reach - plan.horizon))
    ahead = [np.pad(_column(plan, panel, name, cutoffs, plan.horizon), beyond) for name in plan.known]
    ahead += _calendar(plan, panel, cutoffs, 0, reach)
    if ahead:
        future = np.stack(ahead, axis=-1)
        arrays["future"] = windows.to_segments(future, np.full(len(cutoffs), reach), plan.segment)[0]
    if plan.static:
        columns = [np.nan_to_num(_standard(plan, name, panel.statics[name])) for name in plan.static]
        arrays["statics"] = np.stack(columns, axis=-1)[cutoffs.series].astype(np.float32)
    if plan.ids:
        arrays["series"] = np.array([plan.numbers.get(panel.ids[k], 0) for k in cutoffs.series.tolist()], np.int32)
    anchor = _season_before(plan, normal) if plan.anchor == "season" else None
    return Inputs(arrays, scale, known.any(axis=1), anchor, plan.log)


def refuse_not_positive(panel: Panel, values: np.ndarray, series: np.ndarray) -> None:
    """Raises DataError where a value has no logarithm. Shapes: values (rows, ...) of series (rows,)."""
    found = np.argwhere(values <= 0)
    if len(found):
        first = tuple(found[0])
        raise DataError(
            f"series {panel.ids[series[first[0]]]!r} has the value {values[first]:g}, and model.log takes values above"
            " 0 only.",
            mend="Leave model.log out, or leave such series out.",
        )


def feature_counts(plan: Plan) -> dict[str, int]:
    """Features of a segment of the past, of one of the future, and of a series."""
    always = len(plan.known) + len(plan.calendar_names)
    return {
        "past": (2 + len(plan.past) + always) * plan.segment,
        "future": always * plan.segment,
        "statics": len(plan.static),
    }


def _column(plan: Plan, panel: Panel, name: str, cutoffs: Cutoffs, steps: int) -> np.ndarray:
    """A covariate before (steps < 0) or after the cutoffs, 0 where missing. Shapes: -> (rows, |steps|)."""
    cut = windows.past if steps < 0 else windows.ahead
    return np.nan_to_num(_standard(plan, name, cut(panel, panel.covariates[name], cutoffs, abs(steps))))


def _standard(plan: Plan, name: str, values: np.ndarray) -> np.ndarray:
    mean, deviation = (plan.scales or {})[name]
    return (values - mean) / deviation


def _calendar(plan: Plan, panel: Panel, cutoffs: Cutoffs, first: int, stop: int) -> list[np.ndarray]:
    if not plan.calendar:
        return []
    ordinals = windows.ordinals(panel, cutoffs, first, stop)
    # Rows share most of their steps: each step's features are computed once.
    steps, places = np.unique(ordinals, return_inverse=True)
    features = plan.calendar_of(steps)
    return [feature[places].reshape(ordinals.shape) for feature in features.values()]


def _season_before(plan: Plan, normal: np.ndarray) -> np.ndarray:
    """The last season, repeated. Shapes: normal (rows, history) -> (rows, horizon)"""
    last = normal[:, -plan.season :] if plan.season <= plan.history else normal[:, -1:]
    return np.tile(last, (1, -(-plan.horizon // last.shape[1])))[:, : plan.horizon]
