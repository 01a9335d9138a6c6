"""Cut-offs that do on validation rows what a user asks for, and no more than luck will let them do on new ones."""

import warnings

import numpy as np

from toolkit.errors import ConfigError
from toolkit.evaluation.decisions import Target


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
    standard error (Wilson 1927), or where all rows out of scope are too few for that, by no other row being rejected.
    Precision holds for as many rows out of scope among all rows as there are in the validation rows.

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
            most = len(scores_out) / (len(scores_out) + 1)  # the bound where these are all that is rejected
            able = _lower_bound(rejected_out, rejected_in + rejected_out) >= min(value, most) - 1e-9
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
