"""Predictive quantiles that hold what they promise: moved by what validation windows show (conformal prediction).

Every level and every step of the horizon is moved on its own, in units of a spread that the caller gives each value,
so that one calibration serves series of any size. Windows must not have been trained on: there a model is surer than
it will ever be again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.errors import expect

_SCORES = 40  # what a step must have before it stands alone: with fewer, its own quantiles are mostly noise
_WINDOWS = 5  # below this, the windows say how wide an interval must be but nothing about its shape


@dataclass(frozen=True)
class Conformal:
    """How quantiles are moved; see `fit_conformal`.

    Attributes:
        levels: of the quantiles, rising, .5 among them.
        offsets: (horizon, levels), in units of the spread.
        windows: validation windows with a known value, at every step (horizon,).
        reach: how many neighbouring steps on either side every step was calibrated with (horizon,); mostly 0.
        normal: whether there were too few windows, so that offsets are those of a bell curve around the median and the
            quantiles that come in are not used.

    Raises: ValueError when these contradict each other.
    """

    levels: tuple[float, ...]
    offsets: np.ndarray
    windows: np.ndarray
    reach: np.ndarray
    normal: bool

    def __post_init__(self) -> None:
        _middle(self.levels)
        fits = self.offsets.ndim == 2 and self.offsets.shape[1] == len(self.levels)
        expect(fits and bool(np.isfinite(self.offsets).all()), "there must be one finite offset a step and level")
        fits = self.windows.shape == self.reach.shape == self.offsets.shape[:1]
        expect(fits, "windows and reach must have one number a step")

    def apply(self, quantiles: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Calibrated quantiles (rows, horizon, levels) that never cross: each is at least as far out as the one inside.

            calibrated[t] = quantiles[t] + spread * offset[step, t]

        A horizon shorter than the calibrated one takes its first steps.

        Args:
            quantiles: (rows, horizon, levels).
            spread: (rows, horizon), made as for `fit_conformal`.
        """
        steps, middle = spread.shape[1], _middle(self.levels)
        expect(steps <= len(self.offsets), f"calibrated for {len(self.offsets)} steps, asked for {steps}")
        base = quantiles[..., middle : middle + 1] if self.normal else quantiles
        moved = base + spread[..., None] * self.offsets[:steps]
        below = np.minimum.accumulate(moved[..., middle::-1], axis=-1)[..., ::-1]
        above = np.maximum.accumulate(moved[..., middle:], axis=-1)
        return np.concatenate([below, above[..., 1:]], axis=-1)


def fit_conformal(
    y: np.ndarray,
    quantiles: np.ndarray,
    spread: np.ndarray,
    levels: Sequence[float],
    *,
    independent: float | None = None,
    weighed: float = 0,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Conformal:
    """Moves every level t at every step to where it would have stood right on the N scores of validation windows.

        score[i]  = (y[i] - quantile[i, t]) / spread[i]
        rank[t]   = (N + 1) / 2 + (t - 1 / 2) (N + N / n), rounded up for t > .5 and down for t < .5
        offset[t] = the rank[t]-th smallest score, or the outermost one

    n is what N scores are worth. Where each counts (n = N), rank[t] is t (N + 1): when the windows to come are like
    these, a value lies below its quantile of level t > .5 with a probability from t to t + 1 / (N + 1), and above that
    of t < .5 with one from 1 - t to 1 - t + 1 / (N + 1). The less they are worth, the farther out it is. The median
    stays where it is; if it is far off, the levels next to it stay there too, for none of them may cross it.

    A step with fewer than 40 windows, or fewer than its outermost level needs (t / (1 - t)), also takes the scores of
    its nearest steps, as many on either side as it needs or as there are. With fewer than 5 independent windows,
    quantiles are those of Student's distribution around the median, whose freedom is what so few windows leave:

        n       = N * independent / windows * (1 - r) / (1 + r), where a score follows r times that of the step before
        freedom = n - weighed, at least n / 2 and 1
        spread  = sqrt(sum score^2 / N * n / freedom)

    Pooled steps are worth as much, but no less than one of them would be.

    A value at a bound, such as no sales, says only that nothing beyond it can be. Its score is farther out by 1, so
    that a quantile which may as well be the bound is not a little inside it, where it would hold no such value.

    Without any known value nothing is moved.

    Args:
        y: (windows, horizon); NaN where it is not known.
        quantiles: (windows, horizon, levels).
        spread: (windows, horizon), above 0: how large errors are expected to be there, up to a factor.
        independent: how many windows these are worth, such as 2.5; None: as many as they are.
        weighed: numbers that were fitted to these windows, by which their errors are too small.
        bounds: the least and greatest value that there can be, if any.

    Raises: ValueError for such levels or spread, or when a quantile is missing where y is known.
    References: Romano et al. 2019, arXiv:1905.03222, theorem 2 (both sides on their own); Vovk et al. 2005, Algorithmic
    Learning in a Random World
    """
    middle, known = _middle(levels), ~np.isnan(y)
    counts = known.sum(axis=0)
    offsets, reach = np.zeros((y.shape[1], len(levels))), np.zeros(y.shape[1], dtype=np.int64)
    expect(bool((spread[known] > 0).all()), "the spread must be above 0 wherever y is known")
    rows = int(known.any(axis=1).sum())
    independent = rows if independent is None else min(independent, rows)
    errors = np.where(known, (y - quantiles[..., middle]) / np.where(known, spread, 1), np.nan)
    worth = _worth(errors)
    few = 0 < independent < _WINDOWS
    if few:
        from scipy.stats import t as student

        number = max(known.sum() * independent / rows * worth, 1.0)
        freedom = max(number - weighed, number / 2, 1.0)
        offsets += np.sqrt(np.nanmean(errors**2) * number / freedom) * student(freedom).ppf(levels)
    elif known.any():
        y = _beyond(y, spread, *bounds)
        needed = max(_SCORES, *(math.ceil(round(max(t, 1 - t) / min(t, 1 - t), 6)) for t in levels))
        for step in range(y.shape[1]):
            reach[step] = _reach(counts, step, needed)
            near = slice(max(step - reach[step], 0), step + reach[step] + 1)
            scores = ((y[:, near, None] - quantiles[:, near]) / spread[:, near, None])[known[:, near]]
            steps = len(counts[near])
            offsets[step] = _offsets(np.sort(scores, axis=0), levels, independent / rows * max(worth, 1 / steps))
    offsets[:, middle] = 0
    return Conformal(tuple(map(float, levels)), offsets, counts, reach, bool(few))


def _beyond(y: np.ndarray, spread: np.ndarray, lower: float | None, upper: float | None) -> np.ndarray:
    """Values, of which those at a bound are one spread beyond it."""
    if lower is not None:
        y = np.where(y <= lower, y - spread, y)
    return y if upper is None else np.where(y >= upper, y + spread, y)


def _worth(scores: np.ndarray) -> float:
    """What a score is worth of those (windows, horizon) that follow one another, from 0 to 1.

    Reference: Bayley & Hammersley 1946, doi:10.2307/2983560
    """
    pairs = scores[:, 1:] * scores[:, :-1]
    if not np.isfinite(pairs).any() or not (squares := np.nanmean(scores**2)):
        return 1.0
    follows = float(np.clip(np.nanmean(pairs) / squares, 0, 1))
    return (1 - follows) / (1 + follows)


def _middle(levels: Sequence[float]) -> int:
    """The place of the median."""
    rise = all(low < high for low, high in pairwise((0, *levels, 1)))
    expect(rise and 0.5 in levels, "levels must rise, lie between 0 and 1 and include 0.5")
    return list(levels).index(0.5)


def _reach(counts: np.ndarray, step: int, needed: int) -> int:
    """The fewest neighbouring steps on either side of `step` that together have the scores it needs."""
    farthest = max(step, len(counts) - 1 - step)
    for reach in range(farthest):
        if counts[max(step - reach, 0) : step + reach + 1].sum() >= needed:
            return reach
    return farthest


def _offsets(scores: np.ndarray, levels: Sequence[float], worth: float) -> list[float]:
    """The quantile (levels,) of every column of sorted `scores` (n, levels), corrected for the share they are worth."""
    offsets = []
    for place, level in enumerate(levels):
        rank = (len(scores) + 1) / 2 + (level - 0.5) * (len(scores) + 1 / worth)
        rank = round(rank, 9)  # so that .1 times 30 is 3 and not a little more
        low, high = (min(max(edge, 1), len(scores)) - 1 for edge in (math.floor(rank), math.ceil(rank)))
        pick = (low, high) if level == 0.5 else (low, low) if level < 0.5 else (high, high)
        offsets.append(float(scores[pick, place].mean()))
    return offsets
