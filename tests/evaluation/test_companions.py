"""What every companion owes its rows, each against a twin or known case, and the published scores of M4."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation import companions
from toolkit.evaluation.companions import COMPANIONS, drift, naive, naive2, seasonal_naive, seasonal_profile, theta
from toolkit.evaluation.ridge import fit_ridge

M4 = Path(__file__).parents[2].parent / "shared" / "data" / "m4"
SEEDS = st.integers(0, 10_000)
METHODS = [*COMPANIONS.values(), naive2]
HORIZON, SEASON = 9, 4


def history_of(seed: int, rows: int = 5, time: int = 41, gaps: bool = True) -> np.ndarray:
    """Rows of different lengths with level, trend, season, noise and gaps; some negative, some positive."""
    random = np.random.default_rng(seed)
    shape = np.resize(random.normal(size=SEASON), time)
    history = random.choice([0, 8], (rows, 1)) + shape + 0.05 * np.arange(time) * random.normal(size=(rows, 1))
    history += 0.4 * random.normal(size=(rows, time))
    if gaps:
        history[random.random(history.shape) < 0.1] = np.nan
    for row, length in enumerate(random.integers(1, time, rows)):
        history[row, : time - length] = np.nan
        history[row, time - length] = 1.5
    return history


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_padding_and_neighbours_change_nothing(method, seed):
    history = history_of(seed)
    forecasts = method(history, HORIZON, SEASON)
    padded = np.pad(history, ((0, 2), (7, 0)), constant_values=np.nan)
    padded[-1] = 1e6
    np.testing.assert_allclose(method(padded, HORIZON, SEASON)[: len(history)], forecasts, rtol=1e-7, atol=1e-9)
    one_by_one = np.concatenate([method(row[None], HORIZON, SEASON) for row in history])
    np.testing.assert_allclose(one_by_one, forecasts, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_scaling_a_row_scales_its_forecast(method, seed):
    history = history_of(seed)
    forecasts = method(history, HORIZON, SEASON)
    for factor in (0.013, 700.0):
        scaled = method(factor * history, HORIZON, SEASON)
        np.testing.assert_allclose(scaled / factor, forecasts, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_adding_a_constant_moves_the_forecast_of_a_row_of_no_sign(method, seed):
    # Positive rows may have a season that is a factor, which a constant does change.
    history = history_of(seed, gaps=False)
    negative = history - 50
    forecasts = method(negative, HORIZON, SEASON)
    np.testing.assert_allclose(method(negative - 30, HORIZON, SEASON) + 30, forecasts, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("season", [1, 2, 4, 50, 8760])
@pytest.mark.filterwarnings("error")
def test_every_row_with_a_value_gets_numbers_and_no_other_row(method, season):
    lengths = (0, 1, 2, 3, 5, 8, 9, 17, 31, 60)
    random = np.random.default_rng(season)
    for values in (np.ones(60), np.zeros(60), random.normal(size=60), np.exp(9 * random.normal(size=60))):
        for size in (1.0, 1e200, 1e-200, -1e9):
            history = np.full((len(lengths), 60), np.nan)
            for row, length in enumerate(lengths):
                history[row, 60 - length :] = size * values[60 - length :]
            history[6:, 50] = np.inf
            history[7:, 58:] = np.nan
            forecasts = method(history, 5, season)
            assert forecasts.shape == (len(lengths), 5)
            assert np.isnan(forecasts[0]).all() and np.isfinite(forecasts[1:]).all()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_forecast_gives_nothing(method):
    assert method(np.empty((0, 5)), 3, 2).shape == (0, 3)
    assert np.isnan(method(np.empty((2, 0)), 3, 2)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_row_stays_constant(method):
    np.testing.assert_allclose(method(np.full((1, 40), 0.1), 6, 7), 0.1)


@pytest.mark.parametrize("method", [seasonal_naive, seasonal_profile, naive2, theta, companions.ets])
@pytest.mark.parametrize("level", [0.0, 30.0])
def test_a_pure_season_goes_on(method, level):
    shape = level + np.array([3.0, -1, 2, -4, 0, 1, -1])
    history = np.resize(shape, 70)
    ahead = np.resize(np.roll(shape, -4), 10)  # the rows end after 4 steps of a season
    np.testing.assert_allclose(method(history[None, :67], 10, 7)[0], ahead, atol=1e-6)


def test_naive_repeats_the_last_known_value():
    np.testing.assert_array_equal(naive(np.array([[np.nan, 1, 2, np.nan]]), 2, 3), [[2, 2]])


def test_seasonal_naive_repeats_the_last_season_and_short_rows_their_last_value():
    history = np.array([[1.0, 2, 3, 4, 5], [np.nan, np.nan, np.nan, 4, 5], [1, 2, np.nan, 4, 5]])
    forecasts = seasonal_naive(history, 4, 3)
    np.testing.assert_array_equal(forecasts, [[3, 4, 5, 3], [5, 5, 5, 5], [3, 4, 5, 3]])


def test_drift_goes_on_along_the_line_through_the_first_and_last_known_value():
    history = np.array([[np.nan, 2, 9, 4, np.nan], [np.nan, np.nan, 7, np.nan, np.nan]])
    np.testing.assert_array_equal(drift(history, 2, 1), [[6, 7], [7, 7]])


@given(SEEDS)
def test_the_profile_is_a_mean_season_on_a_smoothed_level(seed):
    values = np.random.default_rng(seed).normal(size=83)
    seasons = [values[start : start + 4] for start in range(3, 83, 4)]
    shape = np.mean([each - each.mean() for each in seasons[-7:]], axis=0)
    level = companions.smooth(np.array([[each.mean() for each in seasons]]))[0]
    np.testing.assert_allclose(seasonal_profile(values[None], 6, 4)[0], level + np.resize(shape, 6))


def test_the_profile_averages_out_the_noise_that_seasonal_naive_repeats():
    random = np.random.default_rng(0)
    shape = np.sin(2 * np.pi * np.arange(24) / 24)
    history = shape[np.arange(240) % 24] + 0.5 * random.normal(size=(30, 240))
    errors = [np.abs(method(history, 24, 24) - shape).mean() for method in (seasonal_profile, seasonal_naive)]
    assert errors[0] < 0.6 * errors[1]


def test_theta_forecasts_half_of_the_slope():
    line = 5 + 2.0 * np.arange(40)
    np.testing.assert_allclose(theta(line[None], 3, 1)[0], line[-1] + np.arange(1, 4), rtol=1e-3)
    random = np.random.default_rng(1)
    noisy = 100 + 2.0 * np.arange(200) + 30 * random.normal(size=200)
    steps = np.diff(theta(noisy[None], 5, 1)[0])
    np.testing.assert_allclose(steps, np.polyfit(np.arange(200), noisy, 1)[0] / 2)


def test_theta_never_goes_below_zero_where_the_row_never_did():
    falling = np.maximum(20 - 1.0 * np.arange(30), 0)
    assert theta(falling[None], 50, 1).min() == 0
    assert theta(falling[None] - 1, 50, 1).min() < 0


# Published scores


def m4(frequency: str, part: str) -> list[np.ndarray]:
    with open(M4 / f"{frequency}-{part}.csv", newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        return [np.array([float(cell) for cell in row[1:] if cell not in ("", "NA")]) for row in rows]


def scores(forecasts: np.ndarray, past: list[np.ndarray], ahead: list[np.ndarray], season: int) -> tuple[float, float]:
    """sMAPE from 0 to 200 and MASE, as M4 counts them."""
    smape = [200 * np.mean(np.abs(p - y) / (np.abs(p) + np.abs(y))) for p, y in zip(forecasts, ahead, strict=True)]
    changes = [np.mean(np.abs(x[season:] - x[:-season])) for x in past]
    mase = [np.mean(np.abs(p - y)) / c for p, y, c in zip(forecasts, ahead, changes, strict=True)]
    return float(np.mean(smape)), float(np.mean(mase))


def padded(series: list[np.ndarray]) -> np.ndarray:
    width = max(map(len, series))
    return np.stack([np.pad(each, (width - len(each), 0), constant_values=np.nan) for each in series])


@pytest.mark.skipif(not M4.exists(), reason="the M4 files are not here")
@pytest.mark.parametrize(
    ("frequency", "horizon", "season", "published", "bounds"),
    [
        (
            "Hourly",
            48,
            24,
            {"naive2": (18.383, 2.395), "theta": (18.138, 2.455)},
            {"ets": 0.74, "seasonal_profile": 0.63},
        ),
        ("Weekly", 13, 1, {"naive2": (9.161, 2.777), "theta": (9.093, 2.637)}, {"ets": 0.92, "ridge": 0.82}),
    ],
)
def test_m4_scores_are_the_published_ones(frequency, horizon, season, published, bounds):
    past, ahead = m4(frequency, "train"), m4(frequency, "test")
    history = padded(past)
    for name, expected in published.items():
        found = scores(getattr(companions, name)(history, horizon, season), past, ahead, season)
        assert found == pytest.approx(expected, abs=5e-4 if name == "naive2" else 2e-3)
    smape, mase = published["naive2"]
    for name, bound in bounds.items():
        if name == "ridge":
            forecasts = fit_ridge(past, horizon, season, lags=(52,), max_windows=50_000).forecast(history)
        else:
            forecasts = COMPANIONS[name](history, horizon, season)
        found = scores(forecasts, past, ahead, season)
        assert (found[0] / smape + found[1] / mase) / 2 < bound
