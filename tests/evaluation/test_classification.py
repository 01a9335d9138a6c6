"""Metrics against scikit-learn, against twins written row by row, and where they are undefined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from toolkit.evaluation import classification as metrics

SEEDS = st.integers(0, 10_000)
LABELS = 4


def single(seed: int, rows: int = 60, lowest: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and predictions, ids from `lowest` on, and probabilities; label 3 is rare."""
    random = np.random.default_rng(seed)
    ids = np.arange(lowest, LABELS)
    odds = np.where(ids == LABELS - 1, 0.02, 1.0)
    targets, predictions = random.choice(ids, (2, rows), p=odds / odds.sum())
    return targets, predictions, random.dirichlet(np.ones(LABELS), rows)


def many(seed: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    frequency = np.array([0.5, 0.3, 0.1, 0.01])
    targets, predictions = random.random((2, rows, LABELS)) < frequency
    return targets, predictions, random.random((rows, LABELS))


@given(SEEDS)
def test_label_scores_equal_scikit_learn(seed):
    for targets, predictions in (many(seed)[:2], [metrics.as_flags(ids, LABELS) for ids in single(seed)[:2]]):
        scores = metrics.label_scores(targets, predictions)
        expected = sklearn_metrics.precision_recall_fscore_support(targets, predictions, average=None, zero_division=0)
        np.testing.assert_allclose([scores.precision, scores.recall, scores.f1, scores.support], expected)


@given(SEEDS)
def test_averages_equal_scikit_learn(seed):
    targets, predictions, probabilities = many(seed)
    scores = metrics.score_many(targets, predictions, probabilities)
    macro = sklearn_metrics.f1_score(targets, predictions, average="macro", zero_division=np.nan)
    micro = sklearn_metrics.f1_score(targets, predictions, average="micro")
    assert scores["macro_f1"] == pytest.approx(macro)
    assert scores["micro_f1"] == pytest.approx(micro)
    assert scores["exact_match"] == pytest.approx(sklearn_metrics.accuracy_score(targets, predictions))
    assert scores["nll"] == pytest.approx(
        np.mean([sklearn_metrics.log_loss(targets[:, k], probabilities[:, k], labels=[0, 1]) for k in range(LABELS)])
    )


@given(SEEDS)
def test_single_label_scores_equal_scikit_learn(seed):
    targets, predictions, probabilities = single(seed)
    scores = metrics.score_single(targets, predictions, probabilities)
    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(targets, predictions))
    assert scores["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(targets, predictions, average="macro"))
    assert scores["nll"] == pytest.approx(sklearn_metrics.log_loss(targets, probabilities, labels=range(LABELS)))
    assert "oos_recall" not in scores


@given(SEEDS)
def test_out_of_scope_scores_equal_a_count_row_by_row(seed):
    targets, predictions, probabilities = single(seed, lowest=-1)
    pairs = list(zip(targets, predictions, strict=True))
    in_scope = [true == given for true, given in pairs if true != -1]
    found = [given == -1 for true, given in pairs if true == -1]
    rejected = [true == -1 for true, given in pairs if given == -1]
    scores = metrics.score_single(targets, predictions, probabilities)
    assert scores["in_scope_accuracy"] == pytest.approx(np.mean(in_scope))
    assert scores["oos_recall"] == pytest.approx(np.mean(found))
    assert scores["oos_precision"] == pytest.approx(np.mean(rejected))
    assert scores["accuracy"] == pytest.approx(np.mean(in_scope + found))
    flags = [metrics.as_flags(ids, LABELS) for ids in (targets, predictions)]
    as_many = metrics.score_many(*flags, probabilities)
    assert {name: as_many[name] for name in scores if "scope" in name or "oos" in name} == {
        name: scores[name] for name in scores if "scope" in name or "oos" in name
    }


def test_a_label_given_to_an_out_of_scope_row_costs_its_precision():
    targets, predictions = np.array([0, -1]), np.array([0, 0])
    scores = metrics.score_single(targets, predictions, np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert scores["macro_f1"] == pytest.approx(2 / 3)


@given(SEEDS)
def test_confusion_matrix_equals_scikit_learn_with_out_of_scope_last(seed):
    targets, predictions, _ = single(seed, lowest=-1)
    expected = sklearn_metrics.confusion_matrix(targets, predictions, labels=[*range(LABELS), -1])
    np.testing.assert_array_equal(metrics.confusion_matrix(targets, predictions, LABELS), expected)


def test_confused_pairs_are_the_largest_mistakes_and_nothing_else():
    matrix = np.array([[9, 2, 0], [5, 9, 0], [1, 0, 9]])
    assert metrics.confused_pairs(matrix, limit=2) == [(1, 0, 5), (0, 1, 2)]
    assert metrics.confused_pairs(matrix, limit=9) == [(1, 0, 5), (0, 1, 2), (2, 0, 1)]


def test_ece_is_zero_when_every_stated_probability_comes_true():
    confidence = np.repeat([0.2, 0.55, 0.9], [10, 20, 10])
    correct = np.concatenate([np.arange(10) < 2, np.arange(20) < 11, np.arange(10) < 9])
    assert metrics.reliability(confidence, correct).ece == pytest.approx(0)


@given(SEEDS, st.integers(1, 20))
def test_ece_equals_a_sum_over_bins(seed, bins):
    random = np.random.default_rng(seed)
    confidence = np.concatenate([random.random(50), [0.0, 1.0, 1 / 15, 0.5]])
    correct = random.random(len(confidence)) < confidence
    expected = 0.0
    for bin_ in range(bins):
        inside = (np.ceil(confidence * bins) == bin_ + 1) | ((confidence == 0) & (bin_ == 0))
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert metrics.reliability(confidence, correct, bins).ece == pytest.approx(expected)


def test_ece_of_single_labels_is_about_rows_in_scope():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0]])
    scores = metrics.score_single(np.array([0, -1]), np.array([0, 0]), probabilities)
    assert scores["ece"] == pytest.approx(0)
    assert scores["aurc"] > 0


@given(SEEDS)
def test_risk_coverage_equals_a_ranking_row_by_row(seed):
    random = np.random.default_rng(seed)
    confidence, correct = random.permutation(30) / 30, random.random(30) < 0.7
    coverage, risk = metrics.risk_coverage(confidence, correct)
    ranked = sorted(zip(confidence, correct, strict=True), reverse=True)
    expected = [np.mean([not right for _, right in ranked[:k]]) for k in range(1, 31)]
    np.testing.assert_allclose(risk, expected)
    np.testing.assert_allclose(coverage, np.arange(1, 31) / 30)


@given(SEEDS)
def test_risk_of_equal_confidence_does_not_depend_on_the_order_of_rows(seed):
    random = np.random.default_rng(seed)
    confidence, correct = random.choice([0.4, 0.6, 0.8], 40), random.random(40) < 0.5
    order = random.permutation(40)
    curve, shuffled = (
        metrics.risk_coverage(confidence, correct),
        metrics.risk_coverage(confidence[order], correct[order]),
    )
    np.testing.assert_allclose(curve, shuffled)
    constant = metrics.risk_coverage(np.full(40, 0.5), correct)[1]
    np.testing.assert_allclose(constant, np.mean(~correct))


def test_whole_answer_is_as_probable_as_all_its_flags_together():
    targets, predictions = np.array([[True, False], [True, True]]), np.array([[True, False], [True, False]])
    confidence, correct = metrics.whole_answer(targets, predictions, np.array([[0.9, 0.2], [0.8, 0.5]]))
    np.testing.assert_allclose(confidence, [0.9 * 0.8, 0.8 * 0.5])
    assert correct.tolist() == [True, False]


def test_one_certain_mistake_leaves_the_likelihood_finite():
    assert np.isfinite(metrics.nll(np.array([1]), np.array([[1.0, 0.0]])))
    assert np.isfinite(metrics.nll(np.array([[True, False]]), np.array([[0.0, 1.0]])))


def test_the_likelihood_of_certainty_has_no_sign():
    assert str(metrics.nll(np.array([1]), np.array([[0.0, 1.0]]))) == "0.0"


@pytest.mark.parametrize("targets", [[], [-1, -1], [0, 0], [1, -1]])
@pytest.mark.parametrize("prediction", [-1, 0])
@pytest.mark.filterwarnings("error")
def test_no_score_is_ever_undefined(targets, prediction):
    targets = np.array(targets, dtype=int)
    predictions, probabilities = np.full_like(targets, prediction), np.tile([0.7, 0.3], (len(targets), 1))
    flags = [metrics.as_flags(ids, 2) for ids in (targets, predictions)]
    for scores in (
        metrics.score_single(targets, predictions, probabilities),
        metrics.score_many(*flags, probabilities),
    ):
        assert all(isinstance(score, float) and np.isfinite(score) for score in scores.values())
        assert all(0 <= score <= 1 for name, score in scores.items() if name != "nll")
