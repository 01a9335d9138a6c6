"""Pooling reads real steps only."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import randomize, sequences
from toolkit.layers import SequencePooling

FEATURES = 4
LENGTHS = [5, 1, 7, 0, 3]


def _pooling(*kinds, **kwargs):
    pooling = SequencePooling(kinds=kinds, **kwargs)
    pooling.build((None, None, FEATURES), (None,), (None, FEATURES))
    randomize(pooling)
    return pooling


def _attention(pooling):
    return [*pooling.projection.get_weights(), *pooling.score.get_weights()]


def _pool(pooling, inputs, lengths, final=None):
    return ops.convert_to_numpy(pooling(ops.convert_to_tensor(inputs), ops.convert_to_tensor(lengths), final))


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_each_kind_equals_its_equation_over_real_steps(kind):
    pooling = _pooling(kind)
    inputs, lengths = sequences(LENGTHS, time=7)
    weights = _attention(pooling) if kind == "attention" else ()
    expected = reference.pool(kind, inputs, lengths, weights)
    np.testing.assert_allclose(_pool(pooling, inputs, lengths), expected, atol=1e-5)


def test_kinds_stand_side_by_side_in_the_order_given():
    pooling = _pooling("max", "last", "attention", "mean")
    inputs, lengths = sequences(LENGTHS, time=7)
    final = np.random.default_rng(1).normal(size=(5, FEATURES)).astype(np.float32)
    found = _pool(pooling, inputs, lengths, final)
    expected = [
        reference.pool("max", inputs, lengths),
        final,
        reference.pool("attention", inputs, lengths, _attention(pooling)),
        reference.pool("mean", inputs, lengths),
    ]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-5)
    assert pooling.compute_output_shape(inputs.shape, lengths.shape, final.shape) == found.shape


def test_last_may_be_of_another_size_than_the_steps():
    pooling = SequencePooling(kinds=["last", "max"])
    inputs, lengths = sequences(LENGTHS, time=7)
    final = np.ones((5, 9), np.float32)
    assert pooling.compute_output_shape(inputs.shape, lengths.shape, final.shape) == (5, 9 + FEATURES)
    assert _pool(pooling, inputs, lengths, final).shape == (5, 9 + FEATURES)


@pytest.fixture(scope="module")
def all_kinds():
    return _pooling("mean", "max", "attention")


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    padding=st.integers(1, 4),
    neighbour=st.integers(0, 5),
    seed=st.integers(0, 100),
)
def test_padding_and_neighbours_never_change_a_summary(all_kinds, lengths, padding, neighbour, seed):
    inputs, sizes = sequences(lengths, time=4, seed=seed)
    wide, more = sequences([neighbour, *lengths], time=4 + padding, seed=seed + 1)
    real = np.arange(4)[:, None] < sizes[:, None, None]
    wide[1:, :4] = np.where(real, inputs, wide[1:, :4])
    np.testing.assert_allclose(_pool(all_kinds, wide, more)[1:], _pool(all_kinds, inputs, sizes), atol=1e-6)


def test_the_largest_of_negative_steps_is_negative():
    inputs = np.full((1, 3, FEATURES), -2.0, np.float32)
    np.testing.assert_array_equal(_pool(_pooling("max"), inputs, np.array([2])), -2.0)


def test_attention_weights_are_a_distribution_over_real_steps(all_kinds):
    inputs, lengths = sequences(LENGTHS, time=7)
    weights = ops.convert_to_numpy(all_kinds.attention_weights(inputs, ops.convert_to_tensor(lengths)))
    np.testing.assert_allclose(weights.sum(axis=1), lengths > 0, atol=1e-6)
    np.testing.assert_array_equal(weights > 0, np.arange(7) < lengths[:, None])


def test_empty_rows_give_zeros_and_finite_gradients(all_kinds):
    inputs, lengths = (tf.constant(array) for array in sequences([0, 0], time=3))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        pooled = all_kinds(inputs, lengths)
        loss = ops.sum(pooled * pooled + pooled)
    assert not pooled.numpy().any()
    variables = [weight.value for weight in all_kinds.trainable_weights]
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, [inputs, *variables]))


def test_gradients_of_padding_are_zero(all_kinds):
    inputs, lengths = (tf.constant(array) for array in sequences(LENGTHS, time=7))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = ops.sum(all_kinds(inputs, lengths))
    gradient = tape.gradient(loss, inputs).numpy()
    real = np.arange(7) < lengths.numpy()[:, None]
    assert not gradient[~real].any()
    assert np.abs(gradient[real]).sum(axis=-1).all()


@pytest.mark.parametrize("kind", ["mean", "attention"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_the_average_of_a_long_row(policy, kind):
    pooling = _pooling(kind, dtype=policy)
    found = _pool(pooling, np.ones((1, 5000, FEATURES), np.float32), np.array([5000]))
    np.testing.assert_allclose(found.astype(np.float32), 1, atol=0.02)


@pytest.mark.parametrize("kinds", [["median"], ["max", "maxx"], []])
def test_unknown_kinds_are_refused_with_the_choices(kinds):
    with pytest.raises(ValueError, match="expected one or more of last, mean, max, attention"):
        SequencePooling(kinds=kinds)
