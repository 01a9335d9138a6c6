"""Forecast decoders and quantiles in an ONNX graph. Sequences are time-major: (time, batch, features)."""

import numpy as np

from toolkit.export.graph import Graph, attend, axes, dense, real_steps
from toolkit.export.recurrent import recurrence
from toolkit.layers import AttentionDecoder, ParallelDecoder, QuantileHead


def parallel_decoder(graph: Graph, layer: ParallelDecoder, queries: str, state: str) -> str:
    """Shapes: queries (horizon, batch, features); state (batch, units) -> (horizon, batch, units)."""
    sizes = (layer.cell.kernel.shape[0], layer.units)
    one_step = [graph.constant([1, -1, size], np.int64) for size in sizes]
    units = graph.constant([layer.units], np.int64)
    shape = graph.add("Concat", graph.add("Shape", queries, start=0, end=2), units, axis=0)
    states = graph.add("Expand", graph.add("Unsqueeze", state, axes(graph, 0)), shape)
    rows, states = (graph.add("Reshape", each, to) for each, to in zip((queries, states), one_step, strict=True))
    outputs, _ = recurrence(graph, [layer.cell], rows, initial=states)
    return graph.add("Reshape", outputs, shape)


def attention_decoder(
    graph: Graph, layer: AttentionDecoder, queries: str, state: str, memory: str, lengths: str
) -> str:
    """Shapes: queries (horizon, batch, features); state (batch, units); memory (time, batch, width); lengths
    (batch,) -> (horizon, batch, units)."""
    initial = graph.add("Unsqueeze", state, axes(graph, 0))
    states, _ = recurrence(graph, [layer.recurrent.cell], queries, initial=initial)
    real = graph.add("Transpose", real_steps(graph, memory, lengths), perm=[1, 2, 0])  # (batch, 1, time)
    keys = graph.add("Transpose", dense(graph, layer.attention.projection, memory), perm=[1, 2, 0])
    scores = graph.add("MatMul", graph.add("Transpose", states, perm=[1, 0, 2]), keys)  # (batch, horizon, time)
    context, _ = attend(graph, scores, real, graph.add("Transpose", memory, perm=[1, 0, 2]))
    context = graph.add("Transpose", context, perm=[1, 0, 2])
    return dense(graph, layer.combine, graph.add("Concat", states, context, axis=-1))


def quantile_head(graph: Graph, layer: QuantileHead, inputs: str) -> str:
    """Shapes: inputs (horizon, batch, features) -> (horizon, batch, steps, levels)."""
    raw = dense(graph, layer.projection, inputs)
    raw = graph.add("Reshape", raw, graph.constant([0, 0, layer.steps, layer.levels], np.int64))
    median = graph.add("Gather", raw, graph.constant([layer.median], np.int64), axis=-1)
    spread = graph.add("MatMul", graph.add("Softplus", raw), graph.constant(layer.increments))
    return graph.add("Add", median, spread)
