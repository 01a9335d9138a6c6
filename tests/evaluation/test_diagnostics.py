"""Seasons, trends and outliers: found where they were put in, not found in noise, and never NaN."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation import diagnostics
from toolkit.evaluation.diagnostics import (
    choose_season,
    outliers,
    search_season,
    season_candidates,
    seasonal_strength,
    trend_strength,
)

SEEDS = st.integers(0, 10_000)
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "series"


def seasonal(season: int, seasons: int, noise: float = 0.3, seed: int = 0) -> np.ndarray:
    """A random pattern of variance 1, repeated, with noise and a trend of one over the whole series."""
    random = np.random.default_rng(seed)
    pattern = random.standard_normal(season)
    pattern = (pattern - pattern.mean()) / pattern.std()
    values = np.tile(pattern, seasons) + noise * random.standard_normal(season * seasons)
    return values + np.linspace(0, 1, len(values))


def walk(steps: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).standard_normal(steps))


def with_gaps(values: np.ndarray, seed: int, share: float = 0.1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(len(values)) < share, np.nan, values)


@given(SEEDS, st.integers(1, 60))
def test_autocorrelation_equals_a_sum_over_known_pairs(seed, lags):
    values = with_gaps(walk(50, seed), seed)
    x = values - np.nanmean(values)
    for lag, r in enumerate(diagnostics.autocorrelation(values, lags)):
        pairs = [x[t] * x[t + lag] for t in range(len(x) - lag) if not np.isnan(x[t] * x[t + lag])]
        assert r == pytest.approx(np.mean(pairs) / np.nanmean(x**2) if pairs else 0, abs=1e-9)


@given(SEEDS, st.integers(1, 13))
def test_decomposition_equals_one_step_by_step(seed, season):
    values = walk(60, seed)
    parts = diagnostics.decompose(values, season)
    window = season if season > 1 else 6
    weights = np.ones(window) if window % 2 else np.array([0.5, *np.ones(window - 1), 0.5])
    trend = np.full(60, np.nan)
    for t in range(len(weights) // 2, 60 - len(weights) // 2):
        trend[t] = np.average(values[t - len(weights) // 2 : t + len(weights) // 2 + 1], weights=weights)
    profile = np.array([np.nanmean((values - trend)[phase::season]) for phase in range(season)])
    expected = np.resize(profile - profile.mean(), 60) if season > 1 else np.zeros(60)
    np.testing.assert_allclose(parts.trend, trend, atol=1e-9)
    np.testing.assert_allclose(parts.season, np.where(np.isnan(trend), np.nan, expected), atol=1e-9)
    np.testing.assert_allclose(parts.trend + parts.season + parts.remainder, np.where(np.isnan(trend), np.nan, values))


@pytest.mark.parametrize("season", [4, 7, 24])
def test_seasonal_strength_is_the_share_of_variance_that_the_season_has(season):
    for noise in (0.3, 1.0):
        found = seasonal_strength(seasonal(season, 80, noise), season)
        assert found == pytest.approx(1 / (1 + noise**2), abs=0.06)


@pytest.mark.parametrize("seasons", [3, 5, 50])
def test_noise_has_no_seasonal_strength_at_any_length(seasons):
    found = [seasonal_strength(np.random.default_rng(seed).standard_normal(12 * seasons), 12) for seed in range(40)]
    assert np.median(found) < 0.12


def test_a_line_is_all_trend_and_noise_none():
    line = np.linspace(0, 9, 200)
    noise = np.random.default_rng(0).standard_normal(200)
    assert trend_strength(line) > 0.999
    assert trend_strength(line + noise) > 0.8
    assert trend_strength(noise) < 0.15
    assert trend_strength(seasonal(7, 40), 7) == pytest.approx(1 / 12 / (1 / 12 + 0.09), abs=0.12)


@pytest.mark.parametrize(("season", "candidates"), [(24, (24, 168)), (168, (24, 168)), (7, (7, 365)), (4, (4,))])
def test_the_season_that_was_put_in_is_chosen(season, candidates):
    for seed in range(10):
        assert choose_season(seasonal(season, 6, 0.5, seed), candidates) == season
        assert choose_season(with_gaps(seasonal(season, 6, 0.5, seed), seed), candidates) == season


def test_a_day_inside_a_week_is_chosen_by_which_of_them_errs_less():
    day = np.sin(np.arange(24 * 7 * 8) * 2 * np.pi / 24)
    weekend = np.where(np.arange(len(day)) // 24 % 7 >= 5, 0.2, 1.0)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(day))
    assert choose_season(day + noise, (24, 168)) == 24
    assert choose_season(day * weekend + noise, (24, 168)) == 168


@pytest.mark.parametrize("steps", [72, 300, 2000])
def test_noise_and_random_walks_rarely_have_a_season(steps):
    random = np.random.default_rng(0)
    for series in ([random.standard_normal(steps) for _ in range(60)], [walk(steps, seed) for seed in range(60)]):
        assert np.mean([choose_season(each, (7, 24)) > 1 for each in series]) < 0.12
        assert choose_season(series, (7, 24)) == 1


def test_a_slow_wave_is_no_season_of_a_few_steps():
    wave = np.sin(np.arange(3650) * 2 * np.pi / 365)
    assert choose_season(wave, (7,)) == 1
    assert choose_season(wave, (7, 365)) == 365


def test_a_season_needs_three_of_it():
    values = seasonal(12, 4, 0.1)
    assert choose_season(values[:36], (12,)) == 12
    assert choose_season(values[:35], (12,)) == 1
    assert seasonal_strength(values[:35], 12) == 0


def test_of_several_series_most_decide():
    weekly, walks = [seasonal(7, 20, seed=seed) for seed in range(4)], [walk(140, seed) for seed in range(8)]
    nothing = [np.full(5, np.nan), np.ones(200), np.array([]), np.array([3.0])]
    assert choose_season([*weekly, *walks[:3], *nothing], (7, 365)) == 7
    assert choose_season([*weekly, *walks], (7, 365)) == 1


@pytest.mark.parametrize("season", [6, 24, 50])
def test_candidates_are_found_where_no_calendar_tells_them(season):
    values = seasonal(season, 12, 0.4)
    assert season in season_candidates(values)
    assert len(season_candidates(values)) <= 3
    assert choose_season(values, season_candidates(values)) == season
    several = [values[: 8 * season], with_gaps(values, 1), np.ones(99), np.array([])]
    assert season in season_candidates(several)


def test_candidates_leave_out_multiples():
    assert season_candidates(np.tile(np.arange(10.0), 30)) == (10,)


def test_outliers_are_the_values_that_were_changed():
    values = seasonal(24, 30, 0.3)
    assert not outliers(values, 24).any()
    for place in (0, 100, 719):
        changed = values.copy()
        changed[place] += 30
        assert np.flatnonzero(outliers(changed, 24)).tolist() == [place]
    assert not outliers(walk(2000, 0)).any()
    assert not outliers(np.where(np.arange(100) % 50 == 7, 5.0, 0.0)).any()


SHORT = [[], [np.nan], [1.0], [1.0, 2.0], [np.nan] * 50, [3.0] * 50, [1e300, -1e300] * 40, [1e-300, 0.0] * 40]


@pytest.mark.parametrize(
    "values", [*SHORT, list(np.arange(50.0)), [np.nan, 2.0, np.nan] * 30, [0.1 + 0.2] * 90 + [0.3]]
)
@pytest.mark.filterwarnings("error")
def test_next_to_nothing_has_an_answer(values):
    series = np.array(values, dtype=float)
    for season in (1, 2, 7):
        strengths = seasonal_strength(series, season), trend_strength(series, season)
        assert all(0 <= strength <= 1 for strength in strengths)
        assert outliers(series, season).shape == series.shape
    assert np.isfinite(diagnostics.autocorrelation(series, 5)).all()
    assert choose_season(series, (2, 7)) in (1, 2, 7)
    assert choose_season(series, ()) == 1
    assert isinstance(season_candidates(series), tuple)


@given(SEEDS, st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
def test_units_change_nothing(seed, scale, level):
    values = with_gaps(seasonal(7, 12, 0.5, seed), seed)
    other = values * scale + level * scale
    assert seasonal_strength(other, 7) == pytest.approx(seasonal_strength(values, 7), abs=1e-6)
    assert choose_season(other, (7, 14)) == choose_season(values, (7, 14))
    assert season_candidates(other) == season_candidates(values)
    assert (outliers(other, 7) == outliers(values, 7)).all()


@pytest.mark.skipif(not DATA.exists(), reason="the series are not here")
@pytest.mark.parametrize(
    ("file", "column", "candidates", "expected"),
    [
        ("airline-passengers.csv", "Passengers", (12,), 12),
        ("co2.csv", "co2", (52,), 52),
        ("daily-min-temperatures.csv", "Temp", (7, 365), 365),
        ("hourly_electricity.csv", "y", (24, 168), 24),
        ("monthly-sunspots.csv", "Sunspots", (12,), 1),
        ("seattle-temps.csv", "temp", (24, 168), 24),
        ("seattle-weather.csv", "temp_max", (7, 365), 365),
    ],
)
def test_real_series_have_the_season_that_people_see(file, column, candidates, expected):
    with (DATA / file).open() as stream:
        values = np.array([float(row[column] or "nan") for row in csv.DictReader(stream)])
    assert choose_season(values, candidates) == expected


@pytest.mark.parametrize("length", [60, 300])
def test_where_no_calendar_tells_noise_has_no_season_and_a_wave_has_its_shortest(length):
    random = np.random.default_rng(0)
    noise = random.normal(size=(50, length))
    assert np.mean([search_season(each) > 1 for each in noise]) < 0.2
    wave = 4 * np.sin(2 * np.pi * np.arange(length) / 12)
    assert all(search_season(wave + each) == 12 for each in noise)
    assert search_season(list(noise)) == 1 and search_season(list(noise + wave)) == 12
    assert search_season(noise[0, :3]) == 1


def swinging(steps: int, coefficient: float, random: np.random.Generator) -> np.ndarray:
    """An autoregression of first order; with a coefficient below 0 from side to side."""
    values = random.standard_normal(steps)
    for step in range(1, steps):
        values[step] += coefficient * values[step - 1]
    return values


@pytest.mark.parametrize("coefficient", [-0.6, 0.5, 0.9])
def test_what_follows_from_the_value_before_is_no_season(coefficient):
    random = np.random.default_rng(0)
    series = [swinging(80, coefficient, random) for _ in range(200)]
    assert np.mean([search_season(each) > 1 for each in series]) < 0.05
    assert np.mean([choose_season(each, (4,)) > 1 for each in series]) < 0.09


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_missing_values_make_no_season_and_hide_none(share):
    random, wave = np.random.default_rng(0), 1.4 * np.sin(2 * np.pi * np.arange(240) / 12)
    found = []
    for size in (0, 1):
        several = size * wave + random.standard_normal((60, 240))
        several[random.random((60, 240)) < share] = np.nan
        found.append(np.mean([choose_season(each, (12,)) > 1 for each in several]))
    assert found[0] < 0.12 and found[1] > 0.9


def test_noise_on_a_long_line_is_noise():
    random, line = np.random.default_rng(0), np.linspace(0, 1e5, 120)
    found = [choose_season(line + random.standard_normal(120), (12,)) > 1 for _ in range(60)]
    assert np.mean(found) < 0.12


def test_a_season_of_half_the_variance_is_found_in_four_of_it():
    random, wave = np.random.default_rng(0), 1.4 * np.sin(2 * np.pi * np.arange(48) / 12)
    assert np.mean([choose_season(wave + random.standard_normal(48), (12,)) == 12 for _ in range(60)]) > 0.85
