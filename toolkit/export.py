"""Seqloom's blocks as an ONNX graph: fused recurrent operators with exact lengths, no loops.

Inside a graph sequences are time-major, as ONNX' recurrent operators want them: (time, batch, features).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.layers import RecurrentEncoder, SegmentedEncoder, SequencePooling, SubwordEmbedding, WordEmbedding

OPSET = 20
IR_VERSION = 10


class Graph:
    """An ONNX graph under construction. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns the name of its output, or a list where there are several."""
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
        self, inputs: Mapping[str, Sequence[str | int]], outputs: Mapping[str, Sequence[str | int]]
    ) -> onnx.ModelProto:
        """The finished model. Inputs are int32 and outputs float32, given as names with shapes."""
        graph = helper.make_graph(
            self.nodes,
            "seqloom",
            [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self.initializers,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="seqloom")
        onnx.checker.check_model(model, full_check=True)
        return model


def dense(graph: Graph, layer: keras.layers.Dense, inputs: str) -> str:
    """A dense layer with linear or tanh activation."""
    if layer.activation not in (keras.activations.linear, keras.activations.tanh):
        raise ValueError(f"activation is {layer.activation.__name__}, expected linear or tanh.")
    outputs = graph.add("MatMul", inputs, graph.constant(_array(layer.kernel)))
    if layer.use_bias:
        outputs = graph.add("Add", outputs, graph.constant(_array(layer.bias)))
    return graph.add("Tanh", outputs) if layer.activation is keras.activations.tanh else outputs


def embedding(graph: Graph, words: WordEmbedding, subwords: SubwordEmbedding | None, tokens: str, ngrams: str) -> str:
    """A look-up in one table; only words that it lacks are composed of their n-grams when the graph runs.

    Shapes: tokens (batch, time); ngrams (n, per_word) -> (time, batch, units)
    """
    tokens = graph.add("Transpose", tokens, perm=[1, 0])
    if subwords is None:
        return graph.add("Gather", graph.constant(words.table()), tokens)
    table = graph.constant(words.table() + subwords.vectors())
    size, first = graph.constant(words.rows, np.int32), graph.constant(0, np.int32)
    known = graph.add("Less", tokens, size)
    vectors = graph.add("Gather", table, graph.add("Where", known, tokens, first))
    composed = _compose(graph, subwords, ngrams)
    others = graph.add("Gather", composed, graph.add("Where", known, first, graph.add("Sub", tokens, size)))
    return graph.add("Where", graph.add("Unsqueeze", known, _axes(graph, 2)), vectors, others)


def encoder(graph: Graph, layer: RecurrentEncoder, inputs: str, lengths: str) -> tuple[str, str]:
    """Shapes: inputs (time, batch, features); lengths (batch,) -> (time, batch, width); final (batch, width)."""
    outputs = inputs
    for i, forward in enumerate(layer.forward_layers):
        directions = [forward, layer.backward_layers[i]] if layer.backward_layers else [forward]
        states, final = _recurrence(graph, directions, outputs, lengths)
        outputs = graph.add("Add", states, outputs) if layer.residual and i else states
        if layer.norms:
            norm = layer.norms[i]
            scale, shift = graph.constant(_array(norm.gamma)), graph.constant(_array(norm.beta))
            outputs = graph.add("LayerNormalization", outputs, scale, shift, axis=-1, epsilon=norm.epsilon)
            outputs = graph.add("Mul", outputs, real_steps(graph, outputs, lengths))
    if layer.norms or (layer.residual and len(layer.forward_layers) > 1):
        final = _final(graph, layer, outputs, lengths)
    return outputs, final


def segmented_encoder(graph: Graph, layer: SegmentedEncoder, inputs: str, lengths: str) -> str:
    """Shapes: inputs (n * size, batch, features); lengths (batch,) -> (n * size, batch, width)."""
    size, features, width = layer.size, layer.encoder.forward_layers[0].cell.kernel.shape[0], layer.encoder.width

    def shape(*sizes: int) -> str:
        return graph.constant(sizes, np.int64)

    batch = graph.add("Shape", inputs, start=1, end=2)
    pieces = graph.add("Concat", shape(-1, size), batch, shape(features), axis=0)
    pieces = graph.add("Transpose", graph.add("Reshape", inputs, pieces), perm=[1, 0, 2, 3])  # (size, n, batch, ...)
    pieces = graph.add("Reshape", pieces, shape(size, -1, features))
    time = graph.add("Squeeze", graph.add("Shape", inputs, start=0, end=1))
    starts = graph.add("Range", graph.constant(0, np.int64), time, graph.constant(size, np.int64))
    starts = graph.add("Unsqueeze", graph.add("Cast", starts, to=TensorProto.INT32), _axes(graph, 1))
    left = graph.add("Sub", graph.add("Unsqueeze", lengths, _axes(graph, 0)), starts)
    left = graph.add("Clip", left, graph.constant(0, np.int32), graph.constant(size, np.int32))
    outputs, _ = encoder(graph, layer.encoder, pieces, graph.add("Reshape", left, shape(-1)))
    joined = graph.add("Concat", shape(size, -1), batch, shape(width), axis=0)
    outputs = graph.add("Transpose", graph.add("Reshape", outputs, joined), perm=[1, 0, 2, 3])
    return graph.add("Reshape", outputs, graph.add("Concat", shape(-1), batch, shape(width), axis=0))


def pooling(graph: Graph, layer: SequencePooling, inputs: str, lengths: str, final: str | None) -> str:
    """Shapes: inputs (time, batch, features), zero on padding; final (batch, width) -> (batch, sum of the sizes)."""
    pool = {"last": lambda *_: final, "mean": _mean, "max": _max, "attention": _attention}
    parts: list[Any] = [pool[kind](graph, layer, inputs, lengths) for kind in layer.kinds]
    return graph.add("Concat", *parts, axis=-1)


def real_steps(graph: Graph, inputs: str, lengths: str) -> str:
    """1.0 at real steps, 0.0 on padding. Shapes: inputs (time, batch, ...); lengths (batch,) -> (time, batch, 1)."""
    mask = graph.add("Less", _steps(graph, inputs), graph.add("Unsqueeze", lengths, _axes(graph, 0, 2)))
    return graph.add("Cast", mask, to=TensorProto.FLOAT)


def _compose(graph: Graph, layer: SubwordEmbedding, ngrams: str) -> str:
    """Vectors of words from their n-grams. Shapes: ngrams (n, per_word) -> (n, units)."""
    real = graph.add("Cast", graph.add("Greater", ngrams, graph.constant(0, np.int32)), to=TensorProto.FLOAT)
    real = graph.add("Unsqueeze", real, _axes(graph, 2))
    vectors = graph.add("Mul", graph.add("Gather", graph.constant(_array(layer.table)), ngrams), real)
    count = graph.add("Max", graph.add("ReduceSum", real, _axes(graph, 1), keepdims=0), graph.constant(1.0))
    return graph.add("Div", graph.add("ReduceSum", vectors, _axes(graph, 1), keepdims=0), graph.add("Sqrt", count))


def _recurrence(graph: Graph, directions: list, inputs: str, lengths: str) -> tuple[str, str]:
    """One recurrent layer. Shapes: -> states (time, batch, width); final (batch, width)."""
    operator = {keras.layers.LSTM: "LSTM", keras.layers.GRU: "GRU", keras.layers.SimpleRNN: "RNN"}[type(directions[0])]
    packed = [_recurrent_weights(layer) for layer in directions]
    kernel, recurrent, bias = (graph.constant(np.stack(arrays)) for arrays in zip(*packed, strict=True))
    units = directions[0].units
    attributes: dict[str, Any] = {"linear_before_reset": 1} if operator == "GRU" else {}
    attributes["direction"] = "bidirectional" if len(directions) == 2 else "forward"
    states, final = graph.add(
        operator, inputs, kernel, recurrent, bias, lengths, outputs=2, hidden_size=units, **attributes
    )
    width = units * len(directions)
    states = graph.add("Transpose", states, perm=[0, 2, 1, 3])  # (time, batch, directions, units)
    states = graph.add("Reshape", states, graph.constant([0, 0, width], np.int64))
    final = graph.add("Transpose", final, perm=[1, 0, 2])
    return states, graph.add("Reshape", final, graph.constant([0, width], np.int64))


def _recurrent_weights(layer: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keras weights in ONNX' layout and gate order.

    Keras has (features, gates * units) with gates i, f, c, o (LSTM) or z, r, h (GRU); ONNX has (gates * units,
    features) with gates i, o, f, c or z, r, h, and the biases of input and recurrence one after the other.
    """
    cell = layer.cell
    gates = {keras.layers.LSTM: [0, 3, 1, 2], keras.layers.GRU: [0, 1, 2], keras.layers.SimpleRNN: [0]}[type(layer)]

    def arrange(array: np.ndarray) -> np.ndarray:
        blocks = np.split(array, len(gates), axis=-1)
        return np.concatenate([blocks[gate] for gate in gates], axis=-1).T

    bias = _array(cell.bias)
    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return (
        arrange(_array(cell.kernel)),
        arrange(_array(cell.recurrent_kernel)),
        np.concatenate([arrange(row) for row in biases]),
    )


def _final(graph: Graph, layer: RecurrentEncoder, outputs: str, lengths: str) -> str:
    """The outputs at each row's own ends, where they are not simply the last hidden states."""
    last = graph.add("Sub", lengths, graph.constant(1, np.int32))
    at_last = graph.add("Equal", _steps(graph, outputs), graph.add("Unsqueeze", last, _axes(graph, 0, 2)))
    picked = graph.add("Mul", outputs, graph.add("Cast", at_last, to=TensorProto.FLOAT))
    forward = graph.add("ReduceSum", picked, _axes(graph, 0), keepdims=0)
    if not layer.backward_layers:
        return forward
    first = graph.add("Gather", outputs, graph.constant(0, np.int64), axis=0)
    half, width = layer.width // 2, layer.width
    return graph.add("Concat", _columns(graph, forward, 0, half), _columns(graph, first, half, width), axis=-1)


def _columns(graph: Graph, inputs: str, start: int, stop: int) -> str:
    bounds = [graph.constant([bound], np.int64) for bound in (start, stop, 1)]  # start, end, axis
    return graph.add("Slice", inputs, *bounds)


def _mean(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    count = graph.add("Cast", graph.add("Unsqueeze", lengths, _axes(graph, 1)), to=TensorProto.FLOAT)
    count = graph.add("Max", count, graph.constant(1.0))
    return graph.add("Div", graph.add("ReduceSum", inputs, _axes(graph, 0), keepdims=0), count)


def _max(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    penalty = graph.add("Sub", real_steps(graph, inputs, lengths), graph.constant(1.0))  # 0 or -1
    lowered = graph.add("Add", inputs, graph.add("Mul", penalty, graph.constant(6e4)))
    largest = graph.add("ReduceMax", lowered, _axes(graph, 0), keepdims=0)
    empty = graph.add("Equal", graph.add("Unsqueeze", lengths, _axes(graph, 1)), graph.constant(0, np.int32))
    return graph.add("Where", empty, graph.constant(0.0), largest)


def _attention(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    scores = dense(graph, layer.score, dense(graph, layer.projection, inputs))  # (time, batch, 1)
    penalty = graph.add("Sub", real_steps(graph, inputs, lengths), graph.constant(1.0))
    scores = graph.add("Add", scores, graph.add("Mul", penalty, graph.constant(1e9)))
    weights = graph.add("Softmax", scores, axis=0)
    return graph.add("ReduceSum", graph.add("Mul", weights, inputs), _axes(graph, 0), keepdims=0)


def _steps(graph: Graph, inputs: str) -> str:
    """0, 1, ... along time. Shapes: inputs (time, ...) -> (time, 1, 1) int32."""
    time = graph.add("Squeeze", graph.add("Shape", inputs, start=0, end=1))
    steps = graph.add("Range", graph.constant(0, np.int64), time, graph.constant(1, np.int64))
    return graph.add("Unsqueeze", graph.add("Cast", steps, to=TensorProto.INT32), _axes(graph, 1, 2))


def _axes(graph: Graph, *axes: int) -> str:
    return graph.constant(axes, np.int64)


def _array(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(np.float32)
