"""Is a season there, and what does it look like: the test and the decomposition that the M4 competition used.

Shapes: values (rows, time) without gaps, NaN before starts (rows,), the position of each row's first value.
Reference: Makridakis et al. 2020, The M4 Competition, with its published R code (SeasonalityTest, decompose)
"""

import numpy as np


def is_seasonal(values: np.ndarray, starts: np.ndarray, season: int) -> np.ndarray:
    """Whether each row (rows,) has a season: three of them at least, and an autocorrelation that is no accident.

    |r[season]| > 1.645 sqrt((1 + 2 (r[1]^2 + ... + r[season - 1]^2)) / n)        (90 %, Bartlett's formula)
    """
    n = values.shape[1] - starts
    long = n >= 3 * season
    if season <= 1 or not long.any():
        return np.zeros(len(values), dtype=bool)
    inside = np.isfinite(values)
    centred = np.where(inside, values - np.nanmean(values, axis=1, keepdims=True), 0)
    size = 1 << (values.shape[1] + season).bit_length()  # room enough that no lag wraps around
    spectrum = np.fft.rfft(centred, size, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=1)[:, : season + 1]
    correlation = covariance[:, 1:] / np.where(covariance[:, :1] > 0, covariance[:, :1], np.inf)
    limit = 1.645 * np.sqrt((1 + 2 * (correlation[:, :-1] ** 2).sum(axis=1)) / n)
    return long & (np.abs(correlation[:, -1]) > limit)


def season_of(values: np.ndarray, starts: np.ndarray, season: int, multiplicative: np.ndarray) -> np.ndarray:
    """The classical seasonal figure of each row.

        trend[t]  = centred moving average over one season
        figure[j] = mean over the seasons of values / trend (multiplicative) or values - trend (additive), made to
                    average 1 or 0

    A row of less than two seasons has none: its figure is all 1 or all 0.

    Args:
        multiplicative: which rows (rows,) have a season that is a factor; all their values must be positive.

    Returns: figure (rows, season), where figure[:, h % season] is that of step h after the end.
    """
    rows, time = values.shape
    inside = np.isfinite(values)
    lowest = np.where(inside, values, np.inf).min(axis=1, keepdims=True)
    factor = multiplicative[:, None]
    trend = _moving_average(np.where(inside, values, 0), season)
    # No mean of positive numbers is below the least of them, whatever the rounding of the sums.
    ratio = values / np.where(factor, np.maximum(trend, lowest), 1)
    detrended = np.where(factor, ratio, values - trend)
    first = starts[:, None] + season // 2
    position = np.arange(time)
    within = (position >= first) & (position < time - season // 2) & (time - starts[:, None] >= 2 * season)
    pad = ((0, 0), (-time % season, 0))
    total, count = (
        np.pad(part, pad).reshape(rows, -1, season).sum(axis=1) for part in (np.where(within, detrended, 0), within)
    )
    figure = np.where(count > 0, total / np.maximum(count, 1), factor)
    mean = figure.mean(axis=1, keepdims=True)
    return np.where(factor, figure / np.where(factor, mean, 1), figure - mean)


def _moving_average(values: np.ndarray, season: int) -> np.ndarray:
    """Centred over one season; the two ends count half when the season is even. Right only where it is all inside."""
    half = season // 2
    sums = np.pad(values, ((0, 0), (half + 1, half))).cumsum(axis=1)
    width = 2 * half + 1
    full = sums[:, width:] - sums[:, :-width]
    if season % 2:
        return full / season
    ends = np.pad(values, ((0, 0), (half, half)))
    return (full - 0.5 * ends[:, : -2 * half] - 0.5 * ends[:, 2 * half :]) / season


def adjusted(values: np.ndarray, figure: np.ndarray, multiplicative: np.ndarray) -> np.ndarray:
    """Values (rows, time) without the season that `season_of` found."""
    aligned = figure[:, np.arange(-values.shape[1], 0) % figure.shape[1]]
    factor = multiplicative[:, None]
    return np.where(factor, values / np.where(factor, aligned, 1), values - aligned)


def with_season(forecasts: np.ndarray, figure: np.ndarray, multiplicative: np.ndarray) -> np.ndarray:
    """Forecasts (rows, horizon) of adjusted values with their season again."""
    ahead = figure[:, np.arange(forecasts.shape[1]) % figure.shape[1]]
    return np.where(multiplicative[:, None], forecasts * ahead, forecasts + ahead)
