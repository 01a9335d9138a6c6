"""Strict YAML into frozen models: YAML 1.2 scalars, no surprises, and every problem told at once with its line."""

import difflib
import io
import json
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from toolkit.errors import ConfigError

MOST_PROBLEMS = 50  # that are told at once
LARGEST_FILE = 256 * 1024  # bytes; a config is a page or two
DEEPEST_NESTING = 16

# What some readers of YAML take for something else than text.
_NOT_PLAIN = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf")

Location = tuple[str | int, ...]

# The numbers of YAML 1.2's core schema; longer integers than these are no setting.
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_BASED = re.compile(r"0x[0-9a-fA-F]{1,25}|0o[0-7]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_COMMENT = re.compile(r"(^|\s)#")


class Stanza(BaseModel):
    """Base of all config models: immutable, and a key that is not a field is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


M = TypeVar("M", bound=Stanza)


@dataclass
class Document:
    """Values of a YAML file and where each of them stands."""

    values: dict[str, Any]
    places: dict[Location, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, location: Location) -> str:
        """Where a value, or the nearest thing around it, was written: `file.yaml:3` or `--set a.b=c`."""
        while location not in self.places and location:
            location = location[:-1]
        return self.places.get(location, "config")


def read_document(path: str | Path, overrides: Sequence[str] = ()) -> Document:
    """Read a YAML file and apply `a.b=value` overrides to it.

    Raises:
        ConfigError: the file is missing, too long, too deep, not YAML, or uses aliases; an override is malformed.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"this config cannot be read: {error.strerror}.", where=str(path)) from error
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"more than {LARGEST_FILE:,} bytes, too long for a config.", where=str(path))
    try:
        document = parse(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}.", where=str(path), mend="Save it as UTF-8.") from error
    for override in overrides:
        apply_override(document, override)
    return document


def parse(text: str, name: str) -> Document:
    """Parse YAML text whose top level is a mapping; `name` stands in error messages."""
    if len(text) > LARGEST_FILE:
        raise ConfigError(f"more than {LARGEST_FILE:,} characters, too long for a config.", where=name)
    root = _compose(text, name)
    if root is None:
        raise ConfigError("the file is empty.", where=name, mend="`seqloom init --help` says how to begin one.")
    if not isinstance(root, MappingNode):
        raise ConfigError("expected `key: value` lines at the top level.", where=f"{name}:{root.start_mark.line + 1}")
    document = Document(values={}, places={(): name})
    document.values = _construct(root, (), lambda node: f"{name}:{node.start_mark.line + 1}", document)
    return document


def validate(document: Document, model: type[M]) -> M:
    """Turn a document into a frozen config.

    Raises:
        ConfigError: with one line for every problem in the document.
    """
    problems, more = dict.fromkeys(document.problems), list[str]()
    try:
        config = model.model_validate(document.values)
    except ValidationError as error:
        found = list(_by_location(error, document))
        for location, entries in found[:MOST_PROBLEMS]:
            problems[_explain(location, entries, document, model)] = None
        left = len(found) - MOST_PROBLEMS
        more = [f"and {left:,} more."] if left > 0 else []
    if problems:
        raise ConfigError("\n".join([*sorted(problems, key=_line_number), *more]))
    return config


def dump(config: Stanza) -> str:
    """The config as YAML text with every default filled in."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(_quoted(config.model_dump(mode="json")), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """Text with signs that YAML would not read back as they are, in quotes with escapes."""
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not value.isprintable() else value


def quoted(text: str) -> str:
    """A text as YAML writes it: plain where it can be read as nothing else."""
    plain = re.fullmatch(r"[A-Za-z_/][\w./+-]*", text) and text.lower() not in _NOT_PLAIN
    return text if plain else json.dumps(text, ensure_ascii=False)


def closest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that `word` was most likely meant to be, or None."""
    matches = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _compose(text: str, name: str) -> Node | None:
    try:
        _check_events(text, name)
        return _yaml().compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"this is not YAML: {error.problem or error.context}.", where=where) from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"this is not YAML: {str(error).splitlines()[0]}.", where=name) from error


def _check_events(text: str, name: str) -> None:
    """Refuse directives, aliases and deep nesting before anything is built from them."""
    depth = 0
    for event in _yaml().parse(io.StringIO(text)):
        where = f"{name}:{event.start_mark.line + 1}"
        if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            raise ConfigError("directives (`%YAML`, `%TAG`) are not read.", where=where, mend="Remove them.")
        if isinstance(event, AliasEvent):
            raise ConfigError("aliases (`*name`) are not read.", where=where, mend="Write the value out.")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST_NESTING:
            raise ConfigError(f"nested deeper than {DEEPEST_NESTING} levels.", where=where)


def _construct(node: Node, location: Location, place: Callable[[Node], str], document: Document) -> Any:
    """Plain Python values of a node; notes where each stands, and duplicate keys."""
    document.places.setdefault(location, place(node))
    tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
    if isinstance(node, ScalarNode):
        return _scalar(node.value, tag, place(node))
    if tag not in ("map", "seq"):
        raise ConfigError(f"the tag {node.tag} is not read here.", where=place(node), mend="Remove it.")
    if isinstance(node, SequenceNode):
        return [_construct(item, (*location, i), place, document) for i, item in enumerate(node.value)]
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        if not isinstance(key_node, ScalarNode):
            raise ConfigError("a key must be a word.", where=place(key_node))
        if key in values:
            document.problems.append(f"{place(key_node)}: {_dotted((*location, key))} stands here twice. Remove one.")
        document.places[(*location, key)] = place(key_node)
        values[key] = _construct(value_node, (*location, key), place, document)
    return values


def _scalar(text: str, tag: str, place: str) -> Any:
    match tag:
        case "str" | "timestamp":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" if _INTEGER.fullmatch(text):
            return int(text)
        case "int" if _BASED.fullmatch(text):
            return int(text, 0)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
        case "float" if _INFINITE.fullmatch(text):
            return float(text.replace(".", ""))
        case "int" | "float":
            return text  # such as 1_000 or .nan: the field's own message says what it expects
    raise ConfigError(f"the tag !{tag.lstrip('!')} is not read here.", where=place, mend="Remove it.")


def changed(config: M, changes: Mapping[str, Any], name: str) -> M:
    """The config with other values at some places, such as "encoder.units", checked as if a user had written it.

    Args:
        name: what the changes are for; it stands in error messages.

    Raises:
        ConfigError: the config does not allow the changes.
    """
    document = parse(dump(config), name)
    for key, value in changes.items():
        apply_override(document, f"{key}={json.dumps(value)}")
    return validate(document, type(config))


def apply_override(document: Document, override: str) -> None:
    """Apply one `--set a.b=value`; the value is read as YAML.

    Raises:
        ConfigError: it is malformed, or there is a value where a mapping is needed.
    """
    key, equals, text = override.partition("=")
    place = f"--set {override}"
    parts = tuple(key.strip().split("."))
    if not equals or not all(parts):
        raise ConfigError("expected key.key=value.", where=place, mend="For example --set training.epochs=3")
    target: Any = document.values
    for depth, part in enumerate(parts[:-1]):
        if target.get(part) is None:
            target[part] = {}
            document.places[parts[: depth + 1]] = place
        target = target[part]
        if not isinstance(target, dict):
            inside = f"{_dotted(parts[: depth + 1])} is a value and has no {parts[depth + 1]} inside."
            raise ConfigError(inside, where=place)
    for location in [location for location in document.places if location[: len(parts)] == parts]:
        del document.places[location]
    target[parts[-1]] = _construct(_value_node(text, place), parts, lambda _: place, document)
    document.places[parts] = place


def _value_node(text: str, place: str) -> Node:
    """The value of an override: what it would be behind a key on a line of its own, or else the text as it is."""
    try:
        root = _compose(f"value: {text}", place)
    except ConfigError:
        root = None
    if isinstance(root, MappingNode) and len(root.value) == 1:
        node: Node = root.value[0][1]
        plain = isinstance(node, ScalarNode) and not node.style
        if not (plain and _COMMENT.search(text)):  # in a shell nobody comments; `#` is a sign between labels, say
            return node
    return ScalarNode(tag="tag:yaml.org,2002:str", value=text)


def _by_location(error: ValidationError, document: Document) -> Iterator[tuple[Location, list[Any]]]:
    """Pydantic's errors, those for the members of one union together."""
    grouped: dict[Location, list[Any]] = {}
    for entry in error.errors(include_url=False):
        location = _inside_document(entry["loc"], document.values, entry["type"])
        grouped.setdefault(location, []).append(entry)
    above = {location[:depth] for location in grouped for depth in range(len(location))}
    for location, entries in grouped.items():
        # Of a union of a word and a list of words, the wrong item says more than the list that is no word.
        if location not in above:
            yield location, entries


def _explain(location: Location, entries: list[Any], document: Document, model: type[Stanza]) -> str:
    """What is wrong at one place, as a line for the user."""
    place, name, entry = document.place(location), _dotted(location), entries[0]
    match entry["type"]:
        case "extra_forbidden":
            known = list(_fields_at(model, location[:-1]))
            hint = closest(str(location[-1]), known)
            mend = f"Did you mean {_dotted((*location[:-1], hint))}?" if hint else f"Known here: {', '.join(known)}."
            return f"{place}: {name} is not a key here. {mend}"
        case "missing":
            return f"{place}: {name} is missing.{_description(model, location)}"
        case "literal_error" if len(entries) == 1:
            hint = closest(str(entry["input"]), re.findall(r"'([^']*)'", entry["ctx"]["expected"]))
            mend = f" Did you mean {hint}?" if hint else ""
            return f"{place}: {name} is {_shown(entry['input'])}, expected {entry['ctx']['expected']}.{mend}"
        case "value_error":
            message = str(entry["ctx"]["error"])
            return f"{place}: {name}: {message}" if name else f"{place}: {message}"
    if any("_than" in entry["type"] for entry in entries):  # in "3 or 3d" a number of steps that is out of bounds
        entries = [entry for entry in entries if entry["type"] != "string_type"]
    expected = " or ".join(dict.fromkeys(_expected(entry) for entry in entries))
    return f"{place}: {name} is {_shown(entry['input'])}, expected {expected}.{_description(model, location)}"


def _expected(entry: Any) -> str:
    if entry["type"] in ("model_type", "model_attributes_type"):
        return "keys with values"
    if entry["type"] == "string_type" and isinstance(entry["input"], int):  # such as the number of a column
        return f'a string such as "{_shown(entry["input"])}"'
    text = re.sub(r"^\w+ should have (at \w+ \d+ \w+).*", r"\1", entry["msg"])  # of a list or a text
    text = text.replace("Input should be ", "").replace("a valid ", "a ")
    text = text.replace("a integer", "a whole number").replace("a boolean", "true or false")
    return text.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def _line_number(problem: str) -> int:
    found = re.match(r"[^\n]*?:(\d+):", problem)
    return int(found[1]) if found else 0


def _inside_document(location: Location, values: Any, kind: str) -> Location:
    """The part of a pydantic location that exists in the document (unions add parts of their own)."""
    kept: list[str | int] = []
    for part in location:
        known = isinstance(values, dict) and part in values
        if known or (isinstance(values, list) and isinstance(part, int) and part < len(values)):
            values = values[part]
            kept.append(part)
        elif kind == "missing" and isinstance(values, dict):
            kept.append(part)
            break
    return tuple(kept)


def _models_in(annotation: Any) -> Iterator[type[Stanza]]:
    if isinstance(annotation, type) and issubclass(annotation, Stanza):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, list, tuple):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _fields_at(model: type[Stanza], location: Location) -> dict[str, FieldInfo]:
    """The fields of the stanza at a place, none where there is no stanza."""
    fields = model.model_fields
    for part in location:
        if not isinstance(part, int):
            here = next(_models_in(fields[part].annotation), None) if part in fields else None
            fields = here.model_fields if here else {}
    return fields


def _description(model: type[Stanza], location: Location) -> str:
    """The documentation of a field, as a sentence to follow an error."""
    info = _fields_at(model, location[:-1]).get(str(location[-1])) if location else None
    return f" It is: {info.description}" if info and info.description else ""


def _dotted(location: Location) -> str:
    return ".".join(str(part) for part in location)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, float) and not math.isfinite(value):
        return "infinite"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
