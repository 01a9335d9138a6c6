"""Forecasts of a run and of every companion at some cutoffs, beside what came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pipelines.forecasting.data import Splits
from pipelines.forecasting.output import Forecasts
from pipelines.forecasting.predict import NETWORK, Forecaster, looked_at
from pipelines.forecasting.prepare import fit_ridge_before
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs
from toolkit.evaluation import forecasting
from toolkit.evaluation.companions import COMPANIONS, naive2
from toolkit.evaluation.comparison import block_interval
from toolkit.evaluation.forecasting import Truth


class Rival(NamedTuple):
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
    metric: str  # that forecasters are compared by
    truth: Truth
    rivals: dict[str, Rival]

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Metrics by name of every rival."""
        return {
            name: forecasting.score(self.truth, rival.forecasts, rival.quantiles, self.levels)
            for name, rival in self.rivals.items()
        }

    @cached_property
    def forecasts(self) -> Forecasts:
        """Seqloom's, with what came, in the units of the data."""
        quantiles = self.rivals["seqloom"].quantiles
        assert quantiles is not None
        came = windows.ahead(self.panel, self.panel.values, self.cutoffs, quantiles.shape[1])
        return Forecasts(self.panel, self.cutoffs, self.levels, quantiles * self.units[:, None, None], came)


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
    metric = "rmsse" if plan.point == "mean" else "mase" if units is None else "mae"
    return Leaderboard(panel, cutoffs, plan.levels, rows, units is not None, metric, truth, rivals)


def difference_interval(board: Leaderboard, rival: str) -> tuple[float, float]:
    """Where Seqloom's score less a rival's would lie in 95 of 100 cases with other test windows; see `block_interval`.

    A block holds the windows of all series of one time, a horizon, or two where windows overlap: what series have in
    common at a time is one piece of evidence and not many.
    """
    rows = np.flatnonzero(~np.isnan(board.truth.y).all(axis=1))
    times, horizon = windows.cutoff_ordinals(board.panel, board.cutoffs.take(rows)), board.truth.y.shape[1]
    span = horizon if (np.diff(np.unique(times)) >= horizon).all() else 2 * horizon
    own, other = (_window_scores(board, name)[rows] for name in ("seqloom", rival))
    differences = own - other
    if board.metric == "rmsse":  # roots of means of squares a and b: their difference is (a - b) / (sqrt a + sqrt b)
        together = board.scores["seqloom"]["rmsse"] + board.scores[rival]["rmsse"]
        differences = (own**2 - other**2) / (together or 1)
    return block_interval(differences, (times - times.min(initial=0)) // span)


def _window_scores(board: Leaderboard, name: str) -> np.ndarray:
    """Shapes: -> (rows,), NaN where nothing came"""
    forecasts = board.rivals[name].forecasts
    return forecasting.score_series(board.truth, forecasts, np.arange(len(forecasts)))[board.metric]


def join(boards: Sequence[Leaderboard]) -> Leaderboard:
    """One leaderboard of the forecasters that are in all of them."""
    first = boards[0]
    names = [name for name in first.rivals if all(name in board.rivals for board in boards)]
    return replace(
        first,
        cutoffs=Cutoffs(*_joined([board.cutoffs for board in boards])),
        units=np.concatenate([board.units for board in boards]),
        truth=Truth(*_joined([vars(board.truth).values() for board in boards])),
        rivals={name: Rival(*_joined([board.rivals[name] for board in boards])) for name in names},
    )


def _joined(parts: Sequence[Iterable[Any]]) -> list[Any]:
    """The arrays of like values, field by field one after the other; None stays None."""
    return [None if fields[0] is None else np.concatenate(fields) for fields in zip(*parts, strict=True)]


def _truth(splits: Splits, units: np.ndarray, horizon: int, season: int) -> Truth:
    """What came at the test cutoffs, with scales from before all of them, in the given units (rows,)."""
    panel, cutoffs = splits.panel, splits.test
    scale, squared = np.ones(len(panel)), np.ones(len(panel))
    for series, history in windows.whole_pasts(panel, splits.test_starts):
        scale[series] = forecasting.naive_scale(history, season)
        squared[series] = forecasting.naive_scale(history, season, squared=True)
    pasts = (windows.whole_past(panel, part, looked_at(season)) for part in windows.blocks(cutoffs))
    rival = np.concatenate([naive2(past, horizon, season) for past in pasts])
    y = windows.ahead(panel, panel.values, cutoffs, horizon)
    y[~np.isfinite(rival[:, 0])] = np.nan  # nothing can be said about a row without any value
    rows = units[:, None]
    return Truth(y / rows, scale[cutoffs.series] / units, squared[cutoffs.series] / units**2, rival / rows)
