"""An ONNX graph under construction, and the pieces that all blocks are made of."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.graph_tables import OPERATORS

OPSET = 20
IR_VERSION = 10


class Graph:
    """An ONNX graph under construction. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns the name of its output, or a list where there are several.

        Raises: ValueError for an operator that `graph_tables.OPERATORS` lacks, so that no run may hold it.
        """
        if operator not in OPERATORS:
            raise ValueError(f"{operator} is not among the operators that a run may hold. Add it to OPERATORS.")
        names = [f"{operator.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=dtype, order="C"), name))
        return name

    def name(self, value: str, name: str) -> None:
        """Give a value the name of an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def model(
        self,
        inputs: Mapping[str, Sequence[str | int]],
        outputs: Mapping[str, Sequence[str | int]],
        floats: Collection[str] = (),
        integers: Collection[str] = (),
    ) -> onnx.ModelProto:
        """The finished model, from names with shapes.

        Args:
            floats: inputs that are float32; the others are int32.
            integers: outputs that are int64; the others are float32.
        """
        kinds = {name: TensorProto.FLOAT if name in floats else TensorProto.INT32 for name in inputs}
        kinds |= {name: TensorProto.INT64 if name in integers else TensorProto.FLOAT for name in outputs}
        graph = helper.make_graph(
            self._nodes_behind(outputs),
            "seqloom",
            [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in outputs.items()],
            self.initializers,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="seqloom")
        onnx.checker.check_model(model, full_check=True)
        return model

    def _nodes_behind(self, outputs: Iterable[str]) -> list[onnx.NodeProto]:
        """Those that outputs depend on. A recurrent operator writes no states that nobody reads."""
        read, nodes = set(outputs), list[onnx.NodeProto]()
        for node in reversed(self.nodes):
            if read.intersection(node.output):
                read.update(node.input)
                nodes.append(node)
        for node in nodes:
            if node.op_type in ("LSTM", "GRU", "RNN") and node.output[0] not in read:
                node.output[0] = ""
        return nodes[::-1]


def dense(graph: Graph, layer: keras.layers.Dense, inputs: str) -> str:
    """A dense layer with linear, tanh or relu activation."""
    operators = {"linear": None, "tanh": "Tanh", "relu": "Relu"}
    if layer.activation.__name__ not in operators:
        raise ValueError(f"activation is {layer.activation.__name__}, expected {', '.join(operators)}.")
    outputs = graph.add("MatMul", inputs, graph.constant(array(layer.kernel)))
    if layer.use_bias:
        outputs = graph.add("Add", outputs, graph.constant(array(layer.bias)))
    operator = operators[layer.activation.__name__]
    return graph.add(operator, outputs) if operator else outputs


def layer_norm(graph: Graph, layer: keras.layers.LayerNormalization, inputs: str) -> str:
    """Over the last axis."""
    scale, shift = graph.constant(array(layer.gamma)), graph.constant(array(layer.beta))
    return graph.add("LayerNormalization", inputs, scale, shift, axis=-1, epsilon=layer.epsilon)


def real_steps(graph: Graph, inputs: str, lengths: str) -> str:
    """1.0 at real steps, 0.0 on padding. Shapes: inputs (time, batch, ...); lengths (batch,) -> (time, batch, 1)."""
    mask = graph.add("Less", steps(graph, inputs), graph.add("Unsqueeze", lengths, axes(graph, 0, 2)))
    return graph.add("Cast", mask, to=TensorProto.FLOAT)


def steps(graph: Graph, inputs: str) -> str:
    """0, 1, ... along time. Shapes: inputs (time, ...) -> (time, 1, 1) int32."""
    return graph.add("Unsqueeze", graph.add("Cast", every_step(graph, inputs), to=TensorProto.INT32), axes(graph, 1, 2))


def every_step(graph: Graph, inputs: str, size: int = 1) -> str:
    """0, size, 2 size, ... along time. Shapes: inputs (time, ...) -> (time / size, rounded up) int64."""
    time = graph.add("Squeeze", graph.add("Shape", inputs, start=0, end=1))
    return graph.add("Range", graph.constant(0, np.int64), time, graph.constant(size, np.int64))


def padding_penalty(graph: Graph, real: str, size: float = 1e9) -> str:
    """Of the shape of `real`, which is 1.0 at real steps and 0.0 on padding: 0 and -size, to be added to scores."""
    return graph.add("Mul", graph.add("Sub", real, graph.constant(1.0)), graph.constant(size))


def attend(graph: Graph, scores: str, real: str, values: str) -> tuple[str, str]:
    """The mean of values by the softmax of scores over real steps, and the weights; both zero where no step is real.

    Shapes: scores (batch, queries, time); real (batch, 1, time); values (batch, time, width) ->
        (batch, queries, width); (batch, queries, time)
    """
    weights = graph.add("Softmax", graph.add("Add", scores, padding_penalty(graph, real)), axis=-1)
    weights = graph.add("Mul", weights, real)
    return graph.add("MatMul", weights, values), weights


def part(graph: Graph, inputs: str, start: int, stop: int, *, axis: int, step: int = 1) -> str:
    """What stands from `start` to `stop` on an axis, counted as Python does."""
    return graph.add("Slice", inputs, *(graph.constant([each], np.int64) for each in (start, stop, axis, step)))


def axes(graph: Graph, *axes: int) -> str:
    return graph.constant(axes, np.int64)


def array(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(np.float32)
