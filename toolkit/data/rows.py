"""Rows of text tables: streamed in constant memory, each with its place, in the encoding that it was written in."""

import difflib
import itertools
import os
import random
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from toolkit.data.delimited import csv_table, listed, refuse_duplicates, tsv_table
from toolkit.data.documents import ARCHIVES, read_labelled
from toolkit.data.files import (
    bounded_lines,
    ending,
    explained,
    foreign,
    open_binary,
    open_text,
    require,
    split_part,
)
from toolkit.data.json_rows import flat, json_lines, json_rows
from toolkit.errors import ConfigError, DataError

T = TypeVar("T")
Format = Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "folder", "lines"]

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "lines",
}
TABLES = tuple(name for name, kind in _FORMATS.items() if kind != "lines")  # endings of files that hold tables
_LABELS = re.compile(r"((?:__label__\S+\s*)+|\S+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        path: a file, a folder or an archive; `data.json#train` is the list under that key, `news.tar.gz#data/train`
            the folder inside the archive.
        format: `auto` goes by the name, with .gz, .xz or .bz2 on top of it or not.
        header: whether the first row of a csv or tsv file names the columns; without one they are "0", "1", ...
        encoding: of the text; None reads UTF-8 and UTF-16 with a mark, and guesses aloud when a file is neither.
    """

    path: str
    format: Format = "auto"
    header: bool = True
    encoding: str | None = None


class Row(NamedTuple):
    """One row and its place, such as `train.csv:14`, `x.parquet:row 7` or `folder/spam/3.txt`."""

    where: str
    values: dict[str, Any]


def read_rows(source: Source) -> Iterator[Row]:
    """Yield the rows of `source` in order, in constant memory (only a JSON document is loaded whole).

    - csv: RFC 4180 quoting; the first of comma, `;`, tab and `|` that gives the first two lines as many cells, or else
      that the first line has.
    - tsv: no quoting at all: a quote is a character like any other, and a cell holds no tab and no line break.
    - jsonl: a row a line; json: a list of rows, or a row a line too. A row is an object, or a list whose columns are
      "0", "1", ...; what is inside an object of a row, of Parquet too, is a column of its own, such as translation.en.
    - lines: as fastText has them: the first word is the label (`__label__` is dropped, several make a list), the rest
      the text.
    - folder: one sub-folder a label, one file a text, in sorted order; in an archive, in the order of the archive.

    Raises:
        DataError: naming file and line, when a file is missing, empty, damaged or not what it should be.
        ConfigError: when the format or the encoding cannot be what the source asks for.
    """
    path, part = split_part(source.path)
    rows: Iterator[Row]
    row = None
    with explained(source.path):
        kind = _format(source, path, part)
        match kind:
            case "folder":
                documents = read_labelled(path, part, source.encoding)
                rows = (Row(where, {"text": text, "label": label}) for where, label, text in documents)
            case "parquet":
                rows = _parquet_rows(path)
            case _:
                rows = _text_rows(path, part, kind, source)
        for row in rows:
            yield row
    if row is None:
        wanted = "one sub-folder a label with one text file a document" if kind == "folder" else "at least one row"
        mend = _file_inside(path, part) if kind == "folder" else "Is this the right path?"
        raise DataError(f"nothing to read here; expected {wanted}.", where=source.path, mend=mend)


def _file_inside(path: Path, part: str) -> str:
    """What may be meant by a folder or an archive that holds no folder of a label."""
    if not path.is_dir():
        return "Of an archive that holds a table, unpack it and name the table."
    files = [file for file in (path / part).iterdir() if file.is_file() and not file.name.startswith(".")]
    order = sorted(files, key=lambda file: (ending(str(file)) not in _FORMATS, "train" not in file.name, file.name))
    return f"Name a file in it, such as {order[0]}." if order else "Is this the right path?"


def read_cell(row: Row, column: str, option: str) -> Any:
    """What a row holds in a column, None for nothing.

    Raises:
        DataError: there is no such column; `option` is what names it.
    """
    if column in row.values:
        value = row.values[column]
        return None if value != value else value  # NaN, with which tables say that there is nothing
    if any(value is None and column.startswith(f"{name}.") for name, value in row.values.items()):
        return None  # of an object that is not there
    near = difflib.get_close_matches(column, row.values, n=1)
    columns = f"The columns are {listed(row.values)}; in a table without a header they are 0, 1, ..."
    mend = f"Did you mean {near[0]}?" if near else columns
    raise DataError(f"there is no column {column!r} ({option}).", where=row.where, mend=mend)


def text_column(asked: str | None, learned: str, header: bool) -> tuple[str, bool]:
    """The column of texts in tables, and whether names stand above: those of training but for what is asked."""
    if not asked:
        return learned, header
    named = header and learned.isdecimal()  # training read numbers as names, as pandas writes them
    return asked, named or not asked.isdecimal()


def refuse_column(paths: Sequence[str]) -> None:
    """Raise where a column is asked for though none of these is a table or a folder, which may hold some."""
    if not any(os.path.isdir(path) or ending(path) in TABLES for path in paths):
        mend = "Leave it out, or write the table to a file whose name tells its format, such as texts.csv."
        raise ConfigError("none of these is read as a table, so none has columns.", where="--column", mend=mend)


def as_text(cell: Any, row: Row, option: str) -> str:
    """What a cell of a row says, nothing where it holds nothing.

    Raises:
        DataError: it holds what no one wrote as text, such as a list.
    """
    if isinstance(cell, dict | list | bytes):
        found = f"found {str(cell)[:60]!r}, expected a text or a number."
        raise DataError(found, where=row.where, mend=f"Name another column with {option}.")
    text = "" if cell is None or cell != cell else str(cell)
    return text.encode("utf-8", "replace").decode()  # JSON can spell halves of characters, which no file can hold


def are_numbers(names: Iterable[str]) -> bool:
    """Whether these are the names 0, 1, 2, ... that pandas gives to columns without one, perhaps with an index."""
    given = [name for name in names if name]
    return bool(given) and given == [str(column) for column in range(len(given))]


def drawn(rows: Iterable[T], most: int) -> tuple[list[T], int]:
    """At most so many of the rows, each as likely as any other, and how many there are.

    Files are sorted, by length or by label, so that their first rows are not like the others.
    """
    kept, count, draws = list[T](), 0, random.Random(1)
    for count, row in enumerate(rows, 1):
        if count <= most:
            kept.append(row)
        elif (place := draws.randrange(count)) < most:
            kept[place] = row
    return kept, count


def _format(source: Source, path: Path, part: str) -> str:
    require(path)
    kind: str = source.format
    if kind == "auto":
        folder = path.is_dir() or path.name.lower().endswith(ARCHIVES)
        kind = "folder" if folder else _FORMATS.get(ending(source.path), "")
        if not kind:
            usual = "Let it end in .csv, .tsv or .jsonl, or .txt for lines of a label and a text; or set data.format."
            mend = foreign(path.suffix) or usual
            raise ConfigError("the name does not tell the format.", where=str(path), mend=mend)
    if kind == "folder" and not (path.is_dir() or tarfile.is_tarfile(path) or zipfile.is_zipfile(path)):
        raise DataError("found neither a folder nor a readable .tar or .zip archive.", where=str(path))
    if part and kind not in ("json", "folder"):
        raise ConfigError(f"a {kind} file has no parts.", where=source.path, mend=f"Write {path} without #{part}.")
    return kind


# One reader a format


def _text_rows(path: Path, part: str, kind: str, source: Source) -> Iterator[Row]:
    where = str(path)
    with open_text(path, source.encoding, newline="" if kind == "csv" else "\n") as text:
        lines = bounded_lines(text, where)
        numbered = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1) if line.strip())
        match kind:
            case "csv":
                yield from itertools.starmap(Row, csv_table(lines, where, source.header))
            case "tsv":
                yield from itertools.starmap(Row, tsv_table(lines, where, source.header))
            case "json":
                yield from itertools.starmap(Row, json_rows(text, where, part))
            case "jsonl":
                yield from itertools.starmap(Row, json_lines(numbered, where))
            case "lines":
                for number, line in numbered:
                    yield Row(f"{where}:{number}", _labelled(line))


def _labelled(line: str) -> dict[str, Any]:
    # All the labels of fastText's multi-label files: one left in the text would teach a model to read the answer.
    labels, text = _LABELS.match(line.strip()).groups()  # type: ignore[union-attr]
    bare = [label.removeprefix("__label__") for label in labels.split()]
    return {"label": bare if len(bare) > 1 else bare[0], "text": text}


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    where = str(path)
    with open_binary(path) as stream:
        try:
            file = pyarrow.parquet.ParquetFile(stream)
            refuse_duplicates(file.schema_arrow.names, where)
            rows = (row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist())
            for number, values in enumerate(rows, 1):
                yield Row(f"{where}:row {number}", flat(values))
        except pyarrow.ArrowException as error:
            raise DataError(f"not readable as Parquet ({error}).", where=where, mend="Write it anew.") from error
