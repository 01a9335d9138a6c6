"""Which regular grid a set of times lies on."""

from dataclasses import replace

import numpy as np

from toolkit.data.frequency import DAY, Frequency
from toolkit.errors import DataError

_MICRO = 1_000_000
_CANDIDATES = 4
# So many days that none of them is on a weekend by chance: (5/7) ** 14 is under 0.01.
_MANY = 14


def infer_frequency(times: np.ndarray, offsets: np.ndarray, points: np.ndarray | None = None) -> Frequency:
    """The grid of the most common step, over all series together.

    - About a month or more, on one day of the month, its last, or one day of every month: months.
    - A day, no time on a weekend though some are passed over: business days.
    - Where times fall between the points of the most common step and another common one has them all, that one.
    - Else the most common step, from where most times lie; some are off the grid then.

    Args:
        times: (rows,) datetime64[us] or int64, ascending inside every series, repeats allowed.
        offsets: (series + 1,) where the series begin.
        points: the distinct times, where they are known already.

    Raises:
        DataError: no series has two different times, or they lie less than a second apart.
    """
    points = np.unique(times) if points is None else points
    gaps = _gaps(times, offsets).astype(np.int64)
    sizes, counts = np.unique(gaps[gaps > 0], return_counts=True)
    if not len(sizes):
        mend = "Set the frequency in a config, such as h, D, W-SUN or MS."
        raise DataError("no series has two different times, so nothing tells the frequency.", mend=mend)
    common = sizes[np.argsort(-counts, kind="stable")][:_CANDIDATES].tolist()
    if times.dtype.kind != "M":
        return _best([Frequency("integer", step) for step in common], points)
    first = common[0]
    steps = [step // _MICRO for step in common if step % _MICRO == 0]
    if not steps:
        raise DataError(f"times lie {first / _MICRO:g} seconds apart; steps under a second are not supported.")
    if first >= 27 * DAY * _MICRO:
        months = _months(points, _gaps(times.astype("datetime64[M]"), offsets)[gaps > 0], counts.max() / counts.sum())
        if months:
            return months
    if first == DAY * _MICRO and _leaves_weekends_out(points, sizes):
        return _best([Frequency("business_day", 1)], points)
    return _best([Frequency("second", step) for step in steps], points)


def _gaps(times: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Differences between neighbours inside a series."""
    inside = np.ones(max(len(times) - 1, 0), bool)
    inside[offsets[(offsets > 0) & (offsets < len(times))] - 1] = False
    return np.diff(times)[inside]


def _best(candidates: list[Frequency], times: np.ndarray) -> Frequency:
    """The first candidate that has all times on one grid, else the first of all, from where most times lie."""
    found = (aligned(candidate, times) for candidate in candidates)
    whole = next((frequency for frequency in found if frequency), None)
    return whole or replace(candidates[0], phase=_common(candidates[0].units(times) % candidates[0].step))


def aligned(frequency: Frequency, times: np.ndarray) -> Frequency | None:
    """The same steps with the phase (and the day of the month) that all `times` share; None when they share none."""
    if frequency.unit == "second" and (times != times.astype("datetime64[s]")).any():
        return None
    if frequency.unit == "business_day" and not np.is_busday(times.astype("datetime64[D]")).all():
        return None
    if frequency.unit == "month":
        frequency = replace(frequency, day=_day_of_month(times) or frequency.day)
    phases = frequency.units(times) % frequency.step
    if not len(phases) or (phases != phases[0]).any():
        return None
    return replace(frequency, phase=int(phases[0]))


def _months(times: np.ndarray, gaps: np.ndarray, regular: float) -> Frequency | None:
    """A grid of months, or None: steps of 28 or 30 days fall on different days of the month.

    Args:
        times: the distinct times.
        gaps: (gaps,) timedelta64[M] between the months of neighbours.
        regular: the share of the most common gap in days.
    """
    months = gaps.astype(np.int64)
    if (months == 0).any():
        return None
    day = _day_of_month(times)
    if not day:
        # One day of every month, such as its last business day, varies; a fixed number of days does not.
        if regular > 0.9:
            return None
        days = (times.astype("datetime64[D]") - times.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
        if (days >= 24).all():
            day = 31
        elif (days <= 6).all():
            day = 1
        else:
            return None
    return _best([Frequency("month", step, day=day) for step in (_common(months), 1)], times)


def _leaves_weekends_out(times: np.ndarray, gaps: np.ndarray) -> bool:
    """Whether no time lies on a weekend while some are passed over: only weekends, or many times tell it."""
    weekend = 3 * DAY * _MICRO
    told = gaps.max() == weekend or (gaps.max() > weekend and len(times) >= _MANY)
    return bool(told and np.is_busday(times.astype("datetime64[D]")).all())


def _day_of_month(times: np.ndarray) -> int:
    """The day that all times have, 31 when it is the last of every month, 0 when they have none in common."""
    first = times.astype("datetime64[M]").astype("datetime64[D]")
    days = (times.astype("datetime64[D]") - first).astype(np.int64) + 1
    last = ((times.astype("datetime64[M]") + 1).astype("datetime64[D]") - first).astype(np.int64)
    if (days == last).all():
        return 31
    top = int(days.max(initial=0))
    return top if (days == np.minimum(top, last)).all() else 0


def _common(numbers: np.ndarray) -> int:
    sizes, counts = np.unique(numbers, return_counts=True)
    return int(sizes[np.argmax(counts)])
