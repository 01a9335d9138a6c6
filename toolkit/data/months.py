"""Dates with the names of months in the languages that many tables are in, as English writes them."""

import re
from functools import cache

# Of their abbreviations too no two name different months.
LANGUAGES = ("en", "da", "de", "es", "fr", "hi", "it", "nl", "pl", "pt", "sv")
ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUARTERS = 4
_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963])+")  # with the vowel signs of Devanagari, which are no letters
_SHORT_YEAR = re.compile(r"([A-Za-z]{3})[-/' ]*[-/']([0-9]{2})")
_BETWEEN = re.compile(r"\bdel?\b|(?<=[0-9])(?:er|º|ª)\b|\.(?![0-9])")
_NUMBERED = re.compile(r"[Mm](0?[1-9]|1[0-2])")
_PIVOT = 69  # of years of two digits: 1969 to 2068, as strptime has it


def in_english(text: str) -> str:
    """A date such as "5 de enero de 2019", or a month such as "Jan-19", as "5 Jan 2019" and "Jan 2019"."""
    names = _names()
    spelled = _WORD.sub(lambda word: names.get(word[0].lower(), word[0]), text)
    if not any(map(spelled.__contains__, ENGLISH)):
        return text
    text = " ".join(_BETWEEN.sub(" ", spelled).split())
    if short := _SHORT_YEAR.fullmatch(text):
        year = int(short[2])
        return f"{short[1]} {2000 + year if year < _PIVOT else 1900 + year}"
    return text


def number_of_month(text: str) -> str:
    """Of the name of a month, such as "January" or "Jan.", or of M1 or M01: 01 to 12; "" for any other text."""
    name, numbered = in_english(text.strip()), _NUMBERED.fullmatch(text.strip())
    if name in ENGLISH:
        return f"{ENGLISH.index(name) + 1:02d}"
    return numbered[1].zfill(2) if numbered else ""


@cache
def _names() -> dict[str, str]:
    """From names and abbreviations, in lower case, to English abbreviations."""
    from babel import Locale

    names: dict[str, str] = {}
    for language in LANGUAGES:
        months = Locale(language).months
        for width in (months[context][width] for context in months for width in ("wide", "abbreviated")):
            for number, name in width.items():
                names[name.lower().rstrip(".")] = ENGLISH[number - 1]
    return names
