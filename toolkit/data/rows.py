"""Rows of text tables: streamed in constant memory, each with its place, in the encoding that it was written in."""

import csv
import difflib
import itertools
import json
import os
import random
import re
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TextIO, TypeVar

from toolkit.data.csv_head import csv_head
from toolkit.data.documents import ARCHIVES, read_labelled
from toolkit.data.files import (
    LONGEST_LINE,
    bounded_lines,
    ending,
    explained,
    foreign,
    open_binary,
    open_text,
    require,
    split_part,
)
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
# A whole number beyond what any float holds stays text, as it is in CSV: infinite among values, itself among names.
_JSON = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 309 else digits)
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
                yield from _table_rows(_csv_cells(lines, where, source.header), where, source.header)
            case "tsv":
                # A row of empty cells, tabs alone, is a row: what is translated must stay beside its source.
                full = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1))
                rows = ((number, line.split("\t")) for number, line in full if line)
                yield from _table_rows(_tell_quoted(rows, where), where, source.header)
            case "json":
                yield from _json_rows(text, where, part)
            case "jsonl":
                yield from _json_line_rows(numbered, where)
            case "lines":
                for number, line in numbered:
                    yield Row(f"{where}:{number}", _labelled(line))


def _tell_quoted(numbered: Iterator[tuple[int, list[str]]], where: str) -> Iterator[tuple[int, list[str]]]:
    """The same rows of a tsv file; the first cell that is quoted as in CSV is told."""
    told = False
    for number, cells in numbered:
        if not told and (quoted := next(filter(_is_quoted, cells), None)):
            found = f"{where}:{number}: {quoted[:40]!r} looks quoted, but in tsv a quote is a sign like any other"
            warnings.warn(f"{found}. If cells are quoted as in CSV, let the name end in .csv.", stacklevel=2)
            told = True
        yield number, cells


def _is_quoted(cell: str) -> bool:
    """Whether a cell is in quotes, and all quotes inside stand there twice, one at least."""
    quoted = cell[:1] == cell[-1:] == '"' and '""' in (inside := cell[1:-1])
    return quoted and '"' not in inside.replace('""', "")


def _csv_cells(lines: Iterator[str], where: str, header: bool) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    head, delimiter, skipped, title = csv_head(lines, header)
    if title:
        told = f"{where}: the names of the columns were found in line {skipped + 1}, below {title[:60]!r}, a title."
        warnings.warn(told, stacklevel=2)
    reader = csv.reader(itertools.chain(head, lines), delimiter=delimiter, strict=True)
    number = 1 + skipped
    try:
        for cells in reader:
            yield number, cells
            number = reader.line_num + 1 + skipped
    except csv.Error as error:
        mend = 'Close every quote, and write a quote inside a quoted cell twice: "she said ""yes""".'
        raise DataError(f"not valid CSV ({error}).", where=f"{where}:{number}", mend=mend) from None


def _table_rows(numbered: Iterator[tuple[int, list[str]]], where: str, header: bool) -> Iterator[Row]:
    names, width, fitted, told = list[str](), 0, False, False
    for number, cells in numbered:
        place, blank = f"{where}:{number}", not any(map(str.strip, cells))
        if blank and (not cells or len(cells) == 1 != len(names) or (header and not names)):
            continue  # a blank line, or empty cells above the names
        if not names:
            names = [name.strip() for name in cells] if header else [str(column) for column in range(len(cells))]
            width = len(names)
            while header and len(names) > 1 and not names[-1]:
                names.pop()  # spreadsheets write the empty columns beside a table too
            names = _told_apart(names, place)
            if header:
                continue
        if blank:
            cells = [""] * len(names)
        while len(cells) > len(names) and not cells[-1].strip():
            cells.pop()
        if fitted and len(names) < len(cells) <= width:  # where no row before it fits, the first line is a title
            if not told:
                beside = f"{place}: found {cells[len(names)].strip()[:40]!r} in a column without a name"
                warnings.warn(f"{beside}; such columns are left out. Give them names to read them.", stacklevel=2)
                told = True
            del cells[len(names) :]
        if len(cells) != len(names):
            _refuse_width(len(cells), names, width > len(names), place)
        fitted = fitted or not blank
        yield Row(place, dict(zip(names, cells, strict=True)))


def _refuse_width(cells: int, names: list[str], unnamed: bool, where: str) -> NoReturn:
    """Tell of a row that has not one cell a column; `unnamed` is whether the header had empty cells at its end."""
    found = f"found {cells} cell{'s' * (cells != 1)}, expected {len(names)} ({listed(names)})."
    mend = "Give every row one cell a column; a cell that holds the separator needs quotes (in tsv, a space)."
    if len(names) == 1 or cells > 2 * len(names):
        mend = "If lines of a title stand above the names of the columns, delete them."
    elif unnamed and cells > len(names):
        mend = "Give every column with values a name."
    raise DataError(found, where=where, mend=mend)


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10:,} more" if len(names) > 10 else shown


def _told_apart(names: list[str], where: str) -> list[str]:
    """Names of columns, those that are there several times with a number each, so that none means another column."""
    counts, seen = Counter(names), Counter[str]()
    twice = [name for name, count in counts.items() if count > 1]
    if any(name and not name[0].isalpha() for name in twice):  # numbers and dates: this may be a row of data
        mend = "If this is a row of data, write one with the names of the columns above it; else tell names apart."
        _refuse_duplicates(names, where, mend)
    for place, name in enumerate(names):
        if counts[name] > 1:
            seen[name] += 1
            names[place] = f"{name or 'unnamed'}.{seen[name]}"
    if twice:
        told = ", ".join(f"{name or 'unnamed'}.1 to {name or 'unnamed'}.{counts[name]}" for name in twice)
        warnings.warn(f"{where}: columns of one name are told apart by a number: {told}.", stacklevel=2)
        _refuse_duplicates(names, where)
    return names


def _refuse_duplicates(names: list[str], where: str, mend: str = "Give every column its own name.") -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"column {twice[0]!r} is there twice.", where=where, mend=mend)


def _json_value(text: str, where: str, line: int | None = None) -> Any:
    """What JSON says, of a whole file or of one of its lines."""
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        place = line or getattr(error, "lineno", 1)
        reason = getattr(error, "msg", "brackets are nested too deeply")
        mend = "Check quotes, commas and brackets; a file with one object a line is jsonl."
        if line and text.strip() in ("[", "[{", "[["):
            mend = "A list that goes over several lines is json: let the name end in .json, or set data.format."
        raise DataError(f"not valid JSON ({reason}).", where=f"{where}:{place}", mend=mend) from error


def _json_line_rows(numbered: Iterable[tuple[int, str]], where: str) -> Iterator[Row]:
    for number, line in numbered:
        yield _json_row(_json_value(line, where, number), f"{where}:{number}")


def _json_rows(text: TextIO, where: str, part: str) -> Iterator[Row]:
    """The rows of one document; or of one a line, as many data sets have them under the same name."""
    document = text.readline()
    try:
        value = _JSON.decode(document)
    except (ValueError, RecursionError):  # it goes on in the next line
        document += text.read()
        if not document.strip():
            return
        value = _json_value(document, where)
    more = ((number, line) for number, line in enumerate(bounded_lines(text, where), 2) if line.strip())
    if second := next(more, None):
        if part:
            raise DataError("found rows of JSON, which have no parts.", where=where, mend=f"Leave out #{part}.")
        yield _json_row(value, f"{where}:1")
        yield from _json_line_rows(itertools.chain([second], more), where)
        return
    if part and not (isinstance(value, dict) and part in value):
        keys = ", ".join(list(value)[:10]) if isinstance(value, dict) else "none, for it is a list"
        raise DataError(f"there is no key {part!r}; the keys are {keys}.", where=where)
    value = value[part] if part else value
    if not isinstance(value, list):
        lists = [key for key, each in value.items() if isinstance(each, list)] if isinstance(value, dict) else []
        mend = "Write a list of rows, as pandas does with orient='records'."
        if lists and not part:  # a part is one key, so that a list further inside cannot be named
            mend = f"Name the key of the list, such as {where}#{max(lists, key=lambda key: len(value[key]))}."
        raise DataError(f"found {_kind(value)}, expected a list of rows.", where=where, mend=mend)
    place = f"{where}#{part}" if part else where
    for number, item in enumerate(value, 1):
        yield _json_row(item, f"{place}:row {number}")


def _json_row(value: Any, where: str) -> Row:
    if isinstance(value, list):
        return Row(where, _flat({str(column): item for column, item in enumerate(value)}))
    if not isinstance(value, dict):
        mend = 'Write each row as {"text": "...", "label": "..."}.'
        raise DataError(f"found {_kind(value)}, expected an object or a list.", where=where, mend=mend)
    return Row(where, _flat(value))


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """The same with what is inside objects as columns of their own."""
    while any(isinstance(value, dict) for value in values.values()):
        inner = dict[str, Any]()
        for name, value in values.items():
            fields = {f"{name}.{field}": each for field, each in value.items()} if isinstance(value, dict) else {}
            inner |= fields or {name: value or None if isinstance(value, dict) else value}
        values = inner
    return values


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


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
            _refuse_duplicates(file.schema_arrow.names, where)
            rows = (row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist())
            for number, values in enumerate(rows, 1):
                yield Row(f"{where}:row {number}", _flat(values))
        except pyarrow.ArrowException as error:
            raise DataError(f"not readable as Parquet ({error}).", where=where, mend="Write it anew.") from error
