"""Global ridge regression: one linear map from the last values of a series to all steps ahead, shared by all series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.evaluation.flat_series import FlatSeries, all_origins, flatten, hold_out
from toolkit.evaluation.histories import chunks_of_rows, starts_of

_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_UNTESTED_PENALTY = 1e-2
_SEASONS = (1, 2, 3, 4, 7, 14, 21, 30)
_WITHOUT_SEASON = (4, 8, 13, 26, 52, 104)
_LONGEST = 750


@dataclass(frozen=True)
class Ridge:
    """A fitted map: forecast = last + (window - last) @ weights, with `last` the last value of the window.

    Adding a constant to a row adds it to its forecast, and scaling a row scales its forecast.

    Shapes: weights (lags, horizon)
    """

    weights: np.ndarray
    season: int

    def forecast(self, history: np.ndarray) -> np.ndarray:
        """Forecasts (rows, horizon) of histories (rows, time), with NaN where a value is missing and before the first.

        Gaps are filled by the rule of `histories.fill_gaps`. A row shorter than the window is continued to the left
        with its earliest season, or with its first value when it is shorter than a season. A row without a value gives
        NaN.
        """
        lags, horizon = self.weights.shape
        forecasts = np.full((len(history), horizon), np.nan)
        known = np.flatnonzero(starts_of(history) < history.shape[1])
        for rows in chunks_of_rows(known, lags + history.shape[1]):
            series = flatten(history[rows], self.season)
            windows = series.windows(np.arange(len(rows)), series.lengths, lags)
            last = windows[:, -1:]
            forecasts[rows] = last + (windows - last) @ self.weights
        return forecasts

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays to store; `from_arrays` takes them back."""
        return {"weights": self.weights, "season": np.array(self.season)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Ridge":
        return cls(np.asarray(arrays["weights"], dtype=float), int(arrays["season"]))


def fit_ridge(
    histories: np.ndarray | Sequence[np.ndarray],
    horizon: int,
    season: int,
    *,
    lags: Sequence[int] = (),
    max_windows: int = 100_000,
) -> Ridge:
    """Fit one ridge regression to the windows of all series.

        weights = argmin sum over windows of |(y - last) - (x - last) @ weights|^2 / spread^2 + penalty |weights|^2

    x are the last `lags` values before an origin, y the `horizon` values after it, spread is the mean absolute
    deviation of x from its mean plus the mean absolute change of the series over a season: a quiet window of a lively
    series must not outweigh all others. Windows whose last value, or most of whose y, is missing are left out.

    The number of lags and the penalty (relative to the mean square of x) are those with the least mean absolute error,
    in mean changes over a season, on windows held out from the end of each series; the weights are then those of all
    windows. Where nothing can be held out, the fewest lags are taken; where no series is long enough for a window, the
    weights are 0, which is the naive forecast.

    Args:
        histories: (rows, time), NaN where missing and before the first value, or one array (time,) a series.
        lags: numbers of lags to choose from; by default 1 to 30 seasons, at most 750 steps, or 4 to 104 steps where
            there is no season or it is too long.
        max_windows: so many are used, spread evenly, when there are more.
    """
    series = flatten(histories, season)
    candidates = sorted(lags) or _lags(int(series.lengths.max(initial=0)) - 2 * horizon, season)
    until, rows, origins = hold_out(series.lengths, horizon, candidates[0])
    targets, known = series.ahead(rows, origins, horizon)
    tests = _held_out(series, rows, origins, np.where(known, targets, np.nan), candidates[-1])
    best, penalty, least = candidates[0], _UNTESTED_PENALTY, np.inf
    for count in candidates:
        rows, origins = all_origins(until, count, max_windows)
        chosen, error = _best_penalty(_equations(series, rows, origins, (count, horizon)), *tests)
        if error < least:
            best, penalty, least = count, chosen, error
    rows, origins = all_origins(series.lengths - horizon, best, max_windows)
    return Ridge(_solve(_equations(series, rows, origins, (best, horizon)), penalty), season)


def _lags(longest: int, season: int) -> list[int]:
    longest = min(longest, _LONGEST)
    seasons = [count * season for count in _SEASONS if season > 1 and count * season <= longest]
    return seasons or [lags for lags in _WITHOUT_SEASON if lags <= longest] or [1]


def _held_out(
    series: FlatSeries, rows: np.ndarray, origins: np.ndarray, targets: np.ndarray, lags: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows x (windows, lags) and what came after them, y (windows, horizon), from the last value of x on.

    Both are divided by the change of the series over a season; y is NaN where it is missing.
    """
    scale = series.change[rows]
    use = (scale > 0) & (origins > 0) & np.isfinite(targets).any(axis=1)
    x = series.windows(rows[use], origins[use], lags)
    last, scale = x[:, -1:], scale[use, None]
    return (x - last) / scale, (targets[use] - last) / scale


def _equations(
    series: FlatSeries, rows: np.ndarray, origins: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations x'x (lags, lags) and x'y (lags, horizon), summed in blocks of windows."""
    lags, horizon = shape
    gram, product = np.zeros((lags, lags)), np.zeros(shape)
    for block in chunks_of_rows(np.arange(len(rows)), lags + horizon):
        row, origin = rows[block], origins[block]
        x, (y, known) = series.windows(row, origin, lags), series.ahead(row, origin, horizon)
        spread = np.abs(x - x.mean(axis=1, keepdims=True)).mean(axis=1) + series.change[row]
        last_known = series.known[series.offsets[row] + origin - 1]
        use = last_known & (known.mean(axis=1) >= 0.5) & (spread > 0)
        last, spread = x[use, -1:], spread[use, None]
        x, y = (x[use] - last) / spread, (y[use] - last) / spread
        gram += x.T @ x
        product += x.T @ y
    return gram, product


def _solve(equations: tuple[np.ndarray, np.ndarray], penalty: float) -> np.ndarray:
    """Weights (lags, horizon); 0 where the equations are, as they are for the last value, less itself."""
    gram, product = equations
    size = np.trace(gram) / len(gram)
    return np.linalg.solve(gram + max(penalty * size, np.finfo(float).tiny) * np.eye(len(gram)), product)


def _best_penalty(equations: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The penalty with the least error on held-out windows, and that error; infinite without windows or equations."""
    best, least = _UNTESTED_PENALTY, np.inf
    for penalty in _PENALTIES if x.size and equations[0].any() else ():
        forecast = x[:, -len(equations[0]) :] @ _solve(equations, penalty)
        error = float(np.nanmean(np.abs(forecast - y), axis=1).mean())
        if error < least:
            best, least = penalty, error
    return best, least
