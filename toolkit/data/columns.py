"""What the columns of a file of series are, and the first rows, in which it is found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from toolkit.data.numbers import is_amount, is_missing
from toolkit.data.panel import Finding
from toolkit.data.rows import Row
from toolkit.data.sources import SeriesSource

Later = Callable[[Sequence[str]], Mapping[str, Any]]
ID_NAMES = ("unique_id", "item_id", "series_id", "ts_id", "series", "id", "ticker", "symbol", "sku")
MOST_NAMES = 3  # columns that together name a series


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


class Head:
    """The first rows of a file, and what has been found out about its columns.

    Attributes:
        names: of all columns, in the order of the file.
        taken: names of those whose part is known.
        findings: what is to be told.
    """

    def __init__(self, source: SeriesSource, rows: Sequence[Row], later: Later):
        """
        Args:
            later: from names of columns that hold nothing in these rows to the first cells that hold something, by
                name.
        """
        self.source = source
        self.rows = rows
        self.later = later
        self.names = list(dict.fromkeys(name for row in rows for name in row.values))
        asked = (*source.id_columns, source.time, source.value, *source.covariates, *source.statics)
        self.taken = {name for name in asked if name is not None}
        self.findings: list[Finding] = []

    def tell(self, kind: str, message: str, columns: tuple[str, ...] = ()) -> None:
        self.findings.append(Finding(kind, f"{self.source.path}: {message}", columns=columns))

    def cells(self, name: str) -> list[Any]:
        """What is not missing in a column."""
        return [row.values[name] for row in self.rows if not is_missing(row.values.get(name))]

    def has_numbers(self, name: str) -> bool:
        cells = self.cells(name)
        return bool(cells) and all(map(is_amount, cells))

    def has_words(self, name: str) -> bool:
        return not all(map(is_amount, self.cells(name)))

    def free(self) -> list[str]:
        return [name for name in self.names if name not in self.taken]

    def named(self, wanted: Sequence[str]) -> list[str]:
        """Free columns of these names, in the order of the names; case does not matter."""
        return [name for each in wanted for name in self.free() if name.strip().lower() == each]


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown
