"""The hybrid of exponential smoothing and a dilated network learns seasons that grow with the trend of their series."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read_splits
from pipelines.forecasting.predict import Forecaster
from pipelines.forecasting.train import train

SERIES, MONTHS, SEASON, HORIZON = 12, 108, 12, 6


def write_series(path: Path) -> Path:
    """Months with a rising level, swings in proportion to it, and a little noise."""
    random = np.random.default_rng(0)
    months, rows = np.arange(MONTHS), []
    for k in range(SERIES):
        rising = np.exp(random.uniform(0.004, 0.012) * months + random.uniform(2, 5))
        swing = 1 + 0.3 * np.sin(2 * np.pi * (months + random.integers(SEASON)) / SEASON)
        values = rising * swing * np.exp(random.normal(0, 0.02, MONTHS))
        rows += [(f"s{k}", f"{2010 + t // 12}-{t % 12 + 1:02}-01", f"{values[t]:.4f}") for t in months]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "time", "value"), *rows])
    return path


def config_for(path: Path, **model: object) -> Config:
    return Config.model_validate(
        {
            "pipeline": "forecasting",
            "horizon": HORIZON,
            "season": SEASON,
            "data": {"path": str(path)},
            "split": {"validation": 12, "test": 12},
            "model": {"kind": "network", "network": "smoothing", "quantiles": [0.1, 0.5, 0.9], **model},
            "encoder": {"cell": "lstm", "units": 16, "layers": 3},
            "training": {"epochs": 4, "batch_size": 32, "learning_rate": 0.01, "refit": False},
        }
    )


@pytest.mark.parametrize("log", [False, True])
def test_the_hybrid_beats_seasonal_naive_on_trend_and_season(tmp_path, log):
    config = config_for(write_series(tmp_path / "series.csv"), log=log)
    report = train(config, tmp_path / "run", resume=False)
    assert report["test"]["mase"] < 0.5 * report["baselines"]["seasonal_naive"]["mase"]
    splits, _ = read_splits(config)
    forecasts = Forecaster.load(tmp_path / "run").forecast(splits.panel)
    assert (np.diff(forecasts, axis=2) >= 0).all()
    assert (forecasts > 0).all() or not log
