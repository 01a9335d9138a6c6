"""Texts to numbers: columns of cells, with decimal commas, separators of thousands, signs of currencies and of per cent
and all the words for nothing."""

import re
from array import array
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np

from toolkit.errors import DataError

_MARKS = ("-", "--", "?", ".", "..", "...", ":", "***", "n/e")  # and other marks, as statistics offices set them
MISSING = frozenset(("", "na", "n/a", "n.a.", "nan", "null", "none", "nat", "#n/a", "#na", "<na>", *_MARKS))

_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_POINTS_AND_COMMA = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_BLANKS = " \u00a0\u2009\u202f'\u2019"  # and apostrophes, which stand between thousands and nothing else
_WITH_BLANKS = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}([{_BLANKS}])[0-9]{{3}}(?:\1[0-9]{{3}})*(?:[.,][0-9]*)?")
_THREE_DIGITS = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")  # behind a point that may stand between thousands
_MONEY = r"(?:[A-Z]{0,2}\$|[%¢-¥\u20a0-\u20cf])"  # a sign of a currency or of per cent
_AMOUNT = re.compile(rf"([+-]?)({_MONEY})\s?([+-]?[0-9][^%$]*)|([+-]?[0-9][^%$]*?)\s?({_MONEY})")
_SIGN = r"[^0-9A-Za-z+\-\u2212()<>. ]{1,3}"  # of a currency or the like
# A minus behind a number, and thousands or millions, are no units.
_UNIT = r"(?!\s*(?:[-\u2212]|k|m|b|g|t|bn|mn|mio|mrd|tsd|lakh|e)\.?$)[^0-9()]{1,4}"
_WITH_UNIT = re.compile(rf"(?:{_SIGN} ?)?([+-]?[0-9][0-9.,]*) ?{_UNIT}|{_SIGN} ?([+-]?[0-9][0-9.,]*)", re.IGNORECASE)


def is_missing(cell: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, or a word such as NA."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number in any way of writing it; False for one that is missing and for true and false."""
    if not isinstance(cell, str):
        return isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool)
    text = _joined(cell.strip())
    return text.lower() not in MISSING and (_plain(text) is not None or _has_comma(text))


def is_amount(cell: Any) -> bool:
    """Whether a cell holds a number, or one with a sign of a currency or of per cent: $1,234.50, 12 €, 5 %.

    Names of columns and series are no amounts: those of quantiles are 10%, 50%, 90%.
    """
    return is_number(cell) or (isinstance(cell, str) and is_number(_without_sign(cell.strip())[0]))


def bare(cell: Any) -> str:
    """The number in a cell that has a unit around it, such as 48.70 in "48.70 %"; "" for any other cell."""
    found = _WITH_UNIT.fullmatch(str(cell).strip())
    return (found[1] or found[2]).rstrip(".,") if found else ""


class NumberColumn:
    """The numbers of one column, cell by cell: 8 bytes a row however they are written.

    A decimal comma and commas between thousands are told apart by the cells that can only be one of them. A point is
    decimal; where all could stand between thousands, and numbers without one are below a thousand, that is told. A sign
    of a currency or of per cent stands with all numbers but 0, or with none.
    """

    def __init__(self, name: str):
        self._name = name
        self._values = array("d")
        self._with_comma: list[tuple[int, str, str]] = []
        self._with_point = ""
        self._whole = False
        self._surely_decimal = False
        self._signs: dict[str, str] = {}  # and of numbers without one, "", where each comes first

    def add(self, cell: Any, where: str) -> None:
        """Append one cell; DataError when it is neither a number nor missing."""
        if isinstance(cell, str):
            self._values.append(self._number(cell, where))
        elif cell is None:
            self._values.append(float("nan"))
        elif isinstance(cell, bool) or not hasattr(cell, "__float__"):
            self._refuse(cell, where)
        else:
            self._values.append(float(cell))

    def _number(self, cell: str, where: str) -> float:
        """NaN where it is missing, and where its commas wait for those of the other cells."""
        text, sign = _joined(cell.strip()), ""
        value = _plain(text)
        if value is None and not _has_comma(text) and text.lower() not in MISSING:
            text, sign = _without_sign(text)
            value = _plain(text)
            if value is None and not _has_comma(text):
                self._refuse(cell, where)
        if sign not in self._signs and text.lower() not in MISSING and value != 0:
            self._signs[sign] = f"{cell.strip()[:80]!r} ({where})"
        if value is None:
            if _has_comma(text):
                self._with_comma.append((len(self._values), text, where))
            return float("nan")
        if "." in text:
            self._with_point = self._with_point or f"{text!r} ({where})"
            self._surely_decimal = self._surely_decimal or not _THREE_DIGITS.fullmatch(text)
        else:
            self._whole = True
            self._surely_decimal = self._surely_decimal or abs(value) >= 1000
        return value

    def _refuse(self, cell: Any, where: str) -> NoReturn:
        mend = "Write a number such as 1234.5, or leave the cell empty when it is missing."
        if number := bare(cell):
            mend = f"Write {number}, without what stands around it."
        raise DataError(
            f"found {str(cell)[:80]!r} in column {self._name!r}, expected a number.", where=where, mend=mend
        )

    def finish(self) -> tuple[np.ndarray, str]:
        """The numbers (rows,) float64, and how signs, commas and points were read, "" when there is nothing to tell.

        Raises:
            DataError: commas can be read in two ways, or cells contradict one another.
        """
        if len(self._signs) > 1:
            one, other, *_ = self._signs.values()
            mend = "Write all numbers in one unit, as 1234.5."
            raise DataError(f"column {self._name!r} has {one} and {other}, which are in different units.", mend=mend)
        values, told = self._finish()
        for sign, first in self._signs.items():
            if sign:
                told = f"numbers of column {self._name!r} were read without their {sign}: {first}. {told}".strip()
        return values, told

    def _finish(self) -> tuple[np.ndarray, str]:
        values = np.array(self._values)
        if not self._with_comma:
            return values, self._doubt()
        decimal = self._is_decimal()
        for row, text, _ in self._with_comma:
            values[row] = float(text.replace(".", "").replace(",", ".") if decimal else text.replace(",", ""))
        row, text, where = self._with_comma[0]
        meaning = "decimal commas" if decimal else "commas between thousands"
        told = f"{len(self._with_comma)} numbers of column {self._name!r} have {meaning}: {text!r} ({where})"
        return values, f"{told} was read as {values[row]:g}."

    def _doubt(self) -> str:
        if not self._with_point or not self._whole or self._surely_decimal:
            return ""
        found = f"all points of column {self._name!r} have three digits behind them, and numbers without one are below"
        mend = "If the points stand between thousands, delete them."
        return f"{found} 1,000: {self._with_point} was read with a decimal point. {mend}"

    def _is_decimal(self) -> bool:
        proof: dict[bool, str] = {}
        for _, text, where in self._with_comma:
            decimal = bool(_COMMA.fullmatch(text) or _POINTS_AND_COMMA.fullmatch(text))
            if decimal != bool(_THOUSANDS.fullmatch(text)):
                proof.setdefault(decimal, f"{text!r} ({where})")
        mend = "Write numbers with a decimal point and no separators: 1234.5."
        _, text, where = self._with_comma[0]
        if not proof:
            found = f"{text!r} in column {self._name!r} could be {text.replace(',', '')} or {text.replace(',', '.')}."
            raise DataError(found, where=where, mend=mend)
        if True in proof and self._with_point:
            proof[False] = self._with_point
        if len(proof) == 2:
            found = f"column {self._name!r} has decimal commas, {proof[True]}, and decimal points, {proof[False]}."
            raise DataError(found, where=where, mend=mend)
        return True in proof


def _joined(text: str) -> str:
    """The same without blanks or apostrophes between thousands."""
    return re.sub(f"[{_BLANKS}]", "", text) if _WITH_BLANKS.fullmatch(text) else text


def _without_sign(text: str) -> tuple[str, str]:
    """A number and the sign of a currency or of per cent that stands with it; any other text and "" ."""
    if not (found := _AMOUNT.fullmatch(text)):
        return text, ""
    minus, before, number, whole, behind = found.groups(default="")
    return _joined(minus + number + whole), before + behind


def _has_comma(text: str) -> bool:
    return any(style.fullmatch(text) for style in (_COMMA, _POINTS_AND_COMMA, _THOUSANDS))


def _plain(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
