"""Where the table of a CSV file begins, and what stands between its cells."""

import csv
import itertools
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

_MARKS = ",;\t|"  # that may stand between cells, in the order in which they are tried
_SEPARATOR = re.compile(r"sep=([,;\t|])", re.IGNORECASE)
_TITLE = 20  # lines that are looked at where the first ones do not fit together


class Head(NamedTuple):
    """The beginning of a CSV file.

    Attributes:
        lines: from the names of the columns, or blank lines above them, to the second that is not blank at least.
        delimiter: what stands between their cells.
        skipped: how many lines stand before them: a title, or what says just that, as Excel's `sep=;` does.
        title: the first line of a title, or "".
    """

    lines: list[str]
    delimiter: str
    skipped: int
    title: str = ""


def csv_head(lines: Iterator[str], header: bool) -> Head:
    """Read as many of the lines as it takes; `header` is whether there are names of columns."""
    head: list[str] = []
    told, skipped, full = None, 0, 0
    for line in lines:
        if not head and not skipped and (told := _SEPARATOR.fullmatch(line.strip("\r\n"))):
            skipped = 1
            continue
        head.append(line)
        full += bool(line.strip())
        if full == 2:
            break
    if told:
        return Head(head, told[1], skipped)
    mark = _delimiter([line for line in head if line.strip()])
    cells = [cells for cells in map(partial(_cells, mark=mark), head) if any(cells)]
    if header and len(cells) == 2 and (len(_filled(cells[0])) < len(cells[1]) or len(cells[1]) == 1):
        head.extend(itertools.islice(lines, _TITLE))
        whole = all(line.count('"') % 2 == 0 for line in head)  # no cell goes on in the next line
        for other in _MARKS if whole else ():
            if above := _title([_cells(line, other) for line in head]):
                title = next(line.strip() for line in head if line.strip())
                return Head(head[above:], other, above, title)
    return Head(head, mark, skipped)


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]


def _filled(cells: list[str]) -> list[str]:
    """Without the empty cells at the end."""
    return cells[: max((place for place, cell in enumerate(cells, 1) if cell), default=0)]


def _title(rows: list[list[str]]) -> int:
    """How many rows of cells are a title: none is as wide as all that follow, of which the first holds names and the
    others, three or more, numbers or dates in a column. 0 where there is doubt."""
    for above in range(1, len(rows)):
        names, below = rows[above], [row for row in rows[above + 1 :] if any(row)]
        width = len(names)
        if width < 2 or any(len(_filled(row)) >= width for row in rows[:above]):
            continue
        digits = [name for name in names if name[:1].isdigit()]  # in names those of years alone
        named = all(_filled(names)) and all(name.isdecimal() and len(name) == 4 for name in digits)
        if named and len(digits) < width and all(len(row) == width for row in below):
            columns = ([cell for cell in column if cell] for column in zip(*below, strict=True))
            if any(len(column) > 2 and all(cell.lstrip("+-$")[:1].isdigit() for cell in column) for column in columns):
                return above
    return 0


def _delimiter(head: list[str]) -> str:
    """The mark that gives the header and the line after it the same number of cells, else the first in the header."""
    marks = []
    for mark in _MARKS:
        counts = [len(cells) for cells in csv.reader(head, delimiter=mark)]
        if counts and counts[0] > 1:
            marks.append((len(set(counts)) > 1, mark))
    return min(marks, key=lambda found: found[0])[1] if marks else ","
