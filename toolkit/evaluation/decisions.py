"""From logits to labels: calibration, cut-offs, none of the above. Deciding needs NumPy alone, so it starts fast.

Every `fit_*` sees validation rows only: on training rows a model is surer than it will ever be again, and test rows
must not be looked at before they are scored.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

import numpy as np

from toolkit.errors import ConfigError, expect, intact
from toolkit.evaluation.classification import OUT_OF_SCOPE, as_flags

Decision = tuple[int, ...]
ScopeScore = Literal["max_probability", "entropy", "energy", "centroid"]
Target = Literal["recall", "precision", "keep"]

_LISTS = ("labels", "thresholds", "shift")
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
    Otherwise it gets the label of the largest logit and besides it every label of at least the probability `cutoff`,
    and every label at most `margin` less probable than the best. Either way, `none` may then take all of them away.

        p = softmax(z / temperature + shift), or the sigmoid with `many`

    Attributes:
        labels: names, in the order of the logits z.
        many: independent labels (sigmoid) instead of exclusive ones (softmax).
        temperature: divides the logits; see `fit_temperature`.
        shift: a number for each label, or none; see `fit_calibration`. Where labels weighed alike in training, it gives
            the probabilities of labels as frequent as they are. It leaves the best label and `margin` alone, which go
            by the logits, and so by labels that weigh alike.
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
        expect(bool(self.labels) and all(isinstance(label, str) for label in self.labels), "labels must be names")
        expect(len(set(self.labels)) == len(self.labels), "no two labels may be the same")
        expect(isinstance(self.many, bool), "many must be true or false")
        expect(_within(self.temperature, 1e-6, 1e6), "temperature must be a positive number")
        extras = [share for share in (self.cutoff, self.margin) if share is not None]
        shares = (*self.thresholds, *extras)
        expect(all(_within(share, 0, 1) for share in shares), "thresholds, cutoff and margin must be from 0 to 1")
        expect(len(self.thresholds) == len(self.labels) * self.many, "many takes one threshold a label, else none")
        expect(not (self.many and extras), "cutoff and margin do not go with many")
        expect(len(self.shift) in (0, len(self.labels)), "shift takes one number a label, or none")
        expect(all(_within(each, -1e6, 1e6) for each in self.shift), "shift must be finite numbers")
        if self.none is not None:
            expect(self.none.score in get_args(ScopeScore), f"none.score must be one of {get_args(ScopeScore)}")
            expect(_within(self.none.threshold, -1e12, 1e12), "none.threshold must be a finite number")
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
            names = {each.name for each in fields(cls)} - {"centroids"}
            data = {"shift": [], **data}  # which older runs do not have
            expect(data.keys() == names, f"its keys must be {', '.join(sorted(names))}")
            lists = {name: data[name] for name in _LISTS}
            expect(all(isinstance(each, list) for each in lists.values()), f"{', '.join(_LISTS)} must be lists")
            none = None if data["none"] is None else NoneRule(**data["none"])
            tuples = {name: tuple(each) for name, each in lists.items()}
            return cls(**{**data, **tuples, "none": none}, centroids=centroids)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities from logits, both (rows, labels)."""
        return _probabilities(self._calibrated(logits), self.many)

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
            return self.temperature * _log_partition(self._calibrated(logits), self.many)
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
            alike = _probabilities(logits / self.temperature, many=False)
            chosen |= alike >= alike.max(axis=1, keepdims=True) - self.margin
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


def fit_calibration(logits: np.ndarray, targets: np.ndarray, many: bool) -> tuple[float, tuple[float, ...]]:
    """The temperature and the shift of each label at which validation rows are most likely; for labels that weighed
    otherwise in training than they occur, whose probabilities no temperature can mend.

        minimise over T and b:  mean over rows of  log_partition(z / T + b) - (z / T + b)[target]

    As with `fit_temperature`, one row is added whose target is shared evenly.

    Args:
        logits, targets: as there.

    Returns: the temperature, and a number for each label.
    Reference: Alexandari et al. 2020, arXiv:1901.06852, section 3 (bias-corrected temperature scaling)
    """
    from scipy.optimize import minimize

    if not many:
        logits, targets = logits[targets >= 0], as_flags(targets[targets >= 0], logits.shape[1])
    logits = np.asarray(logits, dtype=np.float64)
    rows, labels = logits.shape
    even = np.full(labels, 0.5 if many else 1 / labels)
    shares = (targets.sum(axis=0) + even) / (rows + 1)
    evidence = ((logits * targets).sum() + (logits @ even).mean() if rows else 0.0) / (rows + 1)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = values[0] * logits + values[1:]
        probabilities = _probabilities(scaled, many)
        value = _log_partition(scaled, many).mean() - values[0] * evidence - values[1:] @ shares
        slopes = probabilities.mean(axis=0) - shares
        return float(value), np.array([(probabilities * logits).sum(axis=1).mean() - evidence, *slopes])

    if not rows:
        return 1.0, (0.0,) * labels
    bounds = [(1 / 20, 20), *[(-50, 50)] * labels]
    scale, *shift = minimize(loss, np.eye(1, labels + 1)[0], jac=True, bounds=bounds, method="L-BFGS-B").x.tolist()
    return 1 / scale, tuple(shift)


def calibrate(logits: np.ndarray, targets: np.ndarray, many: bool, shifted: bool) -> tuple[float, tuple[float, ...]]:
    """`fit_calibration`, or without a shift `fit_temperature`."""
    return fit_calibration(logits, targets, many) if shifted else (fit_temperature(logits, targets, many), ())


def calibrated_loss(logits: np.ndarray, targets: np.ndarray, shifted: bool) -> float:
    """The mean negative log-likelihood of validation rows, in nats, once their probabilities are calibrated on them.

    Args:
        logits, targets: as of `fit_temperature`.
        shifted: with `fit_calibration`.
    """
    many = targets.ndim == 2
    temperature, shift = calibrate(logits, targets, many, shifted)
    if not many:
        logits, targets = logits[targets >= 0], as_flags(targets[targets >= 0], logits.shape[1])
    scaled = logits / temperature + np.array(shift or 0.0)
    return float((_log_partition(scaled, many) - (scaled * targets).sum(axis=1)).mean()) if len(scaled) else 0.0


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

    What is chosen on few rows falls short on new ones, so a share must be reached by one row more than there are, as
    new rows are one more (Vovk et al. 2005, split conformal prediction), and a precision by its lower bound of one
    standard error (Wilson 1927). Precision holds for as many rows out of scope among all rows as there are in the
    validation rows.

    Args:
        scores_in: `Policy.scope_scores` of the rows in scope (rows,); -inf for those that have no label anyway.
        scores_out: the same of the rows out of scope (rows,); "keep" does without any.
        value: a share from 0 to 1. Where rows without a label anyway are too many for it, no more are rejected, aloud.

    Raises: ConfigError when the validation rows that the target is about are missing.
    """
    if not len(scores_in if target == "keep" else scores_out):
        rows = "in scope" if target == "keep" else "out of scope"
        message = f"None of the above at a given {target} is fitted on validation rows {rows}, and there are none."
        mend = (
            None if target == "keep" else "Add some, or ask for keep: the share of rows in scope to keep their label."
        )
        raise ConfigError(message, mend=mend)
    scores = np.concatenate([scores_in, scores_out])
    cuts = _cuts(scores[np.isfinite(scores)]) if np.isfinite(scores).any() else np.zeros(1)
    rejected_in, rejected_out = (np.searchsorted(np.sort(each), cuts) for each in (scores_in, scores_out))
    match target:
        case "recall":
            able = rejected_out >= _least_rows(value, len(scores_out))
        case "keep":
            able = len(scores_in) - rejected_in >= _least_rows(value, len(scores_in))
        case "precision":
            able = _lower_bound(rejected_out, rejected_in + rejected_out) >= value - 1e-9
    if not able.any():
        warnings.warn(
            f"decision.none_of_the_above: no threshold has a {target} of {value:g} on validation rows, since"
            " too many of them pass no label's own threshold. It rejects no others.",
            stacklevel=2,
        )
        return float(cuts[0])
    return float(cuts[able][0 if target == "recall" else -1])


def _least_rows(share: float, rows: int) -> float:
    """How many of the rows are a share of one more than these, or all; 0.07 * 100 is a little more than 7."""
    return min(share * (rows + 1), rows) - 1e-9


def _lower_bound(hits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The share of hits less one standard error, by Wilson's interval; 1 where there are no rows."""
    error = np.sqrt(hits * (rows - hits) / np.maximum(rows, 1) + 0.25)
    return np.where(rows, (hits + 0.5 - error) / (rows + 1), 1.0)


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


def _probabilities(scaled: np.ndarray, many: bool) -> np.ndarray:
    return np.exp(scaled - _softplus(scaled) if many else scaled - _logsumexp(scaled)[:, None])


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
