"""The loop runs a step over time, and everything around it sees one differentiable operation."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from toolkit.layers.loop import loop

FEATURES = 3


def _step(inputs, states):
    """A running sum, a running product, and two outputs of different shapes."""
    total, product = states
    total, product = total + inputs, product * inputs
    return (total * product, ops.sum(total, axis=-1)), (total, product)


def _rows(rows=2, time=5, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, time, FEATURES)).astype(np.float32)


def _states(rows):
    return ops.zeros((rows, FEATURES)), ops.ones((rows, FEATURES))


def _run(inputs):
    inputs = ops.convert_to_tensor(inputs)
    return loop(_step, inputs, _states(ops.shape(inputs)[0]))


def _by_hand(inputs):
    totals, products = np.cumsum(inputs, axis=1), np.cumprod(inputs, axis=1)
    return totals * products, totals.sum(axis=-1)


@pytest.mark.parametrize(("rows", "time"), [(2, 5), (1, 1), (3, 40)])
def test_outputs_are_those_of_all_steps_one_after_the_other(rows, time):
    inputs = _rows(rows, time)
    for found, expected in zip(_run(inputs), _by_hand(inputs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True], ids=["traced", "xla"])
def test_a_traced_loop_takes_any_batch_and_time(compiled):
    """XLA gives each shape a program of its own."""
    sizes = [(2, 5), (3, 7), (1, 1)]
    if not compiled:
        traced = tf.function(_run, [tf.TensorSpec((None, None, FEATURES))])
    for rows, time in sizes:
        inputs = _rows(rows, time)
        run = tf.function(_run, jit_compile=True) if compiled else traced
        for found, expected in zip(run(tf.constant(inputs)), _by_hand(inputs), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("how", ["eager", "traced", "xla"])
def test_gradients_go_back_through_all_steps(how):
    def gradient(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, _ = _run(inputs)
            last = tf.reduce_sum(outputs[:, -1])
        return tape.gradient(last, inputs)

    run = {"eager": gradient, "traced": tf.function(gradient), "xla": tf.function(gradient, jit_compile=True)}[how]
    inputs = 1 + 0.1 * _rows()
    total, product = inputs.sum(axis=1, keepdims=True), inputs.prod(axis=1, keepdims=True)
    np.testing.assert_allclose(run(tf.constant(inputs)), product + total * product / inputs, rtol=1e-4)


def test_a_step_is_given_one_step_s_inputs_and_the_states_of_the_one_before():
    def step(inputs, states):
        assert inputs.shape == (2, FEATURES)
        (before,) = states
        return (before,), (inputs,)

    inputs = _rows()
    (outputs,) = loop(step, ops.convert_to_tensor(inputs), (ops.zeros((2, FEATURES)),))
    np.testing.assert_array_equal(outputs[:, 0], 0)
    np.testing.assert_array_equal(outputs[:, 1:], inputs[:, :-1])


def test_outputs_keep_their_precision():
    def step(inputs, states):
        return (ops.cast(inputs, "float16"), ops.cast(ops.sum(inputs, axis=-1) > 0, "int32")), states

    halves, flags = loop(step, ops.convert_to_tensor(_rows()), (ops.zeros((2, 1)),))
    assert (halves.dtype, flags.dtype) == (tf.float16, tf.int32)
