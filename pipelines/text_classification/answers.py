"""Decisions beside the truth, which scores and the report are made from."""

from dataclasses import dataclass

import numpy as np

from toolkit.evaluation import classification, decisions
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
        return classification.score_single(self.truth, self.best(), self.probabilities)

    def best(self) -> np.ndarray:
        """The first label of each row, -1 where none was given. Shapes: -> (rows,)."""
        return decisions.first_ids(self.decided)

    def flags(self) -> np.ndarray:
        """Shapes: -> (rows, labels) booleans."""
        return decisions.decision_flags(self.decided, self.probabilities.shape[1])
