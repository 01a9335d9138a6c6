"""How a word is written, which says what kind of thing it names even where the word is unknown."""

FORMS = (
    "small",
    "Capital",
    "CAPITALS",
    "miXed",
    "1 digit",
    "2 digits",
    "3 digits",
    "4 digits",
    "more digits",
    "letters and digits",
    "sign",
    "several words",
)
_NUMBERS = {name: number for number, name in enumerate(FORMS)}


def form_of(word: str) -> int:
    """The place in FORMS of a word or sign."""
    return _NUMBERS[_name(word)]


def _name(word: str) -> str:
    if " " in word:
        return "several words"
    if word.isdecimal():
        return {1: "1 digit", 2: "2 digits", 3: "3 digits", 4: "4 digits"}.get(len(word), "more digits")
    if not any(map(str.isalnum, word)):
        return "sign"
    if any(map(str.isdecimal, word)):
        return "letters and digits"
    if word.isupper() and len(word) > 1:
        return "CAPITALS"
    if word[1:] == word[1:].lower():
        return "Capital" if word[0].isupper() else "small"
    return "miXed"
