"""A panel: many series on one regular time grid, in flat arrays that hold 100,000 series as easily as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from toolkit.data.frequency import Frequency
from toolkit.errors import DataError

SEPARATOR = "|"  # between the names of several columns that together name a series


class Finding(NamedTuple):
    """Something odd about data that was handled by a rule.

    Attributes:
        kind: gaps, missing, duplicates, disorder, infinite, dst, dates, layout, short, constant, all_missing,
            decimals, frequency, partial, future or categories.
        message: a full sentence with counts, the first place and the rule that was applied.
        rows: how many became part of others, by the rule for duplicates.
        columns: that may tell such rows apart as those of several series; of a layout, those that are a series each.
    """

    kind: str
    message: str
    rows: int = 0
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Series on one regular time grid, one after the other; position i of series k is `offsets[k] + i`.

    Args:
        ids: names, in the order of first appearance.
        frequency: the grid.
        starts: (series,) int64, ordinal (`Frequency.times`) of the first step of every series.
        offsets: (series + 1,) int64, where every series begins in the flat arrays; the last is their length.
        ends: (series,) int64, flat position of the cutoff of every series. Steps from there to `offsets[k + 1]` are in
            the future: only covariates that are known ahead may be read there.
        values: (steps,) float64, NaN where missing.
        covariates: name -> (steps,) float64, NaN where missing; past-only and known-ahead ones alike.
        statics: name -> (series,) float64, NaN where missing.
        categories: the words of every column that held text; a column `weather` became the columns "weather=rain",
            "weather=sun", ... of 0 and 1.
        day_first: whether its dates were read so; None where none had an order that is open.
        id_columns: where several columns together name a series, those; ids hold one name of each, with SEPARATOR
            between them.
    """

    ids: tuple[str, ...]
    frequency: Frequency
    starts: np.ndarray
    offsets: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    covariates: dict[str, np.ndarray]
    statics: dict[str, np.ndarray]
    categories: dict[str, tuple[str, ...]]
    day_first: bool | None = None
    id_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """(series,) steps before the cutoff of every series."""
        return self.ends - self.offsets[:-1]

    def history(self, k: int) -> np.ndarray:
        """Values of series k before its cutoff, a view of shape (time,)."""
        return self.values[self.offsets[k] : self.ends[k]]

    def named(self, k: int) -> list[str]:
        """The name of series k, or its names where several columns hold them."""
        return self.ids[k].split(SEPARATOR) if self.id_columns else [self.ids[k]]

    def at(self, ends: np.ndarray) -> Panel:
        """The same panel with other cutoffs, flat positions (series,); all arrays are shared.

        Raises:
            ValueError: a cutoff lies outside its series.
        """
        ends = np.asarray(ends, np.int64)
        if ends.shape != self.ends.shape or (ends < self.offsets[:-1]).any() or (ends > self.offsets[1:]).any():
            raise ValueError("every cutoff must lie inside its own series")
        return replace(self, ends=ends)

    def take(self, rows: np.ndarray) -> Panel:
        """Some of the series, by position (rows,) in any order; one may be taken more than once."""
        rows = np.asarray(rows, np.int64)
        steps, offsets = ranges(self.offsets[rows], np.diff(self.offsets)[rows])
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows.tolist()),
            starts=self.starts[rows],
            offsets=offsets,
            ends=self.ends[rows] - self.offsets[rows] + offsets[:-1],
            values=self.values[steps],
            covariates={name: column[steps] for name, column in self.covariates.items()},
            statics={name: column[rows] for name, column in self.statics.items()},
        )

    def with_future(self, future: Panel) -> Panel:
        """Fill the covariates past every cutoff from `future`, and lengthen the series as far as it goes.

        Series are matched by name; a single series of another name in `future` is that of all series. What `future`
        says about steps before a cutoff, and about covariates and series that are not here, is not used.

        Raises:
            DataError: the grids differ, no series of `future` is here, or it begins far away from where these end.
        """
        match = self._match(future)
        lengths = np.diff(self.offsets)
        own, _ = ranges(np.zeros(len(self), np.int64), lengths)  # steps since the start of each series
        known = np.flatnonzero(match >= 0)
        source, bounds = ranges(future.offsets[match[known]], np.diff(future.offsets)[match[known]])
        series = np.repeat(known, np.diff(bounds))
        shift = future.starts[match[known]] - self.starts[known] - future.offsets[match[known]]
        steps = source + np.repeat(shift, np.diff(bounds))  # since the start of their series here
        ahead = steps >= self.lengths[series]
        source, series, steps = source[ahead], series[ahead], steps[ahead]
        longer = lengths.copy()
        np.maximum.at(longer, series, steps + 1)
        if longer.sum() > 20 * (lengths.sum() + len(source)) + 10_000:
            begin = future.frequency.text(future.starts[:1])[0]
            mend = "Give the steps that follow the history."
            raise DataError(f"these begin at {begin}, far away from the history.", where="future covariates", mend=mend)
        offsets = np.concatenate([[0], np.cumsum(longer)])
        own += np.repeat(offsets[:-1], lengths)
        covariates = {name: placed(column, own, offsets[-1]) for name, column in self.covariates.items()}
        for name in covariates.keys() & future.covariates.keys():
            told = future.covariates[name][source]
            filled = ~np.isnan(told)
            covariates[name][(offsets[series] + steps)[filled]] = told[filled]
        ends = self.lengths + offsets[:-1]
        values = placed(self.values, own, offsets[-1])
        return replace(self, offsets=offsets, ends=ends, values=values, covariates=covariates)

    def _match(self, future: Panel) -> np.ndarray:
        """(series,) position in `future` of every series, -1 where it has none."""
        if replace(future.frequency, timezone=None) != replace(self.frequency, timezone=None):
            found = f"found {future.frequency.title} steps, expected {self.frequency.title} as in the history."
            raise DataError(found, where="future covariates", mend=f"Give one row a step of {self.frequency.alias}.")
        known = {name: row for row, name in enumerate(future.ids)}
        match = np.array([known.get(name, -1) for name in self.ids], np.int64)
        if (match >= 0).any():
            return match
        if len(future) == 1:
            return np.zeros(len(self), np.int64)
        found = f"found the series {', '.join(future.ids[:3])}, ...; expected some of {', '.join(self.ids[:3])}, ..."
        raise DataError(found, where="future covariates", mend="Use the same names of series in both files.")


def ranges(begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions of ranges one after the other, and the offsets (ranges + 1,) of the ranges among them."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.repeat(begins - offsets[:-1], lengths) + np.arange(offsets[-1]), offsets


def placed(column: np.ndarray, positions: np.ndarray, steps: int) -> np.ndarray:
    """A column of so many steps that is NaN but at these positions."""
    filled = np.full(steps, np.nan)
    filled[positions] = column
    return filled
