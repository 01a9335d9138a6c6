"""A loop over time with a step of one's own."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from toolkit.layers.sequence import Tensor

States = tuple[Tensor, ...]
Step = Callable[[Tensor, States], tuple[States, States]]  # inputs and states of one step to outputs and states


def loop(step: Step, inputs: Tensor, states: States, weights: Sequence[keras.Variable] = ()) -> States:
    """Run `step`, which reads `weights`, over time; returns its outputs of all steps.

    Shapes: inputs (batch, time, features); states, and each output of a step, (batch, ...) ->
        outputs (batch, time, ...)
    """
    time_major = ops.swapaxes(inputs, 0, 1)
    if keras.backend.backend() == "tensorflow":
        with read_once(weights):
            outputs = _tensorflow_loop(step, time_major, states)
    else:

        def body(carry: States, step_inputs: Tensor) -> tuple[States, States]:
            step_outputs, carry = step(step_inputs, carry)
            return carry, step_outputs

        _, outputs = ops.scan(body, states, time_major)
    return tuple(ops.swapaxes(each, 0, 1) for each in outputs)


def read_once(weights: Sequence[keras.Variable]) -> keras.StatelessScope:
    """Within it, layers take the values that the weights have now. Nothing may be assigned there.

    A weight that is read inside TensorFlow's loop is a new array at every step, and is kept for the gradient as such:
    XLA copies it each time.
    """
    import tensorflow as tf

    return keras.StatelessScope([(each, tf.convert_to_tensor(each.value)) for each in weights])


def _tensorflow_loop(step: Step, inputs: Any, states: States) -> States:
    """`ops.scan` gives TensorFlow's loop no bound, without which XLA cannot compile its gradient."""
    import tensorflow as tf

    time = inputs.shape[0] or tf.shape(inputs)[0]
    first = tf.nest.map_structure(tf.convert_to_tensor, step(inputs[0], states)[0])
    arrays = tuple(tf.TensorArray(each.dtype, time, element_shape=each.shape) for each in first)

    def body(i, states, arrays):
        outputs, states = step(inputs[i], states)
        return i + 1, states, tuple(array.write(i, each) for array, each in zip(arrays, outputs, strict=True))

    _, _, arrays = tf.while_loop(lambda i, *_: i < time, body, (0, states, arrays), maximum_iterations=time)
    return tuple(array.stack() for array in arrays)
