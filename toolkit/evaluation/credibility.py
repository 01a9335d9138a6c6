"""What one of many series shows of its own, believed the more the longer it has shown it (credibility theory)."""

import numpy as np

_LEAST_DOUBT = 1e-3  # blocks; with none, a series that has not erred yet would be believed never to


def own_factors(errors: np.ndarray, series: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many times as large as those of all series the errors of one are, shrunk towards 1.

        factor = 1 + n / (n + within / between) (mean - 1)

    n blocks of a series have this mean error, that of all being 1. `within` is the variance of blocks of one series,
    `between` that of the series themselves, both estimated on all. Where series differ by no more than their blocks do,
    or none has two of them, all factors are 1. Windows of one block overlap, and count as one.

    Args:
        errors: absolute ones in units of their spread (rows, horizon); NaN where nothing came.
        series, blocks: whose each row is, and when, as whole numbers from 0 (rows,).

    Returns: the factor of each row's series (rows,); and what it would be without the row's own block (rows,), by which
        to measure that row's errors as those to come will be.
    Reference: Bühlmann 1967, Experience rating and credibility, doi:10.1017/S0515036100008989
    """
    rows, sizes = _row_sizes(errors)
    own, left_out = np.ones(len(errors)), np.ones(len(errors))
    places, block = np.unique(np.stack([series[rows], blocks[rows]]), axis=1, return_inverse=True)
    _, one = np.unique(places[0], return_inverse=True)  # the series of each block
    size = np.bincount(block, sizes[rows]) / np.bincount(block)
    count, total = np.bincount(one), np.bincount(one, size)
    free, groups = len(size) - len(count), len(count) - 1
    if free < 1 or groups < 1:
        return own, left_out
    size, total = size / size.mean(), total / size.mean()
    mean = total / count
    within = ((size - mean[one]) ** 2).sum() / free
    typical = (len(size) - (count**2).sum() / len(size)) / groups
    between = ((count * (mean - 1) ** 2).sum() / groups - within) / typical
    if between <= 0:
        return own, left_out
    doubt = max(within / between, _LEAST_DOUBT)
    others = count[one] - 1
    elsewhere = (total[one] - size) / np.maximum(others, 1)
    own[rows] = (1 + count / (count + doubt) * (mean - 1))[one][block]
    left_out[rows] = (1 + others / (others + doubt) * (elsewhere - 1))[block]
    return own, left_out


def _row_sizes(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with an error (some,), and the mean error of every row in units of that of its steps (rows,)."""
    known = ~np.isnan(errors)
    filled = np.where(known, errors, 0)
    steps = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    known &= steps > 0
    relative = np.where(known, filled / np.where(steps > 0, steps, 1), 0)
    sizes = relative.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.flatnonzero(known.any(axis=1)), sizes
