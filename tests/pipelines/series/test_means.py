"""Where most values are 0, so is their median: then means are forecast, and what they sum to is right."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keywords import seqloom
from pydantic import ValidationError
from sales import read_table

from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.fitting import begin_network, training_cutoffs
from pipelines.forecasting.init import init
from pipelines.forecasting.model import mean_loss
from pipelines.forecasting.prepare import prepare
from pipelines.printing import leaderboard

HORIZON, SERIES, DAYS = 14, 30, 240
LEVELS = (0.1, 0.5, 0.8, 0.9)


def rare_sales(path: Path, days: int = DAYS) -> np.ndarray:
    """Counts (series, days), three of four of which are 0; all but the last days are written as a table."""
    random = np.random.default_rng(0)
    counts = random.poisson(3, (SERIES, days)) * (random.random((SERIES, days)) < 0.25)
    dates = np.datetime64("2023-01-01") + np.arange(days - HORIZON)
    rows = (f"s{k},{date},{row[day]}" for k, row in enumerate(counts) for day, date in enumerate(dates))
    path.write_text("unique_id,ds,y\n" + "\n".join(rows))
    return counts


def config_of(path: Path, **model: Any) -> Config:
    settings = {"pipeline": "forecasting", "horizon": HORIZON, "season": 1, "data": {"path": str(path)}}
    return Config.model_validate({**settings, "model": {"lower": 0.0, **model}})


@pytest.mark.filterwarnings("ignore:30 of 30 series are mostly 0")
@pytest.mark.parametrize("point", ["median", "mean"])
def test_intervals_of_what_is_mostly_0_hold_and_sums_of_means_are_right(point: str, tmp_path: Path) -> None:
    came = rare_sales(tmp_path / "a.csv")[:, -HORIZON:]
    config = config_of(tmp_path / "a.csv", point=point)
    prepared = prepare(config)
    quantiles = choose(config, prepared, None).forecast(prepared.panel)
    assert (came < quantiles[:, :, 0]).mean() < 0.1 and (came > quantiles[:, :, -1]).mean() < 0.15
    if point == "mean":
        assert quantiles[:, :, prepared.plan.median].sum() == pytest.approx(came.sum(), rel=0.25)


def test_medians_of_what_is_mostly_0_are_warned_of(tmp_path: Path) -> None:
    rare_sales(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match=r"30 of 30 series are mostly 0, .*model\.point: mean"):
        prepare(config_of(tmp_path / "a.csv"))
    with warnings.catch_warnings(action="error"):
        prepare(config_of(tmp_path / "a.csv", point="mean"))


def test_the_first_config_forecasts_means_only_of_what_is_mostly_0(tmp_path: Path) -> None:
    rare_sales(tmp_path / "a.csv")
    assert re.search(r"^  point: mean", init(tmp_path / "a.csv"), re.MULTILINE)
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text().replace(",0\n", ",1\n"))
    assert "point" not in init(tmp_path / "b.csv")


@pytest.mark.usefixtures("plain_report")
def test_a_network_learns_the_mean_and_the_run_says_what_it_is_compared_by(run: Callable) -> None:
    came = rare_sales(Path("a.csv"))[:, -HORIZON:]
    model = {"kind": "network", "point": "mean", "lower": 0.0}
    result = run(Path("a.csv"), horizon=HORIZON, season=1, data={"known": []}, model=model, training={"epochs": 6})
    assert result.code == 0, result.err
    report = json.loads(Path("run/report.json").read_text())
    assert report["metric"] == "rmsse"
    found = read_table(seqloom("forecast", "a.csv", "--model", "run").out)
    assert sum(float(row["seqloom"]) for row in found) == pytest.approx(came.sum(), rel=0.35)


def test_the_page_shows_errors_in_what_forecasters_are_compared_by(run: Callable) -> None:
    rare_sales(Path("a.csv"))
    model = {"kind": "seasonal_naive", "point": "mean", "history": None, "segment": None}
    result = run(Path("a.csv"), horizon=HORIZON, season=1, data={"known": []}, model=model)
    assert result.code == 0, result.err
    page = Path("run/report.html").read_text()
    assert all(told in page for told in ("RMSSE by step of the horizon", "of 30 series by RMSSE."))
    assert "MASE by step of the horizon" not in page


def test_scores_are_in_the_order_of_what_forecasters_are_compared_by() -> None:
    report = {"test": {"mase": 1.0, "rmsse": 3.0}, "baselines": {"ets": {"mase": 2.0, "rmsse": 2.0}}}
    for metric, first in (("mase", "seqloom"), ("rmsse", "ets")):
        assert leaderboard({"metric": metric, **report}).split("\n")[1].startswith(first)


def test_squares_alone_move_the_mean_and_the_other_levels_stand_around_it() -> None:
    """Of values that are 5 once in five times, the mean is 1; nine of ten are at most 5, eight of ten are 0."""
    values = np.array([0, 0, 0, 0, 5] * 4, np.float32)[:, None, None]
    targets = np.concatenate([values, np.ones_like(values)], axis=2)
    loss, outputs = mean_loss(LEVELS), keras.Variable(np.array([-1, 0.5, 2, 3], np.float32)[None, None])
    optimizer = keras.optimizers.SGD(0.05)
    optimizer.build([outputs])
    import tensorflow as tf

    @tf.function
    def descend() -> None:
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(loss(targets, tf.repeat(outputs.value, len(values), axis=0)))
        optimizer.apply([tape.gradient(total, outputs.value)], [outputs])

    for _ in range(2_000):
        descend()
    low, mean, _, high = np.asarray(outputs)[0, 0]
    assert mean == pytest.approx(1, abs=0.01) and low == pytest.approx(0, abs=0.1) and high == pytest.approx(5, abs=0.1)


def test_the_square_takes_the_weight_of_a_window_twice(tmp_path: Path) -> None:
    """Once beside the target and once as its weight, so that errors count in the unit of the series."""
    rare_sales(tmp_path / "a.csv")
    config = config_of(tmp_path / "a.csv", point="mean")
    prepared = prepare(config)
    _, task = begin_network(config, prepared, training_cutoffs(prepared, prepared.splits.training_ends), 0)
    _, targets, weights = next(iter(task.batches(0)))
    np.testing.assert_array_equal(targets[:, :, 1], weights)


def test_means_of_logarithms_are_refused() -> None:
    with pytest.raises(ValidationError, match="Leave point or log out"):
        config_of(Path("a.csv"), point="mean", log=True)
