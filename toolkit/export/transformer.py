"""The Transformer encoder in an ONNX graph. Sequences come and go time-major: (time, batch, features)."""

import keras
import numpy as np
from onnx import TensorProto

from toolkit.export.graph import Graph, array, axes, dense, layer_norm, padding_penalty, real_steps, steps
from toolkit.export.text import pooling
from toolkit.layers.transformer import TransformerBlock, TransformerEncoder, wave_rates


def transformer_encoder(graph: Graph, layer: TransformerEncoder, inputs: str, lengths: str) -> tuple[str, str]:
    """Shapes: inputs (time, batch, features); lengths (batch,) -> (time, batch, width); final (batch, width)."""
    real = real_steps(graph, inputs, lengths)
    outputs = graph.add("Where", graph.add("Cast", real, to=TensorProto.BOOL), inputs, graph.constant(0.0))
    if layer.projection is not None:
        outputs = dense(graph, layer.projection, outputs)
    outputs = graph.add("Mul", outputs, graph.constant(layer.width**0.5))
    outputs = graph.add("Add", outputs, _waves(graph, layer.width, inputs))
    outputs = graph.add("Transpose", outputs, perm=[1, 0, 2])
    penalty = graph.add("Unsqueeze", padding_penalty(graph, real), axes(graph, 3))
    penalty = graph.add("Transpose", penalty, perm=[1, 2, 3, 0])
    for block in layer.blocks:
        outputs = _block(graph, block, outputs, penalty)
    outputs = graph.add("Transpose", layer_norm(graph, layer.norm, outputs), perm=[1, 0, 2])
    outputs = graph.add("Mul", outputs, real)
    return outputs, pooling(graph, layer.mean, outputs, lengths, None)


def _waves(graph: Graph, units: int, inputs: str) -> str:
    """Shapes: inputs (time, ...) -> (time, 1, units)."""
    angles = graph.add("Cast", steps(graph, inputs), to=TensorProto.FLOAT)
    angles = graph.add("Mul", angles, graph.constant(wave_rates(units)))
    even = graph.constant(np.arange(units) % 2 == 0, np.bool_)
    return graph.add("Where", even, graph.add("Sin", angles), graph.add("Cos", angles))


def _block(graph: Graph, layer: TransformerBlock, inputs: str, penalty: str) -> str:
    """Shapes: inputs (batch, time, units); penalty (batch, 1, 1, time), 0 at real steps -> (batch, time, units)."""
    attended = _attention(graph, layer.attention, layer_norm(graph, layer.attention_norm, inputs), penalty)
    outputs = graph.add("Add", inputs, attended)
    hidden = dense(graph, layer.hidden, layer_norm(graph, layer.dense_norm, outputs))
    return graph.add("Add", outputs, dense(graph, layer.projection, hidden))


def _attention(graph: Graph, layer: keras.layers.MultiHeadAttention, inputs: str, penalty: str) -> str:
    heads, size = layer.num_heads, layer.key_dim
    units = heads * size
    split, join = (graph.constant([0, 0, *rest], np.int64) for rest in ((heads, size), (units,)))

    def project(projection: keras.layers.EinsumDense, perm: list[int], scale: float = 1.0) -> str:
        outputs = graph.add("MatMul", inputs, graph.constant(scale * array(projection.kernel).reshape(units, units)))
        outputs = graph.add("Add", outputs, graph.constant(scale * array(projection.bias).ravel()))
        return graph.add("Transpose", graph.add("Reshape", outputs, split), perm=perm)

    queries = project(layer.query_dense, [0, 2, 1, 3], size**-0.5)  # (batch, heads, time, size)
    keys = project(layer.key_dense, [0, 2, 3, 1])
    values = project(layer.value_dense, [0, 2, 1, 3])
    scores = graph.add("Add", graph.add("MatMul", queries, keys), penalty)
    outputs = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), values)
    outputs = graph.add("Reshape", graph.add("Transpose", outputs, perm=[0, 2, 1, 3]), join)
    last = layer.output_dense
    outputs = graph.add("MatMul", outputs, graph.constant(array(last.kernel).reshape(units, units)))
    return graph.add("Add", outputs, graph.constant(array(last.bias)))
