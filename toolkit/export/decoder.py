"""One step of a recurrent decoder in an ONNX graph, for all beams of all sentences.

Beams are rows that share the memory of their sentence: rows = sentences * beams.
"""

from typing import Any, NamedTuple

import numpy as np

from toolkit.export.graph import Graph, array, attend, axes, dense, layer_norm, real_steps
from toolkit.export.recurrent import cell_step
from toolkit.layers import BahdanauAttention, RecurrentDecoder, fused_decoder


class Memory(NamedTuple):
    """Names of what a decoder looks at. Shapes: values, keys (sentences, source, ...); lengths (sentences,)."""

    values: str
    keys: str
    lengths: str


def attention_keys(graph: Graph, layer: Any, memory: str) -> str:
    """Shapes: memory (..., width) -> (..., units)."""
    if isinstance(layer, BahdanauAttention):
        return dense(graph, layer.memory_projection, memory)
    return dense(graph, layer.projection, memory) if layer.kind == "general" else memory


def decoder_step(
    graph: Graph, layer: RecurrentDecoder, inputs: str, state: str, memory: Memory | None
) -> tuple[str, str | None, str]:
    """Shapes: inputs (rows, features); state (rows, n * units) -> outputs (rows, units); weights (rows, source); the
    next state."""
    count = len(layer.layers) * layer.states_per_layer + layer.input_feeding
    states = graph.add("Split", state, axis=1, num_outputs=count, outputs=count)
    states = [states] if count == 1 else states
    outputs = graph.add("Concat", inputs, states[-1], axis=-1) if layer.input_feeding else inputs
    context, weights, after = "", None, []
    for i, recurrent in enumerate(layer.layers):
        below = outputs
        if layer.reads_context(i):
            outputs = graph.add("Concat", outputs, context, axis=-1)
        first = i * layer.states_per_layer
        new = cell_step(graph, recurrent.cell, outputs, states[first : first + layer.states_per_layer])
        after.extend(new)
        outputs = graph.add("Add", new[0], below) if layer.residual and i >= 2 else new[0]
        if layer.norms:
            outputs = layer_norm(graph, layer.norms[i], outputs)
        if memory and i == layer.query_layer:
            context, weights = _attend(graph, layer.attention, outputs, memory)
    if memory:
        outputs = dense(graph, layer.combine, graph.add("Concat", outputs, context, axis=-1))
    after += [outputs] if layer.input_feeding else []
    return outputs, weights, graph.add("Concat", *after, axis=-1) if len(after) > 1 else after[0]


def kernel_weights(layer: RecurrentDecoder) -> dict[str, np.ndarray]:
    """What `toolkit.kernels.search.DecoderStep` needs but the words' vectors, by name; nothing where it has no step."""
    if layer.loops or not layer.input_feeding:
        return {}
    cell = layer.cell
    arrays = [*fused_decoder.gates(cell, layer.layers[0].cell), layer.combine.kernel, layer.combine.bias]
    if isinstance(layer.attention, BahdanauAttention):
        query = layer.attention.query_projection
        arrays += [query.kernel, query.bias, layer.attention.energy.kernel[:, 0]]
    names = (f"{cell}_gates", "gates_bias", "combine_kernel", "combine_bias", "query_kernel", "query_bias", "energy")
    return {name: array(each) for name, each in zip(names, arrays, strict=False)}


def _attend(graph: Graph, layer: Any, queries: str, memory: Memory) -> tuple[str, str]:
    """Shapes: queries (rows, units) -> context (rows, width); weights (rows, source)."""
    sentences = graph.add("Shape", memory.values, start=0, end=1)
    if isinstance(layer, BahdanauAttention):
        queries = dense(graph, layer.query_projection, queries)
    units = graph.add("Shape", queries, start=1, end=2)
    beams = graph.add("Concat", sentences, graph.constant([-1], np.int64), units, axis=0)
    queries = graph.add("Reshape", queries, beams)  # (sentences, beams, units)
    if isinstance(layer, BahdanauAttention):
        pairs = graph.add(
            "Add", graph.add("Unsqueeze", queries, axes(graph, 2)), graph.add("Unsqueeze", memory.keys, axes(graph, 1))
        )
        scores = dense(graph, layer.energy, graph.add("Tanh", pairs))
        scores = graph.add("Squeeze", scores, axes(graph, 3))
    else:
        scores = graph.add("MatMul", queries, graph.add("Transpose", memory.keys, perm=[0, 2, 1]))
    time_major = graph.add("Transpose", memory.values, perm=[1, 0, 2])
    real = graph.add("Transpose", real_steps(graph, time_major, memory.lengths), perm=[1, 2, 0])
    context, weights = attend(graph, scores, real, memory.values)
    return flat_rows(graph, context), flat_rows(graph, weights)


def flat_rows(graph: Graph, inputs: str) -> str:
    """Shapes: (sentences, beams, features) -> (rows, features)."""
    features = graph.add("Shape", inputs, start=2, end=3)
    return graph.add("Reshape", inputs, graph.add("Concat", graph.constant([-1], np.int64), features, axis=0))
