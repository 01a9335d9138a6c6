"""A training step of which XLA compiles the network, or all but its first part."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from toolkit.layers.sequence import Tensor

First = Callable[[Any, bool], tuple[Tensor, ...]]  # inputs and `training` to what the second part reads
Second = Callable[..., Tensor]  # inputs, what the first part gave, and `training` to the network's outputs
Parts = tuple[First, Second]


def whole(network: keras.Model) -> Parts:
    """Nothing, and all of it."""
    return lambda inputs, training: (), lambda inputs, training: network(inputs, training=training)


def step_in_parts(model: keras.Model, first: First, second: Second) -> Callable[[Any], dict[str, Tensor]]:
    """A `train_step` for TensorFlow, for a `model` that is `second` after `first`, with the numbers of Keras' own.

    Only the second part is compiled, as one program together with its gradients, since what a loop keeps for them
    cannot leave a program. The first part runs as TensorFlow runs it, so its recurrent layers have their kernel, for
    which there is no place in what XLA compiles. So does the optimizer's update, which XLA would do on one thread.
    """
    import tensorflow as tf

    def step(data: Any) -> dict[str, Tensor]:
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        variables = model.trainable_variables

        @tf.function(jit_compile=True, autograph=False)
        def learn(between: Sequence[Tensor]) -> tuple[Tensor, list[Any], list[Any]]:
            with tf.GradientTape() as tape:
                tape.watch(between)
                outputs = second(inputs, *between, True)
                loss = model.compute_loss(inputs, targets, outputs, weights, training=True)
                scaled = model.optimizer.scale_loss(loss)
            return loss, *tape.gradient(scaled, (list(between), variables))

        with tf.GradientTape() as tape:
            between = first(inputs, True)
        loss, d_between, gradients = learn(between)
        of_first = tape.gradient(between, variables, output_gradients=d_between)
        gradients = [_sum(pair) for pair in zip(of_first, gradients, strict=True)]
        model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        model.metrics[0].update_state(loss, sample_weight=tf.shape(targets)[0])
        return model.get_metrics_result()

    return step


def _sum(gradients: Sequence[Any]) -> Any:
    """One gradient of a variable that may occur in both parts; one of rows stays that if it is alone."""
    import tensorflow as tf

    there = [each for each in gradients if each is not None]
    return tf.add_n([tf.convert_to_tensor(each) for each in there]) if len(there) > 1 else there[0]
