"""Classification metrics as pure functions of plain arrays.

Two conventions hold everywhere:

- A row has one label, an id in `targets` (rows,), or any number of labels, flags in a boolean `targets` (rows, labels).
  The id `OUT_OF_SCOPE` and a row of no flags both mean none of the above: the truth in a target, a rejection in a
  prediction.
- 0/0 is 0, as with scikit-learn's `zero_division=0`: the precision of a label that is never predicted, the recall of
  one that never occurs, a mean over no rows. No metric is ever NaN. Only `macro_f1` leaves such labels out instead.
"""

from dataclasses import dataclass

import numpy as np

OUT_OF_SCOPE = -1


def as_flags(targets: np.ndarray, labels: int) -> np.ndarray:
    """Ids (rows,) or flags (rows, labels) -> flags (rows, labels); a row out of scope has none."""
    return targets if targets.ndim == 2 else targets[:, None] == np.arange(labels)


def accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Share of rows whose id is right; a row out of scope is right when it is rejected."""
    return _mean(targets == predictions)


def exact_match(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Share of rows whose flags are all right (subset accuracy)."""
    return _mean((targets == predictions).all(axis=1))


@dataclass(frozen=True)
class LabelScores:
    """Precision, recall and F1 of every label, from counts of rows, each of shape (labels,).

    Attributes:
        hits: rows that have the label and were given it.
        predicted: rows that were given it.
        support: rows that have it.
    """

    hits: np.ndarray
    predicted: np.ndarray
    support: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> np.ndarray:
        return _ratio(self.hits, self.support)

    @property
    def counted(self) -> np.ndarray:
        """Whether a label has an F1: some row has it or was given it."""
        return np.asarray(self.support + self.predicted > 0)

    @property
    def f1(self) -> np.ndarray:
        return _ratio(2 * self.hits, self.predicted + self.support)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the labels that occur or were predicted; a label that did neither has no F1."""
        return float(macro_f1(np.concatenate([self.hits, self.predicted, self.support])))

    @property
    def micro_f1(self) -> float:
        """F1 of all (row, label) pairs pooled."""
        return float(_ratio(2 * self.hits.sum(), self.predicted.sum() + self.support.sum()))


def label_scores(targets: np.ndarray, predictions: np.ndarray) -> LabelScores:
    """Counts every label over flags (rows, labels); a row out of scope that is given a label costs its precision."""
    return LabelScores((targets & predictions).sum(axis=0), predictions.sum(axis=0), targets.sum(axis=0))


def label_evidence(targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What `macro_f1` is made of, for each row: hits, predicted and true labels. Shapes: -> (rows, 3 labels)."""
    return np.concatenate([targets & predictions, predictions, targets], axis=1)


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """`LabelScores.macro_f1` from sums of `label_evidence`. Shapes: (..., 3 labels) -> (...)."""
    hits, predicted, support = np.split(sums, 3, axis=-1)
    return _ratio(_ratio(2 * hits, predicted + support).sum(axis=-1), (predicted + support > 0).sum(axis=-1))


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, labels: int) -> np.ndarray:
    """Counts of (true id, predicted id), shape (labels + 1, labels + 1); the last row and column are out of scope."""
    matrix = np.zeros((labels + 1, labels + 1), dtype=np.int64)
    np.add.at(matrix, (targets, predictions), 1)  # OUT_OF_SCOPE is -1, which indexes the last
    return matrix


def confused_pairs(matrix: np.ndarray, limit: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes in a confusion matrix, most frequent first, as (true id, predicted id, rows)."""
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    pairs = zip(*np.unravel_index(order, mistakes.shape), strict=True)
    return [
        (int(true), int(predicted), int(mistakes[true, predicted]))
        for true, predicted in pairs
        if mistakes[true, predicted]
    ]


@dataclass(frozen=True)
class Reliability:
    """How often a stated probability comes true, in equal-width bins of the probability; arrays of shape (bins,).

    Attributes:
        rows: how many probabilities fall into the bin.
        confidence: their mean; 0 in an empty bin.
        accuracy: share of them that came true; 0 in an empty bin.
    """

    rows: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error: sum over bins of rows[m] / rows * |accuracy[m] - confidence[m]|.

        Reference: Guo et al. 2017, arXiv:1706.04599, equation 3
        """
        return float(_ratio((self.rows * abs(self.accuracy - self.confidence)).sum(), self.rows.sum()))


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> Reliability:
    """Bins stated probabilities (rows,) and whether they came true (rows,); bin m holds ((m - 1) / bins, m / bins]."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows, stated, came_true = (np.bincount(place, weights, bins) for weights in (None, confidence, correct))
    return Reliability(rows, _ratio(stated, rows), _ratio(came_true, rows))


def nll(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-likelihood in nats: a row (ids; rows out of scope are left out) or a (row, label) pair (flags).

    A probability of 0 counts as 1e-12, so that one certain mistake does not make the mean infinite.
    """
    if targets.ndim == 2:
        likelihood = np.where(targets, probabilities, 1 - probabilities)
    else:
        likelihood = probabilities[targets >= 0, targets[targets >= 0]]
    return 0.0 - _mean(np.log(np.maximum(likelihood, 1e-12)))  # a minus alone would make -0.0 of certainty


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What answering only the most confident rows would cost.

        coverage[k] = k / rows
        risk[k]     = share of mistakes among the k most confident rows

    Rows of equal confidence share their mistakes evenly, so the order of the rows does not matter.

    Returns: coverage and risk, each (rows,). The area under the curve is the mean of the risk.
    Reference: Geifman & El-Yaniv 2017, arXiv:1705.08500
    """
    _, level, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    mistakes = np.repeat(np.bincount(level, ~correct, len(size)) / size, size)
    answered = np.arange(1, len(confidence) + 1)
    return answered / len(confidence), mistakes.cumsum() / answered


def best_label(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How probable the most probable label is and whether it is right, each (rows,), for ids `targets` (rows,)."""
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == targets


def whole_answer(
    targets: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How probable all predicted flags of a row are together and whether all are right, each (rows,); flags as input.

    The labels count as independent, as the model takes them to be: the product of p (given) or 1 - p (not given).
    """
    stated = np.where(predictions, probabilities, 1 - probabilities)
    return stated.prod(axis=1), (targets == predictions).all(axis=1)


def score_single(targets: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All metrics of single-label predictions, by their names in report.json; fractions but for `nll` (nats).

    `accuracy` and `macro_f1` judge the first label that was given. `ece` and `nll` judge the probability of the labels,
    before any rejection, on the rows in scope; `ece_given` that of the first labels that were given, on all rows;
    `aurc`, the area under the risk-coverage curve, how well the probability of the best label tells right from wrong,
    on all rows. With out-of-scope rows there are also:

        in_scope_accuracy   share of the rows in scope that are given their label
        oos_recall          share of the rows out of scope that are rejected
        oos_precision       share of the rejected rows that are out of scope

    Args:
        targets: ids (rows,); OUT_OF_SCOPE where no label is right.
        predictions: ids (rows,); OUT_OF_SCOPE where rejected.
        probabilities: (rows, labels).

    Reference: Larson et al. 2019, arXiv:1909.02027
    """
    truth, given = (as_flags(ids, probabilities.shape[1]) for ids in (targets, predictions))
    confidence, correct = best_label(targets, probabilities)
    in_scope = truth.any(axis=1)
    return {
        "accuracy": accuracy(targets, predictions),
        "macro_f1": label_scores(truth, given).macro_f1,
        **_scope_scores(truth, given),
        "ece": reliability(confidence[in_scope], correct[in_scope]).ece,
        "ece_given": reliability(probabilities[given], truth[given]).ece,
        "nll": nll(targets, probabilities),
        "aurc": _mean(risk_coverage(confidence, correct)[1]),
    }


def score_many(targets: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All metrics of many-label predictions, by their names in report.json; fractions but for `nll` (nats).

    `ece` and `nll` are over all (row, label) pairs, most of which surely are none; `ece_given` is over the labels that
    were given. `aurc` ranks rows by `whole_answer`. Where some rows have no label, the metrics of `score_single` for
    out-of-scope rows are there too: in scope, a row counts when it is an exact match.

    Args:
        targets: flags (rows, labels).
        predictions: flags (rows, labels).
        probabilities: (rows, labels).
    """
    scores = label_scores(targets, predictions)
    confidence, correct = whole_answer(targets, predictions, probabilities)
    return {
        "macro_f1": scores.macro_f1,
        "micro_f1": scores.micro_f1,
        "exact_match": exact_match(targets, predictions),
        **_scope_scores(targets, predictions),
        "ece": reliability(probabilities.ravel(), targets.ravel()).ece,
        "ece_given": reliability(probabilities[predictions], targets[predictions]).ece,
        "nll": nll(targets, probabilities),
        "aurc": _mean(risk_coverage(confidence, correct)[1]),
    }


def _scope_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    out, rejected = (np.logical_not(flags.any(axis=1)) for flags in (targets, predictions))
    if not out.any():
        return {}
    return {
        "in_scope_accuracy": exact_match(targets[~out], predictions[~out]),
        "oos_recall": _mean(rejected[out]),
        "oos_precision": _mean(out[rejected]),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Element-wise part / whole, and 0 where both are 0."""
    return part / np.maximum(whole, 1)  # of counts
