"""Which column of a file is what: by name where names are plain, by content where they are not."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

from toolkit.data.columns import ID_NAMES, Columns, Head, Later, listed
from toolkit.data.looks import counts_up
from toolkit.data.numbers import bare, is_amount, is_number
from toolkit.data.panel import Finding
from toolkit.data.row_columns import (
    find_row_columns,
    find_year_columns,
    is_a_series_a_row,
    refuse_times,
    year_and_months,
)
from toolkit.data.rows import Row
from toolkit.data.sources import SeriesSource
from toolkit.data.time_columns import find_times, refuse_strays
from toolkit.errors import DataError

_VALUE_NAMES = ("y", "target", "value")
_COUNTER_NAMES = ("", "no", "index", "row", "unnamed: 0", "#")


class SeveralValuesError(DataError):
    """Series are named by a column, and several others hold numbers."""


def find_columns(
    source: SeriesSource,
    rows: Sequence[Row],
    categories: Mapping[str, Sequence[str]] | None,
    later: Later,
) -> tuple[Columns, list[Finding]]:
    """Decide from the first rows of a file.

    Args:
        categories: of a trained model: the covariates and statics that must be text.
        later: as in `Head`.

    Raises:
        DataError: a named column is not there, or it is open which column holds times or values.
    """
    head = Head(source, rows, later)
    for name in (*source.id_columns, source.time, source.value, *source.covariates, *source.statics):
        if name is not None and name not in head.names:
            _refuse_name(head, name)
    if source.layout == "rows" or (source.layout == "auto" and is_a_series_a_row(head)):
        columns = find_row_columns(head)
    elif source.layout == "auto" and (times := year_and_months(head)):
        columns = find_year_columns(head, times)
    else:
        columns = _one_time_a_row(head, categories)
    return columns, head.findings


def _one_time_a_row(head: Head, categories: Mapping[str, Sequence[str]] | None) -> Columns:
    source = head.source
    times = (source.time,) if source.time else find_times(head)
    head.taken |= set(times)
    id = source.id_columns or _id(head, times)
    head.taken |= set(id)
    values = _values(head, id, times)
    others = (*source.covariates, *source.statics)
    words = tuple(name for name in others if _holds_words(head, name, categories))
    layout: Literal["long", "wide"] = "wide" if len(values) > 1 else "long"
    if not source.value:
        _tell_mixed(head, values)
    read = {*head.taken, *values}
    left = tuple(name for name in head.names if name not in read and head.has_words(name))
    if not times:
        if source.layout == "auto" and not source.value:
            refuse_times(head, values if layout == "wide" else head.free())
        refuse_strays(head, left)
        head.tell("layout", f"there is no column of times; rows are counted 0, 1, 2, ...{_unread(head, left)}")
    if layout == "wide":
        _tell_wide(head, values)
    return Columns(layout, id, times, values, tuple(set(others) - set(words)), words, left)


def _refuse_name(head: Head, name: str) -> NoReturn:
    near = difflib.get_close_matches(name, head.names) or [each for each in head.names if each.lower() == name.lower()]
    mend = f"Did you mean {' or '.join(near)}?" if near else f"The columns are {listed(head.names)}."
    raise DataError(f"there is no column {name!r}.", where=head.source.path, mend=mend)


def _tell_wide(head: Head, values: tuple[str, ...]) -> None:
    read = {*head.taken, *values}
    left = [repr(name) for name in head.names if name not in read]
    out = f" Left out: {', '.join(left[:10])}." if left else ""
    mend = "Name one of them as value to forecast only that; the others can be columns that it learns from."
    head.tell("layout", f"{listed(values)} were read as {len(values)} series, one a column.{out} {mend}", values)


def _tell_mixed(head: Head, values: tuple[str, ...]) -> None:
    """Of columns that only a few cells keep from being values, which these are."""
    for name in head.free():
        if name not in values and (stray := _word_among_numbers(head, name, head.cells(name))):
            word, where = stray
            mend = "Write a number there, or leave the cell empty when it is missing, to read it."
            head.tell("layout", f"column {name!r} was left out, for {word[:40]!r} ({where}) is no number. {mend}")


def _unread(head: Head, left: Sequence[str]) -> str:
    """What to tell of columns of text that were left out: they may hold times or names of series."""
    shown = ", ".join(f"{name!r} (such as {str(head.cells(name)[0])[:40]!r})" for name in left[:3])
    mend = "Write times such as 2024-01-31 if one of them holds times; set data.id if one names the series."
    return f" Left out, for it was read as no time: {shown}. {mend}" if left else ""


def _id(head: Head, times: tuple[str, ...]) -> tuple[str, ...]:
    if head.source.layout == "wide":
        return ()
    named = [name for name in head.named(ID_NAMES) if head.cells(name)]
    return tuple(name for name in named if not _counts_rows(head, name, times))[:1]


def _counts_rows(head: Head, name: str, times: tuple[str, ...]) -> bool:
    """Whether a column numbers the rows: such an "id" names no series."""
    cells = head.cells(name)
    if len(cells) < 3 or len(cells) < len(head.rows) or not all(map(is_number, cells)):
        return False
    moments = {tuple(str(row.values.get(time)) for time in times) for row in head.rows}
    counts = counts_up(cells) and (not times or len(moments) > 1)
    if counts:
        head.taken.add(name)
        head.tell("layout", f"column {name!r} only counts the rows and was left out.")
    return counts


def _values(head: Head, id: tuple[str, ...], times: tuple[str, ...]) -> tuple[str, ...]:
    if head.source.covariates_only:
        return ()
    if head.source.value:
        return (head.source.value,)
    if head.source.layout != "wide" and (named := head.named(_VALUE_NAMES)):
        return (named[0],)
    leading = [name for name in head.free() if times and name == head.names[0]]
    for name in dict.fromkeys([*head.named(_COUNTER_NAMES), *leading]):
        _counts_rows(head, name, ())
    empty = [name for name in head.free() if not head.cells(name)]
    late = head.later(empty) if empty else {}  # a product that was not sold yet
    numbers = tuple(name for name in head.free() if head.has_numbers(name) or is_amount(late.get(name)))
    if not numbers:
        _refuse_words(head)
    if len(numbers) > 1 and (id or head.source.layout == "long"):
        found = f"the columns {listed(numbers)} all hold numbers; expected one of them to be the values."
        mend = f"Set value in a config, such as value: {numbers[0]}."
        raise SeveralValuesError(found, where=head.source.path, mend=mend)
    return numbers


def _refuse_words(head: Head) -> NoReturn:
    """Where no column holds numbers, say what the first one holds instead."""
    found = f"no column of numbers is left among {listed(head.names)}, so there is nothing to forecast"
    mend = "Set value in a config to the name of the column to forecast."
    words = ((name, cell) for name in head.free() for cell in head.cells(name) if not is_amount(cell))
    if (first := next(words, None)) is not None:
        name, word = first
        cells = head.cells(name)
        found += f": in column {name!r} stands {str(word)[:60]!r}"
        pieces = str(cells[-1]).split()
        if len(head.names) == 1 and len(pieces) > 1 and is_number(pieces[-1]):
            mend = "Blanks are no separators: write commas between the cells, and one line of names above them."
        elif number := bare(word):
            units = {str(cell).strip().replace(bare(cell), "") for cell in cells}
            mend = (
                f"Write {number}, without what stands around it."
                if len(units) == 1
                else "Write all numbers in one unit, as 1234.5."
            )
        elif any(map(is_amount, cells)):
            mend = "Write a number, or leave the cell empty when it is missing."
    raise DataError(f"{found}.", where=head.source.path, mend=mend)


def _holds_words(head: Head, name: str, categories: Mapping[str, Sequence[str]] | None) -> bool:
    if name in head.source.id_columns:
        return True
    if categories is not None:
        return name in categories
    cells = head.cells(name) or list(head.later([name]).values())
    if stray := _word_among_numbers(head, name, cells):
        word, where = stray
        found = f"found {word[:80]!r} in column {name!r}, where most cells are numbers."
        raise DataError(found, where=where, mend="Write a number, or leave the cell empty when it is missing.")
    return not all(map(is_amount, cells))


def _word_among_numbers(head: Head, name: str, cells: Sequence[Any]) -> tuple[str, str] | None:
    """The first of a column's cells that is no number, and where it stands, if most are numbers."""
    words = [cell for cell in cells if not is_amount(cell)]
    if not words or 2 * len(words) >= len(cells):
        return None
    return str(words[0]), next(row.where for row in head.rows if row.values.get(name) is words[0])
