"""Exponential smoothing follows its equations, and steps that are not known change nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from toolkit.layers import ExponentialSmoothing
from toolkit.layers.smoothing import FIRST_RATES

SEASONS, SERIES = (1, 3, 4), 3


def make_layer(season, *, seed=0):
    """A layer with rates that differ from series to series."""
    layer = ExponentialSmoothing(series=SERIES, season=season)
    layer.build((None, None))
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(0, 0.3, weight.shape) for weight in layer.get_weights()])
    return layer


def run(layer, values, known, series):
    """Shapes: values, known (batch, time); series (batch,) -> rest, level, seasons as arrays."""
    values, known = np.asarray(values, np.float32), np.asarray(known, np.float32)
    inputs = (ops.convert_to_tensor(each) for each in (values, known, np.asarray(series, np.int32)))
    return [ops.convert_to_numpy(output) for output in layer(*inputs)]


def start(z, known, m):
    """Level and season before the first step, value by value. Shapes: z, known (time,) -> a number; (m,)."""
    if not known.any():
        return 0.0, np.zeros(m)
    first = int(np.argmax(known))
    early = [t for t in range(first, min(first + 3 * m, len(z))) if known[t]]
    rises = [z[t + m] - z[t] for t in early if t + m in early]
    slope = np.mean(rises) / m if rises else 0.0
    places = {}
    for t in early:
        places.setdefault(t % m, []).append(z[t] - slope * (t - first))
    level = np.mean([np.mean(found) for found in places.values()])
    return level, np.array([np.mean(places[place]) - level if place in places else 0.0 for place in range(m)])


def smooth(z, known, m, a, g, h):
    """The recursion as it is written. Shapes: z, known (time,) -> rest (time,); a number; the coming season (m,)."""
    level, season = start(z, known, m)
    s = {t: h * season[t] for t in range(m)}
    for t in range(len(z)):
        if known[t]:
            level = a * (z[t] - s[t]) + (1 - a) * level
            s[t + m] = g * (z[t] - level) + (1 - g) * s[t]
        else:
            s[t + m] = s[t]
    rest = np.array([(z[t] - s[t] - level) * known[t] for t in range(len(z))])
    return rest, level, np.array([s[t] for t in range(len(z), len(z) + m)])


def logistic(x):
    return 1 / (1 + np.exp(-5 * x))


@pytest.fixture(scope="module")
def layers():
    return {season: make_layer(season) for season in SEASONS}


@pytest.mark.parametrize("season", SEASONS)
@given(time=st.integers(2, 17), share=st.sampled_from([0.3, 0.8, 1.0]), seed=st.integers(0, 1000))
def test_outputs_are_those_of_the_equations_also_where_steps_are_missing(layers, season, time, share, seed):
    random = np.random.default_rng(seed)
    known = random.random((4, time)) < share
    values = np.where(known, random.normal(size=(4, time)).cumsum(axis=1), 0).astype(np.float32)
    found = run(layers[season], values, known, range(4))
    shared, own = layers[season].get_weights()
    for k in range(4):
        rates = logistic(shared + own[k - 1] * (k > 0))
        rates = rates if season > 1 else (rates[0], 0.0, 0.0)
        rest, level, coming = smooth(values[k].astype(float), known[k], season, *rates)
        np.testing.assert_allclose(found[0][k], rest, atol=2e-5)
        np.testing.assert_allclose(found[1][k], [level], atol=2e-5)
        np.testing.assert_allclose(found[2][k], coming, atol=2e-5)


@pytest.mark.parametrize("season", SEASONS)
def test_what_stands_in_steps_that_are_not_known_changes_nothing(layers, season):
    random = np.random.default_rng(1)
    values, known = random.normal(size=(3, 12)), random.random((3, 12)) < 0.6
    others = np.where(known, values, 99.0)
    for one, other in zip(
        run(layers[season], values, known, [1, 2, 0]), run(layers[season], others, known, [1, 2, 0]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("padding", [1, 2, 3, 7])
def test_padding_on_the_left_changes_nothing(layers, season, padding):
    values = np.random.default_rng(2).normal(size=(2, 9))
    known = np.ones((2, 9))
    near = run(layers[season], values, known, [1, 2])
    wide = np.pad(values, ((0, 0), (padding, 0))), np.pad(known, ((0, 0), (padding, 0)))
    far = run(layers[season], *wide, [1, 2])
    assert not far[0][:, :padding].any()
    np.testing.assert_allclose(far[0][:, padding:], near[0], atol=1e-5)
    np.testing.assert_allclose(far[1], near[1], atol=1e-5)
    np.testing.assert_allclose(far[2], near[2], atol=1e-5)


def test_a_season_on_a_line_is_found_from_the_first_step_on():
    """What it starts from sees through the trend."""
    layer = ExponentialSmoothing(series=1, season=4)
    pattern = np.array([3.0, -1.0, -2.0, 0.0])
    values = np.tile(pattern, 6) + 0.5 * np.arange(24)
    _, seasons = layer._start(*(ops.convert_to_tensor(each, "float32") for each in (values[None], np.ones((1, 24)))))
    np.testing.assert_allclose(seasons[0], pattern, atol=1e-5)


@pytest.mark.parametrize("season", SEASONS)
def test_a_row_of_which_nothing_is_known_gives_zeros(layers, season):
    assert not any(output.any() for output in run(layers[season], np.zeros((1, 6)), np.zeros((1, 6)), [1]))


def test_a_season_longer_than_the_past_is_kept_where_it_was_seen():
    layer = make_layer(8)
    rest, _, seasons = run(layer, [[1.0, 2.0, 3.0]], [[1, 1, 1]], [0])
    assert np.isfinite(rest).all()
    assert not seasons[0, :5].any()  # the places 3 to 7 come next, and were never seen
    assert seasons[0, 5:].any()


def test_rates_start_at_given_ones_for_every_series():
    layer = ExponentialSmoothing(series=SERIES, season=4)
    layer.build((None, None))
    np.testing.assert_allclose(layer.rates(ops.arange(SERIES + 1)), [FIRST_RATES] * (SERIES + 1), rtol=1e-5)


def test_series_that_were_not_trained_on_follow_what_all_have_learned(layers):
    shared, own = layers[4].get_weights()
    rates = ops.convert_to_numpy(layers[4].rates(ops.arange(SERIES + 1)))
    np.testing.assert_allclose(rates[0], logistic(shared), rtol=1e-5)
    np.testing.assert_allclose(rates[1:], logistic(shared + own), rtol=1e-5)


@pytest.mark.parametrize("season", SEASONS)
def test_all_rates_learn_and_only_of_series_in_the_batch(season):
    layer = make_layer(season)
    values = np.random.default_rng(4).normal(size=(2, 12)).astype(np.float32)
    with tf.GradientTape() as tape:
        rest, level, seasons = layer(values, np.ones_like(values), np.array([0, 2], np.int32))
        loss = ops.sum(rest**2) + ops.sum(level**3) + ops.sum(seasons**3)
    shared, own = (tf.convert_to_tensor(each).numpy() for each in tape.gradient(loss, layer.trainable_weights))
    assert shared.all()
    assert own[1].all()
    assert not own[[0, 2]].any()


def test_config_makes_the_same_layer_again():
    layer = make_layer(4)
    copy = ExponentialSmoothing.from_config(layer.get_config())
    inputs = [[1.0, 5.0, 2.0, 7.0, 3.0]], np.ones((1, 5)), [1]
    run(copy, *inputs)
    copy.set_weights(layer.get_weights())
    for one, other in zip(run(layer, *inputs), run(copy, *inputs), strict=True):
        np.testing.assert_array_equal(one, other)
    assert copy.get_config() == layer.get_config()


def test_promised_shapes_are_the_shapes_that_come(layers):
    symbols = keras.KerasTensor((2, 9)), keras.KerasTensor((2, 9)), keras.KerasTensor((2,), "int32")
    promised = layers[3].compute_output_spec(*symbols)
    found = run(layers[3], np.zeros((2, 9)), np.ones((2, 9)), [0, 1])
    assert [tuple(spec.shape) for spec in promised] == [output.shape for output in found]
