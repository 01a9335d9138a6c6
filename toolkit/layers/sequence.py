"""Operations on right-padded sequences whose lengths are known."""

from typing import Any

from keras import ops

Tensor = Any  # a tensor of any backend, or a symbolic one


def counted(lengths: Tensor) -> Tensor:
    """Lengths to count with: in eight bits or sixteen the numbers of steps and of rows overflow."""
    return ops.cast(lengths, "int32")


def sequence_mask(lengths: Tensor, time: int | Tensor) -> Tensor:
    """True at the real steps of each row. Shapes: lengths (batch,) -> (batch, time)."""
    return ops.expand_dims(ops.arange(time, dtype="int32"), 0) < ops.expand_dims(counted(lengths), 1)


def zero_padding(inputs: Tensor, lengths: Tensor) -> Tensor:
    """Zeros at the steps past each row's length. Shapes: (batch, time, features) -> the same."""
    mask = ops.expand_dims(sequence_mask(lengths, ops.shape(inputs)[1]), 2)
    return ops.where(mask, inputs, ops.zeros((), dtype=inputs.dtype))


def reverse_sequences(inputs: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each row inside its own length; padding stays where it is.

    Shapes: inputs (batch, time, features); lengths (batch,) -> (batch, time, features)
    """
    steps = ops.expand_dims(ops.arange(ops.shape(inputs)[1], dtype="int32"), 0)
    lengths = ops.expand_dims(counted(lengths), 1)
    return take_steps(inputs, ops.where(steps < lengths, lengths - 1 - steps, steps))


def last_step(inputs: Tensor, lengths: Tensor) -> Tensor:
    """The features at each row's last real step; its first step where the row is empty.

    Shapes: inputs (batch, time, features); lengths (batch,) -> (batch, features)
    """
    return take_steps(inputs, ops.expand_dims(ops.maximum(counted(lengths) - 1, 0), 1))[:, 0, :]


def take_steps(inputs: Tensor, steps: Tensor) -> Tensor:
    """Gather steps row by row. Shapes: inputs (batch, time, features); steps (batch, n) -> (batch, n, features)."""
    batch, time = ops.shape(inputs)[0], ops.shape(inputs)[1]
    features = inputs.shape[2]
    # One gather from a flat axis: its gradient is one scatter on every backend.
    rows = ops.expand_dims(ops.arange(batch, dtype=steps.dtype), 1) * ops.cast(time, steps.dtype)
    taken = ops.take(ops.reshape(inputs, (-1, features)), ops.reshape(rows + steps, (-1,)), axis=0)
    return ops.reshape(taken, (batch, ops.shape(steps)[1], features))
