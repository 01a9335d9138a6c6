"""A graph cut at its recurrent operators: they run in Seqloom's own kernel, and what is between in ONNX Runtime."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.cells import CELLS
from toolkit.kernels.prediction import KINDS
from toolkit.kernels.recurrence import Recurrence, Weights

OPERATORS = {CELLS[kind].operator: kind for kind in KINDS}
LENGTHS, INITIAL = 4, 5  # which of an operator's inputs they are
NUMPY = {"tensor(float)": "=f4", "tensor(int32)": "=i4"}  # what layers read


class Layer(NamedTuple):
    """A recurrent operator that the kernel runs."""

    node: Any
    recurrence: Recurrence

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What it writes, of what it reads."""
        read = {i: np.asarray(_Borrowed(values[name])) for i, name in enumerate(self.node.input) if name in values}
        inputs = read[0]
        lengths = read[LENGTHS] if LENGTHS in read else np.full(inputs.shape[1], len(inputs), np.int32)
        initial = read[INITIAL][None] if INITIAL in read else None
        states, final = self.recurrence.run(inputs, lengths, initial, outputs=bool(self.node.output[0]))
        found = zip(self.node.output, [states, *final], strict=False)
        return {name: _value(array) for name, array in found if array is not None and name}


class Stage(NamedTuple):
    """What needs only the layers of earlier stages; then the layers that need no more than that.

    Args:
        session: None where there are layers alone.
        reads, writes: values of the session.
    """

    session: Any
    reads: list[str]
    writes: list[str]
    layers: list[Layer]


class Stages:
    """A graph that runs in stages, in any number of threads at once.

    Args:
        model: the bytes of an ONNX file that ONNX Runtime has loaded.
        tables: those of its inputs that are the same in all runs.
        load: makes a session of such bytes.
        options: of a session's runs.

    Attributes:
        layers: how many layers the kernel runs, of those that `toolkit.export` writes; with none there are no stages.
    """

    def __init__(self, model: bytes, tables: Mapping[str, np.ndarray], load: Callable[[bytes], Any], options: Any):
        import onnx

        whole = onnx.load_from_string(model)
        cut = _cut(whole.graph)
        self.layers = sum(len(layers) for _, layers in cut)
        if not self.layers:
            return
        kinds = {each.name: each.type.tensor_type.elem_type for each in whole.graph.input}
        self._options, self._stages = options, list[Stage]()
        self._inputs = [name for name in kinds if name not in tables]
        self._tables = {name: _value(array) for name, array in tables.items()}
        for level, (nodes, layers) in enumerate(cut):
            later = [layer.node for _, each in cut[level:] for layer in each]
            later += [node for each, _ in cut[level + 1 :] for node in each]
            needed = {each.name for each in whole.graph.output}.union(*map(_reads, later))
            read, written = ({name for node in nodes for name in names(node)} for names in (_reads, _writes))
            reads, writes, session = sorted(read & kinds.keys() - written), sorted(written & needed), None
            if writes:
                session = load(_part(whole, nodes, {name: kinds[name] for name in reads}, writes))
                found = {each.name: each.type.removeprefix("tensor(")[:-1].upper() for each in session.get_outputs()}
                kinds |= {name: onnx.TensorProto.DataType.Value(kind) for name, kind in found.items()}
            kinds |= {name: onnx.TensorProto.FLOAT for layer in layers for name in _writes(layer.node)}
            self._stages.append(Stage(session, reads, writes, layers))

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """These outputs, as a session's `run` gives them."""
        if set(inputs) != set(self._inputs):
            raise ValueError(f"inputs are {', '.join(inputs)}, expected {', '.join(self._inputs)}")
        values = self._tables | {name: _value(array) for name, array in inputs.items()}
        for stage in self._stages:
            if stage.session:
                read = {name: values[name] for name in stage.reads}
                found = stage.session.run_with_ort_values(stage.writes, read, self._options)
                values |= dict(zip(stage.writes, found, strict=True))
            for layer in stage.layers:
                values |= layer.run(values)
        return [values[name].numpy() for name in outputs]


def _cut(graph: Any) -> list[tuple[list[Any], list[Layer]]]:
    """The operators of each stage, and the layers that follow them."""
    weights = {each.name: each for each in graph.initializer}
    levels = dict[str, int]()  # the stages from which on values are there
    stages = [(list[Any](), list[Layer]())]
    for node in graph.node:  # which come after what they read
        level = max((levels.get(name, 0) for name in _reads(node)), default=0)
        recurrence = _recurrence(node, weights)
        if recurrence:
            stages[level][1].append(Layer(node, recurrence))
            level += 1
            stages += [([], [])] * (level == len(stages))
        else:
            stages[level][0].append(node)
        levels |= dict.fromkeys(_writes(node), level)
    return stages


def _part(whole: Any, nodes: Sequence[Any], kinds: Mapping[str, int], writes: Sequence[str]) -> bytes:
    """A model of these nodes, which read values of these kinds."""
    from onnx import ModelProto, ValueInfoProto, helper

    constants = {name for node in nodes for name in _reads(node)} - kinds.keys()
    part = ModelProto(ir_version=whole.ir_version, opset_import=whole.opset_import)
    part.graph.name = whole.graph.name
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(each for each in whole.graph.initializer if each.name in constants)
    part.graph.input.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items())
    part.graph.output.extend(ValueInfoProto(name=name) for name in writes)
    return part.SerializeToString()


def _recurrence(node: Any, weights: Mapping[str, Any]) -> Recurrence | None:
    """The kernel's layer for an operator, where it is one that the kernel computes."""
    from onnx import helper, numpy_helper

    cell = OPERATORS.get(node.op_type, "")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    direction = attributes.pop("direction", b"forward")
    attributes.pop("hidden_size", None)
    constant = [i for i, name in enumerate(node.input) if name in weights]
    if (
        not cell
        or constant != [1, 2, 3]
        or direction not in (b"forward", b"bidirectional")
        or attributes != CELLS[cell].attributes
        or len(node.input) > (INITIAL if cell == "lstm" else INITIAL + 1)
    ):
        return None
    kernel, recurrent, bias = (numpy_helper.to_array(weights[name]) for name in node.input[1:4])
    return Recurrence(cell, [_keras(cell, *each) for each in zip(kernel, recurrent, bias, strict=True)])


def _keras(cell: str, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> Weights:
    """Weights of one direction in Keras' layout.

    Shapes: (gates * units, features), (gates * units, units), (2 * gates * units,) -> those of `Recurrence`
    """

    order = CELLS[cell].order

    def arrange(rows: np.ndarray) -> np.ndarray:
        blocks = np.split(rows, len(order))
        return np.concatenate([blocks[order.index(block)] for block in range(len(order))]).T

    biases = [arrange(each) for each in np.split(bias, 2)]
    return arrange(kernel), arrange(recurrent), np.stack(biases) if cell == "gru" else biases[0] + biases[1]


def _reads(node: Any) -> Iterator[str]:
    """Values that an operator, or a graph within it, reads."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)


def _writes(node: Any) -> list[str]:
    return [name for name in node.output if name]


def _value(array: np.ndarray) -> Any:
    """An array as ONNX Runtime's value, of the same memory."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


class _Borrowed:
    """The memory of ONNX Runtime's value as NumPy reads it; an array of it keeps the value."""

    def __init__(self, value: Any):
        kind = value.data_type()
        if kind not in NUMPY:
            raise ValueError(f"a recurrent layer reads {kind}, expected {' or '.join(NUMPY)}")
        self.value = value
        place = (value.data_ptr(), False)
        self.__array_interface__ = {"version": 3, "shape": tuple(value.shape()), "typestr": NUMPY[kind], "data": place}
