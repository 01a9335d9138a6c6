"""`gradients`, `forgetting` and `ladder`: what they measure, write and refuse."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interruptions import at_call, interrupt
from keywords import seqloom, write_config

from pipelines import forgetting, ladder
from pipelines.catalogue import PIPELINES, stage
from pipelines.forgetting import Curve, Probe
from toolkit.config import read_document, validate
from toolkit.errors import ConfigError
from toolkit.training import recall

CONFIGS = Path(__file__).parents[2] / "configs"


def test_gradients_of_every_cell_before_and_after_training(trained: Any) -> None:
    half = "training.mixed_precision=bfloat16"  # which is left out: differences so small are measured in full
    result = seqloom("gradients", trained.config, "--steps", 3, "--set", half, "--out", "page.html", "--json")
    assert result.code == 0, result.err
    curves = json.loads(result.out)
    assert [(each["cell"], each["residual"], each["step"]) for each in curves] == [
        (cell, residual, step) for cell in ("rnn", "gru", "lstm") for residual in (False, True) for step in (0, 3)
    ]
    assert all(len(each["norms"]) == 7 and min(each["norms"]) > 0 for each in curves)  # texts of seven words
    assert len({tuple(each["norms"]) for each in curves}) == len(curves)
    text = Path("page.html").read_text()
    assert "After training the gradient reaches back: vanilla RNN" in text and "<svg" in text


def test_gradients_say_what_config_is_wrong() -> None:
    Path("c.yaml").write_text("pipeline: text_classification\nencoder: {cel: lstm}\n")
    result = seqloom("gradients", "c.yaml")
    assert result.code == 2 and "encoder.cel" in result.err


def test_a_page_never_replaces_what_is_read(trained: Any) -> None:
    before = trained.config.read_bytes()
    result = seqloom("gradients", trained.config, "--out", trained.config)
    assert result.code != 0 and trained.config.name in result.err
    assert trained.config.read_bytes() == before
    Path("pairs.csv").write_text("source,target\na,b\n")
    result = seqloom("forgetting", "--model", trained.folder, "--data", "pairs.csv", "--out", "pairs.csv")
    assert result.code != 0 and "would be lost" in result.err
    assert Path("pairs.csv").read_text() == "source,target\na,b\n"


def test_probes_of_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def copy(cell: str, *, time: int, seed: int, **_: Any) -> np.ndarray:
        asked.append((cell, seed))
        return np.linspace(1, 0, time)

    monkeypatch.setattr(recall, "copy_curve", copy)
    monkeypatch.setattr(recall, "keep_curve", lambda cell, *, after, **_: np.ones(len(after)))
    result = seqloom("forgetting", "--seeds", 2, "--out", "page.html", "--json")
    assert result.code == 0, result.err
    assert asked == [(cell, seed) for cell in ("rnn", "gru", "lstm") for seed in (1, 2)]
    copied, kept = json.loads(result.out)
    half = 29 * (1 - 1 / 8) / 2  # of what a perfect start has beyond guesses
    assert copied["curves"]["GRU"]["forgets_at"] == pytest.approx([half, half])
    assert kept["curves"]["GRU"]["forgets_at"] == [None, None]
    assert Path("page.html").read_text().count("<svg") == 2
    assert "never" in seqloom("forgetting", "--seeds", 2).out


def test_where_a_curve_falls_below_half_of_its_best() -> None:
    quality = np.array([[0.8, 0.6, 0.2], [0.2, 0.8, 0.3], [0.5, 0.5, 0.5], [0.3, 0.9, 0.9]])
    places = np.array([1, 3, 7])
    assert Curve("", places, quality).forgets_at == pytest.approx([5.0, 6.2, np.inf, np.inf])
    assert Curve("", places, quality, chance=0.2).forgets_at[0] == pytest.approx(4.0)


def test_a_network_that_learned_nothing_has_nothing_to_forget() -> None:
    curve = Curve("GRU", np.array([1, 3]), np.array([[0.13, 0.12], [0.12, 0.14], [0.9, 0.1]]), chance=1 / 8)
    assert np.isnan(curve.forgets_at).tolist() == [True, True, False]
    assert "2 nothing was learned" in forgetting._spread(curve.forgets_at)
    assert forgetting._spread(Curve("", np.array([1, 3]), np.zeros((2, 2))).forgets_at) == "nothing was learned"


def test_a_name_from_data_cannot_break_the_page() -> None:
    curve = Curve("<script>$x_{", np.arange(3), np.ones((2, 3)))
    text = forgetting.page([Probe("<b>", "<i>", "$", "&", [curve])])
    assert "<script>" not in text and "<b>" not in text


def test_runs_and_pairs_belong_together(trained: Any) -> None:
    alone = seqloom("forgetting", "--model", trained.folder)
    assert alone.code == 2 and "--data" in alone.err
    assert seqloom("forgetting", "--data", "x.csv").code == 2
    foreign = seqloom("forgetting", "--model", trained.folder, "--data", trained.data["test"])
    assert foreign.code != 0 and "text_classification" in foreign.err


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_rung_is_a_config_of_every_pipeline(pipeline: str) -> None:
    config = validate(read_document(CONFIGS / f"{pipeline}.yaml"), stage(pipeline, "config").Config)
    changed = [ladder.rung_config(config, rung, seed=5) for rung in ladder.RUNGS]
    assert len({each.model_dump_json() for each in changed}) == len(ladder.RUNGS)
    assert {each.seed for each in changed} == {5}
    assert all(each.training == config.training or pipeline == "forecasting" for each in changed)
    assert all(each.encoder.units == config.encoder.units and each.data == config.data for each in changed)


def test_forecasters_of_means_are_compared_by_squared_errors() -> None:
    settings = stage("forecasting", "ladder")
    document = read_document(CONFIGS / "forecasting.yaml", ["model.point=mean"])
    assert settings.metric(validate(document, stage("forecasting", "config").Config)) == "rmsse"
    document = read_document(CONFIGS / "forecasting.yaml")
    assert settings.metric(validate(document, stage("forecasting", "config").Config)) == "mase"


@pytest.fixture
def two_rungs(trained: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config to climb two rungs with."""
    evaluate = stage("text_classification", "evaluate")
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
    monkeypatch.setattr(ladder, "RUNGS", (ladder.RUNGS[0], ladder.RUNGS[5]))
    return write_config(Path("c.yaml"), trained.data, training={"epochs": 1})


def test_a_ladder_goes_on_where_it_stopped(two_rungs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = stage("text_classification", "train")
    whole, made = train.train, []

    def stop(config: Any, folder: Path, *, resume: bool) -> Any:
        if len(made) == 2:
            raise RuntimeError("crash")
        made.append(folder.name)
        return whole(config, folder, resume=resume)

    with monkeypatch.context() as patch:
        patch.setattr(train, "train", stop)
        assert seqloom("ladder", two_rungs, "--seeds", 2, "--out", "runs").code == 1
    assert made == ["vanilla-RNN-1", "vanilla-RNN-2"]
    before = {name: Path("runs", name, "manifest.json").read_bytes() for name in made}
    result = seqloom("ladder", two_rungs, "--seeds", 2, "--out", "runs")
    assert result.code == 0, result.err
    assert {name: Path("runs", name, "manifest.json").read_bytes() for name in made} == before
    rows = json.loads(Path("runs/ladder.json").read_text())
    assert [(row["rung"], row["seed"]) for row in rows] == [
        (r, s) for r in ("vanilla RNN", "attention") for s in (1, 2)
    ]
    assert rows[0]["parameters"] < rows[2]["parameters"]
    assert "is best: macro F1" in result.out and "attention" in Path("runs/ladder.html").read_text()

    changed = seqloom("ladder", two_rungs, "--seeds", 2, "--out", "runs", "--set", "training.epochs=2")
    assert changed.code == 2 and "another config" in changed.err


def test_a_ladder_does_not_go_on_with_other_data(two_rungs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ladder.RUNGS
    rows = Path(validate(read_document(two_rungs), stage("text_classification", "config").Config).data.train)
    monkeypatch.setattr(ladder, "RUNGS", (first,))
    Path("rows.csv").write_text(rows.read_text())
    changes = ("--seeds", 1, "--out", "runs", "--set", "data.train=rows.csv")
    assert seqloom("ladder", two_rungs, *changes).code == 0
    Path("rows.csv").write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    monkeypatch.setattr(ladder, "RUNGS", (first, second))
    changed = seqloom("ladder", two_rungs, *changes)
    assert changed.code == 2 and "other data than that of the rung vanilla RNN" in changed.err


def test_ctrl_c_ends_a_ladder_and_its_rung_goes_on_later(two_rungs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_call(patch, 14, interrupt)  # in the second epoch of the first rung
        stopped = seqloom("ladder", two_rungs, "--seeds", 1, "--out", "runs", "--set", "training.epochs=2")
    assert stopped.code == 130 and "seed 1:" not in stopped.out
    assert [path.name for path in Path("runs").iterdir()] == ["vanilla-RNN-1"]
    assert not Path("runs/vanilla-RNN-1/manifest.json").exists()
    result = seqloom("ladder", two_rungs, "--seeds", 1, "--out", "runs", "--set", "training.epochs=2")
    assert result.code == 0 and "epoch   1" not in result.err.partition("epoch   2")[0]


def test_a_rung_that_was_killed_while_it_was_scored_is_scored(two_rungs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(stage("text_classification", "train"), "evaluate_run", crash)
        assert seqloom("ladder", two_rungs, "--seeds", 1, "--out", "runs").code == 1
    assert Path("runs/vanilla-RNN-1/manifest.json").exists()
    result = seqloom("ladder", two_rungs, "--seeds", 1, "--out", "runs")
    assert result.code == 0 and "vanilla RNN, seed 1:" in result.out, result.err


def test_the_best_rung_and_what_is_as_good() -> None:
    def rows(name: str, *scores: float) -> list[ladder.Result]:
        return [ladder.Result(name, seed, 10, 1.0, {"mase": score}) for seed, score in enumerate(scores)]

    found = [*rows("LSTM", 0.8, 0.9), *rows("GRU", 0.7, 0.9), *rows("vanilla RNN", 2.0, 2.1)]
    told = ladder.verdict(found, "mase")  # lower is better
    assert told.startswith("GRU is best: MASE 0.800") and told.endswith("Not told from it by 2 seeds: LSTM.")
    assert "deviation" not in ladder.verdict(rows("LSTM", 0.8) + rows("GRU", 0.9), "mase")


def test_rungs_that_are_equal_are_seldom_told_from_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = ladder.stats.studentized_range
    monkeypatch.setattr(ranges, "ppf", cache(ranges.ppf))  # which is slow, and here the same each time
    random, told = np.random.default_rng(0), 0
    for _ in range(200):
        scores = random.normal(size=(8, 3)) + random.normal(size=3)  # some seeds suit all rungs
        found = [
            ladder.Result(f"rung {rung}", seed, 10, 1.0, {"mase": scores[rung, seed]})
            for rung in range(8)
            for seed in range(3)
        ]
        told += ladder.verdict(found, "mase").count("rung") < 8
    assert told < 20


def test_a_ladder_of_another_config_is_not_overwritten(trained: Any) -> None:
    Path("run").mkdir()
    Path("run/config.yaml").write_text("pipeline: forecasting\n")
    config = validate(read_document(trained.config), stage("text_classification", "config").Config)
    with pytest.raises(ConfigError, match="another config"):
        ladder._refuse_other(Path("run"), config)
