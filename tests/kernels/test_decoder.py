"""The decoder's kernel equals its loop, which equals the papers' equations, and so do all gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import make_decoder, randomize, sequences
from toolkit import kernels
from toolkit.kernels.prediction import KINDS
from toolkit.layers import decoder as module

operations, why = kernels.load()
used = why if operations else "off"
pytestmark = pytest.mark.skipif(operations is None, reason=f"there is no kernel: {why}")

FEATURES = 3
ATTENTIONS = ("bahdanau", "dot", "general")
SHAPES = [  # units, target, lengths of the sources: odd ones, whole vectors of each kind, more rows than go together
    (1, 2, [4]),
    (5, 3, [3, 0, 6, 1, 6, 2, 5]),
    (32, 4, [6, 5]),
    (37, 2, [3, 0, 6, 1, 5] * 40),
]


def _decoder(units, width, *, dtype="float32", **settings):
    keras.utils.set_random_seed(1)
    decoder = make_decoder(units=units, dtype=dtype, **settings)
    decoder.build((None, None, FEATURES), (None, width), (None, None, width), (None,))
    randomize(decoder, scale=units**-0.5)
    return decoder


def _case(units, width, target, lengths):
    random = np.random.default_rng(2)
    words = random.normal(size=(len(lengths), target, FEATURES)).astype(np.float32)
    final = random.normal(size=(len(lengths), width)).astype(np.float32)
    return [words, final, *sequences(lengths, time=max(lengths), features=width)]


def _results(decoder, case, *, weights_count=True, training=False):
    """Outputs, attention, and the gradients of a sum in which each of them counts differently, all in NumPy."""
    *arrays, lengths = case
    tensors = [tf.constant(each, decoder.compute_dtype) for each in arrays]
    variables = [weight.value for weight in decoder.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs, weights = decoder(*tensors, tf.constant(lengths), training=training)
        counts = tf.cos(tf.reshape(tf.range(tf.size(outputs), dtype=outputs.dtype), tf.shape(outputs)))
        loss = tf.reduce_sum(outputs * counts)
        if weights_count:
            loss += tf.cast(tf.reduce_sum(tf.sin(3 * weights + 1) ** 2), loss.dtype)
    gradients = tape.gradient(loss, [*tensors, *variables])
    return [np.asarray(tf.convert_to_tensor(each)) for each in (outputs, weights, *gradients)]


def _assert_equal(found, expected):
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}x{len(shape[2])}")
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("weights_count", [True, False], ids=["weights", "outputs"])
def test_outputs_and_all_gradients_equal_the_loop_in_double_precision(
    cell, attention, shape, weights_count, monkeypatch
):
    units, target, lengths = shape
    width = units if attention == "dot" else units + 2
    case, settings = _case(units, width, target, lengths), dict(cell=cell, attention=attention)
    with monkeypatch.context() as patch:
        patch.setattr(module, "loop", None)  # the kernel has none
        found = _results(_decoder(units, width, **settings), case, weights_count=weights_count)
    double = _decoder(units, width, dtype="float64", **settings)
    _assert_equal(found, _results(double, case, weights_count=weights_count))


def _in_its_loop(decoder):
    decoder.loops = True
    return decoder


@pytest.mark.parametrize("cell", KINDS)
def test_what_is_fed_is_dropped_as_in_the_loop(cell):
    settings, case = dict(cell=cell, attention="general", dropout=0.5), _case(6, 4, 5, [3, 0, 2])
    found = _results(_decoder(6, 4, **settings), case, training=True)
    _assert_equal(found, _results(_in_its_loop(_decoder(6, 4, **settings)), case, training=True))
    assert np.abs(found[0] - _results(_decoder(6, 4, **settings), case)[0]).max() > 0.01


def test_a_traced_step_has_the_same_gradients_for_all_sizes():
    decoder = _decoder(6, 4, cell="gru", attention="bahdanau")
    weights = [weight.value for weight in decoder.trainable_weights]

    def gradients(words, final, memory, lengths):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(decoder(words, final, memory, lengths)[0] ** 3)
        return tape.gradient(loss, weights)

    shapes = (None, None, FEATURES), (None, 4), (None, None, 4)
    signature = [*map(tf.TensorSpec, shapes), tf.TensorSpec((None,), tf.int32)]
    traced = tf.function(gradients, input_signature=signature)
    for target, lengths in ((2, [3, 0, 5]), (6, [1])):
        case = list(map(tf.constant, _case(6, 4, target, lengths)))
        for one, other in zip(traced(*case), gradients(*case), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_what_stands_in_the_padding_changes_nothing_and_gets_no_gradient(attention):
    decoder = _decoder(4, 4, cell="lstm", attention=attention)
    words, final, memory, lengths = _case(4, 4, 3, [3, 0, 6, 1])
    padding = np.arange(6) >= lengths[:, None]
    one = _results(decoder, [words, final, memory, lengths])
    memory[padding] *= -3
    for array, other in zip(one, _results(decoder, [words, final, memory, lengths]), strict=True):
        np.testing.assert_array_equal(array, other)
    assert not one[1][np.broadcast_to(padding[:, None], one[1].shape)].any() and not one[4][padding].any()


def test_a_row_that_is_not_a_number_spoils_no_other_row():
    decoder, case = _decoder(5, 4, cell="lstm", attention="bahdanau"), _case(5, 4, 3, [4] * 8)
    expected = _results(decoder, case)[0]
    case[0][2, 1] = np.nan
    found = _results(decoder, case)[0]
    others = np.arange(8) != 2
    np.testing.assert_array_equal(found[others], expected[others])
    assert np.isnan(found[2, 1:]).all() and np.isfinite(found[2, 0]).all()


@pytest.mark.parametrize("lengths", [[1, 4], [1, -1], [1], [1, 2, 3]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    words, final, memory, _ = _case(2, 2, 3, [3, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"length|input 1"):
        _results(_decoder(2, 2, cell="rnn", attention="dot"), [words, final, memory, np.int32(lengths)])


@pytest.mark.parametrize(("rows", "target"), [(0, 3), (2, 0)])
def test_no_rows_or_no_steps_give_none(rows, target):
    case = _case(3, 2, target, [2, 1])
    outputs, weights, *gradients = _results(
        _decoder(3, 2, cell="lstm", attention="general"), [each[:rows] for each in case]
    )
    assert outputs.shape == (rows, target, 3) and weights.shape == (rows, target, 2)
    assert all(np.isfinite(each).all() for each in gradients)


def many_rows():
    """Outputs and gradients of all cells over more rows than go together."""
    for cell, attention in zip(KINDS, ATTENTIONS, strict=True):
        yield from _results(_decoder(37, 37, cell=cell, attention=attention), _case(37, 37, 4, [9, 3, 0, 7, 5] * 40))


def check_many_rows(found):
    for one, other in zip(found, many_rows(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))
