"""Tables of cells between separators: CSV with its quotes, and tabs without any."""

import csv
import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from toolkit.data.csv_head import csv_head
from toolkit.data.files import LONGEST_LINE
from toolkit.errors import DataError

Placed = tuple[str, dict[str, Any]]  # a place and the row there


def csv_table(lines: Iterator[str], where: str, header: bool) -> Iterator[Placed]:
    """The rows of a CSV file, from its lines with their ends."""
    return _named(_csv_cells(lines, where, header), where, header)


def tsv_table(lines: Iterator[str], where: str, header: bool) -> Iterator[Placed]:
    """The rows of a file of cells between tabs, from its lines."""
    return _named(_tsv_cells(lines, where), where, header)


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10:,} more" if len(names) > 10 else shown


def refuse_duplicates(names: list[str], where: str, mend: str = "Give every column its own name.") -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"column {twice[0]!r} is there twice.", where=where, mend=mend)


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


def _tsv_cells(lines: Iterator[str], where: str) -> Iterator[tuple[int, list[str]]]:
    """Tabs alone, a row of empty cells, are one: what is translated must stay beside its source. The first cell that is
    quoted as in CSV is told."""
    told = False
    for number, line in enumerate(lines, 1):
        if not (line := line.rstrip("\r\n")):
            continue
        cells = line.split("\t")
        if not told and '""' in line and (quoted := next(filter(_is_quoted, cells), None)):
            found = f"{where}:{number}: {quoted[:40]!r} looks quoted, but in tsv a quote is a sign like any other"
            warnings.warn(f"{found}. If cells are quoted as in CSV, let the name end in .csv.", stacklevel=2)
            told = True
        yield number, cells


def _is_quoted(cell: str) -> bool:
    """Whether a cell is in quotes, and all quotes inside stand there twice, one at least."""
    quoted = cell[:1] == cell[-1:] == '"' and '""' in (inside := cell[1:-1])
    return quoted and '"' not in inside.replace('""', "")


def _named(numbered: Iterator[tuple[int, list[str]]], where: str, header: bool) -> Iterator[Placed]:
    """Rows of cells with the names of their columns, which stand in the first if there is a header."""
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
        yield place, dict(zip(names, cells, strict=True))


def _refuse_width(cells: int, names: list[str], unnamed: bool, where: str) -> NoReturn:
    """Tell of a row that has not one cell a column; `unnamed` is whether the header had empty cells at its end."""
    found = f"found {cells} cell{'s' * (cells != 1)}, expected {len(names)} ({listed(names)})."
    mend = "Give every row one cell a column; a cell that holds the separator needs quotes (in tsv, a space)."
    if len(names) == 1 or cells > 2 * len(names):
        mend = "If lines of a title stand above the names of the columns, delete them."
    elif unnamed and cells > len(names):
        mend = "Give every column with values a name."
    raise DataError(found, where=where, mend=mend)


def _told_apart(names: list[str], where: str) -> list[str]:
    """Names of columns, those that are there several times with a number each, so that none means another column."""
    counts, seen = Counter(names), Counter[str]()
    twice = [name for name, count in counts.items() if count > 1]
    if any(name and not name[0].isalpha() for name in twice):  # numbers and dates: this may be a row of data
        mend = "If this is a row of data, write one with the names of the columns above it; else tell names apart."
        refuse_duplicates(names, where, mend)
    for place, name in enumerate(names):
        if counts[name] > 1:
            seen[name] += 1
            names[place] = f"{name or 'unnamed'}.{seen[name]}"
    if twice:
        told = ", ".join(f"{name or 'unnamed'}.1 to {name or 'unnamed'}.{counts[name]}" for name in twice)
        warnings.warn(f"{where}: columns of one name are told apart by a number: {told}.", stacklevel=2)
        refuse_duplicates(names, where)
    return names
