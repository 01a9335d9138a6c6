"""Seqloom's blocks as an ONNX graph: fused recurrent operators with exact lengths, no loops.

Exponential smoothing alone is a scan, as no fused operator computes it.

Inside a graph sequences are time-major, as ONNX' recurrent operators want them: (time, batch, features).
"""

from toolkit.export.forecast import attention_decoder, parallel_decoder, quantile_head
from toolkit.export.graph import Graph, dense, real_steps
from toolkit.export.recurrent import encoder, recurrence, segmented_encoder
from toolkit.export.smoothing import dilated_encoder, exponential_smoothing
from toolkit.export.text import embedding, pooling

__all__ = [
    "Graph",
    "attention_decoder",
    "dense",
    "dilated_encoder",
    "embedding",
    "encoder",
    "exponential_smoothing",
    "parallel_decoder",
    "pooling",
    "quantile_head",
    "real_steps",
    "recurrence",
    "segmented_encoder",
]
