"""The ridge against least squares on windows that are cut one by one, and what it does with short and missing rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.histories import fill_gaps
from toolkit.evaluation.ridge import Ridge, fit_ridge

SEEDS = st.integers(0, 10_000)


def waves(seed: int, rows: int = 6, time: int = 120) -> np.ndarray:
    """Two periods each: a linear map of the past forecasts them without error."""
    random = np.random.default_rng(seed)
    phase, size = random.uniform(0, 6, (2, rows, 1)), random.uniform(1, 3, (2, rows, 1))
    steps = np.arange(time)
    return size[0] * np.sin(steps / 3 + phase[0]) + size[1] * np.sin(steps / 7 + phase[1]) + 20


@given(SEEDS)
def test_what_a_linear_map_can_know_is_forecast(seed):
    values = waves(seed)
    ridge = fit_ridge(values[:, :100], 10, 1)
    naive_error = np.abs(values[:, 100:110] - values[:, 99:100]).mean()
    assert np.abs(ridge.forecast(values[:, :100]) - values[:, 100:110]).mean() < 0.05 * naive_error


@given(SEEDS, st.sampled_from([1, 3]))
def test_weights_are_those_of_windows_cut_one_by_one(seed, season):
    series = [each[: 30 + 9 * row] + row for row, each in enumerate(waves(seed, 4, 70))]
    series[1][[9, 20, 21, 22]] = np.nan
    lags, horizon, x, y = 5, 4, [], []
    for each in series:
        known, filled = np.isfinite(each), fill_gaps(each[None], season)[0]
        change = np.mean(np.abs(filled[season:] - filled[:-season]))
        for origin in range(lags, len(each) - horizon + 1):
            if not known[origin - 1] or known[origin : origin + horizon].sum() < 2:
                continue
            window, ahead = filled[origin - lags : origin], filled[origin : origin + horizon]
            spread = np.mean(np.abs(window - window.mean())) + change
            x.append((window - window[-1]) / spread)
            y.append((ahead - window[-1]) / spread)
    gram, product = np.transpose(x) @ x, np.transpose(x) @ y
    ridge = fit_ridge(series, horizon, season, lags=(lags,))
    possible = [
        np.linalg.solve(gram + penalty * np.trace(gram) / lags * np.eye(lags), product)
        for penalty in 10.0 ** np.arange(-5, 1)
    ]
    assert any(np.allclose(ridge.weights, weights, rtol=1e-6, atol=1e-9) for weights in possible)


@given(SEEDS)
def test_adding_and_scaling_go_through_padding_and_neighbours_do_not_matter(seed):
    values = waves(seed)
    ridge = fit_ridge(values, 8, 3)
    forecasts = ridge.forecast(values)
    np.testing.assert_allclose(ridge.forecast(5 * values - 70), 5 * forecasts - 70)
    history = np.pad(values, ((0, 1), (9, 0)), constant_values=np.nan)
    np.testing.assert_allclose(ridge.forecast(history)[:-1], forecasts)
    assert np.isnan(ridge.forecast(history)[-1]).all()
    np.testing.assert_allclose(fit_ridge(history, 8, 3).weights, ridge.weights, atol=1e-9)
    np.testing.assert_allclose(fit_ridge(list(values), 8, 3).weights, ridge.weights)


def test_weights_survive_being_stored():
    ridge = fit_ridge(waves(0), 8, 3)
    arrays = ridge.to_arrays()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    stored = Ridge.from_arrays(arrays)
    assert stored.season == 3
    np.testing.assert_array_equal(stored.forecast(waves(1)), ridge.forecast(waves(1)))


def test_a_short_row_goes_on_to_the_left_with_its_earliest_season_or_its_first_value():
    ridge = fit_ridge(waves(0), 4, 3, lags=(9,))
    row = np.array([4.0, 1, 2, 5, 1, 3])
    seasons = np.array([4.0, 1, 2, 4, 1, 2, 5, 1, 3])
    np.testing.assert_allclose(ridge.forecast(row[None]), ridge.forecast(seasons[None]))
    np.testing.assert_allclose(ridge.forecast(row[None, :2]), ridge.forecast(np.array([[4.0] * 8 + [1]])))


def test_windows_that_are_held_out_choose_how_far_back_to_look():
    random = np.random.default_rng(0)
    waves = np.tile(random.normal(size=(1, 12)), 15) + 0.01 * random.normal(size=(8, 180))
    assert len(fit_ridge(waves, 6, 1, lags=(2, 13)).weights) == 13
    walks = random.normal(size=(8, 180)).cumsum(axis=1)
    assert len(fit_ridge(walks, 6, 1, lags=(2, 60)).weights) == 2


def test_a_map_learnt_from_rows_with_gaps_still_knows_the_waves():
    values = waves(3, rows=12)
    gappy = values[:, :100].copy()
    gappy[np.random.default_rng(0).random(gappy.shape) < 0.05] = np.nan
    error = np.abs(fit_ridge(gappy, 5, 1).forecast(values[:, :100]) - values[:, 100:105]).mean()
    assert error < 0.3 * np.abs(values[:, 99:100] - values[:, 100:105]).mean()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "histories",
    [
        np.empty((0, 5)),
        [],
        np.full((3, 20), np.nan),
        [np.array([1.0]), np.array([2.0, 3.0])],
        np.ones((4, 60)),
        np.arange(10.0)[None],
    ],
)
def test_series_that_teach_nothing_give_the_naive_forecast(histories):
    ridge = fit_ridge(histories, 8, 4)
    history = np.array([[np.nan, 3.0, 5, 4], [1, 2, 3, np.nan]])
    np.testing.assert_allclose(ridge.forecast(history), [[4] * 8, [3] * 8])


@pytest.mark.parametrize(
    ("season", "length", "expected"), [(24, 400, {24, 48, 72, 96, 168, 336}), (365, 200, {4, 8, 13, 26, 52, 104})]
)
def test_numbers_of_lags_fit_the_season_and_the_length(season, length, expected):
    assert (
        len(fit_ridge(np.random.default_rng(0).normal(size=(3, length)).cumsum(axis=1), 10, season).weights) in expected
    )


def test_windows_are_thinned_out_the_same_way_every_time():
    values = np.random.default_rng(5).normal(size=(20, 120))
    first, second, all_of_them = (fit_ridge(values, 5, 1, max_windows=most).weights for most in (200, 200, 100_000))
    np.testing.assert_array_equal(first, second)
    assert first.shape != all_of_them.shape or not np.allclose(first, all_of_them)
