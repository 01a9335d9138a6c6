"""Tests for unit roots and random walks: right about series whose nature is known, and silent about too short ones."""

import numpy as np
import pytest

from toolkit.evaluation.unit_roots import random_walk, stationarity


def autoregression(steps: int, weight: float, seed: int) -> np.ndarray:
    """y[t] = weight y[t - 1] + noise; a random walk for weight 1."""
    noise = np.random.default_rng(seed).standard_normal(steps + 200)
    values = np.zeros(steps + 200)
    for t in range(1, len(values)):
        values[t] = weight * values[t - 1] + noise[t]
    return values[200:]


def test_noise_is_stationary_and_a_walk_has_a_unit_root():
    assert stationarity(autoregression(500, 0.5, 0)).verdict == "stationary"
    assert stationarity(autoregression(500, 1.0, 1)).verdict == "unit root"
    shifted = autoregression(600, 0.0, 2) + np.repeat([0, 4], 300)
    assert stationarity(shifted).verdict in ("level shifts", "unit root")


def test_stationarity_looks_at_the_last_steps_only():
    values = np.concatenate([autoregression(500, 1.0, 0) * 100, autoregression(2000, 0.3, 1)])
    assert stationarity(values).kpss == pytest.approx(stationarity(values[500:]).kpss)
    assert stationarity(values).verdict == "stationary"


def test_variance_ratios_equal_those_of_a_loop():
    values = autoregression(300, 0.7, 3)
    d = np.diff(values) - np.diff(values).mean()
    found = random_walk(values)
    expected = []
    for q, ratio in zip((2, 4, 8, 16), found.ratios, strict=True):
        r = [sum(d[t] * d[t - j] for t in range(j, len(d))) / sum(d**2) for j in range(1, q)]
        delta = [sum(d[t] ** 2 * d[t - j] ** 2 for t in range(j, len(d))) / sum(d**2) ** 2 for j in range(1, q)]
        assert ratio == pytest.approx(1 + 2 * sum((1 - j / q) * r[j - 1] for j in range(1, q)))
        spread = sum((2 * (1 - j / q)) ** 2 * delta[j - 1] for j in range(1, q)) ** 0.5
        expected.append(abs(ratio - 1) / spread)
    assert found.largest == pytest.approx(max(expected))


@pytest.mark.parametrize("steps", [100, 1000])
def test_nineteen_of_twenty_random_walks_look_like_one(steps):
    share = np.mean([random_walk(autoregression(steps, 1.0, seed) + np.arange(steps)).alike for seed in range(200)])
    assert 0.9 <= share <= 0.995


def test_a_variance_that_changes_is_not_taken_for_a_pattern():
    random = np.random.default_rng(0)
    scale = np.exp(np.sin(np.arange(800) / 40) * 1.5)
    share = np.mean([random_walk(np.cumsum(random.standard_normal(800) * scale)).alike for _ in range(100)])
    assert share >= 0.88


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.8])
def test_series_that_come_back_do_not_look_like_a_random_walk(weight):
    assert not any(random_walk(autoregression(600, weight, seed)).alike for seed in range(20))


def test_missing_days_are_passed_over():
    values = autoregression(400, 1.0, 5)
    gaps = np.repeat(values, 2).astype(float)
    gaps[1::2] = np.nan
    assert random_walk(gaps) == random_walk(values)
    assert stationarity(gaps) == stationarity(values)


@pytest.mark.parametrize(
    "values", [[], [1.0] * 500, [np.nan] * 500, list(range(20)), list(np.arange(500.0)), [1e308, -1e308, 0.0]]
)
@pytest.mark.filterwarnings("error")
def test_too_little_gives_no_verdict(values):
    series = np.array(values, dtype=float)
    assert random_walk(series) is None
    found = stationarity(series)
    assert found is None or found.verdict != "stationary"
