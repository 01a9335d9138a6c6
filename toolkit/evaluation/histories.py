"""Matrices of histories (rows, time): where each row begins, how gaps are filled, and working through many rows."""

from collections.abc import Callable, Iterator
from functools import wraps

import numpy as np

Forecaster = Callable[[np.ndarray, int, int], np.ndarray]

# Numbers in one chunk of rows: few enough for a dozen arrays of that size to stay in 100 MB.
_CHUNK = 1 << 20


def starts_of(history: np.ndarray) -> np.ndarray:
    """The position of the first value of each row (rows,); the width of the matrix where a row has no value."""
    return history.shape[1] - np.logical_or.accumulate(np.isfinite(history), axis=1).sum(axis=1)


def fill_gaps(history: np.ndarray, season: int) -> np.ndarray:
    """Fill what is missing after the first value of each row; what lies before it stays NaN.

    A missing value becomes the value one season before, or two seasons before when that is missing too, and so on.
    Where there is none, and where the season is 1, it is interpolated between its neighbours in time; after the last
    value it is the last value.

    Shapes: history (rows, time), NaN or infinite where missing -> (rows, time)
    """
    known = np.isfinite(history)
    position = np.arange(history.shape[1])
    inside = position >= starts_of(history)[:, None]
    if (known == inside).all():
        return np.where(inside, history, np.nan)
    filled = np.where(known, history, np.nan)
    if season > 1:
        filled = _from_season_before(filled, season)
    known = np.isfinite(filled)
    last = np.maximum.accumulate(np.where(known, position, -1), axis=1)
    coming = np.minimum.accumulate(np.where(known, position, len(position))[:, ::-1], axis=1)[:, ::-1]
    coming = np.where(coming == len(position), last, coming)  # after the last value
    before, after = (np.take_along_axis(filled, np.maximum(at, 0), axis=1) for at in (last, coming))
    share = (position - last) / np.maximum(coming - last, 1)
    return np.where(inside, np.where(known, filled, before * (1 - share) + after * share), np.nan)


def _from_season_before(history: np.ndarray, season: int) -> np.ndarray:
    rows, time = history.shape
    missing = -time % season
    seasons = np.pad(history, ((0, 0), (missing, 0)), constant_values=np.nan).reshape(rows, -1, season)
    count = np.where(np.isfinite(seasons), np.arange(seasons.shape[1])[:, None], 0)
    latest = np.maximum.accumulate(count, axis=1)
    return np.take_along_axis(seasons, latest, axis=1).reshape(rows, -1)[:, missing:]


def chunks_of_rows(rows: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """`rows` in pieces of about a million numbers, when each row needs `numbers` of them."""
    size = max(1, _CHUNK // max(1, numbers))
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def by_rows(method: Forecaster) -> Forecaster:
    """Give `method` comfortable histories: chunks of rows of like length, each with a value, of a size around 1.

    Each row is divided by a power of two, which loses no digit, so that no square overflows or vanishes.
    A row without any value is forecast as NaN.
    """

    @wraps(method)
    def forecast(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
        history = np.asarray(history, dtype=float)
        starts = starts_of(history)
        forecasts = np.full((len(history), horizon), np.nan)
        order = np.argsort(starts, kind="stable")
        for rows in chunks_of_rows(order[starts[order] < history.shape[1]], history.shape[1]):
            chunk = history[rows, starts[rows].min() :]
            largest = np.abs(np.where(np.isfinite(chunk), chunk, 0)).max(axis=1, keepdims=True)
            exponent = np.frexp(largest)[1]
            forecasts[rows] = np.ldexp(method(np.ldexp(chunk, -exponent), horizon, season), exponent)
        return forecasts

    return forecast
