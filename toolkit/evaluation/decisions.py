"""From logits to labels: calibration, cut-offs, none of the above. Deciding needs NumPy alone, so it starts fast.

Every `fit_*` sees validation rows only: on training rows a model is surer than it will ever be again, and test rows
must not be looked at before they are scored.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

import numpy as np

from toolkit.errors import ConfigError, expect, intact
from toolkit.evaluation.classification import OUT_OF_SCOPE, as_flags

Decision = tuple[int, ...]
ScopeScore = Literal["max_probability", "entropy", "energy", "centroid"]
Target = Literal["recall", "precision", "keep"]

WEIGHTS = np.arange(10) / 10  # that `fit_weight` chooses from


@dataclass(frozen=True)
class NoneRule:
    """None of the above: a row whose `Policy.scope_scores` is below the threshold gets no label."""

    score: ScopeScore
    threshold: float


@dataclass(frozen=True)
class Policy:
    """How logits become labels.

    With `many`, a row gets every label whose probability reaches that label's own threshold; that may be none.
    Otherwise it gets the best label and besides it every label of at least the probability `cutoff`, and every label
    at most `margin` less probable than the best. Either way, `none` may then take all of them away.

    Attributes:
        labels: names, in the order of the logits.
        many: independent labels (sigmoid) instead of exclusive ones (softmax).
        temperature: divides the logits; see `fit_temperature`.
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
    centroids: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        expect(bool(self.labels) and all(isinstance(label, str) for label in self.labels), "labels must be names")
        expect(len(set(self.labels)) == len(self.labels), "no two labels may be the same")
        expect(isinstance(self.many, bool), "many must be true or false")
        expect(_within(self.temperature, 1e-6, 1e6), "temperature must be a positive number")
        extras = [share for share in (self.cutoff, self.margin) if share is not None]
        shares = (*self.thresholds, *extras)
        expect(all(_within(share, 0, 1) for share in shares), "thresholds, cutoff and margin must be from 0 to 1")
        expect(len(self.thresholds) == len(self.labels) * self.many, "many takes one threshold a label, else none")
        expect(not (self.many and extras), "cutoff and margin do not go with many")
        if self.none is not None:
            expect(self.none.score in get_args(ScopeScore), f"none.score must be one of {get_args(ScopeScore)}")
            expect(_within(self.none.threshold, -1e12, 1e12), "none.threshold must be a finite number")
            expect(self.none.score != "centroid" or self.centroids is not None, "the score centroid needs centroids")
        if self.centroids is not None:
            fits = self.centroids.ndim == 2 and len(self.centroids) == len(self.labels)
            expect(fits and bool(np.isfinite(self.centroids).all()), "there must be one finite centroid a label")

    def to_json(self) -> dict[str, Any]:
        """All but the centroids, ready for `json.dump`."""
        values = asdict(self) | {"labels": list(self.labels), "thresholds": list(self.thresholds)}
        return {name: value for name, value in values.items() if name != "centroids"}

    @classmethod
    def from_json(cls, data: Any, centroids: np.ndarray | None = None, where: str = "") -> Self:
        """The reverse of `to_json`; ArtifactError for anything that `to_json` cannot have written, with its place."""
        with intact("the decision policy is damaged", where):
            names = {each.name for each in fields(cls)} - {"centroids"}
            expect(isinstance(data, dict) and data.keys() == names, f"its keys must be {', '.join(sorted(names))}")
            lists = {name: data[name] for name in ("labels", "thresholds")}
            expect(all(isinstance(each, list) for each in lists.values()), "labels and thresholds must be lists")
            none = None if data["none"] is None else NoneRule(**data["none"])
            tuples = {name: tuple(each) for name, each in lists.items()}
            return cls(**{**data, **tuples, "none": none}, centroids=centroids)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities from logits, both (rows, labels)."""
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature
        return np.exp(scaled - _softplus(scaled) if self.many else scaled - _logsumexp(scaled)[:, None])

    def scope_scores(self, score: ScopeScore, logits: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """How much every row looks like the rows that have a label (rows,); larger is more in scope.

            max_probability = max_k p[k]
            entropy         = sum_k p[k] log p[k], the entropy with its sign turned; with `many`, of every yes or no
            energy          = T log sum_k exp(z[k] / T);  with `many`, T sum_k log(1 + exp(z[k] / T))
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
            shares = [probabilities, 1 - probabilities] if self.many else [probabilities]
            return sum((p * np.log(np.maximum(p, 1e-300))).sum(axis=1) for p in shares)
        if score == "energy":
            return self.temperature * _log_partition(np.asarray(logits, dtype=np.float64) / self.temperature, self.many)
        if features is None or self.centroids is None:
            raise ValueError("the score centroid needs features and centroids")
        return (_unit(features) @ _unit(self.centroids).T).max(axis=1)

    def decide(self, logits: np.ndarray, features: np.ndarray | None = None) -> list[Decision]:
        """Label ids of every row, most probable first; an empty tuple is none of the above.

        Args:
            logits: (rows, labels).
            features: (rows, features); only for the score "centroid".
        """
        logits = np.asarray(logits, dtype=np.float64)
        chosen = self._choose(logits)
        if self.none is not None:
            chosen &= (self.scope_scores(self.none.score, logits, features) >= self.none.threshold)[:, None]
        rows, ids = np.nonzero(chosen)
        ordered = ids[np.lexsort((-logits[rows, ids], rows))].tolist()
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
            chosen |= probabilities >= probabilities.max(axis=1, keepdims=True) - self.margin
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


def fit_temperature(logits: np.ndarray, targets: np.ndarray, many: bool) -> float:
    """The temperature, from 1/20 to 20, at which the probabilities of validation rows are most likely to be true.

        minimise over T:  mean over rows of  log_partition(z / T) - z[target] / T

    The loss is convex in 1/T, so the bounded search in log T finds its one minimum. One more row, whose target is
    shared evenly by all labels, is added: a model without a mistake on few rows must not be made certain of everything.

    Args:
        logits: z (rows, labels).
        targets: ids (rows,), where rows out of scope are left out, or with `many` flags (rows, labels).

    Reference: Guo et al. 2017, arXiv:1706.04599, section 4.2
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=np.float64)
    if not many:
        logits, targets = logits[targets >= 0], targets[targets >= 0]
    if not len(logits):
        return 1.0
    truth = (logits * targets).sum(axis=1) if many else logits[np.arange(len(logits)), targets]
    even = logits.sum(axis=1) / 2 if many else logits.mean(axis=1)
    evidence = (len(logits) * truth.mean() + even.mean()) / (len(logits) + 1)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(_log_partition(scale * logits, many).mean() - scale * evidence)

    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x))


def fit_weight(logits: np.ndarray, others: np.ndarray, targets: np.ndarray, many: bool) -> float:
    """The share, from 0 to 0.9, of other logits in a mean at which validation rows are most likely; least of equals.

        minimise over w:  mean over rows of  log_partition(z) - z[target],  z = (1 - w) logits + w others

    Args:
        logits, others: calibrated (rows, labels).
        targets: ids (rows,), where rows out of scope are left out, or with `many` flags (rows, labels).
    """
    if not many:
        inside = targets >= 0
        logits, others, targets = logits[inside], others[inside], as_flags(targets[inside], logits.shape[1])
    if not len(logits):
        return 0.0
    mixed = [(1 - weight) * logits + weight * others for weight in WEIGHTS]
    losses = np.array([(_log_partition(each, many) - (each * targets).sum(axis=1)).mean() for each in mixed])
    return float(WEIGHTS[np.argmax(losses <= losses.min() + 1e-9)])


def fit_cutoff(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The one cut-off for all labels with the best micro F1 on validation rows; the highest of equals.

    Args:
        probabilities: (rows, labels).
        targets: flags (rows, labels).
    """
    cuts = _cuts(probabilities)[-2::-1]
    hits, given = _reaching(cuts, np.sort(probabilities[targets])), _reaching(cuts, np.sort(probabilities, axis=None))
    return float(cuts[np.argmax(hits / (given + targets.sum()))])


def fit_thresholds_per_label(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The cut-off of each label with its best F1 on validation rows; the highest of equals.

    To each label's counts, those of all labels together are added, scaled to one positive. So a label with few
    positives leans on the others and one with many does not: on GoEmotions this keeps the macro F1 of 2,700
    validation rows and adds 0.01 with 1,000. A label without a positive gets a cautious cut-off.

        f1[k](cut) = 2 (hits[k] + hits / positives) / (given[k] + positives[k] + given / positives + 1)

    Args:
        probabilities: (rows, labels).
        targets: flags (rows, labels).

    Returns: (labels,).
    """
    pooled, pooled_hits = np.sort(probabilities, axis=None), np.sort(probabilities[targets])
    share = 1 / max(len(pooled_hits), 1)
    thresholds = []
    for column, flags in zip(probabilities.T, targets.T, strict=True):
        cuts = _cuts(column)[-2::-1]
        hits = _reaching(cuts, np.sort(column[flags])) + share * _reaching(cuts, pooled_hits)
        given = _reaching(cuts, np.sort(column)) + share * _reaching(cuts, pooled)
        thresholds.append(cuts[np.argmax(hits / (given + flags.sum() + 1))])
    return np.array(thresholds)


def fit_none_threshold(scores_in: np.ndarray, scores_out: np.ndarray, target: Target, value: float) -> float:
    """The threshold for `NoneRule` that does what the user asks for, on validation rows.

        recall      at least this share of the rows out of scope is rejected, with as few rejections as that takes
        precision   at least this share of the rejected rows is out of scope, with as many rejections as that allows,
                    which may be none
        keep        at least this share of the rows in scope is not rejected, with as many rejections as that allows

    Precision holds for as many rows out of scope among all rows as there are in the validation rows.

    Args:
        scores_in: `Policy.scope_scores` of the rows in scope (rows,).
        scores_out: the same of the rows out of scope (rows,); "keep" does without any.
        value: a share from 0 to 1.

    Raises: ConfigError when the validation rows that the target is about are missing.
    """
    if not len(scores_in if target == "keep" else scores_out):
        rows = "in scope" if target == "keep" else "out of scope"
        message = f"None of the above at a given {target} is fitted on validation rows {rows}, and there are none."
        mend = (
            None if target == "keep" else "Add some, or ask for keep: the share of rows in scope to keep their label."
        )
        raise ConfigError(message, mend=mend)
    cuts = _cuts(np.concatenate([scores_in, scores_out]))
    rejected_in, rejected_out = (np.searchsorted(np.sort(scores), cuts) for scores in (scores_in, scores_out))
    shares: dict[Target, tuple[np.ndarray, np.ndarray | int]] = {
        "recall": (rejected_out, len(scores_out)),
        "precision": (rejected_out, rejected_in + rejected_out),
        "keep": (len(scores_in) - rejected_in, len(scores_in)),
    }
    share, whole = shares[target]
    able = cuts[share >= value * whole - 1e-9]  # 0.07 * 100 is a little more than 7
    return float(able[0] if target == "recall" else able[-1])


def class_centroids(features: np.ndarray, targets: np.ndarray, labels: int) -> np.ndarray:
    """Mean features of the rows of each label (labels, features); zero for a label without rows.

    Args:
        features: (rows, features).
        targets: ids (rows,) or flags (rows, labels).
    """
    flags = as_flags(targets, labels)
    return flags.T @ features / np.maximum(flags.sum(axis=0), 1)[:, None]


def _cuts(values: np.ndarray) -> np.ndarray:
    """Every cut-off that tells these values apart, from one that all reach to one that none reaches, ascending.

    They lie midway between two values, so that rounding elsewhere does not carry a row across.
    """
    levels = np.unique(values)
    middle = (levels[:-1] + levels[1:]) / 2
    middle = np.where(middle > levels[:-1], middle, levels[1:])  # of neighbouring floats, the upper one
    return np.concatenate([levels[:1], middle, [np.nextafter(levels[-1], np.inf)]])


def _reaching(cuts: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """How many of the ascending values reach each cut-off."""
    return len(ascending) - np.searchsorted(ascending, cuts)


def _log_partition(logits: np.ndarray, many: bool) -> np.ndarray:
    """Log of the sum over all answers of exp(score): of one label (softmax), or of any set of labels (sigmoid)."""
    return _softplus(logits).sum(axis=1) if many else _logsumexp(logits)


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    largest = logits.max(axis=1)
    return largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))


def _softplus(logits: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, logits)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _within(value: object, low: float, high: float) -> bool:
    """Whether it is a number, which NaN is not, in this range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
