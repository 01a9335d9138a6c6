"""Forecasts with a trained run: what is written, for which series, and what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import Result, seqloom
from sales import HORIZON, Sales, day, make_sales, read_table, rows_of, write_config, write_sales, write_table

from pipelines.forecasting.predict import Forecaster
from toolkit import runtime
from toolkit.kernels import prediction

COLUMNS = ["unique_id", "ds", "seqloom", "seqloom-lo-80", "seqloom-hi-80"]
NUMBERS = COLUMNS[2:]


def forecast(model: Path, table: Any, *options: Any) -> Result:
    return seqloom("forecast", table, "--model", model, *options)


def rows(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return read_table(result.out)


def numbers(found: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[name]) for name in NUMBERS] for row in found])


def write_future(path: Path, series: list[str], first: int, promotions: np.ndarray) -> Path:
    """Shapes: promotions (series, days)."""
    told = [
        [name, day(first + t), int(on)]
        for name, row in zip(series, promotions, strict=True)
        for t, on in enumerate(row)
    ]
    return write_table(path, told, ("unique_id", "ds", "promotion"))


@pytest.fixture
def future(trained: Any) -> Path:
    """No promotion anywhere in the week to come."""
    return write_future(Path("future.csv"), [f"kiosk{k}" for k in range(4)], 200, np.zeros((4, HORIZON)))


def test_a_forecast_has_a_row_a_step_behind_each_series(trained: Any, future: Path) -> None:
    found = rows(forecast(trained.folder, trained.table, "--future", future))
    assert list(found[0]) == COLUMNS
    assert [row["unique_id"] for row in found] == [f"kiosk{k}" for k in range(4) for _ in range(HORIZON)]
    assert [row["ds"] for row in found] == [day(200 + t) for _ in range(4) for t in range(HORIZON)]
    values = numbers(found)
    assert np.isfinite(values).all()
    assert (values[:, 1] <= values[:, 0]).all() and (values[:, 0] <= values[:, 2]).all()
    level = trained.sales.values.mean(axis=1).repeat(HORIZON)
    assert (np.abs(values[:, 0] / level - 1) < 0.6).all()


def test_a_rule_for_several_values_at_one_time_can_be_given(plain: Path) -> None:
    told = rows_of(make_sales(1, 60))
    table = write_table(Path("twice.csv"), [*told, told[-1]])
    refused = forecast(plain, table)
    assert refused.code == 1 and "twice.csv" in refused.err and "duplicates" in refused.err
    once = rows(forecast(plain, write_table(Path("once.csv"), told)))
    assert rows(forecast(plain, table, "--duplicates", "last")) == once


def test_pictures_never_replace_what_is_read(plain: Path) -> None:
    table = write_sales(Path("sales.csv"), make_sales(1, 60))
    before = table.read_bytes()
    result = forecast(plain, table, "-o", "out.csv", "--page", table)
    assert result.code == 2 and "would be lost" in result.err
    assert table.read_bytes() == before and not Path("out.csv").exists()


def test_what_only_a_trained_run_reads_is_refused_without_one() -> None:
    table = write_sales(Path("sales.csv"), make_sales(1, 60))
    for option, value in (("--page", "page.html"), ("--duplicates", "last"), ("--future", "f.csv")):
        result = seqloom("forecast", table, option, value)
        assert result.code == 2 and option in result.err and not Path("runs").exists()


def test_an_interval_that_the_run_would_not_have_is_refused_before_training() -> None:
    table = write_sales(Path("sales.csv"), make_sales(1, 120))
    result = seqloom("forecast", table, "--horizon", "7", "--level", "95", "--save", "run")
    assert result.code == 2 and "there is no 95 % interval" in result.err and not Path("run").exists()


def test_csv_jsonl_and_parquet_hold_the_same(trained: Any, future: Path) -> None:
    expected = rows(forecast(trained.folder, trained.table, "--future", future))
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        result = forecast(trained.folder, trained.table, "--future", future, "-o", name)
        assert (result.code, result.out) == (0, ""), result.err
    assert read_table(Path("a.csv").read_text()) == expected
    records = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    import pyarrow.parquet

    table = pyarrow.parquet.read_table("a.parquet")
    assert table.column_names == COLUMNS
    for found in (records, table.to_pylist()):
        assert [{name: str(value) for name, value in row.items()} for row in found] == expected


def test_series_that_were_not_trained_on_are_forecast(plain: Path) -> None:
    table = write_sales(Path("new.csv"), make_sales(2, 60, seed=5), ["north", "south"])
    found = rows(forecast(plain, table))
    assert {row["unique_id"] for row in found} == {"north", "south"}
    assert np.isfinite(numbers(found)).all()
    assert found[0]["ds"] == day(60)


def test_new_rows_move_the_forecast_on(plain: Path) -> None:
    longer = make_sales(4, 230)
    found = rows(forecast(plain, write_sales(Path("longer.csv"), longer)))
    assert found[0]["ds"] == day(230)
    before = rows(forecast(plain, write_sales(Path("before.csv"), longer.days(200))))
    assert not np.allclose(numbers(found), numbers(before))


def test_a_shorter_horizon_is_the_beginning_of_the_whole_one(plain: Path) -> None:
    table = write_sales(Path("a.csv"), make_sales())
    whole = rows(forecast(plain, table))
    for asked, steps in (("3", 3), ("3d", 3), ("1w", 7), ("1", 1)):
        found = rows(forecast(plain, table, "--horizon", asked))
        assert found == [row for i, row in enumerate(whole) if i % HORIZON < steps]


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ("8", 1, "a horizon of 8 steps, but this run forecasts 7 at most"),
        ("2w", 1, "a horizon of 14 steps"),
        ("0", 2, "'0' is not a whole number of steps"),
        ("-3", 2, "'-3' is no span of time"),
        ("\u00b2", 2, "is no span of time"),
        ("7h", 2, "not a whole number of steps"),
        ("soon", 2, "'soon' is no span of time"),
    ],
)
def test_horizons_that_a_run_has_not_are_refused(asked: str, code: int, told: str, trained: Any, future: Path) -> None:
    for options in (["--future", future], ["--skeleton", "skeleton.csv"]):
        result = forecast(trained.folder, trained.table, "--horizon", asked, *options)
        assert (result.code, result.out) == (code, "")
        assert told in result.err
    assert not Path("skeleton.csv").exists()


def test_levels_choose_the_intervals(trained: Any, future: Path) -> None:
    found = rows(forecast(trained.folder, trained.table, "--future", future, "--level", 40, "--level", 80))
    assert list(found[0])[3:] == ["seqloom-lo-40", "seqloom-hi-40", "seqloom-lo-80", "seqloom-hi-80"]
    for row in found:
        edges = [float(row[f"seqloom-{name}"]) for name in ("lo-80", "lo-40", "hi-40", "hi-80")]
        assert edges == sorted(edges)
    result = forecast(trained.folder, trained.table, "--future", future, "--level", 95)
    assert result.code == 2
    assert "there is no 95 % interval in this run, which has 80, 60, 40, 20" in result.err


def test_intervals_need_no_whole_percent(run: Any) -> None:
    table = write_sales(Path("a.csv"), make_sales(2, 100))
    result = run(table, data={"known": []}, model={"kind": "naive", "quantiles": [0.0125, 0.5, 0.9875]})
    assert result.code == 0, result.err
    for options in ((), ("--level", 97.5)):
        found = rows(forecast(Path("run"), table, *options))
        assert list(found[0])[2:] == ["seqloom", "seqloom-lo-97.5", "seqloom-hi-97.5"]
    told = forecast(Path("run"), table, "--level", 98).err
    assert "there is no 98 % interval in this run, which has 97.5." in told


def test_a_skeleton_is_filled_in_and_read_back(trained: Any) -> None:
    assert forecast(trained.folder, trained.table, "--skeleton", "skeleton.csv").code == 0
    skeleton = read_table(Path("skeleton.csv").read_text())
    assert list(skeleton[0]) == ["unique_id", "ds", "promotion"]
    assert [row["ds"] for row in skeleton] == [day(200 + t) for _ in range(4) for t in range(HORIZON)]
    assert {row["promotion"] for row in skeleton} == {""}
    result = forecast(trained.folder, trained.table, "--future", "skeleton.csv")
    assert result.code == 1 and "column 'promotion' must be known for the 7 steps" in result.err
    text = Path("skeleton.csv").read_text()
    Path("skeleton.csv").write_text(text.replace(",\n", ",1\n"))
    with_promotion = rows(forecast(trained.folder, trained.table, "--future", "skeleton.csv"))
    Path("none.csv").write_text(text.replace(",\n", ",0\n"))
    without = rows(forecast(trained.folder, trained.table, "--future", "none.csv"))
    assert (numbers(with_promotion)[:, 0] > numbers(without)[:, 0]).all()


def test_a_skeleton_has_the_names_of_the_table_and_the_future_only_what_is_known(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was told the names of columns, of a table with others beside."""
    forecaster = Forecaster.load(trained.folder)
    named = replace(forecaster.source, id="store", time="date", value="sales", covariates=("promotion",))
    monkeypatch.setattr(Forecaster, "load", lambda _: replace(forecaster, source=named))
    table = write_table(Path("a.csv"), rows_of(trained.sales), ("store", "date", "sales", "promotion"))
    assert forecast(trained.folder, table, "--skeleton", "skeleton.csv").code == 0
    text = Path("skeleton.csv").read_text()
    assert text.startswith("store,date,promotion\n")
    Path("skeleton.csv").write_text(text.replace(",\n", ",0\n"))
    assert len(rows(forecast(trained.folder, table, "--future", "skeleton.csv"))) == 4 * HORIZON


def test_a_plan_of_words_may_say_none(naive: Any) -> None:
    words = [(*row[:3], "tv" if row[3] else "none") for row in rows_of(make_sales(2, 100))]
    table = write_table(Path("a.csv"), words, ("unique_id", "ds", "y", "promotion"))
    run = naive(table, data={"known": ["promotion"]})
    assert "column 'promotion' must be known for the 7 steps" in forecast(run, table).err
    assert forecast(run, table, "--skeleton", "skeleton.csv").code == 0
    text = Path("skeleton.csv").read_text()
    Path("skeleton.csv").write_text(text.replace(",\n", ",none\n"))
    assert len(rows(forecast(run, table, "--future", "skeleton.csv"))) == 2 * HORIZON


@pytest.fixture
def naive() -> Any:
    """Trains a run of the naive forecast on a table."""

    def train(table: Path, /, **stanzas: Any) -> Path:
        model = {"kind": "naive", "lower": None, **stanzas.pop("model", {})}
        data = {"known": [], **stanzas.pop("data", {})}
        config = write_config(Path("naive.yaml"), table, model=model, data=data, **stanzas)
        result = seqloom("run", config, "--out", "naive")
        assert result.code == 0, result.err
        return Path("naive")

    return train


def test_what_is_large_for_its_changes_is_written_with_the_digits_that_they_need(naive: Any) -> None:
    values = 123456789 + np.arange(120) % 7 * 3 + np.arange(120) / 2
    table = write_sales(Path("a.csv"), Sales(values[None], np.zeros((1, 120))))
    found = numbers(rows(forecast(naive(table, model={"kind": "seasonal_naive"}), table)))
    np.testing.assert_allclose(found[:, 0], values[-HORIZON:], atol=0.01, rtol=0)
    assert (found[:, 1] < found[:, 2]).all()
    seqloom("backtest", table, "--model", "naive", "--windows", 1, "--out", "past.csv")
    assert [float(row["y"]) for row in read_table(Path("past.csv").read_text())] == values[-HORIZON:].tolist()


def test_a_run_on_another_frequency_reads_its_own_table(naive: Any, plain_report: None) -> None:
    """With levels of its own too, of which one interval is written."""
    table = write_sales(Path("a.csv"), make_sales(1, 400))
    weekly = {"frequency": "W-SUN", "duplicates": "sum"}
    run = naive(table, data=weekly, model={"quantiles": [0.05, 0.5, 0.95]}, horizon=3, season=1)
    found = rows(forecast(run, table))
    assert list(found[0])[2:] == ["seqloom", "seqloom-lo-90", "seqloom-hi-90"]
    days = [np.datetime64(row["ds"]) for row in found]
    assert np.is_busday(days, "0000001").all() and set(np.diff(days).astype(int)) == {7}
    assert seqloom("backtest", table, "--model", run).code == 0
    monthly = write_table(Path("b.csv"), [[f"2024-{month:02}-07", month] for month in range(1, 9)], ("ds", "y"))
    result = forecast(run, monthly)
    assert result.code == 1 and "4 or more steps apart; the model was trained on weekly (Sunday) steps" in result.err


def test_only_the_promotion_of_its_own_day_and_series_moves_a_forecast_up(trained: Any, future: Path) -> None:
    promotions = np.zeros((4, HORIZON))
    promotions[2, 5] = 1
    one = write_future(Path("one.csv"), [f"kiosk{k}" for k in range(4)], 200, promotions)
    before, after = (numbers(rows(forecast(trained.folder, trained.table, "--future", each))) for each in (future, one))
    changed = (after[:, 0] != before[:, 0]).reshape(4, HORIZON)
    assert changed[2, 5] and not changed[[0, 1, 3]].any()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_series_come_through_standard_input_too(encoding: str, trained: Any, future: Path) -> None:
    arguments, table = ("--model", trained.folder, "--future", future), trained.table.read_text()
    expected = seqloom("forecast", trained.table, *arguments).out
    assert expected and seqloom("forecast", "-", *arguments, stdin=table.encode(encoding)).out == expected
    tested = seqloom("backtest", trained.table, "--model", trained.folder, "--windows", 2).out
    assert seqloom("backtest", "-", "--model", trained.folder, "--windows", 2, stdin=table.encode()).out == tested


@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_standard_input_is_nothing_to_train_on(command: str, trained: Any) -> None:
    result = seqloom(command, "-", "-h", 7, stdin=trained.table.read_bytes())
    assert result.code == 2 and "standard input is read once" in result.err and "--model" in result.err


def test_standard_input_of_several_columns_can_be_looked_at(tmp_path: Path) -> None:
    rows = [[day(t), t % 7, 40 - t] for t in range(40)]
    table = write_table(tmp_path / "wide.csv", rows, ("date", "tea", "oil")).read_bytes()
    for command in (["inspect"], ["init", "forecast"]):
        result = seqloom(*command, "-", stdin=table)
        assert result.code == 0 and "# value: tea " in result.out, result.err


def test_nothing_on_standard_input_is_told(trained: Any) -> None:
    assert "-: nothing to read here" in seqloom("forecast", "-", "--model", trained.folder).err


def test_a_table_of_the_future_may_hold_other_numbers(trained: Any, future: Path) -> None:
    known = read_table(future.read_text())
    others = write_table(
        Path("others.csv"),
        [[*row.values(), t if t > 2 else "", 10 - t] for t, row in enumerate(known)],
        (*known[0], "stock", "cost"),
    )
    expected = forecast(trained.folder, trained.table, "--future", future).out
    assert forecast(trained.folder, trained.table, "--future", others).out == expected


def test_rows_of_the_future_may_stand_in_the_table_itself(trained: Any, future: Path) -> None:
    ahead = [[row["unique_id"], row["ds"], "", row["promotion"]] for row in read_table(future.read_text())]
    both = write_table(Path("both.csv"), [*rows_of(trained.sales), *ahead])
    assert rows(forecast(trained.folder, both)) == rows(forecast(trained.folder, trained.table, "--future", future))


def test_without_what_is_known_ahead_the_way_to_give_it_is_told(trained: Any, plain: Path, future: Path) -> None:
    result = forecast(trained.folder, trained.table)
    assert (result.code, result.out) == (1, "")
    assert "for 4 of 4 series, first 'kiosk0'. Write the rows to fill in with --skeleton FILE" in result.err
    result = forecast(plain, trained.table, "--skeleton", "skeleton.csv")
    assert result.code == 1 and "needs nothing that is known ahead" in result.err
    result = forecast(plain, trained.table, "--future", future)
    assert result.code == 1 and "needs nothing that is known ahead. Leave --future out" in result.err
    result = seqloom("forecast", trained.table, "--future", future)
    assert result.code == 2 and "needs a run that was trained on it" in result.err


def test_what_lacks_is_never_nan_and_a_series_without_any_value_gets_empty_cells(plain: Path) -> None:
    sales = make_sales(5, 90, seed=3)
    sales.values[0, 10:30] = sales.values[1, -9:-1] = np.nan
    sales.values[1, :5] = np.nan
    sales.values[2] = np.nan
    sales.values[3, :-1] = np.nan
    sales.values[4, 1:] = np.nan
    result = forecast(plain, write_sales(Path("gaps.csv"), sales))
    found = rows(result)
    assert "nan" not in result.out.lower()
    assert "series that have no value at all and get no forecast: 1 of 5, first 'kiosk2'" in result.err
    assert {row["unique_id"] for row in found} == {f"kiosk{k}" for k in range(5)}
    for row in found:
        empty = [row[name] == "" for name in NUMBERS]
        assert all(empty) if row["unique_id"] == "kiosk2" else not any(empty)


def test_a_series_without_any_value_needs_nothing_that_is_known_ahead(trained: Any, future: Path) -> None:
    expected = forecast(trained.folder, trained.table, "--future", future).out
    text = trained.table.read_text()
    Path("a.csv").write_text(text + f"new,{day(0)},,1\nnew,{day(1)},,0\n")
    result = forecast(trained.folder, "a.csv", "--future", future)
    assert result.code == 0, result.err
    assert result.out == expected + "".join(f"new,{day(2 + t)},,,\n" for t in range(HORIZON))


def test_empty_cells_are_null_in_other_formats(plain: Path) -> None:
    sales = Sales(np.full((1, 30), np.nan), np.zeros((1, 30)))
    table = write_sales(Path("a.csv"), sales)
    assert forecast(plain, table, "-o", "a.jsonl").code == forecast(plain, table, "-o", "a.parquet").code == 0
    assert json.loads(Path("a.jsonl").read_text().splitlines()[0])["seqloom"] is None
    import pyarrow.parquet

    assert pyarrow.parquet.read_table("a.parquet")["seqloom"].null_count == HORIZON


def test_forecasts_are_the_same_whoever_else_is_in_the_table(plain: Path) -> None:
    sales = make_sales(3, 80, seed=9)
    together = rows(forecast(plain, write_sales(Path("a.csv"), sales)))
    alone = rows(
        forecast(plain, write_sales(Path("b.csv"), Sales(sales.values[1:2], sales.promotions[1:2]), ["kiosk1"]))
    )
    np.testing.assert_allclose(numbers(alone), numbers(together)[HORIZON : 2 * HORIZON], rtol=1e-4)


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
@pytest.mark.parametrize("model", ["trained", "plain"])
def test_forecasts_of_many_series_are_those_of_few(model: str, request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = request.getfixturevalue(model)
    few, many = (Forecaster.load(folder if model == "plain" else folder.folder) for _ in range(2))
    panel = few.read(str(write_sales(Path("read.csv"), make_sales(4, 190, seed=3), tuple("abcd"))))
    expected = few.forecast(panel)
    monkeypatch.setattr(runtime, "MANY", 1)
    np.testing.assert_allclose(many.forecast(panel), expected, rtol=1e-5)
    assert many.runtime.fused and not few.runtime.fused


def test_no_command_writes_over_what_it_reads(trained: Any, future: Path) -> None:
    table = write_sales(Path("sales.csv"), trained.sales)
    Path("link.csv").symlink_to(table)
    before, told = table.read_bytes(), future.read_bytes()
    for command in (
        ["forecast", table, "--model", trained.folder, "--future", future, "-o", table],
        ["forecast", table, "--model", trained.folder, "--future", future, "-o", "link.csv"],
        ["forecast", table, "--model", trained.folder, "--future", future, "-o", future],
        ["forecast", table, "--model", trained.folder, "--skeleton", table],
        ["forecast", table, "-o", table],
        ["backtest", table, "--model", trained.folder, "-o", table],
        ["inspect", table, "-o", table],
    ):
        result = seqloom(*command)
        assert result.code == 2, command
        assert "this is an input too, and would be lost" in result.err
    assert (table.read_bytes(), future.read_bytes()) == (before, told)


def test_a_file_of_no_known_format_is_refused_before_anything_is_read(plain: Path) -> None:
    result = forecast(plain, "nowhere.csv", "-o", "out.xlsx")
    assert result.code == 2 and "should end in .csv, .jsonl or .parquet" in result.err


@pytest.mark.parametrize(
    ("alias", "start"),
    [
        ("ME", "2023-01-31"),
        ("MS", "2023-01-01"),
        ("QE", "2020-03-31"),
        ("YS", "2000-01-01"),
        ("W-WED", "2024-01-03"),
        ("B", "2024-01-02"),
        ("D", "2024-02-10"),
        ("6h", "2024-01-01"),
        ("15min", "2024-01-01"),
    ],
)
def test_times_go_on_in_the_steps_of_the_table(alias: str, start: str, run: Any) -> None:
    import pandas

    times = pandas.date_range(start, periods=27, freq=alias)
    text = times.strftime("%Y-%m-%d" if alias not in ("6h", "15min") else "%Y-%m-%d %H:%M:%S").tolist()
    assert forecast_naive(run, text[:24]) == text[24:]


def test_a_frequency_of_integers_needs_no_quotes(run: Any) -> None:
    times = [str(1_577_836_800 + t) for t in range(27)]  # which might be seconds since 1970
    assert forecast_naive(run, times[:24], frequency=1) == times[24:]


def test_integer_times_go_on(run: Any) -> None:
    assert forecast_naive(run, [str(time) for time in range(100, 124)]) == ["124", "125", "126"]


@pytest.mark.parametrize("start", ["2024-03-30 03:00", "2024-10-26 04:00"])
def test_local_times_go_on_past_a_change_of_clocks(start: str, run: Any) -> None:
    import pandas

    times = pandas.date_range(start, periods=27, freq="h", tz="Europe/Berlin")
    ahead = [f"{time:%Y-%m-%d %H:%M:%S}{time:%z}" for time in times[24:]]
    found = forecast_naive(run, times[:24].strftime("%Y-%m-%d %H:%M:%S").tolist(), timezone="Europe/Berlin")
    assert [text.replace(":", "") for text in found] == [text.replace(":", "") for text in ahead]


def forecast_naive(run: Any, times: list[str], **data: Any) -> list[str]:
    """The times of three steps behind these, with a run of the naive forecast, whose values are checked."""
    rows_ = [["a", time, i % 5 + 1] for i, time in enumerate(times)]
    table = write_table(Path("a.csv"), rows_, ("unique_id", "ds", "y"))
    result = run(table, data={"known": [], **data}, model={"kind": "naive"}, season=1, horizon=3)
    assert result.code == 0, result.err
    found = rows(forecast(Path("run"), table))
    assert [float(row["seqloom"]) for row in found] == [rows_[-1][2]] * 3
    return [row["ds"] for row in found]


START = "import sys; from pipelines.cli import main; sys.argv[0] = 'seqloom'; "


def test_forecasting_starts_without_keras_tensorflow_and_other_heavy_packages(trained: Any, future: Path) -> None:
    code = START + (
        "heavy = ('keras', 'tensorflow', 'jax', 'torch', 'pandas', 'sklearn', 'statsmodels', 'matplotlib', 'pyarrow',"
        " 'pydantic');"
        "import atexit; atexit.register(lambda: print([name for name in heavy if name in sys.modules]));"
        "main()"
    )
    command = ["forecast", trained.table, "--model", trained.folder, "--future", future]
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    *found, loaded = process.stdout.splitlines()
    assert len(found) == 1 + 4 * HORIZON
    assert loaded == "[]"


def test_forecasts_of_a_network_do_not_need_its_baselines(trained: Any, future: Path) -> None:
    """What evaluates and what trains on may be left out of a copy."""
    import shutil

    shutil.copytree(trained.folder, "copy")
    for name in ("weights.safetensors", "report.html", "report.json", "history.csv", "config.yaml"):
        Path("copy", name).unlink()
    assert rows(forecast(Path("copy"), trained.table, "--future", future))


def test_without_a_run_one_is_trained_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_sales(Path("sales.csv"), make_sales(2, 150))
    result = seqloom("forecast", table, "--horizon", "3d", "--time", "2s", "--save", "kept", "-o", "out.csv")
    assert result.code == 0, result.err
    assert "2 series: kiosk0 and kiosk1." in result.err and "seasonal_naive" in result.err
    text = Path("out.csv").read_text()
    found = read_table(text)
    assert [row["ds"] for row in found] == [day(150 + t) for _ in range(2) for t in range(3)]
    assert np.isfinite(numbers(found)).all()
    assert Path("kept/forecast.csv").read_text() == text == forecast(Path("kept"), table).out


@pytest.mark.parametrize("time", ["0s", "soon", "-5s", "5d"])
def test_a_time_to_train_in_that_is_none_is_refused(time: str) -> None:
    table = write_sales(Path("sales.csv"), make_sales(1, 60))
    result = seqloom("forecast", table, f"--time={time}")
    assert result.code == 2 and "is no time, such as 120s or 5m" in result.err
    assert sorted(path.name for path in Path().iterdir()) == ["sales.csv"]


@pytest.mark.parametrize(
    ("command", "options", "where"),
    [
        ("forecast", ["--time", "5s", "--save", "kept"], "--time, --save"),
        ("forecast", ["--skeleton", "next.csv", "--level", "80", "--out", "out.csv"], "--out, --level"),
        ("backtest", ["--refit"], "--refit"),
        ("backtest", ["--level", "77"], "--level"),
        ("forecast", ["--out", "f.csv", "--page", "f.csv"], "f.csv"),
    ],
)
def test_what_a_trained_run_cannot_heed_is_refused(trained: Any, command: str, options: list[str], where: str) -> None:
    result = seqloom(command, trained.table, "--model", trained.folder, *options)
    assert result.code == 2 and where in result.err and not result.out
    assert not any(Path().iterdir())


def test_a_file_that_was_filled_in_is_not_written_anew(trained: Any) -> None:
    ask = ("forecast", trained.table, "--model", trained.folder, "--skeleton", "next.csv")
    assert seqloom(*ask).code == 0
    filled = Path("next.csv").read_text().replace(",\n", ",1\n")
    Path("next.csv").write_text(filled)
    result = seqloom(*ask)
    assert result.code == 2 and "may have been filled in" in result.err
    assert Path("next.csv").read_text() == filled


@pytest.mark.usefixtures("plain_report")
def test_a_skeleton_of_a_wide_table_is_read_back(run: Any) -> None:
    sales = make_sales(2, 120)
    header = ["ds", "promotion", "a", "b"]
    table = write_table(
        Path("w.csv"), [[day(t), int(sales.promotions[0, t]), *sales.values[:, t]] for t in range(120)], header
    )
    assert run(table, data={"layout": "wide"}, model={"kind": "network"}, training={"epochs": 1}).code == 0
    assert forecast("run", table, "--skeleton", "skeleton.csv").code == 0
    Path("skeleton.csv").write_text(Path("skeleton.csv").read_text().replace(",\n", ",0\n"))
    assert len(rows(forecast("run", table, "--future", "skeleton.csv"))) == 2 * HORIZON
    write_table(Path("future.csv"), [[day(120 + t), 0] for t in range(HORIZON)], header[:2])
    assert len(rows(forecast("run", table, "--future", "future.csv"))) == 2 * HORIZON


def test_a_series_that_never_changed_gets_no_interval_and_widens_no_other(naive: Any) -> None:
    sales = make_sales(3, 120)
    sales.values[1:] = [[7.0], [0.0]]
    table = write_sales(Path("a.csv"), sales)
    found = numbers(rows(forecast(naive(table), table))).reshape(3, HORIZON, 3)
    assert (found[1] == 7).all() and (found[2] == 0).all()
    alone = write_sales(Path("b.csv"), Sales(sales.values[:1], sales.promotions[:1]))
    shutil.rmtree("naive")
    np.testing.assert_allclose(numbers(rows(forecast(naive(alone), alone))).reshape(HORIZON, 3), found[0])


def test_a_run_of_one_changeless_series_forecasts_it(naive: Any) -> None:
    table = write_sales(Path("a.csv"), Sales(np.full((1, 80), 5.0), np.zeros((1, 80))))
    assert (numbers(rows(forecast(naive(table), table))) == 5).all()
