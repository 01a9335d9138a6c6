"""Predictive quantiles that hold what they promise: moved by what validation windows show (conformal prediction).

Every level and every step of the horizon is moved on its own, in units of a spread that the caller gives each value,
so that one calibration serves series of any size. Windows must not have been trained on: there a model is surer than
it will ever be again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from toolkit.errors import expect, intact

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
    normal: bool = False

    def __post_init__(self) -> None:
        _middle(self.levels)
        fits = self.offsets.ndim == 2 and self.offsets.shape[1] == len(self.levels)
        expect(fits and bool(np.isfinite(self.offsets).all()), "there must be one finite offset a step and level")
        fits = self.windows.shape == self.reach.shape == self.offsets.shape[:1]
        expect(fits, "windows and reach must have one number a step")
        expect(isinstance(self.normal, bool), "normal must be true or false")

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

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for `json.dump`."""
        arrays = {"offsets": self.offsets, "windows": self.windows, "reach": self.reach}
        lists = {name: array.tolist() for name, array in arrays.items()}
        return {"levels": list(self.levels), **lists, "normal": self.normal}

    @classmethod
    def from_json(cls, data: Any, where: str = "") -> Self:
        """The reverse of `to_json`; ArtifactError for anything that `to_json` cannot have written, with its place."""
        with intact("the calibration of the intervals is damaged", where):
            offsets = np.array(data["offsets"], dtype=np.float64)
            windows, reach = (np.array(data[name], dtype=np.int64) for name in ("windows", "reach"))
            return cls(tuple(float(level) for level in data["levels"]), offsets, windows, reach, data["normal"])


def fit_conformal(
    y: np.ndarray,
    quantiles: np.ndarray,
    spread: np.ndarray,
    levels: Sequence[float],
    *,
    independent: float | None = None,
    weighed: int = 0,
) -> Conformal:
    """Moves every level t at every step to where it would have stood right on the n validation windows.

        score[i]  = (y[i] - quantile[i, t]) / spread[i]
        offset[t] = the ceil(t (n + 1))-th smallest score for t > .5, the floor(t (n + 1))-th for t < .5

    When the windows to come are like these, a value lies below its quantile of level t > .5 with a probability from t
    to t + 1 / (n + 1), and above that of t < .5 with one from 1 - t to 1 - t + 1 / (n + 1). The median stays where it
    is; if it is far off, the levels next to it stay there too, for none of them may cross it.

    A step with fewer than 40 windows, or fewer than its outermost level needs (t / (1 - t)), also takes the scores of
    its nearest steps, as many on either side as it needs or as there are; a rank that is still past the ends takes the
    outermost score. With fewer than 5 windows that do not overlap, quantiles are those of Student's distribution around
    the median, whose freedom is what so few windows leave:

        n       = scores of windows that do not overlap, times (1 - r) / (1 + r) where a score follows r times the last
        freedom = n - weighed, at least 1
        spread  = sqrt(sum score^2 / scores * n / freedom)

    Without any known value nothing is moved.

    Args:
        y: (windows, horizon); NaN where it is not known.
        quantiles: (windows, horizon, levels).
        spread: (windows, horizon), above 0: how large errors are expected to be there, up to a factor.
        independent: how many windows that is which do not overlap, such as 2.5; None: none of them do.
        weighed: forecasters whose weights were fitted to these windows, by which their errors are too small.

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
    few = 0 < independent < _WINDOWS
    if few:
        scores = np.where(known, (y - quantiles[..., middle]) / np.where(known, spread, 1), np.nan)
        offsets += _student(scores, independent / rows, weighed, levels)
    elif known.any():
        needed = max(_SCORES, *(math.ceil(round(max(t, 1 - t) / min(t, 1 - t), 6)) for t in levels))
        for step in range(y.shape[1]):
            reach[step] = _reach(counts, step, needed)
            near = slice(max(step - reach[step], 0), step + reach[step] + 1)
            scores = ((y[:, near, None] - quantiles[:, near]) / spread[:, near, None])[known[:, near]]
            offsets[step] = _offsets(np.sort(scores, axis=0), levels)
    offsets[:, middle] = 0
    return Conformal(tuple(map(float, levels)), offsets, counts, reach, bool(few))


def _student(scores: np.ndarray, share: float, weighed: int, levels: Sequence[float]) -> np.ndarray:
    """Offsets (levels,) from scores (windows, horizon) of which only a share is independent; see `fit_conformal`.

    Reference: the freedom of a variance of scores that follow one another: Bayley & Hammersley 1946,
    doi:10.2307/2983560
    """
    from scipy.stats import t

    squares = np.nanmean(scores**2)
    pairs = scores[:, 1:] * scores[:, :-1]
    follows = np.nanmean(pairs) / squares if squares and np.isfinite(pairs).any() else 0.0
    follows = min(max(follows, 0.0), 1.0)
    number = max(np.count_nonzero(~np.isnan(scores)) * share * (1 - follows) / (1 + follows), 1.0)
    freedom = max(number - weighed, 1.0)
    return np.sqrt(squares * number / freedom) * t(freedom).ppf(levels)


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


def _offsets(scores: np.ndarray, levels: Sequence[float]) -> list[float]:
    """The quantile (levels,) of every column of sorted `scores` (n, levels), corrected for their number."""
    offsets = []
    for place, level in enumerate(levels):
        rank = round(level * (len(scores) + 1), 9)  # so that .1 times 30 is 3 and not a little more
        low, high = (min(max(edge, 1), len(scores)) - 1 for edge in (math.floor(rank), math.ceil(rank)))
        pick = (low, high) if level == 0.5 else (low, low) if level < 0.5 else (high, high)
        offsets.append(float(scores[pick, place].mean()))
    return offsets
