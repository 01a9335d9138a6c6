"""Where sentences end, for texts that are translated sentence by sentence."""

import re
from collections.abc import Sequence

_FULL_WIDTH, _CLOSING = "。！？；", "」』”’）"
_END = re.compile(
    rf"[.!?।…]+[\"'”’»)\]]*\s+|[{_FULL_WIDTH}](?![{_FULL_WIDTH}{_CLOSING}])\s*"
    rf"|[{_FULL_WIDTH}][{_CLOSING}]+(?![{_CLOSING}])\s*"
)
_CLAUSE = re.compile(r"(?<=[.!?;।])\s+")
# Words that end with a dot inside a sentence, in English, Spanish, French and German.
_SHORT = (
    " mr mrs ms dr prof st jr sr sra srta dra ud uds m mm mme mlle hr fr gen col capt lt sgt rev hon gov sen rep inc"
    " ltd corp dept fig vol pp vs etc approx ca bzw nr str usw resp "
)
_NEAR = 20  # characters
_OPENING = "\"'“‘«¿¡([„"


def split_sentences(text: str) -> list[str]:
    """The sentences of a text. A dot after an abbreviation, an initial or an ordinal ends none, and nothing does before
    a small letter where a text has capitals."""
    capitals, sentences, start = text != text.lower(), list[str](), 0
    for mark in _END.finditer(text):
        sentence = text[start : mark.end()].strip()
        if any(map(str.isalnum, sentence)) and _ends(text, mark, capitals):
            sentences.append(sentence)
            start = mark.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences or [text]


def split_clauses(sentence: str) -> list[str]:
    """Parts of a sentence that is too long: any mark ends one, whatever follows."""
    return _CLAUSE.split(sentence)


def join_sentences(parts: Sequence[str]) -> str:
    """One text, with a blank between two parts but after full-width signs, which bring their own."""
    text = ""
    for part in filter(None, parts):
        text += part if not text or text.rstrip(_CLOSING)[-1:] in _FULL_WIDTH else f" {part}"
    return text


def _ends(text: str, mark: re.Match[str], capitals: bool) -> bool:
    """Whether a mark and the blanks behind it end a sentence."""
    if mark[0][0] in _FULL_WIDTH:
        return True
    after = text[mark.end() : mark.end() + _NEAR].lstrip(_OPENING)[:1]
    if capitals and after.islower():
        return False
    if mark[0].strip() != ".":
        return not mark[0].startswith(("..", "…"))
    word = re.split(r"[\s(]", text[max(0, mark.start() - _NEAR) : mark.start()])[-1].lstrip(_OPENING)
    initial = len(word) == 1 and word.isupper() and word != "I"
    ordinal = word.isdecimal() and len(word) < 3
    return not (initial or ordinal or "." in word or f" {word.lower()} " in _SHORT)
