"""What a run leaves behind, and what the training options do."""

import csv
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keywords import TOPICS, Row, keyword_rows, seqloom, write_config, write_table

from pipelines.text_classification import evaluate, train
from pipelines.text_classification.answers import Answers
from pipelines.text_classification.config import Config
from pipelines.text_classification.model import TextClassifier, loss
from pipelines.text_classification.predict import Classifier
from pipelines.text_classification.report import _labels_section
from toolkit import config as configs
from toolkit.artifact import read_weights
from toolkit.report import Picture, Table

UNITS = 16


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, where a test is about the training."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


def read_config(path: Path) -> Config:
    return configs.validate(configs.read_document(path), Config)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_folder_holds_what_the_design_says_and_nothing_else(trained: Any) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "config.yaml",
        "decision.json",
        "history.csv",
        "manifest.json",
        "model.onnx",
        "report.html",
        "report.json",
        "vocabulary.json",
        "weights.safetensors",
    }


def test_the_manifest_has_the_hash_of_every_file_and_of_the_data(trained: Any) -> None:
    manifest = json.loads((trained.folder / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["pipeline"] == "text_classification"
    for path in trained.folder.iterdir():
        if path.name != "manifest.json":
            assert manifest["files"][path.name] == {"bytes": path.stat().st_size, "sha256": sha256(path)}
    assert {name: part["rows"] for name, part in manifest["data"].items()} == {
        "train": 192,
        "validation": 36,
        "test": 36,
    }
    assert {"seqloom", "keras", "tensorflow", "numpy", "onnxruntime"} <= manifest["versions"].keys()


def test_the_report_has_the_scores_of_the_run_and_of_both_baselines(trained: Any) -> None:
    report = json.loads((trained.folder / "report.json").read_text())
    assert report["pipeline"] == "text_classification"
    assert {"train", "evaluate"} <= report["seconds"].keys()
    assert report["baselines"].keys() == {"majority class", "TF-IDF + logistic regression"}
    for scores in (report["test"], *report["baselines"].values()):
        assert {"accuracy", "macro_f1", "ece"} <= scores.keys()
        assert all(math.isfinite(score) for score in scores.values())
    assert report["baselines"]["majority class"]["accuracy"] == pytest.approx(1 / 3)
    assert report == {name: value for name, value in trained.report.items() if name != "folder"}


def test_the_report_page_says_which_won(trained: Any) -> None:
    page = (trained.folder / "report.html").read_text()
    assert trained.report["verdict"].split(":")[0] in page
    assert "<svg" in page or "<img" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_labels_that_no_test_row_has_or_was_given_are_not_drawn_as_the_worst() -> None:
    answers = Answers(np.array([0, 1, 0]), np.eye(3)[[0, 1, 0]], [(0,), (1,), (0,)])
    bars, table = _labels_section(answers, {"majority class": answers}, ("seen", "too", "never")).blocks
    assert isinstance(bars, Picture) and "seen" in bars.drawing and "never" not in bars.drawing
    assert isinstance(table, Table) and table.rows[2] == ("never", None, None, None, 0)


def test_the_history_has_a_row_an_epoch(trained: Any) -> None:
    rows = list(csv.DictReader((trained.folder / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert {"val_accuracy", "val_macro_f1", "val_loss"} <= rows[0].keys()


def test_the_stored_config_is_the_whole_config(trained: Any) -> None:
    assert read_config(trained.folder / "config.yaml") == read_config(trained.config)


@pytest.mark.usefixtures("plain_report")
def test_the_same_config_gives_bitwise_the_same_network(trained: Any) -> None:
    assert seqloom("run", trained.config, "--out", "again").code == 0
    for name in ("weights.safetensors", "model.onnx", "decision.json", "vocabulary.json"):
        assert (Path("again") / name).read_bytes() == (trained.folder / name).read_bytes()


def test_a_finished_folder_is_never_overwritten(trained: Any) -> None:
    before = {path.name: sha256(path) for path in trained.folder.iterdir()}
    for options in ([], ["--resume"]):
        result = seqloom("run", trained.config, "--out", trained.folder, *options)
        assert result.code == 1
        assert "holds a finished run" in result.err
    assert {path.name: sha256(path) for path in trained.folder.iterdir()} == before


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random vectors for the words of the texts and for twenty others."""
    words = sorted({word for text, _ in keyword_rows(300, seed=0) for word in text.split()})
    words += [f"extra{i}" for i in range(20)]
    matrix = np.random.default_rng(3).normal(size=(len(words), UNITS))
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, matrix, strict=True)))
    return path


def change_of_vectors(trained: Any, **options: Any) -> float:
    """How far the word vectors of the training texts move in a run."""
    stanzas = {"vectors": options, "training": {"epochs": 3, "monitor": "loss"}}
    config = write_config(Path("vectors.yaml"), trained.data, **stanzas)
    result = seqloom("run", config, "--out", "run")
    assert result.code == 0, result.err
    tables = [array for name, array in read_weights(Path("run/weights.safetensors")).items() if "/tuned" in name]
    before = train.prepare(read_config(config)).table
    return float(np.abs(tables[0] - before[: len(tables[0])]).max())


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize(
    ("options", "moves"),
    [
        ({"training": "frozen"}, False),
        ({"training": "tuned"}, True),
        ({"training": "frozen_then_tuned", "frozen_epochs": 3}, False),
        ({"training": "frozen_then_tuned", "frozen_epochs": 1}, True),
    ],
)
def test_vectors_move_only_when_they_are_tuned(
    options: dict[str, Any], moves: bool, trained: Any, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLOOM_CACHE", "cache")
    change = change_of_vectors(trained, source=str(vectors), **options)
    assert change > 1e-3 if moves else change == 0


@pytest.mark.usefixtures("plain_report")
def test_words_known_from_the_vectors_alone_are_in_the_vocabulary(
    trained: Any, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLOOM_CACHE", "cache")
    stanza = {"source": str(vectors), "extra_words": 60}
    config = write_config(Path("c.yaml"), trained.data, vectors=stanza, training={"epochs": 1})
    assert seqloom("run", config, "--out", "run").code == 0
    words = json.loads(Path("run/vocabulary.json").read_text())["words"]
    assert "extra0" in words and "parcel" in words
    weights = read_weights(Path("run/weights.safetensors"))
    fixed = next(array for name, array in weights.items() if name.endswith("/fixed"))
    assert len(fixed) == sum(word.startswith("extra") for word in words)


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_learns_and_leaves_a_run_that_predicts(precision: str, trained: Any, texts: list[str]) -> None:
    options = {"mixed_precision": precision, "epochs": 6}
    config = write_config(Path("c.yaml"), trained.data, training=options)
    result = seqloom("run", config, "--out", "run", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["test"]["accuracy"] > 0.6
    assert len(list(Classifier("run").classify(texts))) == len(texts)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.usefixtures("plain_report")
def test_all_options_together_make_a_run_whose_graph_equals_its_network(trained: Any) -> None:
    """The export is compared with the network before it is kept, so a run that ends well is the assertion."""
    config = write_config(
        Path("c.yaml"),
        trained.data,
        tokens={"max_tokens": 50, "min_count": 2, "lowercase": False},
        encoder={"cell": "gru", "layers": 2, "bidirectional": True, "residual": True, "normalization": "layer"},
        model={"pooling": ["mean", "max", "attention"], "segment": 8, "word_dropout": 0.1},
        training={
            "epochs": 2,
            "label_smoothing": 0.1,
            "class_weights": "balanced",
            "schedule": "linear",
            "warmup": 0.1,
            "weight_decay": 0.01,
            "bucketing": False,
        },
        decision={"margin": 0.2, "none_of_the_above": {"score": "centroid", "value": 0.9}},
    )
    result = seqloom("run", config, "--out", "run", "--json")
    assert result.code == 0, result.err
    long_text = "parcel " * 50
    predictions = list(Classifier("run").classify(["my parcel", long_text, "login"]))
    assert len({tuple(prediction.probabilities.round(6)) for prediction in predictions}) == 3


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("many", [False, True])
def test_label_smoothing_moves_the_best_answer_away_from_certainty(many: bool, smoothing: float) -> None:
    targets = np.array([[1.0, 0.0]], np.float32)
    margins = np.linspace(0, 12, 121)
    losses = [float(np.mean(loss(many, smoothing)(targets, np.array([[m / 2, -m / 2]], np.float32)))) for m in margins]
    best = margins[int(np.argmin(losses))]
    expected = 12 if not smoothing else math.log(0.9 / 0.1) * (2 if many else 1)
    assert best == pytest.approx(expected, abs=0.11)


def test_the_mean_of_the_last_epochs_is_kept_when_asked_for(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`average` reaches the training loop, which its own tests are about."""
    config = read_config(write_config(Path("c.yaml"), trained.data, training={"average": 3}))
    _, task = train.begin(config, train.prepare(config))
    assert task.average == 3


def test_texts_of_one_word_are_learned_without_a_note(plain_report: None) -> None:
    rows = [(word, name) for name, words in TOPICS.items() for word in words * 8]
    data = {name: str(write_table(Path(f"{name}.csv"), rows)) for name in ("train", "validation")}
    config = write_config(Path("words.yaml"), data, model={"pooling": ["attention"]})
    result = seqloom("run", config, "--out", "run", "--json")
    assert result.code == 0, result.err
    assert "softmax" not in result.err
    assert json.loads(result.out)["baselines"]


def test_balanced_weights_make_every_label_weigh_the_same(here: Path) -> None:
    rows: list[Row] = [(text, label) for text, label in keyword_rows(120) if label != "refund"]
    rows += [(text, label) for text, label in keyword_rows(15) if label == "refund"]
    data = {"train": str(write_table(Path("skewed.csv"), rows)), "validation": 0.2, "test": 0.2}
    prepared = train.prepare(read_config(write_config(Path("c.yaml"), data)))
    truth = train.targets(prepared.splits.train, prepared.labels)
    weights = train.row_weights(truth, len(prepared.labels))
    sums = [weights[truth == label].sum() for label in range(len(TOPICS))]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-5)
    assert weights.mean() == pytest.approx(1)


def test_two_runs_never_write_to_one_folder(trained: Any) -> None:
    from toolkit.artifact import locked

    with locked(Path("busy")):
        result = seqloom("run", trained.config, "--out", "busy")
    assert result.code == 1
    assert "another run is writing to this folder" in result.err


def test_a_folder_with_other_things_is_left_alone(trained: Any) -> None:
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("precious")
    Path("mine/notes.txt").write_text("precious")
    for options in ([], ["--resume"]):
        result = seqloom("run", trained.config, "--out", "mine", *options)
        assert result.code == 1
        assert "Choose another folder" in result.err
    assert {path.name: path.read_text() for path in Path("mine").iterdir()} == {
        "config.yaml": "precious",
        "notes.txt": "precious",
    }


def test_a_run_that_fails_before_training_leaves_no_folder(trained: Any) -> None:
    config = write_config(Path("c.yaml"), {**trained.data, "train": "nowhere.csv"})
    assert seqloom("run", config, "--out", "run").code == 1
    assert not Path("run").exists()


def test_a_loss_that_explodes_is_told_with_what_to_change(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_a_number(network, inputs, targets, outputs, *_, **__):
        return keras.ops.sum(outputs) * np.nan

    monkeypatch.setattr(TextClassifier, "compute_loss", not_a_number)
    result = seqloom("run", trained.config, "--out", "run")
    assert result.code == 1
    assert "the loss became nan in epoch 1. Lower training.learning_rate" in result.err


def test_runs_without_a_name_are_numbered(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.cli import _default_folder

    assert _default_folder("keywords", False) == Path("runs/keywords")
    Path("runs/keywords").mkdir(parents=True)
    assert _default_folder("keywords", False) == Path("runs/keywords-2")
    assert _default_folder("keywords", True) == Path("runs/keywords")
