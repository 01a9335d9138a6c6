"""Files of series as tables: what their columns are is found, and they are read."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from toolkit.data.arrow_tables import is_large, read_fast
from toolkit.data.columns import Columns
from toolkit.data.files import ending, split_part
from toolkit.data.find_columns import find_columns
from toolkit.data.looks import looks_like_data
from toolkit.data.numbers import is_missing
from toolkit.data.panel import Finding
from toolkit.data.rows import Row, Source, read_rows
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Table, read_series_rows, read_table, read_years, row_place, without_blank_rows

_HEAD = 1000


class Opened(NamedTuple):
    """A file whose first rows are read: these, those after them, and whether names of columns stand above them."""

    head: list[Row]
    rest: Iterator[Row]
    header: bool


def open_series(source: SeriesSource) -> Opened:
    rows = read_rows(Source(source.path, source.format, True, source.encoding))
    head = list(itertools.islice(rows, _HEAD))
    names = list(head[0].values)
    if not (_is_delimited(source) and looks_like_data(names)):
        return Opened(head, rows, True)
    first = Row(f"{source.path}:1", {name: name for name in names})
    rows = _numbered(itertools.chain([first], head, rows))
    return Opened(list(itertools.islice(rows, _HEAD)), rows, False)


def read_series_table(
    source: SeriesSource, categories: Mapping[str, Sequence[str]] | None
) -> tuple[Table, Columns, list[Finding]]:
    """The table of a file, what its columns are, and what was odd about them."""
    file, findings = open_series(source), list[Finding]()
    if not file.header:
        told = f"{source.path}: the first row holds data, so columns are called 0, 1, 2, ..."
        findings.append(Finding("layout", told))
    columns, told_columns = find_columns(source, file.head, categories, partial(_first_cells, source, file.header))
    table, told_table = read_columns(source, columns, file)
    table, told_blank = without_blank_rows(table)
    return table, columns, [*findings, *told_columns, *told_table, *told_blank]


def read_columns(source: SeriesSource, columns: Columns, file: Opened) -> tuple[Table, list[Finding]]:
    """These columns of a file that was opened, and what was odd about them."""
    if is_large(source) and (table := read_fast(source, columns, list(file.head[0].values), file.header)):
        return table, []
    read = {"rows": read_series_rows, "years": read_years}.get(columns.layout, read_table)
    return read(itertools.chain(file.head, file.rest), columns, row_place(source, file.header))


def _first_cells(source: SeriesSource, header: bool, names: Sequence[str]) -> dict[str, Any]:
    """The first cells behind the head that hold something, of these columns; of a pipe, which is read once, none."""
    found: dict[str, Any] = {}
    if split_part(source.path)[0].is_file():
        rows = read_rows(Source(source.path, source.format, header, source.encoding))
        for row in itertools.islice(rows, _HEAD, None):
            cells = {name: row.values.get(name) for name in names if name not in found}
            found |= {name: cell for name, cell in cells.items() if not is_missing(cell)}
            if len(found) == len(names):
                break
    return found


def _numbered(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows of a file without names of columns, by their numbers."""
    for row in rows:
        yield Row(row.where, {str(column): cell for column, cell in enumerate(row.values.values())})


def _is_delimited(source: SeriesSource) -> bool:
    kind = ending(source.path).lstrip(".") if source.format == "auto" else source.format
    return kind in ("csv", "tsv")
