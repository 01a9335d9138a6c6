"""Rows of JSON: a list in a document, or a row a line."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from toolkit.data.delimited import Placed
from toolkit.data.files import bounded_lines
from toolkit.errors import DataError

# A whole number beyond what any float holds stays text, as it is in CSV: infinite among values, itself among names.
_JSON = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 309 else digits)


def json_lines(numbered: Iterable[tuple[int, str]], where: str) -> Iterator[Placed]:
    for number, line in numbered:
        yield _row(_parsed(line, where, number), f"{where}:{number}")


def json_rows(text: TextIO, where: str, part: str) -> Iterator[Placed]:
    """The rows of one document; or of one a line, as many data sets have them under the same name."""
    document = text.readline()
    try:
        value = _JSON.decode(document)
    except (ValueError, RecursionError):  # it goes on in the next line
        document += text.read()
        if not document.strip():
            return
        value = _parsed(document, where)
    more = ((number, line) for number, line in enumerate(bounded_lines(text, where), 2) if line.strip())
    if second := next(more, None):
        if part:
            raise DataError("found rows of JSON, which have no parts.", where=where, mend=f"Leave out #{part}.")
        yield _row(value, f"{where}:1")
        yield from json_lines(itertools.chain([second], more), where)
        return
    if part and not (isinstance(value, dict) and part in value):
        keys = ", ".join(list(value)[:10]) if isinstance(value, dict) else "none, for it is a list"
        raise DataError(f"there is no key {part!r}; the keys are {keys}.", where=where)
    value = value[part] if part else value
    if not isinstance(value, list):
        lists = [key for key, each in value.items() if isinstance(each, list)] if isinstance(value, dict) else []
        mend = "Write a list of rows, as pandas does with orient='records'."
        if lists and not part:  # a part is one key, so that a list further inside cannot be named
            mend = f"Name the key of the list, such as {where}#{max(lists, key=lambda key: len(value[key]))}."
        raise DataError(f"found {_kind(value)}, expected a list of rows.", where=where, mend=mend)
    place = f"{where}#{part}" if part else where
    for number, item in enumerate(value, 1):
        yield _row(item, f"{place}:row {number}")


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """The same with what is inside objects as columns of their own."""
    while any(isinstance(value, dict) for value in values.values()):
        inner = dict[str, Any]()
        for name, value in values.items():
            fields = {f"{name}.{field}": each for field, each in value.items()} if isinstance(value, dict) else {}
            inner |= fields or {name: value or None if isinstance(value, dict) else value}
        values = inner
    return values


def _parsed(text: str, where: str, line: int | None = None) -> Any:
    """What JSON says, of a whole file or of one of its lines."""
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        place = line or getattr(error, "lineno", 1)
        reason = getattr(error, "msg", "brackets are nested too deeply")
        mend = "Check quotes, commas and brackets; a file with one object a line is jsonl."
        if line and text.strip() in ("[", "[{", "[["):
            mend = "A list that goes over several lines is json: let the name end in .json, or set data.format."
        raise DataError(f"not valid JSON ({reason}).", where=f"{where}:{place}", mend=mend) from error


def _row(value: Any, where: str) -> Placed:
    if isinstance(value, list):
        return where, flat({str(column): item for column, item in enumerate(value)})
    if not isinstance(value, dict):
        mend = 'Write each row as {"text": "...", "label": "..."}.'
        raise DataError(f"found {_kind(value)}, expected an object or a list.", where=where, mend=mend)
    return where, flat(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
