"""What names and cells of columns look like: dates, clocks, months, years, and numbers that count."""

import itertools
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from toolkit.data.numbers import is_number
from toolkit.data.times import parse_times
from toolkit.errors import DataError

_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?|\d{1,2}\.\d{2}\.\d{2}")
_COUNTED = re.compile(r"(\D+)(\d{1,9})")
_YEAR = re.compile(r"(?:18|19|20)[0-9]{2}")
_MONTH_AND_YEAR = re.compile(r"^(\d\d)\.(\d{4})$")


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether a header is a row of data: all numbers and dates, or after the name of a series numbers, or one date and
    numbers.

    Numbers that count up, as years and months do, are names.
    """
    if all(is_number(name) or is_date(name) for name in names):
        return True
    others = names[1:]
    numbers = [name for name in others if is_number(name)]
    if numbers and len(others) == len(numbers) + 1 and all(is_number(name) or is_date(name) for name in others):
        return not are_years(numbers)
    if len(others) < 2 or len(numbers) < len(others) or are_months(others):
        return False
    return len({float(b) - float(a) for a, b in itertools.pairwise(name.replace(",", ".") for name in others)}) > 1


def counts_up(cells: Sequence[Any]) -> bool:
    """Whether all are integers, each one more than the one before."""
    numbers = [float(cell) for cell in cells if str(cell).strip().lstrip("+-").isdecimal()]
    return len(numbers) == len(cells) and {b - a for a, b in itertools.pairwise(numbers)} == {1.0}


def is_date(cell: Any) -> bool:
    if isinstance(cell, date):
        return True
    try:
        return isinstance(cell, str) and len(parse_times([cell.strip()], str).values) == 1
    except DataError:
        return False


def are_dates(cells: Sequence[Any]) -> bool:
    """Whether the first of them are times, and not all numbers."""
    texts = [str(cell) for cell in cells[:50]]
    return not all(map(is_number, texts)) and all(map(is_date, cells[:50]))


def is_clock(cell: Any) -> bool:
    return bool(_CLOCK.fullmatch(str(cell).strip()))


def are_months(cells: Sequence[Any]) -> bool:
    """Whether numbers are months, days or hours such as 202401, 01.2024, 20240131 or 2024013123, which no other numbers
    are by chance."""
    texts = list(dict.fromkeys(_MONTH_AND_YEAR.sub(r"\2\1", str(cell).strip()) for cell in cells))
    if len(texts) < 6 or not all(text.isdecimal() and len(text) in (6, 8, 10) for text in texts):
        return False
    orderly = texts in (ordered := sorted(texts), ordered[::-1])  # of several series, each time as it comes first
    if texts[0][:2] not in ("19", "20") or not orderly or len(set(map(len, texts))) > 1:
        return False
    return parse_times(texts, str).offsets is None if len(texts[0]) == 10 else all(map(is_date, texts))  # or seconds


def are_epochs(cells: Sequence[Any]) -> bool:
    """Whether numbers are seconds or milliseconds since 1970, minutes apart: numbers of orders count in ones."""
    width = len(str(cells[0]).strip()) if cells else 0
    if width not in (10, 13):
        return False
    texts = list(dict.fromkeys(str(cell).strip() for cell in cells))
    if len(texts) < 6 or not all(text.isdecimal() and len(text) == width for text in texts):
        return False
    steps = {int(after) - int(before) for before, after in itertools.pairwise(texts)}
    minute = 60 if width == 10 else 60_000
    return (min(steps) > 0 or max(steps) < 0) and all(step % minute == 0 for step in steps)


def is_year(cell: Any) -> bool:
    return bool(_YEAR.fullmatch(str(cell).strip()))


def are_years(names: Sequence[str]) -> bool:
    """Whether numbers are years, one after the other, or months or days, and not steps that are counted."""
    if are_months(names):
        return True
    if not all(map(is_year, names)):
        return False
    return all(int(after) > int(before) for before, after in itertools.pairwise(names))


def are_counted(names: Sequence[str]) -> bool:
    """Whether all are one word and a number, each one more than the one before."""
    parts = [part for name in names if (part := _COUNTED.fullmatch(name))]
    numbers = [int(part[2]) for part in parts]
    alike = len(parts) == len(names) and len({part[1] for part in parts}) == 1
    return alike and numbers == list(range(numbers[0], numbers[0] + len(names)))


def times_among(names: Sequence[str]) -> list[str]:
    """Those of the first names that are times, if most are; numbers are where they are years."""
    names = names[:50]
    numbers = [name for name in names if is_number(name)]
    if len(numbers) < 2 or not are_years(numbers):
        numbers = []
    times = numbers or [name for name in names if not is_number(name) and is_date(name)]
    return times if 2 * len(times) > len(names) else []
