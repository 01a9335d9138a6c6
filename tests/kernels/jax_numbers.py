"""What layers give on JAX in the kernel, and as Keras runs them.

python jax_numbers.py numbers.npz
"""

import os
import sys
from itertools import product

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np

from examples import randomize, sequences
from toolkit.cells import CELLS
from toolkit.kernels import jax_recurrence
from toolkit.kernels.prediction import KINDS
from toolkit.layers.recurrent import LAYERS, recur

SHAPES = {  # by direction units, features and lengths: odd ones, more rows than go together
    False: (5, 3, [3, 0, 6, 1, 6, 2, 5]),
    True: (37, 20, [9, 3, 0, 7, 5] * 40),
}
EMPTY = [(0, 4), (3, 0), (0, 0)]  # rows and steps


def make_layer(cell, units, features):
    layer = LAYERS[cell](units, return_sequences=True)
    layer.build((None, None, features))
    randomize(layer, scale=min(0.4, 2 / units**0.5))
    return layer


def results(layer, reverse, inputs, lengths, initial):
    """Outputs, final, and the gradients of a sum in which each of them counts differently."""

    def loss(inputs, initial, weights):
        with keras.StatelessScope(state_mapping=list(zip(layer.weights, weights, strict=True))):
            outputs, final = recur(layer, inputs, lengths, reverse=reverse, initial_state=initial)
        counts = jnp.cos(jnp.arange(outputs.size).reshape(outputs.shape))
        return jnp.sum(outputs * counts) + jnp.sum(final * jnp.sin(1 + final)), (outputs, final)

    weights = [weight.value for weight in layer.weights]
    gradients, found = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(inputs, initial, weights)
    return jax.tree.leaves((found, gradients))


def both(cell, reverse):
    """In the kernel, and as Keras runs the layer; backward rows begin with a state of their own."""
    units, features, lengths = SHAPES[reverse]
    inputs, lengths = sequences(lengths, time=max(lengths), features=features)
    states = np.random.default_rng(1).normal(size=(CELLS[cell].states, len(lengths), units))
    arrays = jnp.array(inputs), lengths, list(jnp.float32(states)) if reverse else []
    layer, load = make_layer(cell, units, features), jax_recurrence.load
    in_kernel = results(layer, reverse, *arrays)
    jax_recurrence.load = lambda: (None, "switched off")
    as_keras = results(layer, reverse, *arrays)
    jax_recurrence.load = load
    return in_kernel, as_keras


def refusal(lengths):
    """What is said of lengths that do not fit two rows of three steps."""
    try:
        return str(np.asarray(recur(make_layer("rnn", 2, 3), jnp.zeros((2, 3, 3)), jnp.array(lengths))[0]))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main(path):
    numbers = {"refused": [refusal([1, 4]), refusal([1, -1])]}
    for case in product(KINDS, SHAPES):
        for kind, arrays in zip(("kernel", "keras"), both(*case), strict=True):
            numbers |= {f"{case}/{kind}/{i}": array for i, array in enumerate(arrays)}
    for shape in EMPTY:
        arrays = results(make_layer("lstm", 3, 2), False, jnp.zeros((*shape, 2)), jnp.zeros(shape[0], jnp.int32), [])
        numbers |= {f"{shape}/{i}": array for i, array in enumerate(arrays)}
    layer, groups = make_layer("gru", 3, 2), jnp.array(np.random.default_rng(1).normal(size=(2, 4, 5, 2)), jnp.float32)
    numbers["mapped"] = jax.vmap(lambda rows: recur(layer, rows)[0])(groups)
    numbers["at once"] = jnp.reshape(recur(layer, jnp.reshape(groups, (8, 5, 2)))[0], (2, 4, 5, 3))
    np.savez(path, **numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
