"""Whether one system is better than another, or only luckier with these test rows."""

from collections.abc import Callable

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
FEWEST = 6  # rows on which systems differ: of fewer, all favour one of two equal systems in more than 5 of 100 cases
_MOST = 4_000_000  # counts that are held at once, whatever the number of rows


def difference_interval(
    first: np.ndarray, second: np.ndarray, score: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """Where the difference of two scores would lie in 95 of 100 cases with other test rows: the paired bootstrap.

        score(sum over drawn rows of first) - score(sum over the same rows of second)

    as many rows being drawn, with replacement, as there are. Both systems meet the same rows, so hard ones cancel out.
    The percentiles are farther out than 2.5 and 97.5 by as much as Student's distribution is for so few rows; the
    interval is infinite where the systems differ on fewer than six.

    Args:
        first, second: of each system what its score is made of, such as hits, for the same rows (rows, n).
        score: sums (draws, n) -> scores (draws,).

    Reference: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation, 3.2; expanded percentile
        interval: Hesterberg 2015, arXiv:1411.5279
    """
    from scipy.special import ndtr, stdtrit

    rows, random = len(first), np.random.default_rng(0)
    if 0 < (first != second).any(axis=1).sum() < FEWEST:
        return -np.inf, np.inf
    # Rows that are alike are drawn as one, of which there are as many.
    distinct, sizes = np.unique(np.concatenate([first, second], axis=1), axis=0, return_counts=True)
    first, second = np.split(distinct.astype(np.float32), [first.shape[1]], axis=1)
    differences: list[np.ndarray] = []
    for start in range(0, RESAMPLES, step := max(1, _MOST // len(sizes))):
        counts = random.multinomial(rows, sizes / rows, min(step, RESAMPLES - start)).astype(np.float32)
        differences.append(score(counts @ first) - score(counts @ second))
    reach = stdtrit(max(rows - 1, 1), (1 + LEVEL) / 2) * np.sqrt(rows / max(rows - 1, 1))
    low, high = np.quantile(np.concatenate(differences), [ndtr(-reach), ndtr(reach)])
    return float(low), float(high)


def block_interval(differences: np.ndarray, blocks: np.ndarray) -> tuple[float, float]:
    """Where the mean difference of two systems would lie in 95 of 100 cases with other rows, of which those of a block
    have something in common; infinite where there is one block alone.

        mean +- t sqrt(B / (B - 1) sum over blocks of (sum of (difference - mean) in the block)^2) / rows

    with Student's t of B - 1 degrees of freedom.

    Args:
        differences: of each row (rows,).
        blocks: the number of the block that each row belongs to (rows,).

    Reference: Cameron & Miller 2015, A practitioner's guide to cluster-robust inference, II.A, VI.D
    """
    from scipy.special import stdtrit

    _, block = np.unique(blocks, return_inverse=True)
    count = int(block.max(initial=0)) + 1
    if count < 2:
        return -np.inf, np.inf
    mean = float(differences.mean())
    sums = np.bincount(block, differences - mean)
    error = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / len(differences)
    reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * error
    return mean - reach, mean + reach


def mean_of_hits(sums: np.ndarray) -> np.ndarray:
    """The score of rows that are right or wrong: of sums (draws, 2) of hits and of rows."""
    return sums[:, 0] / sums[:, 1]
