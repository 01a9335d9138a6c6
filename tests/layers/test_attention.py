"""Attention looks at real steps only."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import randomize, sequences
from toolkit.layers import BahdanauAttention, LuongAttention

FEATURES, TARGET = 4, 3
LENGTHS = [5, 1, 7, 0, 3]
KINDS = {
    "dot": lambda **policy: LuongAttention(kind="dot", **policy),
    "general": lambda **policy: LuongAttention(kind="general", **policy),
    "additive": lambda **policy: BahdanauAttention(units=5, **policy),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def _units(kind):
    return FEATURES if kind == "dot" else 6


def _attention(kind, **policy):
    attention = KINDS[kind](**policy)
    attention.build((None, None, _units(kind)), (None, None, FEATURES), (None,))
    randomize(attention)
    return attention


def _queries(kind, rows, seed=0):
    return np.random.default_rng(seed + 50).normal(size=(rows, TARGET, _units(kind))).astype(np.float32)


def _attend(attention, *inputs):
    """Context and weights, as float32."""
    outputs = attention(*map(ops.convert_to_tensor, inputs))
    return [ops.convert_to_numpy(ops.cast(output, "float32")) for output in outputs]


@pytest.fixture(scope="module")
def layers():
    return {kind: _attention(kind) for kind in KINDS}


@every_kind
def test_context_and_weights_equal_the_equations_over_real_steps(layers, kind):
    queries, (memory, lengths) = _queries(kind, len(LENGTHS)), sequences(LENGTHS, time=7)
    weights = layers[kind].get_weights()
    score = reference.bahdanau(*weights) if kind == "additive" else reference.luong(*weights)
    expected = reference.attend(score, queries, memory, lengths)
    for found, wanted in zip(_attend(layers[kind], queries, memory, lengths), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@every_kind
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    padding=st.integers(1, 4),
    neighbour=st.integers(0, 5),
    seed=st.integers(0, 100),
)
def test_padding_and_neighbours_never_change_the_context(layers, kind, lengths, padding, neighbour, seed):
    queries, (memory, sizes) = _queries(kind, 1 + len(lengths), seed), sequences(lengths, time=4, seed=seed)
    wide, more = sequences([neighbour, *lengths], time=4 + padding, seed=seed + 1)
    real = np.arange(4)[:, None] < sizes[:, None, None]
    wide[1:, :4] = np.where(real, memory, wide[1:, :4])
    context, weights = _attend(layers[kind], queries[1:], memory, sizes)
    wide_context, wide_weights = _attend(layers[kind], queries, wide, more)
    np.testing.assert_allclose(wide_context[1:], context, atol=1e-6)
    np.testing.assert_allclose(wide_weights[1:, :, :4], weights, atol=1e-6)
    assert not wide_weights[1:, :, 4:].any()


@every_kind
def test_weights_are_a_distribution_over_real_steps(layers, kind):
    memory, lengths = sequences(LENGTHS, time=7)
    _, weights = _attend(layers[kind], _queries(kind, len(LENGTHS)), memory, lengths)
    real = np.broadcast_to(np.arange(7) < lengths[:, None, None], weights.shape)
    np.testing.assert_array_equal(weights > 0, real)
    np.testing.assert_allclose(weights.sum(axis=-1), real.any(axis=-1), atol=1e-6)


@every_kind
def test_each_query_looks_for_itself(layers, kind):
    memory, lengths = sequences([4, 6], time=7)
    queries = _queries(kind, 2)
    context, _ = _attend(layers[kind], queries, memory, lengths)
    for target in range(TARGET):
        alone, _ = _attend(layers[kind], queries[:, target : target + 1], memory, lengths)
        np.testing.assert_allclose(alone[:, 0], context[:, target], atol=1e-6)
    assert np.abs(np.diff(context, axis=1)).max() > 1e-3


@every_kind
def test_empty_rows_give_zeros_and_finite_gradients(layers, kind):
    memory, lengths = (tf.constant(array) for array in sequences([0, 0], time=3))
    queries = tf.constant(_queries(kind, 2))
    with tf.GradientTape() as tape:
        tape.watch([queries, memory])
        context, weights = layers[kind](queries, memory, lengths)
        loss = ops.sum(context * context + context) + ops.sum(weights)
    assert not context.numpy().any() and not weights.numpy().any()
    variables = [weight.value for weight in layers[kind].trainable_weights]
    gradients = tape.gradient(loss, [queries, memory, *variables])
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


@every_kind
def test_gradients_of_padding_are_zero(layers, kind):
    memory, lengths = (tf.constant(array) for array in sequences(LENGTHS, time=7))
    with tf.GradientTape() as tape:
        tape.watch(memory)
        context, _ = layers[kind](tf.constant(_queries(kind, len(LENGTHS))), memory, lengths)
        loss = ops.sum(context * ops.cos(ops.cumsum(ops.ones_like(context), axis=-1)))
    gradient = tape.gradient(loss, memory).numpy()
    real = np.arange(7) < lengths.numpy()[:, None]
    assert not gradient[~real].any()
    assert np.abs(gradient[real]).sum(axis=-1).all()


@every_kind
def test_large_scores_do_not_overflow(kind):
    attention = KINDS[kind]()
    memory, lengths = sequences([4, 2], time=4)
    context, weights = _attend(attention, 1e4 * _queries(kind, 2), 1e4 * memory, lengths)
    assert np.isfinite(context).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)


@every_kind
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_the_average_of_a_long_row(policy, kind):
    attention = _attention(kind, dtype=policy)
    memory, lengths = np.ones((1, 5000, FEATURES), np.float32), np.array([5000], np.int32)
    context, weights = _attend(attention, _queries(kind, 1), memory, lengths)
    np.testing.assert_allclose(context, 1, atol=0.02)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-3)


@every_kind
def test_half_precision_is_what_the_context_has_and_its_weights_have_not(kind):
    attention = _attention(kind, dtype="mixed_bfloat16")
    inputs = map(ops.convert_to_tensor, (_queries(kind, 2), *sequences([4, 2], time=4)))
    context, weights = attention(*inputs)
    assert keras.backend.standardize_dtype(context.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    assert {weight.dtype for weight in attention.trainable_weights} <= {"float32"}


def test_unknown_kinds_are_refused_with_the_choices():
    with pytest.raises(ValueError, match="kind is 'concat', expected dot or general"):
        LuongAttention(kind="concat")


def test_dot_attention_of_two_sizes_says_what_takes_them():
    memory, lengths = sequences([4, 2], time=4)
    with pytest.raises(ValueError, match=r"queries have 6 features and the memory 4; .* Use general"):
        _attend(LuongAttention(kind="dot"), _queries("general", 2), memory, lengths)


def test_weights_are_those_of_the_equations_and_no_others():
    assert [weight.shape for weight in _attention("dot").weights] == []
    assert [weight.shape for weight in _attention("general").weights] == [(FEATURES, 6)]
    assert [weight.shape for weight in _attention("additive").weights] == [(6, 5), (5,), (FEATURES, 5), (5, 1)]
