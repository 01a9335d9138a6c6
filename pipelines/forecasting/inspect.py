"""A look at series before anything is trained: what is there, what is odd, and what would be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.forecasting import facts
from toolkit.data.files import split_part
from toolkit.data.find_columns import SeveralValuesError
from toolkit.data.frequency import DAY, HOUR, WEEK, Frequency
from toolkit.data.looks import counts_up
from toolkit.data.panel import Finding, Panel
from toolkit.data.series import read_panel
from toolkit.data.series_tables import open_series
from toolkit.data.sources import SeriesSource
from toolkit.evaluation.diagnostics import choose_season, search_season

EXAMINED = 200  # series, evenly spread, that seasons, trends and outliers are looked for in
MEANT = ("close", "sales", "demand", "load")  # as columns to forecast are called
VARIED = 0.9  # times the different values of the column that has most


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        source: how the file was read.
        others: columns of numbers that were not read as values, where there is a choice.
        findings: oddities of the file, and the rules that were applied to them.
        examined: (series,) positions in the panel of the series that were looked at more closely.
        season: steps in the season that most of them have; 1 for none.
        horizon: steps that suggest themselves for a forecast.
        facts: name -> a sentence or a few, in reading order.
    """

    source: SeriesSource
    others: tuple[str, ...]
    panel: Panel
    findings: list[Finding]
    examined: np.ndarray
    season: int
    horizon: int
    facts: dict[str, str]


def inspect(path: Path) -> Look:
    """Read series and tell what they are like.

    Of several values at one time the last counts: here they are to be told, where a training would stop. Where they
    are of several series, the columns that tell these apart name them.

    Raises:
        DataError: the file cannot be read as series.
    """
    source = SeriesSource(str(path), duplicates="last")
    open_ones, others = False, tuple[str, ...]()
    try:
        panel, findings = read_panel(source)
    except SeveralValuesError:
        if not split_part(source.path)[0].is_file():  # a pipe is read once
            raise
        open_ones = True
        panel, findings = read_panel(replace(source, layout="wide"))
    naming = _naming(panel, findings)
    if naming or open_ones:
        value, others = _values(source, panel, [name for name in series_of(findings) if name not in naming])
        source = replace(source, id=naming or None, value=value)
        panel, findings = read_panel(source)
        findings.insert(0, Finding("layout", f"{path}: {_told(naming, value, others)}"))
    sizes = facts.measure(panel)
    examined = facts.evenly(np.flatnonzero(sizes.known > 0), EXAMINED)
    season = find_season([panel.history(k) for k in examined.tolist()], panel.frequency)
    horizon = suggest_horizon(panel.frequency, season, int(np.median(sizes.steps)))
    found = {
        **facts.of_sizes(panel, sizes),
        **facts.of_findings(findings, str(path)),
        **facts.of_values(panel, sizes, season + horizon, facts.messages(findings, "missing", str(path))),
        **facts.of_nature(panel, examined, season),
        **facts.of_horizon(panel.frequency, horizon),
    }
    return Look(source, others, panel, findings, examined, season, horizon, found)


def _naming(panel: Panel, findings: list[Finding]) -> tuple[str, ...]:
    """The columns that tell series apart, if without them most steps are there several times."""
    steps = int(panel.lengths.sum())
    told = (each for each in findings if each.kind == "duplicates" and 2 * each.rows >= steps)
    return next((each.columns for each in told), ())


def series_of(findings: list[Finding]) -> tuple[str, ...]:
    """The columns that were read as a series each; () unless there are several."""
    return next((each.columns for each in findings if each.kind == "layout" and each.columns), ())


def meant(columns: Sequence[str]) -> str | None:
    """The first that is called as if it were to be forecast."""
    return next((name for name in columns if name.strip().lower() in MEANT), None)


def _values(source: SeriesSource, panel: Panel, columns: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """Which of these series to forecast, and the others: what is called as if it were meant, or the first of those that
    vary most, as numbers of days and prices do not, and that do not count the rows, be it all or those of each time."""
    if not columns:
        return None, ()
    head = open_series(source).head
    histories = {name: panel.history(panel.ids.index(name)) for name in columns}
    varied = {name: len(np.unique(values)) for name, values in histories.items()}
    counted = [name for name, values in histories.items() if (np.diff(values) == 1).all()]
    counted += [name for name in columns if counts_up([row.values.get(name) for row in head])]
    varied |= dict.fromkeys(counted, 0)
    value = meant(columns) or next(k for k, many in varied.items() if many >= VARIED * max(varied.values()))
    return value, tuple(name for name in columns if name != value)


def _told(naming: tuple[str, ...], value: str | None, others: tuple[str, ...]) -> str:
    told = []
    if naming:
        names, one = " and ".join(map(repr, naming)), len(naming) == 1
        told.append(f"{names} {'tells' if one else 'together tell'} the rows of a time apart and")
        told[0] += f" {'was' if one else 'were'} read as the names of series"
    if others:
        told.append(f"of the columns of numbers {value!r} was read, not {', '.join(map(repr, others[:10]))}")
    return f"{'; '.join(told)}."


def find_season(series: list[np.ndarray], frequency: Frequency) -> int:
    """The season that most series have, among those of the calendar; with integer times, of their autocorrelation."""
    return search_season(series) if frequency.unit == "integer" else choose_season(series, frequency.seasons)


def suggest_horizon(frequency: Frequency, season: int, steps: int) -> int:
    """As far as the M4 competition looked ahead at this frequency, and at most a fifth of the median series of `steps`.

    Hourly 48 steps, daily 14, weekly 13, monthly 18, quarterly 8, yearly 6. For steps under an hour it is a day, or 96
    steps where those are less; for business days 10; for integer times two seasons, or 12 steps without one.

    Reference: Makridakis, Spiliotis & Assimakopoulos 2020, The M4 Competition, 2.
    """
    match frequency.unit:
        case "second" if frequency.step < HOUR:
            wished = min(DAY // frequency.step, 96)
        case "second" if frequency.step < DAY:
            wished = 2 * DAY // frequency.step
        case "second":
            wished = 14 if frequency.step < WEEK else 13
        case "month":
            wished = {1: 18, 3: 8}.get(frequency.step, 6)
        case "business_day":
            wished = 10
        case "integer":
            wished = 2 * season if season > 1 else 12
    return max(1, min(wished, steps // 5))
