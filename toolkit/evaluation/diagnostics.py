"""What kind of series this is: its season, its trend, its outliers. Pure functions of plain arrays.

A series is an array (time,) of float64 with NaN where a value is missing. Where a question cannot be answered, because
there are too few values or all are equal, the answer is 0 or 1 as each function says, never NaN and never an error.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SEASONS = 3  # whole seasons that a series must have before a season is believed, as in the M4 competition
LONGEST_SEASON = 1000  # steps, where the calendar tells none
NOISE = 0.05  # share of noise that may be taken for a season
FAINT = 0.1  # a smaller autocorrelation, or share of the variance, is of no use to a forecast, however sure it is
SLIGHT = 0.05  # share of what varies around the trend that is of use at horizons where the last values no longer tell
ROUNDING = 1e-18  # share of the variance that is nothing but rounding
BETTER = 0.95  # share of the error that a longer season may leave if it is to be preferred


@dataclass(frozen=True)
class Decomposition:
    """Trend + season + remainder = values, each (time,); NaN where a value is missing or the trend is not known."""

    trend: np.ndarray
    season: np.ndarray
    remainder: np.ndarray


def decompose(values: np.ndarray, season: int) -> Decomposition:
    """Classical additive decomposition: a centred moving average, then the mean of each phase of what is left.

    With season 1 the moving average takes a tenth of the series and there is no seasonal part. Missing values are
    interpolated for the trend alone.

    Reference: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 3.4.
    """
    trend = _moving_average(_filled(values), season if season > 1 else max(3, len(values) // 10))
    detrended = values - trend
    profile = phase_means(detrended, season) if season > 1 else np.zeros(1)
    seasonal = np.resize(profile - _mean(profile), len(values))
    return Decomposition(trend, np.where(np.isnan(detrended), np.nan, seasonal), detrended - seasonal)


def phase_means(values: np.ndarray, season: int) -> np.ndarray:
    """Mean of every phase (season,): the first is that of the first value. NaN where a phase has no value."""
    known = np.flatnonzero(~np.isnan(values))
    rows = np.bincount(known % season, minlength=season)
    sums = np.bincount(known % season, values[known], minlength=season)
    return np.where(rows > 0, sums / np.maximum(rows, 1), np.nan)


def seasonal_strength(values: np.ndarray, season: int) -> float:
    """Share of the detrended variance that the season explains, 0 to 1; 0 with less than three whole seasons.

        strength = max(0, 1 - var(remainder) / var(season + remainder))

    Each variance is over its degrees of freedom, n - season and n - 1; so noise has about 0 at any length, where plain
    variances give it 1 over the number of seasons.

    Reference: Wang, Smith & Hyndman 2006, Characteristic-based clustering for time series data; the same book, 4.3.
    """
    if season < 2 or np.count_nonzero(~np.isnan(values)) < SEASONS * season:
        return 0.0
    parts = decompose(_in_unit_range(values), season)
    return _explained(parts.remainder, parts.season + parts.remainder, freedom=season)


def trend_strength(values: np.ndarray, season: int = 1) -> float:
    """Share of the deseasonalised variance that the trend explains, 0 to 1; 0 for less than 12 values or three
    seasons.

        strength = max(0, 1 - var(remainder) / var(trend + remainder))

    Reference: as for `seasonal_strength`.
    """
    if np.count_nonzero(~np.isnan(values)) < max(12, SEASONS * season):
        return 0.0
    parts = decompose(_in_unit_range(values), season)
    return _explained(parts.remainder, parts.trend + parts.remainder, freedom=1)


def autocorrelation(values: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation at lags 0 to `lags`, (lags + 1,), over the pairs whose both values are known.

        r[l] = mean of x[t] x[t + l] / mean of x[t] x[t], with x = values - their mean

    0 where there is no such pair or the series is constant.
    """
    values = _in_unit_range(values)
    known = ~np.isnan(values)
    if not known.any() or _is_flat(values[known]):
        return np.zeros(lags + 1)
    x = np.where(known, values - values[known].mean(), 0.0)
    size = 1 << (len(x) + lags).bit_length()
    both = np.stack([x, known.astype(float)])
    products, pairs = np.fft.irfft(np.abs(np.fft.rfft(both, size)) ** 2, size)[:, : lags + 1]  # by the power spectrum
    pairs = np.round(pairs)
    means = np.where(pairs > 0, products / np.maximum(pairs, 1), 0.0)
    return means / means[0]


def choose_season(series: np.ndarray | Sequence[np.ndarray], candidates: Sequence[int], *, searched: int = 1) -> int:
    """The season among `candidates` that the series, or most of several series, really have; 1 when there is none.

    A season m is real in a series of at least three of them when the means of its phases differ by more than noise: the
    F-test in a regression on a line and the last two values, which take up slow waves, random walks and swings, at a
    level of 5 % divided by how many seasons were tried (Bonferroni); and when they explain a tenth of what the line and
    the last values leave, or a twentieth of what varies around the trend. In a series without any noise it is real when
    the autocorrelation at lag m, after a moving average over m steps is taken away, stands 0.1 above its lowest at
    shorter lags.

    Of several real seasons, the one with the least seasonal naive error is chosen, mean |y[t] - y[t - m]|; a longer one
    only when its error is at least 5 % smaller. Over several series, a season must be real in half of those that
    have three of the shortest candidate, and errors are taken relative to that of the shortest.

    Args:
        searched: lags that the candidates are the best of; 1 where they were known beforehand.
    """
    several = _several(series)
    lengths = sorted({int(each) for each in candidates if each > 1})
    usable = [each for each in several if lengths and _can_have(each, lengths[0])]
    if not usable:
        return 1
    best, least, tests = 1, math.inf, max(searched, len(lengths))
    for season in lengths:
        if sum(_has_season(each, season, tests) for each in usable) * 2 < len(usable):
            continue
        error = _relative_error(usable, season, lengths[0])
        if error < least * BETTER:
            best, least = season, error
    return best


def search_season(series: np.ndarray | Sequence[np.ndarray]) -> int:
    """The season that the series, or most of several series, have where no calendar tells; 1 when there is none."""
    return choose_season(series, season_candidates(series), searched=max(_lags(_several(series)), 1))


def season_candidates(series: np.ndarray | Sequence[np.ndarray]) -> tuple[int, ...]:
    """Season lengths to try where the calendar tells none: peaks of the autocorrelation, at most three, shortest first.

    A lag below a third of the longest series (and below 1,000) is a peak when it has the highest autocorrelation
    within a quarter of itself, above 0.1, in the mean over all series of at least three such lags, each without its
    straight line. Of peaks that are as high as each other but for noise, the shorter are kept: the multiples of a
    season are no news.
    """
    several = _several(series)
    lags = _lags(several)
    if lags < 2:
        return ()
    total, rows = np.zeros(lags + 1), np.zeros(lags + 1)
    for each in several:
        reach = min(len(each) // SEASONS, lags)
        if _can_have(each, 2):
            total[: reach + 1] += autocorrelation(_without_line(each), reach)
            rows[: reach + 1] += 1
    mean = total / np.maximum(rows, 1)
    peaks = [lag for lag in range(2, lags) if mean[lag] > FAINT and _is_peak(mean, lag)]
    noise = 2 / max(sum(map(len, several)), 1) ** 0.5
    kept: list[int] = []
    while peaks and len(kept) < 3:
        highest = max(mean[lag] for lag in peaks)
        best = next(lag for lag in peaks if mean[lag] >= highest - noise)
        kept.append(best)
        peaks = [lag for lag in peaks if lag != best and (lag < best or abs(lag - best * round(lag / best)) > 1)]
    return tuple(sorted(kept))


def _lags(series: Sequence[np.ndarray]) -> int:
    """How many lags are looked at for a season: each fits into the longest series three times."""
    return min(max(map(len, series), default=0) // SEASONS, LONGEST_SEASON)


def outliers(values: np.ndarray, season: int = 1) -> np.ndarray:
    """Flags (time,) of values that stand alone, far from those around them; none for less than 12 values.

    What is left of the values after the median of each phase and a running median over 7 steps is an outlier when it is
    further from 0 than twice the range of its middle 90 %: 6.6 standard deviations of a normal distribution, while
    quartiles would call every peak of rain or traffic one. No value is one where that range is 0.
    """
    from scipy.ndimage import median_filter

    values = _in_unit_range(values)
    known = ~np.isnan(values)
    if known.sum() < 12:
        return np.zeros(len(values), bool)
    rest = values - _phase_medians(values, season) if season > 1 else values
    rest = rest - median_filter(_filled(rest), 7, mode="mirror")
    low, high = np.quantile(rest[known], (0.05, 0.95))
    spread = float(high - low)
    return known & (np.abs(rest) > 2 * spread) & (spread > 1e-9 * np.abs(values[known]).max())


def _several(series: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    if isinstance(series, np.ndarray) and series.ndim == 1:
        return [_in_unit_range(series)]
    return [_in_unit_range(np.asarray(each)) for each in series]


def _in_unit_range(values: np.ndarray) -> np.ndarray:
    """Values over the greatest of their sizes: the squares of very large ones would be too large to write."""
    largest = np.nanmax(np.abs(values), initial=0.0) if len(values) else 0.0
    return values / largest if largest > 0 else values


def _can_have(values: np.ndarray, season: int) -> bool:
    known = values[~np.isnan(values)]
    return len(known) >= SEASONS * season and not _is_flat(known)


def _has_season(values: np.ndarray, season: int, tests: int) -> bool:
    if not _can_have(values, season):
        return False
    rest = values - _moving_average(_filled(values), season)
    if _is_rounding(rest, values):
        return False
    if found := _season_of_phases(values, season):
        probability, share = found
        return probability < NOISE / tests and (share > FAINT or seasonal_strength(values, season) > SLIGHT)
    r = autocorrelation(rest, season)
    return bool(r[season] > FAINT and r[season] - r[1:season].min() > FAINT)


def _season_of_phases(values: np.ndarray, season: int) -> tuple[float, float] | None:
    """The probability of phases that differ as much where there is no season, and the share of the variance that they
    explain, each mean at its cost; 1 and 0 where there is too little to tell. None of a series without any noise.

    The F-test of the means of the phases in a regression on a line and the last two values, which take up what a slow
    wave, a random walk or a swing from one value to the next would lend to a season. (Of seasons below 6 steps the last
    value alone: two would take up the season too.)
    """
    from scipy.special import fdtrc

    time, known = np.arange(len(values)), np.flatnonzero(~np.isnan(values))
    # What is missing is as the last known value, for a value between two known ones would hold the next one.
    filled = values[known[np.maximum(np.searchsorted(known, time, side="right") - 1, 0)]]
    lags = [np.roll(filled, lag) for lag in range(1, 2 if season < 6 else 3)]
    columns = np.stack([values, time / len(values), *lags], axis=1)[2:]
    there = ~np.isnan(columns[:, 0]) & (time[2:] > known[0])
    columns, (phases, phase) = columns[there], np.unique(time[2:][there] % season, return_inverse=True)
    freedom = len(columns) - len(phases) - columns.shape[1] + 1
    if freedom < 3 or len(phases) < 2:
        return 1.0, 0.0
    sums = np.stack([np.bincount(phase, column) for column in columns.T], axis=1)
    within = columns - (sums / np.bincount(phase)[:, None])[phase]  # as with a mean of its own for each phase
    whole, parts = (_left(centred) for centred in (columns - columns.mean(axis=0), within))
    if whole <= ROUNDING * len(columns) * float(columns[:, 0].var()):
        return None
    means = len(phases) - 1
    share = 1 - parts / freedom / (whole / (freedom + means))
    return float(fdtrc(means, freedom, (whole - parts) / means / max(parts / freedom, 1e-300))), share


def _left(columns: np.ndarray) -> float:
    """The squares that the first column leaves when the others are fitted to it."""
    fitted, *_ = np.linalg.lstsq(columns[:, 1:], columns[:, 0], rcond=None)
    return float(((columns[:, 0] - columns[:, 1:] @ fitted) ** 2).sum())


def _relative_error(series: Sequence[np.ndarray], season: int, shortest: int) -> float:
    """Mean over the series of their seasonal naive error, relative to that of the shortest candidate.

    Both are over the same steps.
    """
    ratios = []
    for values in series:
        if _can_have(values, season):
            own = _mean(np.abs(values[season:] - values[:-season]))
            first = _mean(np.abs(values[season:] - values[season - shortest : -shortest]))
            ratios.append(1.0 if own == first else own / max(first, 1e-300))
    return min(_mean(np.array(ratios)), 1e300)


def _is_peak(r: np.ndarray, lag: int) -> bool:
    around = max(1, lag // 4)
    return bool(r[lag] >= r[max(1, lag - around) : lag + around + 1].max())


def _without_line(values: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(values))
    slope, level = np.polyfit(known - known.mean(), values[known], 1)
    return values - (level + slope * (np.arange(len(values)) - known.mean()))


def _filled(values: np.ndarray) -> np.ndarray:
    """Missing values interpolated, those at the ends the nearest known one; all 0 where none is known."""
    known = np.flatnonzero(~np.isnan(values))
    return np.interp(np.arange(len(values)), known, values[known]) if len(known) else np.zeros(len(values))


def _moving_average(values: np.ndarray, window: int) -> np.ndarray:
    """Centred mean of `window` steps, of an even number with half weight at both ends; NaN where it does not fit."""
    average = np.full(len(values), np.nan)
    if len(values) < window + (window + 1) % 2:
        return average
    level = values.mean()  # taken away first, for a running sum of large numbers loses digits
    sums = np.concatenate([[0.0], np.cumsum(values - level)])
    means = (sums[window:] - sums[:-window]) / window + level
    means = (means[1:] + means[:-1]) / 2 if window % 2 == 0 else means
    average[window // 2 : window // 2 + len(means)] = means
    return average


def _phase_medians(values: np.ndarray, season: int) -> np.ndarray:
    whole = np.append(values, np.full(-len(values) % season, np.nan)).reshape(-1, season)
    with warnings.catch_warnings(action="ignore"):  # of a phase without a value
        medians = np.nanmedian(whole, axis=0)
    return np.resize(np.where(np.isnan(medians), 0.0, medians), len(values))


def _explained(rest: np.ndarray, whole: np.ndarray, freedom: int) -> float:
    """1 - variance of the rest over that of the whole, by their degrees of freedom; 0 where there is no variance."""
    rows = np.count_nonzero(~np.isnan(whole))
    if rows <= freedom or _is_rounding(whole, whole):
        return 0.0
    left, total = np.nanvar(rest, ddof=freedom), np.nanvar(whole, ddof=1)
    return float(min(max(0.0, 1 - left / total), 1.0)) if total > 0 else 0.0


def _is_flat(known: np.ndarray) -> bool:
    return bool(np.ptp(known) <= 1e-12 * np.abs(known).max())


def _is_rounding(rest: np.ndarray, values: np.ndarray) -> bool:
    """Whether what is left is nothing but the rounding of the values."""
    known = rest[~np.isnan(rest)]
    return not len(known) or bool(np.ptp(known) <= 1e-9 * np.nanmax(np.abs(values)))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
