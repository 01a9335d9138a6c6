"""The seasonality test and the seasonal figure against statsmodels, and where they are undefined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation import decomposition
from toolkit.evaluation.histories import starts_of

SEEDS = st.integers(0, 10_000)


def seasonal(seed: int, time: int, season: int, noise: float = 0.3) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = np.resize(random.normal(size=season), time)
    return 10 + 0.02 * np.arange(time) + shape + noise * random.normal(size=time)


@given(SEEDS, st.sampled_from([2, 4, 7, 12]), st.booleans())
def test_the_figure_is_that_of_statsmodels(seed, season, factor):
    from statsmodels.tsa.seasonal import seasonal_decompose

    values = seasonal(seed, 5 * season + seed % season, season)
    model = "multiplicative" if factor else "additive"
    expected = seasonal_decompose(values, model=model, period=season).seasonal[-season:]
    padded = np.concatenate([[np.nan] * 3, values])[None]
    figure = decomposition.season_of(padded, np.array([3]), season, np.array([factor]))
    np.testing.assert_allclose(figure[0], expected, rtol=1e-9, atol=1e-12)


@given(SEEDS, st.sampled_from([4, 7, 12]), st.sampled_from([0.3, 2.0, 20.0]))
def test_the_test_is_that_of_a_correlogram(seed, season, noise):
    from statsmodels.tsa.stattools import acf

    values = seasonal(seed, 6 * season, season, noise)
    correlation = acf(values, nlags=season, fft=False)[1:]
    limit = 1.645 / np.sqrt(len(values)) * np.sqrt(1 + 2 * np.sum(correlation[:-1] ** 2))
    padded = np.concatenate([[np.nan] * 5, values])[None]
    found = decomposition.is_seasonal(padded, np.array([5]), season)
    assert found.tolist() == [abs(correlation[-1]) > limit]


def test_less_than_three_seasons_and_constant_rows_have_no_season():
    rows = np.stack([np.tile([1.0, 2, 3, 4], 3), np.full(12, 7.0)])
    starts = starts_of(rows)
    assert decomposition.is_seasonal(rows, starts, 4).tolist() == [True, False]
    assert not decomposition.is_seasonal(rows[:, 1:], starts, 4).any()
    assert not decomposition.is_seasonal(rows, starts, 1).any()


def test_less_than_two_seasons_leave_the_values_as_they_are():
    values, starts = np.arange(1.0, 8)[None], np.array([0])
    for factor in (True, False):
        figure = decomposition.season_of(values, starts, 4, np.array([factor]))
        np.testing.assert_array_equal(decomposition.adjusted(values, figure, np.array([factor])), values)


@pytest.mark.parametrize("factor", [True, False])
def test_the_season_goes_on_after_the_end_where_it_stopped(factor):
    shape = np.array([0.5, 1.0, 1.5])
    time = np.arange(17)
    values = (10 * shape[time % 3] if factor else 10 + shape[time % 3])[None]
    factors = np.array([factor])
    figure = decomposition.season_of(values, np.array([0]), 3, factors)
    flat = decomposition.adjusted(values, figure, factors)
    np.testing.assert_allclose(flat, flat[0, 0])
    ahead = decomposition.with_season(flat[:, :5], figure, factors)
    np.testing.assert_allclose(ahead[0], values[0, [2, 3, 4, 5, 6]])


@pytest.mark.filterwarnings("error")
def test_positive_values_of_any_size_give_a_finite_figure():
    values = np.array([[1.0, 1e-20, 1e-20, 1e-20, 1e-20, 1e-20, 1e-20, 1e-20, 1e-20, 1e-20]])
    figure = decomposition.season_of(values, np.array([0]), 2, np.array([True]))
    assert np.isfinite(figure).all() and (figure > 0).all()
