"""A first config, fitted to some series."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.forecasting.facts import YEARS, measure, mostly_sparse, span_of, years_of
from pipelines.forecasting.inspect import Look, inspect, meant, series_of
from toolkit.config import quoted
from toolkit.data.frequency import Frequency
from toolkit.errors import ConfigError

LONG = 1.5  # times the years of training that the calendar takes, the rest of the table being held back
TEMPLATE = """\
# seqloom check my.yaml tells what this would do; seqloom run my.yaml does it.
pipeline: forecasting
horizon: {horizon:<22}# steps to forecast{example}
season: {season:<23}# {found}; {other}

data:
  path: {path}
{columns}
model:
  kind: auto                    # combines the network and simple methods; or one alone: network, ets, theta, ridge, ...
  members: 1                    # networks whose forecasts are averaged; 3 are better and take three times as long
{values}"""


def init(data: Path) -> str:
    """YAML text that trains a forecaster on `data`.

    Raises:
        DataError: the file cannot be read as series.
    """
    return suggest(inspect(data))


def suggest(look: Look) -> str:
    """YAML text that trains a forecaster on the series that were looked at; it names what does not find itself."""
    frequency, season = look.panel.frequency, look.season
    span, several = span_of(frequency, season), series_of(look.findings)
    return TEMPLATE.format(
        horizon=look.horizon,
        example=_example(frequency),
        season="auto" if several else season,
        found=f"{season:,} steps{f', a {span},' if span else ''} were found" if season > 1 else "none was found",
        other="one column alone may have another" if several else "auto looks anew, 1 is none",
        path=quoted(look.source.path),
        columns="".join(f"  {line}\n" for line in _hints(look)),
        values="".join(f"  {line}\n" for line in _of_values(look)),
    )


def _hints(look: Look) -> list[str]:
    """What a training needs to be told, and comments about what could be said besides."""
    lines, kinds = _of_columns(look), {finding.kind for finding in look.findings}
    if "dst" in kinds:
        lines.append(_line("# timezone: Europe/Berlin", "of the place, where clocks change"))
    if look.panel.frequency.unit != "integer":
        # Longer steps than days have the year in their season, or too few windows to learn a calendar from.
        fine = "weekday" in look.panel.frequency.cycles
        long = fine and years_of(look.panel, look.panel.lengths) >= LONG * YEARS
        told = "tell the network where in the day, the week and, in long tables, the year it is"
        lines.append(_line("calendar: true" if long else "# calendar: true", told))
        lines.append(_line("# holidays: US", "and the holidays of a country"))
    return lines


def _of_columns(look: Look) -> list[str]:
    """What names the series, what holds their values, and what becomes of several values at one time."""
    lines, names, others = list[str](), look.source.id_columns, list(look.others)
    if names:
        written = quoted(names[0]) if len(names) == 1 else _list(names)
        verb = "names" if len(names) == 1 else "together name"
        lines.append(_line(f"id: {written}", f"{verb} the series, for most times stand there several times"))
    if any(finding.kind == "duplicates" for finding in look.findings):
        lines.append(_line("duplicates: last", "error | last | mean | sum, of several values at one time"))
        if not names:
            lines.append(_line("# id: COLUMN", "that names the series, if there are several"))
    if columns := series_of(look.findings):
        value = meant(columns) or columns[0]
        others = [name for name in columns if name != value]
        lines.append(_line(f"# value: {quoted(value)}", "to forecast this column alone"))
    elif look.source.value:
        lines.append(_line(f"value: {quoted(look.source.value)}", "the column to forecast"))
    if others:
        past = f"# past: {_list(others[:10])}"
        lines.append(_line(past, "and to learn from the others; known: [...] for those known ahead"))
    return lines


def _of_values(look: Look) -> list[str]:
    """Zero as the lower bound of what looks counted or measured from there; not of, say, temperatures. Means of what
    is mostly 0."""
    values, sizes, lines = look.panel.values[~np.isnan(look.panel.values)], measure(look.panel), []
    if len(values) and (low := sizes.low.min()) >= 0 and (low == 0 or (values == np.round(values)).all()):
        lines.append(_line("lower: 0", "no value is negative, so no forecast should be"))
    if mostly_sparse(sizes):
        lines.append(_line("point: mean", "not the median, for most values are 0, and so is their median"))
    return lines


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, names))}]"


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
