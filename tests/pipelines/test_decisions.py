"""From probabilities to labels, as a config asks for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import keyword_rows, seqloom, write_config, write_splits, write_table

from pipelines.text_classification import evaluate
from pipelines.text_classification.answers import Answers
from pipelines.text_classification.config import Config, NoneConfig
from pipelines.text_classification.data import Examples, Splits, label_odds, read_splits, row_weights, soft_targets
from pipelines.text_classification.evaluate import fit_baselines, fit_policy
from pipelines.text_classification.predict import Classifier
from toolkit import config as configs
from toolkit.errors import ConfigError
from toolkit.evaluation.decisions import Policy

SCORES = ["max_probability", "energy", "centroid"]


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


@pytest.fixture(scope="module")
def splits(trained: Any) -> Splits:
    """The data of the run, with chatter among the validation rows, which belongs to no label."""
    config = configs.validate(configs.read_document(trained.config), Config)
    splits = read_splits(config.data, config.seed)
    chatter = [text for text, label in keyword_rows(80, seed=9, other=True) if label == "other"]
    validation = splits.validation
    texts, labels = [*validation.texts, *chatter], [*validation.labels, *((),) * len(chatter)]
    return replace(splits, validation=Examples(texts, labels, False, "validation"))


def decide(classifier: Classifier, policy: Policy, texts: list[str]) -> list[tuple[int, ...]]:
    return policy.decide(*classifier.scorer.score(texts))


def fit(classifier: Classifier, splits: Splits, **options: Any) -> Policy:
    return fit_policy(deciding(**options), splits, classifier.policy.labels, classifier.scorer)


def deciding(**options: Any) -> Config:
    options = {name: getattr(value, "model_dump", lambda value=value: value)() for name, value in options.items()}
    return Config.model_validate({"pipeline": "text_classification", "data": {"train": "a.csv"}, "decision": options})


def test_every_text_gets_its_best_label_unless_asked_otherwise(classifier: Classifier, texts: list[str]) -> None:
    for prediction in classifier.classify(texts):
        assert prediction.ids == (int(prediction.probabilities.argmax()),)


def test_cutoff_adds_every_label_that_is_probable_enough(
    classifier: Classifier, splits: Splits, texts: list[str]
) -> None:
    policy = fit(classifier, splits, cutoff=0.02)
    probabilities = policy.probabilities(classifier.scorer.score(texts)[0])
    for ids, row in zip(decide(classifier, policy, texts), probabilities, strict=True):
        assert set(ids) == {int(row.argmax())} | set(np.flatnonzero(row >= 0.02))
        assert list(ids) == sorted(ids, key=lambda i: -row[i])


def test_margin_adds_the_second_label_if_it_is_close(classifier: Classifier, splits: Splits, texts: list[str]) -> None:
    policy = fit(classifier, splits, margin=0.9)
    probabilities = policy.probabilities(classifier.scorer.score(texts)[0])
    decided = decide(classifier, policy, texts)
    assert any(len(ids) > 1 for ids in decided)
    for ids, row in zip(decided, probabilities, strict=True):
        first, second = np.argsort(-row)[:2]
        assert ids == ((first, second) if row[second] >= row[first] - 0.9 else (first,))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(("target", "value"), [("keep", 0.9), ("recall", 0.8), ("precision", 0.9)])
def test_none_of_the_above_reaches_its_target_on_validation(
    score: str, target: str, value: float, classifier: Classifier, splits: Splits
) -> None:
    options = NoneConfig(score=score, target=target, value=value)
    policy = fit(classifier, splits, none_of_the_above=options)
    rejected = np.array([not ids for ids in decide(classifier, policy, splits.validation.texts)])
    outside = np.array([not labels for labels in splits.validation.labels])
    reached = {
        "keep": (~rejected[~outside]).mean(),
        "recall": rejected[outside].mean(),
        "precision": outside[rejected].mean() if rejected.any() else 1.0,
    }
    assert reached[target] >= value
    assert rejected.any() or target == "precision"


@pytest.mark.parametrize("target", ["recall", "precision"])
def test_a_target_about_rows_that_are_not_there_is_refused(target: str, classifier: Classifier, trained: Any) -> None:
    config = configs.validate(configs.read_document(trained.config), Config)
    with pytest.raises(ConfigError, match="there are none"):
        fit(classifier, read_splits(config.data, 1), none_of_the_above=NoneConfig(target=target))


def test_baselines_are_decided_alike(splits: Splits, classifier: Classifier) -> None:
    config = deciding(none_of_the_above=NoneConfig(target="recall", value=1.0, score="centroid"))
    chatter = replace(splits, test=splits.validation)
    for answers in fit_baselines(config, chatter, classifier.policy.labels).values():
        outside = [not labels for labels in splits.validation.labels]
        assert all(not ids for ids, out in zip(answers.decided, outside, strict=True) if out)


def run(config: Path) -> dict[str, Any]:
    result = seqloom("run", config, "--out", "run", "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("score", ["energy", "centroid"])
def test_texts_of_no_topic_are_rejected_after_training_with_some(score: str, here: Path) -> None:
    data = write_splits(here, other=True) | {"out_of_scope": "other"}
    none = {"score": score, "target": "recall", "value": 0.9}
    report = run(write_config(Path("c.yaml"), data, decision={"none_of_the_above": none}))
    assert json.loads(Path("run/decision.json").read_text())["labels"] == ["account", "delivery", "refund"]
    assert report["test"]["oos_recall"] > 0.6
    assert report["test"]["in_scope_accuracy"] > (0.6 if score == "energy" else 0.2)
    assert {"in_scope_accuracy", "oos_recall"} <= report["baselines"]["majority class"].keys()
    assert Path("run/centroids.npy").exists() == (score == "centroid")
    answers = list(Classifier("run").classify(["is the weather you can really need", "my parcel please is it for you"]))
    assert len(answers) == 2


def test_rows_of_no_label_are_equally_likely_everything() -> None:
    wanted = soft_targets(np.array([1, -1]), 4)
    np.testing.assert_allclose(wanted, [[0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25]])


def test_what_weights_take_from_a_label_is_its_odds() -> None:
    truth = np.array([0] * 90 + [1] * 8 + [2] * 2)
    odds = label_odds(truth, 3, row_weights(truth, 3))
    np.testing.assert_allclose(odds - odds[0], np.log([1, 8 / 90, 2 / 90]), rtol=1e-5)
    flags = np.zeros((100, 2), bool)
    flags[:50, 0], flags[48:52, 1] = True, True
    odds = label_odds(flags, 2, row_weights(flags, 2))
    assert odds[1] < odds[0] - 1  # rows with the rare label weigh more
    np.testing.assert_allclose(label_odds(flags, 2, np.ones(100)), 0, atol=1e-6)


@pytest.mark.usefixtures("plain_report")
def test_many_labels_have_a_threshold_each_and_none_is_no_label(here: Path) -> None:
    data = write_splits(here, many=True, other=True) | {"label_separator": ";", "out_of_scope": "other"}
    report = run(write_config(Path("c.yaml"), data, training={"epochs": 8, "monitor": "macro_f1"}))
    decision = json.loads(Path("run/decision.json").read_text())
    assert decision["labels"] == ["account", "delivery", "refund"]
    assert len(decision["thresholds"]) == 3
    assert report["test"]["macro_f1"] > 0.6
    assert {"exact_match", "micro_f1", "oos_recall"} <= report["test"].keys()
    classifier = Classifier("run")
    thresholds = np.array(decision["thresholds"])
    for prediction in classifier.classify([text for text, _ in keyword_rows(40, seed=3, many=True, other=True)]):
        assert set(prediction.ids) == set(np.flatnonzero(prediction.probabilities >= thresholds))


def test_cutoff_and_margin_are_refused_with_many_labels(here: Path) -> None:
    data = write_splits(here, many=True) | {"label_separator": ";"}
    config = write_config(Path("c.yaml"), data, decision={"margin": 0.1}, training={"epochs": 1})
    result = seqloom("run", config, "--out", "run")
    assert result.code == 2
    assert "decision.margin" in result.err and "Remove" in result.err
    assert "epoch   1" not in result.err  # told before the training, not after


def answers(truth: list[int], given: list[tuple[int, ...]], stated: list[list[float]]) -> Answers:
    return Answers(np.array(truth), np.array(stated), given)


def test_what_a_second_label_adds_is_scored() -> None:
    stated = [[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.4, 0.4, 0.2]]
    found = answers([0, 1, 1, -1], [(0, 1), (0, 1), (1,), ()], stated).scores()
    assert found["accuracy"] == 0.75  # by the first label alone
    assert (found["among_given"], found["labels_given"]) == (1.0, pytest.approx(5 / 3))
    assert "among_given" not in answers([0, 1], [(0,), (0,)], stated[:2]).scores()


def test_the_calibration_of_given_labels_counts_what_users_get() -> None:
    rows = 50
    found = answers([0] * rows + [-1] * rows, [(0,)] * 2 * rows, [[0.98, 0.02]] * 2 * rows).scores()
    assert found["ece"] == pytest.approx(0.02)  # rows in scope
    assert found["ece_given"] == pytest.approx(0.48)
    flags = np.zeros((100, 20), bool)
    flags[:50, 0] = True
    many = Answers(flags, np.tile([0.9] + [0.001] * 19, (100, 1)), [(0,)] * 100).scores()
    assert many["ece_given"] == pytest.approx(0.4)
    assert many["ece"] < 0.05


@pytest.mark.usefixtures("plain_report")
def test_weights_of_labels_leave_probabilities_true(here: Path) -> None:
    """Labels that weigh alike in training make rare ones likelier than they are; what is stated must not be."""
    rows = keyword_rows(600, seed=3)
    random = np.random.default_rng(0)
    kept = [(text, label) for text, label in rows if label == "delivery" or random.random() < 0.12]
    noisy = [(text, label if random.random() < 0.7 else "delivery") for text, label in kept]
    write_table(here / "skewed.csv", noisy)
    weighed = {"class_weights": "balanced", "epochs": 3}
    config = write_config(Path("c.yaml"), {"train": "skewed.csv", "validation": 0.3, "test": 0.3}, training=weighed)
    assert "accuracy" in run(config)["test"]
    policy = json.loads(Path("run/decision.json").read_text())
    assert len(policy["shift"]) == 3
    settings = configs.validate(configs.read_document(config), Config)
    validation = read_splits(settings.data, settings.seed).validation
    stated = np.stack([each.probabilities for each in Classifier("run").classify(validation.texts)]).mean(axis=0)
    shares = [np.mean([label == (name,) for label in validation.labels]) for name in policy["labels"]]
    np.testing.assert_allclose(stated, shares, atol=0.02)


def test_entropy_with_many_labels_is_refused_before_training(here: Path) -> None:
    data = write_splits(here, many=True, other=True) | {"out_of_scope": "other", "label_separator": ";"}
    none = {"score": "entropy", "target": "keep", "value": 0.9}
    result = seqloom("run", write_config(Path("c.yaml"), data, decision={"none_of_the_above": none}), "--out", "run")
    assert result.code == 2
    assert "entropy is for one label a row" in result.err and "Use energy or max_probability" in result.err


def test_a_test_row_among_validation_rows_is_told(here: Path) -> None:
    data = write_splits(here)
    result = seqloom("check", write_config(Path("c.yaml"), data | {"validation": data["test"]}))
    assert "test texts stand in the training or validation rows too" in result.err
