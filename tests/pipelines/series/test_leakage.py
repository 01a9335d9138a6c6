"""Nothing that is learned, chosen or forecast depends on values that had not come yet."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sales import HORIZON, Sales, make_sales, write_config, write_sales

from pipelines.forecasting.automatic import own_config
from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read_splits
from pipelines.forecasting.evaluate import last_windows
from pipelines.forecasting.inspect import inspect
from pipelines.forecasting.leaderboard import compare
from pipelines.forecasting.predict import Forecaster
from pipelines.forecasting.prepare import prepare
from toolkit import config as configs
from toolkit.data.windows import Cutoffs

LEARNED = (
    "weights.safetensors",
    "model.onnx",
    "plan.json",
    "sizes.json",
    "intervals.json",
    "combination.json",
    "history.csv",
)
TESTED = 35  # of the last steps of each series, as the shared run holds back


def read_config(path: Path) -> Config:
    return configs.validate(configs.read_document(path), Config)


def with_other_future(sales: Sales, known: int) -> Sales:
    """The same until `known`; then ten times the level, another season, gaps and other promotions."""
    values, promotions = sales.values.copy(), sales.promotions.copy()
    days = np.arange(values.shape[1] - known)
    values[:, known:] = np.round(10 * values[:, known:] + 500 * (days % 5), 2)
    values[:, known + 3 :: 11] = np.nan
    promotions[:, known:] = 1 - promotions[:, known:]
    return Sales(values, promotions)


@pytest.mark.usefixtures("plain_report")
def test_nothing_in_a_run_depends_on_its_test_values(trained: Any, run: Callable) -> None:
    splits, _ = read_splits(read_config(trained.config))
    assert set((splits.panel.ends - splits.test_starts).tolist()) == {TESTED}
    changed = write_sales(Path("changed.csv"), with_other_future(trained.sales, 200 - TESTED))
    result = run(changed)
    assert result.code == 0, result.err
    for name in (*LEARNED, *(["ridge.npz"] if (trained.folder / "ridge.npz").exists() else [])):
        assert Path("run", name).read_bytes() == (trained.folder / name).read_bytes(), name
    assert Path("run/report.json").read_bytes() != (trained.folder / "report.json").read_bytes()


def test_what_is_found_out_before_training_is_found_on_the_training_part_alone() -> None:
    sales, settings_ = make_sales(3, 150), {"season": "auto", "model": {"history": None, "segment": None}}
    config = read_config(write_config(Path("c.yaml"), write_sales(Path("a.csv"), sales), **settings_))
    before = prepare(config)
    ends = before.splits.training_ends - before.panel.offsets[:-1]
    write_sales(Path("a.csv"), with_other_future(sales, int(ends.max())))
    after = prepare(config)
    assert before.plan == after.plan and before.plan.season == 7
    np.testing.assert_array_equal(before.deviations, after.deviations)
    np.testing.assert_array_equal(before.units, after.units)


def test_without_a_config_the_season_is_found_on_the_training_part() -> None:
    """What is looked at is the whole table."""
    sales = make_sales(1, 300, seed=1)
    sales.values[0, 200:] = 100 + 50 * (np.arange(100) % 2)
    look = inspect(write_sales(Path("a.csv"), sales))
    config = own_config(look, "7", 10.0, test=100)
    assert prepare(config).plan.season == 7


@pytest.mark.parametrize("model", ["trained", "plain"])
@given(seed=st.integers(0, 1000), known=st.integers(30, 150))
@settings(max_examples=5)
def test_a_forecast_reads_no_value_past_its_cutoff(model: str, seed: int, known: int, request: Any) -> None:
    """At rolling cutoffs, with intervals that follow recent errors, of series that were trained on and of others."""
    folder = request.getfixturevalue(model)
    forecaster = Forecaster.load(folder if model == "plain" else folder.folder)
    names = tuple(f"kiosk{k}" if seed % 2 else f"new{k}" for k in range(4))
    panel = make_panel(forecaster, make_sales(4, 190, seed=seed), names)
    cutoffs = Cutoffs(
        np.repeat(np.arange(4), 3), np.concatenate([b + known + 9 * np.arange(3) for b in panel.offsets[:-1]])
    )
    before = forecaster.forecast(panel, cutoffs)
    for row in (0, 7):
        position = np.arange(len(panel.values))
        steps = position - np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
        future = steps >= cutoffs.ends[row] - panel.offsets[cutoffs.series[row]]
        later = replace(panel, values=np.where(future, 1e4 + 77 * (position % 5), panel.values))
        np.testing.assert_array_equal(forecaster.forecast(later, cutoffs)[row], before[row])


def make_panel(forecaster: Forecaster, sales: Sales, names: tuple[str, ...]) -> Any:
    return forecaster.read(str(write_sales(Path("read.csv"), sales, names)))


def test_scores_at_past_cutoffs_do_not_depend_on_what_was_fitted_later(trained: Any) -> None:
    """Companions of the leaderboard are fitted on what lies before the first cutoff."""
    forecaster = Forecaster.load(trained.folder)
    sales = make_sales(4, 180, seed=4)
    boards = []
    for table in (sales, Sales(with_other_future(sales, 180 - 2 * HORIZON).values, sales.promotions)):
        panel = make_panel(forecaster, table, ("a", "b", "c", "d"))
        splits = last_windows(panel, HORIZON, count=2)
        boards.append(compare(forecaster, splits))
    first = np.flatnonzero(np.arange(len(boards[0].cutoffs)) % 2 == 0)
    for name, rival in boards[0].rivals.items():
        np.testing.assert_array_equal(boards[1].rivals[name].forecasts[first], rival.forecasts[first], err_msg=name)
    np.testing.assert_array_equal(boards[1].truth.scale, boards[0].truth.scale)
