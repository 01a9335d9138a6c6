"""From rows in any order to series on a regular grid: sorted, one row a step, gaps filled with NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np

from toolkit.data.frequency import DAY, HOUR, Frequency
from toolkit.data.panel import Finding
from toolkit.errors import DataError

# A grid may have so many steps a row, and so many more: one stray date must not fill the memory.
_MOST_STEPS_A_ROW, _MORE_STEPS = 20, 10_000
_OFTEN = 10  # rows of which one at least has the time of another, where they may be events


@dataclass(frozen=True)
class Observations:
    """Values of series at times, in the order of both.

    Args:
        ids: names of the series.
        series: (rows,) position in `ids`.
        ordinals: (rows,) int64, on the grid of `frequency`.
        values: (rows,) float64, NaN where missing.
        covariates: name -> (rows,) float64.
        place: from the position of a row to where it stands in the file.
    """

    frequency: Frequency
    ids: list[str]
    series: np.ndarray
    ordinals: np.ndarray
    values: np.ndarray
    covariates: dict[str, np.ndarray]
    place: Callable[[int], str]

    @cached_property
    def bounds(self) -> np.ndarray:
        """(series + 1,) where every series begins, and the last one ends."""
        return np.searchsorted(self.series, np.arange(len(self.ids) + 1))

    def take(self, rows: np.ndarray) -> Observations:
        """Some of the rows, by position or by mask."""
        return replace(
            self,
            series=self.series[rows],
            ordinals=self.ordinals[rows],
            values=self.values[rows],
            covariates={name: column[rows] for name, column in self.covariates.items()},
            place=place_after(self.place, rows, len(self.series)),
        )

    def named(self, row: int) -> str:
        """A row in words, such as `2010-03-14 of series 'a'`."""
        return f"{self.frequency.text(self.ordinals[row : row + 1])[0]} of series {self.ids[self.series[row]]!r}"

    def count_series(self, rows: np.ndarray) -> int:
        """How many series these rows are of, which are positions in order."""
        series = self.series[rows]
        return int(np.count_nonzero(series[1:] != series[:-1])) + (len(series) > 0)

    def repeats(self) -> np.ndarray:
        """Whether each row but the first is of the same series and step as the one before it (rows - 1,)."""
        return (self.series[1:] == self.series[:-1]) & (self.ordinals[1:] == self.ordinals[:-1])


def place_after(place: Callable[[int], str], rows: np.ndarray | slice, many: int) -> Callable[[int], str]:
    """Where rows stand of which some were taken out of so many, or put in another order."""
    return lambda row: place(int(np.arange(many)[rows][row]))


def by_series(series: np.ndarray, times: np.ndarray) -> tuple[np.ndarray | slice, int]:
    """The order of rows by series, time and place in the file, a slice when they are in it; and how many came late."""
    in_order = (series[1:] >= series[:-1]).all()
    order: np.ndarray | slice = slice(None) if in_order else np.argsort(series, kind="stable")
    sorted_series, sorted_times = series[order], times[order]
    late = int(((sorted_series[1:] == sorted_series[:-1]) & (sorted_times[1:] < sorted_times[:-1])).sum())
    return np.lexsort((times, series)) if late else order, late


def without_parts(rows: Observations, edges: np.ndarray, rule: str) -> tuple[Observations, list[Finding]]:
    """Without the values of the first and the last step of the file where it begins or ends inside them: the sum or
    mean of a part is none of a whole step.

    A series keeps them all the same where it has as many rows in such a step as it mostly has, as of opening hours.

    Args:
        rows: in order, before they are pooled.
        edges: whether each is the first, and the last, that there can be in its step (2, rows).
    """
    known = np.flatnonzero(~np.isnan(rows.values))
    if not len(known):
        return rows, []
    series, ordinals = rows.series[known], rows.ordinals[known]
    ends = (ordinals.min(), ordinals.max())
    cut = [end for end, whole in zip(ends, edges[:, known], strict=True) if not whole[ordinals == end].any()]
    begins = np.flatnonzero(np.append(True, (np.diff(series) != 0) | (np.diff(ordinals) != 0)))
    counts = np.diff(np.append(begins, len(known)))
    step_series, step_ordinals = series[begins], ordinals[begins]
    order = np.lexsort((counts, step_series))
    firsts = np.searchsorted(step_series, np.arange(len(rows.ids) + 1))
    middles = np.minimum(firsts[:-1] + np.diff(firsts) // 2, len(counts) - 1)
    usual = counts[order][middles]  # the median, by series; of series without any value it is not used
    partial = np.isin(step_ordinals, cut) & (counts < usual[step_series])
    if not partial.any():
        return rows, []
    out = np.zeros(len(rows.series), bool)
    out[known[np.repeat(partial, counts)]] = True
    first = rows.named(int(known[begins[np.argmax(partial)]]))
    told = f"steps that the file begins or ends inside of: {partial.sum()}, first {first}; left out of the {rule}s."
    findings = [Finding("partial", told)]
    if not rows.covariates:
        return rows.take(~out), findings
    return replace(rows, values=np.where(out, np.nan, rows.values)), findings  # what is known ahead of it stays known


def without_duplicates(rows: Observations, rule: str, advice: str) -> tuple[Observations, list[Finding]]:
    """One row a step; `last` keeps the last in the file, `mean` and `sum` take all that is not missing.

    Covariates are averaged under `sum` too, for a sum of temperatures means nothing.

    Args:
        rows: in order.
        advice: what else the cause may be.

    Raises:
        DataError: there are duplicates and the rule is `error`.
    """
    same = rows.repeats()
    if not same.any():
        return rows, []
    first = int(np.argmax(same))
    many = f"rows of a time that their series has already: {same.sum()}, first {rows.named(first)}"
    if rule == "error":
        mend = f"Set duplicates to last, mean or sum.{advice}"
        raise DataError(f"{many} (also at {rows.place(first + 1)}).", where=rows.place(first), mend=mend)
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    last = np.concatenate([begins[1:], [len(rows.series)]]) - 1
    kept = rows.take(last)
    if rule != "last":
        covariates = {name: _pooled(column, begins, "mean") for name, column in rows.covariates.items()}
        kept = replace(kept, values=_pooled(rows.values, begins, rule), covariates=covariates)
    did = {"last": "the last one was kept", "mean": "their mean was taken", "sum": "their sum was taken"}[rule]
    if rule == "last" and _OFTEN * same.sum() >= len(same):
        advice = f" If rows are events, such as orders, data.duplicates: sum adds them up.{advice}"
    return kept, [Finding("duplicates", f"{many}; {did}.{advice}", int(same.sum()))]


def _pooled(column: np.ndarray, begins: np.ndarray, rule: str) -> np.ndarray:
    """The mean or sum of every group, NaN where all of it is missing."""
    counts = np.add.reduceat((~np.isnan(column)).astype(np.int64), begins)
    totals = np.add.reduceat(np.nan_to_num(column), begins)
    return np.where(counts > 0, totals / (np.maximum(counts, 1) if rule == "mean" else 1), np.nan)


def trimmed(rows: Observations) -> tuple[Observations, np.ndarray, list[Finding]]:
    """The rows between the first known value and the last known value or covariate of every series, and where it ends.

    A series begins at its first value; rows behind its last one are the future, as far as they hold covariates. A
    series without any value keeps all of its rows.

    Returns:
        rows; (series,) the ordinal after the last value; and what was left out behind it.
    """
    bounds, known = rows.bounds, ~np.isnan(rows.values)
    first, last = extremes(known, bounds)
    told = known.copy()
    for column in rows.covariates.values():
        told |= ~np.isnan(column)
    empty = first == len(known)
    begin = np.where(empty, bounds[:-1], first)
    keep_last = np.where(empty, bounds[1:] - 1, extremes(told, bounds)[1])
    end = rows.ordinals[np.where(empty, bounds[1:] - 1, last)] + 1
    at = np.arange(len(known))
    keep = (at >= begin[rows.series]) & (at <= keep_last[rows.series])
    behind = np.flatnonzero(at > keep_last[rows.series])
    findings = []
    if len(behind):
        many, where = rows.count_series(behind), rows.named(int(behind[0]))
        told = f"rows without a value at the end: {len(behind)}, in {many} of {len(rows.ids)} series"
        findings.append(Finding("missing", f"{told}, first {where}; they were left out."))
    return (rows if keep.all() else rows.take(keep)), end, findings


def extremes(mask: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and last row of every series where the mask holds; (rows, -1) where it never does."""
    held = np.flatnonzero(mask)
    low, high = np.searchsorted(held, bounds[:-1]), np.searchsorted(held, bounds[1:])
    none = low == high
    padded = np.concatenate([held, [len(mask)]])
    return np.where(none, len(mask), padded[low]), np.where(none, -1, padded[high - 1])


def spread(rows: Observations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where every row lies on the grid: starts (series,), offsets (series + 1,) and positions (rows,).

    Raises:
        DataError: the grid would have far more steps than there are rows.
    """
    starts = rows.ordinals[rows.bounds[:-1]]
    lengths = rows.ordinals[rows.bounds[1:] - 1] - starts + 1
    # As floats: a single series may span more steps than an integer of any kind should count.
    if lengths.astype(float).sum() > _MOST_STEPS_A_ROW * len(rows.series) + _MORE_STEPS:
        _refuse_gap(rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return starts, offsets, rows.ordinals + (offsets[:-1] - starts)[rows.series]


def _refuse_gap(rows: Observations) -> NoReturn:
    gaps = np.where(rows.series[1:] == rows.series[:-1], np.diff(rows.ordinals), 0)
    before = int(np.argmax(gaps))
    begin, end = rows.bounds[rows.series[before]], rows.bounds[rows.series[before] + 1]
    stray = before if before - begin < end - before - 2 else before + 1
    found = (
        f"{rows.named(stray)} lies {gaps[before]} steps away from the next row; with a step for every time between "
        f"({rows.frequency.title}), the series would be almost empty."
    )
    mend = "Correct the time, or set a longer frequency."
    raise DataError(found, where=rows.place(stray), mend=mend)


def gap_findings(rows: Observations) -> list[Finding]:
    """Steps without a row, and which of them look like a clock change."""
    gaps = np.where(rows.series[1:] == rows.series[:-1], np.diff(rows.ordinals) - 1, 0)
    at = np.flatnonzero(gaps > 0)
    if not len(at):
        return []
    many = rows.count_series(at)
    frequency = rows.frequency
    first = f"{frequency.text(rows.ordinals[at[:1]] + 1)[0]} of series {rows.ids[rows.series[at[0]]]!r}"
    told = f"steps without a row: {gaps.sum()}, in {many} of {len(rows.ids)} series, first {first}"
    findings = [Finding("gaps", f"{told}; they count as missing.")]
    if frequency.unit == "second" and frequency.step <= HOUR and not frequency.timezone:
        hours = at[gaps[at] * frequency.step == HOUR]
        skipped = rows.ordinals[hours] + 1
        changes = looks_like_clock_change(frequency.times(skipped))
        if changes.any():
            when = frequency.text(skipped[changes][:1])[0]
            told = f"gaps of an hour that look like clocks put forward: {changes.sum()}, first {when}, a Sunday."
            findings.append(Finding("dst", f"{told} Set timezone in a config to the name of the place to close them."))
    return findings


def looks_like_clock_change(times: np.ndarray) -> np.ndarray:
    """(times,) whether clocks are changed somewhere at such a time: until 4 on a Sunday in spring or autumn."""
    days = times.astype("datetime64[D]")
    sunday = (days.astype(np.int64) + 3) % 7 == 6
    month = times.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return sunday & np.isin(month, (3, 4, 9, 10, 11)) & ((times - days).astype("timedelta64[s]").astype(int) < DAY // 6)
