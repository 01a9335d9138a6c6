"""The Transformer encoder equals the papers' equations, whatever stands in the padding."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import make_transformer, randomize, sequences
from toolkit.layers import RecurrentEncoder, TransformerEncoder, build_encoder
from toolkit.layers.transformer import heads_of, waves

FEATURES = 4
LENGTHS = [5, 1, 7, 0, 3]


def _encode(encoder, inputs, lengths, **kwargs):
    outputs, final = encoder(ops.convert_to_tensor(inputs), ops.convert_to_tensor(lengths), **kwargs)
    return ops.convert_to_numpy(outputs), ops.convert_to_numpy(final)


def _built(*, features=FEATURES, scale=0.3, **changes):
    encoder = make_transformer(**changes)
    encoder.build((None, None, features))
    randomize(encoder, scale=scale)
    return encoder


@pytest.mark.parametrize(
    ("units", "features", "layers"), [(6, 4, 1), (6, 6, 2), (5, 3, 1), (1, 2, 1), (64, 4, 2), (96, 96, 1)]
)
def test_outputs_equal_the_papers_equations(units, features, layers):
    encoder = _built(units=units, layers=layers, features=features, scale=0.3 if units < 10 else 0.1)
    assert (encoder.projection is None) == (units == features)
    inputs, lengths = sequences(LENGTHS, time=7, features=features)
    expected = reference.transform(reference.named_weights_of(encoder), inputs, lengths, layers=layers)
    for found, wanted in zip(_encode(encoder, inputs, lengths), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_waves_are_those_of_the_paper_far_into_a_sequence():
    found = ops.convert_to_numpy(waves(2000, 7))
    for step in (0, 1, 17, 1999):
        expected = [reference.wave(step, unit, 7) for unit in range(7)]
        np.testing.assert_allclose(found[step], expected, atol=3e-4 if step > 1000 else 1e-5)


@pytest.mark.parametrize(
    ("units", "heads"), [(1, 1), (31, 1), (63, 1), (64, 2), (96, 3), (100, 2), (101, 1), (128, 4), (300, 6)]
)
def test_heads_are_of_one_size_and_of_at_least_32_units(units, heads):
    assert heads_of(units) == heads


@pytest.fixture(scope="module")
def deep():
    """A deep encoder: (inputs, lengths) -> outputs, final, traced once for all shapes; and its gradients."""
    encoder = _built(units=64, layers=2, scale=0.1)
    shapes = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None,), tf.int32)]

    def gradients(inputs, lengths):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, final = encoder(inputs, lengths)
            steps = tf.cos(tf.range(tf.shape(outputs)[1], dtype=tf.float32))[:, None]
            units = tf.sin(1 + tf.range(encoder.width, dtype=tf.float32))
            loss = tf.reduce_sum(outputs * steps * units) + tf.reduce_sum(final * units)
        return tape.gradient(loss, [inputs, *(weight.value for weight in encoder.trainable_weights)])

    return tf.function(lambda *inputs: encoder(*inputs), shapes), tf.function(gradients, shapes)


def _widened(inputs, lengths, time, padding=None):
    """The same rows with other and longer padding."""
    wide, _ = sequences(list(lengths), time=time, seed=77)
    wide = wide if padding is None else np.full_like(wide, padding)
    real = np.arange(inputs.shape[1])[:, None] < lengths[:, None, None]
    wide[:, : inputs.shape[1]] = np.where(real, inputs, wide[:, : inputs.shape[1]])
    return wide


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    neighbours=st.lists(st.integers(0, 6), max_size=2),
    padding=st.integers(0, 3),
    seed=st.integers(0, 100),
)
def test_padding_and_neighbours_never_change_a_row(deep, lengths, neighbours, padding, seed):
    run, _ = deep
    inputs, sizes = sequences(lengths, time=4, seed=seed)
    others, more = sequences(neighbours, time=6 + padding, seed=seed + 1)
    crowd = np.concatenate([others, _widened(inputs, sizes, 6 + padding)])
    outputs, final = run(inputs, sizes)
    crowd_outputs, crowd_final = (array[len(neighbours) :] for array in run(crowd, np.concatenate([more, sizes])))
    np.testing.assert_allclose(crowd_outputs[:, :4], outputs, atol=3e-6)
    np.testing.assert_array_equal(crowd_outputs[:, 4:], 0)
    np.testing.assert_allclose(crowd_final, final, atol=3e-6)


@pytest.mark.parametrize("padding", [None, np.nan, np.inf])
def test_padding_never_changes_outputs_or_gradients_even_if_it_is_no_number(deep, padding):
    run, gradients = deep
    inputs, lengths = sequences([4, 2, 0], time=4)
    wide = _widened(inputs, lengths, 9, padding)
    (outputs, final), (wide_outputs, wide_final) = run(inputs, lengths), run(wide, lengths)
    np.testing.assert_allclose(wide_outputs[:, :4], outputs, atol=3e-6)
    np.testing.assert_allclose(wide_final, final, atol=3e-6)
    (near_inputs, *near), (far_inputs, *far) = gradients(inputs, lengths), gradients(wide, lengths)
    for one, other in zip(near, far, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    np.testing.assert_allclose(far_inputs[:, :4], near_inputs, atol=1e-4)
    real = np.arange(9) < lengths[:, None]
    np.testing.assert_array_equal(far_inputs.numpy()[~real], 0)
    assert np.abs(far_inputs.numpy()[real]).sum(axis=-1).all()


def test_a_batch_of_empty_rows_gives_zeros_and_finite_gradients(deep):
    run, gradients = deep
    rows = sequences([0, 0], time=3)
    outputs, final = run(*rows)
    assert not outputs.numpy().any() and not final.numpy().any()
    to_inputs, *to_weights = gradients(*rows)
    assert not to_inputs.numpy().any()
    assert all(np.isfinite(gradient).all() for gradient in to_weights)


def test_the_order_of_steps_counts_and_every_step_sees_all_others():
    encoder = _built()
    inputs, lengths = sequences([5], time=5)
    outputs, final = _encode(encoder, inputs, lengths)
    backwards, _ = _encode(encoder, inputs[:, ::-1], lengths)
    assert np.abs(backwards[:, ::-1] - outputs).max() > 1e-2
    for step in (0, 4):
        changed = inputs.copy()
        changed[0, step] += 1
        assert np.abs(_encode(encoder, changed, lengths)[0] - outputs).max(axis=-1).min() > 1e-5
    np.testing.assert_allclose(final, outputs.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_draws_one_mask_a_step_or_a_sequence_and_is_off_in_prediction(variational):
    """Parts that add a constant and nothing else: what is seen is their dropout."""
    encoder = _built(units=8, features=8, dropout=0.5, variational=variational)
    (block,) = encoder.blocks
    for weight in block.weights:
        weight.assign(np.zeros(weight.shape))
    block.projection.bias.assign(np.full(8, 100.0))
    inputs, lengths = np.zeros((20, 6, 8), np.float32), np.full(20, 6, np.int32)
    predicted = _encode(encoder, inputs, lengths)[0]
    np.testing.assert_array_equal(predicted, np.broadcast_to(predicted[:1], predicted.shape))
    steps = ops.convert_to_numpy(block(inputs, np.ones((20, 1, 6), bool), training=True))
    assert set(np.unique(steps)) == {0, 200} and 0.35 < (steps == 0).mean() < 0.65
    assert (steps == steps[:, :1]).all() == variational


def test_positions_are_no_weights():
    encoder = _built(units=8, features=8)
    per_block = 4 * (8 * 8 + 8) + (8 * 32 + 32) + (32 * 8 + 8) + 2 * 2 * 8
    assert encoder.count_params() == per_block + 2 * 8


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "transformer"])
def test_one_stanza_builds_every_encoder(cell):
    stanza = dict(units=4, layers=2, dropout=0.1, variational=True, bidirectional=True, residual=True)
    encoder = build_encoder(cell=cell, normalization="layer", name="encoder", **stanza)
    assert isinstance(encoder, TransformerEncoder if cell == "transformer" else RecurrentEncoder)
    assert (encoder.name, encoder.get_config()["units"], encoder.get_config()["layers"]) == ("encoder", 4, 2)
    inputs, lengths = sequences(LENGTHS, time=7)
    outputs, final = _encode(encoder, inputs, lengths)
    assert (outputs.shape[-1], final.shape[-1]) == (encoder.width, encoder.width)
    assert encoder.compute_output_shape(inputs.shape, lengths.shape) == (outputs.shape, final.shape)
