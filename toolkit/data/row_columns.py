"""Files whose rows are series, or years: which columns name them, and which hold their values."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from toolkit.data.columns import ID_NAMES, MOST_NAMES, Columns, Head, listed
from toolkit.data.looks import are_counted, are_dates, are_years, is_date, is_year, times_among
from toolkit.data.months import ENGLISH, in_english
from toolkit.data.numbers import bare, is_amount, is_missing, is_number
from toolkit.data.time_columns import find_times
from toolkit.errors import DataError

_FEWEST_STEPS = 6  # of which rows that are series are known among columns of other kinds
_QUARTER = re.compile(r"[Qq][1-4]")
_M4_NAME = re.compile(r"V\d+")


# Series


def is_a_series_a_row(head: Head) -> bool:
    """Whether every row is a series: its name, then its values."""
    asked = (head.source.id, head.source.time, head.source.value, *head.source.covariates)
    if any(asked) or len(head.names) < 3:
        return False
    first, *others = head.names
    names = [str(row.values.get(first)).strip() for row in head.rows]
    words = [name for name in names if not is_number(name)]
    surely = first.lower() in ID_NAMES and are_dates(others)  # then numbers are names too
    if (len(words) < len(names) and not surely) or any(map(is_date, words)) or len(set(names)) < len(names):
        return bool(_names_before_times(head))
    if all(map(_M4_NAME.fullmatch, head.names)) or all(map(is_number, others)):
        return True
    if _are_steps(head, _beside(head, (first,))[1]):
        return True
    timeless = not find_times(Head(replace(head.source, statics=()), head.rows, head.later))
    return timeless and all(head.has_numbers(name) or not head.cells(name) for name in others)


def find_row_columns(head: Head) -> Columns:
    """Of rows that are series, the columns of their names and values.

    Raises:
        DataError: there are no values, or some of their columns are called like times and one is not.
    """
    first = head.names[0]
    alone = len({str(row.values.get(first)) for row in head.rows}) == len(head.rows) and head.has_words(first)
    id = head.source.id_columns or (() if alone else _names_before_times(head)) or (first,)
    beside, steps = _beside(head, id)
    left = beside if _are_steps(head, steps) else []
    read = {*id, *head.taken, *left}
    values = tuple(name for name in head.names if name not in read)
    if not values:
        raise DataError("found no values after the name of the series.", where=head.source.path)
    dated = are_dates(list(values)) or are_years(values)
    if not dated and (times := times_among(values)):
        other = next(name for name in values if name not in times)
        found = f"column {other!r} stands among columns whose names are times, such as {times[0]!r}."
        mend = "Delete columns of totals; name those of one value per series in data.static."
        raise DataError(found, where=head.source.path, mend=mend)
    told = f", whose times are the names of their columns, {values[0]} to {values[-1]}" if dated else ""
    told += f". Left out: {listed(left)}; data.static in a config takes what series have in common" if left else ""
    head.tell("layout", f"every row was read as a series: its name in {listed(id)}, then its values{told}.")
    static_words = tuple(name for name in head.source.statics if name in id or head.has_words(name))
    static_numbers = tuple(name for name in head.source.statics if name not in static_words)
    return Columns("rows", id, values if dated else (), values, static_numbers, static_words)


def refuse_times(head: Head, names: Sequence[str]) -> None:
    """DataError if columns are called like times: where rows would only be counted, they are no series."""
    if times := times_among(names):
        times = times_among(head.free()) or times  # also those that a word keeps from being values
        found = f"names of columns are times, such as {times[0]!r}, as where every row is a series."
        mend = "Set data.layout to rows in a config, and data.static to the columns between name and values."
        where = head.source.path
        cells = ((row.where, str(row.values.get(name) or "").strip()) for row in head.rows for name in times)
        if stray := next((found for found in cells if not is_missing(found[1]) and not is_amount(found[1])), None):
            where, found = stray[0], f"{found[:-1]}, but {stray[1][:40]!r} is no number."
            mend = f"Write {bare(stray[1]) or 'a number'} there, or leave the cell empty when it is missing."
        raise DataError(found, where=where, mend=mend)


def _names_before_times(head: Head) -> tuple[str, ...]:
    """The fewest columns that tell apart rows that are series, if columns of values are called like times: those of
    text before those of integers. A blank part of a name is a name too."""
    before, steps = _beside(head, ())
    names = _telling_apart(head, [name for name in before if not are_dates(head.cells(name))])
    return names if names and not any(map(is_number, steps)) and _are_steps(head, steps) else ()


def _beside(head: Head, id: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Of rows that are series, the columns after their names that hold no steps, and all that follow: behind them
    all names are times, or they are of words."""
    free = [name for name in head.free() if name not in id]
    timed = (is_date(name) and not is_number(name) for name in reversed(free))
    many = len(list(itertools.takewhile(bool, timed)))
    if many < _FEWEST_STEPS or any(timed):
        many = len(free) - len(list(itertools.takewhile(head.has_words, free)))
    return free[: len(free) - many], free[len(free) - many :]


def _are_steps(head: Head, names: list[str]) -> bool:
    """Whether columns of numbers are called like times one after the other, or are counted: d_1, d_2, ..."""
    if len(names) < _FEWEST_STEPS or any(map(head.has_words, names)):
        return False
    return are_dates(names) or are_years(names) or are_counted(names)


# Years


def year_and_months(head: Head) -> tuple[str, ...]:
    """Of rows that are years, the columns of the year and of its months or quarters; () of others."""
    asked = (head.source.time, head.source.value, *head.source.covariates, *head.source.statics)
    quarters = [name for name in head.names if _QUARTER.fullmatch(name.strip())]
    months = [name for name in head.names if name.strip().rstrip(".").isalpha()]
    months = [name for name in months if in_english(name.strip()) in ENGLISH] if len(months) >= len(ENGLISH) else []
    if [in_english(name.strip()) for name in months] == list(ENGLISH):
        parts = months
    elif [name.strip()[1] for name in quarters] == list("1234"):
        parts = quarters
    else:
        return ()
    cells = ((name, head.cells(name)) for name in head.free())  # rows of totals are told with their place
    year = next((name for name, found in cells if 2 * sum(map(is_year, found)) > len(found)), None)
    return (year, *parts) if year and not any(asked) else ()


def find_year_columns(head: Head, times: tuple[str, ...]) -> Columns:
    """Of rows that are years, the columns that name their series."""
    year, *months = times
    free = [name for name in head.free() if name not in times]
    alone = len(set(map(str, head.cells(year)))) == len(head.cells(year))
    id = head.source.id_columns or (() if alone else _telling_apart(head, free, (year,)))
    left = [name for name in free if name not in id]
    told = f" Left out: {listed(left)}." if left else ""
    head.tell("layout", f"every row was read as a year, {year!r}, of {listed(months)}.{told}")
    return Columns("years", id, times, ("value",))


def _telling_apart(head: Head, columns: Sequence[str], beside: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The fewest of these columns that, together with others, tell all rows apart; () if none do."""
    texts = {name: [str(row.values.get(name) or "").strip() for row in head.rows] for name in (*columns, *beside)}
    words = [name for name in columns if head.has_words(name)]
    integers = [name for name in columns if all(map(str.isdecimal, texts[name]))]
    for many in range(1, MOST_NAMES + 1):
        for names in itertools.combinations([*words, *integers], many):
            found = set(zip(*(texts[name] for name in (*names, *beside)), strict=True))
            if len(found) == len(head.rows) and all(any(cells[:many]) for cells in found):
                return names
    return ()
