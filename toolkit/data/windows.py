"""Windows of series: cut at cutoffs, normalised, cut into segments. Nothing here reads a value past its cutoff."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from toolkit.data.panel import Panel

BLOCK = 1024  # rows worked on at a time
CELLS = 2**24  # values in a piece of whole histories
LARGEST = 1e6  # normalised values beyond this are cut, so that a window which was constant until now does not explode


class Cutoffs(NamedTuple):
    """Forecast situations: a series and the flat position of the first step that is not known."""

    series: np.ndarray  # (rows,)
    ends: np.ndarray  # (rows,)

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.series)

    def take(self, rows: np.ndarray | slice) -> "Cutoffs":
        return Cutoffs(self.series[rows], self.ends[rows])

    def sample(self, most: int) -> "Cutoffs":
        """At most this many of them, in their order and the same each time."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(0).choice(len(self), most, replace=False)))

    def sample_series(self, most: int, each: int) -> "Cutoffs":
        """At most this many of them, and then at most `each` of one series, evenly, of as many series as that allows.

        They are the same each time.
        """
        if len(self) <= most:
            return self
        ordered = self.take(np.lexsort((self.ends, self.series)))
        _, series, counts = np.unique(ordered.series, return_inverse=True, return_counts=True)
        number = np.arange(len(self)) - (np.cumsum(counts) - counts)[series]
        spaced = number % -(-counts // each)[series] == 0
        order = np.random.default_rng(0).permutation(len(counts))
        within = np.cumsum(np.minimum(counts, each)[order]) <= most
        return ordered.take(np.flatnonzero(spaced & np.isin(series, order[within])))


def past(panel: Panel, flat: np.ndarray, cutoffs: Cutoffs, steps: int) -> np.ndarray:
    """The last `steps` steps before each cutoff; NaN where the series had not begun.

    Shapes: flat (all steps,), such as `panel.values` -> (rows, steps)
    """
    places = cutoffs.ends[:, None] + np.arange(-steps, 0)
    inside = places >= panel.offsets[cutoffs.series][:, None]
    return np.where(inside, flat[np.where(inside, places, 0)], np.nan)


def ahead(panel: Panel, flat: np.ndarray, cutoffs: Cutoffs, steps: int) -> np.ndarray:
    """The `steps` steps from each cutoff on; NaN where the series has ended. Truth, and covariates known ahead.

    Shapes: flat (all steps,) -> (rows, steps)
    """
    places = cutoffs.ends[:, None] + np.arange(steps)
    inside = places < panel.offsets[cutoffs.series + 1][:, None]
    return np.where(inside, flat[np.where(inside, places, 0)], np.nan)


def whole_past(panel: Panel, cutoffs: Cutoffs, most: int) -> np.ndarray:
    """All of the past of each row, but no more than this many steps. Shapes: -> (rows, time)"""
    longest = int((cutoffs.ends - panel.offsets[cutoffs.series]).max(initial=1))
    return past(panel, panel.values, cutoffs, max(min(longest, most), 1))


def blocks(cutoffs: Cutoffs) -> Iterator[Cutoffs]:
    """The cutoffs in pieces, which bounds the memory of what is made of them."""
    for start in range(0, max(len(cutoffs), 1), BLOCK):
        yield cutoffs.take(slice(start, start + BLOCK))


def at_ends(panel: Panel) -> Cutoffs:
    """The cutoff of every series itself."""
    return Cutoffs(np.arange(len(panel)), panel.ends)


def apart(cutoffs: Cutoffs, horizon: int) -> float:
    """How many horizons that do not overlap these are worth, in all series together; a part counts in part."""
    if not len(cutoffs):
        return 0.0
    order = np.argsort(cutoffs.series, kind="stable")
    begins = np.flatnonzero(np.diff(cutoffs.series[order], prepend=-1))
    ends = cutoffs.ends[order]
    spans = np.maximum.reduceat(ends, begins) - np.minimum.reduceat(ends, begins)
    counts = np.diff(np.append(begins, len(ends)))
    return float(np.minimum(spans / horizon + 1, counts).sum())


def _worth(before: np.ndarray, after: np.ndarray) -> float:
    """What a value is worth, from 0 to 1, of which each follows the one before it; equally shaped, around 0.

    Reference: Bayley & Hammersley 1946, doi:10.2307/2983560
    """
    squares = (before**2 + after**2).sum() / 2
    follows = float(np.clip((before * after).sum() / squares, 0, 1)) if squares else 0.0
    return (1 - follows) / (1 + follows)


def independent(panel: Panel, cutoffs: Cutoffs, scores: np.ndarray) -> float:
    """How many windows these are worth that do not err alike, one after the other or as series of one time.

    n windows of a series are worth n (1 - r) / (1 + r), r being the correlation of the scores of one and the next, and
    no less than those that do not overlap. n windows of one time are worth n / (1 + (n - 1) r), r being the share of
    the mean square of a score that is common to all series at that time.

    Shapes: scores (rows, horizon), NaN where nothing is known
    References: Bayley & Hammersley 1946, doi:10.2307/2983560; the design effect of Kish 1965, Survey Sampling, 5.4
    """
    known = ~np.isnan(scores)
    rows = np.flatnonzero(known.any(axis=1))
    rows = rows[np.lexsort((cutoffs.ends[rows], cutoffs.series[rows]))]
    before, after = scores[rows[:-1]], scores[rows[1:]]
    follows = ~np.isnan(before * after) & (np.diff(cutoffs.series[rows]) == 0)[:, None]
    whole = len(rows) * _worth(before[follows], after[follows])
    whole = max(whole, apart(cutoffs.take(rows), scores.shape[1]))
    # A step of a series counts once, with the mean of its scores in all windows.
    steps, own = np.unique((cutoffs.ends[:, None] + np.arange(scores.shape[1]))[known], return_inverse=True)
    means = np.bincount(own, scores[known]) / np.bincount(own)
    series = np.searchsorted(panel.offsets, steps, side="right") - 1
    _, time = np.unique(panel.starts[series] + steps - panel.offsets[series], return_inverse=True)
    n, sums, squares = np.bincount(time), np.bincount(time, means), np.bincount(time, means**2)
    pairs = float((squares * (n - 1)).sum())
    if not pairs:
        return whole
    alike = float(np.clip((sums**2 - squares).sum() / pairs, 0, 1))
    return whole / (1 + (float((n**2).sum() / n.sum()) - 1) * alike)


def whole_pasts(panel: Panel, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Series (rows,) and all that they have before `ends` (series,), in pieces of bounded memory, the shortest first.

    Shapes: -> (rows, time)
    """
    lengths = ends - panel.offsets[:-1]
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = order[start : start + BLOCK]
        while len(rows) > 1 and len(rows) * lengths[rows[-1]] > CELLS:
            rows = rows[: len(rows) // 2]
        yield rows, past(panel, panel.values, Cutoffs(rows, ends[rows]), max(int(lengths[rows[-1]]), 1))
        start += len(rows)


def ordinals(panel: Panel, cutoffs: Cutoffs, first: int, stop: int) -> np.ndarray:
    """Ordinals of the steps from `first` to `stop`, counted from each cutoff. Shapes: -> (rows, stop - first)"""
    return cutoff_ordinals(panel, cutoffs)[:, None] + np.arange(first, stop)


def cutoff_ordinals(panel: Panel, cutoffs: Cutoffs) -> np.ndarray:
    """Ordinals of the cutoffs themselves. Shapes: -> (rows,)"""
    return panel.starts[cutoffs.series] + cutoffs.ends - panel.offsets[cutoffs.series]


def rolling(panel: Panel, firsts: np.ndarray, stops: np.ndarray, *, horizon: int, step: int) -> Cutoffs:
    """Every `step`-th cutoff from `firsts` on whose whole horizon ends at `stops` or before, series by series.

    The last possible cutoff of each series is always among them: they are counted from the end.
    Shapes: firsts, stops (series,) flat positions
    """
    counts = np.maximum((stops - horizon - firsts) // step + 1, 0)
    series = np.repeat(np.arange(len(panel)), counts)
    number = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    ends = stops[series] - horizon - (counts[series] - 1 - number) * step
    return Cutoffs(series, ends)


@dataclass(frozen=True)
class Scale:
    """What windows are normalised by. Shapes: (rows, 1)."""

    center: np.ndarray
    size: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        return np.clip((values - self.center) / self.size, -LARGEST, LARGEST)

    def invert(self, values: np.ndarray) -> np.ndarray:
        """Shapes: (rows, horizon) or (rows, horizon, levels)."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return values * self.size.reshape(shape) + self.center.reshape(shape)


def fit_scale(windows: np.ndarray, *, center: str, sizes: np.ndarray | None, logarithms: bool = False) -> Scale:
    """How to normalise each window by what is in it.

    Args:
        windows: (rows, steps), NaN where nothing is known.
        center: last, the last known value, or mean (Kim et al. 2022, reversible instance normalisation, eq. 1).
        sizes: (rows,) given sizes; None takes the mean absolute deviation of each window.
        logarithms: whether that is what the windows hold, so that a difference is a share of the level.
    """
    known = np.isfinite(windows)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, windows, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / count
    middle = last_known(windows)[:, None] if center == "last" else mean
    if sizes is None:
        deviation = np.abs(np.where(known, windows - mean, 0.0)).sum(axis=1, keepdims=True) / count
        # A window that hardly moves would make its noise look large; a constant one has no size at all.
        level = 1.0 if logarithms else np.abs(filled).sum(axis=1, keepdims=True) / count
        size = deviation + 1e-3 * level
    else:
        size = sizes[:, None]
    return Scale(np.nan_to_num(middle), np.where(size > 0, size, 1.0))


def last_known(windows: np.ndarray) -> np.ndarray:
    """The last value of each row that is not NaN; NaN where there is none. Shapes: (rows, steps) -> (rows,)"""
    steps = windows.shape[1]
    last = steps - 1 - np.argmax(np.isfinite(windows)[:, ::-1], axis=1)
    return windows[np.arange(len(windows)), last]


def to_segments(channels: np.ndarray, begun: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut windows into segments that end at the cutoff; segments before a series had begun go to the end as padding.

    Shapes: channels (rows, steps, n), zero where nothing is known; begun (rows,) steps since each series began;
        steps a multiple of size -> segments (rows, steps / size, size * n) float32; lengths (rows,) int32
    """
    rows, steps, n = channels.shape
    segments = channels.reshape(rows, steps // size, size * n).astype(np.float32)
    lengths = np.minimum(-(-begun // size), steps // size).astype(np.int32)
    empty = steps // size - lengths
    if empty.any():
        places = (np.arange(steps // size) + empty[:, None]) % (steps // size)
        segments = np.take_along_axis(segments, places[:, :, None], axis=1)
        segments[np.arange(steps // size) >= lengths[:, None]] = 0
    return segments, lengths
