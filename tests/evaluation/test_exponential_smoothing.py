"""Smoothing against loops over one row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.exponential_smoothing import begin, smooth

SEEDS = st.integers(0, 10_000)


def smooth_one(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Squared errors and last level, with the first level that fits best."""
    errors, weights, level, weight = [], [], 0.0, 1.0
    for value in values:
        errors.append(value - level)
        weights.append(weight)
        level += alpha * (value - level)
        weight *= 1 - alpha
    first = np.dot(errors, weights) / np.dot(weights, weights)
    return float(np.sum((np.array(errors) - first * np.array(weights)) ** 2)), level + weight * first


@given(SEEDS)
def test_simple_smoothing_finds_the_level_of_the_best_alpha(seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=40).cumsum() * random.choice([0.0, 0.3, 1]) + random.normal(size=40)
    alphas = 1 / (1 + np.exp(-np.linspace(-7, 7, 700)))
    expected = min(smooth_one(values, alpha) for alpha in alphas)[1]
    padded = np.concatenate([[np.nan] * (seed % 4), values])[None]
    assert smooth(padded)[0] == pytest.approx(expected, abs=0.03 * values.std())


def test_a_constant_and_a_single_value_are_their_own_level():
    values = np.array([[5.0, 5, 5, 5], [np.nan, np.nan, np.nan, -2e9]])
    np.testing.assert_allclose(smooth(values), [5, -2e9])


def test_only_the_last_steps_are_smoothed():
    random = np.random.default_rng(0)
    recent = random.normal(size=4096)
    long = np.concatenate([1e6 + random.normal(size=500), recent])
    np.testing.assert_allclose(smooth(long[None]), smooth(recent[None]))


def run_one(kind: str, values: np.ndarray, states: tuple, parameters: np.ndarray, horizon: int) -> tuple:
    """The recurrence of Hyndman et al. for one row, as it is written in books: squared errors and forecasts."""
    level, trend, seasons = states
    alpha, beta, gamma, phi = parameters
    beta, gamma = alpha * beta, (1 - alpha) * gamma
    seasons, m, squares = list(seasons), len(seasons), 0.0
    for value in values:
        old, base = seasons[-m], level + phi * trend
        if kind == "multiplicative":
            error = value - base * old
            level, trend = base + alpha * error / old, phi * trend + beta * error / old
            seasons.append(old + gamma * error / base)
        else:
            error = value - base - old
            level, trend = base + alpha * error, phi * trend + beta * error
            seasons.append(old + (gamma * error if kind == "additive" else 0))
        squares += error**2
    forecasts = []
    for _ in range(horizon):
        trend *= phi
        level += trend
        seasons.append(seasons[-m])
        forecasts.append(level * seasons[-1] if kind == "multiplicative" else level + seasons[-1])
    return squares, forecasts


@given(SEEDS, st.sampled_from(["none", "additive", "multiplicative"]), st.booleans())
def test_every_kind_runs_as_its_recurrence_is_written(seed, kind, trend):
    random = np.random.default_rng(seed)
    rows, time, season, horizon = 3, 25, 4, 9
    values = 1 + 0.3 * np.resize(random.normal(size=season), time) * 0.5 + 0.05 * random.normal(size=(rows, time))
    padding = [0, 2, 7]
    for row, missing in enumerate(padding):
        values[row, :missing] = np.nan
    smoother = begin(kind, values, season)
    parameters = random.uniform([0.05, 0.05, 0.05, 0.8], [0.6, 0.5, 0.5, 0.98], (rows, 2, 4))
    squares, *states = smoother.run(parameters, np.full((rows, 2), trend))
    forecasts = smoother.forecast(parameters[:, 1], tuple(state[..., 1] for state in states), horizon)
    for row, missing in enumerate(padding):
        seasons = np.roll(smoother.seasons[:, row], -missing)
        first = (smoother.level[row, int(trend)], smoother.slope[row] if trend else 0.0, seasons)
        one = parameters[row, 1] * [1, trend, 1, 1]
        expected = run_one(kind, values[row, missing:], first, one, horizon)
        assert squares[row, 1] == pytest.approx(expected[0])
        np.testing.assert_allclose(forecasts[row], expected[1])


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_rows_begin_on_their_line_and_in_their_season(kind):
    time = np.arange(26)
    line, shape = 1 + 0.01 * time, np.array([0.2, -0.1, -0.1, 0.0])
    values = line * (1 + shape[time % 4]) if kind == "multiplicative" else line + shape[time % 4]
    smoother = begin(kind, values[None], 4)
    expected = shape + 1 if kind == "multiplicative" else shape
    np.testing.assert_allclose(smoother.seasons[:, 0], expected, atol=5e-3)
    assert smoother.slope[0] == pytest.approx(0.01, abs=1e-3)
    assert smoother.level[0, 1] == pytest.approx(0.99, abs=5e-3)  # one step before the first value
