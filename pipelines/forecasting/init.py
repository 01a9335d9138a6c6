"""A first config, fitted to some series."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting.facts import measure, span_of
from pipelines.forecasting.inspect import Look, inspect
from toolkit.config import quoted
from toolkit.data.frequency import Frequency
from toolkit.data.rows import Source, read_rows
from toolkit.errors import ConfigError

ASKED = ("layout", "format", "encoding", "id", "time", "value", "frequency", "timezone", "day_first")
TEMPLATE = """\
# seqloom check my.yaml tells what this would do; seqloom run my.yaml does it.
pipeline: forecasting
horizon: {horizon:<22}# steps to forecast{example}
season: {season:<23}# {found}; auto looks anew, 1 is none

data:
  path: {path}
{columns}
model:
  kind: auto                    # combines the network and simple methods; or one alone: network, ets, theta, ridge, ...
  members: 1                    # networks whose forecasts are averaged; 3 are better and take three times as long
{bound}"""


def init(data: Path) -> str:
    """YAML text that trains a forecaster on `data`.

    Raises:
        DataError: the file cannot be read as series.
    """
    return suggest(inspect(data))


def suggest(look: Look) -> str:
    """YAML text that trains a forecaster on the series that were looked at; it names what does not find itself."""
    frequency, season = look.panel.frequency, look.season
    span = span_of(frequency, season)
    return TEMPLATE.format(
        horizon=look.horizon,
        example=_example(frequency),
        season=season,
        found=f"{season:,} steps{f', a {span},' if span else ''} were found" if season > 1 else "none was found",
        path=quoted(look.source.path),
        columns="".join(f"  {line}\n" for line in [*_asked(look), *_hints(look)]),
        bound=_bound(look),
    )


def _asked(look: Look) -> list[str]:
    """What reading needed to be told, and the rule for values at the same time where there are any."""
    source = look.source
    lines = [f"{name}: {_value(given)}" for name in ASKED if (given := getattr(source, name)) not in (None, "auto")]
    if column := _series_column(look):
        lines.append(_line(f"id: {_value(column)}", "names the series, for most times stand there several times"))
    elif source.duplicates != "last" or any(finding.kind == "duplicates" for finding in look.findings):
        lines.append(
            _line(f"duplicates: {source.duplicates}", "error | last | mean | sum, of several values at one time")
        )
    if source.covariates:
        past = f"past: {_value(list(source.covariates))}"
        lines.append(_line(past, "known for the past alone; put those known ahead into known: [...]"))
    if source.statics:
        lines.append(f"static: {_value(list(source.statics))}")
    return lines


def _hints(look: Look) -> list[str]:
    """Comments about what could be said besides."""
    lines = []
    repeated = any(finding.kind == "duplicates" for finding in look.findings)
    if repeated and not look.source.id and not _series_column(look):
        lines.append(_line("# id: COLUMN", "that names the series, if there are several"))
    if len(look.panel) > 1 and set(look.panel.ids) <= _columns(look):
        first, *others = look.panel.ids
        lines.append(_line(f"# value: {_value(first)}", "to forecast this column alone"))
        past = f"# past: {_value(others[:10])}"
        lines.append(_line(past, "and to learn from the others; known: [...] for those known ahead"))
    if any(finding.kind == "dst" for finding in look.findings) and not look.source.timezone:
        lines.append(_line("# timezone: Europe/Berlin", "of the place, where clocks change"))
    if look.panel.frequency.unit != "integer":
        lines.append(_line("# calendar: true", "tell the network where in the day, the week and the year it is"))
        lines.append(_line("# holidays: US", "and the holidays of a country"))
    return lines


def _series_column(look: Look) -> str:
    """The column of text that surely tells several series apart: without it, most times stand there several times."""
    steps = int(look.panel.lengths.sum())
    return next((each.column for each in look.findings if each.column and 2 * each.rows >= steps), "")


def _columns(look: Look) -> set[str]:
    source = look.source
    return set(next(read_rows(Source(source.path, format=source.format, encoding=source.encoding))).values)


def _bound(look: Look) -> str:
    """Zero as the lower bound of what looks counted or measured from there; not of, say, temperatures."""
    values = look.panel.values[~np.isnan(look.panel.values)]
    low = measure(look.panel).low.min()
    if not len(values) or low < 0 or not (low == 0 or (values == np.round(values)).all()):
        return ""
    return f"  {_line('lower: 0', 'no value is negative, so no forecast should be')}\n"


def _line(setting: str, note: str) -> str:
    return f"{setting:<29} # {note}"


def _example(frequency: Frequency) -> str:
    """A span of time that makes sense as a horizon."""
    if frequency.unit == "integer":
        return ""
    for text in ("3d", "2w", "6 months", "2y"):
        try:
            if frequency.steps(text) > 1:
                return f", or a time such as {text}"
        except ConfigError:
            continue
    return ""


def _value(given: Any) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    return f"[{', '.join(map(quoted, given))}]" if isinstance(given, list) else quoted(given)
