"""Runs whose networks are averaged with a linear model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import keyword_rows, seqloom, write_config, write_splits

from pipelines.text_classification import evaluate
from pipelines.text_classification.config import Config
from pipelines.text_classification.data import label_set, read_splits
from pipelines.text_classification.explain import _without_each, explain
from pipelines.text_classification.predict import Classifier, Scorer
from toolkit.artifact import Artifact
from toolkit.evaluation import baselines, calibration
from toolkit.evaluation.linear import TfidfLogistic

PARTS = ("linear.json", "linear.safetensors")


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


def networks_alone(folder: Path) -> Scorer:
    artifact = Artifact(folder, "text_classification")
    return Scorer(artifact.read_bytes("model.onnx"), artifact.read_json("vocabulary.json"))


def run(config: Path, *options: str) -> dict[str, Any]:
    result = seqloom("run", config, "--out", "run", "--json", *options)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_logits_are_those_of_both(linear: Any, texts: list[str]) -> None:
    stored = json.loads((linear.folder / "linear.json").read_text())
    scorer = Classifier(linear.folder).scorer
    both, features = scorer.score(texts)
    alone, same_features = networks_alone(linear.folder).score(texts)
    (first, second), weight = stored["temperatures"], stored["weight"]
    expected = (1 - weight) * alone / first + weight * scorer.linear.model.logits(texts) / second
    np.testing.assert_allclose(both, expected, atol=1e-6)
    np.testing.assert_array_equal(features, same_features)


def test_the_networks_are_those_of_a_run_without(linear: Any, trained: Any) -> None:
    name = "weights.safetensors"
    assert (linear.folder / name).read_bytes() == (trained.folder / name).read_bytes()
    assert not set(PARTS) & {path.name for path in trained.folder.iterdir()}


def test_the_run_is_sealed_and_scored_as_it_is_served(linear: Any) -> None:
    assert set(PARTS) <= json.loads((linear.folder / "manifest.json").read_text())["files"].keys()
    result = seqloom("evaluate", "--model", linear.folder, "--data", linear.data["test"], "--json")
    assert json.loads(result.out) == linear.report["test"]
    texts, labels = zip(*keyword_rows(60, seed=77), strict=True)
    classifier = Classifier(linear.folder)
    found = [classifier.policy.labels[prediction.ids[0]] for prediction in classifier.classify(texts)]
    assert np.mean(np.array(found) == np.array(labels)) > 0.9


def test_the_report_tells_the_weight_and_the_baseline_is_the_same(linear: Any, trained: Any) -> None:
    weight = json.loads((linear.folder / "linear.json").read_text())["weight"]
    assert linear.report["linear_weight"] == weight > 0
    page = (linear.folder / "report.html").read_text()
    assert f"{weight:.0%} of the linear model, as weighed" in page
    assert linear.report["baselines"] == trained.report["baselines"]
    assert "linear" not in (trained.folder / "report.html").read_text()


def useless(*arguments: Any, **options: Any) -> TfidfLogistic:
    model = TUNE(*arguments, **options)
    return replace(model, weights=0 * model.weights)


TUNE = baselines.tune_tfidf_logistic


def test_a_useless_linear_model_is_left_out(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "tune_tfidf_logistic", useless)
    monkeypatch.setattr(calibration, "EVEN", 0.0)  # few rows cannot tell that it is useless
    report = run(write_config(Path("c.yaml"), trained.data, model={"linear": True}))
    assert report["linear_weight"] == 0
    assert not any(Path("run", name).exists() for name in PARTS)
    assert Path("run/decision.json").read_bytes() == (trained.folder / "decision.json").read_bytes()
    assert "earned no weight" in Path("run/report.html").read_text()


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_both_are_weighed_once_the_weights_of_labels_are_undone(
    weights: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_splits(here)
    training = {"class_weights": weights}
    values = {"pipeline": "text_classification", "data": data, "training": training, "model": {"linear": True}}
    config = Config.model_validate(values)
    splits, told = read_splits(config.data, config.seed), list[Any]()
    rows = [i for i, (label,) in enumerate(splits.train.labels) if label == "delivery" or i % 4 == 0]
    splits, labels = replace(splits, train=splits.train.take(rows)), label_set(splits.train)
    monkeypatch.setattr(evaluate, "fit_linear_member", lambda *arguments: told.extend(arguments))

    class Even:
        def score(self, texts: list[str]) -> tuple[np.ndarray, None]:
            return np.zeros((len(texts), len(labels))), None

    evaluate.fit_linear(config, splits, labels, Even())  # type: ignore[arg-type]
    expected = told[4]
    assert weights == "balanced" or expected == (None, None)
    for shift in expected if weights == "balanced" else ():
        assert shift.argmax() == labels.index("delivery") and shift.max() > shift.min() + 0.5


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("many", [False, True])
def test_many_labels_and_rows_of_none_go_together_with_it(many: bool, here: Path) -> None:
    data = write_splits(here, many=many, other=True) | {"out_of_scope": "other"}
    data |= {"label_separator": ";"} if many else {}
    none = {"score": "energy", "target": "recall", "value": 0.9}
    stanzas = {} if many else {"decision": {"none_of_the_above": none}}
    report = run(write_config(Path("c.yaml"), data, model={"linear": True}, **stanzas))
    assert report["linear_weight"] > 0
    assert report["test"]["oos_recall"] > 0.6
    assert report["test"]["macro_f1"] > 0.8
    result = seqloom("evaluate", "--model", "run", "--data", data["test"], "--json")
    assert json.loads(result.out) == report["test"]


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("before", [False, True])
def test_a_run_goes_on_with_and_without_it(before: bool, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_config(Path("c.yaml"), trained.data, model={"linear": before})
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "render", lambda *_: 1 / 0)
        assert seqloom("run", config, "--out", "run").code == 1
    assert Path("run/linear.json").exists() == before
    run(config, "--resume", "--set", f"model.linear={str(not before).lower()}")
    assert Path("run/weights.safetensors").read_bytes() == (trained.folder / "weights.safetensors").read_bytes()
    for name in PARTS:
        assert Path("run", name).exists() != before


def test_hiding_a_word_changes_nothing_else_of_what_the_linear_model_reads(linear: Any) -> None:
    """The text is not put together anew from its words, which it would read otherwise, nor cut where networks stop."""
    scorer = Classifier(linear.folder).scorer
    text = "They don't refund my  money. I don't know why."
    variants = list(_without_each(scorer.encoder, text))
    assert variants[3] == "They don't  my  money. I don't know why."
    assert variants[1] == "They n't refund my  money. I don't know why."
    longer = text + " zzz" * 10 * scorer.encoder.limit
    assert all(len(longer) - len(each) < 10 for each in _without_each(scorer.encoder, longer))
    told = explain(linear.folder, text)
    assert any("A linear model, which reads all of a text" in note for note in told.notes)
