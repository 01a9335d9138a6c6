"""What a text classifier must beat: the most frequent label, and TF-IDF with logistic regression, which may serve too.

Both give logits, so that temperature, thresholds and none of the above are fitted for them on the same validation rows
by the same functions of `decisions` as for the model; only then do they compare.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from toolkit.evaluation.calibration import calibrated_loss
from toolkit.evaluation.classification import as_flags
from toolkit.evaluation.linear import MOST_TERMS, TfidfLogistic, text_pieces, text_terms
from toolkit.threads import thread_count

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)  # that `tune_tfidf_logistic` chooses from
MOST_THREADS = 8  # each has a copy of the texts' values


def majority(targets: np.ndarray, labels: int) -> np.ndarray:
    """Logits (labels,) that are the same for every row: log-odds of each label in training, by Laplace's rule.

    The best single label is the most frequent one; with a threshold a label it is the best constant answer.

    Args:
        targets: training ids (rows,) or flags (rows, labels).
    """
    flags = as_flags(targets, labels)
    present = flags.sum(axis=0) + 1
    return np.log(present / (len(flags) + 2 - present))


def fit_tfidf_logistic(
    texts: Sequence[str],
    targets: np.ndarray,
    labels: int,
    *,
    strength: float,
    balanced: bool = False,
    capitals: bool = False,
    pieces: bool = False,
) -> TfidfLogistic:
    """Words, signs and pairs of them, weighted by TF-IDF with 1 + log(tf), and a logistic regression for each label.

    One regression a label serves single and many labels alike, keeps rows out of scope as rows without a label, and is
    four times as fast as one multinomial regression (CLINC150, 150 labels: 5 against 24 CPU seconds) and no worse.

    Args:
        texts: training texts, at least one of them with a visible character.
        targets: training ids (rows,) or flags (rows, labels).
        strength: C of scikit-learn, the inverse of how strongly weights are held back.
        balanced: rows that have a label weigh as much in all as those that do not.
        capitals, pieces: read those too (see `text_terms`, `text_pieces`); what is compared with does not.
    """
    return _fit(_vectorize(texts, capitals, pieces), as_flags(targets, labels), strength, balanced)


def tune_tfidf_logistic(
    texts: Sequence[str],
    targets: np.ndarray,
    labels: int,
    validation: tuple[Sequence[str], np.ndarray],
    *,
    balanced: bool = False,
    capitals: bool = False,
    pieces: bool = False,
) -> TfidfLogistic:
    """The same with the strength, one of `STRENGTHS`, at which validation texts are most likely.

    Args:
        validation: texts, and their ids or flags.
    """
    best, least = None, np.inf
    vectorized, expected = _vectorize(texts, capitals, pieces), majority(targets, labels) if balanced else None
    for strength in STRENGTHS:
        model = _fit(vectorized, as_flags(targets, labels), strength, balanced)
        loss = calibrated_loss(model.logits(validation[0]), validation[1], expected)
        if best is not None and loss >= least:
            break  # the loss falls to its least and rises again, and stronger models take longer to fit
        best, least = model, loss
    assert best
    return best


def _vectorize(texts: Sequence[str], capitals: bool, pieces: bool) -> tuple[Any, Any]:
    """A model of these terms without weights, and the values of the texts, a sparse matrix (texts, terms)."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    analyzers = [partial(text_terms, capitals=capitals), *([text_pieces] if pieces else [])]
    most = MOST_TERMS // len(analyzers)
    vectorizers = [TfidfVectorizer(analyzer=each, sublinear_tf=True, max_features=most) for each in analyzers]
    values = hstack([each.fit_transform(texts) for each in vectorizers], format="csr")
    terms = tuple(chain.from_iterable(each.get_feature_names_out().tolist() for each in vectorizers))
    model = partial(TfidfLogistic, terms, np.concatenate([each.idf_ for each in vectorizers]))
    return partial(model, capitals=capitals, pieces=pieces), values


def _fit(vectorized: tuple[Any, Any], flags: np.ndarray, strength: float, balanced: bool) -> TfidfLogistic:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    (model, values), labels = vectorized, flags.shape[1]
    weights, bias = np.zeros((values.shape[1], labels), dtype=np.float32), majority(flags, labels)

    def fit(label: int) -> tuple[np.ndarray, np.ndarray]:
        kind = LogisticRegression(C=strength, solver="liblinear", class_weight="balanced" if balanced else None)
        fitted = kind.fit(values, flags[:, label])
        return fitted.coef_[0].astype(np.float32), fitted.intercept_[0]

    values.sum_duplicates()  # of which there are none; once it is known, no thread looks for them again
    told = np.flatnonzero(flags.any(axis=0) & ~flags.all(axis=0))  # the others have nothing to tell apart
    # Sums of a fit are so short that threads of BLAS mostly wait for one another. So each thread has a label.
    with threadpool_limits(1), ThreadPoolExecutor(min(thread_count(), MOST_THREADS)) as pool:
        for label, (column, constant) in zip(told, pool.map(fit, told), strict=True):
            weights[:, label], bias[label] = column, constant
    return model(weights, bias, strength=strength)
