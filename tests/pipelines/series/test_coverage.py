"""Intervals hold on processes that are known: shocks in common, scales that change, logarithms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.prepare import prepare

HORIZON = 12


def quantiles_after(path: Path, values: np.ndarray, **model: Any) -> np.ndarray:
    """What simple methods forecast after the series (series, steps). Shapes: -> (series, horizon, levels)"""
    days = np.datetime64("2000-01-01") + np.arange(values.shape[1])
    rows = (f"s{k},{day},{value}" for k, row in enumerate(values) for day, value in zip(days, row, strict=True))
    path.write_text("unique_id,ds,y\n" + "\n".join(rows))
    settings = {"pipeline": "forecasting", "horizon": HORIZON, "season": 1, "data": {"path": str(path)}, "model": model}
    prepared = prepare(config := Config.model_validate(settings))
    return choose(config, prepared, None).forecast(prepared.panel)


def coverage(path: Path, values: np.ndarray, **model: Any) -> np.ndarray:
    """The share of what comes inside of the intervals of 80 %, of each series."""
    quantiles, truth = quantiles_after(path, values[:, :-HORIZON], **model), values[:, -HORIZON:]
    return ((quantiles[..., 0] <= truth) & (truth <= quantiles[..., -1])).mean(axis=1)


def walks(random: np.random.Generator, series: int, steps: int, size: float = 1.0) -> np.ndarray:
    return 100 + np.cumsum(size * random.normal(size=(series, steps)), axis=1)


def test_a_shock_that_series_have_in_common_is_no_more_windows(tmp_path: Path) -> None:
    """Thirty series of one time are worth little more than one window, and too narrow intervals were the price."""
    found = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        values = walks(random, 1, 72) + walks(random, 30, 72, 0.3)
        found.append(coverage(tmp_path / "a.csv", values).mean())
    assert np.mean(found) > 0.7
    independent = [
        coverage(tmp_path / "a.csv", 100 + np.random.default_rng(seed).normal(size=(30, 72))).mean()
        for seed in range(4)
    ]
    assert np.mean(independent) == pytest.approx(0.8, abs=0.04)


def test_series_that_are_harder_to_forecast_have_wider_intervals(tmp_path: Path) -> None:
    """Random walks beside noise, whose changes from step to step are as large."""
    found = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        noise = 100 + random.normal(size=(12, 132)) / 2**0.5
        found.append(coverage(tmp_path / "a.csv", np.concatenate([walks(random, 12, 132), noise])))
    walked, steady = np.mean(found, axis=0)[:12].mean(), np.mean(found, axis=0)[12:].mean()
    assert walked > 0.68 and steady < 0.92  # with one width for all: 0.59 and 0.98


def test_the_time_before_a_product_was_sold_does_not_tell_how_large_errors_are(tmp_path: Path) -> None:
    found = []
    for seed in range(4):
        counts = np.random.default_rng(seed).poisson(20, (12, 312)).astype(float)
        counts[:3, :240] = 0  # not sold yet
        found.append(coverage(tmp_path / "a.csv", counts, lower=0.0))
    launched, others = np.mean(found, axis=0)[:3].mean(), np.mean(found, axis=0)[3:].mean()
    assert launched > 0.6 and others == pytest.approx(0.8, abs=0.07)


def test_few_windows_of_late_give_wide_intervals(tmp_path: Path) -> None:
    """Of a season of one step two horizons of late are two windows that do not overlap, however many there are."""
    model = {"kind": "naive", "intervals": "recent"}
    found = [coverage(tmp_path / "a.csv", walks(np.random.default_rng(seed), 1, 300), **model) for seed in range(30)]
    assert np.mean(found) > 0.72


def test_intervals_of_late_rest_on_nothing_that_the_ridge_has_seen(tmp_path: Path) -> None:
    """Where validation rows train no network, they train the ridge all the same."""
    values, until = walks(np.random.default_rng(0), 1, 300), {}
    for kind in ("ridge", "naive"):
        path = tmp_path / "a.csv"
        path.write_text("y\n" + "\n".join(map(str, values[0])))
        settings = {"horizon": HORIZON, "season": 1, "data": {"path": str(path)}, "training": {"refit": False}}
        settings |= {"pipeline": "forecasting", "model": {"kind": kind, "intervals": "recent"}}
        prepared = prepare(config := Config.model_validate(settings))
        until[kind] = choose(config, prepared, None).plan.trained_until
    assert until == {"ridge": prepared.splits.test_starts[0], "naive": prepared.splits.training_ends[0]}


@pytest.mark.parametrize("steps", [60, 300])
def test_with_logarithms_no_bound_is_below_0_and_intervals_are_wider_above(steps: int, tmp_path: Path) -> None:
    values = np.exp(np.cumsum(0.3 * np.random.default_rng(1).normal(size=(1, steps)), axis=1))
    found = quantiles_after(tmp_path / "a.csv", values, log=True)
    assert (found > 0).all()
    median = found.shape[2] // 2
    assert (found[..., -1] - found[..., median] > found[..., median] - found[..., 0]).all()
    assert (quantiles_after(tmp_path / "a.csv", values) < 0).any()
