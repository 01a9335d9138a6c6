"""Weights of forecasters: what they recover, what changes nothing, and when one forecaster is served alone."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from toolkit.evaluation.combination import Combination, combine, fit_weights
from toolkit.evaluation.forecasting import mase
from toolkit.stored import from_json, to_json

SEEDS = st.integers(0, 10_000)


def independent(seed: int, rows: int = 200, horizon: int = 6) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Truth of series of many sizes, three forecasters whose errors have nothing to do with each other, and scales."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.1, 100, rows)
    y = random.normal(size=(rows, horizon)) * scale[:, None]
    noise = {"a": 1.0, "b": 1.2, "c": 1.5}
    return y, {name: y + random.normal(0, size, y.shape) * scale[:, None] for name, size in noise.items()}, scale


@given(SEEDS)
def test_a_forecaster_that_is_best_everywhere_is_served_alone(seed):
    y, forecasts, scale = independent(seed)
    forecasts |= {"best": y + 0.01 * (forecasts["a"] - y)}
    found = fit_weights(y, forecasts, scale, blocks=2)
    assert found.winner == "best" and found.used == ("best",)
    np.testing.assert_array_equal(found.weights, [[0, 0, 0, 1]] * 2)


@given(SEEDS)
def test_the_combination_beats_every_forecaster_when_errors_are_independent(seed):
    found = fit_weights(*independent(seed), blocks=2)
    y, forecasts, scale = independent(seed + 1)
    together = mase(y, found.combine(forecasts), scale).mean()
    assert together < 0.9 * min(mase(y, each, scale).mean() for each in forecasts.values())
    assert found.winner is None
    assert found.validation["combination"] == pytest.approx(together, rel=0.15)


@given(SEEDS)
def test_the_order_of_forecasters_orders_the_weights(seed):
    y, forecasts, scale = independent(seed)
    names = np.random.default_rng(seed).permutation(list(forecasts)).tolist()
    found, expected = (
        fit_weights(y, {name: forecasts[name] for name in order}, scale, 3) for order in (names, list(forecasts))
    )
    order = [found.names.index(name) for name in expected.names]
    np.testing.assert_allclose(found.weights[:, order], expected.weights, atol=1e-6)


@given(SEEDS, st.sampled_from([0.001, 1e6]))
def test_the_units_of_the_series_and_of_the_scale_change_nothing(seed, factor):
    y, forecasts, scale = independent(seed)
    expected = fit_weights(y, forecasts, scale, 2)
    scaled = fit_weights(factor * y, {name: factor * each for name, each in forecasts.items()}, factor * scale, 2)
    np.testing.assert_allclose(scaled.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(fit_weights(y, forecasts, factor * scale, 2).weights, expected.weights, atol=1e-6)


@given(SEEDS)
def test_with_many_windows_the_error_is_as_small_as_linear_programming_finds(seed):
    y, forecasts, scale = independent(seed, rows=900, horizon=1)
    errors = np.stack([(y - each).ravel() / scale for each in forecasts.values()])
    models, values = errors.shape
    slack = np.eye(values)
    exact = linprog(
        np.r_[np.zeros(models), np.full(values, 1 / values)],
        A_ub=np.block([[errors.T, -slack], [-errors.T, -slack]]),
        b_ub=np.zeros(2 * values),
        A_eq=np.r_[np.ones(models), np.zeros(values)][None],
        b_eq=[1],
    )
    weights = fit_weights(y, forecasts, scale, 1).weights[0]
    assert exact.fun <= abs(weights @ errors).mean() + 1e-9 <= exact.fun * 1.001


@given(SEEDS)
def test_squared_errors_are_as_small_as_a_grid_finds(seed):
    y, forecasts, scale = independent(seed, rows=900, horizon=1)
    errors = np.stack([(y - each).ravel() / scale for each in forecasts.values()])
    grid = np.array([(a, b, 1 - a - b) for a in np.linspace(0, 1, 41) for b in np.linspace(0, 1, 41) if a + b <= 1])
    found = fit_weights(y, forecasts, scale, 1, squared=True)
    reached = ((found.weights[0] @ errors) ** 2).mean()
    assert reached <= 1.001 * ((grid @ errors) ** 2).mean(axis=1).min()
    assert found.validation["combination"] == pytest.approx(reached**0.5, rel=0.02)
    assert found.validation["a"] == pytest.approx((errors[0] ** 2).mean() ** 0.5)


def test_absolute_errors_choose_the_median_and_squared_ones_the_mean():
    random = np.random.default_rng(0)
    y = random.exponential(size=(500, 4)) * (random.random((500, 4)) < 0.4)
    forecasts, scale = {"median": np.zeros_like(y), "mean": np.full_like(y, 0.4)}, np.ones(500)
    assert fit_weights(y, forecasts, scale, 1).winner == "median"
    assert fit_weights(y, forecasts, scale, 1, squared=True).winner == "mean"


@given(SEEDS)
def test_few_windows_pull_towards_equal_weights(seed):
    y, forecasts, scale = independent(seed, rows=4, horizon=40)
    many = {name: np.tile(each, (100, 1)) for name, each in forecasts.items()}
    few, sure = fit_weights(y, forecasts, scale, 1), fit_weights(np.tile(y, (100, 1)), many, np.tile(scale, 100), 1)
    assert abs(few.weights - 1 / 3).max() < abs(sure.weights - 1 / 3).max()
    assert not np.allclose(few.weights, 1 / 3, atol=0.001)


def test_few_windows_do_not_pull_a_bad_forecaster_in():
    y, forecasts, scale = independent(0, rows=4, horizon=40)
    bad = forecasts | {"bad": y + 20 * scale[:, None]}
    found = fit_weights(y, bad, scale, 2)
    assert "bad" not in found.used and found.winner is None


def test_each_part_of_the_horizon_has_its_own_weights():
    y, forecasts, scale = independent(0, rows=300, horizon=5)
    near, far = forecasts["a"].copy(), forecasts["b"].copy()
    near[:, 2:] += 50 * scale[:, None]
    far[:, :2] += 50 * scale[:, None]
    found = fit_weights(y, {"near": near, "far": far}, scale, 2)
    np.testing.assert_array_equal(found.weights, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(found.combine({"near": near, "far": far}), np.hstack([near[:, :2], far[:, 2:]]))
    assert found.winner is None


@given(SEEDS)
def test_no_weight_is_too_small_to_matter(seed):
    y, forecasts, scale = independent(seed)
    random = np.random.default_rng(seed)
    forecasts |= {f"poor {k}": y + random.normal(0, 4 + k, y.shape) * scale[:, None] for k in range(4)}
    weights = fit_weights(y, forecasts, scale, 3).weights
    assert (weights == 0).any()
    assert ((weights == 0) | (weights >= 0.02)).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_validation_is_the_mase_of_every_forecaster():
    y, forecasts, scale = independent(0)
    y[::3, 4:] = np.nan
    found = fit_weights(y, forecasts, scale, 2)
    expected = {name: mase(y, each, scale).mean() for name, each in forecasts.items()}
    assert {name: found.validation[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "winner"), [(2000, None), (40, "best")])
def test_a_combination_that_is_hardly_better_needs_many_windows_to_win(rows, winner):
    y, forecasts, scale = independent(0, rows=rows)
    error = forecasts["a"] - y
    forecasts = {"other": y + 0.95 * error + 0.5 / 1.2 * (forecasts["b"] - y), "best": forecasts["a"]}
    found = fit_weights(y, forecasts, scale, 1)  # a fifth of the other makes the error about half a percent smaller
    assert 0.98 < found.validation["combination"] / found.validation["best"] < 1.01
    assert found.winner == winner


def test_the_best_alone_is_judged_on_windows_that_did_not_choose_it():
    """Of two that are good in other halves, the one that was chosen by either half fails in the other."""
    random = np.random.default_rng(1)
    early = np.repeat([0.5, 2.0], 6)[:, None] * random.normal(size=(12, 6))
    late = np.repeat([2.0, 0.5], 6)[:, None] * random.normal(size=(12, 6))
    found = fit_weights(np.zeros((12, 6)), {"early": early, "late": late}, np.ones(12), 1)
    assert found.winner is None
    assert found.validation["combination"] > max(found.validation["early"], found.validation["late"])


def test_the_combination_is_judged_on_windows_that_its_weights_did_not_see():
    y, forecasts, scale = independent(0)
    early, late = forecasts["a"].copy(), forecasts["b"].copy()
    early[100:] += 10 * scale[100:, None]
    late[:100] += 10 * scale[:100, None]
    found = fit_weights(y, {"early": early, "late": late}, scale, 1)
    assert found.validation["combination"] > 1.5 * max(found.validation["early"], found.validation["late"])
    assert found.winner in ("early", "late")


def test_of_many_windows_the_sample_is_the_same_every_time_and_meets_every_series():
    random = np.random.default_rng(0)
    y, scale, series = np.zeros((14_000, 2)), np.ones(14_000), np.arange(14_000) % 7
    forecasts = {
        str(k): random.normal(1, 0.1, y.shape) * np.where(series == k, 1, 8)[:, None] * random.choice([-1, 1], y.shape)
        for k in range(7)
    }
    found = fit_weights(y, forecasts, scale, 1)
    assert to_json(found) == to_json(fit_weights(y, forecasts, scale, 1))
    expected = {name: abs(each).mean() for name, each in forecasts.items()}
    assert {name: found.validation[name] for name in expected} == pytest.approx(expected, rel=0.05)


@given(SEEDS)
def test_windows_of_which_nothing_is_known_change_nothing(seed):
    y, forecasts, scale = independent(seed)
    expected = fit_weights(y, forecasts, scale, 2)
    more = {name: np.vstack([each, np.full((5, 6), np.nan)]) for name, each in forecasts.items()}
    found = fit_weights(np.vstack([y, np.full((5, 6), np.nan)]), more, np.append(scale, np.ones(5)), 2)
    np.testing.assert_array_equal(found.weights, expected.weights)


@pytest.mark.filterwarnings("error")
def test_a_part_of_the_horizon_without_values_takes_the_weights_of_the_rest():
    y, forecasts, scale = independent(0)
    y[:, 3:] = np.nan
    weights = fit_weights(y, forecasts, scale, 2).weights
    np.testing.assert_allclose(weights[1], weights[0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("rows", "horizon"), [(1, 1), (1, 6), (2, 1), (3, 2)])
def test_one_window_or_one_step_still_gives_weights(rows, horizon):
    found = fit_weights(*independent(0, rows, horizon), blocks=4)
    assert found.weights.shape == (min(horizon, 4), 3)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)


@pytest.mark.filterwarnings("error")
def test_a_forecaster_without_any_error_is_served_alone():
    y, forecasts, scale = independent(0)
    assert fit_weights(y, forecasts | {"perfect": y}, scale, 2).winner == "perfect"
    assert fit_weights(y, {"one": y, "two": y}, scale, 2).winner == "one"


@given(SEEDS, st.integers(1, 6))
def test_combining_equals_a_sum_step_by_step(seed, blocks):
    random = np.random.default_rng(seed)
    weights, forecasts = random.dirichlet(np.ones(3), blocks), random.normal(size=(3, 4, 6))
    expected = np.empty((4, 6))
    edges = [6 * block // blocks for block in range(blocks + 1)]
    for block in range(blocks):
        for step in range(edges[block], edges[block + 1]):
            expected[:, step] = sum(weights[block, model] * forecasts[model, :, step] for model in range(3))
    np.testing.assert_allclose(combine(weights, forecasts), expected)


def test_a_forecaster_without_weight_is_not_needed():
    found = Combination(
        ("a", "b", "c"), np.array([[0.5, 0, 0.5], [1, 0, 0]]), dict.fromkeys("abc", 1.0) | {"combination": 1.0}
    )
    ones = np.ones((2, 4))
    assert found.used == ("a", "c")
    assert found.combine({"a": ones, "c": 3 * ones}).tolist() == [[2, 2, 1, 1]] * 2
    assert np.isfinite(combine(found.weights, np.stack([ones, ones * np.nan, ones]))).all()


def test_a_forecast_that_is_missing_where_the_truth_is_known_is_refused():
    y, forecasts, scale = independent(0)
    forecasts["b"][3, 2] = np.nan
    with pytest.raises(ValueError, match="missing or infinite"):
        fit_weights(y, forecasts, scale, 2)
    with pytest.raises(ValueError, match="no value is known"):
        fit_weights(np.full_like(y, np.nan), forecasts, scale, 2)


def test_a_stored_combination_is_the_same():
    y, forecasts, scale = independent(0)
    found = fit_weights(y, forecasts, scale, 2)
    stored = from_json(Combination, json.loads(json.dumps(to_json(found))))
    np.testing.assert_array_equal(stored.combine(forecasts), found.combine(forecasts))
    assert to_json(stored) == to_json(found)


@pytest.mark.parametrize(
    "damage",
    [
        {"names": ["a", "a"]},
        {"names": []},
        {"weights": [[0.5, 0.6]]},
        {"weights": [[1.5, -0.5]]},
        {"weights": [[float("nan"), 1]]},
        {"weights": [1, 0]},
        {"weights": []},
        {"validation": {"a": 1}},
        {"validation": [1]},
    ],
)
def test_a_damaged_combination_is_named(damage):
    whole = {"names": ["a", "b"], "weights": [[0.4, 0.6]], "validation": {"a": 1, "b": 1, "combination": 1}}
    assert from_json(Combination, whole).used == ("a", "b")
    for data in (whole | damage, None, {name: value for name, value in whole.items() if name not in damage}):
        with pytest.raises(ValueError, match=r"must|expected|missing|shape"):
            from_json(Combination, data)
