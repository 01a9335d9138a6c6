"""A dilated encoder gives the last state of the dilated recurrence, though it computes but a part of it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import randomize
from toolkit.cells import CELLS
from toolkit.layers import DilatedEncoder

FEATURES, UNITS = 3, 4
SETTINGS = dict(cell="lstm", units=UNITS, layers=3, normalization="none", dropout=0.0, variational=False)


def make_encoder(**changes):
    layer = DilatedEncoder(**{**SETTINGS, **changes})
    layer.build((None, None, FEATURES))
    randomize(layer)
    return layer


def dilated(layer, inputs):
    """All steps of all layers, time split into interleaved sequences. Shapes: inputs (time, features) -> (units,)."""
    outputs = inputs
    for i, recurrent in enumerate(layer.recurrent_layers):
        weights = tuple(ops.convert_to_numpy(weight) for weight in recurrent.weights)
        states = np.zeros((len(inputs), UNITS))
        for first in range(min(2**i, len(inputs))):
            states[first :: 2**i] = reference.run(layer.get_config()["cell"], weights, outputs[first :: 2**i])
        outputs = states + outputs if i else states
        if layer.norms:
            scale, shift = layer.norms[i].get_weights()
            centred = outputs - outputs.mean(axis=-1, keepdims=True)
            outputs = scale * centred / np.sqrt(outputs.var(axis=-1, keepdims=True) + 1e-5) + shift
    return outputs[-1]


@pytest.fixture(scope="module")
def encoders():
    return {(cell, layers): make_encoder(cell=cell, layers=layers) for cell in CELLS for layers in (1, 2, 4)}


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("cell", CELLS)
@given(time=st.integers(1, 19), seed=st.integers(0, 100))
def test_the_last_state_is_that_of_the_recurrence_over_all_steps(encoders, cell, layers, time, seed):
    inputs = np.random.default_rng(seed).normal(size=(2, time, FEATURES)).astype(np.float32)
    found = ops.convert_to_numpy(encoders[cell, layers](ops.convert_to_tensor(inputs)))
    for row, expected in zip(inputs, found, strict=True):
        np.testing.assert_allclose(dilated(encoders[cell, layers], row), expected, atol=1e-5)


def test_each_layer_is_normalised():
    layer = make_encoder(normalization="layer")
    inputs = np.random.default_rng(0).normal(size=(2, 9, FEATURES)).astype(np.float32)
    found = ops.convert_to_numpy(layer(ops.convert_to_tensor(inputs)))
    np.testing.assert_allclose(found, [dilated(layer, row) for row in inputs], atol=1e-5)


def test_every_step_is_read():
    layer = make_encoder(layers=4)
    inputs = tf.constant(np.random.default_rng(0).normal(size=(1, 16, FEATURES)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = ops.sum(layer(inputs))
    assert np.abs(tape.gradient(loss, inputs).numpy()).sum(axis=-1).all()


def test_a_traced_function_takes_any_time():
    layer = make_encoder()
    traced = tf.function(layer, [tf.TensorSpec((None, None, FEATURES))])
    for time in (1, 6, 7):
        inputs = np.random.default_rng(time).normal(size=(2, time, FEATURES)).astype(np.float32)
        np.testing.assert_allclose(traced(inputs), layer(ops.convert_to_tensor(inputs)), atol=1e-6)


def test_features_are_dropped_between_layers_while_training_only():
    layer = make_encoder(dropout=0.5, variational=True)
    inputs = ops.ones((1, 8, FEATURES))
    assert np.array_equal(layer(inputs), layer(inputs))
    assert not np.array_equal(layer(inputs, training=True), layer(inputs, training=True))


def test_config_makes_the_same_layer_again():
    layer = make_encoder(normalization="layer")
    copy = DilatedEncoder.from_config(layer.get_config())
    copy.build((None, None, FEATURES))
    copy.set_weights(layer.get_weights())
    inputs = ops.ones((1, 8, FEATURES))
    np.testing.assert_array_equal(copy(inputs), layer(inputs))
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("changes", [{"cell": "cnn"}, {"normalization": "batch"}])
def test_settings_that_are_not_known_are_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        DilatedEncoder(**{**SETTINGS, **changes})
