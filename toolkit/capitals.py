"""What capitals tell that lower-case words do not: US and us, China and china, and that HTML is short for something."""

from collections.abc import Sequence

ALL_CAPITALS, CAPITAL = CAPITALS = ("<AA>", "<Aa>")  # signs that no text has as words


def capitals_of(words: Sequence[str]) -> list[str | None]:
    """Which of CAPITALS each word of a text has, if any. A capital alone says nothing where a text begins.

    Reference: the feature of capitals in Collobert et al. 2011, arXiv:1103.0398, section 3.5
    """
    return [_capitals_of(word, first=i == 0) for i, word in enumerate(words)]


def _capitals_of(word: str, *, first: bool) -> str | None:
    if len(word) > 1 and word.isupper():
        return ALL_CAPITALS
    return CAPITAL if word[:1].isupper() and not first else None
