"""ETS: each row forecast by the exponential smoothing model that its own history recommends."""

from itertools import product

import numpy as np

from toolkit.evaluation.exponential_smoothing import Kind, Smoother, begin, probability
from toolkit.evaluation.histories import by_rows, chunks_of_rows, fill_gaps, starts_of

# Over longer histories seasons change more than their first states can say: 200 steps were better than 400 and 1,000.
_STEPS, _SEASONS = 200, 3
_LONGEST_SEASON = 700
_FEWEST = 5
# A season of factors is tried where no value is below this share of the mean: close to 0 a factor says little about the
# next value, and a level that is divided by one leaps.
_LEAST_SHARE = 0.1
# Grids of alpha, beta / alpha, gamma / (1 - alpha) and phi; then moves around the best point, the first three as
# log-odds.
_ALPHAS = (0.02, 0.1, 0.3, 0.6, 0.9)
_BETAS = (0.03, 0.2)
_GAMMAS = (0.01, 0.1, 0.4)
_PHIS = (0.82, 0.95)
_MOVES = np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4), [[1, 0, -1, 0], [-1, 0, 1, 0], [1, -1, 0, 0]]])
_SIZES = (1.0, 0.5, 0.25)


@by_rows
def ets(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Exponential smoothing with additive errors; each row takes the model of least AICc.

        level[t]  = base + alpha e,  base = level[t-1] + phi trend[t-1]
        trend[t]  = phi trend[t-1] + beta e
        season[t] = season[t-m] + gamma e           e = y[t] - base - season[t-m]                    (additive)

    With a multiplicative season y[t] = base season[t-m] + e, and e is divided by what its state is multiplied with.

    The trend is none or damped. The season is none or additive, or multiplicative where no value is below a tenth of
    the mean; it needs two seasons of values, and one of more than 700 steps counts as none. A row of less than 5 values
    keeps its last one. First states come from the classical decomposition and a line through the first values.
    Parameters are searched for on a grid for every model and then around the best point of the best model; only the
    last 200 steps, or three seasons when that is more, are used.

    Shapes: history (rows, time), NaN where missing -> (rows, horizon)
    """
    season = season if season <= _LONGEST_SEASON else 1
    values = fill_gaps(history, season)[:, -max(_STEPS, _SEASONS * season) :]
    forecasts = np.repeat(values[:, -1:], horizon, axis=1)
    long = np.flatnonzero(np.isfinite(values).sum(axis=1) >= _FEWEST)
    for rows in chunks_of_rows(long, 2048 + 80 * season):  # 75 candidates, each with its own season
        mean = np.nanmean(np.abs(values[rows]), axis=1, keepdims=True)
        mean = np.where(mean > 0, mean, 1)
        with np.errstate(over="ignore", invalid="ignore"):  # a candidate that explodes is not chosen
            forecasts[rows] = _chosen(values[rows] / mean, horizon, season) * mean
    return forecasts


def _chosen(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Forecasts (rows, horizon) of values (rows, time) around 1, by the best model of each row."""
    kinds = _possible_kinds(values, season)
    score = np.full((len(kinds), len(values)), np.inf)
    parameters, trending = np.zeros((*score.shape, 4)), np.zeros(score.shape, dtype=bool)
    smoothers = []
    for number, (kind, rows) in enumerate(kinds):
        smoothers.append(begin(kind, values[rows], season))
        score[number, rows], parameters[number, rows], trending[number, rows] = _best_on_grid(smoothers[number])
    best = score.argmin(axis=0)
    forecasts = np.empty((len(values), horizon))
    for number, (_, rows) in enumerate(kinds):
        mine = best[rows] == number
        chosen = rows[mine]
        if len(chosen):
            smoother = smoothers[number].take(mine)
            forecasts[chosen] = _refined(smoother, parameters[number, chosen], trending[number, chosen], horizon)
    return forecasts


def _possible_kinds(values: np.ndarray, season: int) -> list[tuple[Kind, np.ndarray]]:
    """Which kinds of season are possible, each with the rows (of values around 1) that it is possible for."""
    seasonal = (season > 1) & (values.shape[1] - starts_of(values) >= 2 * season)
    positive = np.where(np.isfinite(values), values, np.inf).min(axis=1) > _LEAST_SHARE
    kinds: list[tuple[Kind, np.ndarray]] = [("none", np.arange(len(values)))]
    kinds += [("additive", np.flatnonzero(seasonal)), ("multiplicative", np.flatnonzero(seasonal & positive))]
    return [(kind, rows) for kind, rows in kinds if len(rows)]


def _best_on_grid(smoother: Smoother) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AICc (rows,), parameters (rows, 4) and whether there is a trend (rows,), of the best point on the grid."""
    seasonal = smoother.kind != "none"
    gammas = _GAMMAS if seasonal else (0.0,)
    flat = list(product(_ALPHAS, (0.0,), gammas, _PHIS[:1]))
    grid = np.array(flat + list(product(_ALPHAS, _BETAS, gammas, _PHIS)))
    rows = len(smoother.starts)
    trending = np.tile(np.arange(len(grid)) >= len(flat), (rows, 1))
    squares = smoother.run(np.tile(grid, (rows, 1, 1)), trending)[0]
    # Smoothing parameters, first states and the variance; a season has one free state less than it has steps.
    free = 3 + 3 * trending + (len(smoother.seasons) if seasonal else 0)
    score = _aicc(squares, (len(smoother.values) - smoother.starts)[:, None], free)
    choice = score.argmin(axis=1)
    every = np.arange(rows)
    return score[every, choice], grid[choice], trending[every, choice]


def _aicc(squares: np.ndarray, n: np.ndarray, free: np.ndarray) -> np.ndarray:
    # Errors at the size of rounding are all alike, so that of two perfect models the simpler one is chosen.
    spread = np.log(np.maximum(squares / n, 1e-28))
    left = n - free - 1
    score = n * spread + 2 * free * (1 + (free + 1) / np.maximum(left, 1))
    return np.where(np.isfinite(score) & (left > 0), score, np.inf)


def _refined(smoother: Smoother, parameters: np.ndarray, trending: np.ndarray, horizon: int) -> np.ndarray:
    """Search around `parameters` (rows, 4) and forecast (rows, horizon) with the best that was found."""
    every = np.arange(len(parameters))
    for size in _SIZES:
        moved = _moved(parameters[:, None], size * _MOVES)
        squares, level, trend, seasons = smoother.run(moved, np.repeat(trending[:, None], len(_MOVES), axis=1))
        choice = np.where(np.isfinite(squares), squares, np.inf).argmin(axis=1)
        parameters = moved[every, choice]
    states = level[every, choice], trend[every, choice], seasons[:, every, choice]
    return smoother.forecast(parameters, states, horizon)


def _moved(parameters: np.ndarray, moves: np.ndarray) -> np.ndarray:
    shares = np.clip(parameters[..., :3], 1e-4, 0.9999)
    odds = np.log(shares / (1 - shares)) + moves[..., :3]
    phi = np.clip(parameters[..., 3:] + 0.05 * moves[..., 3:], 0.8, 0.98)
    return np.concatenate([np.clip(probability(odds), 1e-4, 0.9999), phi], axis=-1)
