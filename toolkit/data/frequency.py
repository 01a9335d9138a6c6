"""Regular time grids: steps of seconds, business days, months or plain integers."""

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from toolkit.data import calendar
from toolkit.data.calendar import Cycle
from toolkit.data.zones import to_local, utc_offsets
from toolkit.errors import ConfigError

MINUTE, HOUR, DAY, WEEK, YEAR = 60, 3600, 86_400, 604_800, 365 * 86_400
# 1970-01-01 was a Thursday.
_WEEKDAY_NAMES = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")
_WEEKDAYS = tuple(name[:3].upper() for name in _WEEKDAY_NAMES)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SECONDS = {"second": 1, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": WEEK}
# Old and new pandas names; month frequencies as (months, day).
_SECOND_ALIASES = {"s": 1, "S": 1, "min": MINUTE, "T": MINUTE, "h": HOUR, "H": HOUR, "D": DAY, "d": DAY, "W": WEEK}
_MONTH_ALIASES = {
    "MS": (1, 1),
    "ME": (1, 31),
    "M": (1, 31),
    "QS": (3, 1),
    "QE": (3, 31),
    "Q": (3, 31),
    "YS": (12, 1),
    "AS": (12, 1),
    "YE": (12, 31),
    "Y": (12, 31),
    "A": (12, 31),
}
_WORDS = {"hourly": "h", "daily": "D", "weekly": "W", "monthly": "MS", "quarterly": "QS", "yearly": "YS"}
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "second"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "minute"),
    **dict.fromkeys(("h", "hour", "hours"), "hour"),
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("mo", "month", "months"), "month"),
    **dict.fromkeys(("q", "quarter", "quarters"), "quarter"),
    **dict.fromkeys(("y", "year", "years"), "year"),
}


@dataclass(frozen=True)
class Frequency:
    """One regular grid of times; its points are counted by ordinals.

    Args:
        unit: what a step is made of.
        step: units between two points: seconds (a day is 86400, a week 604800), business days, months, integers.
        phase: where the grid starts: ordinal 0 is this many units after 1970-01-01 (months after 1970-01).
        day: of the month, for months only; 31 is the last day.
        timezone: of grids of at most an hour. Ordinals count in UTC, times are shown in this zone.
    """

    unit: Literal["integer", "second", "business_day", "month"]
    step: int
    phase: int = 0
    day: int = 1
    timezone: str | None = None

    @property
    def alias(self) -> str:
        """The name that pandas has for it: "h", "15min", "D", "W-SUN", "MS", "QE-DEC", "B"; "1" for integers."""
        match self.unit:
            case "integer":
                return str(self.step)
            case "business_day":
                return _times(self.step, "B")
            case "month":
                return self._month_alias()
        if self.step % WEEK == 0:
            return _times(self.step // WEEK, f"W-{_WEEKDAYS[self.phase // DAY % 7]}")
        return _times(*self._in_largest({"D": DAY, "h": HOUR, "min": MINUTE, "s": 1}))

    def _in_largest(self, units: dict[str, int]) -> tuple[int, str]:
        """The step in the first of these units that it is a whole number of; the last one is 1."""
        return next((self.step // size, name) for name, size in units.items() if self.step % size == 0)

    def _month_alias(self) -> str:
        if self.day not in (1, 31):
            return f"{_times(self.step, 'M')}-{self.day}"
        many, name = self._in_largest({"Y": 12, "Q": 3, "M": 1})
        first = self.phase if self.day == 1 else self.phase - self.step
        anchor = "" if name == "M" else f"-{_MONTHS[first % 12]}"
        return _times(many, name + ("S" if self.day == 1 else "E")) + anchor

    @property
    def title(self) -> str:
        """In words: "hourly", "every 15 minutes", "daily", "weekly (Sunday)", "month start"."""
        match self.unit:
            case "integer":
                return "integer" if self.step == 1 else f"every {self.step} integers"
            case "business_day":
                return "business daily" if self.step == 1 else f"every {self.step} business days"
            case "month":
                many, name = self._in_largest({"year": 12, "quarter": 3, "month": 1})
                where = {1: " start", 31: " end"}.get(self.day, f", day {self.day}")
                return f"{name}{where}" if many == 1 else f"every {many} {name}s, at the {where.strip(' ,')}"
        if self.step == WEEK:
            return f"weekly ({_WEEKDAY_NAMES[self.phase // DAY % 7]})"
        single = {1: "every second", MINUTE: "every minute", HOUR: "hourly", DAY: "daily"}
        many, name = self._in_largest(dict(reversed(_SECONDS.items())))
        return single.get(self.step, f"every {many} {name}s")

    @property
    def seasons(self) -> tuple[int, ...]:
        """Plausible lengths of a season in steps, shortest first: (24, 168) for hourly data."""
        match self.unit:
            case "integer":
                return ()
            case "business_day":
                return (5,) if self.step == 1 else ()
            case "month":
                return (12 // self.step,) if self.step < 12 and 12 % self.step == 0 else ()
        spans = [DAY, WEEK] if self.step < DAY else [WEEK]
        if self.step <= 5 * MINUTE:
            spans = [HOUR, *spans]
        seasons = [span // self.step for span in spans if span % self.step == 0 and span > self.step]
        if DAY <= self.step <= 13 * WEEK:
            seasons.append(round(YEAR / self.step))
        return tuple(seasons)

    def floor(self, times: np.ndarray) -> np.ndarray:
        """Ordinals (times,) int64 of the step that every time lies in.

        A step begins at its point, but a step of months that is named by its end closes there. Days inside a month and
        times of day inside a business day do not matter; a weekend belongs to the Friday before it.
        """
        units = self.units(times)
        if self.unit == "month" and self.day == 31:
            return -((self.phase - units) // self.step)
        return (units - self.phase) // self.step

    def units(self, times: np.ndarray) -> np.ndarray:
        """(times,) int64 whole units since 1970, of a weekend those of its Friday."""
        match self.unit:
            case "integer":
                return np.asarray(times, np.int64)
            case "second":
                return times.astype("datetime64[s]").astype(np.int64)
            case "business_day":
                return _business_days(times.astype("datetime64[D]"))
        return times.astype("datetime64[M]").astype(np.int64)

    def on_grid(self, times: np.ndarray) -> np.ndarray:
        """(times,) whether each is a point of the grid; for months, whether its month is one."""
        on = (self.units(times) - self.phase) % self.step == 0
        if self.unit == "second":
            return on & (times == times.astype("datetime64[s]"))
        return on & np.is_busday(times.astype("datetime64[D]")) if self.unit == "business_day" else on

    def times(self, ordinals: np.ndarray) -> np.ndarray:
        """The points themselves: datetime64[us] (in UTC when a timezone is set), or int64."""
        units = np.asarray(ordinals, np.int64) * self.step + self.phase
        match self.unit:
            case "integer":
                return units
            case "second":
                return units.astype("datetime64[s]").astype("datetime64[us]")
            case "business_day":
                return np.busday_offset(np.datetime64("1970-01-01"), units).astype("datetime64[us]")
        months = units.astype("datetime64[M]")
        last = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
        days = months.astype("datetime64[D]") + np.minimum(self.day, last) - 1
        return days.astype("datetime64[us]")

    def clock_times(self, ordinals: np.ndarray) -> np.ndarray:
        """The points as clocks of the timezone show them; as they are where there is none."""
        times = self.times(ordinals)
        return to_local(times, self.timezone) if self.timezone else times

    def text(self, ordinals: np.ndarray) -> list[str]:
        """As written to files: 2024-01-31, 2024-01-31 13:00:00 when steps are shorter than a day, 17 for integers.

        With a timezone the local time and its distance from UTC: 2024-01-31 13:00:00+01:00.
        """
        times = self.times(ordinals)
        if self.unit == "integer":
            return [str(each) for each in times.tolist()]
        if self.unit != "second" or (self.step % DAY == 0 and self.phase % DAY == 0):
            return np.datetime_as_string(times, unit="D").tolist()
        local = self.clock_times(ordinals)
        texts = [text.replace("T", " ") for text in np.datetime_as_string(local, unit="s").tolist()]
        if not self.timezone:
            return texts
        offsets = utc_offsets(times, self.timezone).tolist()
        named = {each: _offset_text(each) for each in set(offsets)}
        return [text + named[offset] for text, offset in zip(texts, offsets, strict=True)]

    def steps(self, text: str) -> int:
        """A span of time in steps: "48" is 48, "3d" is 72 for hourly data; also "2w", "6 months", "1y".

        A year of seconds has 365 days, of weeks 52 weeks, of business days 261.

        Raises:
            ConfigError: it is no span, or not a whole number of steps, or none at all.
        """
        match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", text)
        unit = match and (_UNITS.get(match[2].lower(), "") if match[2] else "step")
        if not match or not unit:
            mend = 'Write a number of steps such as "48", or a span such as "3d", "2w", "6 months" or "1y".'
            raise ConfigError(f"{text!r} is no span of time.", mend=mend)
        count = int(match[1]) * self._in_step(unit)
        whole = round(count)
        if whole < 1 or abs(count - whole) > 1e-9:
            mend = "Write a number of steps, or another span."
            raise ConfigError(f"{text!r} is not a whole number of steps of this series ({self.title}).", mend=mend)
        return whole

    def _in_step(self, unit: str) -> float:
        """How many steps a span of this unit has; 0 where it has no fixed number."""
        months = {"month": 1, "quarter": 3, "year": 12}
        match self.unit:
            case _ if unit == "step":
                return 1
            case "month":
                return months.get(unit, 0) / self.step
            case "business_day":
                return {"day": 1, "week": 5, "year": 261}.get(unit, 0) / self.step
            case "second":
                if unit == "year":
                    return 52 * WEEK / self.step if self.step % WEEK == 0 else YEAR / self.step
                return _SECONDS.get(unit, 0) / self.step
        return 0

    def calendar(
        self, ordinals: np.ndarray, country: str | None = None, cycles: tuple[Cycle, ...] | None = None
    ) -> dict[str, np.ndarray]:
        """Features (steps,) in [-1, 1] that suit this frequency, by name; see `toolkit.data.calendar`.

        With a `country` such as US or DE also "holiday", 1 where a step holds a public holiday, else 0.

        Args:
            cycles: some of those of this frequency; None for all.

        Raises:
            ConfigError: the country is unknown, or steps are too long to hold single days.
        """
        if self.unit == "integer":
            if country:
                raise ConfigError("integer times have no holidays.", mend="Leave the country out.")
            return {}
        local = self.clock_times(ordinals)
        features = calendar.cycles(local, self.cycles if cycles is None else cycles)
        if country:
            if self.unit == "month":
                raise ConfigError(f"{self.title} steps have no holidays.", mend="Leave the country out.")
            span = max(self.step // DAY, 1) if self.unit == "second" else self.step
            features["holiday"] = calendar.holidays(local, span, country)
        return features

    @property
    def cycles(self) -> tuple[Cycle, ...]:
        """The cycles of the calendar in which steps have different places."""
        if self.unit == "integer":
            return ()
        if self.unit == "month":
            return ("month",) if self.step % 12 else ()
        if self.unit == "business_day":
            return ("weekday", "monthday", "yearday")
        if self.step < DAY:
            return ("hour", "weekday", "yearday")
        return ("weekday", "monthday", "yearday") if self.step % WEEK else ("yearday",)


def parse_frequency(alias: str) -> Frequency:
    """The frequency of a pandas alias, old or new: h, H, 15min, 15T, B, W-MON, M, ME, QE-DEC, A, YS; "1" is integers.

    Raises:
        ConfigError: there is no such frequency.
    """
    alias = _WORDS.get(alias.strip().lower(), alias.strip())
    match = re.fullmatch(r"(\d*)\s*([A-Za-z]*)(?:-(\w+))?", alias)
    if not match or not alias:
        _refuse(alias)
    count, name, anchor = int(match[1] or 1), match[2], (match[3] or "").upper()
    if count < 1:
        _refuse(alias)
    if not name and not anchor:
        return Frequency("integer", count)
    if name == "B" and not anchor:
        return Frequency("business_day", count)
    if name == "M" and anchor.isdecimal() and 1 <= int(anchor) <= 31:
        return Frequency("month", count, 0, int(anchor))
    if name in _MONTH_ALIASES:
        return _month_frequency(alias, count, name, anchor)
    if name == "W" and (anchor or "SUN") in _WEEKDAYS:
        return Frequency("second", count * WEEK, _WEEKDAYS.index(anchor or "SUN") * DAY)
    if name not in _SECOND_ALIASES or anchor:
        _refuse(alias)
    return Frequency("second", count * _SECOND_ALIASES[name])


def _month_frequency(alias: str, count: int, name: str, anchor: str) -> Frequency:
    months, day = _MONTH_ALIASES[name]
    if anchor and (anchor not in _MONTHS or months == 1):
        _refuse(alias)
    first = _MONTHS.index(anchor) if anchor else (0 if day == 1 else 11)
    return Frequency("month", count * months, first % (count * months), day)


def _business_days(days: np.ndarray) -> np.ndarray:
    """Business days since 1970, of a weekend that of its Friday: NumPy counts a weekend itself wrongly before 1970."""
    return np.busday_count("1970-01-01", np.busday_offset(days, 0, roll="backward"))


def _refuse(alias: str) -> NoReturn:
    mend = (
        'Use one such as h, 15min, D, B, W-SUN, MS (month start), ME (month end), QS, QE, YS, YE, or "1" for integers.'
    )
    raise ConfigError(f"there is no frequency {alias!r}.", mend=mend)


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count}{name}"


def _offset_text(seconds: int) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
