"""Dataclasses from the JSON of a run folder, whose author may be anybody."""

import math
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

import numpy as np


def from_json(kind: Any, value: Any, **given: Any) -> Any:
    """A value of the type `kind` from what `json.load` gives; of a dataclass, these fields are given and not in it.

    Types: plain ones, Literal, those or None, or a list of them; lists, tuples, dicts and dataclasses of them, and
    arrays of numbers.
    Nothing is converted but lists to tuples and arrays, and whole numbers to floats.

    Raises:
        ValueError: a value is of another type, or a field is missing or unknown.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _dataclass_from(kind, value, given)
    if origin is Literal:
        return value if isinstance(value, str) and value in inner else _refuse(value, " or ".join(map(repr, inner)))
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in inner:
            return None
        kinds = [each for each in inner if each is not types.NoneType]
        fitting = [each for each in kinds if isinstance(value, list) == (typing.get_origin(each) in (tuple, list))]
        return from_json((fitting or kinds)[0], value)
    if origin in (tuple, list):
        items = value if isinstance(value, list) else _refuse(value, "a list")
        alike = origin is list or inner[-1] is ...
        if alike and inner[0] is str and set(map(type, items)) <= {str}:
            return origin(items)  # thousands of words, one by one, would take long
        each = inner[:1] * len(items) if alike else inner
        return origin(from_json(one, item) for one, item in zip(each, items, strict=True))
    if origin is dict:
        pairs = value if isinstance(value, dict) else _refuse(value, "a mapping")
        return {name: from_json(inner[1], item) for name, item in pairs.items()}
    if kind is np.ndarray:
        array = np.array(value)
        return array if array.dtype.kind in "if" and np.isfinite(array).all() else _refuse(value, "numbers")
    if kind is float:
        number = float(value) if type(value) in (int, float) else _refuse(value, "a number")
        return number if math.isfinite(number) else _refuse(value, "a finite number")
    return value if type(value) is kind else _refuse(value, f"a value of type {kind.__name__}")


def to_json(value: Any) -> Any:
    """What `json.dump` takes, which `from_json` reads again."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _dataclass_from(kind: Any, value: Any, given: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        _refuse(value, "a mapping")
    hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if name not in given}
    optional = {field.name for field in fields(kind) if (field.default, field.default_factory) != (MISSING, MISSING)}
    needed = hints.keys() - optional
    if wrong := sorted((needed - value.keys()) | (value.keys() - hints.keys())):
        raise ValueError(f"{wrong[0]} is {'missing' if wrong[0] in needed else 'not known'}")
    return kind(**{name: from_json(hints[name], item) for name, item in value.items()}, **given)


def _refuse(value: Any, expected: str) -> Any:
    raise ValueError(f"found {str(value)[:40]!r}, expected {expected}")
