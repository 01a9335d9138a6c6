"""The page that shows what was found out about series: their histories, their season, their memory."""

import math

import numpy as np
from matplotlib.figure import Figure

from pipelines.forecasting.facts import count, evenly, span_of
from pipelines.forecasting.inspect import Look
from toolkit.data.frequency import DAY, HOUR, MINUTE, WEEK, Frequency
from toolkit.data.panel import Panel
from toolkit.evaluation.diagnostics import autocorrelation, decompose, phase_means
from toolkit.report import Picture, Section, Table, picture, render_report
from toolkit.series_plots import History, autocorrelation_figure, history_figure, season_figure

MOST_HISTORIES = 6
FROM = {"hour": "the full hour", "day": "midnight", "week": "Monday", "year": "January"}


def render(look: Look) -> str:
    """The page as HTML."""
    panel, title = look.panel, look.panel.frequency.title
    season = f"a season of {count(look.season, 'step')}" if look.season > 1 else "no season"
    sections = [
        Section("What was found", [Table(("", ""), list(look.facts.items()))]),
        Section("History", [_histories(look)]),
    ]
    if len(look.examined):
        sections.append(_memory(look))
    return render_report(
        title="Series",
        subtitle=look.source.path,
        verdict=f"{count(len(panel), 'series')}, {title}, with {season}.",
        sections=sections,
    )


def times_of(panel: Panel, k: int) -> np.ndarray:
    """Times (time,) of the history of a series, in its time zone where it has one."""
    return panel.frequency.clock_times(panel.starts[k] + np.arange(panel.lengths[k]))


def _histories(look: Look) -> Picture:
    panel = look.panel
    rows = evenly(np.arange(len(panel)), MOST_HISTORIES)
    shown = [History(panel.ids[k], times_of(panel, k), panel.history(k)) for k in rows.tolist()]
    figure = history_figure(shown, f"time ({panel.frequency.title})", _value_name(look))
    caption = f"{len(rows)} of {len(panel):,} series." if len(rows) < len(panel) else ""
    return picture(figure, "Values over time", caption)


def _memory(look: Look) -> Section:
    """The season and the autocorrelation of one series, the longest of those examined."""
    panel, season = look.panel, look.season
    k = int(look.examined[np.argmax(panel.lengths[look.examined])])
    values = panel.history(k)
    name = f" of {panel.ids[k]}" if len(panel) > 1 else ""
    lags = max(1, min(len(values) - 1, 3 * season if season > 1 else 40))
    known = int(np.count_nonzero(~np.isnan(values)))
    memory = autocorrelation_figure(autocorrelation(values, lags), known, season)
    blocks = [picture(memory, f"Autocorrelation{name}", f"How alike values{name} are to those so many steps before.")]
    if season > 1:
        caption = f"The mean season{name}, relative to the moving mean over a season."
        blocks.insert(0, picture(_season_figure(look, k), f"Mean season{name}", caption))
    return Section("Season and memory", blocks)


def _season_figure(look: Look, k: int) -> Figure:
    values, season, frequency = look.panel.history(k), look.season, look.panel.frequency
    span = span_of(frequency, season)
    begin = _begin(times_of(look.panel, k)[: season + 1], span) % season
    rest = values - decompose(values, season).trend
    rest = np.concatenate([np.full((-begin) % season, np.nan), rest])
    rest = np.append(rest, np.full(-len(rest) % season, np.nan))
    low, high = _quantiles(rest.reshape(-1, season))
    name = f"{_value_name(look)[:20]} less its moving mean"
    return season_figure(phase_means(rest, season), low, high, _step_title(frequency, span), name)


def _quantiles(seasons: np.ndarray) -> np.ndarray:
    """Bounds (2, season) of the middle 80 % of every column; NaN where it has no value."""
    columns = (column[~np.isnan(column)] for column in seasons.T)
    return np.array([np.quantile(each, (0.1, 0.9)) if len(each) else (math.nan,) * 2 for each in columns]).T


def _begin(times: np.ndarray, span: str) -> int:
    """The first position at which a new day, week or year begins; 0 where the season is none of these."""
    match span:
        case "hour" | "day" | "year":
            cycle = times.astype({"hour": "datetime64[h]", "day": "datetime64[D]", "year": "datetime64[Y]"}[span])
        case "week":
            cycle = (times.astype("datetime64[D]").astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday
        case _:
            return 0
    changes = np.flatnonzero(cycle[1:] != cycle[:-1])
    return int(changes[0]) + 1 if len(changes) else 0


def _step_title(frequency: Frequency, span: str) -> str:
    seconds = {MINUTE: "minute", HOUR: "hour", DAY: "day", WEEK: "week"}
    words = {"second": seconds, "month": {1: "month", 3: "quarter"}, "business_day": {1: "business day"}, "integer": {}}
    unit = words[frequency.unit].get(frequency.step, "step")
    return f"{unit} of the {span}, from {FROM[span]} on" if span else "step of the season"


def _value_name(look: Look) -> str:
    return look.panel.ids[0] if len(look.panel) == 1 else "value"
