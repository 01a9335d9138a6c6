"""One recurrent layer in one direction, over right-padded sequences whose lengths are known."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import Any

import keras
from keras import ops

from toolkit import kernels
from toolkit.kernels.prediction import KINDS
from toolkit.layers.loop import read_once
from toolkit.layers.sequence import Tensor, last_step, reverse_sequences, zero_padding

LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}  # see toolkit/cells.py
NORMALIZATIONS = ("none", "layer")


def require(name: str, value: Any, known: Collection) -> None:
    """Raise ValueError where an argument is none of the known values."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(str, known))}.")


def recur(
    layer: keras.layers.RNN,
    inputs: Tensor,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    initial_state: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """Run a built Keras layer, one of `LAYERS`, over each row inside its own length.

        h[t] = cell(x[t], h[t-1]), or with `reverse`, from each row's end, cell(x[t], h[t+1])

    The layer returns sequences, and is as Keras makes it otherwise.

    On a CPU the fused kernel does it where there is one (see `toolkit.kernels`): a step's products for all gates stay
    in registers up to the activations, and padding costs nothing. Anywhere else the layer runs over the padding too,
    reversed rows through `reverse_sequences`. Both give the same numbers.

    Shapes: inputs (batch, time, features); lengths (batch,) integers, None where there is no padding; initial_state
        (batch, units), or two of them for an LSTM -> outputs (batch, time, units), zero past each length; final
        (batch, units), the hidden states at the rows' own ends, those before the first step where a row is empty
    """
    run = _recurrence_for(layer, inputs)
    if run:
        return _in_kernel(run, layer, inputs, lengths, reverse, initial_state)
    if reverse and lengths is None:
        lengths = _whole_rows(inputs)
    # What an Embedding gives may carry Keras' mask, which the layer would find; nothing carries it to a copy.
    inputs = reverse_sequences(inputs, lengths) if reverse else ops.copy(inputs)
    with read_once(layer.weights) if keras.backend.backend() == "tensorflow" else nullcontext():
        outputs = layer(inputs, initial_state=list(initial_state) or None)
    if lengths is None:
        return outputs, outputs[:, -1]
    if reverse:
        outputs = reverse_sequences(outputs, lengths)
    outputs = zero_padding(outputs, lengths)
    final = outputs[:, 0] if reverse else last_step(outputs, lengths)
    if initial_state:
        final = ops.where(ops.expand_dims(lengths > 0, 1), final, initial_state[0])
    return outputs, final


def _in_kernel(run, layer, inputs, lengths, reverse: bool, initial_state) -> tuple[Tensor, Tensor]:
    cell = layer.cell
    outputs, final, *_ = run(
        inputs,
        _whole_rows(inputs) if lengths is None else ops.cast(lengths, "int32"),
        *map(ops.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias)),
        ops.stack(initial_state) if initial_state else ops.zeros((0, 0, 0), "float32"),
        cell=_kind(layer),
        reverse=reverse,
    )
    return outputs, final[0]


def _whole_rows(inputs: Tensor) -> Tensor:
    """The lengths of rows without padding. Shapes: inputs (batch, time, features) -> (batch,)."""
    batch, time, _ = ops.shape(inputs)
    return ops.full((batch,), time, "int32")


def kernel_for(layer: keras.layers.Layer, inputs: Tensor) -> Any:
    """TensorFlow's operations of the kernel, if they can run a layer here: in float32, and not in what XLA compiles."""
    if not _fits(layer, inputs):
        return None
    operations, _ = kernels.load()
    return operations if operations and not kernels.in_xla() else None


def _recurrence_for(layer: keras.layers.RNN, inputs: Tensor) -> Any:
    """What runs a layer in the kernel, if anything does."""
    if _kind(layer) not in KINDS:
        return None
    if keras.backend.backend() == "jax" and _fits(layer, inputs):
        from toolkit.kernels import jax_recurrence

        return jax_recurrence.load()[0]
    operations = kernel_for(layer, inputs)
    return operations and operations.seqloom_recurrence


def _kind(layer: keras.layers.RNN) -> str:
    """Which of `LAYERS` it is; a class of its own, which may compute something else, is none."""
    return next((kind for kind, made in LAYERS.items() if type(layer) is made), "")


def _fits(layer: keras.layers.Layer, inputs: Tensor) -> bool:
    return not isinstance(inputs, keras.KerasTensor) and layer.compute_dtype == "float32"
