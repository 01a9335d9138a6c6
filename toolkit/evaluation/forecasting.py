"""Forecast metrics as pure functions of plain arrays.

Conventions:

- A row is one forecast situation; `y` and `forecast` are (rows, horizon). NaN in `y` is not scored, which is also how a
  row shorter than the horizon is written.
- A metric of rows returns one number a row, (rows,), and NaN for a row that has nothing to score. A forecast that is
  missing where `y` is known is never skipped: it makes its row NaN, and `score` refuses it.
- Fractions from 0 to 1, but for sMAPE, which goes from 0 to 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A difference this small beside the values themselves is what rounding leaves of a constant series.
_ROUNDING = 1e-12
_BELIEVED = 20  # equal values in a row, after which nobody expects another one


def mse(y: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Mean squared error of every row (rows,)."""
    return _row_mean((y - forecast) ** 2, y)


def mae(y: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Mean absolute error of every row (rows,)."""
    return _row_mean(abs(y - forecast), y)


def smape(y: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Symmetric mean absolute percentage error of every row (rows,), from 0 to 2; M4 shows it times 100.

        mean over steps of 2 |y - f| / (|y| + |f|), where 0/0 is 0

    Reference: Makridakis et al. 2020, doi:10.1016/j.ijforecast.2019.04.014 (the M4 competition)
    """
    size = abs(y) + abs(forecast)
    return _row_mean(2 * abs(y - forecast) / np.where(size == 0, 1, size), y)


def mase(y: np.ndarray, forecast: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Mean absolute scaled error (rows,): `mae` in units of `scale` (rows,), see `naive_scale`.

    Reference: Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001
    """
    return mae(y, forecast) / scale


def msse(y: np.ndarray, forecast: np.ndarray, squared_scale: np.ndarray) -> np.ndarray:
    """Mean squared scaled error (rows,): `mse` in units of `squared_scale` (rows,), see `naive_scale` with `squared`.

    Its root is the RMSSE. `score` takes that of the mean over rows, which a forecast of means makes least; a mean of
    roots would reward medians where a row has few steps.
    Reference: Makridakis et al. 2022, doi:10.1016/j.ijforecast.2021.11.013 (the M5 competition: season 1, and the root
    of each series for itself)
    """
    return mse(y, forecast) / squared_scale


def coverage(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Share of the scored steps of every row that lie between the bounds (rows,); a bound counts as inside."""
    return _row_mean((lower <= y) & (y <= upper), y)


def width(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Mean width of the interval of every row (rows,), over the steps whose `lower` is not NaN."""
    return _row_mean(upper - lower, lower)


def pinball(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Pinball loss of every row (rows,), a mean over steps and levels t.

        loss = t (y - q) where y is above q, else (1 - t) (q - y)

    Args:
        quantiles: q (rows, horizon, levels).

    Reference: Koenker & Bassett 1978, doi:10.2307/1913643
    """
    total = np.zeros(y.shape)
    for place, level in enumerate(levels):  # one level at a time: all at once take many times the memory of `y`
        error = y - quantiles[..., place]
        total += np.maximum(level * error, (level - 1) * error)
    return _row_mean(total / len(levels), y)


def wql(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], group: np.ndarray, groups: int) -> np.ndarray:
    """Weighted quantile loss of groups of rows (groups,): mean over levels of 2 sum(pinball) / sum(|y|), the sums over
    all scored values.

    NaN where sum(|y|) is 0. It is a relative error, in which large series weigh most.
    References: Salinas et al. 2020, arXiv:1704.04110 (its rho-risk, one for each level); Alexandrov et al. 2020,
    arXiv:1906.05264 (its mean_wQuantileLoss)
    """
    known = (~np.isnan(y)).sum(axis=1)
    loss = np.where(known > 0, pinball(y, quantiles, levels) * known, 0)
    return _ratio(2 * np.bincount(group, loss, groups), np.bincount(group, np.nansum(abs(y), axis=1), groups))


def owa(smape: np.ndarray, mase: np.ndarray, naive2_smape: np.ndarray, naive2_mase: np.ndarray) -> np.ndarray:
    """Overall weighted average: the mean of sMAPE and MASE, each relative to the Naive2 forecast.

    The arguments are means over all series, of any number of groups (groups,). NaN where Naive2 makes no error, up to
    rounding.
    Reference: Makridakis et al. 2020, doi:10.1016/j.ijforecast.2019.04.014 (the M4 competition)
    """
    found = (_ratio(smape, naive2_smape) + _ratio(mase, naive2_mase)) / 2
    return np.where(naive2_smape > _ROUNDING, found, np.nan)


def naive_scale(history: np.ndarray, season: int, *, squared: bool = False) -> np.ndarray:
    """Mean error (rows,) that repeating the value of one season before made in the history itself; always above 0.

        scale = mean over t of |x[t] - x[t - season]|, or of its square; only pairs of known values count

    A row that has no such pair, or whose pairs are all equal (a constant series, up to rounding), takes the first of
    these that is above 0: the same with season 1, the mean of |x| (squared: of x^2), 1.

    Args:
        history: x (rows, time), what was known before the cutoff; NaN for left padding and for gaps.
        season: steps, 1 or more.
    """
    power = 2 if squared else 1
    size = _row_mean(abs(history) ** power, history)
    scale = np.full(len(history), np.nan)
    for lag in (season, 1):
        change = history[:, lag:] - history[:, :-lag]
        found = _row_mean(abs(change) ** power, change)
        scale = np.where(np.isnan(scale) & (found > size * _ROUNDING**power), found, scale)
    return np.where(np.isnan(scale), np.where(size > 0, size, 1.0), scale)


def never_changed(history: np.ndarray) -> np.ndarray:
    """(rows,) whether all known values (rows, time) are the same up to rounding, and so many that they will stay so."""
    known = ~np.isnan(history)
    low = np.where(known, history, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, history, -np.inf).max(axis=1, initial=-np.inf)
    return (known.sum(axis=1) >= _BELIEVED) & (high - low <= _ROUNDING * np.maximum(abs(low), abs(high)))


@dataclass(frozen=True)
class Truth:
    """What forecasts are scored against.

    Attributes:
        y: what came (rows, horizon); NaN where it is not known.
        scale: (rows,), see `naive_scale`.
        squared_scale: (rows,), the same with `squared`.
        naive2: the forecast that OWA is relative to (rows, horizon).
    """

    y: np.ndarray
    scale: np.ndarray
    squared_scale: np.ndarray
    naive2: np.ndarray


def score(
    truth: Truth, forecast: np.ndarray, quantiles: np.ndarray | None = None, levels: Sequence[float] = ()
) -> dict[str, float]:
    """All metrics by their names in report.json, means over the rows that have something to score.

        mse, mae, mase, smape, owa
        rmsse                       the root of the mean of `msse`
        wql                         with quantiles
        coverage_80, width_80       for levels .1 and .9, and likewise for every other pair of levels t and 1 - t;
                                    a width is in the units of `y`

    With one row a series this is how the M4 competition averages. A metric that is not defined is left out: wql where
    every `y` is 0, owa where Naive2 makes no error, all of them where nothing is scored.

    Args:
        forecast: (rows, horizon).
        quantiles: (rows, horizon, levels).

    Raises: ValueError when a forecast or a quantile is missing or infinite where `y` is known.
    """
    one = np.zeros(len(truth.y), dtype=int)
    scores = _scores(truth, forecast, quantiles, levels, (one, 1))
    return {name: float(value[0]) for name, value in scores.items() if np.isfinite(value[0])}


def score_series(
    truth: Truth,
    forecast: np.ndarray,
    series: np.ndarray,
    quantiles: np.ndarray | None = None,
    levels: Sequence[float] = (),
) -> dict[str, np.ndarray]:
    """The metrics of `score` for every series (series,), NaN where one is not defined.

    Args:
        series: the index from 0 of the series that each row belongs to (rows,).
    """
    return _scores(truth, forecast, quantiles, levels, (series, int(series.max(initial=-1)) + 1))


def score_steps(
    truth: Truth, forecast: np.ndarray, quantiles: np.ndarray | None = None, levels: Sequence[float] = ()
) -> dict[str, np.ndarray]:
    """The metrics of `score` for every step of the horizon (horizon,), as if each step had been a row of its own."""
    rows, horizon = truth.y.shape
    flat = Truth(
        truth.y.reshape(-1, 1),
        truth.scale.repeat(horizon),
        truth.squared_scale.repeat(horizon),
        truth.naive2.reshape(-1, 1),
    )
    flat_quantiles = None if quantiles is None else quantiles.reshape(rows * horizon, 1, -1)
    step = np.tile(np.arange(horizon), rows)
    return _scores(flat, forecast.reshape(-1, 1), flat_quantiles, levels, (step, horizon))


def _scores(
    truth: Truth,
    forecast: np.ndarray,
    quantiles: np.ndarray | None,
    levels: Sequence[float],
    groups: tuple[np.ndarray, int],
) -> dict[str, np.ndarray]:
    """Means over groups of rows; `groups` is the group of every row (rows,) and how many there are."""
    y = truth.y
    for values in (forecast, quantiles):
        if values is not None and not np.isfinite(values[~np.isnan(y)]).all():
            raise ValueError("A forecast is missing or infinite where the truth is known; leave such rows out for all.")

    def mean(rows: np.ndarray) -> np.ndarray:
        return _group_mean(rows, y, *groups)

    scores = {
        "mse": mean(mse(y, forecast)),
        "mae": mean(mae(y, forecast)),
        "mase": mean(mase(y, forecast, truth.scale)),
        "smape": mean(smape(y, forecast)),
        "rmsse": np.sqrt(mean(msse(y, forecast, truth.squared_scale))),
    }
    naive2 = mean(smape(y, truth.naive2)), mean(mase(y, truth.naive2, truth.scale))
    scores["owa"] = owa(scores["smape"], scores["mase"], *naive2)
    if quantiles is not None:
        scores["wql"] = wql(y, quantiles, levels, *groups)
        for percent, low, high in _intervals(levels):
            lower, upper = (np.where(np.isnan(y), np.nan, quantiles[..., place]) for place in (low, high))
            scores[f"coverage_{percent}"] = mean(coverage(y, lower, upper))
            scores[f"width_{percent}"] = mean(width(lower, upper))
    return scores


def _intervals(levels: Sequence[float]) -> list[tuple[str, int, int]]:
    """Every central interval as (percent, place of its lower level, place of its upper level)."""
    return [
        (f"{round(100 * (levels[high] - levels[low]), 6):g}", low, high)
        for low in range(len(levels))
        for high in range(low + 1, len(levels))
        if abs(levels[low] + levels[high] - 1) < 1e-9
    ]


def _group_mean(values: np.ndarray, y: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    scored = ~np.isnan(y).all(axis=1)
    return _ratio(np.bincount(group[scored], values[scored], groups), np.bincount(group[scored], minlength=groups))


def _row_mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of every row (rows,) over the steps where `known` is not NaN."""
    scored = ~np.isnan(known)
    return _ratio(np.where(scored, values, 0).sum(axis=1, dtype=np.float64), scored.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Element-wise part / whole, and NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
