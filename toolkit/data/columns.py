"""Which column of a file is what: by name where names are plain, by content where they are not."""

import difflib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from toolkit.data.looks import (
    are_counted,
    are_dates,
    are_epochs,
    are_months,
    are_years,
    counts_up,
    is_clock,
    is_date,
    is_year,
    times_among,
)
from toolkit.data.months import ENGLISH, in_english, number_of_month
from toolkit.data.numbers import bare, is_amount, is_missing, is_number
from toolkit.data.panel import Finding
from toolkit.data.rows import Row
from toolkit.data.sources import SeriesSource
from toolkit.errors import DataError

Later = Callable[[Sequence[str]], Mapping[str, Any]]
_ID_NAMES = ("unique_id", "item_id", "series_id", "ts_id", "series", "id", "ticker", "symbol", "sku")
_CALENDAR = ("month", "week", "quarter", "year", "day")
_TIME_NAMES = ("ds", "timestamp", "datetime", "date", "time", *_CALENDAR, "ts", "time_period")
_VALUE_NAMES = ("y", "target", "value")
HOURS = ("hour", "hr", "he", "hour ending", "hour_ending", "hourending", "hr_end", "hour_end")
_COUNTER_NAMES = ("", "no", "index", "row", "unnamed: 0", "#")
_PARTS = ("year", "month", "day", "hour", "minute")
_WITHIN = re.compile(r"[QW]?\d{1,2}", re.IGNORECASE)  # the number of a quarter or a week of a year
MOST_NAMES = 3  # columns that together name a series
_LOOKED_AT, _MOSTLY = 50, 10  # cells, and how many of them there are for each that is no time
_FEWEST_STEPS = 6  # of which rows that are series are known among columns of other kinds
_HOUR = re.compile(r"[01]?\d|2[0-4]")
_QUARTER = re.compile(r"[Qq][1-4]")
_M4_NAME = re.compile(r"V\d+")


class SeveralValuesError(DataError):
    """Series are named by a column, and several others hold numbers."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a file are.

    Args:
        layout: as in `SeriesSource`; a single series is long without an id. In years, a row is a year of a series,
            and a column a month or a quarter.
        id: none when the file holds one series or one column a series.
        times: the column of times, or those that a time is put together from; none when rows are counted. Of rows that
            are series, the columns of values where their names are times; of years, theirs and those of months.
        values: one column, one a series, or none in a file of covariates alone.
        numbers: covariates and statics that hold numbers.
        words: covariates and statics that hold text.
        unused: columns of text that are none of these.
    """

    layout: Literal["long", "wide", "rows", "years"]
    id: tuple[str, ...]
    times: tuple[str, ...]
    values: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def as_text(self) -> tuple[str, ...]:
        """All that are read as they are written."""
        return tuple(dict.fromkeys((*self.id, *self.times, *self.words)))

    @property
    def as_numbers(self) -> tuple[str, ...]:
        return (*self.values, *self.numbers)


def find_columns(
    source: SeriesSource,
    head: Sequence[Row],
    categories: Mapping[str, Sequence[str]] | None,
    later: Later,
) -> tuple[Columns, list[Finding]]:
    """Decide from the first rows of a file.

    Args:
        categories: of a trained model: the covariates and statics that must be text.
        later: from names of columns that hold nothing in these rows to the first cells that hold something, by name.

    Raises:
        DataError: a named column is not there, or it is open which column holds times or values.
    """
    return _Search(source, head, later).columns(categories)


class _Search:
    """The search for the columns of one file."""

    def __init__(self, source: SeriesSource, head: Sequence[Row], later: Later):
        self._source = source
        self._head = head
        self._later = later
        self._names = list(dict.fromkeys(name for row in head for name in row.values))
        self._findings: list[Finding] = []
        asked = (*source.id_columns, source.time, source.value, *source.covariates, *source.statics)
        self._taken = {name for name in asked if name is not None}
        for name in asked:
            if name is not None:
                self._require(name)

    def columns(self, categories: Mapping[str, Sequence[str]] | None) -> tuple[Columns, list[Finding]]:
        if self._source.layout == "rows" or (self._source.layout == "auto" and self._is_a_series_a_row()):
            return self._rows(), self._findings
        if self._source.layout == "auto" and (times := self._year_and_months()):
            return self._years(times), self._findings
        times = (self._source.time,) if self._source.time else self._times()
        self._taken |= set(times)
        id = self._source.id_columns or self._id(times)
        self._taken |= set(id)
        values = self._values(id, times)
        others = (*self._source.covariates, *self._source.statics)
        words = tuple(name for name in others if self._holds_words(name, categories))
        layout: Literal["long", "wide"] = "wide" if len(values) > 1 else "long"
        if not self._source.value:
            self._tell_mixed(values)
        read = {*self._taken, *values}
        left = tuple(name for name in self._names if name not in read and self._has_words(name))
        if not times:
            if self._source.layout == "auto" and not self._source.value:
                self._refuse_times(values if layout == "wide" else self._free())
            self._refuse_strays(left)
            self._tell("layout", f"there is no column of times; rows are counted 0, 1, 2, ...{self._unread(left)}")
        if layout == "wide":
            self._tell_wide(values)
        return Columns(layout, id, times, values, tuple(set(others) - set(words)), words, left), self._findings

    def _tell(self, kind: str, message: str, columns: tuple[str, ...] = ()) -> None:
        self._findings.append(Finding(kind, f"{self._source.path}: {message}", columns=columns))

    def _tell_wide(self, values: tuple[str, ...]) -> None:
        read = {*self._taken, *values}
        left = [repr(name) for name in self._names if name not in read]
        out = f" Left out: {', '.join(left[:10])}." if left else ""
        mend = "Name one of them as value to forecast only that; the others can be columns that it learns from."
        self._tell("layout", f"{_listed(values)} were read as {len(values)} series, one a column.{out} {mend}", values)

    def _tell_mixed(self, values: tuple[str, ...]) -> None:
        """Of columns that only a few cells keep from being values, which these are."""
        for name in self._free():
            cells = self._cells(name) if name not in values else []
            words = [cell for cell in cells if not is_amount(cell)]
            if words and 2 * len(words) < len(cells):
                where = next(row.where for row in self._head if row.values.get(name) is words[0])
                mend = "Write a number there, or leave the cell empty when it is missing, to read it."
                told = f"column {name!r} was left out, for {str(words[0])[:40]!r} ({where}) is no number. {mend}"
                self._tell("layout", told)

    def _unread(self, left: Sequence[str]) -> str:
        """What to tell of columns of text that were left out: they may hold times or names of series."""
        shown = ", ".join(f"{name!r} (such as {str(self._cells(name)[0])[:40]!r})" for name in left[:3])
        mend = "Write times such as 2024-01-31 if one of them holds times; set data.id if one names the series."
        return f" Left out, for it was read as no time: {shown}. {mend}" if left else ""

    def _require(self, name: str) -> None:
        if name in self._names:
            return
        near = difflib.get_close_matches(name, self._names) or [
            each for each in self._names if each.lower() == name.lower()
        ]
        mend = f"Did you mean {' or '.join(near)}?" if near else f"The columns are {_listed(self._names)}."
        raise DataError(f"there is no column {name!r}.", where=self._source.path, mend=mend)

    def _cells(self, name: str) -> list[Any]:
        """What is not missing in the first rows of a column."""
        return [row.values[name] for row in self._head if not is_missing(row.values.get(name))]

    def _has_numbers(self, name: str) -> bool:
        cells = self._cells(name)
        return bool(cells) and all(map(is_amount, cells))

    def _has_words(self, name: str) -> bool:
        return not all(map(is_amount, self._cells(name)))

    def _free(self) -> list[str]:
        return [name for name in self._names if name not in self._taken]

    def _named(self, wanted: Sequence[str]) -> list[str]:
        """Free columns of these names, in the order of the names; case does not matter."""
        return [name for each in wanted for name in self._free() if name.strip().lower() == each]

    # Times

    def _times(self) -> tuple[str, ...]:
        named = self._named(_TIME_NAMES)
        if parts := self._parts(named):
            self._tell("layout", f"times were put together from the columns {_listed(parts)}.")
            return parts
        clocks = [name for name in named if (cells := self._cells(name)) and all(map(is_clock, cells))]
        days = [name for name in named if name not in clocks and self._cells(name)]
        if not days:
            days = [name for name in self._free() if (cells := self._cells(name)) and are_dates(cells)]
            filled = max((len(self._cells(name)) for name in days), default=0)  # orders may not be paid yet
            days = [name for name in days if len(self._cells(name)) == filled]
            # One date throughout is that of the file itself.
            days = [name for name in days if len(set(map(str, self._cells(name)))) > 1][:1] or days[:1]
        if not days and len(self._free()) > 1:
            days = [name for name in self._free() if are_months(self._cells(name)) or are_epochs(self._cells(name))][:1]
        if not days:
            return ()
        # Of a date and a timestamp, the one that tells rows apart.
        day = max(days, key=lambda name: len(set(map(str, self._cells(name)))))
        clocks = clocks or self._hours(day)
        if clocks and not any(":" in str(cell) for cell in self._cells(day)):
            last = any(str(cell).strip().split(":")[0] == "24" for cell in self._cells(clocks[0]))
            midnight = " Hour 24 was read as the midnight after." if last else ""
            self._tell("layout", f"times were put together from the columns {_listed((day, clocks[0]))}.{midnight}")
            return day, clocks[0]
        if len(days) > 1:
            self._taken |= set(days)
            self._tell("layout", f"of the columns {_listed(days)}, {day!r} was read as the time.")
        return (day,)

    def _hours(self, day: str) -> list[str]:
        """Columns of hours from 0 to 23, or 1 to 24, where several rows share a day."""
        days = self._cells(day)
        if len(set(days)) == len(days):
            return []
        cells = {name: [str(cell).strip() for cell in self._cells(name)] for name in self._named(HOURS)}
        hours = [name for name in cells if all(_HOUR.fullmatch(cell) or is_clock(cell) for cell in cells[name])]
        return hours or [name for name in self._free() if self._tells_clocks(name, day)]

    def _tells_clocks(self, name: str, day: str) -> bool:
        """Whether a column of clocks, whatever it is called, is there in all rows and tells those of a day apart."""
        rows = {(str(row.values.get(day)), str(row.values.get(name))) for row in self._head}
        cells = self._cells(name)
        return len(cells) == len(rows) == len(self._head) and all(map(is_clock, cells))

    def _parts(self, named: list[str]) -> tuple[str, ...]:
        """Columns of year, month, day, hour and minute, as far as they are there without a gap; or of year and quarter,
        or year and week. A month may be a name, or M01, also as the period of a year."""
        found = {name.strip().lower(): name for name in named + self._named(("hour", "minute"))}
        periods = [name for name in self._named(("period",)) if self._are_months(name)]
        if set(found) == {"year"} and periods:
            found["month"] = periods[0]
        if set(found) in ({"year", "quarter"}, {"year", "week"}) and self._has_numbers(found["year"]):
            year, within = found.pop("year"), *found.values()
            return (year, within) if all(_WITHIN.fullmatch(str(cell).strip()) for cell in self._cells(within)) else ()
        if set(found) - {*_PARTS, "week", "quarter"} or not {"year", "month"} <= set(found):
            return ()
        parts: list[str] = []
        for part in _PARTS:
            if part not in found or not (self._has_numbers(found[part]) or self._are_months(found[part])):
                break
            parts.append(found[part])
        return tuple(parts) if len(parts) > 1 else ()

    def _are_months(self, name: str) -> bool:
        """Whether a column holds names of months, or M01 to M12."""
        cells = self._cells(name)
        return bool(cells) and all(number_of_month(str(cell)) for cell in cells)

    # Names of series and values

    def _id(self, times: tuple[str, ...]) -> tuple[str, ...]:
        if self._source.layout == "wide":
            return ()
        named = [name for name in self._named(_ID_NAMES) if self._cells(name)]
        return tuple(name for name in named if not self._counts_rows(name, times))[:1]

    def _counts_rows(self, name: str, times: tuple[str, ...]) -> bool:
        """Whether a column numbers the rows: such an "id" names no series."""
        cells = self._cells(name)
        if len(cells) < 3 or len(cells) < len(self._head) or not all(map(is_number, cells)):
            return False
        moments = {tuple(str(row.values.get(time)) for time in times) for row in self._head}
        counts = counts_up(cells) and (not times or len(moments) > 1)
        if counts:
            self._taken.add(name)
            self._tell("layout", f"column {name!r} only counts the rows and was left out.")
        return counts

    def _values(self, id: tuple[str, ...], times: tuple[str, ...]) -> tuple[str, ...]:
        if self._source.covariates_only:
            return ()
        if self._source.value:
            return (self._source.value,)
        if self._source.layout != "wide" and (named := self._named(_VALUE_NAMES)):
            return (named[0],)
        leading = [name for name in self._free() if times and name == self._names[0]]
        for name in dict.fromkeys([*self._named(_COUNTER_NAMES), *leading]):
            self._counts_rows(name, ())
        empty = [name for name in self._free() if not self._cells(name)]
        late = self._later(empty) if empty else {}  # a product that was not sold yet
        numbers = tuple(name for name in self._free() if self._has_numbers(name) or is_amount(late.get(name)))
        if not numbers:
            mend = "Set value in a config to the name of the column to forecast."
            found = f"no column of numbers is left among {_listed(self._names)}, so there is nothing to forecast"
            words = ((name, cell) for name in self._free() for cell in self._cells(name) if not is_amount(cell))
            if (first := next(words, None)) is not None:
                found += f": in column {first[0]!r} stands {str(first[1])[:60]!r}"
                pieces = str(self._cells(first[0])[-1]).split()
                if len(self._names) == 1 and len(pieces) > 1 and is_number(pieces[-1]):
                    mend = "Blanks are no separators: write commas between the cells, and one line of names above them."
                elif number := bare(first[1]):
                    mend = f"Write {number}, without what stands around it."
                    if len({str(cell).strip().replace(bare(cell), "") for cell in self._cells(first[0])}) > 1:
                        mend = "Write all numbers in one unit, as 1234.5."
                elif any(map(is_amount, self._cells(first[0]))):
                    mend = "Write a number, or leave the cell empty when it is missing."
            raise DataError(f"{found}.", where=self._source.path, mend=mend)
        if len(numbers) > 1 and (id or self._source.layout == "long"):
            found = f"the columns {_listed(numbers)} all hold numbers; expected one of them to be the values."
            mend = f"Set value in a config, such as value: {numbers[0]}."
            raise SeveralValuesError(found, where=self._source.path, mend=mend)
        return numbers

    def _holds_words(self, name: str, categories: Mapping[str, Sequence[str]] | None) -> bool:
        if name in self._source.id_columns:
            return True
        if categories is not None:
            return name in categories
        cells = self._cells(name) or list(self._later([name]).values())
        words = [cell for cell in cells if not is_amount(cell)]
        if words and 2 * len(words) < len(cells):
            where = next(row.where for row in self._head if row.values.get(name) is words[0])
            found = f"found {str(words[0])[:80]!r} in column {name!r}, where most cells are numbers."
            raise DataError(found, where=where, mend="Write a number, or leave the cell empty when it is missing.")
        return bool(words)

    # One row a series

    def _is_a_series_a_row(self) -> bool:
        asked = (self._source.id, self._source.time, self._source.value, *self._source.covariates)
        if any(asked) or len(self._names) < 3:
            return False
        first, *others = self._names
        names = [str(row.values.get(first)).strip() for row in self._head]
        words = [name for name in names if not is_number(name)]
        surely = first.lower() in _ID_NAMES and are_dates(others)  # then numbers are names too
        if (len(words) < len(names) and not surely) or any(map(is_date, words)) or len(set(names)) < len(names):
            return bool(self._names_before_times())
        if all(map(_M4_NAME.fullmatch, self._names)) or all(map(is_number, others)):
            return True
        if self._are_steps(self._beside((first,))[1]):
            return True
        timeless = not _Search(replace(self._source, statics=()), self._head, self._later)._times()
        return timeless and all(self._has_numbers(name) or not self._cells(name) for name in others)

    def _names_before_times(self) -> tuple[str, ...]:
        """The fewest columns that tell apart rows that are series, if columns of values are called like times: those of
        text before those of integers. A blank part of a name is a name too."""
        before, steps = self._beside(())
        names = self._telling_apart([name for name in before if not are_dates(self._cells(name))])
        return names if names and not any(map(is_number, steps)) and self._are_steps(steps) else ()

    def _telling_apart(self, columns: Sequence[str], beside: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The fewest of these columns that, together with others, tell all rows apart; () if none do."""
        texts = {name: [str(row.values.get(name) or "").strip() for row in self._head] for name in (*columns, *beside)}
        words = [name for name in columns if self._has_words(name)]
        integers = [name for name in columns if all(map(str.isdecimal, texts[name]))]
        for many in range(1, MOST_NAMES + 1):
            for names in itertools.combinations([*words, *integers], many):
                found = set(zip(*(texts[name] for name in (*names, *beside)), strict=True))
                if len(found) == len(self._head) and all(any(cells[:many]) for cells in found):
                    return names
        return ()

    def _beside(self, id: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """Of rows that are series, the columns after their names that hold no steps, and all that follow: behind them
        all names are times, or they are of words."""
        free = [name for name in self._free() if name not in id]
        timed = (is_date(name) and not is_number(name) for name in reversed(free))
        many = len(list(itertools.takewhile(bool, timed)))
        if many < _FEWEST_STEPS or any(timed):
            many = len(free) - len(list(itertools.takewhile(self._has_words, free)))
        return free[: len(free) - many], free[len(free) - many :]

    def _are_steps(self, names: list[str]) -> bool:
        """Whether columns of numbers are called like times one after the other, or are counted: d_1, d_2, ..."""
        if len(names) < _FEWEST_STEPS or any(map(self._has_words, names)):
            return False
        return are_dates(names) or are_years(names) or are_counted(names)

    def _refuse_times(self, names: Sequence[str]) -> None:
        """Where rows would only be counted, columns that are called times are no series."""
        if times := times_among(names):
            times = times_among(self._free()) or times  # also those that a word keeps from being values
            found = f"names of columns are times, such as {times[0]!r}, as where every row is a series."
            mend = "Set data.layout to rows in a config, and data.static to the columns between name and values."
            where = self._source.path
            cells = ((row.where, str(row.values.get(name) or "").strip()) for row in self._head for name in times)
            if stray := next((found for found in cells if not is_missing(found[1]) and not is_amount(found[1])), None):
                where, found = stray[0], f"{found[:-1]}, but {stray[1][:40]!r} is no number."
                mend = f"Write {bare(stray[1]) or 'a number'} there, or leave the cell empty when it is missing."
            raise DataError(found, where=where, mend=mend)

    def _refuse_strays(self, columns: Sequence[str]) -> None:
        """Where rows would only be counted, a column in which nearly all is a date holds times."""
        for name in columns:
            rows = [row for row in self._head[:_LOOKED_AT] if not is_missing(row.values.get(name))]
            strays = [row for row in rows if not is_date(row.values[name])]
            if strays and len(rows) >= _MOSTLY * len(strays):
                found = f"found {str(strays[0].values[name])[:80]!r} in column {name!r}, where most cells are times."
                raise DataError(found, where=strays[0].where, mend="Write a time there, or delete the row.")

    def _year_and_months(self) -> tuple[str, ...]:
        """Of rows that are years, the columns of the year and of its months or quarters; () of others."""
        asked = (self._source.time, self._source.value, *self._source.covariates, *self._source.statics)
        quarters = [name for name in self._names if _QUARTER.fullmatch(name.strip())]
        months = [name for name in self._names if name.strip().rstrip(".").isalpha()]
        months = [name for name in months if in_english(name.strip()) in ENGLISH] if len(months) >= len(ENGLISH) else []
        if [in_english(name.strip()) for name in months] == list(ENGLISH):
            parts = months
        elif [name.strip()[1] for name in quarters] == list("1234"):
            parts = quarters
        else:
            return ()
        cells = ((name, self._cells(name)) for name in self._free())  # rows of totals are told with their place
        year = next((name for name, found in cells if 2 * sum(map(is_year, found)) > len(found)), None)
        return (year, *parts) if year and not any(asked) else ()

    def _years(self, times: tuple[str, ...]) -> Columns:
        year, *months = times
        free = [name for name in self._free() if name not in times]
        alone = len(set(map(str, self._cells(year)))) == len(self._cells(year))
        id = self._source.id_columns or (() if alone else self._telling_apart(free, (year,)))
        left = [name for name in free if name not in id]
        told = f" Left out: {_listed(left)}." if left else ""
        self._tell("layout", f"every row was read as a year, {year!r}, of {_listed(months)}.{told}")
        return Columns("years", id, times, ("value",))

    def _rows(self) -> Columns:
        first = self._names[0]
        alone = len({str(row.values.get(first)) for row in self._head}) == len(self._head) and self._has_words(first)
        id = self._source.id_columns or (() if alone else self._names_before_times()) or (first,)
        beside, steps = self._beside(id)
        left = beside if self._are_steps(steps) else []
        read = {*id, *self._taken, *left}
        values = tuple(name for name in self._names if name not in read)
        if not values:
            raise DataError("found no values after the name of the series.", where=self._source.path)
        dated = are_dates(list(values)) or are_years(values)
        if not dated and (times := times_among(values)):
            other = next(name for name in values if name not in times)
            found = f"column {other!r} stands among columns whose names are times, such as {times[0]!r}."
            mend = "Delete columns of totals; name those of one value per series in data.static."
            raise DataError(found, where=self._source.path, mend=mend)
        told = f", whose times are the names of their columns, {values[0]} to {values[-1]}" if dated else ""
        told += f". Left out: {_listed(left)}; data.static in a config takes what series have in common" if left else ""
        self._tell("layout", f"every row was read as a series: its name in {_listed(id)}, then its values{told}.")
        static_words = tuple(name for name in self._source.statics if name in id or self._has_words(name))
        static_numbers = tuple(name for name in self._source.statics if name not in static_words)
        return Columns("rows", id, values if dated else (), values, static_numbers, static_words)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown
