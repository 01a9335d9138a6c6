"""Texts to times: dates in the ways that files write them, for whole columns at once.

Texts are sorted by their shape, such as "0000-00-00 00:00" where 0 stands for any digit. A column has few shapes, and
all texts of one shape are read by array arithmetic.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from toolkit.data.months import ENGLISH, QUARTERS, in_english
from toolkit.errors import DataError

_TIME = (
    r"(?:(?:[Tt]|\s+|,\s*)(?P<hour>00?)(?:(?P<colon>[:.])(?P<minute>00)(?:(?P=colon)(?P<second>00)(?:[.,](?P<fraction>0+))?)?"
    r"(?:\s*(?P<half>[AaPp]\.?[Mm]\.?))?|(?<=00)(?P<minute2>00)(?P<second2>00)?)?"
    r"\s*(?P<offset>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<east>00)(?::?(?P<east_minutes>00))?)?)?"
)
_LAYOUTS = [
    re.compile(date + _TIME)
    for date in (
        r"(?P<year>0000)(?P<mark>[-/.])(?P<month>00?)(?P=mark)(?P<day>00?)",
        r"(?P<year>0000)(?P<month>00)(?P<day>00)",
        r"(?P<first>00?)(?P<mark>[-/.])(?P<then>00?)(?P=mark)(?P<year>0000)",
        r"(?P<first>00?)(?P<mark>[/.])(?P<then>00?)(?P=mark)(?P<short_year>00)",
    )
] + [
    re.compile(date)
    for date in (
        r"(?P<year>0000)(?P<month>00)(?P<day>00)(?P<hour>00)(?:(?P<minute>00)(?P<second>00)?)?",
        r"(?P<year>0000)[-/](?P<month>00?)",
        r"(?P<year>0000)(?P<month>00)",
        r"(?P<month>00?)[-/](?P<year>0000)",
        r"(?P<month>00)\.(?P<year>0000)",  # and not 1.2024, which is a number more often
        r"(?P<year>0000)",
        r"(?P<year>0000)[- ]?[Qq](?P<quarter>0)",
        r"[Qq](?P<quarter>0)[-/ ]?(?P<year>0000)",
        r"(?P<year>0000)-?[Mm](?P<month>00?)",
        r"(?P<year>0000)[- ]?[Ww](?P<week>00)(?:-?(?P<weekday>0))?",
    )
]
# What integers are when all of them have so many digits and the dates exist.
_INTEGER_DATES = (4, 6, 8, 10, 12, 14)
# What integers are when all of them are at least so large, and less than a hundred times that: a unit, and how many of
# it are how many microseconds. Dates from 1973 to 2286; in nanoseconds from 2001 on, for what has 18 digits is often
# counted from another year.
_EPOCHS = {
    10**8: ("seconds", 1, 1_000_000),
    10**11: ("milliseconds", 1, 1_000),
    10**14: ("microseconds", 1, 1),
    10**18: ("nanoseconds", 1_000, 1),
}
_YEARS = (1500, 2200)
_YEARS_OF_HOURS = (1850, 2200)  # 1704067200 is a time in seconds
_PERIOD = re.compile(r"(\S.*\d)\s+[-–]\s+(\S.*\d)")  # of a beginning and an end
_TWO_YEARS = re.compile(r"([0-9]{4})[-/](?:[0-9]{2})?([0-9]{2})")
_DECIMAL_YEAR = re.compile(r"(?:1[5-9]|20|21)[0-9]{2}(?:\.[0-9]+)?")
_MONTHS = len(ENGLISH)
_ROUNDED = 0.05  # of a month: 1949.08 is February
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}(?:\.0+)?")
_NAMED = re.compile(r"(?:^|[^A-Za-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
# An offset behind a clock, as in "5 Jan 2024 13:00:00 GMT+0100 (CET)"; pandas takes the sign behind GMT the other way.
_OFFSET = re.compile(
    r"\s*(?:\b(?:GMT|UTC)|(?<=[\d\s.Mm]))(?P<sign>[+-])(?P<hours>[01]\d):?(?P<minutes>\d\d)\b(?:\s*\([^)]*\))?"
    r"|\s*(?:\b(?:GMT|UTC)|(?<=\d)Z)\b"
)
_LETTERS = re.compile(r"[^\W\d_]{3}|[\u0904-\u0939]")  # of Devanagari, months have two letters
_DIGIT = re.compile(r"\d")
_WITH_YEAR = re.compile(r"\d{4}|^\d{1,2}[- ][A-Za-z]{3}[- ]\d{2}$")
_TOTALS = {"total", "totals", "sum", "grand", "summe", "gesamt", "suma", "somme", "totale", "average", "mean"}
# In place of an offset from UTC where a text names none.
_NONE = np.iinfo(np.int64).min
_AT_ONCE = 500_000
# No time is longer; one stray page of text in a cell must not widen the array of all.
_LONGEST = 64


class Times(NamedTuple):
    """Times as they were written.

    Attributes:
        values: (texts,) datetime64[us] as the text shows them, or int64 when they are plain integers.
        offsets: (texts,) int64 seconds east of UTC that the texts name, or None when they name none.
        note: how they were read, when they could be read in another way; else "".
        day_first: whether 01/02/2024 was read as 1 February; None where no date is written so.
    """

    values: np.ndarray
    offsets: np.ndarray | None
    note: str
    day_first: bool | None = None


def parse_times(
    texts: Sequence[str],
    place: Callable[[int], str],
    *,
    day_first: bool | None = None,
    usual: bool | None = None,
    integers: bool = False,
) -> Times:
    """Read a whole column of times; how 01/02/2024 is meant shows in the others.

    Args:
        texts: dates with or without times, months (2010M1), quarters (2010Q1), ISO weeks (2024-W05, its Monday), years,
            seconds, milliseconds, microseconds or nanoseconds since 1970 (as their size tells, UTC), plain integers, or
            years with their quarters or months as decimals, as R counts time: 1949.25 is April 1949. Of columns of a
            beginning and an end, `2024-01-31 13:00 - 2024-01-31 14:00` or 2024/25, the beginnings.
        place: from the position of a text to where it stands, for errors.
        day_first: whether 01/02/2024 is 1 February; None finds it out.
        usual: the same, where nothing in these texts tells; None then goes by the marks, and mostly reads the month
            first.
        integers: whether numbers are only numbers; else they may be dates.

    Raises:
        DataError: a text is no time, a date does not exist, some times have an offset from UTC and some have none, or
            some texts have the day first and others the month.
    """
    for position, text in enumerate(texts):
        if not text or len(text) > _LONGEST:
            _refuse(text, place(position))
    if all(map(_is_integer, texts)):
        return _from_integers(texts, integers)
    if integers:
        position = next(position for position, text in enumerate(texts) if not _is_integer(text))
        raise DataError(f"found the time {texts[position]!r}, expected an integer.", where=place(position))
    if times := _from_decimal_years(texts) or _from_periods(texts, place, day_first, usual):
        return times
    shapes = _shapes(texts)
    order, note = _order(texts, shapes, place, day_first, usual)
    values = np.full(len(texts), "NaT", "datetime64[us]")
    offsets = np.full(len(texts), _NONE)
    # Bare numbers come last: among dates, and beside a word, it is the others that say what is wrong.
    for shape, index in sorted(shapes.items(), key=lambda item: not item[0].strip("0")):
        layout = _layout(shape)
        for part in np.array_split(index, -(-len(index) // _AT_ONCE)):
            chosen = [texts[each] for each in part.tolist()]
            if layout:
                values[part], offsets[part], real = _read(chosen, layout, bool(order))
            else:
                values[part], offsets[part] = _by_pandas(chosen)
                real = ~np.isnat(values[part])
                if real[0] and re.fullmatch(r"\D+[0-9]{2}", chosen[0]):
                    note = f"dates such as {chosen[0]!r} were read as month and year ({str(values[part[0]])[:7]})."
            if not real.all():
                bad = int(part[np.argmin(real)])
                _refuse(texts[bad], place(bad))
    return Times(values, _offsets(texts, offsets, place), note, order)


def _from_decimal_years(texts: Sequence[str]) -> Times | None:
    """Beginnings of quarters or months written as years with decimals, if all of a year's are there; None of others."""
    if not all(map(_DECIMAL_YEAR.fullmatch, texts)):
        return None
    twelfths = np.array(texts, np.float64) * _MONTHS
    months = np.rint(twelfths).astype(np.int64)
    parts = set(np.unique(months % _MONTHS).tolist())
    if np.abs(twelfths - months).max() > _ROUNDED or parts not in ({0, 3, 6, 9}, set(range(_MONTHS))):
        return None
    kind = "quarters" if len(parts) == QUARTERS else "months"
    values = (months - 1970 * _MONTHS).astype("datetime64[M]").astype("datetime64[us]")
    decimal = next(text for text in texts if "." in text)
    return Times(values, None, f"numbers such as {decimal} were read as years with their {kind} as decimals.")


def _from_periods(
    texts: Sequence[str], place: Callable[[int], str], day_first: bool | None, usual: bool | None
) -> Times | None:
    """The beginnings of texts that all are a beginning and an end, or a year and the next; None for others."""
    if _are_two_years(texts):
        times = _from_integers([text[:4] for text in texts], False)
        return times._replace(note=f"times such as {texts[0]!r} were read as the first of their two years.")
    if not all(_PERIOD.fullmatch(text) and not _is_integer(text.split()[0]) for text in texts):  # 10 - 19 are ages
        return None
    begins, ends = zip(*(_PERIOD.fullmatch(text).groups() for text in texts), strict=True)  # type: ignore[union-attr]
    times = parse_times(begins, place, day_first=day_first, usual=usual)
    parse_times(ends, place, day_first=times.day_first)
    told = f"the beginnings of times such as {texts[0]!r} were read. {times.note}".strip()
    return times._replace(note=told)


def _are_two_years(texts: Sequence[str]) -> bool:
    """Whether all are a year and the next, as 2024/25 and 1999/00; a single 2011/12 is a month."""
    years = (_TWO_YEARS.fullmatch(text) for text in texts)
    follow = all(found and (int(found[1]) + 1) % 100 == int(found[2]) for found in years)
    return follow and (len(set(texts)) > 1 or any(len(text) > 7 or not 1 <= int(text[-2:]) <= 12 for text in texts))


def _refuse(text: str, where: str) -> NoReturn:
    found = f"found {text[:_LONGEST]!r}, which is no time" if text else "there is no time here"
    mend = "Write times such as 2024-01-31 or 2024-01-31 13:00."
    if text.strip().lower().split(" ")[0] in _TOTALS:
        mend = "Delete rows of totals."
    raise DataError(f"{found}.", where=where, mend=mend)


def _offsets(texts: Sequence[str], offsets: np.ndarray, place: Callable[[int], str]) -> np.ndarray | None:
    bare = offsets == _NONE
    if bare.all():
        return None
    if bare.any():
        without, with_one = int(np.argmax(bare)), int(np.argmax(~bare))
        found = f"{texts[without]!r} has no offset from UTC, but {texts[with_one]!r} ({place(with_one)}) has one."
        raise DataError(found, where=place(without), mend="Write all times with an offset, or all without.")
    return offsets


# Shapes


def _shapes(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Every shape among the texts, with the positions (texts of it,) that have it."""
    found: dict[str, list[np.ndarray]] = {}
    for begin in range(0, len(texts), _AT_ONCE):
        matrix = _letters(texts[begin : begin + _AT_ONCE])
        matrix[(matrix >= ord("0")) & (matrix <= ord("9"))] = ord("0")
        width = matrix.shape[1]
        names, codes = np.unique(np.ascontiguousarray(matrix).view(f"U{width}")[:, 0], return_inverse=True)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for name, low, high in zip(names.tolist(), bounds[:-1], bounds[1:], strict=True):
            found.setdefault(name, []).append(order[low:high] + begin)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _letters(texts: Sequence[str]) -> np.ndarray:
    """(texts, width) uint32 code points, 0 past the end of a text."""
    array = np.array(texts, dtype=np.str_)
    width = max(array.dtype.itemsize // 4, 1)
    return array.astype(f"U{width}").view(np.uint32).reshape(len(texts), width).copy()


def _layout(shape: str) -> re.Match[str] | None:
    matches = (layout.fullmatch(shape) for layout in _LAYOUTS)
    return next((match for match in matches if match), None)


def _order(
    texts: Sequence[str],
    shapes: dict[str, np.ndarray],
    place: Callable[[int], str],
    day_first: bool | None,
    usual: bool | None,
) -> tuple[bool | None, str]:
    """Whether the day comes first in dates whose order is open, None without any; and what to tell about it.

    A part over 12 anywhere in the column decides. Else what is usual does; else dots mean the day first, as where they
    are in use, and other marks the month.
    """
    layouts = [(_layout(shape), index) for shape, index in shapes.items()]
    open_ones = [(layout, index) for layout, index in layouts if layout and layout.groupdict().get("first")]
    if not open_ones or day_first is not None:
        return (day_first if open_ones else None), ""
    proof: dict[str, int] = {}
    for layout, index in open_ones:
        digits = _letters([texts[each] for each in index.tolist()]).astype(np.int64) - ord("0")
        for name in ("first", "then"):
            over = np.flatnonzero(_field(digits, layout, name) > 12)
            if len(over):
                proof.setdefault(name, int(index[over[0]]))
    if len(proof) == 2:
        day, month = proof["first"], proof["then"]
        found = f"{texts[day]!r} has the day first, but {texts[month]!r} ({place(month)}) has the month first."
        raise DataError(found, where=place(day), mend="Write dates such as 2024-01-31.")
    if proof or usual is not None:
        return ("first" in proof if proof else usual), ""
    layout, index = open_ones[0]
    chosen = all(each["mark"] == "." for each, _ in open_ones)
    read = str(_read([texts[index[0]]], layout, chosen)[0][0])[:10]
    told = f"dates such as {texts[index[0]]!r} could be read in two ways; the {'day' if chosen else 'month'} was read"
    return chosen, f"{told} first ({read}). Set day_first: {str(not chosen).lower()} if that is wrong."


# One layout


def _field(digits: np.ndarray, layout: re.Match[str], name: str) -> np.ndarray:
    """(texts,) the number in a part of the layout."""
    begin, end = layout.span(name)
    number = np.zeros(len(digits), np.int64)
    for column in range(begin, end):
        number = number * 10 + digits[:, column]
    return number


def _read(texts: Sequence[str], layout: re.Match[str], day_first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (texts,) datetime64[us], offsets (texts,) in seconds, and whether there is such a time (texts,)."""
    digits = _letters(texts).astype(np.int64) - ord("0")
    parts = {name: _field(digits, layout, name) for name, text in layout.groupdict().items() if text}
    days, real = _date(parts, day_first)
    seconds, real_time = _time_of_day(parts, layout)
    micros = parts.get("fraction", np.int64(0))
    if width := len(layout.groupdict().get("fraction") or ""):
        micros = micros * 10 ** (6 - width) if width <= 6 else micros // 10 ** (width - 6)
    times = days.astype("datetime64[us]") + (seconds * 1_000_000 + micros).astype("timedelta64[us]")
    offsets = np.full(len(texts), _NONE)
    if layout.groupdict().get("offset"):
        east = parts.get("east", np.int64(0)) * 3600 + parts.get("east_minutes", np.int64(0)) * 60
        offsets[:] = -east if layout["sign"] == "-" else east
    return times, offsets, real & real_time


def _date(parts: dict[str, np.ndarray], day_first: bool) -> tuple[np.ndarray, np.ndarray]:
    year = parts["year"] if "year" in parts else parts["short_year"] + 1900 + 100 * (parts["short_year"] < 69)
    one = np.ones_like(year)
    if "week" in parts:
        return _week_date(year, parts["week"], parts.get("weekday", one))
    if "first" in parts:
        day, month = (parts["first"], parts["then"]) if day_first else (parts["then"], parts["first"])
    else:
        month = parts["quarter"] * 3 - 2 if "quarter" in parts else parts.get("month", one)
        day = parts.get("day", one)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first = months.astype("datetime64[D]")
    real = (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    return first + (day - 1), real & (first + (day - 1) < (months + 1).astype("datetime64[D]"))


def _week_date(year: np.ndarray, week: np.ndarray, weekday: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ISO 8601: week 1 holds 4 January, weeks begin on Monday and belong to the year of their Thursday."""
    fourth = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + 3
    monday = fourth - (fourth.astype(np.int64) + 3) % 7 + (week - 1) * 7
    thursday = (monday + 3).astype("datetime64[Y]").astype(np.int64) + 1970
    return monday + (weekday - 1), (week >= 1) & (thursday == year) & (weekday >= 1) & (weekday <= 7)


def _time_of_day(parts: dict[str, np.ndarray], layout: re.Match[str]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since midnight; 24:00 is the midnight after."""
    hour = parts.get("hour", np.zeros_like(next(iter(parts.values()))))
    real = np.ones(len(hour), bool)
    minute, second = (parts.get(name, parts.get(f"{name}2", np.int64(0))) for name in ("minute", "second"))
    if half := layout.groupdict().get("half"):
        real = (hour >= 1) & (hour <= 12)
        hour = hour % 12 + 12 * (half[0] in "pP")
    seconds = hour * 3600 + minute * 60 + second
    return seconds, real & (minute < 60) & (second < 60) & (seconds <= 86_400)


# Numbers and names


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def _from_integers(texts: Sequence[str], integers: bool) -> Times:
    """Years, months, dates or seconds since 1970 when all numbers can be that, else the numbers themselves."""
    bare = [text.partition(".")[0] for text in texts]
    values = np.array(bare, np.int64)
    lengths = set(map(len, bare))
    if integers or values.min() < 0:
        return Times(values, None, "")
    size = lengths.pop() if len(lengths) == 1 else 0
    if size in _INTEGER_DATES:
        layout = _layout("0" * size)
        dates, _, real = _read(bare, layout, day_first=False)  # type: ignore[arg-type]
        years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
        first, last = _YEARS_OF_HOURS if size == 10 else _YEARS
        if (real & (years >= first) & (years <= last)).all():
            meant = {4: "years", 6: "year and month", 10: "year, month, day and hour"}.get(size)
            return Times(dates, None, f"numbers such as {texts[0]} were read as {meant}." if meant else "")
    low, high = int(values.min()), int(values.max())
    for least, (name, many, micros) in _EPOCHS.items():
        if least <= low and high < 100 * least:
            note = f"numbers such as {texts[0]} were read as {name} since 1970 in UTC."
            note += " Set frequency to 1 if they only count."
            times = (values * micros // many).astype("datetime64[us]")
            return Times(times, np.zeros(len(values), np.int64), note)
    return Times(values, None, "")


def _by_pandas(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Times (texts,) datetime64[us] of dates with the name of a month, NaT for what is none, and offsets (texts,)."""
    # pandas would also read "12" or "Jan 5", as some day of this month or this year.
    spelled = [in_english(text) if _DIGIT.search(text) and _LETTERS.search(text) else text for text in texts]
    offsets = np.full(len(texts), _NONE)
    for place, text in enumerate(spelled):
        if ":" in text and (found := _OFFSET.search(text)):
            east = int(found["hours"] or 0) * 3600 + int(found["minutes"] or 0) * 60
            offsets[place] = -east if found["sign"] == "-" else east
            spelled[place] = text[: found.start()] + text[found.end() :]
    whole = [text if _NAMED.search(text) and _WITH_YEAR.search(text) else None for text in spelled]
    if not any(whole):
        return np.full(len(texts), "NaT", "datetime64[us]"), offsets
    import pandas

    times = pandas.to_datetime(pandas.Series(whole, dtype=object), format="mixed", errors="coerce", utc=True)
    return times.dt.tz_localize(None).to_numpy().astype("datetime64[us]"), offsets
