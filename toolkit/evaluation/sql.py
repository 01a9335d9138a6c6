"""Whether SQL queries give the right results on an SQLite database: execution accuracy.

Queries come from a model, so they may ask for anything. A database reads and never writes, and every query is bounded
in time, memory and rows.
"""

import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from toolkit.errors import DataError

MOST_ROWS = 10_000
MOST_BYTES = 10_000_000  # of text in one result
MOST_MEMORY = 100_000_000  # bytes of all of SQLite, which has one bound for the whole process

_LONGEST_VALUE = 100_000  # bytes; it also bounds the time of the one step that a time limit cannot interrupt
_LONGEST_QUERY = 100_000  # bytes
_STEPS = 100  # between two looks at the clock
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_UNSAFE_FUNCTIONS = {"load_extension", "fts3_tokenizer"}  # both can run code
_TOLERANCE = 1e-6

# Strings, names and comments are matched so that what is inside them is passed over.
_ORDER = re.compile(
    r"""'[^']*' | "[^"]*" | `[^`]*` | \[[^]]*] | --[^\n]* | /\*.*?(?:\*/|\Z) | [()] | \border\b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Failure:
    """Why a query gave no result: what SQLite says, or which bound it passed."""

    reason: str


class Result(NamedTuple):
    """What a query gives; the number of columns tells results without rows apart."""

    columns: int
    rows: list[Row]


class Database:
    """An SQLite file that answers queries and never changes, to be used in a `with` statement.

    Args:
        path: the file; what a writer has not yet merged into it (its -wal) is not seen.
        seconds: the longest that a query may take.

    Raises: DataError when there is no such file, or it is no database with tables.
    """

    def __init__(self, path: str | Path, *, seconds: float = 5.0):
        if not Path(path).is_file():
            raise DataError(
                "there is no such file; expected an SQLite database.", where=str(path), mend="Check the path."
            )
        self._seconds, self._deadline, self._forbidden = seconds, math.inf, False
        try:
            self._connection = self._connect(Path(path))
        except sqlite3.Error as error:
            mend = "Name the database that the queries are about."
            raise DataError(f"cannot be read as an SQLite database ({error}).", where=str(path), mend=mend) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def run(self, query: str) -> Result | Failure:
        """All rows of a query's result, or why there are none to compare; nothing is raised, whatever the query."""
        with closing(self._connection.cursor()) as cursor:  # raises when the database is closed: not the query's fault
            self._deadline, self._forbidden = time.monotonic() + self._seconds, False
            try:
                cursor.execute(query)
                return self._fetch(cursor) if cursor.description else Failure("it is no query")
            # What is no SQL at all: half an emoji is a ValueError, and two statements are a Warning in Python 3.11.
            except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
                return Failure(self._reason(error))

    def same_result(self, predicted: str, references: Sequence[str]) -> bool:
        """Whether a query gives the same rows as any of the references.

        Rows count in any order, unless the reference sorts them; columns count in their order, whatever their names.
        Floats may differ by a relative 1e-6. A query that fails has no result, so it matches nothing, even itself.
        """
        found = self.run(predicted)
        if isinstance(found, Failure):
            return False
        for reference in references:
            expected = self.run(reference)
            if isinstance(expected, Failure) or found.columns != expected.columns:
                continue
            if _same_rows(found.rows, expected.rows, ordered=_is_sorted(reference)):
                return True
        return False

    def failing(self, references: Iterable[Sequence[str]]) -> list[str]:
        """Why the first reference fails, of each row where all do, so that no prediction can be right."""
        failed = []
        for each in references:
            results = [self.run(query) for query in each]
            reasons = [result.reason for result in results if isinstance(result, Failure)]
            failed += reasons[:1] if len(reasons) == len(results) else []
        return failed

    def _connect(self, path: Path) -> sqlite3.Connection:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            connection.execute("PRAGMA temp_store = MEMORY")  # so that sorting cannot fill the disk
            connection.execute(f"PRAGMA hard_heap_limit = {MOST_MEMORY}")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_QUERY)
            connection.set_authorizer(self._authorize)
            connection.set_progress_handler(self._is_late, _STEPS)
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                raise sqlite3.DatabaseError("it has no tables")
        except BaseException:
            connection.close()
            raise
        return connection

    def _fetch(self, cursor: sqlite3.Cursor) -> Result | Failure:
        rows, size = [], 0
        for row in cursor:
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) > MOST_ROWS:
                return Failure(f"it gives more than {MOST_ROWS:,} rows")
            if size > MOST_BYTES:
                return Failure(f"it gives more than {MOST_BYTES / 1e6:,.0f} MB")
        return Result(len(cursor.description), rows)

    def _reason(self, error: Exception) -> str:
        if self._is_late():
            return f"it takes longer than {self._seconds:g} seconds"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from None  # SQLite swallows the Ctrl-C that came while the clock was read
        if isinstance(error, MemoryError):
            return f"it needs more than {MOST_MEMORY / 1e6:,.0f} MB of memory"
        return "it does more than read tables" if self._forbidden else str(error)

    def _authorize(self, action: int, _: str | None, name: str | None, *__: str | None) -> int:
        if action in _READING or (action == sqlite3.SQLITE_FUNCTION and name not in _UNSAFE_FUNCTIONS):
            return sqlite3.SQLITE_OK
        self._forbidden = True
        return sqlite3.SQLITE_DENY

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


def execution_accuracy(database: Database, predicted: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Which predicted queries give the same rows as any reference of their row. Shapes: -> (rows,) of bool.

    Two wrong queries can agree, most of all where the right result is empty, so this is an upper bound.

    Reference: Zhong et al. 2017, arXiv:1709.00103, section 3.1; Zhong et al. 2020, arXiv:2010.02840 on its flaws
    """
    pairs = zip(predicted, references, strict=True)
    return np.array([database.same_result(query, each) for query, each in pairs], dtype=bool)


def _is_sorted(query: str) -> bool:
    """Whether a query has an ORDER BY of its own, not one of a query or window inside it."""
    depth = 0
    for match in _ORDER.finditer(query):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if depth == 0 and match.group().lower() == "order":
            return True
    return False


def _same_rows(first: list[Row], second: list[Row], *, ordered: bool) -> bool:
    rows = [*first, *second]
    if len(first) != len(second):
        return False
    merged = list(zip(*(_merge_near(column) for column in zip(*rows, strict=True)), strict=True))
    left, right = merged[: len(first)], merged[len(first) :]
    return left == right if ordered else Counter(left) == Counter(right)


def _merge_near(column: Row) -> list[Any]:
    """The values, where floats are replaced by the least number within the tolerance, so that near ones are equal.

    Comparing rows in pairs would not do: which rows belong together depends on which of their numbers are equal.
    """
    merged: dict[float, float] = {}
    least = math.nan
    for value in sorted({value for value in column if isinstance(value, int | float)}):
        integers = isinstance(value, int) and isinstance(least, int)
        if integers or not math.isclose(value, least, rel_tol=_TOLERANCE):
            least = value
        merged[value] = least
    return [merged.get(value, value) for value in column]
