"""Text pairs that ship with no download: what the locale data of Unicode (CLDR) writes in any two languages.

A value (a day, a sum of money, a length) is drawn once and written in both languages in the same style, so every pair
is right by construction as far as the locale data are. Some forms look the same in one language and not in another:
"May 4, 2024" is a long and a medium date in English, "4 de mayo de 2024" and "4 may 2024" in Spanish. The styles of a
kind are therefore ranked, and a text has the translation of the first style that writes the value so: a text has one
translation, whatever is drawn besides.

Where babel and the data differ, babel is followed: Spanish 1.250, which Spain writes 1250.

Reference: Unicode Technical Standard 35 (locale data, read by `babel`); number words are those of `num2words`
"""

import datetime
import random
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from typing import Any

from babel import Locale, UnknownLocaleError, dates, lists, localedata, numbers, units

from toolkit.errors import DataError

_CURRENCIES = (
    *("USD", "EUR", "GBP", "JPY", "INR", "CNY", "CHF", "CAD", "AUD", "NZD"),
    *("MXN", "BRL", "KRW", "SEK", "NOK", "DKK", "PLN", "TRY", "ZAR", "ILS"),
)
_UNITS = (
    *("length-kilometer", "length-meter", "length-centimeter", "length-millimeter", "length-mile", "length-foot"),
    *("length-inch", "mass-kilogram", "mass-gram", "mass-milligram", "mass-pound", "mass-ounce", "volume-liter"),
    *("volume-milliliter", "area-square-kilometer", "area-square-meter", "area-hectare", "temperature-celsius"),
    *("temperature-fahrenheit", "speed-kilometer-per-hour", "speed-meter-per-second", "speed-mile-per-hour"),
    *("digital-megabyte", "digital-gigabyte", "power-watt", "power-kilowatt", "frequency-hertz"),
    *("duration-hour", "duration-minute", "duration-second"),
)
_CODE_BEFORE_DIGIT = re.compile(r"(\b[A-Z]{3})(?=\d)")
_SPANS = tuple(datetime.timedelta(days=days) for days in (365, 30, 7, 1))  # years and months as babel counts them
_SHORT_SPANS = tuple(datetime.timedelta(seconds=seconds) for seconds in (3600, 60, 1))
_FIRST_DAY, _LAST_DAY = datetime.date(1900, 1, 1).toordinal(), datetime.date(2100, 12, 31).toordinal()
_LARGEST = {"cardinal": 9_999, "ordinal": 999}  # in words
_DIRECTIONS = dict.fromkeys(map(ord, "\u061c\u200e\u200f"))  # marks that are seen nowhere and that nobody types


def phrase_pairs(source: str, target: str, rows: int, seed: int) -> list[tuple[str, str]]:
    """Texts of two languages that say the same, no source text twice; fewer `rows` are the first of more.

    Numbers in words are there where `num2words` knows both languages, which it does not for Hindi and Chinese.

    Args:
        source, target: locales such as en, es, hi or pt_BR.

    Raises:
        DataError: a locale is unknown.
    """
    languages = _locale(source), _locale(target)
    spelled = [kind for to, kind in _WORD_KINDS.items() if all(_spells(each, to) for each in languages)]
    kinds = [*_KINDS, *spelled]
    weights = [kind.weight for kind in kinds]
    draws = random.Random(seed)
    pairs: dict[str, str] = {}
    while len(pairs) < rows:
        (kind,) = draws.choices(kinds, weights)
        pairs.setdefault(*kind.pair(draws, *languages))
    return list(pairs.items())


@cache
def _locale(name: str) -> Locale:
    """A locale whose data are its own.

    Babel's locales share what they inherit, and keep there what one of them has found: months were those of the locale
    that was asked first, Chinese ones in Japanese texts.
    """
    try:
        locale = Locale.parse(name.replace("-", "_"))
        data = localedata.load(str(locale).partition("@")[0])
        data.update(deepcopy(data))
        return locale
    except (UnknownLocaleError, ValueError):
        mend = "Use a code such as ar, de, en, es, fr, hi, it, ja, pt, ru or zh, or one with a region such as pt_BR."
        raise DataError(f"no locale data are known for the language {name!r}.", mend=mend) from None


@dataclass(frozen=True)
class _Kind:
    """Values of one kind and how they are written.

    Args:
        weight: how often it is drawn, beside the weights of the others.
        draw: gives a value.
        styles: each writes a value in a language; when two give the same text, the first has the say.
    """

    weight: int
    draw: Callable[[random.Random], Any]
    styles: tuple[Callable[..., str], ...]

    def pair(self, draws: random.Random, source: Locale, target: Locale) -> tuple[str, str]:
        value = self.draw(draws)
        text = _plain(draws.choice(self.styles)(value, locale=source))
        style = next(style for style in self.styles if _plain(style(value, locale=source)) == text)
        return text, _plain(style(value, locale=target))


def _plain(text: str) -> str:
    """Blanks of every kind (narrow, unbreakable) as one plain blank, as people type them."""
    return " ".join(text.translate(_DIRECTIONS).split())


def _day(draws: random.Random) -> datetime.date:
    return datetime.date.fromordinal(draws.randint(_FIRST_DAY, _LAST_DAY))


def _period(draws: random.Random) -> tuple[datetime.date, datetime.date]:
    day = _day(draws)
    return day, day + datetime.timedelta(days=draws.randint(1, 60))


def _time(draws: random.Random) -> datetime.time:
    return datetime.time(draws.randrange(24), draws.randrange(60), draws.randrange(60))


def _moment(draws: random.Random) -> datetime.datetime:
    return datetime.datetime.combine(_day(draws), _time(draws))


def _number(draws: random.Random, digits: int, decimals: int) -> Decimal:
    """Short and long numbers alike, with up to so many digits before and after the point; 1.0 is 1, a singular."""
    whole = draws.randrange(10 ** draws.randint(1, digits))
    places = draws.randint(0, decimals)
    return whole + Decimal(draws.randrange(10**places)).scaleb(-places).normalize()


def _amount(draws: random.Random, digits: int, decimals: int) -> Decimal:
    """One comes more often than by chance, since every name has a singular to be learned."""
    return _number(draws, digits, decimals) if draws.randrange(8) else Decimal(1)


def _signed_number(draws: random.Random) -> Decimal:
    return _number(draws, 7, 3) * draws.choice((1, 1, 1, -1)) + 0  # which turns -0 into 0


def _share(draws: random.Random) -> Decimal:
    return _number(draws, 3, 1) / 100


def _round_sum(draws: random.Random) -> tuple[Decimal, str]:
    return _amount(draws, 6, 0), draws.choice(_CURRENCIES)


def _exact_sum(draws: random.Random) -> tuple[Decimal, str]:
    return Decimal(draws.randrange(10 ** draws.randint(3, 8))).scaleb(-2), draws.choice(_CURRENCIES)


def _measure(draws: random.Random) -> tuple[Decimal, str]:
    return _amount(draws, 4, 1), draws.choice(_UNITS)


def _span(draws: random.Random) -> tuple[datetime.timedelta, int]:
    count = 1 + draws.randrange(10 ** draws.randint(1, 3))
    return count * draws.choice(_SPANS + _SHORT_SPANS) * draws.choice((1, -1)), count


def _names(draws: random.Random) -> tuple[str, list[int]]:
    table, places = draws.choice((("days", range(7)), ("months", range(1, 13))))
    return table, draws.sample(places, draws.randint(1, 3))


def _cardinal(draws: random.Random) -> int:
    return draws.randint(0, _LARGEST["cardinal"])


def _ordinal(draws: random.Random) -> int:
    """Without 11th and 12th, which are wrong in Spanish: décimoprimero, where undécimo is right."""
    number = draws.randint(1, _LARGEST["ordinal"])
    return number + 2 if number % 100 in (11, 12) else number


def _write_period(period: tuple[datetime.date, datetime.date], *, locale: Locale) -> str:
    return dates.format_interval(*period, "yMMMd", locale=locale)


def _write_money(money: tuple[Decimal, str], *, locale: Locale, **style: Any) -> str:
    """With a blank between a code and a digit, as CLDR has it (`currencySpacing`) and babel does not: CHF 5.20."""
    return _CODE_BEFORE_DIGIT.sub(r"\1 ", numbers.format_currency(*money, locale=locale, **style))


def _write_measure(measure: tuple[Decimal, str], *, locale: Locale, length: Any) -> str:
    """The short form where it is the long one too: the data then have no long one, and babel writes `5 length-mile`."""
    text = units.format_unit(*measure, length, locale=locale)
    return text if measure[1] not in text else units.format_unit(*measure, "short", locale=locale)


def _write_span(span: tuple[datetime.timedelta, int], *, locale: Locale) -> str:
    """With the count as threshold, the unit is the one that was drawn: 7 weeks are not 2 months."""
    length, count = span
    return dates.format_timedelta(length, threshold=count, add_direction=True, locale=locale)


def _write_names(names: tuple[str, list[int]], *, locale: Locale, style: Any) -> str:
    table, places = names
    known = getattr(locale, table)["stand-alone"]["wide"]
    return lists.format_list([known[place] for place in places], style, locale)


def _write_words(number: int, *, locale: Locale, to: str) -> str:
    from num2words import num2words

    return num2words(number, lang=_spoken(locale), to=to)


@cache
def _spoken(locale: Locale) -> str | None:
    """The language for `num2words`, which takes Filipino (fil) for Finnish (fi) when asked for it."""
    from num2words import CONVERTER_CLASSES

    return next((name for name in (str(locale), locale.language) if name in CONVERTER_CLASSES), None)


def _spells(locale: Locale, to: str) -> bool:
    """Whether `num2words` has the language, and without gaps: these are the numbers that some languages lack."""
    if _spoken(locale) is None:
        return False
    try:
        return all(_write_words(number, locale=locale, to=to) for number in (30, 100, _LARGEST[to]))
    except (NotImplementedError, KeyError, TypeError):
        return False


def _skeletons(*names: str) -> tuple[Callable[..., str], ...]:
    """Styles that hold some fields of a date: y year, M month, d day of the month, E weekday, Q quarter."""
    return tuple(partial(dates.format_skeleton, name) for name in names)


def _styles(write: Callable[..., str], **forms: tuple[Any, ...]) -> tuple[Callable[..., str], ...]:
    return tuple(partial(write, **{name: form}) for name, values in forms.items() for form in values)


_KINDS = (
    _Kind(10, _day, (*_styles(dates.format_date, format=("full", "long", "medium")), *_skeletons("yMMMEd", "yMd"))),
    _Kind(3, _day, _skeletons("MMMEd")),
    _Kind(2, _day, _skeletons("MMMMd", "MMMd")),
    _Kind(2, _day, _skeletons("yMMMM", "yMMM")),
    _Kind(2, _day, _skeletons("yQQQQ", "yQQQ")),
    _Kind(3, _period, (_write_period,)),
    _Kind(3, _time, _styles(dates.format_time, format=("short", "medium"))),
    _Kind(5, _moment, (dates.format_datetime,)),
    _Kind(4, _span, (_write_span,)),
    _Kind(3, _signed_number, (numbers.format_decimal,)),
    _Kind(2, _share, (partial(numbers.format_percent, decimal_quantization=False),)),
    _Kind(6, _round_sum, (partial(_write_money, format_type="name", currency_digits=False),)),
    _Kind(4, _exact_sum, (_write_money,)),
    _Kind(6, _measure, _styles(_write_measure, length=("long", "short"))),
    _Kind(4, _names, _styles(_write_names, style=("standard", "or"))),
)
_WORD_KINDS = {
    "cardinal": _Kind(8, _cardinal, _styles(_write_words, to=("cardinal",))),
    "ordinal": _Kind(4, _ordinal, _styles(_write_words, to=("cardinal", "ordinal"))),
}
