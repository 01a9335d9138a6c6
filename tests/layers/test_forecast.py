"""Decoders give each part of the horizon what belongs to it, and quantiles keep their order."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import randomize, sequences
from toolkit.layers import AttentionDecoder, ParallelDecoder, QuantileHead

FEATURES, UNITS, WIDTH, HORIZON = 4, 3, 5, 6
LENGTHS = [5, 1, 7, 0]


def _built(layer, *shapes):
    layer.build(*shapes)
    randomize(layer)
    return layer


@pytest.fixture(scope="module")
def parallel():
    return _built(ParallelDecoder(units=UNITS), (None, HORIZON, FEATURES), (None, UNITS))


@pytest.fixture(scope="module")
def attentive():
    shapes = (None, HORIZON, FEATURES), (None, UNITS), (None, None, WIDTH), (None,)
    return _built(AttentionDecoder(units=UNITS), *shapes)


def _inputs(rows, horizon=HORIZON, seed=0):
    """Queries and states."""
    random = np.random.default_rng(seed)
    sizes = (rows, horizon, FEATURES), (rows, UNITS)
    return [random.normal(size=size).astype(np.float32) for size in sizes]


def _run(layer, *inputs):
    return ops.convert_to_numpy(layer(*map(ops.convert_to_tensor, inputs)))


# The parallel decoder


def test_a_parallel_decoder_equals_one_gru_step_for_each_part(parallel):
    queries, state = _inputs(3)
    expected = reference.parallel_decode(tuple(parallel.cell.get_weights()), queries, state)
    np.testing.assert_allclose(_run(parallel, queries, state), expected, atol=1e-5)


@given(part=st.integers(0, HORIZON - 1), row=st.integers(0, 2), seed=st.integers(0, 100))
def test_each_part_depends_on_its_own_query_alone(parallel, part, row, seed):
    queries, state = _inputs(3, seed=seed)
    before = _run(parallel, queries, state)
    queries[row, part] += 1
    changed = np.abs(_run(parallel, queries, state) - before).max(axis=-1) > 1e-6
    assert np.argwhere(changed).tolist() == [[row, part]]


def test_each_row_starts_from_its_own_state(parallel):
    queries, state = _inputs(3)
    before = _run(parallel, queries, state)
    state[1] += 1
    changed = np.abs(_run(parallel, queries, state) - before).max(axis=-1) > 1e-6
    assert changed.tolist() == [[False] * HORIZON, [True] * HORIZON, [False] * HORIZON]


def test_a_horizon_that_is_known_only_when_it_runs_is_decoded(parallel):
    shapes = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, UNITS))]
    traced = tf.function(lambda *inputs: parallel(*inputs), shapes)
    for horizon in (1, 4, 9):
        inputs = _inputs(2, horizon)
        np.testing.assert_allclose(traced(*inputs), _run(parallel, *inputs), atol=1e-6)


# The attention decoder


def _weights(layer):
    """Of the recurrence, of the attention and of what combines both."""
    return tuple(layer.recurrent.get_weights()), layer.attention.get_weights()[0], layer.combine.get_weights()


def test_an_attention_decoder_equals_its_equations(attentive):
    (queries, state), (memory, lengths) = _inputs(4), sequences(LENGTHS, time=7, features=WIDTH)
    expected = reference.attention_decode(*_weights(attentive), (queries, state, memory), lengths)
    np.testing.assert_allclose(_run(attentive, queries, state, memory, lengths), expected, atol=1e-5)


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    padding=st.integers(1, 4),
    neighbour=st.integers(0, 5),
    seed=st.integers(0, 100),
)
def test_padding_and_neighbours_never_change_what_is_decoded(attentive, lengths, padding, neighbour, seed):
    queries, state = _inputs(1 + len(lengths), seed=seed)
    memory, sizes = sequences(lengths, time=4, features=WIDTH, seed=seed)
    wide, more = sequences([neighbour, *lengths], time=4 + padding, features=WIDTH, seed=seed + 1)
    real = np.arange(4)[:, None] < sizes[:, None, None]
    wide[1:, :4] = np.where(real, memory, wide[1:, :4])
    near = _run(attentive, queries[1:], state[1:], memory, sizes)
    np.testing.assert_allclose(_run(attentive, queries, state, wide, more)[1:], near, atol=1e-6)


@given(part=st.integers(1, HORIZON - 1), seed=st.integers(0, 100))
def test_no_part_depends_on_queries_after_it(attentive, part, seed):
    (queries, state), (memory, lengths) = _inputs(4, seed=seed), sequences(LENGTHS, time=7, features=WIDTH)
    before = _run(attentive, queries, state, memory, lengths)
    queries[:, part] += 1
    changed = np.abs(_run(attentive, queries, state, memory, lengths) - before).max(axis=(0, 2)) > 1e-6
    assert not changed[:part].any() and changed[part]


def test_a_row_without_a_past_is_decoded_from_its_state_alone(attentive):
    (queries, state), (memory, lengths) = _inputs(1), sequences([0], time=3, features=WIDTH)
    found = _run(attentive, queries, state, memory, lengths)
    np.testing.assert_array_equal(found, _run(attentive, queries, state, memory + 1, lengths))
    recurrent, _, (kernel, bias) = _weights(attentive)
    states = reference.gru(recurrent, queries[0], state[0])
    np.testing.assert_allclose(found[0], np.tanh(states @ kernel[:UNITS] + bias), atol=1e-5)


# Quantiles


def _head(levels, median, steps=2, seed=0, scale=0.5):
    head = QuantileHead(steps=steps, levels=levels, median=median)
    head.build((None, FEATURES))
    randomize(head, seed=seed, scale=scale)
    return head


MEDIANS = [(1, 0), (3, 1), (5, 0), (5, 4), (9, 4), (4, 2)]


@pytest.mark.parametrize(("levels", "median"), MEDIANS)
def test_quantiles_equal_increments_that_are_added_one_after_the_other(levels, median):
    head, inputs = _head(levels, median), _inputs(3)[0]
    kernel, bias = head.get_weights()
    raw = (inputs @ kernel + bias).reshape(*inputs.shape[:2], 2, levels)
    expected = np.apply_along_axis(reference.quantiles, -1, raw, median)
    np.testing.assert_allclose(_run(head, inputs), expected, atol=1e-5)


@given(case=st.sampled_from(MEDIANS), seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1.0, 30.0, 1e4]))
def test_quantiles_never_cross(case, seed, scale):
    quantiles = _run(_head(*case, seed=seed, scale=scale), _inputs(5, seed=seed)[0])
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


@pytest.mark.parametrize(("levels", "median"), MEDIANS)
def test_the_median_is_the_linear_output(levels, median):
    head, inputs = _head(levels, median, scale=5.0), _inputs(3)[0]
    linear = ops.convert_to_numpy(head.projection(ops.convert_to_tensor(inputs)))
    expected = linear.reshape(*inputs.shape[:2], 2, levels)[..., median]
    np.testing.assert_array_equal(_run(head, inputs)[..., median], expected)


def test_quantiles_start_near_each_other_around_zero():
    head = QuantileHead(steps=2, levels=5, median=2)
    quantiles = _run(head, np.zeros((1, FEATURES), np.float32))
    np.testing.assert_allclose(quantiles[0], [np.arange(-2, 3) * np.log1p(np.exp(-2))] * 2, atol=1e-6)


def test_features_of_any_rank_have_quantiles():
    head, inputs = _head(3, 1), _inputs(3)[0]
    one_by_one = [_run(head, part) for part in np.moveaxis(inputs, 1, 0)]
    np.testing.assert_allclose(_run(head, inputs), np.stack(one_by_one, axis=1), atol=1e-6)
