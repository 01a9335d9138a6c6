"""Scores on test windows beside the companions, and the report."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits
from pipelines.forecasting.facts import printable
from pipelines.forecasting.inputs import MOST_ORDINAL
from pipelines.forecasting.predict import LONGEST, NAME, NETWORK, Forecaster
from pipelines.forecasting.prepare import Prepared, fit_ridge_before
from pipelines.forecasting.stored import read_stored
from toolkit.artifact import Artifact
from toolkit.data import windows
from toolkit.data.series import Panel
from toolkit.data.windows import Cutoffs
from toolkit.errors import DataError, expect, intact
from toolkit.evaluation import forecasting
from toolkit.evaluation.companions import COMPANIONS, naive2
from toolkit.evaluation.forecasting import Truth

LEARNED = "learned.json"
WINDOWS = 5  # of each series, where it is not said how many
INTERVALS = ("coverage_", "width_")
SHOWN = ("coverage_80", "width_80")


@dataclass(frozen=True)
class Rival:
    """A forecaster in the leaderboard: its forecasts, and quantiles where it has them."""

    forecasts: np.ndarray  # (rows, horizon)
    quantiles: np.ndarray | None = None  # (rows, horizon, levels)


@dataclass(frozen=True)
class Leaderboard:
    """What came, what was forecast, and by whom, over some cutoffs. The first of the rivals is Seqloom itself."""

    panel: Panel
    cutoffs: Cutoffs
    levels: tuple[float, ...]
    units: np.ndarray  # (rows,) what everything was divided by
    standardized: bool
    truth: Truth
    rivals: dict[str, Rival]

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Metrics by name of every rival."""
        return {
            name: forecasting.score(self.truth, rival.forecasts, rival.quantiles, self.levels)
            for name, rival in self.rivals.items()
        }


def evaluate_run(
    folder: Path, config: Config, prepared: Prepared, history: list[dict[str, float]], seconds: float
) -> tuple[dict[str, Any], str]:
    """Score a sealed run on its test windows, through the path that users run: its report, and the page."""
    from pipelines.forecasting.report import render

    started = time.monotonic()
    forecaster = Forecaster.load(folder)
    units = prepared.deviations if config.split.standardized else None
    board = compare(forecaster, prepared.splits, units=units, season=config.split.mase_season)
    own = board.scores["seqloom"]
    report: dict[str, Any] = {
        "pipeline": NAME,
        "test": {name: score for name, score in own.items() if not name.startswith(INTERVALS) or name in SHOWN},
        "baselines": {name: scores for name, scores in board.scores.items() if name != "seqloom"},
        "intervals": {name: score for name, score in own.items() if name.startswith(INTERVALS)},
        "seconds": {"train": seconds, "evaluate": time.monotonic() - started},
    }
    page, report["verdict"] = render(report, board, forecaster, history)
    return report, page


def evaluate(folder: Path, data: Path) -> dict[str, float]:
    """Score a run on the last windows of other series, or of the same ones with later values.

    Raises:
        DataError: the data cannot be read, or no series is long enough.
    """
    forecaster = Forecaster.load(folder)
    splits = last_windows(forecaster.read(str(data)), forecaster.plan.horizon)
    tell_seen(folder, splits)
    return compare(forecaster, splits).scores["seqloom"]


def learned_until(splits: Splits) -> dict[str, int]:
    """By series name, the ordinal from which on a run knows nothing: weights, choices and intervals are from before."""
    panel = splits.panel
    return dict(zip(panel.ids, (panel.starts + splits.test_starts - panel.offsets[:-1]).tolist(), strict=True))


def read_learned(run: Artifact) -> dict[str, int]:
    """What `learned_until` gave when the run was made; nothing of a run from before this was written down.

    Raises:
        ArtifactError: the run is damaged.
    """
    if LEARNED not in run.manifest["files"]:
        return {}
    until: dict[str, int] = read_stored(run, LEARNED, dict[str, int])
    with intact("this is not what was stored", str(run.folder / LEARNED)):
        expect(max(map(abs, until.values()), default=0) <= MOST_ORDINAL, "a time is beyond reason")
    return until


def tell_seen(folder: Path, splits: Splits) -> None:
    """Warn of test windows that begin before a run's own test part of the same series.

    Raises:
        ArtifactError: the run is damaged.
    """
    until, panel = read_learned(Artifact(folder, NAME)), splits.panel
    firsts = windows.ordinals(panel, splits.test, 0, 1)[:, 0].tolist()
    ids = [panel.ids[series] for series in splits.test.series.tolist()]
    if early := [name for name, first in zip(ids, firsts, strict=True) if first < until.get(name, first)]:
        begin = panel.frequency.text(np.array([until[early[0]]]))[0]
        warnings.warn(
            f"{len(early):,} of {len(ids):,} windows begin where the run has learned from series of these names (from "
            f"{printable(early[0])} up to {begin}), so their scores are too good. report.json has those of windows "
            "that it had not seen.",
            stacklevel=2,
        )


def last_windows(panel: Panel, horizon: int, *, count: int = WINDOWS, step: int | None = None) -> Splits:
    """The last cutoffs of each series, a horizon apart unless said otherwise, as test windows.

    Raises:
        DataError: no series is longer than the horizon, or nothing is known after a cutoff.
    """
    step, begins = step or horizon, panel.offsets[:-1]
    firsts = np.maximum(begins + 1, panel.ends - horizon - (count - 1) * step)
    cutoffs = windows.rolling(panel, firsts, panel.ends, horizon=horizon, step=step)
    if not len(cutoffs):
        longest = int((panel.ends - begins).max(initial=0))
        raise DataError(
            f"the longest series has {longest:,} values, too few to hold back {horizon:,} of them.",
            mend="Give longer series or a shorter horizon.",
        )
    if np.isnan(windows.ahead(panel, panel.values, cutoffs, horizon)).all():
        raise DataError("no value is known after any of the cutoffs.", mend="Give series that end with values.")
    starts = panel.ends.copy()
    np.minimum.at(starts, cutoffs.series, cutoffs.ends)
    return Splits(panel, starts, starts, cutoffs.take(slice(0)), cutoffs)


def compare(
    forecaster: Forecaster, splits: Splits, *, units: np.ndarray | None = None, season: int | None = None
) -> Leaderboard:
    """Forecasts of the run and of every companion at the test cutoffs, and what came.

    Args:
        units: (series,) what to bring all values to; None leaves them as they are.
        season: of the scale of MASE, and of Naive2; None takes that of the run.
    """
    panel, cutoffs, plan = splits.panel, splits.test, forecaster.plan
    quantiles = forecaster.forecast(panel, cutoffs)
    names = [*([NETWORK] if forecaster.runtime else []), *COMPANIONS, "ridge"]
    ridge = forecaster.ridge or fit_ridge_before(panel, splits.test_starts, plan)
    others = replace(forecaster, ridge=ridge).parts(panel, cutoffs, names)
    rows = np.ones(len(cutoffs)) if units is None else units[cutoffs.series]
    rivals = {"seqloom": Rival(quantiles[:, :, plan.median] / rows[:, None], quantiles / rows[:, None, None])}
    rivals |= {name: Rival(others.forecasts[name] / rows[:, None]) for name in names}
    truth = _truth(splits, rows, plan.horizon, season or plan.season)
    return Leaderboard(panel, cutoffs, plan.levels, rows, units is not None, truth, rivals)


def join(boards: Sequence[Leaderboard]) -> Leaderboard:
    """One leaderboard of the forecasters that are in all of them."""
    first = boards[0]
    names = [name for name in first.rivals if all(name in board.rivals for board in boards)]
    cutoffs = Cutoffs(*(np.concatenate(parts) for parts in zip(*(board.cutoffs for board in boards), strict=True)))
    truths = [board.truth for board in boards]
    truth = Truth(
        np.concatenate([each.y for each in truths]),
        np.concatenate([each.scale for each in truths]),
        np.concatenate([each.squared_scale for each in truths]),
        np.concatenate([each.naive2 for each in truths if each.naive2 is not None]),
    )
    rivals = {name: _joined([board.rivals[name] for board in boards]) for name in names}
    return replace(
        first, cutoffs=cutoffs, units=np.concatenate([board.units for board in boards]), truth=truth, rivals=rivals
    )


def _joined(rivals: Sequence[Rival]) -> Rival:
    forecasts = np.concatenate([rival.forecasts for rival in rivals])
    quantiles = [rival.quantiles for rival in rivals if rival.quantiles is not None]
    return Rival(forecasts, np.concatenate(quantiles) if quantiles else None)


def _truth(splits: Splits, units: np.ndarray, horizon: int, season: int) -> Truth:
    """What came at the test cutoffs, with scales from before all of them, in the given units (rows,)."""
    panel, cutoffs = splits.panel, splits.test
    scale, squared = np.ones(len(panel)), np.ones(len(panel))
    for series, history in windows.whole_pasts(panel, splits.test_starts):
        scale[series] = forecasting.naive_scale(history, season)
        squared[series] = forecasting.naive_scale(history, season, squared=True)
    adjusted = [naive2(windows.whole_past(panel, part, LONGEST), horizon, season) for part in windows.blocks(cutoffs)]
    rival = np.concatenate(adjusted)
    y = windows.ahead(panel, panel.values, cutoffs, horizon)
    y[~np.isfinite(rival[:, 0])] = np.nan  # nothing can be said about a row without any value
    rows = units[:, None]
    return Truth(y / rows, scale[cutoffs.series] / units, squared[cutoffs.series] / units**2, rival / rows)
