"""With model.log networks read and forecast logarithms, and everybody else sees the units of the data."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read_splits
from pipelines.forecasting.inputs import Inputs, Plan, make_inputs
from pipelines.forecasting.predict import Forecaster
from pipelines.forecasting.prepare import prepare
from pipelines.forecasting.train import train
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel
from toolkit.data.sources import SeriesSource
from toolkit.data.windows import Cutoffs
from toolkit.errors import DataError

HORIZON, HISTORY = 3, 12


def sizes_of(plan: Plan, panel: Panel, known: dict[str, float]) -> np.ndarray | None:
    """What the rows at the cutoffs of a panel are divided by."""
    forecaster = Forecaster(plan, None, None, known, SeriesSource("series.csv"))
    return forecaster.sizes_of(panel, Cutoffs(np.arange(len(panel)), panel.ends))


def make_panel(values: np.ndarray, **changes: Any) -> Panel:
    """Series of equal length, the cutoff of each a horizon before its end. Shapes: values (series, steps)."""
    count, steps = values.shape
    offsets = np.arange(count + 1) * steps
    names = tuple(f"s{k}" for k in range(count))
    return Panel(
        names, Frequency("integer", 1), np.zeros(count, int), offsets, offsets[1:] - HORIZON, values.ravel(), {}, {}, {}
    )


def make_plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = dict(
        frequency=Frequency("integer", 1),
        horizon=HORIZON,
        season=4,
        history=HISTORY,
        segment=4,
        levels=(0.1, 0.5, 0.9),
        scaling="window",
        center="last",
        anchor="center",
        log=True,
    )
    return Plan(**{**settings, **changes})


def inputs_of(plan: Plan, panel: Panel, sizes: np.ndarray | None = None) -> Inputs:
    return make_inputs(plan, panel, Cutoffs(np.arange(len(panel)), panel.ends), sizes)


@pytest.fixture(scope="module")
def growing() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.exp(random.normal(0, 0.3, (4, 20)).cumsum(axis=1) + 3)


@pytest.mark.parametrize("anchor", ["center", "season"])
@pytest.mark.parametrize("center", ["last", "mean"])
def test_what_networks_aim_at_turns_back_into_the_truth(growing, center, anchor):
    inputs = inputs_of(make_plan(center=center, anchor=anchor), make_panel(growing))
    truth = growing[:, -HORIZON:]
    np.testing.assert_allclose(inputs.forecasts(inputs.targets(truth)[:, :, None])[:, :, 0], truth, rtol=1e-9)


@given(factor=st.sampled_from([1e-6, 0.01, 7.0, 1e6]))
def test_the_unit_of_the_data_changes_nothing_that_networks_read(growing, factor):
    one, other = (inputs_of(make_plan(), make_panel(values)) for values in (growing, factor * growing))
    np.testing.assert_allclose(other.arrays["segments"], one.arrays["segments"], atol=1e-5)
    np.testing.assert_allclose(other.targets(factor * growing[:, -3:]), one.targets(growing[:, -3:]), atol=1e-5)
    np.testing.assert_allclose(other.unit, factor * one.unit, rtol=1e-6)


def test_the_unit_is_what_a_small_output_moves_the_forecast_by(growing):
    inputs = inputs_of(make_plan(), make_panel(growing))
    zero, small = (inputs.forecasts(np.full((4, HORIZON, 1), output)) for output in (0.0, 1e-6))
    np.testing.assert_allclose((small - zero)[:, 0, 0] / 1e-6, inputs.unit[:, 0], rtol=1e-4)


def test_quantiles_stay_in_order_and_finite_however_far_out(growing):
    outputs = np.broadcast_to([-1e9, -50.0, 0.0, 1.0, 1e9], (4, HORIZON, 5))
    forecasts = inputs_of(make_plan(), make_panel(growing)).forecasts(outputs)
    assert np.isfinite(forecasts).all()
    assert (forecasts > 0).all()
    assert (np.diff(forecasts, axis=2) >= 0).all()


def test_missing_values_stay_missing(growing):
    values = growing.copy()
    values[0, 5:8] = values[1, -1] = np.nan
    inputs = inputs_of(make_plan(), make_panel(values))
    assert all(np.isfinite(array).all() for array in inputs.arrays.values())
    np.testing.assert_array_equal(np.isnan(inputs.targets(values[:, -HORIZON:])), np.isnan(values[:, -HORIZON:]))


@pytest.mark.parametrize("log", [False, True])
def test_nothing_is_learned_from_a_window_in_which_nothing_is_known(growing, log):
    values = growing.copy()
    values[2, -HISTORY - HORIZON : -HORIZON] = np.nan
    inputs = inputs_of(make_plan(log=log), make_panel(values))
    assert inputs.seen.tolist() == [True, True, False, True]
    assert np.isnan(inputs.targets(values[:, -HORIZON:])).any(axis=1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_value_without_a_logarithm_is_named_with_its_series(growing, value):
    values = growing.copy()
    values[2, 10] = value
    with pytest.raises(DataError, match=f"'s2' has the value {value:g}, .*log"):
        inputs_of(make_plan(), make_panel(values))
    inputs_of(make_plan(log=False), make_panel(values))


def test_values_that_are_not_read_may_be_zero(growing):
    values = growing.copy()
    values[1, 0] = 0.0  # before the window
    panel = make_panel(values)
    sizes = sizes_of(make_plan(scaling="series"), panel, {})
    assert np.isfinite(inputs_of(make_plan(scaling="series"), panel, sizes).arrays["segments"]).all()


def test_series_sizes_are_deviations_of_logarithms(growing):
    sizes = sizes_of(make_plan(scaling="series"), make_panel(growing), {"s1": 9.0})
    expected = np.log(growing[:, :-HORIZON]).std(axis=1)
    expected[1] = 9.0
    np.testing.assert_allclose(sizes, expected)


def write_series(path: Path, *, lowest: float = 5.0) -> Path:
    random = np.random.default_rng(1)
    rows = [
        (f"s{k}", t, max(lowest, 20 * np.exp(0.3 * np.sin(t * np.pi / 2) + 0.1 * random.normal())))
        for k in range(3)
        for t in range(60)
    ]
    if lowest <= 0:
        rows[70] = ("s1", 10, lowest)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "step", "value"), *rows])
    return path


def config_for(path: Path, **model: Any) -> Config:
    return Config.model_validate(
        {
            "pipeline": "forecasting",
            "horizon": HORIZON,
            "season": 4,
            "data": {"path": str(path), "id": "id", "time": "step", "value": "value"},
            "model": {"kind": "network", "log": True, "quantiles": [0.1, 0.5, 0.9], **model},
            "encoder": {"units": 4},
            "training": {"epochs": 1, "batch_size": 16, "windows": 32, "refit": False},
        }
    )


@pytest.mark.parametrize("network", ["segment", "smoothing"])
def test_networks_train_and_forecast_above_zero(tmp_path, network):
    config = config_for(write_series(tmp_path / "series.csv"), network=network, scaling="series")
    train(config, tmp_path / "run", resume=False)
    forecaster = Forecaster.load(tmp_path / "run")
    assert forecaster.plan.log
    forecasts = forecaster.forecast(read_splits(config)[0].panel)
    assert (np.diff(forecasts, axis=2) >= 0).all()
    assert ((forecasts > 2) & (forecasts < 200)).all()


def test_a_gap_longer_than_the_network_reads_has_a_walk_of_logarithms(tmp_path):
    """From a low value a walk of values would soon be below 0, where there are none."""
    config = config_for(write_series(tmp_path / "series.csv"))
    train(config, tmp_path / "run", resume=False)
    forecaster = Forecaster.load(tmp_path / "run")
    panel = read_splits(config)[0].panel.take(np.array([0]))
    panel.values[: panel.ends[0]] *= np.exp(2 * np.random.default_rng(0).normal(size=panel.ends[0]))
    begin = panel.ends[0] - forecaster.plan.history
    panel.values[begin - 1 :] = [1e-3, *[np.nan] * forecaster.plan.history]
    forecast = forecaster.forecast(panel)[0]
    assert (forecast[:, 1] == pytest.approx(1e-3)) and (forecast > 0).all() and (np.diff(forecast, axis=1) > 0).all()


def test_sizes_to_train_with_are_those_to_forecast_with(tmp_path):
    prepared = prepare(config_for(write_series(tmp_path / "series.csv"), scaling="series"))
    before = prepared.panel.at(prepared.splits.training_ends)
    np.testing.assert_allclose(prepared.sizes, sizes_of(prepared.plan, before, {}))


def test_training_data_without_logarithms_are_refused_before_training(tmp_path):
    with pytest.raises(DataError, match=r"'s1' has the value -1, .*log"):
        prepare(config_for(write_series(tmp_path / "series.csv", lowest=-1.0)))
