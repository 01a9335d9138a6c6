"""The columns of a file of series as arrays, read row by row."""

import itertools
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from toolkit.data.columns import Columns
from toolkit.data.looks import is_year
from toolkit.data.months import QUARTERS, number_of_month
from toolkit.data.numbers import NumberColumn, is_missing
from toolkit.data.panel import SEPARATOR, Finding
from toolkit.data.rows import Row, Source, read_rows
from toolkit.data.sources import SeriesSource
from toolkit.data.time_columns import HOURS
from toolkit.errors import DataError

# Of a column that a time is put together from.
_MARKS = {"quarter": "Q", "week": "W", **dict.fromkeys(HOURS, "H")}


class Words(NamedTuple):
    """A column of text: `words[codes[row]]`, words in the order of first appearance."""

    codes: np.ndarray
    words: list[str]

    def take(self, rows: np.ndarray) -> "Words":
        """Some of the rows, in their order, and only the words that these have."""
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        return Words(codes.astype(np.int32), [self.words[code] for code in used.tolist()])


def codes_of(columns: Sequence[Words]) -> np.ndarray:
    """A number (rows,) for the texts of several columns, equal where all of them are; from 0 on, without gaps."""
    codes = np.zeros(len(columns[0].codes), np.int64)
    for column in columns:
        codes = np.unique(codes * len(column.words) + column.codes, return_inverse=True)[1]
    return codes


def joined(columns: Sequence[Words]) -> Words:
    """The texts of several columns as one; "" where all of them are."""
    if len(columns) == 1:
        return columns[0]
    _, rows, codes = np.unique(codes_of(columns), return_index=True, return_inverse=True)
    order = np.argsort(rows)  # of first appearance
    texts = [[column.words[column.codes[row]] for column in columns] for row in rows[order].tolist()]
    words = [SEPARATOR.join(parts) if any(parts) else "" for parts in texts]
    return Words(np.argsort(order)[codes].astype(np.int32), words)


@dataclass(frozen=True)
class Table:
    """Rows of a file, or values of it one by one when a row is a series.

    Args:
        rows: how many.
        series: names, None when the file does not tell them.
        times: as written, None when they are counted.
        values: one array (rows,) a column of values.
        numbers: other columns of numbers (rows,).
        words: other columns of text.
        place: from the position of a row to where it stands.
    """

    rows: int
    series: Words | None
    times: Words | None
    values: list[np.ndarray]
    numbers: dict[str, np.ndarray]
    words: dict[str, Words]
    place: Callable[[int], str]


def text_of(cell: Any) -> str:
    """A cell as a name or a time: without blanks around it, 1.0 as 1, nothing as ""."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, date):
        return cell.isoformat()
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


class _WordColumn:
    def __init__(self) -> None:
        self.codes = array("i")
        self.index: dict[str, int] = {}

    def add(self, text: str) -> None:
        self.codes.append(self.index.setdefault(text, len(self.index)))

    def finish(self) -> Words:
        return Words(np.frombuffer(self.codes, np.int32), list(self.index))


def read_table(rows: Iterator[Row], columns: Columns, place: Callable[[int], str]) -> tuple[Table, list[Finding]]:
    """All rows, in 8 bytes a number and 4 bytes a text.

    Raises:
        DataError: naming file and line of what is no number.
    """
    numbers = {name: NumberColumn(name) for name in columns.as_numbers}
    words = {name: _WordColumn() for name in (*columns.id, *columns.words)}
    times, count = _WordColumn(), 0
    mark = _MARKS.get(columns.times[1].strip().lower(), "") if len(columns.times) == 2 else ""
    for row in rows:
        cells = row.values
        count += 1
        for name, number in numbers.items():
            number.add(cells.get(name), row.where)
        for name, word in words.items():
            word.add(text_of(cells.get(name)))
        if columns.times:
            times.add(_time_text([text_of(cells.get(name)) for name in columns.times], mark))
    findings: list[Finding] = []
    read = {name: _numbers(column, findings) for name, column in numbers.items()}
    texts = {name: column.finish() for name, column in words.items()}
    series = joined([texts[name] for name in columns.id]) if columns.id else None
    values = [read.pop(name) for name in columns.values]
    texts = {name: texts[name] for name in columns.words}
    return Table(count, series, times.finish() if columns.times else None, values, read, texts, place), findings


def _numbers(column: NumberColumn, findings: list[Finding]) -> np.ndarray:
    values, note = column.finish()
    if note:
        findings.append(Finding("decimals", note))
    return values


def _time_text(parts: Sequence[str], mark: str) -> str:
    """One text of the columns that a time is put together from: a date and a clock, or year, month, day, ..., or what
    has this mark: a date and the number of an hour, or a year and that of a quarter or a week."""
    if len(parts) == 1 or not any(parts):
        return parts[0]
    parts = [part or "?" for part in parts]  # which is no number, where nothing might be read as 0
    if mark == "H":
        return f"{parts[0]} {parts[1].zfill(2)}:00"
    if mark:
        return f"{parts[0]}-{mark}{parts[1].upper().lstrip(mark).zfill(2 if mark == 'W' else 1)}"
    if ":" in parts[1] or parts[1].count(".") == 2:
        return " ".join(parts)
    month = parts[1].zfill(2) if parts[1].isdecimal() else number_of_month(parts[1]) or parts[1]
    day = "-".join([parts[0], month, *(part.zfill(2) for part in parts[2:3])])
    clock = ":".join(part.zfill(2) for part in [*parts[3:], "00"][:2])
    return f"{day} {clock}" if len(parts) > 3 else day


def read_series_rows(rows: Iterator[Row], columns: Columns, place: Callable[[int], str]) -> tuple[Table, list[Finding]]:
    """A file of one series a row; empty cells at the end of a row are the end of its series. Its times are the names of
    the columns where these are times."""
    names, parts = _WordColumn(), list[np.ndarray]()
    values, written = NumberColumn("values"), list[int]()  # rows that need more than NumPy to be read, all in one way
    statics = {name: NumberColumn(name) for name in columns.numbers}
    words = {name: _WordColumn() for name in columns.words}
    findings: list[Finding] = []
    for row in rows:
        named = [text_of(row.values.get(column)) for column in columns.id]
        names.add(SEPARATOR.join(named) if any(named) else "")
        if len(names.index) < len(names.codes):
            mend = "Give every series its own name."
            raise DataError(
                f"the series {list(names.index)[names.codes[-1]]!r} is there twice.", where=row.where, mend=mend
            )
        cells = [row.values.get(name) for name in columns.values]
        while len(cells) > 1 and is_missing(cells[-1]):
            cells.pop()
        try:
            parts.append(np.array(cells, np.float64))
        except (TypeError, ValueError):
            for cell in cells:
                values.add(cell, row.where)
            written.append(len(parts))
            parts.append(np.empty(len(cells)))
        for name, number in statics.items():
            number.add(row.values.get(name), row.where)
        for name, word in words.items():
            word.add(text_of(row.values.get(name)))
    lengths = [len(part) for part in parts]
    ends = np.cumsum([lengths[k] for k in written], dtype=int)
    for k, part in zip(written, np.split(_numbers(values, findings), ends), strict=False):
        parts[k] = part
    of = np.repeat(np.arange(len(parts)), lengths)
    series, times = Words(of.astype(np.int32), list(names.index)), None
    if columns.times:
        steps = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        times = Words(steps, list(columns.times[: max(lengths)]))
    numbers = {name: _numbers(column, findings)[of] for name, column in statics.items()}
    texts = {name: Words(column.finish().codes[of], list(column.index)) for name, column in words.items()}
    return Table(
        len(of), series, times, [np.concatenate(parts)], numbers, texts, lambda row: place(int(of[row]))
    ), findings


def read_years(rows: Iterator[Row], columns: Columns, place: Callable[[int], str]) -> tuple[Table, list[Finding]]:
    """A file of one year a row, and one month or quarter a column."""
    year, *parts = columns.times
    mark = "Q" if len(parts) == QUARTERS else ""
    names, times, values = _WordColumn(), _WordColumn(), NumberColumn("values")
    for row in rows:
        named = [text_of(row.values.get(column)) for column in columns.id]
        number = text_of(row.values.get(year))
        for part, column in enumerate(parts, 1):
            names.add(SEPARATOR.join(named) if any(named) else "")
            times.add(f"{number}-{mark}{part:0{1 if mark else 2}d}" if is_year(number) else number)
            values.add(row.values.get(column), row.where)
    findings: list[Finding] = []
    series, read = names.finish() if columns.id else None, _numbers(values, findings)
    return Table(len(read), series, times.finish(), [read], {}, {}, lambda value: place(value // len(parts))), findings


def without_blank_rows(table: Table) -> tuple[Table, list[Finding]]:
    """The same without rows that hold nothing at all, as spreadsheets leave them at the end. Where rows are counted, a
    blank one is a step without a value and stays."""
    if table.times is None:
        return table, []
    blank = np.ones(table.rows, bool)
    for texts in (table.times, table.series, *table.words.values()):
        if texts is not None:
            blank &= np.array([not word for word in texts.words], bool)[texts.codes]
    for numbers in (*table.values, *table.numbers.values()):
        blank &= np.isnan(numbers)
    if not blank.any():
        return table, []
    kept, first = np.flatnonzero(~blank), table.place(int(np.argmax(blank)))
    found = f"rows with nothing in them: {blank.sum():,}, the first at {first}; they were left out."
    return Table(
        len(kept),
        table.series and table.series.take(kept),
        table.times.take(kept),
        [values[kept] for values in table.values],
        {name: numbers[kept] for name, numbers in table.numbers.items()},
        {name: texts.take(kept) for name, texts in table.words.items()},
        lambda row: table.place(int(kept[row])),
    ), [Finding("layout", found)]


def row_place(source: SeriesSource, header: bool) -> Callable[[int], str]:
    """From the position of a row to where it stands: the file is read again up to there."""

    def place(row: int) -> str:
        if not os.path.isfile(source.path):
            return f"{source.path}:row {row + 1}"  # a pipe is read once
        rows = read_rows(Source(source.path, source.format, header, source.encoding))
        return next(itertools.islice(rows, row, None)).where

    return place
