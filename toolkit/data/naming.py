"""Which columns name the series, where several rows of a time show that the file holds several."""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from toolkit.data.columns import MOST_NAMES, Columns
from toolkit.data.files import split_part
from toolkit.data.numbers import is_amount, is_missing
from toolkit.data.series_tables import open_series, read_columns
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Words, codes_of, text_of

_ROWS = 100_000  # that are looked at
_DUPLICATES = 0.05  # share of the rows that may be repeated all the same
_FILLED = 0.25  # share of the times that a series has on average, two at least: values, all different, have one each


def find_naming(source: SeriesSource, times: tuple[str, ...], values: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The columns of a file that tell apart the rows of one time; () of none, and of a pipe, which is read once.

    Of as many columns, those of text go before those of integers.

    Args:
        values: columns that were read as values; one of them stays.
    """
    if not times or not split_part(source.path)[0].is_file():
        return ()
    file = open_series(source)
    cells = {name: [text_of(row.values.get(name)) for row in file.head] for name in file.head[0].values}
    taken = {*times, *source.covariates, *(values if len(values) == 1 else ())}
    free = [name for name in cells if name not in taken]
    words = [name for name in free if not all(is_amount(cell) or is_missing(cell) for cell in cells[name])]
    integers = [name for name in free if all(cell.lstrip("-").removesuffix(".0").isdecimal() for cell in cells[name])]
    table, _ = read_columns(source, Columns("long", (), times, (), words=(*words, *integers)), file)
    assert table.times is not None
    found = naming_columns(table.times, table.words)
    return () if values and set(values) <= set(found) else tuple(name for name in cells if name in found)


def naming_columns(times: Words, columns: Mapping[str, Words]) -> tuple[str, ...]:
    """The fewest columns whose names tell apart the rows of one time, in the order of `columns`; () if none do.

    Shapes: times and each of the columns have `codes` (rows,)

    Args:
        columns: those that may name series; of several answers the first counts.
    """
    rows = _of_some_times(times.codes)
    _, moments, held = np.unique(times.codes[rows], return_inverse=True, return_counts=True)
    different, filled = (1 - _DUPLICATES) * len(rows), max(2, _FILLED * len(held))
    looked = {name: column.take(rows) for name, column in columns.items()}
    kept = {name: column for name, column in looked.items() if 1 < len(column.words) <= len(rows) / filled}
    for many in range(1, MOST_NAMES + 1):
        for names in itertools.combinations(kept, many):
            if all("" in kept[name].words for name in names):
                continue  # a part of a name may be blank, but not all of it
            most = math.prod(len(kept[name].words) for name in names)
            if np.minimum(held, most).sum() < different:
                continue  # too few names, which takes no time to see
            codes = codes_of([kept[name] for name in names])
            series = int(codes.max()) + 1
            if filled * series <= len(rows):
                pairs = len(np.unique(moments * series + codes))
                if pairs >= max(different, filled * series):
                    return names
    return ()


def _of_some_times(codes: np.ndarray) -> np.ndarray:
    """All rows of as many times, evenly spread, as have about `_ROWS` together; at least of ten."""
    many = int(codes.max(initial=-1)) + 1
    shown = max(10, many * _ROWS // max(len(codes), 1))
    chosen = np.zeros(many, bool)
    chosen[np.unique(np.linspace(0, many - 1, min(shown, many)).astype(int))] = True
    return np.flatnonzero(chosen[codes])
