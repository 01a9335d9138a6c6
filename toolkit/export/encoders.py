"""The encoders of one stanza in an ONNX graph. Sequences are time-major: (time, batch, features)."""

import numpy as np
from onnx import TensorProto

from toolkit.export.graph import Graph, axes, every_step
from toolkit.export.recurrent import recurrent_encoder
from toolkit.export.transformer import transformer_encoder
from toolkit.layers import Encoder, SegmentedEncoder, TransformerEncoder


def encoder(graph: Graph, layer: Encoder, inputs: str, lengths: str) -> tuple[str, str]:
    """Shapes: inputs (time, batch, features); lengths (batch,) -> (time, batch, width); final (batch, width)."""
    if isinstance(layer, TransformerEncoder):
        return transformer_encoder(graph, layer, inputs, lengths)
    return recurrent_encoder(graph, layer, inputs, lengths)


def segmented_encoder(graph: Graph, layer: SegmentedEncoder, inputs: str, lengths: str) -> str:
    """Shapes: inputs (n * size, batch, features); lengths (batch,) -> (n * size, batch, width)."""
    size, width = layer.size, layer.encoder.width

    def shape(*sizes: int) -> str:
        return graph.constant(sizes, np.int64)

    batch, features = (graph.add("Shape", inputs, start=axis, end=axis + 1) for axis in (1, 2))
    pieces = graph.add("Concat", shape(-1, size), batch, features, axis=0)
    pieces = graph.add("Transpose", graph.add("Reshape", inputs, pieces), perm=[1, 0, 2, 3])  # (size, n, batch, ...)
    pieces = graph.add("Reshape", pieces, graph.add("Concat", shape(size, -1), features, axis=0))
    starts = graph.add("Cast", every_step(graph, inputs, size), to=TensorProto.INT32)
    starts = graph.add("Unsqueeze", starts, axes(graph, 1))
    left = graph.add("Sub", graph.add("Unsqueeze", lengths, axes(graph, 0)), starts)
    left = graph.add("Clip", left, graph.constant(0, np.int32), graph.constant(size, np.int32))
    outputs, _ = encoder(graph, layer.encoder, pieces, graph.add("Reshape", left, shape(-1)))
    joined = graph.add("Concat", shape(size, -1), batch, shape(width), axis=0)
    outputs = graph.add("Transpose", graph.add("Reshape", outputs, joined), perm=[1, 0, 2, 3])
    return graph.add("Reshape", outputs, graph.add("Concat", shape(-1), batch, shape(width), axis=0))
