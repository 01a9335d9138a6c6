"""The recurrent encoder equals the papers' equations, whatever stands in the padding."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import make_encoder, randomize, sequences
from toolkit.cells import CELLS
from toolkit.layers.recurrent import LAYERS

FEATURES = 4
MASKED = -9.0
LENGTHS = [5, 1, 7, 0, 3]


def _encode(encoder, inputs, lengths, **kwargs):
    outputs, final = encoder(ops.convert_to_tensor(inputs), ops.convert_to_tensor(lengths), **kwargs)
    return ops.convert_to_numpy(outputs), ops.convert_to_numpy(final)


def _built(**changes):
    encoder = make_encoder(**changes)
    encoder.build((None, None, FEATURES))
    randomize(encoder)
    return encoder


def _assert_equals_reference(encoder):
    inputs, lengths = sequences(LENGTHS, time=7)
    settings = encoder.get_config()
    expected = reference.encode(
        reference.layers_of(encoder), inputs, lengths, cell=settings["cell"], residual=settings["residual"]
    )
    outputs, final = _encode(encoder, inputs, lengths)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    np.testing.assert_allclose(final, expected[1], atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_one_layer_equals_the_paper_s_equations(cell, bidirectional):
    _assert_equals_reference(_built(cell=cell, bidirectional=bidirectional))


@pytest.mark.parametrize("cell", CELLS)
def test_stacked_layers_with_residual_and_normalization_equal_the_paper_s_equations(cell):
    _assert_equals_reference(_built(cell=cell, layers=3, bidirectional=True, residual=True, normalization="layer"))


@pytest.mark.parametrize(("residual", "normalization"), [(False, "none"), (True, "none"), (False, "layer")])
def test_residual_and_normalization_each_equal_the_paper_s_equations(residual, normalization):
    _assert_equals_reference(_built(cell="gru", layers=2, residual=residual, normalization=normalization))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_first_layer_from_both_ends_equals_the_paper_s_equations(cell, residual):
    shape = dict(bidirectional="first", layers=4, residual=residual, normalization="layer")
    _assert_equals_reference(_built(cell=cell, **shape))
    _assert_equals_reference(_built(cell=cell, **{**shape, "layers": 1}))


@pytest.mark.parametrize(
    ("bidirectional", "layers", "widths", "residuals"),
    [
        (False, 3, [3, 3, 3], [False, True, True]),
        (True, 3, [6, 6, 6], [False, True, True]),
        ("first", 4, [6, 3, 3, 3], [False, False, True, True]),
        ("first", 2, [6, 3], [False, False]),
        ("first", 1, [6], [False]),
    ],
)
def test_residual_is_where_a_layer_is_as_wide_as_the_one_below(bidirectional, layers, widths, residuals):
    encoder = _built(bidirectional=bidirectional, layers=layers, residual=True)
    assert (encoder.widths, encoder.width, encoder.residuals) == (widths, widths[-1], residuals)
    outputs, final = _encode(encoder, *sequences(LENGTHS, time=7))
    assert (outputs.shape[-1], final.shape[-1]) == (widths[-1], widths[-1])


def test_the_final_state_above_a_first_layer_from_both_ends_is_that_of_the_last_real_step():
    inputs, lengths = sequences([5, 1, 7, 3], time=7)
    outputs, final = _encode(_built(bidirectional="first", layers=3, residual=True), inputs, lengths)
    np.testing.assert_array_equal(final, outputs[np.arange(4), lengths - 1])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_masked_keras_layers_on_the_same_weights(cell, bidirectional):
    encoder = _built(cell=cell, bidirectional=bidirectional)
    inputs, lengths = sequences([5, 1, 7, 3], time=7)
    real = np.arange(7) < lengths[:, None]
    marked = np.where(real[:, :, None], inputs, MASKED)
    expected = [_masked(encoder, marked, return_sequences=every) for every in (True, False)]
    outputs, final = _encode(encoder, inputs, lengths)
    np.testing.assert_allclose(outputs[real], expected[0][real], atol=1e-5)
    np.testing.assert_allclose(final, expected[1], atol=1e-5)


def _masked(encoder, inputs, *, return_sequences):
    layer = LAYERS[encoder.get_config()["cell"]](encoder.get_config()["units"], return_sequences=return_sequences)
    layer = keras.layers.Bidirectional(layer) if encoder.get_config()["bidirectional"] else layer
    network = keras.Sequential([keras.layers.Masking(MASKED), layer])
    network.build(inputs.shape)
    network.set_weights(encoder.get_weights())
    return ops.convert_to_numpy(network(inputs))


@pytest.fixture(scope="module", params=[*CELLS, "first"])
def deep(request):
    """A deep encoder: (inputs, lengths) -> outputs, final, traced once for all shapes; and its gradients."""
    shape = dict(layers=2, bidirectional=True, residual=True, normalization="layer")
    changes = dict(layers=3, bidirectional="first") if request.param == "first" else dict(cell=request.param)
    encoder = _built(**{**shape, **changes})
    shapes = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None,), tf.int32)]
    return tf.function(lambda *inputs: encoder(*inputs), shapes), partial(_gradients, encoder)


def _gradients(encoder, inputs, lengths):
    """Of a sum in which every output counts differently, with respect to inputs and to each weight."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, final = encoder(inputs, tf.constant(lengths))
        steps = tf.cos(tf.range(tf.shape(outputs)[1], dtype=tf.float32))[:, None]
        units = tf.sin(1 + tf.range(encoder.width, dtype=tf.float32))
        loss = tf.reduce_sum(outputs * steps * units) + tf.reduce_sum(final * units)
    gradients = tape.gradient(loss, [inputs, *(weight.value for weight in encoder.trainable_weights)])
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _widened(inputs, lengths, time):
    """The same rows with other and longer padding."""
    wide, _ = sequences(list(lengths), time=time, seed=77)
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
    np.testing.assert_allclose(crowd_outputs[:, :4], outputs, atol=1e-6)
    np.testing.assert_array_equal(crowd_outputs[:, 4:], 0)
    np.testing.assert_allclose(crowd_final, final, atol=1e-6)


def test_padding_never_changes_gradients(deep):
    _, gradients = deep
    inputs, lengths = sequences([4, 2, 0], time=4)
    near_inputs, *near = gradients(inputs, lengths)
    far_inputs, *far = gradients(_widened(inputs, lengths, 9), lengths)
    for one, other in zip(near, far, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(far_inputs[:, :4], near_inputs, atol=1e-5)
    real = np.arange(9) < lengths[:, None]
    np.testing.assert_array_equal(far_inputs.numpy()[~real], 0)
    assert np.abs(far_inputs.numpy()[real]).sum(axis=-1).all()


def test_a_batch_of_empty_rows_gives_zeros_and_finite_gradients(deep):
    run, gradients = deep
    rows = sequences([0, 0], time=3)
    outputs, final = run(*rows)
    assert not outputs.numpy().any()
    assert not final.numpy().any()
    to_inputs, *to_weights = gradients(*rows)
    assert not to_inputs.numpy().any()
    assert all(np.isfinite(gradient).all() for gradient in to_weights)


def _constant_states(dropout, variational):
    """Layer 1 gives tanh(1) at every step, layer 2 lets it through: what is seen is the dropout between them."""
    encoder = make_encoder(cell="rnn", units=8, layers=2, dropout=dropout, variational=variational)
    encoder.build((None, None, FEATURES))
    nothing, through = np.zeros((FEATURES, 8)), np.eye(8)
    encoder.set_weights([nothing, through * 0, np.ones(8), through, through * 0, np.zeros(8)])
    keras.utils.set_random_seed(1)
    inputs, lengths = sequences([6] * 20, time=6)
    return encoder, inputs, lengths


def test_variational_dropout_keeps_one_mask_for_all_steps_of_a_row():
    encoder, inputs, lengths = _constant_states(0.5, variational=True)
    dropped = _encode(encoder, inputs, lengths, training=True)[0] == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0.35 < dropped.mean() < 0.65
    assert len({row.tobytes() for row in dropped[:, 0]}) > 10


def test_plain_dropout_draws_a_mask_for_every_step():
    encoder, inputs, lengths = _constant_states(0.5, variational=False)
    dropped = _encode(encoder, inputs, lengths, training=True)[0] == 0
    assert 0.35 < dropped.mean() < 0.65
    assert (dropped != dropped[:, :1]).any(axis=(1, 2)).all()


def test_dropout_is_between_layers_only():
    encoder = make_encoder(dropout=0.9)
    inputs, lengths = sequences(LENGTHS, time=7)
    trained, predicted = (_encode(encoder, inputs, lengths, training=training)[0] for training in (True, False))
    np.testing.assert_array_equal(trained, predicted)


def test_dropout_is_off_in_prediction():
    encoder, inputs, lengths = _constant_states(0.5, variational=False)
    np.testing.assert_allclose(_encode(encoder, inputs, lengths)[0], np.tanh(np.tanh(1.0)), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True, "first"])
def test_promised_shapes_are_the_shapes_that_come(bidirectional):
    encoder = make_encoder(bidirectional=bidirectional, layers=2)
    inputs, lengths = sequences(LENGTHS, time=7)
    outputs, final = _encode(encoder, inputs, lengths)
    assert encoder.compute_output_shape(inputs.shape, lengths.shape) == (outputs.shape, final.shape)
    assert final.shape == (5, encoder.width)


@pytest.mark.parametrize(
    ("setting", "value"), [("cell", "lstn"), ("normalization", "batch"), ("bidirectional", "last")]
)
def test_an_unknown_setting_is_refused_with_the_choices(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is '{value}', expected .*(gru|layer|first)"):
        make_encoder(**{setting: value})
