"""One recurrent layer in one direction, over right-padded sequences whose lengths are known."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import keras

from toolkit import kernels
from toolkit.layers.loop import read_once
from toolkit.layers.sequence import Tensor, last_step, reverse_sequences, zero_padding

CELLS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def recur(
    layer: keras.layers.RNN,
    inputs: Tensor,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    initial_state: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """Run a built Keras layer, one of `CELLS` with its defaults, over each row inside its own length.

        h[t] = cell(x[t], h[t-1]), or with `reverse`, from each row's end, cell(x[t], h[t+1])

    On a CPU the fused kernel does it where there is one (see `toolkit.kernels`): a step's products for all gates stay
    in registers up to the activations, and padding costs nothing. Anywhere else the layer runs over the padding too,
    reversed rows through `reverse_sequences`. Both give the same numbers.

    Shapes: inputs (batch, time, features); lengths (batch,) integers, None where there is no padding; initial_state
        (batch, units), or two of them for an LSTM -> outputs (batch, time, units), zero past each length; final
        (batch, units), the hidden states at the rows' own ends, those before the first step where a row is empty
    """
    operations = kernel_for(layer, inputs)
    if operations:
        return _run_kernel(operations, layer, inputs, lengths, reverse, initial_state)
    inputs = reverse_sequences(inputs, lengths) if reverse else inputs
    with read_once(layer.weights) if keras.backend.backend() == "tensorflow" else nullcontext():
        outputs = layer(inputs, initial_state=list(initial_state) or None)
    if lengths is None:
        return outputs, outputs[:, -1]
    if reverse:
        outputs = reverse_sequences(outputs, lengths)
    outputs = zero_padding(outputs, lengths)
    return outputs, outputs[:, 0] if reverse else last_step(outputs, lengths)


def kernel_for(layer: keras.layers.Layer, inputs: Tensor) -> Any:
    """The kernel's operations, if they can run a layer here: in float32, and not in what XLA compiles."""
    if isinstance(inputs, keras.KerasTensor) or layer.compute_dtype != "float32":
        return None
    operations, _ = kernels.load()
    return operations if operations and not kernels.in_xla() else None


def _run_kernel(operations, layer, inputs, lengths, reverse: bool, initial_state) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    cell = layer.cell
    if lengths is None:
        lengths = tf.fill(tf.shape(inputs)[:1], tf.shape(inputs)[1])
    outputs, final, _ = operations.seqloom_recurrence(
        inputs,
        tf.cast(lengths, tf.int32),
        cell.kernel,
        cell.recurrent_kernel,
        cell.bias,
        tf.stack(initial_state) if initial_state else tf.zeros((0, 0, 0)),
        cell=next(name for name, kind in CELLS.items() if isinstance(layer, kind)),
        reverse=reverse,
    )
    return outputs, final[0]
