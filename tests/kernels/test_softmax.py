"""What a loss needs of a softmax is the same from its kernel, and so is the gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from toolkit import kernels
from toolkit.layers.softmax import softmax_parts

operations, why = kernels.load()
pytestmark = pytest.mark.skipif(operations is None, reason=f"there is no kernel: {why}")


def _results(logits, ids, dtype="float32"):
    logits = tf.constant(logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        parts = softmax_parts(keras.layers.Layer(dtype=dtype), logits, tf.constant(ids))
        counts = tf.cos(tf.range(len(ids), dtype=logits.dtype))
        loss = sum(tf.reduce_sum(part * counts) * factor for part, factor in zip(parts, (1.0, -3.0, 0.5), strict=True))
    return [np.asarray(each) for each in (*parts, tape.gradient(loss, logits))]


@pytest.mark.parametrize(("rows", "vocab"), [(1, 1), (7, 5), (3, 16), (50, 333)])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_all_parts_and_the_gradient_equal_those_in_double_precision(rows, vocab, scale):
    random = np.random.default_rng(0)
    logits = (random.normal(size=(rows, vocab)) * scale).astype(np.float32)
    ids = random.integers(vocab, size=rows).astype(np.int32)
    for one, other in zip(_results(logits, ids), _results(logits, ids, "float64"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6 * scale)


def test_logits_that_are_read_again_keep_their_values():
    logits, ids = tf.constant(np.random.default_rng(1).normal(size=(4, 40)), tf.float32), tf.constant([0, 39, 7, 7])
    layer = keras.layers.Layer()

    @tf.function
    def both():
        doubled = logits * 2.0
        with tf.GradientTape() as tape:
            tape.watch(doubled)
            normalizer, _, picked = softmax_parts(layer, doubled, ids)
            loss = tf.reduce_sum(normalizer - picked)
        gradient = tape.gradient(loss, doubled)
        with tf.control_dependencies([gradient]):
            return gradient, doubled + 0.0

    gradient, doubled = both()
    np.testing.assert_array_equal(doubled, logits * 2)
    expected = tf.nn.softmax(doubled) - tf.one_hot(ids, 40)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_a_row_that_is_not_a_number_spoils_no_other_row_and_impossible_ones_get_nothing():
    logits = np.random.default_rng(2).normal(size=(3, 20)).astype(np.float32)
    ids = np.zeros(3, np.int32)
    expected = _results(logits, ids)
    logits[1, 4] = np.nan
    logits[0, 19] = -1e9
    found = _results(logits, ids)
    assert np.isnan(found[0][1]) and np.isnan(found[3][1]).all()
    assert found[3][0, 19] == pytest.approx(-3.0 / 20, abs=1e-7)  # of the mean alone
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[2], other[2])


@pytest.mark.parametrize("ids", [[0, 5], [-1, 0], [0]])
def test_ids_that_do_not_fit_are_refused(ids):
    with pytest.raises(tf.errors.InvalidArgumentError, match="id"):
        softmax_parts(keras.layers.Layer(), tf.zeros((2, 5)), tf.constant(ids))
