"""Tables and run folders that cannot be used, or only just: a sentence and an exit code, or the rule that is stated."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import Result, seqloom
from sales import HORIZON, day, make_sales, read_table, write_config, write_sales

from toolkit import artifact

GOOD = [["a", day(t), 10 + t % 7] for t in range(40)]
HEADER = "unique_id,ds,y\n"


def text_of(rows: list[list[Any]], header: str = HEADER) -> str:
    return header + "".join(",".join(map(str, row)) + "\n" for row in rows)


def values(*given: Any) -> str:
    """A table of one series that is good until these values come."""
    return text_of([*GOOD, *(["a", day(40 + t), value] for t, value in enumerate(given))])


def dates(*given: str) -> str:
    return text_of([["a", time, 5 + i % 3] for i, time in enumerate(given)])


def told(result: Result) -> str:
    """What was said; never a traceback, nor anything that should not happen."""
    assert result.code in (0, 1, 2)
    assert "Traceback" not in result.err and "should not happen" not in result.err, result.err
    return result.err


def forecast(model: Path, table: Any = "d.csv", *options: Any) -> Result:
    return seqloom("forecast", table, "--model", model, *options)


def train(**stanzas: Any) -> Result:
    config = write_config(
        Path("c.yaml"), Path("d.csv"), **{"data": {"known": []}, "model": {"kind": "naive"}, **stanzas}
    )
    return seqloom("run", config, "--out", "run")


REFUSED = [
    ("", "d.csv: nothing to read here; expected at least one row"),
    (HEADER, "d.csv: nothing to read here; expected at least one row"),
    (values("many"), "d.csv:42: found 'many' in column 'y', expected a number"),
    (text_of([*GOOD, ["a", "yesterday", 3]]), "d.csv:42: found 'yesterday', which is no time"),
    (text_of([*GOOD, ["a", day(3), 99]]), "already: 1, first 2023-01-05 of series 'a' (also at d.csv:42)"),
    (dates("2024-01-01 00:00+01:00", "2024-01-02 00:00"), "d.csv:3: '2024-01-02 00:00' has no offset from UTC"),
    (text_of(GOOD, "unique_id,ds,y,z\n"), "d.csv:2: found 3 cells, expected 4 (unique_id, ds, y, z)"),
    (text_of(GOOD, "unique_id,ds\n"), "d.csv:2: found 3 cells, expected 2 (unique_id, ds)"),
    ("\x89PNG\r\n\x1a\n" + "\0" * 50, "d.csv"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_tables_that_cannot_be_read_are_told_by_every_command(content: str, sentence: str, plain: Path) -> None:
    Path("d.csv").write_text(content, encoding="utf-8")
    duplicated = "already" in sentence  # which inspect tells, with the rule that it applied
    for result in (forecast(plain), train(), *([] if duplicated else [seqloom("inspect", "d.csv")])):
        assert (result.code, result.out) == (1, "")
        assert sentence in told(result)
    assert sorted(path.name for path in Path().iterdir()) == ["c.yaml", "d.csv"]


def test_tables_without_the_columns_that_are_needed_are_told(plain: Path) -> None:
    Path("d.csv").write_text("foo,bar\n1,x\n2,z\n")
    assert "there is no column of times; expected daily times" in told(forecast(plain))
    Path("d.csv").write_text(text_of(GOOD))
    assert "'promotion'" in told(train(data={"known": ["promotion"]}))
    assert "price" in told(train(data={"known": [], "value": "price"}))
    assert "there is no" in told(train(data={"known": [], "static": ["area"]}))


SEMICOLONS = text_of(GOOD).replace(",", ";").replace(";10\n", ";10,5\n")
ODD = [
    (text_of(GOOD[:1]), "series that have one or two values: 1 of 1", 1),
    (text_of([["a", day(t), 5] for t in range(40)]), "have the same value all the time: 1 of 1", 40),
    (text_of([["a", day(t), 0] for t in range(40)]), "have the same value all the time: 1 of 1", 40),
    (values("inf", "-inf", 3), "or beyond 1e+305: 2, first 2023-02-11 of series 'a'; they count as missing", 43),
    (values("NaN", 3), "values missing: 1, in 1 of 1 series, first 2023-02-11", 42),
    (text_of(GOOD[::-1]), "rows behind a later one of their series: 39; rows were sorted by time", 40),
    ("\ufeff" + text_of(GOOD), "", 40),
    (SEMICOLONS, "have decimal commas: '10,5' (d.csv:2) was read as 10.5", 40),
    (dates(*(f"01/{t:02d}/2023" for t in range(1, 13))), "could be read in two ways; the month was read first", 11),
    (values(*(f"{10.0**300 * (1 + t % 7)}" for t in range(9))), "", 49),
    (text_of([["a", day(t), f"{1e-300 * (1 + t % 7)}"] for t in range(40)]), "", 40),
]  # fmt: skip


@pytest.mark.parametrize(("content", "sentence", "steps"), ODD)
def test_odd_tables_are_forecast_by_the_rule_that_is_told(content: str, sentence: str, steps: int, plain: Path) -> None:
    Path("d.csv").write_text(content, encoding="utf-8")
    result = forecast(plain)
    assert result.code == 0, result.err
    assert sentence in told(result)
    assert bool(result.err) == bool(sentence)
    found = read_table(result.out)
    assert [row["ds"] for row in found] == [day(steps + t) for t in range(HORIZON)]
    assert np.isfinite([[float(row[name]) for name in list(row)[2:]] for row in found]).all()
    if len(content.splitlines()) > 2:
        assert told(seqloom("inspect", "d.csv")) == ""


def test_a_constant_series_stays_where_it_is(plain: Path) -> None:
    Path("d.csv").write_text(text_of([["a", day(t), 500] for t in range(40)]))
    assert [float(row["seqloom"]) for row in read_table(forecast(plain).out)] == pytest.approx(
        [500] * HORIZON, rel=0.01
    )


def test_steps_of_another_length_are_refused(plain: Path) -> None:
    for times in ([f"2024-01-01 {t:02d}:00" for t in range(24)], [f"2024-{m:02d}-01" for m in range(1, 13)]):
        Path("d.csv").write_text(dates(*times))
        result = forecast(plain)
        assert result.code == 1 and "the model was trained on" in told(result)


def test_one_row_tells_no_frequency_and_no_value_teaches_nothing() -> None:
    Path("d.csv").write_text(text_of(GOOD[:1]))
    for result in (train(), seqloom("inspect", "d.csv")):
        assert result.code == 1 and "nothing tells the frequency. Set the frequency" in told(result)
    Path("d.csv").write_text(text_of([["a", day(t), ""] for t in range(40)]))
    assert seqloom("inspect", "d.csv").code == 0
    for kind in ("naive", "auto"):
        result = train(model={"kind": kind})
        assert result.code == 1 and "no value is known in the validation part of any series" in told(result)


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize(
    ("gap", "kind"), [(slice(None, 50), "auto"), (slice(20, 40), "network"), (slice(60, 75), "ets")]
)
def test_series_with_long_gaps_and_short_ones_train(gap: slice, kind: str) -> None:
    rows = [["a", day(t), 10 + t % 7 + t % 5] for t in range(90)]
    rows[gap] = [[*row[:2], ""] for row in rows[gap]]
    Path("d.csv").write_text(text_of([*rows, ["one", day(50), 3], *(["void", day(t), ""] for t in range(90))]))
    result = train(model={"kind": kind}, training={"epochs": 1, "refit": False})
    assert result.code == 0, told(result)
    assert "nan" not in forecast(Path("run")).out.lower()
    assert {row["unique_id"] for row in read_table(forecast(Path("run")).out)} == {"a", "one", "void"}


def test_a_horizon_longer_than_the_history_is_told_with_what_would_do() -> None:
    Path("d.csv").write_text(text_of(GOOD))
    for command in (["check"], ["run", "--out", "run"]):
        config = write_config(Path("c.yaml"), Path("d.csv"), data={"known": []}, horizon=50)
        result = seqloom(*command, config)
        assert result.code == 1
        assert "the longest series has 40 values, too few to forecast 50 steps and to see how well" in told(result)
        assert "Give at least 200 values, or a horizon of at most 10." in result.err


def test_check_tells_where_there_is_too_little_for_a_network() -> None:
    Path("d.csv").write_text(text_of([["a", day(t), t % 5] for t in range(20)]))
    for kind, code, expected in (
        (
            "network",
            1,
            "no series is long enough to learn from: the longest has 10 training steps",
        ),
        ("auto", 0, "model       simple methods; 0 windows to learn from are too few for a network"),
    ):
        model = {"kind": kind, "segment": 7}
        config = write_config(Path("c.yaml"), Path("d.csv"), data={"known": []}, horizon=5, model=model)
        result = seqloom("check", config)
        assert result.code == code and expected in (result.err if code else result.out)


NAMES = [
    "=cmd()|' /C calc'!A0",
    "<script>alert(1)</script>",
    "new\nline",
    'q"uote',
    "com,ma",
    "\u202eevil",
    "x" * 300,
    "null",
]


def test_hostile_names_come_back_as_they_are_and_stay_text_in_the_page() -> None:
    sales = make_sales(len(NAMES), 60)
    table = write_sales(Path("d.csv"), sales, NAMES)
    assert train().code == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert forecast(Path("run"), table, "-o", "out.csv").code == 0
    import csv

    with Path("out.csv").open(encoding="utf-8", newline="") as stream:
        found = [row["unique_id"] for row in csv.DictReader(stream)]
    assert found == [name for name in NAMES for _ in range(HORIZON)]


# Run folders that are damaged or of others


@pytest.fixture
def copied(plain: Path) -> Path:
    shutil.copytree(plain, "copy")
    write_sales(Path("d.csv"), make_sales(2, 60))
    return Path("copy")


def reseal(folder: Path) -> None:
    """A manifest that fits whatever the files are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = {name: value for name, value in manifest.items() if name not in ("schema_version", "pipeline", "files")}
    artifact.seal(folder, manifest["pipeline"], facts)


PARTS = ("plan.json", "source.json", "sizes.json", "combination.json", "intervals.json", "model.onnx", "manifest.json")


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_is_named(part: str, copied: Path) -> None:
    path = copied / part
    whole = path.read_bytes()
    for damage in (whole[:-9], b"", None):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        result = forecast(copied)
        assert (result.code, result.out) == (1, "")
        assert part in told(result)
        path.write_bytes(whole)
    assert forecast(copied).code == 0


def test_what_was_learned_is_read_as_carefully_as_what_predicts(copied: Path) -> None:
    whole = (copied / "learned.json").read_bytes()
    (copied / "learned.json").write_bytes(b"{}")
    result = seqloom("backtest", "d.csv", "--model", copied)
    assert (result.code, result.out) == (1, "") and "learned.json" in told(result)
    for content in (b"[]", b'{"kiosk0": "today"}', b'{"kiosk0": 1.5}', b'{"kiosk0": %d}' % (2**62), b"[" * 100_000):
        (copied / "learned.json").write_bytes(content)
        reseal(copied)
        result = seqloom("evaluate", "--data", "d.csv", "--model", copied)
        assert (result.code, result.out) == (1, "") and "learned.json" in told(result)
    (copied / "learned.json").write_bytes(whole)
    reseal(copied)
    assert seqloom("backtest", "d.csv", "--model", copied).code == 0


@pytest.mark.parametrize("part", PARTS[:-2])
@pytest.mark.parametrize("content", [b"\xff{", b"[]", b"null", b"3", b'{"a": "b"}', b"[" * 100_000])
def test_a_foreign_part_is_refused(part: str, content: bytes, copied: Path) -> None:
    (copied / part).write_bytes(content)
    reseal(copied)
    result = forecast(copied)
    assert (result.code, result.out) == (1, "")
    assert part in told(result) or "do not fit together" in told(result)


HUGE = 10**15
PLANS: list[dict[str, Any]] = [
    *({name: value} for name in ("horizon", "history", "season", "segment") for value in (0, -1, HUGE, "x", None, 2.5)),
    *({name: value} for name in ("known", "past", "static") for value in (["price"], 3, [3], None)),
    *({name: value} for name in ("lower", "upper") for value in ("x", [1], float("nan"))),
    *({"frequency": {"unit": "second", "step": step}} for step in (0, -1, HUGE, "x", None)),
    {"frequency": {"unit": "fortnight", "step": 1}},
    {"frequency": None},
    {"levels": [0.1, 0.9]},
    {"levels": [0.9, 0.5, 0.1]},
    {"levels": [0.1, 0.5, 0.9]},
    {"horizon": 3},
    {"scales": {"price": [0.0, 0.0]}},
    {"scaling": "none"},
    {"network": "other"},
    {"ids": 7},
    {"trained_until": HUGE},
    {"trained_until": "x"},
    {"surplus": 1},
]  # fmt: skip


@pytest.mark.parametrize("changes", PLANS, ids=str)
def test_a_hostile_plan_is_refused(changes: dict[str, Any], copied: Path) -> None:
    plan = json.loads((copied / "plan.json").read_text())
    (copied / "plan.json").write_text(json.dumps({**plan, **changes}))
    reseal(copied)
    result = forecast(copied)
    assert (result.code, result.out) == (1, "")
    assert any(words in told(result) for words in ("plan.json: this is not what was stored", "do not fit together"))


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("source.json", {"id": 3}),
        ("source.json", {"timezone": ["x"]}),
        ("source.json", {"layout": "sideways"}),
        ("sizes.json", {"kiosk0": "large"}),
        ("combination.json", {"names": ["prophet"]}),
        ("combination.json", {"names": ["ridge"], "validation": {"ridge": 1.0, "combination": 1.0}}),
        ("combination.json", {"weights": [[2.0]]}),
        ("intervals.json", {"offsets": [[0.0] * 9] * 3, "windows": [9] * 3, "reach": [0] * 3}),
        ("intervals.json", {"levels": [0.5]}),
        ("intervals.json", {"offsets": [[float("nan")] * 9] * 7}),
    ],
)
def test_parts_of_another_run_are_refused(part: str, changes: dict[str, Any], copied: Path) -> None:
    stored = json.loads((copied / part).read_text())
    (copied / part).write_text(json.dumps({**stored, **changes}))
    reseal(copied)
    result = forecast(copied)
    assert (result.code, result.out) == (1, "")
    told(result)


OTHER = {"levels": [0.5], "offsets": [[0.0]] * 7, "windows": [9] * 7, "reach": [0] * 7, "normal": False}


@pytest.mark.parametrize(
    "changes",
    [*({"factors": factors} for factors in ({"kiosk0": 0.0}, {"kiosk0": "wide"}, [1.0], None)), {"conformal": OTHER}],
    ids=str,
)
def test_hostile_intervals_of_single_series_are_refused(changes: dict[str, Any], copied: Path) -> None:
    calibration = json.loads((copied / "intervals.json").read_text())
    for content in ({"factors": {"kiosk0": 2.0}, "conformal": calibration}, changes):
        stored = {"factors": {"kiosk0": 2.0}, "conformal": calibration, **content}
        (copied / "own_intervals.json").write_text(json.dumps(stored))
        reseal(copied)
        result = forecast(copied)
        if content is changes:
            assert (result.code, result.out) == (1, "")
            assert "own_intervals.json" in told(result) or "do not fit together" in told(result)
        else:
            assert result.code == 0


def archive(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def bomb() -> bytes:
    """A small archive that says it holds 4 GB of zeros."""
    stream = io.BytesIO()
    header = (
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (536870912, 1), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("weights.npy", header)
        members.writestr("season.npy", header)
    data = stream.getvalue()
    return data.replace(len(header).to_bytes(4, "little"), (2**32 - 2**20).to_bytes(4, "little"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"nothing",
        archive(),
        archive(weights=np.ones(7), season=np.array(7)),
        archive(weights=np.ones((3, 9)), season=np.array(7)),
        archive(weights=np.full((3, 7), np.nan), season=np.array(7)),
        archive(weights=np.ones((3, 7)), season=np.array(0)),
        archive(weights=np.array([["a"] * 7]), season=np.array(7)),
        archive(weights=np.array([[None] * 7], object), season=np.array(7)),
        bomb(),
    ],
    ids=["empty", "cut", "text", "nothing", "vector", "horizon", "nan", "season", "words", "pickle", "bomb"],
)
def test_a_hostile_ridge_is_refused(content: bytes, copied: Path) -> None:
    combination = {"names": ["ridge"], "weights": [[1.0]], "validation": {"ridge": 1.0, "combination": 1.0}}
    (copied / "combination.json").write_text(json.dumps(combination))
    (copied / "ridge.npz").write_bytes(content)
    reseal(copied)
    result = forecast(copied)
    assert (result.code, result.out) == (1, "")
    assert any(words in told(result) for words in ("ridge.npz is not what was stored", "do not fit together"))


def test_a_graph_of_another_run_is_refused(copied: Path, trained: Any) -> None:
    """One that reads promotions."""
    shutil.copy(trained.folder / "model.onnx", copied / "model.onnx")
    reseal(copied)
    result = forecast(copied)
    assert (result.code, result.out) == (1, "")
    assert "this graph cannot be run" in told(result)


def test_a_run_of_another_pipeline_is_told(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "pipeline": "text_classification"}))
    assert "made by the text_classification pipeline, expected forecasting" in told(forecast(copied))


@pytest.mark.parametrize("split", [{"test": 1000}, {"test": 0.6}])
def test_parts_that_leave_too_little_are_told_as_such(split: dict[str, Any]) -> None:
    Path("d.csv").write_text(text_of(GOOD))
    result = train(split=split)
    assert result.code == 2 and "split: the parts for validation and for tests would take more than half" in told(
        result
    )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"lower": 5, "upper": 1}, "lower is 5 and upper 1; expected lower to be below upper"),
        ({"lower": 2, "upper": 2}, "lower is 2 and upper 2; expected lower to be below upper"),
        ({"quantiles": [0.5]}, "expected rising levels with 0.5 among them, such as [0.1, 0.5, 0.9]"),
        ({"quantiles": [0.1, 0.5, 0.8]}, "expected pairs around 0.5"),
    ],
    ids=str,
)
def test_bounds_and_levels_that_allow_no_interval_are_refused(model: dict[str, Any], sentence: str) -> None:
    Path("d.csv").write_text(text_of(GOOD))
    result = train(model={"kind": "naive", "lower": None, **model})
    assert result.code == 2 and sentence in told(result)
