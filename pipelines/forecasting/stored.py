"""Dataclasses from the JSON of a run folder, whose author may be anybody."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

from toolkit.artifact import Artifact
from toolkit.errors import intact


def from_json(kind: Any, value: Any) -> Any:
    """A value of the type `kind` from what `json.load` gives.

    Types: plain ones, Literal, those or None, tuples, dicts and dataclasses of them. Nothing is converted but lists to
    tuples and whole numbers to floats.

    Raises:
        ValueError: a value is of another type, or a field is missing or unknown.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _dataclass_from(kind, value)
    if origin is Literal:
        return value if isinstance(value, str) and value in inner else _refuse(value, " or ".join(map(repr, inner)))
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in inner:
            return None
        (only,) = (each for each in inner if each is not types.NoneType)
        return from_json(only, value)
    if origin is tuple:
        items = value if isinstance(value, list) else _refuse(value, "a list")
        each = inner[:1] * len(items) if inner[-1] is ... else inner
        return tuple(from_json(one, item) for one, item in zip(each, items, strict=True))
    if origin is dict:
        pairs = value if isinstance(value, dict) else _refuse(value, "a mapping")
        return {name: from_json(inner[1], item) for name, item in pairs.items()}
    if kind is float:
        number = float(value) if type(value) in (int, float) else _refuse(value, "a number")
        return number if math.isfinite(number) else _refuse(value, "a finite number")
    return value if type(value) is kind else _refuse(value, f"a value of type {kind.__name__}")


def read_stored(artifact: Artifact, name: str, kind: Any) -> Any:
    """A value of the type `kind` from a JSON file of a run.

    Raises:
        ArtifactError: the file is missing or damaged, or holds something else.
    """
    with intact("this is not what was stored", str(artifact.folder / name)):
        return from_json(kind, artifact.read_json(name))


def _dataclass_from(kind: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        _refuse(value, "a mapping")
    hints = typing.get_type_hints(kind)
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if wrong := sorted((needed - value.keys()) | (value.keys() - hints.keys())):
        raise ValueError(f"{wrong[0]} is {'missing' if wrong[0] in needed else 'not known'}")
    return kind(**{name: from_json(hints[name], item) for name, item in value.items()})


def _refuse(value: Any, expected: str) -> Any:
    raise ValueError(f"found {str(value)[:40]!r}, expected {expected}")
