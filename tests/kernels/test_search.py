"""The kernel of the search finds what a product, a softmax and a sort find, and takes the step of a decoder that its
layer takes, in each instruction set."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from examples import make_decoder, randomize, sequences
from toolkit.export import kernel_weights
from toolkit.kernels import prediction, search
from toolkit.kernels.search import MOST, DecoderStep, OutputLayer

library, used = prediction.load()
pytestmark = pytest.mark.skipif(library is None, reason=f"there is no kernel: {used}")

CLOSE = 3e-5 if used == "amx" else 1e-5  # where numbers are the sums of two of bfloat16
CLOSE_LATER = 3e-4 if used == "amx" else 1e-5  # after steps that magnify what was rounded

SHAPES = [  # rows, features, vocab, k: odd ones, whole panels and tiles, one of each, more rows than go together
    (1, 1, 1, 1),
    (5, 3, 7, 7),
    (14, 16, 32, 5),
    (13, 17, 33, 33),
    (15, 8, 100, 16),
    (29, 5, 65, 17),
    (3, 40, 1003, 300),
    (1600, 9, 50, 4),
    (40, 70_000, 3, 2),
]


def _case(rows, features, vocab, scale=0.5, seed=0):
    random = np.random.default_rng(seed)
    kernel, bias = random.normal(0, scale / features**0.5, (features, vocab)), random.normal(0, scale, vocab)
    return [each.astype(np.float32) for each in (kernel, bias, random.normal(size=(rows, features)))]


def _expected(kernel, bias, states, k):
    """In double precision."""
    logits = states.astype(np.float64) @ kernel + bias
    with np.errstate(divide="ignore"):
        logs = logits - logits.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    tokens = np.argsort(-logs, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(logs, tokens, axis=1), tokens


def _check(kernel, bias, states, k):
    scores, tokens = OutputLayer(kernel, bias).best(states, k)
    logs, best = _expected(kernel, bias, states, k)
    assert (scores.dtype, tokens.dtype, scores.shape) == (np.float32, np.int64, (len(states), k))
    np.testing.assert_allclose(scores, logs, atol=CLOSE)
    assert all(len(set(row)) == k for row in tokens.tolist())
    np.testing.assert_allclose(_expected(kernel, bias, states, kernel.shape[1])[0][:, :k], scores, atol=CLOSE)
    assert (tokens == best).mean() > 0.99  # rounding may exchange neighbours


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_best_are_those_of_the_softmax(shape):
    *sizes, k = shape
    _check(*_case(*sizes), k)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 30.0, 300.0])
def test_logits_of_any_size_have_probabilities(scale):
    kernel, bias, states = _case(20, 24, 90, scale)
    scores, _ = OutputLayer(kernel, bias).best(states, 90)
    logs, _ = _expected(kernel, bias, states, 90)
    np.testing.assert_allclose(scores, logs, atol=CLOSE * max(1, scale))


@pytest.mark.parametrize("order", [1, -1], ids=["rising", "falling"])
def test_logits_that_rise_or_fall_along_the_tokens_are_in_order(order):
    bias = np.arange(500, dtype=np.float32)[::order].copy()
    kernel, states = np.zeros((4, 500), np.float32), np.ones((3, 4), np.float32)
    scores, tokens = OutputLayer(kernel, bias).best(states, 20)
    assert tokens.tolist() == [np.argsort(-bias)[:20].tolist()] * 3
    np.testing.assert_allclose(scores, _expected(kernel, bias, states, 20)[0], atol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 16, 17, 70])
def test_of_equal_ones_the_lower_token_comes_first(k):
    bias = np.tile(np.array([0, 2, 1, 2, 0], np.float32), 14)
    scores, tokens = OutputLayer(np.zeros((2, 70), np.float32), bias).best(np.ones((2, 2), np.float32), k)
    assert tokens.tolist() == [np.argsort(-bias, kind="stable")[:k].tolist()] * 2
    assert (np.diff(scores, axis=1) <= 0).all()


def test_impossible_tokens_come_last_and_take_no_probability():
    kernel, bias, states = _case(6, 5, 40)
    bias[:30], bias[35] = -np.inf, -1e9
    scores, tokens = OutputLayer(kernel, bias).best(states, 40)
    assert (tokens[:, 10:] == np.arange(30)).all() and (tokens[:, 9] == 35).all()
    assert (scores[:, 10:] == -np.inf).all()
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_a_number_spoils_no_other_row(value):
    kernel, bias, states = _case(30, 7, 45)
    layer = OutputLayer(kernel, bias)
    scores, tokens = layer.best(states, 4)
    states[11, 3] = value
    found, places = layer.best(states, 4)
    others = np.arange(30) != 11
    np.testing.assert_array_equal(found[others], scores[others])
    np.testing.assert_array_equal(places[others], tokens[others])
    assert np.isnan(found[11]).all() and places.min() >= 0 and places.max() < 45


def test_no_rows_give_no_rows():
    kernel, bias, states = _case(0, 7, 45)
    assert [each.shape for each in OutputLayer(kernel, bias).best(states, 4)] == [(0, 4), (0, 4)]


def test_a_row_is_the_same_bits_in_any_company_and_layout():
    kernel, bias, states = _case(1000, 33, 77)
    layer = OutputLayer(np.asfortranarray(kernel), bias)
    scores, tokens = layer.best(states, 9)
    for rows in (slice(0, 1), slice(3, 17), slice(500, 999)):
        found = layer.best(np.asfortranarray(states[rows]), 9)
        np.testing.assert_array_equal(found[0], scores[rows])
        np.testing.assert_array_equal(found[1], tokens[rows])


def test_threads_side_by_side_give_the_same_bits():
    kernel, bias, states = _case(200, 64, 900)
    layer = OutputLayer(kernel, bias)
    scores, tokens = layer.best(states, 10)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: layer.best(states, 10), range(40)):
            np.testing.assert_array_equal(found[0], scores)
            np.testing.assert_array_equal(found[1], tokens)


def test_shapes_that_do_not_fit_are_refused():
    kernel, bias, states = _case(4, 5, 600)
    for one, other in ((kernel, bias[:-1]), (kernel[0], bias), (kernel[:0], bias), (kernel[:, :0], bias[:0])):
        with pytest.raises(ValueError, match="expected"):
            OutputLayer(one, other)
    layer = OutputLayer(kernel, bias)
    for rows, k in ((states, 0), (states, MOST + 1), (states[:, 1:], 1), (states[0], 1)):
        with pytest.raises(ValueError, match="expected"):
            layer.best(rows, k)
    with pytest.raises(ValueError, match="expected 1 to 2"):
        OutputLayer(kernel[:, :2], bias[:2]).best(states, 3)


STEPS = [  # units, beams, lengths of the sources: odd ones, whole vectors, more rows than go together
    (1, 1, [4]),
    (5, 3, [3, 0, 6, 1]),
    (32, 1, [6, 5]),
    (37, 4, [3, 0, 6, 1, 5] * 8),
]


def _decoder_case(cell, attention, units, lengths):
    """A decoder with its step, the words that it reads, and what it computes in Keras."""
    from keras import ops

    width, target, vocab = units if attention == "dot" else units + 2, 4, 11
    decoder = make_decoder(cell=cell, units=units, attention=attention)
    decoder.build((None, None, 3), (None, width), (None, None, width), (None,))
    randomize(decoder, scale=units**-0.5)
    random = np.random.default_rng(4)
    words = random.normal(size=(vocab, 3)).astype(np.float32)
    tokens, final = random.integers(vocab, size=(len(lengths), target)), random.normal(size=(len(lengths), width))
    memory, lengths = sequences(lengths, time=max(lengths), features=width)
    expected = decoder(*map(ops.convert_to_tensor, (words[tokens], final.astype(np.float32), memory, lengths)))
    step = DecoderStep(cell, words, *kernel_weights(decoder).values())
    state = np.concatenate([np.asarray(each) for each in decoder.initial_states(final.astype(np.float32))], axis=1)
    looked = memory, np.asarray(decoder.attention.keys(memory)), lengths
    return step, tokens, state, looked, [np.asarray(each) for each in expected]


@pytest.mark.parametrize("shape", STEPS, ids=lambda shape: f"{shape[0]}x{shape[1]}x{len(shape[2])}")
@pytest.mark.parametrize("attention", ["bahdanau", "dot", "general"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_steps_of_a_decoder_equal_its_layer_for_all_beams_of_a_sentence(cell, attention, shape):
    units, beams, lengths = shape
    step, tokens, state, looked, (outputs, weights) = _decoder_case(cell, attention, units, lengths)
    state = np.repeat(state, beams, axis=0)
    for t in range(tokens.shape[1]):
        state, seen = step.step(np.repeat(tokens[:, t], beams), state, *looked)
        np.testing.assert_allclose(state[:, -units:], np.repeat(outputs[:, t], beams, axis=0), atol=CLOSE_LATER)
        np.testing.assert_allclose(seen, np.repeat(weights[:, t], beams, axis=0), atol=CLOSE_LATER)


def test_a_step_refuses_what_does_not_fit():
    step, tokens, state, (memory, keys, lengths), _ = _decoder_case("lstm", "bahdanau", 4, [2, 3])
    for wrong in ([tokens[:, 0], state[:, 1:], memory, keys, lengths], [tokens[:1, 0], state, memory, keys, lengths]):
        with pytest.raises(ValueError, match="expected"):
            step.step(*wrong)
    for wrong in ([tokens[:, 0] + 99, state, memory, keys, lengths], [tokens[:, 0], state, memory, keys, lengths + 9]):
        with pytest.raises(ValueError, match="go from"):
            step.step(*wrong)


def _weights(vocab):
    """Of an LSTM of 4 units that reads 3 numbers a word and looks at rows of 6, with Bahdanau's attention."""
    random = np.random.default_rng(0)
    shapes = [(vocab, 3), (3 + 2 * 4, 16), (16,), (4 + 6, 4), (4,), (4, 4), (4,), (4,)]
    return [random.normal(size=shape) for shape in shapes]


def test_a_token_gives_the_same_bits_whenever_it_first_occurs():
    random, vocab = np.random.default_rng(1), 250  # more than go together
    tokens, state = random.permutation(vocab), random.normal(size=(vocab, 12))
    looked = [random.normal(size=(vocab, 5, size)) for size in (6, 4)] + [random.integers(6, size=vocab)]

    def check(step, rows):
        found = step.step(tokens[rows], state[rows], *(each[rows] for each in looked))
        for array, whole in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, whole[rows])

    expected = DecoderStep("lstm", *_weights(vocab)).step(tokens, state, *looked)
    one_by_one, side_by_side = (DecoderStep("lstm", *_weights(vocab)) for _ in range(2))
    for row in range(vocab):
        check(one_by_one, slice(row, row + 1))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, [side_by_side] * 40, [slice(None), slice(0, 9)] * 20))


def test_beams_that_follow_one_hypothesis_have_the_bits_of_each_alone():
    random, sentences, beams = np.random.default_rng(2), 40, 5  # more rows than go together, which cut a sentence
    parents = random.integers(1, 6, size=(sentences, 1)) * random.integers(9, size=(sentences, beams)) % 5
    state = random.normal(size=(sentences, beams, 12))[np.arange(sentences)[:, None], parents].reshape(-1, 12)
    tokens = random.integers(11, size=sentences * beams)
    looked = [random.normal(size=(sentences, 5, size)) for size in (6, 4)] + [random.integers(6, size=sentences)]
    step = DecoderStep("lstm", *_weights(11))
    together = step.step(tokens, state, *looked)
    alone = step.step(tokens, state, *(np.repeat(each, beams, axis=0) for each in looked))
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_weights_of_a_step_that_do_not_fit_are_refused():
    weights = _weights(11)
    DecoderStep("lstm", *weights)
    for i, array in enumerate(weights):
        with pytest.raises(ValueError, match="expected"):
            DecoderStep("lstm", *weights[:i], array[..., :-1], *weights[i + 1 :])
    with pytest.raises(ValueError, match="too large"):
        DecoderStep("lstm", np.broadcast_to(np.float32(0), (1 << 28, 3)), *weights[1:])


def test_words_of_no_numbers_give_the_gates_their_bias_alone(monkeypatch):
    words, gates, *others = _weights(11)
    given = np.zeros(2, int), np.ones((2, 12)), *(np.ones((2, 5, size)) for size in (6, 4)), np.array([5, 2])
    expected = DecoderStep("lstm", words * 0, gates, *others).step(*given)
    monkeypatch.setattr(search, "aligned", lambda size: np.full_like(prediction.aligned(size), np.nan))
    for found, right in zip(DecoderStep("lstm", words[:, :0], gates[3:], *others).step(*given), expected, strict=True):
        np.testing.assert_array_equal(found, right)


DECODERS = (("gru", "bahdanau"), ("lstm", "dot"))


def many_rows():
    """What is found in each shape."""
    for *sizes, k in SHAPES:
        kernel, bias, states = _case(*sizes)
        yield from OutputLayer(kernel, bias).best(states, k)
    for kind in DECODERS:
        step, tokens, state, looked, _ = _decoder_case(*kind, 37, [3, 0, 6])
        for t in range(tokens.shape[1]):
            state, weights = step.step(tokens[:, t], state, *looked)
            yield from (state[:, -37:], weights)


def _right():
    """What is to be found."""
    for *sizes, k in SHAPES:
        yield from _expected(*_case(*sizes), k)
    for kind in DECODERS:
        *_, (outputs, weights) = _decoder_case(*kind, 37, [3, 0, 6])
        for t in range(outputs.shape[1]):
            yield from (outputs[:, t], weights[:, t])


def check_many_rows(arrays):
    for found, right in zip(arrays, _right(), strict=True):
        if found.dtype == np.int64:
            assert (found == right).mean() > 0.99
        else:
            np.testing.assert_allclose(found, right, atol=1e-5)
