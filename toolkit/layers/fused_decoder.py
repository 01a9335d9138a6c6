"""A decoder of one layer, with attention and input feeding, over all steps in the kernel of a CPU."""

from typing import Any

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

    kind, attention, combine = decoder.settings["cell"], decoder.attention, decoder.combine
    gates, recurrent = _gates(kind, decoder.layers[0].cell, inputs)
    asks = tf.zeros((0, 0)), tf.zeros((0,)), tf.zeros((0,))
    additive = isinstance(attention, BahdanauAttention)
    if additive:
        query = attention.query_projection
        asks = query.kernel, query.bias, tf.reshape(attention.energy.kernel, [-1])
    outputs, weights, *_ = operations.seqloom_decoder(
        gates,
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


def _gates(kind: str, cell: Any, inputs: Tensor) -> tuple[Any, Any]:
    """What the words add to the gates, and the matrix that says what is fed and the state add.

    A GRU's candidate reads the state through the reset gate, so what the state adds to it stands apart, as a fourth
    gate, of which words and what is fed are no part.

    Shapes: inputs (batch, target, features) -> (batch, target, columns); (2 units, columns)
    """
    import tensorflow as tf

    weights = cell.kernel, cell.recurrent_kernel, cell.bias
    kernel, recurrent, bias = (tf.convert_to_tensor(each.value) for each in weights)
    words, fed = kernel[: -cell.units], kernel[-cell.units :]
    if kind != "gru":
        return tf.tensordot(inputs, words, 1) + bias, tf.concat([fed, recurrent], 0)
    nothing = tf.zeros_like(recurrent[:, : cell.units])
    first, last = tf.split(recurrent, [2 * cell.units, cell.units], 1)
    of_first, of_last = tf.split(bias[1], [2 * cell.units, cell.units])
    words, fed = tf.pad(words, [[0, 0], [0, cell.units]]), tf.concat([fed, nothing], 1)
    bias = tf.concat([bias[0], of_last], 0) + tf.pad(of_first, [[0, 2 * cell.units]])
    return tf.tensordot(inputs, words, 1) + bias, tf.concat([fed, tf.concat([first, nothing, last], 1)], 0)
