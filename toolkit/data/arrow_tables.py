"""The columns of a large plain file of series as arrays, read by Arrow in blocks."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.columns import Columns
from toolkit.data.csv_head import csv_head
from toolkit.data.numbers import MISSING
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Table, Words, joined, row_place, text_of

# Arrow takes 0.1 s to import, which reads 100,000 rows one by one.
LARGE = 4 << 20
_BLOCK = 8 << 20


def read_fast(source: SeriesSource, columns: Columns, names: Sequence[str], header: bool) -> Table | None:
    """The same table as `read_table` from a large plain file, in blocks; None where Arrow cannot read all of it.

    Args:
        names: of all columns, in their order in the file.
        header: whether the first row holds the names.
    """
    import pyarrow

    if len(columns.times) > 1 or columns.layout == "rows":
        return None
    parquet = _kind(source) == "parquet"
    batches = _parquet_batches(source, columns) if parquet else _csv_batches(source, columns, names, header)
    numbers: dict[str, list[np.ndarray]] = {name: [] for name in columns.as_numbers}
    words = {name: _Blocks() for name in columns.as_text}
    try:
        for batch in batches:
            for name, blocks in numbers.items():
                blocks.append(_plain(batch.column(name).cast(pyarrow.float64()), np.float64, np.nan))
            for name, column in words.items():
                column.add(batch.column(name))
    except (pyarrow.ArrowException, OSError, UnicodeError, KeyError):  # KeyError: a column inside an object
        return None  # the rows, read one by one, tell what is wrong and where
    read = {name: np.concatenate(numbers.pop(name) or [np.zeros(0)]) for name in list(numbers)}
    texts = {name: words.pop(name).finish() for name in list(words)}
    series = joined([texts[name] for name in columns.id]) if columns.id else None
    times = texts[columns.times[0]] if columns.times else None
    texts = {name: texts[name] for name in columns.words}
    values = [read.pop(name) for name in columns.values]
    count = len(values[0]) if values else len(times.codes) if times else 0
    return Table(count, series, times, values, read, texts, row_place(source, header))


def _plain(block: Any, kind: type, missing: float) -> np.ndarray:
    """The numbers of a block. (Its own `to_numpy` and `fill_null` import pandas, which takes 0.4 s.)"""
    valid, numbers = block.buffers()
    inside = slice(block.offset, block.offset + len(block))
    values: np.ndarray = np.frombuffer(numbers, kind)[inside]
    if not block.null_count:
        return values
    there = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[inside]
    return np.where(there, values, kind(missing))


def is_large(source: SeriesSource) -> bool:
    """Whether a file is one that `read_fast` is worth trying on."""
    kind = _kind(source)
    plain = source.encoding is None or source.encoding.lower().replace("-", "") == "utf8"
    if not os.path.isfile(source.path):
        return False
    return kind == "parquet" or (kind in ("csv", "tsv") and plain and os.path.getsize(source.path) >= LARGE)


def _kind(source: SeriesSource) -> str:
    return Path(source.path).suffix.lower().lstrip(".") if source.format == "auto" else source.format


class _Blocks:
    """A column of text that comes in blocks with a dictionary each."""

    def __init__(self) -> None:
        self._codes: list[np.ndarray] = []
        self._index: dict[str, int] = {}

    def add(self, block: Any) -> None:
        import pyarrow

        if not pyarrow.types.is_dictionary(block.type):
            if pyarrow.types.is_timestamp(block.type):
                block = block.cast(pyarrow.timestamp("us", block.type.tz), safe=False)
            block = block.dictionary_encode()
        texts = [text_of(cell) for cell in [*block.dictionary.to_pylist(), None]]
        codes = _plain(block.indices.cast(pyarrow.int32()), np.int32, len(texts) - 1)
        first = np.full(len(texts), len(codes))
        backwards = np.arange(len(codes))[::-1]
        first[codes[backwards]] = backwards  # where a code comes several times, the last to be written stays
        used = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(codes))]
        mapped = np.zeros(len(texts), np.int32)
        index = self._index
        mapped[used] = [index.setdefault(texts[code], len(index)) for code in used.tolist()]
        self._codes.append(mapped[codes])

    def finish(self) -> Words:
        return Words(np.concatenate(self._codes or [np.zeros(0, np.int32)]), list(self._index))


def _csv_batches(source: SeriesSource, columns: Columns, names: Sequence[str], header: bool) -> Iterator[Any]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    with open(source.path, encoding="utf-8-sig", newline="") as text:
        head, mark, skipped, _ = csv_head(text, header)
    skipped += len(list(itertools.takewhile(lambda line: not line.strip(), head)))
    mark = "\t" if _kind(source) == "tsv" else mark
    word = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    texts, numbers = columns.as_text, columns.as_numbers
    spellings = {form for each in MISSING for form in (each, each.upper(), each.title(), each.capitalize())}
    with arrow_csv.open_csv(
        source.path,
        arrow_csv.ReadOptions(block_size=_BLOCK, column_names=list(names), skip_rows=skipped + header),
        arrow_csv.ParseOptions(delimiter=mark, quote_char=False if _kind(source) == "tsv" else '"'),
        arrow_csv.ConvertOptions(
            column_types={**dict.fromkeys(texts, word), **dict.fromkeys(numbers, pyarrow.float64())},
            include_columns=[*texts, *numbers],
            null_values=[*spellings, "NaN"],
            strings_can_be_null=False,
        ),
    ) as batches:
        yield from batches


def _parquet_batches(source: SeriesSource, columns: Columns) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(source.path) as file:
        yield from file.iter_batches(batch_size=1 << 18, columns=[*columns.as_text, *columns.as_numbers])
