"""Exponential smoothing of many rows at once: loops are over time, rows and candidate parameters are axes.

Reference: Hyndman, Koehler, Ord & Snyder 2008, Forecasting with Exponential Smoothing, chapters 2 and 5
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.evaluation.decomposition import adjusted, season_of
from toolkit.evaluation.histories import chunks_of_rows, starts_of

Kind = Literal["none", "additive", "multiplicative"]

# What is older hardly weighs in a smoothed level.
_SIMPLE_STEPS = 4096
# No level and no seasonal factor that something is divided by counts as less; the values are around 1.
_SMALLEST = 1e-3


def smooth(values: np.ndarray) -> np.ndarray:
    """The last level (rows,) of simple exponential smoothing with the least sum of squared one-step errors.

        level[t] = level[t-1] + alpha (y[t] - level[t-1])

    For each alpha the best first level follows by least squares, because errors are linear in it; alpha is searched for
    on a grid and twice around the best point. Only the last 4,096 steps are used.

    Shapes: values (rows, time) without gaps, NaN before the first value of a row -> (rows,)
    """
    values = values[:, -_SIMPLE_STEPS:]
    levels = np.empty(len(values))
    for rows in chunks_of_rows(np.arange(len(values)), 1024):
        part, every = values[rows], np.arange(len(rows))
        starts = starts_of(part)
        first = part[every, starts]
        centred = np.nan_to_num(part - first[:, None]).T
        best, level = np.zeros(len(rows)), np.zeros(len(rows))
        for offsets in (np.linspace(-7, 7, 15), np.linspace(-0.75, 0.75, 7), np.linspace(-0.2, 0.2, 5)):
            odds = best[:, None] + offsets
            squares, found = _smoothed(centred, starts, np.clip(probability(odds), 1e-4, 0.9999))
            choice = squares.argmin(axis=1)
            best, level = odds[every, choice], found[every, choice]
        levels[rows] = level + first
    return levels


def _smoothed(values: np.ndarray, starts: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors and last levels (rows, candidates), with the best first level.

    Shapes: values (time, rows), 0 before starts (rows,); alpha (rows, candidates)
    """
    level, weight, squares, product, weights = (np.zeros_like(alpha) for _ in range(5))
    begins = set(starts.tolist())
    for time in range(int(starts.min()), len(values)):
        if time in begins:
            weight[starts == time] = 1  # of the first level in the level of now
        error = values[time][:, None] - level
        squares += error * error
        product += error * weight
        weights += weight * weight
        level += alpha * error
        weight *= 1 - alpha
    first = product / weights
    return squares - first * product, level + weight * first


def probability(odds: np.ndarray) -> np.ndarray:
    """From log-odds to shares between 0 and 1."""
    return 1 / (1 + np.exp(-odds))


@dataclass(frozen=True)
class Smoother:
    """One kind of season on some rows, and the states that they begin with.

    Shapes: values (time, rows), 0 before starts; starts (rows,); level (rows, 2), without and with a trend; slope
    (rows,); seasons (season, rows), from the first step on.
    """

    kind: Kind
    values: np.ndarray
    starts: np.ndarray
    level: np.ndarray
    slope: np.ndarray
    seasons: np.ndarray

    def take(self, rows: np.ndarray) -> "Smoother":
        """Only some of the rows."""
        each = (self.starts[rows], self.level[rows], self.slope[rows], self.seasons[:, rows])
        return Smoother(self.kind, self.values[:, rows], *each)

    def run(self, parameters: np.ndarray, trending: np.ndarray) -> tuple[np.ndarray, ...]:
        """Smooth with `parameters` (rows, candidates, 4) and a trend where `trending` (rows, candidates).

        Returns: squared errors, last level, last trend (rows, candidates) and seasons (season, rows, candidates).
        """
        alpha, phi = parameters[..., 0], parameters[..., 3]
        beta = np.where(trending, alpha * parameters[..., 1], 0)
        gamma = (1 - alpha) * parameters[..., 2]
        level, trend, squares = (np.zeros_like(alpha) for _ in range(3))
        seasons = np.repeat(self.seasons[..., None], alpha.shape[1], axis=2)
        begins = set(self.starts.tolist())
        latest = max(begins)
        for time in range(min(begins), len(self.values)):
            if time in begins:
                new = self.starts == time
                level[new] = np.where(trending[new], self.level[new, 1:], self.level[new, :1])
                trend[new] = np.where(trending[new], self.slope[new, None], 0)
            trend *= phi
            level += trend
            season = seasons[time % len(seasons)]
            error = self.values[time][:, None] - (level * season if self.kind == "multiplicative" else level)
            if self.kind == "additive":
                error -= season
            if time < latest:
                error *= (self.starts <= time)[:, None]  # nothing moves before the first value
            squares += error * error
            for_level, for_season = error, error
            if self.kind == "multiplicative":
                for_level = error / np.maximum(season, _SMALLEST)
                for_season = error / np.maximum(level, _SMALLEST)
            if self.kind != "none":
                season += gamma * for_season
            level += alpha * for_level
            trend += beta * for_level
        return squares, level, trend, seasons

    def forecast(self, parameters: np.ndarray, states: tuple[np.ndarray, ...], horizon: int) -> np.ndarray:
        """Forecasts (rows, horizon) from one candidate a row: parameters (rows, 4), and level, trend and seasons."""
        level, trend, seasons = states
        damping = np.cumsum(parameters[:, 3:] ** np.arange(1, horizon + 1), axis=1)
        base = level[:, None] + damping * trend[:, None]
        ahead = seasons[(len(self.values) + np.arange(horizon)) % len(seasons)].T
        return np.maximum(base, 0) * ahead if self.kind == "multiplicative" else base + ahead


def begin(kind: Kind, values: np.ndarray, season: int) -> Smoother:
    """The states that rows begin with: a classical season, and a line or a mean through the first values without it.

    The first values are 10, or two seasons when that is more.

    Shapes: values (rows, time) without gaps, NaN before the first value of a row; around 1
    """
    starts = starts_of(values)
    figure, without = np.zeros((len(values), 1)), values
    if kind != "none":
        multiplicative = np.full(len(values), kind == "multiplicative")
        figure = season_of(values, starts, season, multiplicative)
        figure = np.maximum(figure, _SMALLEST) if kind == "multiplicative" else figure
        without = adjusted(values, figure, multiplicative)
        figure = np.roll(figure, values.shape[1] % season, axis=1)  # from the end of the rows to the first step
    passed = np.arange(values.shape[1]) - starts[:, None] + 1.0
    early = (passed >= 1) & (passed <= max(10, 2 * figure.shape[1]))
    n = early.sum(axis=1)
    mean, middle = np.where(early, without, 0).sum(axis=1) / n, (n + 1) / 2
    away = np.where(early, passed - middle[:, None], 0)
    slope = (away * np.nan_to_num(without)).sum(axis=1) / np.maximum((away**2).sum(axis=1), 1)
    level = np.stack([mean, mean - slope * middle], axis=1)
    return Smoother(kind, np.nan_to_num(values).T, starts, level, slope, figure.T)
