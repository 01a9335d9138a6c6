"""Seqloom's blocks as an ONNX graph: fused recurrent operators with exact lengths, no loops.

Exponential smoothing alone is a scan, as no fused operator computes it.

Inside a graph sequences are time-major, as ONNX' recurrent operators want them: (time, batch, features).
"""

from toolkit.export.decoder import Memory, attention_keys, decoder_step, flat_rows, kernel_weights
from toolkit.export.encoders import encoder, segmented_encoder
from toolkit.export.forecast import attention_decoder, parallel_decoder, quantile_head
from toolkit.export.graph import Graph, array, axes, dense, part, real_steps
from toolkit.export.recurrent import recurrence
from toolkit.export.smoothing import dilated_encoder, exponential_smoothing
from toolkit.export.text import embedding, pooling

__all__ = [
    "Graph",
    "Memory",
    "array",
    "attention_decoder",
    "attention_keys",
    "axes",
    "decoder_step",
    "dense",
    "dilated_encoder",
    "embedding",
    "encoder",
    "exponential_smoothing",
    "flat_rows",
    "kernel_weights",
    "parallel_decoder",
    "part",
    "pooling",
    "quantile_head",
    "real_steps",
    "recurrence",
    "segmented_encoder",
]
