"""Temperatures, shifts and weights at which validation rows are most likely.

Every `fit_*` sees validation rows only: on training rows a model is surer than it will ever be again, and test rows
must not be looked at before they are scored.
"""

import numpy as np

from toolkit.evaluation.classification import as_flags
from toolkit.evaluation.decisions import log_partition, probabilities_of

WEIGHTS = np.arange(10) / 10  # that `fit_weight` chooses from
EVEN = 10.0  # how much few rows are distrusted that ask for uneven weights; 300 rows hardly notice
NEAR = 4.0  # the same, for temperatures far from 1


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature, from 1/20 to 20, at which the probabilities of validation rows are most likely to be true.

        minimise over T:  mean over n rows of  log_partition(z / T) - z[target] / T  +  4 (log T)^2 / n

    One more row, whose target is shared evenly by all labels, is added: a model without a mistake on few rows must not
    be made certain of everything. The last term keeps what 15 rows say from being taken at its word.

    Args:
        logits: z (rows, labels).
        targets: ids (rows,), where rows out of scope are left out, or of independent labels flags (rows, labels).

    Reference: Guo et al. 2017, arXiv:1706.04599, section 4.2
    """
    from scipy.optimize import minimize_scalar

    many = targets.ndim == 2
    logits, flags = _in_scope(np.asarray(logits, dtype=np.float64), targets)
    if not len(logits):
        return 1.0
    truth = (logits * flags).sum(axis=1)
    even = logits.sum(axis=1) / 2 if many else logits.mean(axis=1)
    evidence = (len(logits) * truth.mean() + even.mean()) / (len(logits) + 1)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        distrust = NEAR * log_temperature**2 / len(logits)
        return float(log_partition(scale * logits, many).mean() - scale * evidence + distrust)

    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x))


def fit_calibration(logits: np.ndarray, targets: np.ndarray, expected: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """The temperature and the shift of each label at which validation rows are most likely; for labels that weighed
    otherwise in training than they occur, whose probabilities no temperature can mend.

        minimise over T, b, s:  mean over n rows of  log_partition(y) - y[target]  +  2 |b - s e|^2 / n,  y = z / T + b

    As with `fit_temperature`, one row is added whose target is shared evenly. The last term keeps labels that few
    validation rows have near what their frequency in training makes of them, or the share s of it, from 0 to 1, that
    all labels together call for: a model that fits its training rows however they weigh is hardly moved by weights.

    Args:
        logits, targets: as there.
        expected: the shift e of each label that training rows call for (labels,).

    Returns: the temperature, and a number for each label.
    Reference: Alexandari et al. 2020, arXiv:1901.06852, section 3 (bias-corrected temperature scaling)
    """
    from scipy.optimize import minimize

    many = targets.ndim == 2
    logits, flags = _in_scope(np.asarray(logits, dtype=np.float64), targets)
    rows, labels = logits.shape
    even, square = np.full(labels, 0.5 if many else 1 / labels), max(float(expected @ expected), 1e-12)
    shares = (flags.sum(axis=0) + even) / (rows + 1)
    evidence = ((logits * flags).sum() + (logits @ even).mean() if rows else 0.0) / (rows + 1)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = values[0] * logits + values[1:]
        probabilities = probabilities_of(scaled, many)
        away = values[1:] - np.clip(values[1:] @ expected / square, 0, 1) * expected
        value = log_partition(scaled, many).mean() - values[0] * evidence - values[1:] @ shares + 2 * away @ away / rows
        slopes = probabilities.mean(axis=0) - shares + 4 * away / rows
        return float(value), np.array([(probabilities * logits).sum(axis=1).mean() - evidence, *slopes])

    if not rows:
        return 1.0, tuple(expected.tolist())
    bounds = [(1 / 20, 20), *[(-50, 50)] * labels]
    start = np.concatenate([[1.0], expected])
    scale, *shift = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x.tolist()
    return 1 / scale, tuple(shift)


def calibrate(logits: np.ndarray, targets: np.ndarray, expected: np.ndarray | None) -> tuple[float, tuple[float, ...]]:
    """`fit_calibration`, or where no shift is expected `fit_temperature`."""
    if expected is None:
        return fit_temperature(logits, targets), ()
    return fit_calibration(logits, targets, expected)


def calibrated_loss(logits: np.ndarray, targets: np.ndarray, expected: np.ndarray | None) -> float:
    """The mean negative log-likelihood of validation rows, in nats, once their probabilities are calibrated on them.

    Args:
        logits, targets: as of `fit_temperature`.
        expected: as of `calibrate`.
    """
    temperature, shift = calibrate(logits, targets, expected)
    logits, flags = _in_scope(logits, targets)
    scaled = logits / temperature + np.array(shift or 0.0)
    losses = log_partition(scaled, targets.ndim == 2) - (scaled * flags).sum(axis=1)
    return float(losses.mean()) if len(losses) else 0.0


def fit_weight(logits: np.ndarray, others: np.ndarray, targets: np.ndarray) -> float:
    """The share, from 0 to 0.9, of other logits in a mean at which validation rows are most likely.

        minimise over w:  sum over rows of  log_partition(z) - z[target]  +  10 (w - 1/2)^2
        z = (1 - w) logits + w others

    The last term counts where rows are few: by luck they say anything, while two models are mostly better than one.

    Args:
        logits, others: calibrated (rows, labels).
        targets: as of `fit_temperature`.
    """
    many = targets.ndim == 2
    (logits, flags), (others, _) = (_in_scope(each, targets) for each in (logits, others))
    if not len(logits):
        return 0.0
    mixed = [(1 - weight) * logits + weight * others for weight in WEIGHTS]
    losses = np.array([(log_partition(each, many) - (each * flags).sum(axis=1)).sum() for each in mixed])
    return float(WEIGHTS[np.argmin(losses + EVEN * (WEIGHTS - 0.5) ** 2)])


def _in_scope(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are in scope, and their flags: all of them where labels are independent."""
    inside = targets >= 0 if targets.ndim == 1 else slice(None)
    return logits[inside], as_flags(targets[inside], logits.shape[1])
