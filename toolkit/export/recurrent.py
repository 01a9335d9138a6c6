"""Recurrent blocks as ONNX' own operators. Sequences are time-major: (time, batch, features)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from onnx import TensorProto

from toolkit.cells import CELLS
from toolkit.export.graph import Graph, array, axes, layer_norm, part, real_steps, steps
from toolkit.layers import RecurrentEncoder

KINDS = {keras.layers.SimpleRNNCell: "rnn", keras.layers.GRUCell: "gru", keras.layers.LSTMCell: "lstm"}


def recurrent_encoder(graph: Graph, layer: RecurrentEncoder, inputs: str, lengths: str) -> tuple[str, str]:
    """Shapes: inputs (time, batch, features); lengths (batch,) -> (time, batch, width); final (batch, width)."""
    outputs = inputs
    for i, forward in enumerate(layer.forward_layers):
        directions = [forward, *layer.backward_layers[i : i + 1]]
        states, final = recurrence(graph, [direction.cell for direction in directions], outputs, lengths)
        outputs = graph.add("Add", states, outputs) if layer.residuals[i] else states
        if layer.norms:
            outputs = layer_norm(graph, layer.norms[i], outputs)
            outputs = graph.add("Mul", outputs, real_steps(graph, outputs, lengths))
    if layer.norms or layer.residuals[-1]:
        final = _final(graph, layer, outputs, lengths)
    return outputs, final


def recurrence(
    graph: Graph, cells: Sequence[Any], inputs: str, lengths: str = "", initial: str = ""
) -> tuple[str, str]:
    """One recurrent layer from its Keras cells, one a direction.

    Shapes: inputs (time, batch, features); lengths (batch,); initial (directions, batch, units) ->
        states (time, batch, width); final (batch, width)
    """
    packed = [_weights(cell) for cell in cells]
    kernel, recurrent, bias = (graph.constant(np.stack(arrays)) for arrays in zip(*packed, strict=True))
    units = cells[0].units
    kind = CELLS[KINDS[type(cells[0])]]
    direction = "bidirectional" if len(cells) == 2 else "forward"
    optional = [lengths, initial] if initial else [lengths] if lengths else []
    states, final = graph.add(
        kind.operator,
        inputs,
        kernel,
        recurrent,
        bias,
        *optional,
        outputs=2,
        hidden_size=units,
        direction=direction,
        **kind.attributes,
    )
    width = units * len(cells)
    states = graph.add("Transpose", states, perm=[0, 2, 1, 3])  # (time, batch, directions, units)
    states = graph.add("Reshape", states, graph.constant([0, 0, width], np.int64))
    final = graph.add("Transpose", final, perm=[1, 0, 2])
    return states, graph.add("Reshape", final, graph.constant([0, width], np.int64))


def cell_step(graph: Graph, cell: Any, inputs: str, states: Sequence[str]) -> list[str]:
    """One step of a cell from its states, h or h and c. Shapes: inputs (batch, features); (batch, units) each."""
    kernel, recurrent, bias = (graph.constant(weights[None]) for weights in _weights(cell))
    one_step = graph.add("Unsqueeze", inputs, axes(graph, 0))
    kind, before = CELLS[KINDS[type(cell)]], [graph.add("Unsqueeze", state, axes(graph, 0)) for state in states]
    outputs = graph.add(
        kind.operator, one_step, kernel, recurrent, bias, "", *before, outputs=1 + len(states),
        hidden_size=cell.units, **kind.attributes,
    )  # fmt: skip
    return [graph.add("Squeeze", each, axes(graph, 0)) for each in outputs[1:]]


def _weights(cell: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keras weights in ONNX' layout and gate order.

    Keras has (features, gates * units) with gates i, f, c, o (LSTM) or z, r, h (GRU); ONNX has (gates * units,
    features) with gates i, o, f, c or z, r, h, and the biases of input and recurrence one after the other.
    """
    order = CELLS[KINDS[type(cell)]].order

    def arrange(weights: np.ndarray) -> np.ndarray:
        blocks = np.split(weights, len(order), axis=-1)
        return np.concatenate([blocks[block] for block in order], axis=-1).T

    bias = array(cell.bias)
    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return (
        arrange(array(cell.kernel)),
        arrange(array(cell.recurrent_kernel)),
        np.concatenate([arrange(row) for row in biases]),
    )


def _final(graph: Graph, layer: RecurrentEncoder, outputs: str, lengths: str) -> str:
    """The outputs at each row's own ends, where they are not simply the last hidden states."""
    last = graph.add("Sub", lengths, graph.constant(1, np.int32))
    at_last = graph.add("Equal", steps(graph, outputs), graph.add("Unsqueeze", last, axes(graph, 0, 2)))
    picked = graph.add("Mul", outputs, graph.add("Cast", at_last, to=TensorProto.FLOAT))
    forward = graph.add("ReduceSum", picked, axes(graph, 0), keepdims=0)
    if len(layer.backward_layers) < len(layer.forward_layers):
        return forward
    first = graph.add("Gather", outputs, graph.constant(0, np.int64), axis=0)
    half, width = layer.width // 2, layer.width
    halves = part(graph, forward, 0, half, axis=-1), part(graph, first, half, width, axis=-1)
    return graph.add("Concat", *halves, axis=-1)
