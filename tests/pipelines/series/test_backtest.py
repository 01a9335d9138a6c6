"""Past cutoffs: what would have been forecast, and what came."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import Result, seqloom
from sales import HORIZON, day, make_sales, read_table, rows_of, write_sales, write_table

from pipelines.forecasting import backtest as backtests
from pipelines.forecasting.predict import Forecaster

COLUMNS = ["unique_id", "ds", "cutoff", "y", "seqloom", "seqloom-lo-80", "seqloom-hi-80"]
COMPANIONS = {"naive", "seasonal_naive", "drift", "seasonal_profile", "theta", "ets", "ridge"}


def backtest(*options: Any) -> Result:
    result = seqloom("backtest", *options, "--out", "out.csv", "--json")
    assert result.code == 0, result.err
    return result


@pytest.mark.parametrize(("options", "count", "step"), [((), 5, 7), (("--windows", 3, "--step", 2), 3, 2)])
def test_each_row_has_its_cutoff_and_what_came(trained: Any, options: tuple, count: int, step: int) -> None:
    backtest(trained.table, "--model", trained.folder, *options)
    found = read_table(Path("out.csv").read_text())
    assert list(found[0]) == COLUMNS
    expected = [
        (f"kiosk{k}", day(first + t), day(first - 1), trained.sales.values[k, first + t])
        for k in range(4)
        for first in range(200 - HORIZON - (count - 1) * step, 200 - HORIZON + 1, step)
        for t in range(HORIZON)
    ]
    assert [(row["unique_id"], row["ds"], row["cutoff"], float(row["y"])) for row in found] == expected


def test_forecasts_are_written_though_nobody_reads_the_leaderboard(trained: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = ["-u", "-m", "pipelines.cli", "backtest", trained.table, "--model", trained.folder, "-o", "out.csv"]
    subprocess.run([sys.executable, *map(str, command)], stdout=writer, timeout=120, check=False)
    os.close(writer)
    assert len(read_table(Path("out.csv").read_text())) == 4 * 5 * HORIZON


def test_the_last_cutoff_has_the_forecast_that_was_made_there(trained: Any) -> None:
    backtest(trained.table, "--model", trained.folder)
    past = [row for row in read_table(Path("out.csv").read_text()) if row["cutoff"] == day(200 - HORIZON - 1)]
    ahead = [[*row[:2], "" if row[1] > day(200 - HORIZON - 1) else row[2], row[3]] for row in rows_of(trained.sales)]
    then = seqloom("forecast", write_table(Path("then.csv"), ahead), "--model", trained.folder)
    for row, other in zip(past, read_table(then.out), strict=True):
        assert (row["unique_id"], row["ds"]) == (other["unique_id"], other["ds"])
        for name in COLUMNS[4:]:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4)


def test_the_leaderboard_has_everybody_and_the_errors_of_the_rows(trained: Any) -> None:
    scores = json.loads(backtest(trained.table, "--model", trained.folder).out)
    assert scores.keys() == COMPANIONS | {"seqloom", "network"}
    assert all(score >= 0 for each in scores.values() for score in each.values())
    found = read_table(Path("out.csv").read_text())
    y, middle, low, high = (np.array([float(row[name]) for row in found]) for name in COLUMNS[3:])
    assert scores["seqloom"]["mae"] == pytest.approx(np.abs(y - middle).mean(), rel=1e-4)
    assert scores["seqloom"]["coverage_80"] == pytest.approx(((low <= y) & (y <= high)).mean(), abs=0.01)
    table = seqloom("backtest", trained.table, "--model", trained.folder).out.splitlines()
    names = [line.split()[0] for line in table[1:]]
    assert names == sorted(scores, key=lambda name: scores[name]["mase"])


def test_windows_that_the_run_has_learned_from_are_told(trained: Any, plain: Path) -> None:
    begin = 200 - 5 * HORIZON  # of the part that is held back for tests
    for count, early in ((5, 0), (6, 4), (8, 12)):
        result = backtest(trained.table, "--model", trained.folder, "--windows", count)
        told = f"{early} of {4 * count} windows begin where the run has learned from series of these names (from kiosk0"
        assert (told in result.err, f"up to {day(begin)}" in result.err) == (early > 0, early > 0), result.err
    shorter = write_sales(Path("shorter.csv"), make_sales(4, 190))
    assert "8 of 20 windows" in seqloom("evaluate", "--model", plain, "--data", shorter).err
    table = Path("others.csv")
    table.write_text(trained.table.read_text().replace("kiosk", "stand"))
    assert "has learned" not in backtest(table, "--model", trained.folder).err


def test_evaluate_scores_the_same_windows(trained: Any) -> None:
    board = json.loads(backtest(trained.table, "--model", trained.folder).out)
    result = seqloom("evaluate", "--model", trained.folder, "--data", trained.table, "--json")
    assert json.loads(result.out) == board["seqloom"]


def test_missing_truth_is_an_empty_cell_and_not_scored(plain: Path) -> None:
    sales = make_sales(2, 100)
    sales.values[0, 90:92] = np.nan
    backtest(write_sales(Path("a.csv"), sales), "--model", plain)
    found = read_table(Path("out.csv").read_text())
    assert [row["y"] == "" for row in found] == [
        row["unique_id"] == "kiosk0" and row["ds"] in (day(90), day(91)) for row in found
    ]
    assert all(row["seqloom"] for row in found)


def test_a_gap_longer_than_the_network_reads_has_the_forecast_of_a_random_walk(plain: Path) -> None:
    sales = make_sales(2, 200)
    sales.values[0, 120:193] = np.nan
    backtest(write_sales(Path("gap.csv"), sales), "--model", plain, "--windows", 1)
    found = [row for row in read_table(Path("out.csv").read_text()) if row["unique_id"] == "kiosk0"]
    middle, low, high = (np.array([float(row[name]) for row in found]) for name in COLUMNS[4:])
    np.testing.assert_allclose(middle, sales.values[0, 119], rtol=1e-4)
    assert (low < middle).all() and (middle < high).all()


def test_series_without_values_after_the_cutoffs_are_refused(plain: Path) -> None:
    sales = make_sales(1, 60)
    sales.values[:] = np.nan
    result = seqloom("backtest", write_sales(Path("a.csv"), sales), "--model", plain)
    assert result.code == 1 and "no value is known after any of the cutoffs" in result.err


def test_an_interval_that_no_run_will_have_is_refused_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtests, "_run", lambda _: pytest.fail("it was trained"))
    table = write_sales(Path("a.csv"), make_sales(1, 70))
    result = seqloom("backtest", table, "--horizon", 7, "--level", 77, "--out", "out.csv")
    assert result.code == 2 and "there is no 77 % interval in this run" in result.err


def test_series_that_nothing_tells_apart_are_not_thrown_away() -> None:
    table = write_table(
        Path("a.csv"), [[day(t), 10 * k + t % 7] for t in range(90) for k in range(2)], ("date", "sales")
    )
    for command in ("backtest", "forecast"):
        result = seqloom(command, table, "--horizon", 7, "--time", "1s")
        assert (
            result.code == 1
            and "as if it were several. Name the columns that tell them apart, data.id in the config" in result.err
        )


def test_other_horizons_and_short_series_are_refused(plain: Path) -> None:
    table = write_sales(Path("a.csv"), make_sales(1, 60))
    result = seqloom("backtest", table, "--model", plain, "--horizon", "3d")
    assert result.code == 2 and "3d, but this run forecasts 7 steps. Leave it out" in result.err
    assert seqloom("backtest", table, "--model", plain, "--horizon", "1w").code == 0
    result = seqloom("backtest", write_sales(Path("b.csv"), make_sales(1, 7)), "--model", plain)
    assert result.code == 1 and "the longest series has 7 values, too few to hold back 7" in result.err
    assert seqloom("backtest", table, "--model", plain, "--windows", 0).code == 2


@pytest.mark.parametrize("refit", [False, True])
def test_without_a_run_all_is_trained_before_the_cutoffs(refit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --refit, once before each of them. Too short for a network, so that companions are all there is."""
    seen, load = [], Forecaster.load

    def noted(folder: Path) -> Forecaster:
        seen.append(json.loads((Path(folder) / "intervals.json").read_text())["offsets"])
        return load(folder)

    monkeypatch.setattr(backtests.Forecaster, "load", noted)
    monkeypatch.setattr("pipelines.forecasting.report.render", lambda *_: ("<html></html>", "verdict"))
    sales = make_sales(1, 70)
    table = write_sales(Path("a.csv"), sales)
    options = ("--horizon", 7, "--windows", 2, "--time", "2s", *["--refit"] * refit)
    backtest(table, *options)
    before = read_table(Path("out.csv").read_text())
    assert [row["cutoff"] for row in before] == [day(55)] * 7 + [day(62)] * 7
    assert [float(row["y"]) for row in before] == sales.values[0, 56:].tolist()
    assert len({json.dumps(each) for each in seen}) == (2 if refit else 1)
    sales.values[0, 63:] += 1000
    write_sales(table, sales)
    backtest(table, *options)
    after = read_table(Path("out.csv").read_text())
    assert [row["seqloom"] for row in after] == [row["seqloom"] for row in before]


def test_scores_are_those_of_the_report_where_it_has_another_season_or_units(here: Path, run: Any) -> None:
    table = write_sales(Path("sales.csv"), make_sales(2, 120))
    split = {"test": 21, "validation": 21, "step": 7, "mase_season": 1, "standardized": True}
    assert run(table, model={"kind": "seasonal_naive"}, split=split, data={"known": []}).code == 0
    report = json.loads(Path("run/report.json").read_text())["test"]
    sales = make_sales(2, 120).values
    scores = json.loads(backtest(table, "--model", "run", "--windows", 3).out)["seqloom"]
    for name in ("mase", "owa", "rmsse"):
        assert scores[name] == pytest.approx(report[name], rel=1e-6)
    rows = read_table(Path("out.csv").read_text())  # which has the units of the table
    assert [float(row["y"]) for row in rows] == sales[:, -21:].ravel().tolist()
    assert [float(row["seqloom"]) for row in rows[:7]] == pytest.approx(sales[0, -28:-21].tolist())


def test_series_that_are_too_short_to_be_scored_are_told(here: Path, plain: Path) -> None:
    sales = make_sales(4, 60)
    for k in range(3):
        sales.values[k, :56] = np.nan
    result = backtest(write_sales(Path("a.csv"), sales), "--model", plain)
    assert "series that are too short for a test window: 3 of 4, such as kiosk0; they are in no score" in result.err
