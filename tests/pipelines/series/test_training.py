"""What a forecasting run leaves behind, and what the options of the model do."""

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from interruptions import at_call
from keywords import seqloom
from sales import HORIZON, Sales, make_sales, read_table, rows_of, write_config, write_sales, write_table

from pipelines.forecasting import evaluate, fitting
from pipelines.forecasting import model as models
from pipelines.forecasting.check import check
from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan, feature_counts, make_inputs
from pipelines.forecasting.predict import Forecaster
from pipelines.forecasting.prepare import prepare
from pipelines.forecasting.train import begin
from toolkit import artifact
from toolkit import config as configs
from toolkit.artifact import read_weights
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.data.windows import Cutoffs
from toolkit.training.fit import StoppedError

COMPANIONS = {"naive", "seasonal_naive", "drift", "seasonal_profile", "theta", "ets", "ridge"}
METRICS = {"mse", "mae", "mase", "smape", "rmsse", "owa", "wql", "coverage_80"}
PREDICTS = ("model.onnx", "plan.json", "source.json", "sizes.json", "combination.json", "intervals.json")
RESULTS = ("weights.safetensors", "learned.json", *PREDICTS)
QUICK = {"training": {"epochs": 1, "refit": False}}


def read_config(path: Path) -> Config:
    return configs.validate(configs.read_document(path), Config)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def assert_same(folder: Path, other: Path) -> None:
    for name in RESULTS:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_a_run_folder_is_sealed_and_holds_nothing_else(trained: Any) -> None:
    expected = {*RESULTS, "config.yaml", "history.csv", "report.json", "report.html"}
    if "ridge" in read(trained.folder, "plan.json") or (trained.folder / "ridge.npz").exists():
        expected.add("ridge.npz")
    manifest = read(trained.folder, "manifest.json")
    assert {path.name for path in trained.folder.iterdir()} == expected | {"manifest.json"}
    assert manifest["files"].keys() == expected
    assert (manifest["pipeline"], manifest["data"]["series"], manifest["data"]["steps"]) == ("forecasting", 4, 800)
    for name, entry in manifest["files"].items():
        data = (trained.folder / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_report_has_all_metrics_and_every_companion(trained: Any) -> None:
    report = read(trained.folder, "report.json")
    assert report == {name: value for name, value in trained.report.items() if name != "folder"}
    assert report["pipeline"] == "forecasting"
    assert report["test"].keys() >= METRICS
    assert report["baselines"].keys() == COMPANIONS | {"network"}
    for scores in (report["test"], *report["baselines"].values()):
        assert all(math.isfinite(score) and score >= 0 for score in scores.values())
    assert 0.5 < report["test"]["coverage_80"] <= 1
    assert report["test"]["mase"] < report["baselines"]["seasonal_naive"]["mase"] < report["baselines"]["naive"]["mase"]
    assert {"train", "evaluate"} <= report["seconds"].keys()


def test_the_page_shows_the_worst_series_and_says_what_was_weighed(trained: Any) -> None:
    page = (trained.folder / "report.html").read_text()
    assert trained.report["verdict"].split(".")[0] in page
    assert all(name in page for name in ("Forecasts beside what came", "What was weighed", "Learning curves"))


@pytest.mark.parametrize(
    ("series", "steps", "horizon", "season", "history", "segment"),
    [
        (2, 1500, 13, 1, 104, 13),  # eight horizons
        (2, 1500, 1, 1, 14, 1),
        (2, 150, 8, 1, 40, 8),  # half of what there is beside two horizons
        (2, 60, 8, 1, 20, 5),  # four segments
        (2, 2000, 48, 24, 336, 24),
        (2, 220, 14, 7, 56, 7),
        (90, 220, 14, 7, 98, 7),  # together they give windows enough
    ],
)
def test_windows_reach_back_as_far_as_is_useful(
    series: int, steps: int, horizon: int, season: int, history: int, segment: int
) -> None:
    table = write_sales(Path("a.csv"), make_sales(series, steps))
    settings = {"season": season, "model": {"history": None, "segment": None}}
    plan = prepare(read_config(write_config(Path("c.yaml"), table, horizon=horizon, **settings))).plan
    assert (plan.history, plan.segment) == (history, segment)


def test_dates_of_a_few_days_are_read_in_the_order_of_those_that_were_learned_from() -> None:
    rows = [(name, "/".join(reversed(day.split("-"))), *rest) for name, day, *rest in rows_of(make_sales(1, 220))]
    config = read_config(write_config(Path("c.yaml"), write_table(Path("a.csv"), rows)))
    plan, few = (
        prepare(config).plan,
        write_table(Path("b.csv"), [row for row in rows if row[1].endswith("/02/2023")][:9]),
    )
    panel, findings = read_panel(SeriesSource(str(few)), **plan.trained)
    assert panel.frequency.text(panel.starts) == ["2023-02-01"] and panel.lengths == [9] and not findings


@pytest.mark.parametrize(("steps", "cycles"), [(1000, ("weekday",)), (2200, ("weekday", "monthday", "yearday"))])
def test_the_calendar_leaves_out_what_few_years_would_teach_by_heart(steps: int, cycles: tuple[str, ...]) -> None:
    config = write_config(Path("c.yaml"), write_sales(Path("a.csv"), make_sales(1, steps)), data={"calendar": True})
    plan = prepare(read_config(config)).plan
    assert plan.cycles == cycles
    assert check(read_config(config))["calendar"] == ", ".join(cycles)
    assert set(plan.calendar_names) == {f"{name}_{part}" for name in cycles for part in ("sin", "cos")}


@pytest.mark.parametrize(
    ("time", "why"),
    [
        (str, "nothing, for integer steps do not differ in it"),
        (
            lambda step: f"{2018 + step // 12}-{step % 12 + 1:02}-01",
            "nothing, for what there is to learn from is short",
        ),
    ],
)
def test_why_a_calendar_tells_nothing_is_said(time: Callable[[int], str], why: str) -> None:
    rows = [["kiosk", time(step), *rest] for step, (_, _, *rest) in enumerate(rows_of(make_sales(1, 60)))]
    table, stanzas = write_table(Path("a.csv"), rows), {"data": {"calendar": True}, "model": {"kind": "network"}}
    config = write_config(Path("c.yaml"), table, **stanzas)
    assert check(read_config(config))["calendar"].startswith(why)


@pytest.mark.parametrize(
    ("series", "steps", "settings", "size"),
    [
        (1, 150, {}, 8),
        (1, 1100, {}, 16),  # a refit has more windows, for which it would be 32
        (1, 1400, {}, 32),
        (2, 3000, {}, 64),
        (2, 3000, {"windows": 700}, 16),
        (2, 3000, {"batch_size": 5}, 5),
    ],
)
def test_batches_are_smaller_where_windows_are_few(
    series: int, steps: int, settings: dict[str, int], size: int
) -> None:
    table = write_sales(Path("a.csv"), make_sales(series, steps))
    config = read_config(write_config(Path("c.yaml"), table, training={"batch_size": None, **settings}))
    prepared = prepare(config)
    whole = fitting.training_cutoffs(prepared, prepared.splits.test_starts)
    for cutoffs in (whole, fitting.training_cutoffs(prepared, prepared.splits.training_ends)):
        _, task = fitting.begin_network(config, prepared, cutoffs, member=0)
        inputs, _, _ = next(iter(task.batches(0)))
        assert len(next(iter(inputs.values()))) == size
        assert task.steps == min(len(cutoffs), config.training.windows) // size


def test_the_history_has_a_row_an_epoch(trained: Any) -> None:
    rows = list(csv.DictReader((trained.folder / "history.csv").open()))
    assert [(row["member"], row["epoch"]) for row in rows] == [("1", "1"), ("1", "2")]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])


@pytest.mark.usefixtures("plain_report")
def test_another_seed_gives_another_network(run: Callable, trained: Any) -> None:
    """That the same seed gives the same one is what all tests of broken runs and of leakage rest on."""
    assert run(trained.table, seed=2, model={"kind": "network"}, **QUICK).code == 0
    one, other = (read_weights(folder / "weights.safetensors") for folder in (Path("run"), trained.folder))
    assert one.keys() == other.keys()
    assert not any(np.allclose(one[name], other[name]) for name in one if name.endswith("kernel"))


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("kind", ["ets", "ridge"])
def test_a_companion_alone_trains_nothing_and_is_what_is_served(kind: str, run: Callable) -> None:
    table = write_sales(Path("a.csv"), make_sales(2, 150))
    result = run(table, data={"known": []}, model={"kind": kind})
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["test"]["mae"] == pytest.approx(report["baselines"][kind]["mae"])
    assert report["baselines"].keys() == COMPANIONS
    assert not {"model.onnx", "weights.safetensors", "history.csv"} & {path.name for path in Path("run").iterdir()}
    assert Path("run/ridge.npz").exists() == (kind == "ridge")
    assert len(read_table(seqloom("forecast", table, "--model", "run").out)) == 2 * HORIZON


def all_columns(path: Path, *, series: int = 3, days: int = 100) -> Path:
    """Sales with a past-only column, a word a day and a number and a word a series."""
    header = ("unique_id", "ds", "y", "promotion", "visits", "weather", "area", "street")
    rows = []
    for name, time, value, promotion in rows_of(make_sales(series, days)):
        k, t = int(name[-1]), int(time[-2:])
        rows.append([name, time, value, promotion, 3 * float(value) + t, ("rain", "sun")[t % 2], 10 + k, "ab"[k % 2]])
    return write_table(path, rows, header)


COLUMNS = {
    "known": ["promotion", "weather"],
    "past": ["visits"],
    "static": ["area", "street"],
    "calendar": True,
    "holidays": "US",
}


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        ({"network": "segment", "segment": 7, "series_vectors": 3}, {"bidirectional": True}),
        ({"network": "direct", "members": 2, "scaling": "series", "center": "mean"}, {"cell": "rnn"}),
        ({"network": "attention", "anchor": "season"}, {"cell": "lstm"}),
        ({"network": "smoothing", "intervals": "recent"}, {"cell": "lstm"}),
    ],
    ids=["segment", "direct", "attention", "smoothing"],
)
def test_each_network_trains_on_every_kind_of_column_and_its_graph_equals_it(
    model: dict[str, Any], encoder: dict[str, Any], run: Callable
) -> None:
    table = all_columns(Path("a.csv"))
    stanzas: dict[str, Any] = {"data": COLUMNS, "model": {"kind": "network", **model}, "encoder": encoder, **QUICK}
    result = run(table, **stanzas)
    assert result.code == 0, result.err
    prepared = prepare(config := read_config(Path("run.yaml")))
    networks = restored(config, prepared.plan, Path("run"))
    cutoffs = prepared.splits.test
    arrays = make_inputs(prepared.plan, prepared.panel, cutoffs, prepared.sizes[cutoffs.series]).arrays
    expected = np.mean([network.predict_on_batch(arrays) for network in networks], axis=0)
    forecaster = Forecaster.load("run")
    assert forecaster.runtime is not None
    np.testing.assert_allclose(forecaster.runtime.run(arrays)["quantiles"], expected, atol=1e-5)
    assert len(networks) == config.model.members
    assert json.loads(result.out)["test"].keys() >= METRICS


def restored(config: Config, plan: Plan, folder: Path) -> list[models.Network]:
    """The networks of a run, from its weights."""
    weights, networks = read_weights(folder / "weights.safetensors"), []
    for member in range(config.model.members):
        networks.append(network := models.build(config, plan))
        for weight in network.weights:
            weight.assign(weights[f"member{member}/{weight.path.partition('/')[2]}"])
    return networks


@pytest.mark.parametrize("segment", [1, 5])
def test_every_column_and_the_calendar_are_inputs_where_they_may_be_known(segment: int) -> None:
    table = all_columns(Path("a.csv"))
    prepared = prepare(read_config(write_config(Path("c.yaml"), table, data=COLUMNS, model={"segment": segment})))
    plan, panel = prepared.plan, prepared.panel
    assert (set(plan.known), plan.past) == ({"promotion", "weather=rain", "weather=sun"}, ("visits",))
    assert set(plan.static) == {"area", "street=a", "street=b"}
    assert {"weekday_sin", "holiday"} <= set(plan.calendar_names)
    always = len(plan.known) + len(plan.calendar_names)
    assert feature_counts(plan) == {"past": (2 + 1 + always) * segment, "future": always * segment, "statics": 3}
    cutoffs = prepared.splits.test.take(slice(0, 1))
    before = make_inputs(plan, panel, cutoffs, None).arrays
    end = int(cutoffs.ends[0])
    for name, place, reached in (
        ("visits", end - 1, {"segments"}),
        ("visits", end, set()),
        ("promotion", end - 1, {"segments"}),
        ("promotion", end, {"future"}),
        ("weather=sun", end + HORIZON - 1, {"future"}),
        ("weather=sun", end + HORIZON, set()),
    ):
        column = panel.covariates[name]
        column[place] += 5
        after = make_inputs(plan, panel, cutoffs, None).arrays
        assert {key for key in after if not np.array_equal(after[key], before[key])} == reached, (name, place - end)
        column[place] -= 5
    panel.statics["area"][0] += 5
    assert not np.array_equal(make_inputs(plan, panel, cutoffs, None).arrays["statics"], before["statics"])
    panel.statics["area"][0] = np.nan
    missing = make_inputs(plan, panel, cutoffs, None).arrays["statics"]
    assert missing[0, plan.static.index("area")] == 0, "which is the average"


@pytest.mark.usefixtures("plain_report")
def test_a_file_of_later_values_is_tested_on_with_its_columns(run: Callable) -> None:
    rows = read_table(all_columns(Path("a.csv"), series=2).read_text())
    days = sorted({row["ds"] for row in rows})
    for name, part in (("train.csv", days[:80]), ("test.csv", days[80:])):
        write_table(Path(name), [list(row.values()) for row in rows if row["ds"] in part], list(rows[0]))
    stanzas: dict[str, Any] = {"data": COLUMNS, "model": {"kind": "naive"}}
    result = run(Path("train.csv"), split={"test": "test.csv"}, **stanzas)
    assert result.code == 0, result.err
    assert "promotion" in read(Path("run"), "plan.json")["known"]
    whole = run(Path("a.csv"), out="whole", split={"test": 20}, **stanzas)
    assert json.loads(whole.out)["test"] == json.loads(result.out)["test"]


@pytest.mark.usefixtures("plain_report")
def test_short_series_leave_the_network_out_and_say_so(run: Callable) -> None:
    result = run(write_sales(Path("a.csv"), make_sales(2, 40)))
    assert result.code == 0, result.err
    assert "12 windows to learn from are too few for a network; it is left out." in result.err
    assert json.loads(result.out)["baselines"].keys() == COMPANIONS
    assert not Path("run/model.onnx").exists()


@pytest.mark.usefixtures("plain_report")
def test_no_forecast_is_beyond_the_bounds(run: Callable) -> None:
    sales = make_sales(2, 120)
    low, high = float(np.quantile(sales.values, 0.3)), float(np.quantile(sales.values, 0.7))
    table = write_sales(Path("a.csv"), sales)
    assert run(table, data={"known": []}, model={"kind": "drift", "lower": low, "upper": high}).code == 0
    found = read_table(seqloom("forecast", table, "--model", "run").out)
    values = np.array([[float(row[name]) for name in list(row)[2:]] for row in found])
    assert values.min() == pytest.approx(low, rel=1e-5) and values.max() == pytest.approx(high, rel=1e-5)


# Runs that were stopped


def crash() -> None:
    raise RuntimeError("crash")


@pytest.mark.usefixtures("plain_report")
def test_a_run_that_is_stopped_again_and_again_ends_with_bitwise_the_same_network(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch; in that of the training with all rows; while the report is written."""
    command = ("run", trained.config, "--out", "run", "--resume")
    epoch, longer = (len(training_cutoffs(trained.config, part)) // 16 + 1 for part in ("training_ends", "test_starts"))
    with monkeypatch.context() as patched:
        at_call(patched, epoch + 5, crash)
        assert seqloom(*command[:-1]).code == 1
    assert "Its training did not finish" in seqloom("forecast", trained.table, "--model", "run").err
    with monkeypatch.context() as patched:
        at_call(patched, epoch + longer + 5, crash)
        assert seqloom(*command).code == 1
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["member0", "refit0"]
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "compare", lambda *_, **__: 1 / 0)
        assert seqloom(*command).code == 1
    result = seqloom(*command)
    assert result.code == 0, result.err
    assert_same(Path("run"), trained.folder)
    assert "report.json" in read(Path("run"), "manifest.json")["files"]
    assert not Path("run/checkpoints").exists()


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.usefixtures("plain_report")
def test_a_run_without_a_network_that_was_killed_can_go_on(
    scored: bool, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(Path("c.yaml"), trained.table, model={"kind": "ridge"})
    with monkeypatch.context() as patched:
        if scored:
            patched.setattr(evaluate, "compare", lambda *_, **__: crash())
        else:
            patched.setattr(artifact, "seal", lambda *_: crash())
        assert seqloom("run", config, "--out", "run").code == 1
    assert Path("run/ridge.npz").exists() and Path("run/manifest.json").exists() == scored
    result = seqloom("run", config, "--out", "run", "--resume", "--set", "model.kind=naive")
    assert result.code == 0, result.err
    assert "report.json" in read(Path("run"), "manifest.json")["files"]
    assert not Path("run/ridge.npz").exists() and not Path("run/checkpoints").exists()


@pytest.mark.usefixtures("plain_report")
def test_a_run_without_a_network_does_not_replace_a_training(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "compare", lambda *_, **__: crash())
        assert seqloom("run", trained.config, "--out", "run").code == 1
    result = seqloom("run", trained.config, "--out", "run", "--resume", "--set", "model.kind=naive")
    assert result.code == 1 and "another config or other data" in result.err
    assert seqloom("run", trained.config, "--out", "run", "--resume").code == 0
    assert_same(Path("run"), trained.folder)


@pytest.mark.usefixtures("plain_report")
def test_ctrl_c_while_training_again_keeps_the_networks_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_sales(Path("sales.csv"), make_sales(2, 120))
    first = write_config(Path("first.yaml"), table, training={"epochs": 1, "refit": False})
    assert seqloom("run", first, "--out", "first").code == 0
    fit = fitting._fit

    def stopped_when_training_again(*given: Any, choose: bool = True) -> Any:
        if not choose:
            raise StoppedError("stopped")
        return fit(*given, choose=choose)

    monkeypatch.setattr(fitting, "_fit", stopped_when_training_again)
    again = write_config(Path("again.yaml"), table, training={"epochs": 1, "refit": True})
    result = seqloom("run", again, "--out", "again")
    assert result.code == 0, result.err
    weights = [Path(name, "weights.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]


def training_cutoffs(config: Path, part: str) -> Cutoffs:
    prepared = prepare(read_config(config))
    return fitting.training_cutoffs(prepared, getattr(prepared.splits, part))


@pytest.mark.parametrize("part", ["values", "promotions"])
@pytest.mark.usefixtures("plain_report")
def test_other_values_cannot_go_on_with_a_run(part: str, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Path("sales.csv")
    shutil.copy(trained.table, table)
    config = write_config(Path("c.yaml"), table)
    with monkeypatch.context() as patched:
        at_call(patched, 35, crash)
        assert seqloom("run", config, "--out", "run").code == 1
    other = {part: getattr(make_sales(seed=3), part)}
    write_sales(table, Sales(**{**make_sales()._asdict(), **other}))
    result = seqloom("run", config, "--out", "run", "--resume")
    assert result.code == 1 and "another config or other data" in result.err


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.usefixtures("plain_report")
def test_half_precision_learns_and_leaves_a_run_that_forecasts(precision: str, trained: Any, run: Any) -> None:
    result = run(trained.table, training={"mixed_precision": precision, "epochs": 2}, model={"kind": "network"})
    assert result.code == 0, result.err
    half, single = (Forecaster.load(folder) for folder in ("run", trained.folder))
    panel = single.read(str(trained.table))
    found = half.parts(panel, Cutoffs(np.arange(4), panel.ends - HORIZON), ["network"]).forecasts["network"]
    assert np.isfinite(found).all()
    config = read_config(Path("run.yaml"))
    network, _ = begin(config, prepare(config))
    assert network.encoder.compute_dtype == precision and network.head.compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
