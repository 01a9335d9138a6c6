"""Where a time stands in the day, the week, the month and the year, and whether it is a holiday."""

from typing import Literal

import numpy as np

from toolkit.errors import ConfigError

Cycle = Literal["hour", "weekday", "monthday", "yearday", "month"]
SHORT: tuple[Cycle, ...] = ("hour", "weekday")  # seen often in any table that is worth forecasting


def cycles(times: np.ndarray, names: tuple[Cycle, ...]) -> dict[str, np.ndarray]:
    """Sine and cosine of the place in every cycle, as `hour_sin`, `hour_cos`, ...

    Args:
        times: (steps,) datetime64[us], as local clocks show them.
        names: among hour (of the day), weekday, monthday, yearday and month (of the year).

    Returns:
        name -> (steps,) float64 in [-1, 1].
    """
    features = {}
    for name in names:
        angle = 2 * np.pi * _fraction(times, name)
        features[f"{name}_sin"], features[f"{name}_cos"] = np.sin(angle), np.cos(angle)
    return features


def _fraction(times: np.ndarray, name: Cycle) -> np.ndarray:
    """How much of the cycle has passed, in [0, 1)."""
    days = times.astype("datetime64[D]")
    match name:
        case "hour":
            return (times - days) / np.timedelta64(1, "D")
        case "weekday":
            return (days.astype(np.int64) + 3) % 7 / 7  # 1970-01-01 was a Thursday; Monday is 0
        case "month":
            return times.astype("datetime64[M]").astype(np.int64) % 12 / 12
    unit = "datetime64[M]" if name == "monthday" else "datetime64[Y]"
    first = times.astype(unit)
    span = (first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")
    return (days - first.astype("datetime64[D]")) / span


def holidays(times: np.ndarray, days: int, country: str) -> np.ndarray:
    """(steps,) 1 where a public holiday falls on the day of a time or on one of the `days - 1` after it, else 0.

    Args:
        country: an ISO code such as US, or with a region such as US-CA.

    Raises:
        ConfigError: the country is unknown.
    """
    import holidays as package

    dates = times.astype("datetime64[D]")
    if not len(dates):
        return np.zeros(0)
    first, last = dates.min().item().year, (dates.max() + days).item().year
    name, _, region = country.partition("-")
    try:
        found = package.country_holidays(name, subdiv=region or None, years=range(first, last + 1))
    except NotImplementedError:
        mend = "Use an ISO code such as US, DE or GB, or one with a region such as US-CA."
        raise ConfigError(f"no holidays are known for {country!r}.", mend=mend) from None
    known = np.array(sorted(found), "datetime64[D]")
    begin = np.searchsorted(known, dates)
    return (begin < np.searchsorted(known, dates + days)).astype(np.float64)
