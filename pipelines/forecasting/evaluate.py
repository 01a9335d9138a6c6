"""Scores on test windows beside the companions, and the report."""

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits, tell_unscored
from pipelines.forecasting.facts import printable
from pipelines.forecasting.inputs import MOST_ORDINAL
from pipelines.forecasting.leaderboard import Leaderboard, compare
from pipelines.forecasting.predict import NAME, Forecaster
from pipelines.forecasting.prepare import Prepared, sizes
from toolkit.artifact import Artifact
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.errors import DataError, expect, intact

LEARNED = "learned.json"
WINDOWS = 5  # of each series, where it is not said how many
INTERVALS = ("coverage_", "width_")
SHOWN = ("coverage_80", "width_80")


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
        "metric": board.metric,
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
    return compare_run(folder, forecaster, splits).scores["seqloom"]


def compare_run(folder: Path, forecaster: Forecaster, splits: Splits) -> Leaderboard:
    """A run beside the companions on other windows than its own test windows, scored as these were.

    Raises:
        ArtifactError: the run is damaged.
    """
    tell_seen(folder, splits)
    split = Artifact(folder, NAME).read_config(Config).split
    units = sizes(splits.panel, splits.training_ends, forecaster.plan.season)[0] if split.standardized else None
    return compare(forecaster, splits, units=units, season=split.mase_season)


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
    until: dict[str, int] = run.read_stored(LEARNED, dict[str, int])
    with intact("this is not what was stored", str(run.folder / LEARNED)):
        expect(max(map(abs, until.values()), default=0) <= MOST_ORDINAL, "a time is beyond reason")
    return until


def tell_seen(folder: Path, splits: Splits) -> None:
    """Warn of test windows that begin before a run's own test part of the same series.

    Raises:
        ArtifactError: the run is damaged.
    """
    until, panel = read_learned(Artifact(folder, NAME)), splits.panel
    firsts = windows.cutoff_ordinals(panel, splits.test).tolist()
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
    tell_unscored(panel, cutoffs)
    starts = panel.ends.copy()
    np.minimum.at(starts, cutoffs.series, cutoffs.ends)
    return Splits(panel, starts, starts, cutoffs.take(slice(0)), cutoffs)
