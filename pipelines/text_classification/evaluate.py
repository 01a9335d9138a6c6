"""Decisions fitted on validation rows, scores on test rows beside the baselines, and the report."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.text_classification.answers import Answers
from pipelines.text_classification.config import Config, DataConfig, DecisionConfig
from pipelines.text_classification.data import (
    Examples,
    Labels,
    Splits,
    check_known,
    label_odds,
    read_examples,
    row_weights,
    targets,
)
from pipelines.text_classification.predict import NAME, Classifier, Scorer
from pipelines.text_classification.report import render
from toolkit.artifact import Artifact
from toolkit.data.files import tell_few, tell_learned
from toolkit.errors import DataError
from toolkit.evaluation import baselines, calibration, classification, decisions, thresholds
from toolkit.evaluation.decisions import NoneRule, Policy
from toolkit.evaluation.linear import LinearMember, TfidfLogistic, fit_linear_member

FEW = 4000  # training rows: pieces of words make up for words that are in none of them; with more, they only take time


def fit_linear(config: Config, splits: Splits, labels: Labels, scorer: Scorer) -> LinearMember | None:
    """The linear model to average with the scorer's networks, weighed on validation rows; None: it gets no weight."""
    capitals, pieces = config.tokens.capitals, len(splits.train) <= FEW
    model = _tuned_linear(splits, labels, balanced=is_balanced(config), capitals=capitals, pieces=pieces)
    texts, truth = splits.validation.texts, targets(splits.validation, labels)
    expected = _taken_by_weights(config, splits, labels)
    return fit_linear_member(model, scorer.score(texts)[0], model.logits(texts), truth, expected)


def refit_linear(config: Config, member: LinearMember, splits: Splits, labels: Labels) -> LinearMember:
    """The same, fitted to other training rows; its weight and temperatures stay."""
    return replace(member, model=_fit_linear_again(member.model, splits, labels, is_balanced(config)))


def _tuned_linear(
    splits: Splits, labels: Labels, *, balanced: bool, capitals: bool = False, pieces: bool = False
) -> TfidfLogistic:
    train, validation = ((rows.texts, targets(rows, labels)) for rows in (splits.train, splits.validation))
    return baselines.tune_tfidf_logistic(
        *train, len(labels), validation, balanced=balanced, capitals=capitals, pieces=pieces
    )


def _fit_linear_again(model: TfidfLogistic, splits: Splits, labels: Labels, balanced: bool) -> TfidfLogistic:
    """The same on other training rows."""
    return baselines.fit_tfidf_logistic(
        splits.train.texts,
        targets(splits.train, labels),
        len(labels),
        strength=model.strength,
        balanced=balanced,
        capitals=model.capitals,
        pieces=model.pieces,
    )


def is_balanced(config: Config) -> bool:
    """Whether all labels weigh alike in training, however often they occur."""
    return config.training.class_weights == "balanced"


def fit_policy(config: Config, splits: Splits, labels: Labels, scorer: Scorer) -> Policy:
    """The decision rule of a run, fitted on its validation rows."""
    logits, features = scorer.score(splits.validation.texts)
    centroids = fit_centroids(config.decision, splits, labels, scorer)
    expected, _ = _taken_by_weights(config, splits, labels)
    return _fit(config, labels, logits, targets(splits.validation, labels), expected, features, centroids)


def _taken_by_weights(config: Config, splits: Splits, labels: Labels) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The shifts of labels that undo the weights of training rows, where these have some: those of networks, and those
    of one regression a label, each half of whose rows has it."""
    if not is_balanced(config):
        return None, None
    truth = targets(splits.train, labels)
    return label_odds(truth, len(labels), row_weights(truth, len(labels))), baselines.majority(truth, len(labels))


def fit_centroids(config: DecisionConfig, splits: Splits, labels: Labels, scorer: Scorer) -> np.ndarray | None:
    """The centre of each label's training rows, where the decision rule measures distances from them."""
    if not config.none_of_the_above or config.none_of_the_above.score != "centroid":
        return None
    return decisions.class_centroids(scorer.score(splits.train.texts)[1], targets(splits.train, labels), len(labels))


def evaluate_run(
    folder: Path, splits: Splits, config: Config, history: list[dict[str, float]], seconds: float, *, refitted: bool
) -> tuple[dict[str, Any], str]:
    """Score a sealed run on its test rows, through the path that users run: its report, and the page.

    Args:
        refitted: its networks have seen the validation rows too, which they have not after Ctrl-C.
    """
    started = time.monotonic()
    classifier = Classifier(folder)
    labels = classifier.policy.labels
    model = _answers(classifier, splits.test)
    evaluated = time.monotonic()
    linear = classifier.scorer.linear
    served = linear.model if linear and not (linear.model.capitals or linear.model.pieces) else None
    others = fit_baselines(config, splits, labels, served, refitted)
    scores = {name: answers.scores() for name, answers in others.items()}
    report: dict[str, Any] = {
        "pipeline": NAME,
        "test": model.scores(),
        "baselines": scores,
        "seconds": {"train": seconds, "evaluate": evaluated - started, "baselines": time.monotonic() - evaluated},
    }
    if config.model.linear:
        report["linear_weight"] = linear.weight if linear else 0.0
    page, report["verdict"] = render(report, model, others, history, splits.test.texts, labels, config.training.monitor)
    return report, page


def evaluate(folder: Path, data: Path) -> dict[str, float]:
    """Score a run on labelled data that its own data stanza describes.

    Raises:
        DataError: the data cannot be read or has a label that the run does not know.
    """
    classifier = Classifier(folder)
    config: DataConfig = Artifact(folder, NAME).read_config(Config).data
    examples = read_examples(config, str(data))
    tell_learned(str(data), config.train, config.validation)
    tell_few(str(data), len(examples))
    if examples.many and not classifier.policy.many:
        raise DataError("lists of labels, but this run gives one label a row.", where=str(data))
    check_known(examples, classifier.policy.labels)
    return _answers(classifier, replace(examples, many=classifier.policy.many)).scores()


def fit_baselines(
    config: Config, splits: Splits, labels: Labels, logistic: TfidfLogistic | None = None, refit: bool = False
) -> dict[str, Answers]:
    """What the simplest things that users could do instead say about the test rows, with decisions fitted alike.

    Args:
        logistic: the regression on these training rows, with `refit` on validation rows too, where it is fitted
            already.
        refit: what answers on test rows has seen the validation rows too, as the run's networks have.
    """
    whole = splits.joined() if refit else splits
    balanced = is_balanced(config)
    tuned = logistic or _tuned_linear(splits, labels, balanced=balanced)
    first = _fit_linear_again(tuned, splits, labels, balanced) if refit and logistic else tuned
    last = _fit_linear_again(tuned, whole, labels, balanced) if refit and not logistic else tuned
    # The same constant for both: thresholds stand right at it.
    constant = baselines.majority(targets(whole.train, labels), len(labels))
    logits = {
        "majority class": tuple(np.tile(constant, (len(rows), 1)) for rows in (splits.validation, splits.test)),
        "TF-IDF + logistic regression": (first.logits(splits.validation.texts), last.logits(splits.test.texts)),
    }
    truth, answers = targets(splits.test, labels), {}
    for name, (validation, test) in logits.items():
        # Of one regression a label, each half of whose rows has it; the constant is as frequent as labels are.
        expected = constant if balanced and name != "majority class" else None
        policy = _fit(config, labels, validation, targets(splits.validation, labels), expected)
        answers[name] = Answers(truth, policy.probabilities(test), policy.decide(test))
    return answers


def _answers(classifier: Classifier, examples: Examples) -> Answers:
    predictions = list(classifier.classify(examples.texts))
    truth = targets(examples, classifier.policy.labels)
    return Answers(truth, np.stack([p.probabilities for p in predictions]), [p.ids for p in predictions])


def _fit(
    config: Config,
    labels: Labels,
    logits: np.ndarray,
    truth: np.ndarray,
    expected: np.ndarray | None,
    features: np.ndarray | None = None,
    centroids: np.ndarray | None = None,
) -> Policy:
    """A decision rule from the logits (rows, labels) and the truth of validation rows."""
    many = truth.ndim == 2
    temperature, shift = calibration.calibrate(logits, truth, expected)
    policy = Policy(labels, many, temperature, (0.5,) * len(labels) * many, shift=shift)
    cutoff = config.decision.cutoff
    if cutoff == "auto":
        flags = classification.as_flags(truth, len(labels))
        cutoff = thresholds.fit_cutoff(policy.probabilities(logits), flags)
    policy = replace(policy, cutoff=cutoff, margin=config.decision.margin)
    if many:
        own = thresholds.fit_thresholds_per_label(policy.probabilities(logits), truth)
        policy = replace(policy, thresholds=tuple(own.tolist()))
    wanted = config.decision.none_of_the_above
    if wanted is None:
        return policy
    # A baseline has no pooled features to measure distances in.
    score = wanted.score if features is not None or wanted.score != "centroid" else "max_probability"
    policy = replace(policy, centroids=centroids)
    answered = np.array(list(map(len, policy.decide(logits)))) > 0
    scores = np.where(answered, policy.scope_scores(score, logits, features), -np.inf)
    inside = truth.any(axis=1) if many else truth != classification.OUT_OF_SCOPE
    threshold = thresholds.fit_none_threshold(scores[inside], scores[~inside], wanted.target, wanted.value)
    return replace(policy, none=NoneRule(score, threshold))
