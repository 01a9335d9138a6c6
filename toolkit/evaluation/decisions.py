"""From logits to labels: calibrated probabilities, cut-offs, none of the above. Needs NumPy alone; it starts fast."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np

from toolkit.errors import expect, intact
from toolkit.evaluation.classification import OUT_OF_SCOPE, as_flags
from toolkit.stored import from_json

Decision = tuple[int, ...]
ScopeScore = Literal["max_probability", "entropy", "energy", "centroid"]
Target = Literal["recall", "precision", "keep"]

_LISTS = ("labels", "thresholds", "shift")


@dataclass(frozen=True)
class NoneRule:
    """None of the above: a row whose `Policy.scope_scores` is below the threshold gets no label."""

    score: ScopeScore
    threshold: float


@dataclass(frozen=True)
class Policy:
    """How logits become labels.

    With `many`, a row gets every label whose probability reaches that label's own threshold; that may be none.
    Otherwise it gets the label of the largest logit and besides it every label of at least the probability `cutoff`,
    and the second best if it is at most `margin` less probable. Either way, `none` may then take all of them away.

        p = softmax(z / temperature + shift), or the sigmoid with `many`

    Attributes:
        labels: names, in the order of the logits z.
        many: independent labels (sigmoid) instead of exclusive ones (softmax).
        temperature: divides the logits; see `calibration.fit_temperature`.
        shift: a number for each label, or none; see `calibration.fit_calibration`. Where labels weighed alike while
            training, it gives the probabilities of labels as frequent as they are. It leaves the best label and
            `margin` alone, which go by the logits, and so by labels that weigh alike.
        thresholds: a probability for each label with `many`, else empty.
        cutoff, margin: probabilities; only without `many`.
        none: the rule for none of the above.
        centroids: `class_centroids` (labels, features) for the score "centroid"; kept beside the JSON, not in it.

    Raises: ValueError when these contradict each other, so that every policy there is can decide.
    """

    labels: tuple[str, ...]
    many: bool
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    cutoff: float | None = None
    margin: float | None = None
    none: NoneRule | None = None
    shift: tuple[float, ...] = ()
    centroids: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        expect(bool(self.labels), "there must be labels")
        expect(len(set(self.labels)) == len(self.labels), "no two labels may be the same")
        expect(1e-6 <= self.temperature <= 1e6, "temperature must be a positive number")
        extras = [share for share in (self.cutoff, self.margin) if share is not None]
        shares = (*self.thresholds, *extras)
        expect(all(0 <= share <= 1 for share in shares), "thresholds, cutoff and margin must be from 0 to 1")
        expect(len(self.thresholds) == len(self.labels) * self.many, "many takes one threshold a label, else none")
        expect(not (self.many and extras), "cutoff and margin do not go with many")
        expect(len(self.shift) in (0, len(self.labels)), "shift takes one number a label, or none")
        expect(all(-1e6 <= each <= 1e6 for each in self.shift), "shift must be finite numbers")
        if self.none is not None:
            expect(-1e12 <= self.none.threshold <= 1e12, "none.threshold must be a finite number")
            expect(not (self.many and self.none.score == "entropy"), "the score entropy does not go with many")
            expect(self.none.score != "centroid" or self.centroids is not None, "the score centroid needs centroids")
        if self.centroids is not None:
            fits = self.centroids.ndim == 2 and len(self.centroids) == len(self.labels)
            expect(fits and bool(np.isfinite(self.centroids).all()), "there must be one finite centroid a label")

    def to_json(self) -> dict[str, Any]:
        """All but the centroids, ready for `json.dump`."""
        values = asdict(self) | {name: list(getattr(self, name)) for name in _LISTS}
        return {name: value for name, value in values.items() if name != "centroids"}

    @classmethod
    def from_json(cls, data: Any, centroids: np.ndarray | None, where: str) -> Self:
        """The reverse of `to_json`; ArtifactError for anything that `to_json` cannot have written, with its place."""
        with intact("the decision policy is damaged", where):
            policy: Self = from_json(cls, data, centroids=centroids)
            return policy

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities from logits, both (rows, labels)."""
        return probabilities_of(self._calibrated(logits), self.many)

    def _calibrated(self, logits: np.ndarray) -> np.ndarray:
        return np.asarray(logits, dtype=np.float64) / self.temperature + np.array(self.shift or 0.0)

    def scope_scores(self, score: ScopeScore, logits: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """How much every row looks like the rows that have a label (rows,); larger is more in scope.

            max_probability = max_k p[k]
            entropy         = sum_k p[k] log p[k], the entropy with its sign turned; not with `many`, where a row is as
                              sure when it surely has no label
            energy          = T log sum_k exp(y[k]),  y = z / T + shift;  with `many`, T sum_k log(1 + exp(y[k]))
            centroid        = max_k cos(features, centroid[k])

        Args:
            logits: z (rows, labels).
            features: what the logits were computed from (rows, features); only for "centroid".

        References: Hendrycks & Gimpel 2017, arXiv:1610.02136; Liu et al. 2020, arXiv:2010.03759, the energy with its
        sign turned; Wang et al. 2021, arXiv:2109.14162, JointEnergy
        """
        if score == "max_probability":
            return self.probabilities(logits).max(axis=1)
        if score == "entropy":
            probabilities = self.probabilities(logits)
            return (probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)
        if score == "energy":
            return self.temperature * log_partition(self._calibrated(logits), self.many)
        if features is None or self.centroids is None:
            raise ValueError("the score centroid needs features and centroids")
        return (_unit(features) @ _unit(self.centroids).T).max(axis=1)

    def decide(self, logits: np.ndarray, features: np.ndarray | None = None) -> list[Decision]:
        """Label ids of every row, most probable first, but of exclusive labels the one of the largest logit; an empty
        tuple is none of the above.

        Args:
            logits: (rows, labels).
            features: (rows, features); only for the score "centroid".
        """
        logits = np.asarray(logits, dtype=np.float64)
        chosen = self._choose(logits)
        if self.none is not None:
            chosen &= (self.scope_scores(self.none.score, logits, features) >= self.none.threshold)[:, None]
        order = self._calibrated(logits)
        if not self.many:
            order[np.arange(len(order)), logits.argmax(axis=1)] = np.inf
        rows, ids = np.nonzero(chosen)
        ordered = ids[np.lexsort((-order[rows, ids], rows))].tolist()
        ends = chosen.sum(axis=1).cumsum().tolist()
        return [tuple(ordered[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def _choose(self, logits: np.ndarray) -> np.ndarray:
        """Flags (rows, labels), before none of the above."""
        probabilities = self.probabilities(logits)
        if self.many:
            return probabilities >= np.array(self.thresholds)
        chosen = as_flags(logits.argmax(axis=1), len(self.labels))  # exactly one, even where probabilities round alike
        if self.cutoff is not None:
            chosen |= probabilities >= self.cutoff
        if self.margin is not None:
            alike, rows = probabilities_of(logits / self.temperature, many=False), np.arange(len(logits))
            second = np.where(as_flags(logits.argmax(axis=1), len(self.labels)), -np.inf, logits).argmax(axis=1)
            chosen[rows, second] |= alike[rows, second] >= alike.max(axis=1) - self.margin
        return chosen


def first_ids(decisions: Sequence[Decision]) -> np.ndarray:
    """The most probable id of every decision (rows,); OUT_OF_SCOPE for none of the above."""
    return np.array([ids[0] if ids else OUT_OF_SCOPE for ids in decisions], dtype=np.int64)


def decision_flags(decisions: Sequence[Decision], labels: int) -> np.ndarray:
    """Decisions as flags (rows, labels)."""
    flags = np.zeros((len(decisions), labels), dtype=bool)
    for row, ids in zip(flags, decisions, strict=True):
        row[list(ids)] = True
    return flags


def class_centroids(features: np.ndarray, targets: np.ndarray, labels: int) -> np.ndarray:
    """Mean features of the rows of each label (labels, features); zero for a label without rows.

    Args:
        features: (rows, features).
        targets: ids (rows,) or flags (rows, labels).
    """
    flags = as_flags(targets, labels)
    return flags.T @ features / np.maximum(flags.sum(axis=0), 1)[:, None]


def log_partition(logits: np.ndarray, many: bool) -> np.ndarray:
    """Log of the sum over all answers of exp(score): of one label (softmax), or of any set of labels (sigmoid)."""
    return _softplus(logits).sum(axis=1) if many else _logsumexp(logits)


def probabilities_of(scaled: np.ndarray, many: bool) -> np.ndarray:
    """The softmax of each row, or with `many` the sigmoid of each number."""
    return np.exp(scaled - _softplus(scaled) if many else scaled - _logsumexp(scaled)[:, None])


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    largest = logits.max(axis=1)
    return largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))


def _softplus(logits: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, logits)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
