"""Words of a text that are values in a database, with the columns that hold them."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from toolkit.errors import DataError, expect

LONGEST = 8  # words of a value; what is longer is a text of its own and named by nobody
MOST_VALUES, MOST_COLUMNS = 200_000, 500
_LONGEST_CELL = 100  # characters


@dataclass(frozen=True)
class ColumnValues:
    """Which columns hold a value, whatever its case.

    Args:
        columns: their names, such as city_name; columns of several tables that share a name are one.
        values: from the words of a value as texts have them, in lower case with a blank between two, to the columns
            (numbers in `columns`).
        spellings: the words of the same values as they are to be written; of others, as they are asked for.
    """

    columns: list[str]
    values: dict[str, list[int]]
    spellings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for what `read_values` cannot have read."""
        few = len(self.columns) <= MOST_COLUMNS and len(self.values) <= MOST_VALUES
        expect(few, "it has more values than any database that can be read")
        there = (0 <= column < len(self.columns) for found in self.values.values() for column in found)
        expect(all(there), "a value stands in a column that is not there")
        expect(all(value.count(" ") < LONGEST for value in self.values), f"a value has more than {LONGEST} words")
        spelled = (word in self.values and _letters(text) == _letters(word) for word, text in self.spellings.items())
        expect(all(spelled), "a value is spelled as another one")

    @cached_property
    def longest(self) -> int:
        """The most words of a value."""
        return max((value.count(" ") + 1 for value in self.values), default=0)

    def group(self, words: Sequence[str]) -> tuple[list[str], list[list[int]]]:
        """The words with each value as one of them, spelled as it is to be written, and the columns of each: the
        longest value, the first of those that overlap."""
        lower, grouped, found, place = [word.lower() for word in words], list[str](), list[list[int]](), 0
        while place < len(words):
            ends = range(min(place + self.longest, len(words)), place, -1)
            end = next((end for end in ends if " ".join(lower[place:end]) in self.values), place + 1)
            value = " ".join(lower[place:end])
            grouped.append(self.spellings.get(value, " ".join(words[place:end])))
            found.append(self.values.get(value, []))
            place = end
        return grouped, found

    def written(self, sources: Iterable[Sequence[str]], targets: Iterable[Sequence[str]]) -> Self:
        """The same without the columns whose values targets seldom write where their sources have them, and without
        spellings where targets write values more often as sources do.

        "the mississippi river" is a lowest point too, but queries write "mississippi", a river: as one word, the source
        would not have what is to be copied. A column that no source has a value of stays.
        """
        found, copied, stored = Counter[int](), Counter[int](), 0
        asked_for = replace(self, spellings={})
        for source, target in zip(sources, targets, strict=True):
            text = f" {' '.join(target)} "
            lower = text.lower()
            for asked, value, columns in zip(asked_for.group(source)[0], *self.group(source), strict=True):
                found.update(columns)
                copied.update(columns if f" {value.lower()} " in lower else ())
                stored += (f" {value} " in text) - (f" {asked} " in text)
        kept = {column for column in range(len(self.columns)) if 2 * copied[column] >= found[column]}
        values = {value: [column for column in columns if column in kept] for value, columns in self.values.items()}
        values = {value: columns for value, columns in values.items() if columns}
        spellings = self.spellings if stored >= 0 else {}
        return replace(
            self, values=values, spellings={value: spellings[value] for value in values if value in spellings}
        )


def read_values(
    path: str | Path, split: Callable[[Sequence[str]], list[list[str]]], read: Callable[[str], str] = str
) -> ColumnValues:
    """The texts in an SQLite file, numbers left out.

    Args:
        split: texts into words, as it is done with the texts that values are looked for in: "st. louis" may be three.
        read: what of a text is read before it is split; what stands in the database is written.

    Raises:
        DataError: it is no database that can be read, or it holds more than MOST_VALUES texts.
    """
    where = str(path)
    if not Path(path).is_file():
        raise DataError("there is no such file; expected an SQLite database.", where=where, mend="Check the path.")
    cells: dict[str, set[str]] = defaultdict(set)
    try:
        with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            for name, cell in _cells(connection):
                cells[cell].add(name)
                if len(cells) > MOST_VALUES:
                    raise DataError(f"it holds more than {MOST_VALUES:,} texts.", where=where)
    except sqlite3.Error as error:
        raise DataError(f"cannot be read as an SQLite database ({error}).", where=where) from None
    columns = sorted({name for names in cells.values() for name in names})[:MOST_COLUMNS]
    numbers = {name: number for number, name in enumerate(columns)}
    found, written = defaultdict[str, set[int]](set), defaultdict[str, set[str]](set)
    for names, words, spelled in zip(cells.values(), split([*map(read, cells)]), split([*cells]), strict=True):
        places, value = {numbers[name] for name in names if name in numbers}, " ".join(words).lower()
        if places and 0 < len(words) <= LONGEST:
            found[value] |= places
            written[value].add(" ".join(spelled))
    values = {value: sorted(places) for value, places in sorted(found.items())}
    return ColumnValues(columns, values, {value: min(written[value]) for value in values if len(written[value]) == 1})


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


def _letters(text: str) -> str:
    """Without marks, which a text may be read without."""
    return "".join(filter(str.isalnum, text.lower()))


def _is_name(cell: str) -> bool:
    if not 0 < len(cell) <= _LONGEST_CELL or len(cell.split()) > LONGEST:
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
