"""Strict YAML into frozen models: YAML 1.2 scalars, no surprises, and every problem told at once with its line."""

import difflib
import io
import math
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from toolkit.errors import ConfigError

LARGEST_FILE = 256 * 1024  # bytes; a config is a page or two
DEEPEST_NESTING = 16

Location = tuple[str | int, ...]


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
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"this config cannot be read: {error.strerror}.", where=str(path)) from error
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{len(data):,} bytes, more than the {LARGEST_FILE:,} of a config.", where=str(path))
    try:
        document = parse(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}.", where=str(path), mend="Save it as UTF-8.") from error
    for override in overrides:
        _override(document, override)
    return document


def parse(text: str, name: str) -> Document:
    """Parse YAML text whose top level is a mapping; `name` stands in error messages."""
    try:
        _check_events(text, name)
        root = _yaml().compose(io.StringIO(text))
    except MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        raise ConfigError(f"this is not YAML: {error.problem or error.context}.", where=f"{name}:{line}") from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"this is not YAML: {str(error).splitlines()[0]}.", where=name) from error
    if root is None:
        raise ConfigError("the file is empty.", where=name, mend="Try `seqloom init classify DATA` for a start.")
    if not isinstance(root, MappingNode):
        raise ConfigError("expected `key: value` lines at the top level.", where=f"{name}:{root.start_mark.line + 1}")
    document = Document(values={}, places={(): name})
    document.values = _construct(root, (), name, document)
    return document


def validate(document: Document, model: type[M]) -> M:
    """Turn a document into a frozen config.

    Raises:
        ConfigError: with one line for every problem in the document.
    """
    problems = dict.fromkeys(document.problems)
    try:
        config = model.model_validate(document.values)
    except ValidationError as error:
        for location, entries in _by_location(error, document):
            problems[_explain(location, entries, document, model)] = None
    if problems:
        raise ConfigError("\n".join(sorted(problems, key=_line_number)))
    return config


def dump(config: Stanza) -> str:
    """The config as YAML text with every default filled in."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(config.model_dump(mode="json"), stream)
    return stream.getvalue()


def closest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that `word` was most likely meant to be, or None."""
    matches = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _check_events(text: str, name: str) -> None:
    """Refuse aliases and deep nesting before anything is built from them."""
    depth = 0
    for event in _yaml().parse(io.StringIO(text)):
        where = f"{name}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            raise ConfigError("aliases (`*name`) are not read.", where=where, mend="Write the value out.")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST_NESTING:
            raise ConfigError(f"nested deeper than {DEEPEST_NESTING} levels.", where=where)


def _construct(node: Node, location: Location, name: str, document: Document) -> Any:
    """Plain Python values of a node; notes the line of each and duplicate keys."""
    line = node.start_mark.line + 1
    document.places.setdefault(location, f"{name}:{line}")
    if isinstance(node, ScalarNode):
        return _scalar(node, f"{name}:{line}")
    if isinstance(node, SequenceNode):
        return [_construct(item, (*location, i), name, document) for i, item in enumerate(node.value)]
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, place = str(key_node.value), f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, ScalarNode):
            raise ConfigError("a key must be a word.", where=place)
        if key in values:
            document.problems.append(f"{place}: {_dotted((*location, key))} stands here twice. Remove one.")
        document.places[(*location, key)] = place
        values[key] = _construct(value_node, (*location, key), name, document)
    return values


def _scalar(node: ScalarNode, place: str) -> Any:
    text = node.value
    match str(node.tag).removeprefix("tag:yaml.org,2002:"):
        case "str" | "timestamp":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" if re.fullmatch(r"[-+]?\d+", text):
            return int(text)
        case "int" if re.fullmatch(r"0[xo][0-9a-fA-F]+", text):
            return int(text, 0)
        case "float" if not text.lower().endswith("nan"):
            return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf"))
        case "int" | "float":
            return text  # such as 1_000 or .nan: the field's own message says what it expects
    raise ConfigError(f"the tag {node.tag} is not read here.", where=place, mend="Remove it.")


def _override(document: Document, override: str) -> None:
    """Apply one `--set a.b=value`; the value is read as YAML."""
    key, equals, text = override.partition("=")
    place = f"--set {override}"
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError("expected key.key=value.", where=place, mend="For example --set training.epochs=3")
    try:
        value = parse(f"value: {text}", place).values["value"]
    except ConfigError:
        value = text
    target: Any = document.values
    for part in parts[:-1]:
        if target.get(part) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise ConfigError(f"{part} is a value and has no {parts[-1]} inside.", where=place)
    target[parts[-1]] = value
    document.places[tuple(parts)] = place


def _by_location(error: ValidationError, document: Document) -> Iterator[tuple[Location, list[Any]]]:
    """Pydantic's errors, those for the members of one union together."""
    grouped: dict[Location, list[Any]] = {}
    for entry in error.errors(include_url=False):
        location = _inside_document(entry["loc"], document.values, entry["type"])
        grouped.setdefault(location, []).append(entry)
    yield from grouped.items()


def _explain(location: Location, entries: list[Any], document: Document, model: type[Stanza]) -> str:
    """What is wrong at one place, as a line for the user."""
    place, name, entry = document.place(location), _dotted(location), entries[0]
    match entry["type"]:
        case "extra_forbidden":
            known = _fields_at(model, location[:-1])
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
    expected = " or ".join(dict.fromkeys(_expected(entry) for entry in entries))
    return f"{place}: {name} is {_shown(entry['input'])}, expected {expected}.{_description(model, location)}"


def _expected(entry: Any) -> str:
    text = entry["msg"].replace("Input should be ", "").replace("a valid ", "a ")
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


def _model_at(model: type[Stanza], location: Location) -> type[Stanza] | None:
    for part in location:
        if isinstance(part, int):
            continue
        if part not in model.model_fields:
            return None
        model_here = next(_models_in(model.model_fields[part].annotation), None)
        if model_here is None:
            return None
        model = model_here
    return model


def _fields_at(model: type[Stanza], location: Location) -> list[str]:
    found = _model_at(model, location)
    return list(found.model_fields) if found else []


def _description(model: type[Stanza], location: Location) -> str:
    """The documentation of a field, as a sentence to follow an error."""
    found = _model_at(model, location[:-1]) if location else None
    info = found.model_fields.get(str(location[-1])) if found else None
    return f" It is: {info.description}" if info and info.description else ""


def _dotted(location: Location) -> str:
    return ".".join(str(part) for part in location)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, float) and not math.isfinite(value):
        return "infinite"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
