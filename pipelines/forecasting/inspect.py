"""A look at series before anything is trained: what is there, what is odd, and what would be done about it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.forecasting import facts
from toolkit.data.frequency import DAY, HOUR, WEEK, Frequency
from toolkit.data.panel import Finding, Panel
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.evaluation.diagnostics import choose_season, search_season

EXAMINED = 200  # series, evenly spread, that seasons, trends and outliers are looked for in


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        path: of the file.
        findings: oddities of the file, and the rules that were applied to them.
        examined: (series,) positions in the panel of the series that were looked at more closely.
        season: steps in the season that most of them have; 1 for none.
        horizon: steps that suggest themselves for a forecast.
        facts: name -> a sentence or a few, in reading order.
    """

    path: str
    panel: Panel
    findings: list[Finding]
    examined: np.ndarray
    season: int
    horizon: int
    facts: dict[str, str]


def inspect(path: Path) -> Look:
    """Read series and tell what they are like.

    Of several values at one time the last counts: here they are to be told, where a training would stop.

    Raises:
        DataError: the file cannot be read as series.
    """
    panel, findings = read_panel(SeriesSource(str(path), duplicates="last"))
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
    return Look(str(path), panel, findings, examined, season, horizon, found)


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
