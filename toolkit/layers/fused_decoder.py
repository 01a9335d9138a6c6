"""A decoder of one layer, with attention and input feeding, over all steps in the kernel of a CPU."""

from typing import Any

from keras import ops

from toolkit.layers.attention import BahdanauAttention
from toolkit.layers.sequence import Tensor


def decode(
    operations: Any,
    decoder: Any,
    inputs: Tensor,
    states: tuple[Tensor, ...],
    mask: Tensor,
    memory: Tensor,
    keys: Tensor,
    lengths: Tensor,
) -> tuple[Tensor, Tensor]:
    """What the loop of a `RecurrentDecoder` computes, on TensorFlow.

    No step waits for what words add to the gates, which is one product before the first; nor for the gradients of
    weights, one product each after the last.

    Shapes: inputs (batch, target, features); states (batch, units) each; mask (batch, units), what is fed is multiplied
        by; memory (batch, source, width); keys (batch, source, units); lengths (batch,) ->
        outputs (batch, target, units); weights (batch, target, source)
    """
    import tensorflow as tf

    kind, attention, combine = decoder.cell, decoder.attention, decoder.combine
    matrix, bias = gates(kind, decoder.layers[0].cell)
    of_words, recurrent = tf.split(matrix, [inputs.shape[-1], 2 * decoder.units])
    asks = tf.zeros((0, 0)), tf.zeros((0,)), tf.zeros((0,))
    additive = isinstance(attention, BahdanauAttention)
    if additive:
        query = attention.query_projection
        asks = query.kernel, query.bias, tf.reshape(attention.energy.kernel, [-1])
    outputs, weights, *_ = operations.seqloom_decoder(
        tf.tensordot(inputs, of_words, 1) + bias,
        tf.cast(lengths, tf.int32),
        recurrent,
        mask,
        tf.stack(states),
        memory,
        keys,
        *asks,
        combine.kernel,
        combine.bias,
        cell=kind,
        additive=additive,
    )
    return outputs, weights


def gates(kind: str, cell: Any) -> tuple[Tensor, Tensor]:
    """What words, what is fed and the state add to the gates' sums, as the kernel reads it.

    A GRU's candidate reads the state through the reset gate, so what the state adds to it stands apart, as a fourth
    gate, of which words and what is fed are no part.

    Shapes: -> (features + 2 units, columns); (columns,)
    """
    kernel, recurrent, bias = map(ops.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias))
    if kind != "gru":
        return ops.concatenate([kernel, recurrent], axis=0), bias
    first, last = ops.split(recurrent, [2 * cell.units], axis=1)
    recurrent = ops.concatenate([first, ops.zeros_like(last), last], axis=1)
    kernel = ops.concatenate([kernel, ops.zeros_like(kernel[:, : cell.units])], axis=1)
    (of_words, of_words_last), (of_state, of_state_last) = (ops.split(bias[i], [2 * cell.units]) for i in (0, 1))
    bias = ops.concatenate([of_words + of_state, of_words_last, of_state_last])
    return ops.concatenate([kernel, recurrent], axis=0), bias
