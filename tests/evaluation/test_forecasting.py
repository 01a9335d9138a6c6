"""Forecast metrics against twins written value by value, the published M4 scores, and where they are undefined."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation import forecasting as metrics

SEEDS = st.integers(0, 10_000)
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
M4 = Path(__file__).parents[2].parent / "shared" / "data" / "m4"


def wql(y: np.ndarray, quantiles: np.ndarray) -> float:
    return metrics.wql(y, quantiles, LEVELS, np.zeros(len(y), int), 1)[0]


def situations(seed: int, rows: int = 9, horizon: int = 5) -> tuple[metrics.Truth, np.ndarray, np.ndarray]:
    """Truth with NaN here and there, one row of nothing else, and one row of a single step; forecast; quantiles."""
    random = np.random.default_rng(seed)
    y = random.normal(size=(rows, horizon))
    y[random.random(y.shape) < 0.2] = np.nan
    y[0], y[1], y[2] = np.nan, [0, *[np.nan] * (horizon - 1)], random.normal(size=horizon)
    forecast, naive2 = random.normal(size=(2, rows, horizon))
    scale, squared = random.uniform(0.5, 2, (2, rows))
    quantiles = np.sort(random.normal(size=(rows, horizon, len(LEVELS))), axis=-1)
    return metrics.Truth(y, scale, squared, naive2), forecast, quantiles


def by_value(y: np.ndarray, *others: np.ndarray):
    """Every row as a list of tuples of its scored values."""
    for row in range(len(y)):
        yield [
            tuple(each[row, step] for each in (y, *others)) for step in range(y.shape[1]) if not np.isnan(y[row, step])
        ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else np.nan


@given(SEEDS)
def test_errors_of_rows_equal_sums_value_by_value(seed):
    truth, forecast, _ = situations(seed)
    for row, pairs in enumerate(by_value(truth.y, forecast)):
        absolute, square = mean([abs(y - f) for y, f in pairs]), mean([(y - f) ** 2 for y, f in pairs])
        expected = {
            "mae": (metrics.mae(truth.y, forecast), absolute),
            "mse": (metrics.mse(truth.y, forecast), square),
            "smape": (metrics.smape(truth.y, forecast), mean([2 * abs(y - f) / (abs(y) + abs(f)) for y, f in pairs])),
            "mase": (metrics.mase(truth.y, forecast, truth.scale), absolute / truth.scale[row]),
            "msse": (metrics.msse(truth.y, forecast, truth.squared_scale), square / truth.squared_scale[row]),
        }
        for name, (found, value) in expected.items():
            assert found[row] == pytest.approx(value, nan_ok=True), name
    assert np.isnan(metrics.mae(truth.y, forecast)).tolist() == [True] + [False] * (len(truth.y) - 1)


@given(SEEDS)
def test_interval_scores_of_rows_equal_sums_value_by_value(seed):
    truth, _, quantiles = situations(seed)
    lower, upper = quantiles[..., 1], quantiles[..., 3]
    found = metrics.coverage(truth.y, lower, upper)
    expected = [mean([low <= y <= high for y, low, high in row]) for row in by_value(truth.y, lower, upper)]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(
        metrics.width(lower, upper), [np.mean(h - low) for low, h in zip(lower, upper, strict=True)]
    )
    losses = []
    for row in by_value(truth.y, *np.moveaxis(quantiles, -1, 0)):
        pairs = [(y, q, t) for y, *qs in row for q, t in zip(qs, LEVELS, strict=True)]
        losses.append(mean([t * (y - q) if y > q else (1 - t) * (q - y) for y, q, t in pairs]))
    np.testing.assert_allclose(metrics.pinball(truth.y, quantiles, LEVELS), losses)


@given(SEEDS)
def test_weighted_quantile_loss_equals_its_definition_level_by_level(seed):
    truth, _, quantiles = situations(seed)
    known = ~np.isnan(truth.y)
    y, total = truth.y[known], 0.0
    for place, level in enumerate(LEVELS):
        q = quantiles[..., place][known]
        total += 2 * sum(abs((y - q) * ((y <= q) - level))) / sum(abs(y))
    assert wql(truth.y, quantiles) == pytest.approx(total / len(LEVELS))


def test_smape_of_zero_against_zero_is_zero_and_of_opposite_signs_is_two():
    y, forecast = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [-3.0, 5.0]])
    assert metrics.smape(y, forecast).tolist() == [0, 2]


def test_a_bound_is_inside_its_interval():
    y = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert metrics.coverage(y, np.full_like(y, 2), np.full_like(y, 3)).tolist() == [0.5]


@given(SEEDS, st.integers(1, 7), st.booleans())
def test_the_scale_is_the_mean_error_of_repeating_the_last_season(seed, season, squared):
    random = np.random.default_rng(seed)
    history = random.normal(size=(4, 20))
    history[1:][random.random((3, 20)) < 0.1] = np.nan
    history[2, :8] = np.nan
    power = 2 if squared else 1
    expected = [np.nanmean([abs(row[t] - row[t - season]) ** power for t in range(season, 20)]) for row in history]
    np.testing.assert_allclose(metrics.naive_scale(history, season, squared=squared), expected)


@given(SEEDS, st.integers(0, 30))
def test_left_padding_never_changes_the_scale(seed, padding):
    history = np.random.default_rng(seed).normal(size=(3, 6))
    padded = np.hstack([np.full((3, padding), np.nan), history])
    for season in (1, 4, 9):
        expected = metrics.naive_scale(history, season)
        np.testing.assert_array_equal(metrics.naive_scale(padded, season), expected)


@pytest.mark.parametrize(
    ("history", "scale", "squared"),
    [
        ([1, 2, 1, 2, 1, 2], 1, 1),  # repeats every season of 2, but not every step
        ([1, 4, np.nan, np.nan, np.nan, np.nan], 3, 9),  # no two values a season apart
        ([-5, -5, -5, -5, -5, -5], 5, 25),
        ([0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3, 0.3], 0.3, 0.09),  # constant but for rounding
        ([np.nan, np.nan, np.nan, 7, np.nan, np.nan], 7, 49),
        ([0, 0, 0, 0, 0, 0], 1, 1),
        ([np.nan] * 6, 1, 1),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_row_without_a_seasonal_error_falls_back_to_a_scale_above_zero(history, scale, squared):
    rows = np.array([history, [3, 1, 4, 1, 5, 9]], dtype=float)
    assert metrics.naive_scale(rows, 2)[0] == pytest.approx(scale)
    assert metrics.naive_scale(rows, 2, squared=True)[0] == pytest.approx(squared)


def test_owa_is_the_mean_of_both_ratios():
    smape, mase = np.array([0.2, 0.0, 1e-16]), np.array([2.0, 2.0, 1e-13])
    found = metrics.owa(np.full(3, 0.1), np.full(3, 3.0), smape, mase)
    np.testing.assert_allclose(found, [(0.5 + 1.5) / 2, np.nan, np.nan])


@given(SEEDS)
def test_score_has_the_means_of_the_rows_that_have_something_to_score(seed):
    truth, forecast, quantiles = situations(seed)
    scores = metrics.score(truth, forecast, quantiles, LEVELS)
    y, known = truth.y, ~np.isnan(truth.y)
    scored = np.flatnonzero(known.any(axis=1))
    smape, mase = metrics.smape(y, forecast)[scored].mean(), metrics.mase(y, forecast, truth.scale)[scored].mean()
    naive2 = metrics.smape(y, truth.naive2)[scored].mean(), metrics.mase(y, truth.naive2, truth.scale)[scored].mean()
    outer, inner = (np.diff(quantiles[..., [low, -1 - low]])[..., 0] for low in (0, 1))
    expected = {
        "mse": metrics.mse(y, forecast)[scored].mean(),
        "mae": metrics.mae(y, forecast)[scored].mean(),
        "mase": mase,
        "smape": smape,
        "rmsse": metrics.msse(y, forecast, truth.squared_scale)[scored].mean() ** 0.5,
        "owa": metrics.owa(*np.atleast_1d(smape, mase, *naive2))[0],
        "wql": wql(y, quantiles),
        "coverage_95": metrics.coverage(y, quantiles[..., 0], quantiles[..., 4])[scored].mean(),
        "width_95": np.mean([outer[row][known[row]].mean() for row in scored]),
        "coverage_80": metrics.coverage(y, quantiles[..., 1], quantiles[..., 3])[scored].mean(),
        "width_80": np.mean([inner[row][known[row]].mean() for row in scored]),
    }
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected)


def test_of_single_steps_too_the_mean_has_the_least_rmsse():
    y = np.array([[0.0], [0.0], [0.0], [0.0], [5.0]])
    truth = metrics.Truth(y, np.ones(5), np.ones(5), y)
    found = {each: metrics.score(truth, np.full_like(y, each))["rmsse"] for each in (0, 1, 2)}
    assert min(found, key=found.__getitem__) == 1


@given(SEEDS)
def test_scores_of_a_series_are_those_of_its_rows_alone(seed):
    truth, forecast, quantiles = situations(seed)
    series = np.array([3, 0, 1, 1, 0, 1, 0, 0, 1])  # nothing of 2, and nothing to score of 3
    found = metrics.score_series(truth, forecast, series, quantiles, LEVELS)
    for index in range(4):
        rows = series == index
        alone = metrics.Truth(truth.y[rows], truth.scale[rows], truth.squared_scale[rows], truth.naive2[rows])
        expected = metrics.score(alone, forecast[rows], quantiles[rows], LEVELS)
        assert {name: value[index] for name, value in found.items() if not np.isnan(value[index])} == pytest.approx(
            expected
        )


@given(SEEDS)
def test_scores_of_a_step_are_those_of_its_column_alone(seed):
    truth, forecast, quantiles = situations(seed)
    found = metrics.score_steps(truth, forecast, quantiles, LEVELS)
    for step in range(truth.y.shape[1]):
        at = slice(step, step + 1)
        alone = metrics.Truth(truth.y[:, at], truth.scale, truth.squared_scale, truth.naive2[:, at])
        expected = metrics.score(alone, forecast[:, at], quantiles[:, at], LEVELS)
        assert {name: value[step] for name, value in found.items()} == pytest.approx(expected)


@given(SEEDS)
def test_what_stands_where_nothing_is_scored_changes_no_score(seed):
    truth, forecast, quantiles = situations(seed)
    expected = metrics.score(truth, forecast, quantiles, LEVELS)
    unknown = np.isnan(truth.y)
    for anything in (np.nan, np.inf, 1e300):
        changed = np.where(unknown, anything, forecast), np.where(unknown[..., None], anything, quantiles)
        assert metrics.score(truth, *changed, LEVELS) == expected


def test_a_missing_forecast_is_refused_and_not_skipped():
    truth, forecast, quantiles = situations(0)
    holed = forecast.copy()
    holed[2, 1] = np.nan
    assert np.isnan(metrics.mae(truth.y, holed)[2])
    with pytest.raises(ValueError, match="missing or infinite"):
        metrics.score(truth, holed)
    quantiles[2, 1, 0] = np.inf
    with pytest.raises(ValueError, match="missing or infinite"):
        metrics.score_steps(truth, forecast, quantiles, LEVELS)


@pytest.mark.filterwarnings("error")
def test_a_metric_that_is_not_defined_is_left_out():
    nothing, zeros, one = np.full((2, 3), np.nan), np.zeros((2, 3)), np.ones(2)
    quantiles = np.zeros((2, 3, 5))
    assert metrics.score(metrics.Truth(nothing, one, one, zeros), zeros, quantiles, LEVELS) == {}
    assert metrics.score(metrics.Truth(nothing[:0], one[:0], one[:0], zeros[:0]), zeros[:0]) == {}
    scores = metrics.score(metrics.Truth(zeros, one, one, zeros), zeros + 1, quantiles, LEVELS)
    assert "wql" not in scores and "owa" not in scores and scores["mae"] == 1 and scores["coverage_95"] == 1


def m4(name: str) -> tuple[np.ndarray, np.ndarray]:
    """History (series, time), padded on the left with NaN, and the test (series, horizon) of one M4 frequency."""
    parts = []
    for part in ("train", "test"):
        with (M4 / f"{name}-{part}.csv").open(newline="") as text:
            parts.append([[float(cell) for cell in row[1:] if cell] for row in list(csv.reader(text))[1:]])
    train, test = parts
    longest = max(map(len, train))
    return np.array([[np.nan] * (longest - len(row)) + row for row in train]), np.array(test)


def naive2(series: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """M4's benchmark for one series: the last value, without and then with the season that a classical decomposition
    finds, if the autocorrelation at one season is significant (90 %).
    """
    centred = series - series.mean()
    correlations = np.array([centred[lag:] @ centred[: len(series) - lag] for lag in range(season + 1)]) / (
        centred @ centred
    )
    limit = 1.645 * np.sqrt((1 + 2 * (correlations[1:season] ** 2).sum()) / len(series))
    if season == 1 or len(series) < 3 * season or abs(correlations[season]) <= limit:
        return np.full(horizon, series[-1])
    window = np.array([0.5, *[1] * (season - 1), 0.5]) / season  # of an even season
    half = season // 2
    ratios = series[half:-half] / np.convolve(series, window, "valid")
    phases = np.arange(half, len(series) - half) % season
    index = np.array([ratios[phases == phase].mean() for phase in range(season)])
    index /= index.mean()
    return (
        series[-1] / index[(len(series) - 1) % season] * index[np.arange(len(series), len(series) + horizon) % season]
    )


@pytest.mark.skipif(not M4.exists(), reason="needs the M4 files")
@pytest.mark.parametrize(
    ("name", "season", "method", "smape", "mase", "owa"),
    [
        ("Hourly", 24, "naive", 43.003, 11.608, 3.59302247458593),
        ("Hourly", 24, "seasonal", 13.912, 1.193, 0.627453623361059),
        ("Hourly", 24, "naive2", 18.383, 2.395, 1.0),
        ("Weekly", 1, "naive", 9.161, 2.777, 1.0),
    ],
)
def test_simple_methods_have_their_published_m4_scores(name, season, method, smape, mase, owa):
    history, y = m4(name)
    benchmark = np.array([naive2(row[~np.isnan(row)], season, y.shape[1]) for row in history])
    forecast = {
        "naive": np.broadcast_to(history[:, -1:], y.shape),
        "seasonal": np.tile(history[:, -season:], y.shape[1] // season),
        "naive2": benchmark,
    }[method]
    scales = [metrics.naive_scale(history, season, squared=squared) for squared in (False, True)]
    truth = metrics.Truth(y, *scales, benchmark)
    scores = metrics.score(truth, forecast)
    assert round(100 * scores["smape"], 3) == smape
    assert round(scores["mase"], 3) == mase
    # The published OWA is computed from the published scores, which are rounded.
    relative = metrics.score(truth, benchmark)
    rounded = [
        round(each[metric], place) for each in (scores, relative) for metric, place in (("smape", 5), ("mase", 3))
    ]
    assert metrics.owa(*np.atleast_1d(*rounded)) == pytest.approx(owa, rel=1e-12)
    assert scores["owa"] == pytest.approx(owa, rel=1e-3)


def test_what_never_changed_is_told_from_what_is_not_known():
    rows = np.full((6, 21), np.array([[7], [0], [np.nan], [1], [1e300], [3]]))
    rows[0, 4] = np.nan
    rows[3, 20] = 1.001
    rows[5, :2] = np.nan  # 19 values are too few to believe in
    assert metrics.never_changed(rows).tolist() == [True, True, False, False, True, False]
    assert metrics.never_changed(np.zeros((2, 0))).tolist() == [False, False]
