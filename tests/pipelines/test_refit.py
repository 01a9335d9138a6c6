"""Runs that are trained again on training and validation rows together (training.refit)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interruptions import at_call, interrupt
from keywords import seqloom, write_config

from pipelines.text_classification import evaluate
from pipelines.text_classification.config import Config
from pipelines.text_classification.data import Examples, Splits, label_set, read_splits
from pipelines.text_classification.predict import Classifier
from toolkit import config as configs
from toolkit.evaluation import baselines

EPOCHS, STEPS = 5, 12
CALLS = EPOCHS * (STEPS + 1)  # of Watch while the first network trains


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


@pytest.fixture(scope="module")
def config(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("refit")
    return write_config(base / "c.yaml", trained.data, training={"refit": True, "monitor": "loss"})


@pytest.fixture(scope="module")
def refitted(config: Path) -> Path:
    """A run that nothing stopped."""
    folder = config.parent / "unbroken"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
        result = seqloom("run", config, "--out", folder)
    assert result.code == 0, result.err
    return folder


@pytest.fixture(scope="module")
def plain(config: Path) -> Path:
    """The same run without."""
    folder = config.parent / "plain"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
        assert seqloom("run", config, "--set", "training.refit=false", "--out", folder).code == 0
    return folder


def test_what_was_chosen_stays_and_the_networks_are_others(refitted: Path, plain: Path) -> None:
    for name in ("decision.json", "history.csv"):
        assert (refitted / name).read_bytes() == (plain / name).read_bytes(), name
    assert (refitted / "model.onnx").read_bytes() != (plain / "model.onnx").read_bytes()
    assert Classifier(refitted).scorer.encoder.ids.keys() >= Classifier(plain).scorer.encoder.ids.keys()
    assert not (refitted / "checkpoints").exists()


def test_validation_rows_are_learned(config: Path, refitted: Path, plain: Path, tmp_path: Path) -> None:
    """A word that stands in validation rows alone is known afterwards."""
    data = json.loads(config.read_text())["data"]
    validation = tmp_path / "validation.csv"
    validation.write_text(Path(data["validation"]).read_text() + "a quokka is my parcel,delivery\n" * 3)
    changed = write_config(tmp_path / "c.yaml", {**data, "validation": str(validation)}, training={"refit": True})
    assert seqloom("run", changed, "--out", "run").code == 0
    assert "quokka" in json.loads(Path("run/vocabulary.json").read_text())["words"]
    assert "quokka" not in json.loads((plain / "vocabulary.json").read_text())["words"]


def test_a_crash_in_the_second_training_changes_nothing(
    config: Path, refitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        at_call(patched, CALLS + STEPS + 5, lambda: 1 / 0)
        assert seqloom("run", config, "--out", "run").code == 1
    assert Path("run/checkpoints/refit/member0").is_dir()
    result = seqloom("run", config, "--out", "run", "--resume")
    assert result.code == 0, result.err
    for name in ("weights.safetensors", "model.onnx", "decision.json", "vocabulary.json"):
        assert Path("run", name).read_bytes() == (refitted / name).read_bytes(), name


@pytest.mark.parametrize("calls", [3, STEPS + 5])
def test_ctrl_c_in_the_second_training_keeps_the_first(
    calls: int, config: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_call(monkeypatch, CALLS + calls, interrupt)
    result = seqloom("run", config, "--out", "run")
    assert result.code == 0, result.err
    assert Path("run/weights.safetensors").read_bytes() == (plain / "weights.safetensors").read_bytes()
    assert "note: stopped: no network was trained again (training.refit)." in result.err
    reports = (json.loads((folder / "report.json").read_text()) for folder in (Path("run"), plain))
    assert len({json.dumps(report["baselines"]) for report in reports}) == 1, "the baseline has seen other rows"


@pytest.mark.parametrize("calls", [2 * (STEPS + 1), CALLS + 4])
def test_ctrl_c_in_the_first_training_leaves_the_second_out(
    calls: int, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_call(monkeypatch, calls, interrupt)
    result = seqloom("run", config, "--set", "model.members=2", "--out", "run", "--json")
    assert result.code == 0, result.err
    trainings = result.err.count("epoch   1 ")
    assert trainings == 1


def test_a_linear_model_and_centroids_are_fitted_again_too(config: Path, here: Path) -> None:
    data = json.loads(config.read_text())["data"]
    none = {"score": "centroid", "target": "keep", "value": 0.9}
    stanzas = {"model": {"linear": True}, "decision": {"none_of_the_above": none}}
    for name, refit in (("again", True), ("once", False)):
        path = write_config(here / f"{name}.yaml", data, training={"refit": refit}, **stanzas)
        assert seqloom("run", path, "--out", name).code == 0
    again, once = (Classifier(name) for name in ("again", "once"))
    first, second = again.scorer.linear, once.scorer.linear
    assert first and second and again.policy.centroids is not None and once.policy.centroids is not None
    assert (first.weight, first.temperatures) == (second.weight, second.temperatures)
    assert not np.array_equal(first.model.bias, second.model.bias)
    assert not np.array_equal(again.policy.centroids, once.policy.centroids)


def test_the_baseline_sees_the_same_rows(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = configs.validate(configs.read_document(config), Config)
    splits, seen = read_splits(settings.data, seed=1), []

    def counting(fit: Any) -> Any:
        def counted(texts: list[str], *others: Any, **options: Any) -> Any:
            seen.append(len(texts))
            return fit(texts, *others, **options)

        return counted

    for name in ("tune_tfidf_logistic", "fit_tfidf_logistic"):
        monkeypatch.setattr(baselines, name, counting(getattr(baselines, name)))
    for refit, sizes in ((False, [192]), (True, [192, 192 + 36])):
        seen.clear()
        evaluate.fit_baselines(settings, splits, label_set(splits.train), refit=refit)
        assert seen == sizes


@pytest.mark.parametrize("seed", range(4))
def test_refitting_leaves_the_majority_class_where_it_was(seed: int) -> None:
    """Thresholds stand right at a constant answer, so the least change of the constant would change every answer."""
    random = np.random.default_rng(seed)
    names = ("a", "b", "c")

    def rows(count: int) -> Examples:
        flags = random.random((count, 3)) < (0.5, 0.3, 0.2)
        labels = [tuple(np.array(names)[row]) for row in flags]
        return Examples(["some words"] * count, labels, True, "made")

    splits = Splits(rows(200), rows(60), rows(60))
    config = Config.model_validate({"pipeline": "text_classification", "data": {"train": "made"}})
    scores = [
        evaluate.fit_baselines(config, splits, names, refit=refit)["majority class"].scores()["macro_f1"]
        for refit in (False, True)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=0.1)
