"""Texts as people write them, read as those were written that a network has learned from."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

# A mark that is not known is read as the first known one of its row.
_ALIKE = (
    "'’‘ʼ´`",
    '"“”„«»″',
    "-‐‑–—−",
    ".。।…",
    ",，、،",
    "!！",
    "?？؟",
    ";；",
    ":：",
    "¿",
    "¡",
    "(（",
    ")）",
    "[",
    "]",
)
MARKS = "".join(_ALIKE)
_USUAL = ".,?!;:'\"-()"
_RARE = 10_000  # of so many texts one must have a mark, lest the network have seen it too seldom
# Of so many texts one must have a capital; no more than one may begin without, where they begin with one.
_FEW = 100
_FIRST = re.compile(r"\W*([^\W\d_]\w*)")  # the word that a text begins with


@dataclass(frozen=True)
class Alphabet:
    """What texts are written with. Texts without capitals or without marks are common: they were cleaned for some
    earlier network, and nobody types like that.

    Args:
        capitals: whether they have any; else a text is read in lower case.
        marks: those of MARKS that they have. Another is read as one that looks like it, else left out, but for one
            between two digits, which is part of a number.
        begin: whether they begin with a capital; another is given one.
    """

    capitals: bool = True
    marks: str = MARKS
    begin: bool = False

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        counts = Counter(mark for text in texts if not text.isalnum() for mark in set(text).intersection(MARKS))
        known = "".join(mark for mark in MARKS if counts[mark] * _RARE >= len(texts) and counts[mark])
        cased = [text for text in texts if text.lower() != text.upper()]
        capitals = sum(text != text.lower() for text in cased)
        words = [found[1] for found in map(_FIRST.match, cased) if found and found[1].lower() != found[1].upper()]
        begin = bool(words) and sum(map(str.islower, words)) * _FEW <= len(words)
        return cls(not cased or capitals * _FEW >= len(cased), known, begin)

    def read(self, text: str, *, capitals: bool = False) -> str:
        """A text as theirs are written; with `capitals` it keeps those that it has."""
        text = text if self.capitals or capitals else text.lower()
        text = self._strange.sub(lambda found: self._instead(found[0]), text)
        if self.begin and (first := _FIRST.match(text)) and first[1].islower():
            text = text[: first.start(1)] + first[1][0].upper() + text[first.start(1) + 1 :]
        return text

    def loses(self, text: str) -> bool:
        """Whether capitals or marks of a text are not read."""
        lower = not self.capitals and text != text.lower()
        return lower or any(not self._instead(mark).strip() for mark in self._strange.findall(text))

    @property
    def lacks(self) -> str:
        """In words, of capitals and the usual marks; empty where it lacks none of these."""
        marks = " ".join(mark for mark in _USUAL if mark not in self.marks)
        return " and no ".join(filter(None, ["" if self.capitals else "capitals", marks and f"marks such as {marks}"]))

    @cached_property
    def _strange(self) -> re.Pattern[str]:
        """A mark that is not known, but for one between two digits."""
        strange = re.escape("".join(mark for mark in MARKS if mark not in self.marks))
        return re.compile(rf"(?<!\d)[{strange}]|[{strange}](?!\d)" if strange else "(?!)")

    def _instead(self, mark: str) -> str:
        (row,) = [row for row in _ALIKE if mark in row]
        # Without its apostrophe "don't" is one word.
        return next((other for other in row if other in self.marks), "" if row == _ALIKE[0] else " ")
