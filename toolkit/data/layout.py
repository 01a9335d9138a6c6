"""Texts of several lines as one line, and back: line breaks and changes of indentation become signs of their own.

⏎ breaks into a line as deep as the last one, ⇥ into one a level deeper, ⇤ into one a level less deep, ⇤ ⇤ two levels:

    for x in y:                  for x in y: ⇥ print(x) ⏎ print(y) ⇤ done()
        print(x)
        print(y)
    done()

A level is whatever a line is deeper than the line that it stands under, so what is kept is which lines belong under
which, and not how wide an indentation is. Lines without a word are kept as ⏎; the first line's indentation is lost.

Reference: The Python Language Reference, 2.1.8 (indentation)
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BREAK, DEEPER, BACK = "⏎", "⇥", "⇤"
INDENT = re.compile(r" {1,8}|\t")

_MOVES = {DEEPER: 1, BACK: -1}
_LOOKALIKES = str.maketrans({BREAK: "↵", DEEPER: "→", BACK: "←"})
_LINE_END = re.compile(r"\r\n?|\n")
_PART = re.compile(f"[{BREAK}{DEEPER}{BACK}]|[^{BREAK}{DEEPER}{BACK}]+")


class _Line(NamedTuple):
    """A line with a word: its place, its level, its indentation and its words."""

    row: int
    level: int
    blank: str
    words: str


def to_line(text: str) -> str:
    """One line; the signs, where the text itself has them, become ↵, → and ←."""
    parts: list[str] = []
    last = _Line(0, 0, "", "")
    for line in _lines(text.translate(_LOOKALIKES)):
        if parts:
            parts += BREAK * (line.row - last.row - 1)
            parts += DEEPER if line.level > last.level else BACK * (last.level - line.level) or BREAK
        parts.append(line.words)
        last = line
    return " ".join(parts)


def from_line(line: str, indent: str) -> str:
    """The reverse, with levels as wide as `indent`; a line without signs is the same text."""
    lines, depth, last = [""], 0, ""
    for part in filter(str.strip, _PART.findall(line)):
        if part == BREAK or (part in _MOVES and last not in _MOVES):
            lines.append("")
        if part in _MOVES:
            depth = max(0, depth + _MOVES[part])
        elif part != BREAK:
            lines[-1] = indent * depth + part.strip()
        last = part
    return "\n".join(lines).strip("\n")


def usual_indent(texts: Iterable[str]) -> str:
    """What most often stands before a line that stands under the first one of its text; four blanks where none does."""
    counts = Counter[str]()
    for text in texts:
        lines = list(_lines(text))
        under = (line.blank.removeprefix(lines[0].blank) for line in lines if line.level == 1)
        counts.update(filter(INDENT.fullmatch, under))
    return max(counts, key=counts.__getitem__, default=" " * 4)


def _lines(text: str) -> Iterator[_Line]:
    widths: list[int] = []
    for row, line in enumerate(_LINE_END.split(text)):
        if words := line.strip():
            blank = line[: len(line) - len(line.lstrip())]
            width = len(blank.expandtabs())
            while widths and width < widths[-1]:
                widths.pop()
            if not widths or width > widths[-1]:
                widths.append(width)
            yield _Line(row, len(widths) - 1, blank, words)
