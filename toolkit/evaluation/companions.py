"""The simple forecasting methods that always stand beside a network, for all rows at once.

All take history (rows, time), with NaN where a value is missing and before the first value of a row, a horizon in steps
and the length of a season in steps (1: none), and give forecasts (rows, horizon). A row forecasts the same whatever its
neighbours and however long its padding is. A row without a value gives NaN, every other row gives numbers. Gaps are
filled by the rule of `histories.fill_gaps`; naive and drift need no filling.
"""

import numpy as np

from toolkit.evaluation.decomposition import adjusted, is_seasonal, season_of, with_season
from toolkit.evaluation.ets import ets
from toolkit.evaluation.exponential_smoothing import smooth
from toolkit.evaluation.histories import Forecaster, by_rows, fill_gaps, starts_of

_PROFILE_SEASONS, _LEVEL_SEASONS = 7, 28


@by_rows
def naive(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last known value."""
    last = _last(history)
    return np.repeat(history[np.arange(len(last)), last][:, None], horizon, axis=1)


@by_rows
def seasonal_naive(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last season over and over; the last known value where a row is shorter than a season."""
    short = history.shape[1] - starts_of(history) < season
    forecasts = naive(history, horizon, season)
    if not short.all():
        values = fill_gaps(history[~short], season)
        forecasts[~short] = values[:, values.shape[1] - season + np.arange(horizon) % season]
    return forecasts


@by_rows
def drift(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The line from the first known value through the last one; level for a row of one value."""
    every, first, last = np.arange(len(history)), starts_of(history), _last(history)
    value = history[every, last]
    slope = (value - history[every, first]) / np.maximum(last - first, 1)
    steps = history.shape[1] - last[:, None] + np.arange(horizon)
    return value[:, None] + slope[:, None] * steps


@by_rows
def seasonal_profile(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The mean season of the last seven, on the level that exponential smoothing of the last 28 season means gives.

        profile[j] = mean over k of (y[k, j] - mean of season k)        k: the last 7 whole seasons, or fewer
        forecast   = smoothed mean of a season + profile

    With hourly values and a season of 24 it is the usual day of the last week, moved to the level of the last days; how
    fast the level follows is found for each row. A row shorter than a season counts as one without a season: its
    forecast is the smoothed level of its values.
    """
    forecasts = np.empty((len(history), horizon))
    short = history.shape[1] - starts_of(history) < season
    for rows, length in ((short, 1), (~short, season)):
        if rows.any():
            values = fill_gaps(history[rows], season)
            count = values.shape[1] // length
            seasons = values[:, values.shape[1] - count * length :].reshape(len(values), count, length)
            means = seasons.mean(axis=2)  # NaN where a row has not that many seasons
            profile = np.nanmean((seasons - means[..., None])[:, -_PROFILE_SEASONS:], axis=1)
            forecasts[rows] = smooth(means[:, -_LEVEL_SEASONS:])[:, None] + profile[:, np.arange(horizon) % length]
    return forecasts


@by_rows
def naive2(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The naive method on seasonally adjusted values: the benchmark that OWA is relative to.

    The season is taken out where the test of `decomposition.is_seasonal` finds one, as a factor where all values of
    the row are positive (as all are in M4) and as a sum elsewhere.

    Reference: Makridakis et al. 2020, The M4 Competition, table 2 and the published R code
    """
    values, figure, multiplicative = _without_season(history, season)
    last = np.repeat(values[:, -1:], horizon, axis=1)
    return with_season(last, figure, multiplicative)


@by_rows
def theta(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The Theta method with lines 0 and 2 on seasonally adjusted values.

        line 0   = a + b t, fitted by least squares                  (continued as a line)
        line 2   = 2 y - line 0                                      (continued by simple exponential smoothing)
        forecast = (line 0 + line 2) / 2

    The season is taken out as in `naive2`. A row that was never negative gets no negative forecast, as in M4.

    Reference: Assimakopoulos & Nikolopoulos 2000, International Journal of Forecasting 16; Hyndman & Billah 2003
    """
    values, figure, multiplicative = _without_season(history, season)
    level, slope = _line(values)
    steps = np.arange(1 - values.shape[1], horizon + 1)
    line = level[:, None] + slope[:, None] * steps
    past, ahead = line[:, : values.shape[1]], line[:, values.shape[1] :]
    adjusted_forecasts = (ahead + smooth(2 * values - past)[:, None]) / 2
    forecasts = with_season(adjusted_forecasts, figure, multiplicative)
    never_negative = np.where(np.isfinite(history), history, 0).min(axis=1) >= 0
    return np.where(never_negative[:, None], np.maximum(forecasts, 0), forecasts)


COMPANIONS: dict[str, Forecaster] = {
    "naive": naive,
    "seasonal_naive": seasonal_naive,
    "drift": drift,
    "seasonal_profile": seasonal_profile,
    "theta": theta,
    "ets": ets,
}


def _last(history: np.ndarray) -> np.ndarray:
    """The position of the last known value of each row."""
    return history.shape[1] - 1 - np.isfinite(history)[:, ::-1].argmax(axis=1)


def _without_season(history: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adjusted values (rows, time), the figure (rows, season) to add or multiply again, and where to multiply."""
    values = fill_gaps(history, season)
    starts = starts_of(values)
    seasonal = is_seasonal(values, starts, season)
    multiplicative = seasonal & (np.where(np.isfinite(values), values, np.inf).min(axis=1) > 0)
    figure = np.zeros((len(values), season))
    if seasonal.any():
        figure[seasonal] = season_of(values[seasonal], starts[seasonal], season, multiplicative[seasonal])
    return adjusted(values, figure, multiplicative), figure, multiplicative


def _line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least-squares line of each row: its value at the last step and its slope (rows,)."""
    inside = np.isfinite(values)
    n = inside.sum(axis=1)
    # Steps of a row count from its own middle, so that they and the values need no further centring.
    steps = np.where(inside, np.arange(1 - values.shape[1], 1) + (n[:, None] - 1) / 2, 0)
    mean = np.nanmean(values, axis=1)
    slope = (steps * np.nan_to_num(values)).sum(axis=1) / np.maximum((steps**2).sum(axis=1), 1)
    return mean + slope * (n - 1) / 2, slope
