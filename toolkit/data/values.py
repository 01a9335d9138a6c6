"""Words of a text that are values in a database, with the columns that hold them."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from toolkit.errors import DataError

LONGEST = 8  # words of a value; what is longer is a text of its own and named by nobody
MOST_VALUES, MOST_COLUMNS = 200_000, 500
_LONGEST_CELL = 100  # characters


@dataclass(frozen=True)
class ColumnValues:
    """Which columns hold a value, whatever its case.

    Args:
        columns: their names, such as city_name; columns of several tables that share a name are one.
        values: from the words of a value, with a blank between two, to the columns (numbers in `columns`).
    """

    columns: list[str]
    values: dict[str, list[int]]

    @cached_property
    def longest(self) -> int:
        """The most words of a value."""
        return max((value.count(" ") + 1 for value in self.values), default=0)

    def group(self, words: Sequence[str]) -> tuple[list[str], list[list[int]]]:
        """The words with each value as one of them, and the columns of each: the longest value, the first of those that
        overlap."""
        lower, grouped, found, place = [word.lower() for word in words], list[str](), list[list[int]](), 0
        while place < len(words):
            ends = range(min(place + self.longest, len(words)), place, -1)
            end = next((end for end in ends if " ".join(lower[place:end]) in self.values), place + 1)
            grouped.append(" ".join(words[place:end]))
            found.append(self.values.get(grouped[-1].lower(), []))
            place = end
        return grouped, found

    def written(self, sources: Iterable[Sequence[str]], targets: Iterable[Sequence[str]]) -> Self:
        """The same without the columns whose values targets seldom write where their sources have them.

        "the mississippi river" is a lowest point too, but queries write "mississippi", a river: as one word, the source
        would not have what is to be copied. A column that no source has a value of stays.
        """
        found, copied = Counter[int](), Counter[int]()
        for source, target in zip(sources, targets, strict=True):
            text = f" {' '.join(target).lower()} "
            for value, columns in zip(*self.group(source), strict=True):
                found.update(columns)
                copied.update(columns if f" {value.lower()} " in text else ())
        kept = {column for column in range(len(self.columns)) if 2 * copied[column] >= found[column]}
        values = {value: [column for column in columns if column in kept] for value, columns in self.values.items()}
        return replace(self, values={value: columns for value, columns in values.items() if columns})

    def to_json(self) -> dict[str, Any]:
        return {"columns": self.columns, "values": self.values}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The reverse of `to_json`; ValueError, TypeError or KeyError for what it cannot have given."""
        columns, values = list(map(str, value["columns"])), dict(value["values"])
        if len(columns) > MOST_COLUMNS or len(values) > MOST_VALUES:
            raise ValueError("it has more values than any database that can be read")
        if not all(type(column) is int and 0 <= column < len(columns) for found in values.values() for column in found):
            raise ValueError("a value stands in a column that is not there")
        if any(value.count(" ") >= LONGEST for value in values):
            raise ValueError(f"a value has more than {LONGEST} words")
        return cls(columns, values)


def read_values(path: str | Path) -> ColumnValues:
    """The texts in an SQLite file, numbers left out.

    Raises:
        DataError: it is no database that can be read, or it holds more than MOST_VALUES texts.
    """
    where = str(path)
    if not Path(path).is_file():
        raise DataError("there is no such file; expected an SQLite database.", where=where, mend="Check the path.")
    found: dict[str, set[str]] = defaultdict(set)
    try:
        with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            for name, cell in _cells(connection):
                found[" ".join(cell.lower().split())].add(name)
                if len(found) > MOST_VALUES:
                    raise DataError(f"it holds more than {MOST_VALUES:,} texts.", where=where)
    except sqlite3.Error as error:
        raise DataError(f"cannot be read as an SQLite database ({error}).", where=where) from None
    columns = sorted({name for names in found.values() for name in names})[:MOST_COLUMNS]
    numbers = {name: number for number, name in enumerate(columns)}
    values = {value: sorted(numbers[name] for name in names if name in numbers) for value, names in found.items()}
    return ColumnValues(columns, {value: places for value, places in sorted(values.items()) if places})


def _cells(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Column names and texts of all tables."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        quoted = table.replace('"', '""')
        for _, column, *_ in connection.execute(f'PRAGMA table_info("{quoted}")').fetchall():
            cells = connection.execute(f'SELECT DISTINCT "{column.replace(chr(34), chr(34) * 2)}" FROM "{quoted}"')
            for (cell,) in cells:
                if isinstance(cell, str) and _is_name(cell):
                    yield column.lower(), cell


def _is_name(cell: str) -> bool:
    if not 0 < len(cell) <= _LONGEST_CELL or len(cell.split()) > LONGEST:
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
