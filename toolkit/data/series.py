"""Series read from files of many layouts into a panel, with what was odd about them told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from toolkit.data.categories import one_hot
from toolkit.data.columns import Columns
from toolkit.data.files import STANDARD_INPUT, ending
from toolkit.data.frequency import Frequency
from toolkit.data.moments import Moments, read_moments
from toolkit.data.naming import find_naming
from toolkit.data.panel import SEPARATOR, Finding, Panel, placed
from toolkit.data.regular import (
    Observations,
    extremes,
    gap_findings,
    place_after,
    spread,
    trimmed,
    without_duplicates,
    without_parts,
)
from toolkit.data.series_tables import read_series_table
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Table, Words
from toolkit.errors import DataError

LARGEST = 1e305  # a sum of two thousand of a greater value would be infinite
HIGHEST_MARK, FEWEST_MARKS = -9, 3  # of numbers that may mean that nothing was measured


def read_panel(
    source: SeriesSource,
    *,
    categories: Mapping[str, Sequence[str]] | None = None,
    frequency: Frequency | None = None,
    day_first: bool | None = None,
) -> tuple[Panel, list[Finding]]:
    """Read all series of a file onto one regular grid.

    - Rows are sorted; several rows of a step fall under the rule for duplicates; steps without a row are missing.
    - A series begins at its first value. Rows after its last one are the future, as far as they hold covariates. A
      series without any value keeps all of its rows as history.
    - Infinite values, and those beyond LARGEST, are missing ones.
    - In a wide file, covariates are those of every series.
    - Standard input, `-`, and files that end in .txt are CSV unless the source says otherwise.

    Args:
        categories: the words of a trained model (`Panel.categories`); without one they are found.
        frequency: of a trained model, which the times must fit; where its grid begins may differ.
        day_first: of a trained model (`Panel.day_first`), for dates whose order nothing in the file tells.

    Returns:
        the panel, and what was odd and how it was handled.

    Raises:
        DataError: naming the file and, where there is one, the line.
        ConfigError: the frequency, time zone, format or encoding cannot be what the source asks for.
    """
    if source.format == "auto" and (source.path == STANDARD_INPUT or ending(source.path) == ".txt"):
        source = replace(source, format="csv")
    table, columns, findings = read_series_table(source, categories)
    cells = _cells(table, columns)
    moments, told = read_moments(source, cells.times, cells.series, cells.place, frequency, day_first)
    covariates, covariate_words, told_words = _columns(source.covariates, table, columns, categories)
    statics, static_words, told_statics = _columns(source.statics, table, columns, categories)
    rows, told_infinite = _without_infinity(_observations(cells, moments, covariates))
    statics = _statics(rows, {name: _tiled(column, cells.copies)[moments.order] for name, column in statics.items()})
    told_parts: list[Finding] = []
    if moments.edges is not None:
        rows, told_parts = without_parts(rows, moments.edges, source.duplicates)
    naming = _naming(source, columns, rows) if frequency is None else ()  # a trained model knows what names them
    advice = moments.advice + (_advice(naming) if naming or not columns.id else "")
    rows, told_twice = without_duplicates(rows, source.duplicates, advice)
    told_twice = [finding._replace(columns=naming) for finding in told_twice]
    rows, ends, told_behind = trimmed(rows)
    starts, offsets, positions = spread(rows)
    if blank := [id for id in cells.ids if len(columns.id) > 1 and not all(id.split(SEPARATOR))]:
        told_blank = f"{source.path}: names of series with a blank part: {len(blank)}, first {blank[0]!r}."
        findings.append(Finding("layout", told_blank))
    findings += [*told, *told_words, *told_statics, *told_infinite, *told_parts, *told_twice, *told_behind]
    findings += gap_findings(rows)
    panel = Panel(
        ids=tuple(cells.ids),
        frequency=rows.frequency,
        starts=starts,
        offsets=offsets,
        ends=offsets[:-1] + ends - starts,
        values=placed(rows.values, positions, offsets[-1]),
        covariates={name: placed(column, positions, offsets[-1]) for name, column in rows.covariates.items()},
        statics=statics,
        categories={**covariate_words, **static_words},
        day_first=moments.day_first,
        id_columns=columns.id if len(columns.id) > 1 else (),
    )
    if columns.values:
        findings += _value_findings(rows, panel)
    return panel, findings


def _naming(source: SeriesSource, columns: Columns, rows: Observations) -> tuple[str, ...]:
    """The columns that may name series, if the source does not say what does: where most steps are there several times,
    those that tell these apart; otherwise the first that is text, if none is called so."""
    if source.id or columns.layout == "years":
        return ()
    if 3 * np.count_nonzero(rows.repeats()) >= len(rows.series):
        return find_naming(source, columns.times, columns.values)
    return () if columns.id else columns.unused[:1]


def _advice(naming: tuple[str, ...]) -> str:
    if len(naming) > 1:
        told, setting = f"columns {' and '.join(map(repr, naming))} together name", f"[{', '.join(naming)}]"
    else:
        told, setting = f"{f'column {naming[0]!r}' if naming else 'a column'} names", "it"
    return f" If {told} the series, set data.id to {setting} in a config."


class _Cells(NamedTuple):
    """Values one by one; in a wide file, the columns one after the other.

    Attributes:
        copies: how often every row of the file is there.
    """

    ids: list[str]
    series: np.ndarray
    times: Words | None
    values: np.ndarray
    copies: int
    place: Callable[[int], str]


def _cells(table: Table, columns: Columns) -> _Cells:
    if table.series:
        if "" in table.series.words:
            row = int(np.argmax(table.series.codes == table.series.words.index("")))
            named = " or ".join(map(repr, columns.id))
            mend = "Name the series of every row."
            raise DataError(f"there is no name in column {named}.", where=table.place(row), mend=mend)
        if many := len(columns.id) - 1:
            _check_parts(table, table.series, many)
        values = table.values[0] if table.values else np.full(table.rows, np.nan)
        return _Cells(table.series.words, table.series.codes, table.times, values, 1, table.place)
    ids = list(columns.values) or ["series"]
    values = np.concatenate(table.values) if table.values else np.full(table.rows, np.nan)
    series = np.repeat(np.arange(len(ids), dtype=np.int32), table.rows)
    times = table.times and Words(_tiled(table.times.codes, len(ids)), table.times.words)
    return _Cells(ids, series, times, values, len(ids), lambda row: table.place(row % table.rows))


def _check_parts(table: Table, series: Words, many: int) -> None:
    """Refuse names of which it is open where one part ends and the next begins."""
    for code, word in enumerate(series.words):
        if word.count(SEPARATOR) > many:
            row = int(np.argmax(series.codes == code))
            found = f"the names of several columns are joined by {SEPARATOR!r}, which one of {word!r} holds itself."
            raise DataError(found, where=table.place(row), mend="Write another sign there.")


def _tiled(column: np.ndarray, copies: int) -> np.ndarray:
    return column if copies == 1 else np.tile(column, copies)


# Columns beside the values


def _columns(
    names: Sequence[str], table: Table, columns: Columns, categories: Mapping[str, Sequence[str]] | None
) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]], list[Finding]]:
    """Covariates or statics (rows,) by name, the words of those that hold text, and what words were left out."""
    found: dict[str, np.ndarray] = {}
    words: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    for name in names:
        if name in columns.words:
            known = categories.get(name) if categories is not None else None
            flags, chosen, told = one_hot(name, table.words[name], known)
            found |= flags
            findings += told
            words[name] = chosen
        else:
            found[name] = table.numbers[name]
    return found, words, findings


def _statics(rows: Observations, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The one value (series,) that every series has in columns (rows,); NaN where it has none."""
    statics = {}
    for name, told in columns.items():
        first, _ = extremes(~np.isnan(told), rows.bounds)
        statics[name] = np.append(told, np.nan)[first]
        other = np.flatnonzero((told != statics[name][rows.series]) & ~np.isnan(told))
        if len(other):
            row = int(other[0])
            found = f"column {name!r} of series {rows.ids[rows.series[row]]!r} is not the same in all of its rows."
            raise DataError(found, where=rows.place(row), mend="A column that varies in time is a covariate.")
    return statics


# The grid


def _observations(cells: _Cells, moments: Moments, covariates: Mapping[str, np.ndarray]) -> Observations:
    order = moments.order
    return Observations(
        frequency=moments.frequency,
        ids=cells.ids,
        series=cells.series[order],
        ordinals=moments.ordinals,
        values=cells.values[order],
        covariates={name: _tiled(column, cells.copies)[order] for name, column in covariates.items()},
        place=place_after(cells.place, order, len(cells.series)),
    )


def _without_infinity(rows: Observations) -> tuple[Observations, list[Finding]]:
    findings = []

    def cleaned(column: np.ndarray, name: str) -> np.ndarray:
        infinite = np.abs(column) > LARGEST
        if not infinite.any():
            return column
        first = rows.named(int(np.argmax(infinite)))
        told = f"infinite {name}, or beyond {LARGEST:g}: {infinite.sum()}, first {first}; they count as missing."
        findings.append(Finding("infinite", told))
        return np.where(infinite, np.nan, column)

    values = cleaned(rows.values, "values")
    covariates = {name: cleaned(column, f"values of {name!r}") for name, column in rows.covariates.items()}
    return replace(rows, values=values, covariates=covariates), findings


def _value_findings(rows: Observations, panel: Panel) -> list[Finding]:
    """Values that are missing, series that have none, few or only one value over and over, and steps in the future."""
    known = ~np.isnan(rows.values)
    past = rows.ordinals < (panel.starts + panel.lengths)[rows.series]
    counts = np.diff(np.concatenate([[0], np.cumsum(known)])[rows.bounds])
    low = np.fmin.reduceat(rows.values, rows.bounds[:-1])
    high = np.fmax.reduceat(rows.values, rows.bounds[:-1])
    missing = np.flatnonzero(~known & past & (counts > 0)[rows.series])
    findings = []
    if len(missing):
        many = rows.count_series(missing)
        first = rows.named(int(missing[0]))
        told = f"values missing: {len(missing)}, in {many} of {len(panel)} series, first {first}."
        findings.append(Finding("missing", told))
    for kind, mask, told in (
        ("all_missing", counts == 0, "have no value at all and get no forecast"),
        ("short", (counts > 0) & (counts < 3), "have one or two values"),
        ("constant", (counts > 2) & (low == high), "have the same value all the time"),
    ):
        if mask.any():
            first = panel.ids[int(np.argmax(mask))]
            findings.append(Finding(kind, f"series that {told}: {mask.sum()} of {len(panel)}, first {first!r}."))
    findings += _marks(rows, low, high)
    ahead = panel.offsets[1:] - panel.ends
    if ahead.any():
        told = f"series with covariates after their last value: {np.count_nonzero(ahead)} of {len(panel)}"
        findings.append(Finding("future", f"{told}, for up to {ahead.max()} steps; those are the future."))
    return findings


def _marks(rows: Observations, low: np.ndarray, high: np.ndarray) -> list[Finding]:
    """Numbers that may stand for nothing, such as -999: the least of a series three times or more, and the only one
    below 0, or further below all others than these are apart. Shapes: low, high (series,)"""
    if not (low <= HIGHEST_MARK).any():
        return []
    marked = rows.values == low[rows.series]
    counts, starts = np.add.reduceat(marked, rows.bounds[:-1]), rows.bounds[:-1]
    then = np.fmin.reduceat(np.where(marked, np.nan, rows.values), starts)
    far = (then >= 0) | (then - low > high - then)  # False where there is no other
    which = np.flatnonzero((low <= HIGHEST_MARK) & (counts >= FEWEST_MARKS) & far)
    if not len(which):
        return []
    first = which[0]
    told = f"numbers far below all others of their series: {counts[which].sum()}, in {len(which)} of {len(low)} series"
    told += f", first {low[first]:g} in {rows.ids[first]!r}, where the next is {then[first]:g}"
    return [Finding("marks", f"{told}. If they mean that nothing was measured, empty those cells.")]
