"""The recurrent decoder equals the papers' equations, all at once and step by step, whatever stands in the padding."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import reference
from examples import make_decoder, randomize, sequences
from toolkit.cells import CELLS
from toolkit.layers import RecurrentDecoder

FEATURES, WIDTH, UNITS = 4, 3, 3
ATTENTIONS = ("none", "bahdanau", "dot", "general")
LENGTHS = [5, 1, 0, 3]
TARGET, SOURCE = 6, 5
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)
every_feeding = pytest.mark.parametrize("feeding", [True, False], ids=["fed", "parallel"])


def _built(**changes):
    decoder = make_decoder(**changes)
    decoder.build((None, None, FEATURES), (None, WIDTH), (None, None, WIDTH), (None,))
    randomize(decoder)
    return decoder


def _inputs(lengths=LENGTHS, *, target=TARGET, source=SOURCE, seed=0):
    """Words, final state, memory with large numbers where padding is, and lengths."""
    random = np.random.default_rng(seed + 30)
    words = random.normal(size=(len(lengths), target, FEATURES)).astype(np.float32)
    final = random.normal(size=(len(lengths), WIDTH)).astype(np.float32)
    return [words, final, *sequences(lengths, time=source, features=WIDTH, seed=seed)]


def _decode(decoder, inputs, **kwargs):
    return decoder(*map(ops.convert_to_tensor, inputs), **kwargs)


def _assert_equals_reference(decoder):
    settings, inputs = decoder.get_config(), _inputs()
    shape = {name: settings[name] for name in ("cell", "input_feeding", "residual")}
    bottom = settings["attend_from"] == "bottom"
    expected = reference.decode(reference.decoder_of(decoder), inputs, **shape, bottom=bottom)
    outputs, weights = _decode(decoder, inputs)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    if settings["attention"] == "none":
        assert weights is None
    else:
        np.testing.assert_allclose(weights, expected[1], atol=1e-5)


# Equations


@every_feeding
@every_attention
@pytest.mark.parametrize("cell", CELLS)
def test_one_layer_equals_the_papers_equations(cell, attention, feeding):
    _assert_equals_reference(_built(cell=cell, attention=attention, input_feeding=feeding))


@every_feeding
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize(
    ("cell", "attend_from", "normalization"),
    [("lstm", "bottom", "none"), ("lstm", "top", "layer"), ("gru", "bottom", "layer"), ("rnn", "top", "none")],
)
def test_stacked_layers_equal_the_papers_equations(cell, attend_from, normalization, layers, feeding):
    shape = dict(cell=cell, layers=layers, attend_from=attend_from, normalization=normalization)
    _assert_equals_reference(_built(**shape, residual=True, attention="bahdanau", input_feeding=feeding))


@every_feeding
def test_stacked_layers_without_attention_or_residual_equal_the_papers_equations(feeding):
    _assert_equals_reference(_built(layers=3, attention="none", input_feeding=feeding))


@every_feeding
def test_residual_begins_at_the_third_layer(feeding):
    def outputs(layers, residual):
        decoder = _built(layers=layers, residual=residual, attention="none", input_feeding=feeding)
        return ops.convert_to_numpy(_decode(decoder, _inputs())[0])

    np.testing.assert_array_equal(outputs(2, True), outputs(2, False))
    assert np.abs(outputs(3, True) - outputs(3, False)).max() > 0.01


# Steps


@pytest.mark.parametrize(("attend_from", "attention"), [("top", "general"), ("bottom", "bahdanau"), ("top", "none")])
@every_feeding
@pytest.mark.parametrize("cell", CELLS)
def test_step_after_step_equals_whole_sequences(cell, feeding, attend_from, attention):
    decoder = _built(
        cell=cell, layers=3, residual=True, normalization="layer", attend_from=attend_from, attention=attention,
        input_feeding=feeding,
    )  # fmt: skip
    words, final, memory, lengths = map(ops.convert_to_tensor, _inputs())
    outputs, weights = decoder(words, final, memory, lengths)
    states, ones = decoder.initial_states(final), [ops.ones((len(LENGTHS), UNITS))] * 3
    assert len(states) == 3 * CELLS[cell].states + feeding
    keys = decoder.attention.keys(memory) if attention != "none" else None

    def attend(queries):
        return decoder.attention.attend(queries, keys, memory, lengths)

    for t in range(TARGET):
        step_outputs, step_weights, states = decoder.step(words[:, t], states, attend, ones)
        np.testing.assert_allclose(step_outputs, outputs[:, t], atol=1e-5)
        if attention != "none":
            np.testing.assert_allclose(step_weights, weights[:, t], atol=1e-5)


@every_feeding
def test_an_answer_changes_the_next_question_only_where_it_is_fed_back(feeding):
    decoder, inputs = _built(input_feeding=feeding), _inputs([5, 4])
    before = ops.convert_to_numpy(_decode(decoder, inputs)[1])
    decoder.combine.kernel.assign(decoder.combine.kernel + 1.0)  # which nothing but the answer depends on
    after = ops.convert_to_numpy(_decode(decoder, inputs)[1])
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert (np.abs(before[:, 1:] - after[:, 1:]).max() > 1e-4) == feeding


# Padding


@pytest.fixture(scope="module", params=list(itertools.product((True, False), ("general", "bahdanau", "none"))))
def deep(request):
    """A deep decoder, traced once for all shapes."""
    feeding, attention = request.param
    changes = dict(
        layers=3, residual=True, normalization="layer", attend_from="bottom" if attention != "none" else "top"
    )
    decoder = _built(cell="gru", attention=attention, input_feeding=feeding, **changes)
    shapes = [(None, None, FEATURES), (None, WIDTH), (None, None, WIDTH)]
    specs = [*map(tf.TensorSpec, shapes), tf.TensorSpec((None,), tf.int32)]
    return tf.function(lambda *inputs: decoder(*inputs), specs)


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    neighbour=st.integers(0, 5),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 100),
)
def test_padding_of_both_sides_and_neighbours_never_change_a_row(deep, lengths, neighbour, padding, seed):
    words, final, memory, sizes = _inputs(lengths, target=3, source=4, seed=seed)
    wide = _inputs([neighbour, *lengths], target=3 + padding[0], source=5 + padding[1], seed=seed + 1)
    real = np.arange(4)[:, None] < sizes[:, None, None]
    wide[0][1:, :3], wide[1][1:] = words, final
    wide[2][1:, :4] = np.where(real, memory, wide[2][1:, :4])
    outputs, weights = deep(words, final, memory, sizes)
    wide_outputs, wide_weights = deep(*wide)
    np.testing.assert_allclose(wide_outputs[1:, :3], outputs, atol=1e-5)
    if weights is not None:
        np.testing.assert_allclose(wide_weights[1:, :3, :4], weights, atol=1e-5)
        np.testing.assert_array_equal(wide_weights[1:, :, 4:], 0)


def test_a_word_never_changes_the_steps_before_it(deep):
    words, *others = _inputs([5, 4])
    changed = words.copy()
    changed[:, 3:] += 1
    outputs, other = deep(words, *others)[0].numpy(), deep(changed, *others)[0].numpy()
    np.testing.assert_array_equal(outputs[:, :3], other[:, :3])
    assert np.abs(outputs[:, 3:] - other[:, 3:]).max(axis=(0, 2)).all()


@every_feeding
@every_attention
def test_empty_rows_have_finite_gradients(attention, feeding):
    decoder = _built(attention=attention, input_feeding=feeding, layers=2)
    inputs = [tf.constant(array) for array in _inputs([0, 0, 2])]
    with tf.GradientTape() as tape:
        tape.watch(inputs[:3])
        outputs, weights = decoder(*inputs)
        loss = ops.sum(outputs * outputs + outputs)
    variables = [weight.value for weight in decoder.trainable_weights]
    gradients = tape.gradient(loss, [*inputs[:3], *variables], unconnected_gradients="zero")
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)
    assert np.abs(gradients[0]).sum(axis=-1).all()  # of the words
    if attention != "none":
        assert not weights[:2].numpy().any()
        assert not gradients[2][:2].numpy().any()  # of the memory of empty rows
        assert gradients[2][2, :2].numpy().any()


@pytest.mark.parametrize("attention", ["bahdanau", "general"])
def test_gradients_of_source_padding_are_zero_with_what_is_fed_back(attention):
    decoder = _built(attention=attention)
    words, final, memory, lengths = map(tf.constant, _inputs([3, 5]))
    with tf.GradientTape() as tape:
        tape.watch(memory)
        loss = ops.sum(decoder(words, final, memory, lengths)[0])
    gradient = tape.gradient(loss, memory).numpy()
    assert not gradient[0, 3:].any()
    assert gradient[0, :3].any() and gradient[1].any()


# Dropout


@every_feeding
def test_dropout_is_of_training_alone(feeding):
    decoder, inputs = _built(layers=2, dropout=0.5, input_feeding=feeding), _inputs()
    keras.utils.set_random_seed(1)
    plain, again = (ops.convert_to_numpy(_decode(decoder, inputs)[0]) for _ in range(2))
    trained, other = (ops.convert_to_numpy(_decode(decoder, inputs, training=True)[0]) for _ in range(2))
    np.testing.assert_array_equal(plain, again)
    assert np.abs(trained - plain).max() > 0.01
    assert np.abs(trained - other).max() > 0.01


def test_a_single_parallel_layer_has_nothing_to_drop():
    decoder, inputs = _built(dropout=0.9, input_feeding=False), _inputs()
    np.testing.assert_array_equal(*(_decode(decoder, inputs, training=training)[0] for training in (True, False)))


@every_feeding
def test_dropout_has_one_mask_for_all_steps_of_a_row(feeding):
    """The first layer gives the same at every step, the second lets it through: what is seen is the dropout between."""
    units = 8
    settings = make_decoder(cell="rnn", layers=2, attention="none", dropout=0.5, input_feeding=feeding).get_config()
    decoder = RecurrentDecoder(**{**settings, "units": units})
    decoder.build((None, None, FEATURES), (None, WIDTH), (None, None, WIDTH), (None,))
    width = FEATURES + units * feeding
    through, nothing = np.eye(units), np.zeros((units, units))
    first, second = [np.zeros((width, units)), nothing, np.ones(units)], [through, nothing, np.zeros(units)]
    decoder.set_weights([*first, *second, np.zeros((WIDTH, 2 * units)), np.zeros(2 * units)])
    keras.utils.set_random_seed(1)
    outputs, _ = _decode(decoder, _inputs([3] * 20), training=True)
    dropped = ops.convert_to_numpy(outputs) == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0.35 < dropped.mean() < 0.65
    assert len({row.tobytes() for row in dropped[:, 0]}) > 10


# Settings


@pytest.mark.parametrize(
    ("setting", "value", "choices"),
    [
        ("cell", "lstn", "rnn, lstm, gru"),
        ("attention", "concat", "none, bahdanau, dot, general"),
        ("attend_from", "middle", "top, bottom"),
        ("normalization", "batch", "none, layer"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_choices(setting, value, choices):
    with pytest.raises(ValueError, match=f"{setting} is '{value}', expected one of {choices}"):
        make_decoder(**{setting: value})


def test_dot_attention_to_a_memory_of_another_width_says_what_takes_it():
    with pytest.raises(ValueError, match="Use general"):
        make_decoder(attention="dot").build((None, None, FEATURES), (None, 5), (None, None, 5), (None,))


@every_attention
def test_config_makes_the_same_decoder_again(attention):
    decoder, inputs = _built(attention=attention, layers=2, normalization="layer", dropout=0.1), _inputs()
    copy = RecurrentDecoder.from_config(decoder.get_config())
    assert copy.get_config() == decoder.get_config()
    _decode(copy, inputs)  # builds it
    copy.set_weights(decoder.get_weights())
    np.testing.assert_array_equal(_decode(copy, inputs)[0], _decode(decoder, inputs)[0])


@every_attention
def test_promised_shapes_are_the_shapes_that_come(attention):
    decoder, inputs = _built(attention=attention), _inputs()
    outputs, weights = _decode(decoder, inputs)
    promised = decoder.compute_output_shape(*(array.shape for array in inputs))
    assert promised == (tuple(outputs.shape), None if weights is None else tuple(weights.shape))
