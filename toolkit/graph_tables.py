"""What an ONNX file holds, read without `onnx`: its operators, and its large tables where they lie.

Operators are checked, since a stranger's file may hold any, such as a `Loop` without end.

Tables become inputs of the graph: ONNX Runtime copies what a file holds, which for a table of word vectors took a fifth
of the time of a prediction of one text. A file is a message of Protocol Buffers, and what matters here is soon read;
importing `onnx` to read it would take longer than it saves.

Reference: Protocol Buffers, "Encoding"; onnx.proto for the numbers of fields
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

LARGE = 1 << 20  # bytes of a table that is worth it
MOST_FIELDS = 10_000  # of a message to split; only graphs of very many networks have as many, and are left whole
MOST_BYTES = 1 << 20  # of all operators of such a graph
MOST_CHECKED = 16 << 20  # bytes of all operators of any graph: 32 networks of 16 layers take a sixth; seconds to read

GRAPH, FUNCTIONS = 7, 25  # of a model
NODE, INITIALIZER, INPUT = 1, 5, 11  # of a graph
READS, OPERATOR, ATTRIBUTE, DOMAIN = 1, 4, 5, 7  # of a node
BODY, BODIES = 6, 11  # of an attribute that holds graphs
SIZE, KIND, NAME, NUMBERS = 1, 2, 8, 9  # of an initializer
FLOAT = 1
WHOLE_NUMBER, BYTES, FIXED = 0, 2, {1: 8, 5: 4}  # kinds of fields; those of fixed size with their bytes


class Field(NamedTuple):
    """A field of a message.

    Args:
        number: which it is.
        value: of a whole number; of anything else its length in bytes.
        whole, content: its place, and that of its bytes.
    """

    number: int
    value: int
    whole: slice
    content: slice


# That a graph of ours may hold; `Scan` ends with the steps of what it reads.
OPERATORS = frozenset(
    [
        *("Add", "Cast", "Clip", "Concat", "Cos", "CumSum", "Div", "Equal", "Expand", "GRU", "Gather", "Greater"),
        *("Identity", "LSTM", "LayerNormalization", "Less", "Log", "LogSoftmax", "MatMul", "Max", "Mean", "Min", "Mod"),
        *("Mul", "RNN", "Range", "ReduceMax", "ReduceSum", "Relu", "Reshape", "Scan", "ScatterElements", "Shape"),
        *("Sigmoid", "Sin", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "TopK"),
        *("Transpose", "Unsqueeze", "Where"),
    ]
)


def check_operators(model: bytes) -> None:
    """Refuse a graph that holds what no graph of ours does.

    Raises: ValueError, which says what.
    """
    fields = list(_fields(model, slice(0, len(model))))
    if any(each.number == FUNCTIONS for each in fields):
        raise ValueError("it holds functions of its own")
    graphs, size = [each.content for each in fields if each.number == GRAPH], 0
    while graphs:
        for node in _fields(model, graphs.pop(), MOST_CHECKED):
            if node.number != NODE:
                continue
            size += node.value
            if size > MOST_CHECKED:
                raise ValueError(f"its operators take more than {MOST_CHECKED:,} bytes")
            for field in _fields(model, node.content):
                if field.number == ATTRIBUTE:
                    inside = _fields(model, field.content)
                    graphs += [each.content for each in inside if each.number in (BODY, BODIES)]
                elif field.number == OPERATOR and (name := model[field.content].decode("latin-1")) not in OPERATORS:
                    raise ValueError(f"it holds an operator {name[:40]!r}")
                elif field.number == DOMAIN and field.value:
                    raise ValueError("it holds an operator that is not one of ONNX's own")


def split(model: bytes) -> tuple[bytes, dict[str, np.ndarray]]:
    """The model that reads its large tables as inputs, and these; a model that cannot be read is left as it is.

    A table is what operators `Gather` alone look rows up in. Shapes: (rows, width) float32, which may not be aligned
    """
    try:
        return _split(model)
    except (ValueError, OverflowError):
        return model, {}  # ONNX Runtime will say what is wrong with it


def _split(model: bytes) -> tuple[bytes, dict[str, np.ndarray]]:
    (graph,) = [each for each in _fields(model, slice(0, len(model))) if each.number == GRAPH]
    fields = list(_fields(model, graph.content))
    if all(each.number != INITIALIZER or each.value < LARGE for each in fields):
        return model, {}
    looked_up = _looked_up(model, [each for each in fields if each.number == NODE])
    view = memoryview(model)  # one copy of what may be much
    parts, tables = list[bytes | memoryview](), dict[str, np.ndarray]()
    for field in fields:
        found = _table(model, field.content) if field.number == INITIALIZER and field.value >= LARGE else None
        if found and found[0] in looked_up:
            tables |= [found]
            parts.append(_message(INPUT, _input(*found)))
        else:
            parts.append(view[field.whole])
    head = _head(GRAPH, sum(map(len, parts)))
    return b"".join([view[: graph.whole.start], head, *parts, view[graph.whole.stop :]]), tables


def _looked_up(model: bytes, nodes: list[Field]) -> set[str]:
    """Values that are the first input of `Gather` and read by nothing else."""
    if sum(node.value for node in nodes) > MOST_BYTES:
        raise ValueError(f"operators of more than {MOST_BYTES} bytes")
    first, others = set[str](), set[str]()
    for node in nodes:
        fields = list(_fields(model, node.content))
        operator = [model[each.content] for each in fields if each.number == OPERATOR]
        reads = [model[each.content].decode() for each in fields if each.number == READS]
        rows = 1 if operator == [b"Gather"] else 0
        first.update(reads[:rows])
        others.update(reads[rows:])
    return first - others


def _table(model: bytes, place: slice) -> tuple[str, np.ndarray]:
    """An initializer's name, and its numbers in the model's memory."""
    fields = list(_fields(model, place))
    name, kind, numbers = ([each for each in fields if each.number == number] for number in (NAME, KIND, NUMBERS))
    if [each.value for each in kind] != [FLOAT] or not len(name) == len(numbers) == 1:
        raise ValueError("no floats in one piece")
    shape = [each.value for each in fields if each.number == SIZE]
    array = np.frombuffer(model, "<f4", numbers[0].value // 4, numbers[0].content.start).reshape(shape)
    return model[name[0].content].decode(), array


def _input(name: str, table: np.ndarray) -> bytes:
    """The declaration of a graph's input."""
    sizes = b"".join(_message(1, _number(1, size)) for size in table.shape)
    return _message(1, name.encode()) + _message(2, _message(1, _number(1, FLOAT) + _message(2, sizes)))


def _fields(data: bytes, place: slice, most: int = MOST_FIELDS) -> Iterator[Field]:
    """The fields of the message at a place.

    Raises: ValueError where there is none, or there are more than `most`.
    """
    at = place.start
    for _ in range(most):
        if at == place.stop:
            return
        start = at
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind in (WHOLE_NUMBER, BYTES):
            value, at = _varint(data, at)
        elif kind in FIXED:
            value = FIXED[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        end = at if kind == WHOLE_NUMBER else at + value
        if end > place.stop:
            raise ValueError("a field that does not end within its message")
        yield Field(number, value, slice(start, end), slice(at, end))
        at = end
    raise ValueError(f"more than {most:,} fields")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number that does not end")


def _number(number: int, value: int) -> bytes:
    return _bytes_of(number << 3 | WHOLE_NUMBER) + _bytes_of(value)


def _message(number: int, content: bytes) -> bytes:
    return _head(number, len(content)) + content


def _head(number: int, size: int) -> bytes:
    """What stands before so many bytes of content."""
    return _bytes_of(number << 3 | BYTES) + _bytes_of(size)


def _bytes_of(value: int) -> bytes:
    """A whole number as `_varint` reads it."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
