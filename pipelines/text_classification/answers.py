"""Decisions beside the truth, which scores and the report are made from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolkit.evaluation import classification, comparison, decisions
from toolkit.evaluation.decisions import Decision


@dataclass(frozen=True)
class Answers:
    """What a classifier said about some examples.

    Shapes: truth as `data.targets` gives it; probabilities (rows, labels)
    """

    truth: np.ndarray
    probabilities: np.ndarray
    decided: list[Decision]

    def scores(self) -> dict[str, float]:
        if self.truth.ndim == 2:
            return classification.score_many(self.truth, self.flags(), self.probabilities)
        scores = classification.score_single(self.truth, self.best(), self.probabilities)
        if all(len(ids) < 2 for ids in self.decided):
            return scores
        counts = [len(ids) for ids in self.decided if ids]
        rows = zip(self.truth.tolist(), self.decided, strict=True)
        among = [truth in ids if ids else truth == classification.OUT_OF_SCOPE for truth, ids in rows]
        return {**scores, "among_given": float(np.mean(among)), "labels_given": float(np.mean(counts))}

    def evidence(self, metric: str) -> np.ndarray:
        """What accuracy or macro_f1 is made of, for each row. Shapes: -> (rows, n)."""
        if metric == "accuracy":
            return np.stack([self.best() == self.truth, np.ones(len(self.truth), bool)], axis=1)
        return classification.label_evidence(*self.judged())

    def judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Flags of the truth, and of what is compared with it: with one label a row, the first that was given.

        Shapes: -> (rows, labels) booleans, both
        """
        if self.truth.ndim == 2:
            return self.truth, self.flags()
        labels = self.probabilities.shape[1]
        return classification.as_flags(self.truth, labels), classification.as_flags(self.best(), labels)

    def best(self) -> np.ndarray:
        """The first label of each row, -1 where none was given. Shapes: -> (rows,)."""
        return decisions.first_ids(self.decided)

    def flags(self) -> np.ndarray:
        """Shapes: -> (rows, labels) booleans."""
        return decisions.decision_flags(self.decided, self.probabilities.shape[1])


def difference_interval(one: Answers, other: Answers, metric: str) -> tuple[float, float]:
    """Where the difference in accuracy or macro_f1 may lie; see `toolkit.evaluation.comparison`."""
    score: Callable[[np.ndarray], np.ndarray]
    score = comparison.mean_of_hits if metric == "accuracy" else classification.macro_f1
    return comparison.difference_interval(one.evidence(metric), other.evidence(metric), score)
