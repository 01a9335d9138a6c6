"""A step of training, as each backend takes it fastest."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from toolkit.layers.sequence import Tensor
from toolkit.memory import keep_memory

First = Callable[[Any, bool], tuple[Tensor, ...]]  # inputs and `training` to what the second part reads
Second = Callable[..., Tensor]  # inputs, what the first part gave, and `training` to the network's outputs
Parts = tuple[First, Second]
Step = Callable[[Any, Any, Any], float]  # inputs, targets, and sample weights or None, to the loss before the step


def whole(network: keras.Model) -> Parts:
    """Nothing, and all of it."""
    return lambda inputs, training: (), lambda inputs, training: network(inputs, training=training)


def training_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Callable, compiled: Parts | None = None
) -> Step:
    """A function that takes one step on a batch.

    On TensorFlow it is Keras' own step without the metrics, which cost as much as a small network. On JAX XLA compiles
    all of that step; on PyTorch nothing is compiled.

    Args:
        model: built. What trains of it is what does now; after a change of that, another step is needed.
        optimizer: becomes that of the model, over the weights that train.
        loss: as Keras takes it, of targets and outputs.
        compiled: the model as its second part after its first. On TensorFlow XLA compiles the second, as one program
            together with its gradients, since what a loop keeps for them cannot leave a program. The first part runs as
            TensorFlow runs it, so its recurrent layers have their kernel, for which there is no place in what XLA
            compiles. So does the optimizer's update, which XLA would do on one thread.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        keep_memory()
    model.compile(optimizer, loss, jit_compile=backend == "jax")
    optimizer.build(model.trainable_variables)
    if backend != "tensorflow":
        return lambda inputs, targets, weights: float(model.train_on_batch(inputs, targets, sample_weight=weights))
    import tensorflow as tf

    first, second = compiled or whole(model)
    programs: dict[Any, Callable] = {}

    def step(inputs: Any, targets: Any, weights: Any) -> Tensor:
        variables = model.trainable_variables

        def learn(between: Sequence[Tensor]) -> tuple[Tensor, list[Any], list[Any]]:
            with tf.GradientTape() as tape:
                tape.watch(between)
                outputs = second(inputs, *between, True)
                value = model.compute_loss(inputs, targets, outputs, weights, training=True)
                scaled = optimizer.scale_loss(value)
            return value, *tape.gradient(scaled, (list(between), variables))

        with tf.GradientTape() as tape:
            between = first(inputs, True)
        program = tf.function(learn, jit_compile=True, autograph=False) if compiled else learn
        value, d_between, gradients = program(between)
        of_first = tape.gradient(between, variables, output_gradients=d_between)
        gradients = [_sum(pair) for pair in zip(of_first, gradients, strict=True)]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return value

    def run(inputs: Any, targets: Any, weights: Any) -> float:
        # TensorFlow has one program for all shapes, in which it forgets the sizes that differ; XLA must know them.
        shapes = tuple(array.shape for array in keras.tree.flatten(inputs)) if compiled else ()
        if shapes not in programs:
            programs[shapes] = tf.function(step, reduce_retracing=True, autograph=False)
        return float(programs[shapes](inputs, targets, weights))

    return run


def _sum(gradients: Sequence[Any]) -> Any:
    """One gradient of a variable that may occur in both parts; one of rows stays that if it is alone."""
    import tensorflow as tf

    there = [each for each in gradients if each is not None]
    if len(there) > 1:
        return tf.add_n([tf.convert_to_tensor(each) for each in there])
    return there[0] if there else None
