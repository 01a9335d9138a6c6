"""Series read from files, and what of them is held back."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn

import numpy as np

from pipelines.forecasting.config import Config, DataConfig
from pipelines.forecasting.facts import printable
from pipelines.forecasting.inputs import Plan
from toolkit.data import windows
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel, placed, ranges
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.data.windows import Cutoffs
from toolkit.errors import ConfigError, DataError

# Where the config does not say: horizons to hold back of each series, more of them the fewer series there are (and a
# season or more, so that every part of it is seen), and windows wanted in all, which overlap where there would
# be fewer.
FEWEST_HORIZONS, MOST_HORIZONS, WANTED_WINDOWS = 3, 20, 200
SEASONS = 2  # held back at least, where a fifth is as much: intervals fitted to one year fit one year


@dataclass(frozen=True)
class Splits:
    """A panel and the cutoffs to train, choose and test at.

    Shapes: training_ends, test_starts (series,) flat positions: training windows end before the first, choices are
        made between the two
    """

    panel: Panel
    training_ends: np.ndarray
    test_starts: np.ndarray
    validation: Cutoffs
    test: Cutoffs


def read(config: DataConfig, *, path: str | None = None, **fixed: Any) -> Panel:
    """The series of a file; what is odd about them is told as warnings."""
    panel, findings = read_panel(source(config, path), **fixed)
    for finding in findings:
        warnings.warn(finding.message, stacklevel=2)
    return panel


def source(config: DataConfig, path: str | None = None) -> SeriesSource:
    frequency = None if config.frequency is None else str(config.frequency)
    id = tuple(config.id) if isinstance(config.id, list) else config.id
    columns = {"id": id, "covariates": (*config.known, *config.past), "statics": tuple(config.static)}
    alike = config.model_dump(include={field.name for field in fields(SeriesSource)})
    return SeriesSource(**{**alike, **columns, "frequency": frequency, "path": path or config.path})


def read_splits(
    config: Config, plan: Plan | None = None, learned: Mapping[str, int] | None = None
) -> tuple[Splits, int]:
    """The series with their cutoffs, and the horizon in steps.

    Args:
        plan: of a run that the series must fit.
        learned: by series name, the ordinal from which on that run knows nothing; what chooses and what scores is later
            than that, and shares what there is where there is less than the config asks for.

    Raises:
        DataError: a file cannot be used, or no series is long enough to be tested and to learn from.
    """
    panel, split = read(config.data, **(plan.trained if plan else {})), config.split
    horizon = steps_of(config.horizon, panel.frequency)
    if split.train:
        used = split.train + int(split.validation or 0) + int(split.test or 0)
        panel = panel.at(np.minimum(panel.offsets[:-1] + used, panel.ends))
    if split.drop:
        panel = panel.at(np.maximum(panel.ends - split.drop, panel.offsets[:-1]))
    lengths = panel.lengths
    if isinstance(split.test, str):
        # Files that count from zero have no grid of their own.
        grid = None if panel.frequency.unit == "integer" else panel.frequency
        alike: dict[str, Any] = {"categories": panel.categories, "day_first": panel.day_first}
        later = read(config.data, path=split.test, frequency=grid, **alike)
        panel, test_starts = _append(panel, later)
        tested = panel.ends - test_starts
    else:
        tested = _held_back(split.test, lengths, horizon, _season(config, panel))
        test_starts = panel.ends - tested
    seen = _seen(panel, learned or {})
    halves = (seen + panel.ends + 1) // 2
    test_starts = np.where(seen > panel.offsets[:-1], np.maximum(test_starts, halves), test_starts)
    validated = _held_back(split.validation, test_starts - panel.offsets[:-1], horizon, _season(config, panel))
    training_ends = np.maximum(test_starts - validated, seen)
    rolled = _rolled(panel, test_starts, panel.ends, horizon, split.step)
    validation = _rolled(panel, training_ends, test_starts, horizon, split.step)
    if not len(rolled) or not len(validation):
        new = int((panel.ends - seen).max(initial=0)) if learned else None
        _refuse_short(config, int(lengths.max(initial=0)), horizon, new)
    tell_unscored(panel, rolled)
    for part, cutoffs in (("validation", validation), ("test", rolled)):
        if np.isnan(windows.ahead(panel, panel.values, cutoffs, horizon)).all():
            raise DataError(
                f"no value is known in the {part} part of any series.",
                where=config.data.path,
                mend=f"Give series with values, or another split.{part}.",
            )
    return Splits(panel, training_ends, test_starts, validation, rolled), horizon


def tell_unscored(panel: Panel, cutoffs: Cutoffs) -> None:
    """Warn of series that have no test window."""
    without = np.setdiff1d(np.arange(len(panel)), cutoffs.series)
    if len(without):
        warnings.warn(
            f"series that are too short for a test window: {len(without):,} of {len(panel):,}, such as"
            f" {printable(panel.ids[without[0]])}; they are in no score, and get forecasts all the same.",
            stacklevel=3,
        )


def _refuse_short(config: Config, longest: int, horizon: int, new: int | None) -> NoReturn:
    """Tell why no window is left to choose by or to score on.

    Args:
        longest: steps of the longest series.
        new: the most steps of a series that a run which is trained on has not learned from; None where there is none.
    """
    where = config.data.path
    if new == 0:
        found = "no row is later than those that the run has learned from."
        raise DataError(found, where=where, mend="Give old rows and new ones in one file.")
    if new:
        found = f"{new:,} values of a series at most are new to the run, too few to choose by and to score on"
        mend = f"Give at least {2 * horizon:,} of them, update the run that this one came from, or train anew."
        raise DataError(f"{found} {horizon:,} steps ahead.", where=where, mend=mend)
    if longest >= 4 * horizon:
        raise ConfigError(
            "the parts for validation and for tests would take more than half of each series.",
            where="split",
            mend="Hold back less; in a backtest, ask for fewer --windows.",
        )
    raise DataError(
        f"the longest series has {longest:,} values, too few to forecast {horizon:,} steps and to see how well.",
        where=where,
        mend=f"Give at least {4 * horizon:,} values, or a horizon of at most {max(longest // 4, 1):,}.",
    )


def _seen(panel: Panel, learned: Mapping[str, int]) -> np.ndarray:
    """Where in each series what a run has learned from ends. Shapes: -> (series,) flat positions"""
    starts = panel.starts.tolist()
    steps = [learned.get(name, start) - start for name, start in zip(panel.ids, starts, strict=True)]
    return panel.offsets[:-1] + np.clip(np.array(steps, np.int64), 0, panel.lengths)


def steps_of(horizon: int | str, frequency: Frequency) -> int:
    return horizon if isinstance(horizon, int) else frequency.steps(horizon)


def _season(config: Config, panel: Panel) -> int:
    """Steps in a season as far as it is known before the series are looked at."""
    return config.season if isinstance(config.season, int) else next(iter(panel.frequency.seasons), 1)


def _held_back(wanted: int | float | None, lengths: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Steps at the end of each series; none of series that would lose more than half.

    Shapes: lengths (series,) -> (series,)
    """
    if isinstance(wanted, int):
        steps = np.full(len(lengths), wanted)
    elif wanted is not None:
        steps = (lengths * wanted).astype(np.int64)
    else:
        fewest = max(FEWEST_HORIZONS, -(-SEASONS * season // horizon))
        most = np.clip(WANTED_WINDOWS // max(len(lengths), 1), fewest, max(fewest, MOST_HORIZONS))
        steps = horizon * np.clip(lengths // (5 * horizon), 1, most)
    return np.where(steps <= lengths // 2, steps, 0)


def _rolled(panel: Panel, firsts: np.ndarray, stops: np.ndarray, horizon: int, step: int | None) -> Cutoffs:
    """Cutoffs between two places; a horizon apart unless that leaves too few."""
    if step is None:
        room = int(np.maximum(stops - firsts - horizon, 0).sum())
        step = int(np.clip(room // WANTED_WINDOWS, 1, horizon))
    return windows.rolling(panel, firsts, stops, horizon=horizon, step=step)


def _append(panel: Panel, later: Panel) -> tuple[Panel, np.ndarray]:
    """Each series with the values that follow, and where those begin.

    Raises:
        DataError: a series is missing, or its times do not follow.
    """
    number = {name: k for k, name in enumerate(later.ids)}
    missing = [name for name in panel.ids if name not in number]
    if missing:
        raise DataError(f"split.test has no series {missing[0]!r} ({len(missing)} of {len(panel)} are missing).")
    order = np.array([number[name] for name in panel.ids])
    lengths, more = panel.lengths, later.lengths[order]
    wrong = np.flatnonzero(panel.starts + lengths != later.starts[order])
    if panel.frequency.unit != "integer" and len(wrong):
        name = panel.ids[wrong[0]]
        raise DataError(f"split.test: the values of series {name!r} do not begin one step after its last one.")
    offsets = np.concatenate([[0], np.cumsum(lengths + more)])
    starts = offsets[:-1] + lengths
    own, theirs = ranges(panel.offsets[:-1], lengths)[0], ranges(later.offsets[order], more)[0]
    places = np.concatenate([ranges(offsets[:-1], lengths)[0], ranges(starts, more)[0]])

    def joined(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return placed(np.concatenate([before[own], after[theirs]]), places, offsets[-1])

    values = joined(panel.values, later.values)
    covariates = {name: joined(column, later.covariates[name]) for name, column in panel.covariates.items()}
    return replace(panel, offsets=offsets, ends=offsets[1:].copy(), values=values, covariates=covariates), starts
