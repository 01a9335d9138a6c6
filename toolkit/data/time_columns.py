"""Which columns of a file hold its times: by name where names are plain, by content where they are not."""

import re
from collections.abc import Sequence

from toolkit.data.columns import Head, listed
from toolkit.data.looks import are_dates, are_epochs, are_months, is_clock, is_date
from toolkit.data.months import number_of_month
from toolkit.data.numbers import is_missing
from toolkit.errors import DataError

_CALENDAR = ("month", "week", "quarter", "year", "day")
_TIME_NAMES = ("ds", "timestamp", "datetime", "date", "time", *_CALENDAR, "ts", "time_period")
HOURS = ("hour", "hr", "he", "hour ending", "hour_ending", "hourending", "hr_end", "hour_end")
_PARTS = ("year", "month", "day", "hour", "minute")
_WITHIN = re.compile(r"[QW]?\d{1,2}", re.IGNORECASE)  # the number of a quarter or a week of a year
_LOOKED_AT, _MOSTLY = 50, 10  # cells, and how many of them there are for each that is no time
_HOUR = re.compile(r"[01]?\d|2[0-4]")


def find_times(head: Head) -> tuple[str, ...]:
    """The column of times, or those that a time is put together from, in order; () where there are none."""
    named = head.named(_TIME_NAMES)
    if parts := _parts(head, named):
        head.tell("layout", f"times were put together from the columns {listed(parts)}.")
        return parts
    clocks = [name for name in named if (cells := head.cells(name)) and all(map(is_clock, cells))]
    days = [name for name in named if name not in clocks and head.cells(name)]
    if not days:
        days = [name for name in head.free() if (cells := head.cells(name)) and are_dates(cells)]
        filled = max((len(head.cells(name)) for name in days), default=0)  # orders may not be paid yet
        days = [name for name in days if len(head.cells(name)) == filled]
        # One date throughout is that of the file itself.
        days = [name for name in days if len(set(map(str, head.cells(name)))) > 1][:1] or days[:1]
    if not days and len(head.free()) > 1:
        days = [name for name in head.free() if are_months(head.cells(name)) or are_epochs(head.cells(name))][:1]
    if not days:
        return ()
    # Of a date and a timestamp, the one that tells rows apart.
    day = max(days, key=lambda name: len(set(map(str, head.cells(name)))))
    clocks = clocks or _hours(head, day)
    if clocks and not any(":" in str(cell) for cell in head.cells(day)):
        last = any(str(cell).strip().split(":")[0] == "24" for cell in head.cells(clocks[0]))
        midnight = " Hour 24 was read as the midnight after." if last else ""
        head.tell("layout", f"times were put together from the columns {listed((day, clocks[0]))}.{midnight}")
        return day, clocks[0]
    if len(days) > 1:
        head.taken |= set(days)
        head.tell("layout", f"of the columns {listed(days)}, {day!r} was read as the time.")
    return (day,)


def refuse_strays(head: Head, columns: Sequence[str]) -> None:
    """DataError if nearly all in a column is a date: where rows would only be counted, it holds times."""
    for name in columns:
        rows = [row for row in head.rows[:_LOOKED_AT] if not is_missing(row.values.get(name))]
        strays = [row for row in rows if not is_date(row.values[name])]
        if strays and len(rows) >= _MOSTLY * len(strays):
            found = f"found {str(strays[0].values[name])[:80]!r} in column {name!r}, where most cells are times."
            raise DataError(found, where=strays[0].where, mend="Write a time there, or delete the row.")


def _hours(head: Head, day: str) -> list[str]:
    """Columns of hours from 0 to 23, or 1 to 24, where several rows share a day."""
    days = head.cells(day)
    if len(set(days)) == len(days):
        return []
    cells = {name: [str(cell).strip() for cell in head.cells(name)] for name in head.named(HOURS)}
    hours = [name for name in cells if all(_HOUR.fullmatch(cell) or is_clock(cell) for cell in cells[name])]
    return hours or [name for name in head.free() if _tells_clocks(head, name, day)]


def _tells_clocks(head: Head, name: str, day: str) -> bool:
    """Whether a column of clocks, whatever it is called, is there in all rows and tells those of a day apart."""
    rows = {(str(row.values.get(day)), str(row.values.get(name))) for row in head.rows}
    cells = head.cells(name)
    return len(cells) == len(rows) == len(head.rows) and all(map(is_clock, cells))


def _parts(head: Head, named: list[str]) -> tuple[str, ...]:
    """Columns of year, month, day, hour and minute, as far as they are there without a gap; or of year and quarter,
    or year and week. A month may be a name, or M01, also as the period of a year."""
    found = {name.strip().lower(): name for name in named + head.named(("hour", "minute"))}
    periods = [name for name in head.named(("period",)) if _are_months(head, name)]
    if set(found) == {"year"} and periods:
        found["month"] = periods[0]
    if set(found) in ({"year", "quarter"}, {"year", "week"}) and head.has_numbers(found["year"]):
        year, within = found.pop("year"), *found.values()
        return (year, within) if all(_WITHIN.fullmatch(str(cell).strip()) for cell in head.cells(within)) else ()
    if set(found) - {*_PARTS, "week", "quarter"} or not {"year", "month"} <= set(found):
        return ()
    parts: list[str] = []
    for part in _PARTS:
        if part not in found or not (head.has_numbers(found[part]) or _are_months(head, found[part])):
            break
        parts.append(found[part])
    return tuple(parts) if len(parts) > 1 else ()


def _are_months(head: Head, name: str) -> bool:
    """Whether a column holds names of months, or M01 to M12."""
    cells = head.cells(name)
    return bool(cells) and all(number_of_month(str(cell)) for cell in cells)
