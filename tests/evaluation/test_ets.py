"""Which model a row takes, and that its forecasts are as good as those of a search without limits."""

import numpy as np
import pytest

from toolkit.evaluation.ets import ets


def airline(time: int = 144) -> np.ndarray:
    """Like the famous one: growth, and a season that grows with it."""
    random = np.random.default_rng(4)
    season = 1 + 0.25 * np.sin(2 * np.pi * np.arange(time) / 12)
    return (100 + 3.0 * np.arange(time)) * season * np.exp(0.02 * random.normal(size=time))


def test_a_season_that_grows_with_the_level_is_taken_as_a_factor():
    values = airline(156)
    forecast, ahead = ets(values[None, :144], 12, 12)[0], values[144:]
    assert np.abs(forecast - ahead).mean() < 0.03 * ahead.mean()
    added = ets(values[None, :144] - values[:144].mean(), 12, 12)[0] + values[:144].mean()
    assert np.abs(forecast - ahead).mean() < 0.8 * np.abs(added - ahead).mean()


def test_forecasts_are_near_those_of_statsmodels():
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    random = np.random.default_rng(0)
    level = 50 + random.normal(size=160).cumsum()
    season = 6 * np.sin(2 * np.pi * np.arange(160) / 7)
    values = level + season + random.normal(size=160)
    fitted = ETSModel(values, error="add", seasonal="add", seasonal_periods=7).fit(disp=False)
    np.testing.assert_allclose(ets(values[None], 14, 7)[0], fitted.forecast(14), atol=0.5)


def test_white_noise_is_forecast_by_its_mean_and_a_random_walk_by_its_last_value():
    random = np.random.default_rng(0)
    noise = random.normal(size=(50, 150))
    walk = noise.cumsum(axis=1)
    assert np.abs(ets(noise, 5, 1) - noise.mean(axis=1, keepdims=True)).mean() < 0.2
    assert np.abs(ets(walk, 5, 1) - walk[:, -1:]).mean() < 0.5


def test_a_trend_goes_on_and_is_damped():
    forecast = ets(2.0 * np.arange(60)[None], 30, 1)[0]
    steps = np.diff(np.concatenate([[118.0], forecast]))
    assert steps[0] == pytest.approx(2, rel=0.1)
    assert (np.diff(steps) < 0).all() and (steps > 0).all()


def test_a_season_is_not_taken_where_there_is_none():
    noise = np.random.default_rng(2).normal(size=(30, 120))
    flat = np.ptp(ets(noise, 12, 12), axis=1) < 1e-9
    assert flat.mean() > 0.9


def test_a_very_long_season_counts_as_none():
    values = np.random.default_rng(3).normal(size=(1, 3000)).cumsum(axis=1)
    np.testing.assert_array_equal(ets(values, 5, 8760), ets(values, 5, 1))


def test_only_the_last_steps_are_used():
    random = np.random.default_rng(5)
    recent = 10 + random.normal(size=(1, 200))
    long = np.concatenate([-1e3 * np.ones((1, 300)), recent], axis=1)
    np.testing.assert_allclose(ets(long, 5, 4), ets(recent, 5, 4))


def test_a_row_of_less_than_five_values_keeps_its_last_one():
    np.testing.assert_array_equal(ets(np.array([[1.0, 2, 3, 7]]), 2, 2), [[7, 7]])
