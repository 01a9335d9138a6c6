"""Series of any lengths in one flat array, and the windows before their origins.

The origin of a window is the number of values of its series that lie before its first step ahead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.evaluation.histories import chunks_of_rows, fill_gaps

# About so many windows are held out, of no more series than this, at most from this share at the end of each.
_HELD_OUT, _MOST_HELD_OUT, _SHARE = 512, 8192, 0.2


@dataclass(frozen=True)
class FlatSeries:
    """Series without gaps, one after the other in a flat array.

    Shapes: values (values,), and whether they were known before gaps were filled; offsets (series + 1,), where each
    series begins, and their end
    """

    values: np.ndarray
    known: np.ndarray
    offsets: np.ndarray
    season: int

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each series (series,)."""
        return np.diff(self.offsets)

    def windows(self, rows: np.ndarray, origins: np.ndarray, lags: int) -> np.ndarray:
        """The values before `origins` (windows,) in the series `rows` (windows,) -> (windows, lags)."""
        begin = self.offsets[rows][:, None]
        # Only what lies before the origin continues a short row: its season has to be whole by then.
        period = np.where(origins >= self.season, self.season, 1)[:, None]
        back = origins[:, None] + np.arange(-lags, 0)
        return self.values[begin + np.where(back < 0, back % period, back)]

    def ahead(self, rows: np.ndarray, origins: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """The values from `origins` on, and whether they are known, (windows, horizon) both."""
        at = (self.offsets[rows] + origins)[:, None] + np.arange(horizon)
        return self.values[at], self.known[at]

    @cached_property
    def change(self) -> np.ndarray:
        """Mean absolute change over one season (series,); over one step where a series is not longer than a season."""
        return np.where(self.lengths > self.season, self._change(self.season), self._change(1))

    def _change(self, steps: int) -> np.ndarray:
        series = np.repeat(np.arange(len(self.lengths)), self.lengths)[steps:]
        inside = np.arange(steps, len(self.values)) >= self.offsets[series] + steps
        changes = np.abs(self.values[steps:] - self.values[:-steps])
        total = np.bincount(series[inside], changes[inside], len(self.lengths))
        return total / np.maximum(self.lengths - steps, 1)


def flatten(histories: np.ndarray | Sequence[np.ndarray], season: int) -> FlatSeries:
    """Histories (rows, time), or one array (time,) a series, without their gaps and without what is before them."""
    values, known, lengths = [], [], []
    for block in _blocks(histories):
        filled = fill_gaps(block, season)
        inside = np.isfinite(filled)
        values.append(filled[inside])
        known.append(np.isfinite(block)[inside])
        lengths.append(inside.sum(axis=1))
    offsets = np.concatenate([[0], *lengths]).cumsum()
    return FlatSeries(np.concatenate([[], *values]), np.concatenate([[], *known]).astype(bool), offsets, season)


def _blocks(histories: np.ndarray | Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    if isinstance(histories, np.ndarray) and histories.ndim == 2:
        for rows in chunks_of_rows(np.arange(len(histories)), histories.shape[1]):
            yield np.asarray(histories[rows], dtype=float)
    else:
        for history in histories:
            yield np.asarray(history, dtype=float)[None]


def all_origins(lasts: np.ndarray, first: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and origins (windows,) from `first` to `lasts` (rows,), spread evenly when they are more than `most`."""
    counts = np.maximum(lasts - first + 1, 0)
    until = counts.cumsum()
    total = int(counts.sum())
    chosen = np.arange(total) if total <= most else np.linspace(0, total - 1, most).astype(int)
    rows = np.searchsorted(until, chosen, side="right")
    return rows, first + chosen - (until - counts)[rows]


def hold_out(lengths: np.ndarray, horizon: int, fewest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows at the end of each series, to choose by what was fitted before them.

    Of more than 512 series each has its last window held out (of the most, some of them), of fewer several, spread over
    their last 20 %.

    Returns: the last origin (rows,) to fit with in each series, and the rows and origins (windows,) that are held out,
        with `fewest` values before them at least.
    """
    each = -(-_HELD_OUT // max(1, len(lengths)))
    share = _SHARE if each > 1 else 0.0
    span = np.maximum(horizon, (share * lengths).astype(int))
    tested = np.unique(np.linspace(0, len(lengths) - 1, min(len(lengths), _MOST_HELD_OUT)).astype(int))
    rows, shares = np.repeat(tested, each), np.tile(np.linspace(0, 1, each), len(tested))
    origins = lengths[rows] - horizon - (shares * (span[rows] - horizon)).astype(int)
    rows, origins = np.unique(np.stack([rows, origins])[:, origins >= fewest], axis=1)
    return lengths - span - horizon, rows, origins
