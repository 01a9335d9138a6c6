"""Local clocks and UTC, for whole arrays of times: what a clock change skips and what it shows twice."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from toolkit.errors import ConfigError

_DAY = 86_400
# Rules before and after are those at the edges: no file of measurements needs others.
_FIRST, _LAST = -70 * 365, 130 * 365


def to_local(utc: np.ndarray, zone: str) -> np.ndarray:
    """datetime64[us] in UTC -> what a clock in `zone` shows."""
    return utc + utc_offsets(utc, zone).astype("timedelta64[s]")


def utc_offsets(utc: np.ndarray, zone: str) -> np.ndarray:
    """(times,) int64 seconds east of UTC at datetime64[us] in UTC."""
    seconds = utc.astype("datetime64[s]").astype(np.int64)
    changes, offsets = _changes(zone, *_days(seconds))
    return offsets[np.searchsorted(changes, seconds, side="right")]


def to_utc(local: np.ndarray, zone: str, again: bool = False) -> np.ndarray:
    """What a clock in `zone` shows, datetime64[us] -> UTC.

    A time that the clock skips is read as if it had not changed yet (as PEP 495 has it), so 02:30 becomes 03:30.
    A time that it shows twice is the first one, or with `again` the second.
    """
    seconds = local.astype("datetime64[s]").astype(np.int64)
    changes, offsets = _changes(zone, *_days(seconds))
    before, after = offsets[:-1], offsets[1:]
    chosen = offsets[np.searchsorted(changes + np.maximum(before, after), seconds, side="right")]
    if again:
        second = offsets[np.searchsorted(changes + np.minimum(before, after), seconds, side="right")]
        chosen = np.minimum(chosen, second)
    return local - chosen.astype("timedelta64[s]")


def shown_twice(local: np.ndarray, zone: str) -> np.ndarray:
    """(times,) whether a clock in `zone` shows this time twice."""
    return to_utc(local, zone) != to_utc(local, zone, again=True)


def skipped(local: np.ndarray, zone: str) -> np.ndarray:
    """(times,) whether a clock in `zone` never shows this time."""
    return to_local(to_utc(local, zone), zone) != local


def require_zone(zone: str) -> None:
    """Raise a ConfigError when there is no such time zone."""
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):  # a KeyError for an unknown name; names of folders raise OSError
        mend = "Use a name such as Europe/Berlin, America/Los_Angeles or UTC."
        raise ConfigError(f"there is no time zone {zone!r}.", mend=mend) from None


def _days(seconds: np.ndarray) -> tuple[int, int]:
    """The range of days to look for clock changes in, in whole decades so that few ranges are ever computed."""
    if not len(seconds):
        return 0, 0
    first, last = int(seconds.min()) // _DAY - 2, int(seconds.max()) // _DAY + 2
    return max(first // 3650 * 3650, _FIRST), min(-(-last // 3650) * 3650, _LAST)


@lru_cache(maxsize=16)
def _changes(zone: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments of clock changes (changes,) in seconds of UTC, and the offsets before, between and after them."""
    require_zone(zone)
    info = ZoneInfo(zone)

    def offset(second: int) -> int:
        return int(datetime.fromtimestamp(second, UTC).astimezone(info).utcoffset().total_seconds())  # type: ignore

    changes: list[int] = []
    offsets = [offset(first * _DAY)]
    for day in range(first, last):
        low, high = day * _DAY, (day + 1) * _DAY
        if (new := offset(high)) != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            changes.append(high)
            offsets.append(new)
    return np.array(changes, np.int64), np.array(offsets, np.int64)
