"""Pictures of series: their history, their season, their autocorrelation."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import HOURLY, MINUTELY, MONTHLY, SECONDLY, AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.data.text import one_line
from toolkit.report import BASELINE, FAINT, INK, MODEL, canvas, styled

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)  # that Matplotlib draws; margins would go beyond
MOST_POINTS = 600  # of a line across the page; more are hardly told apart, and make the page large


class History(NamedTuple):
    """A series to draw: times (time,) datetime64 or int64, values (time,) with NaN where missing."""

    name: str
    times: np.ndarray
    values: np.ndarray


@styled
def history_figure(series: Sequence[History], time: str = "time", value: str = "value") -> Figure:
    """Each series in a panel of its own, with its values on one axis and times on the other; its gaps stay open.

    Args:
        time: title of the time axis, such as "time (hourly)".
        value: title of the other axis.
    """
    columns = 1 if len(series) < 3 else 2
    rows = math.ceil(len(series) / columns)
    figure, panels = canvas(9.4, 0.4 + (2.6 if rows == 1 else 1.9) * rows, nrows=rows, ncols=columns, squeeze=False)
    for axes, each in zip(panels.flat, series, strict=False):
        width = 0.8 if len(each.values) <= MOST_POINTS else 0.5
        draw_line(axes, each.times, each.values, MOST_POINTS // columns, color=INK, linewidth=width)
        axes.set_title(one_line(each.name, 40), loc="left", fontsize=9)
        time_axis(axes, each.times, most=8 if columns == 1 else 5)
    titles(figure, panels, len(series), time, value)
    return figure


@styled
def season_figure(mean: np.ndarray, low: np.ndarray, high: np.ndarray, step: str, value: str) -> Figure:
    """The mean course of a season and the range of most values, each (season,), by the step of the season from 1 on.

    Args:
        low, high: bounds of the middle 80 % of the values at each step.
        step: title of the horizontal axis, with what is counted from where.
    """
    figure, axes = canvas(4.6, 3.0)
    steps = np.arange(1, len(mean) + 1)
    axes.fill_between(steps, low, high, color=MODEL, alpha=0.2, linewidth=0, label="middle 80 % of the values")
    axes.plot(steps, mean, color=MODEL, linewidth=1.6, marker="." if len(mean) <= 31 else None, label="mean")
    axes.set(xlabel=step, ylabel=one_line(value, 40), xlim=(0.5, len(mean) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@styled
def autocorrelation_figure(r: np.ndarray, values: int, season: int) -> Figure:
    """Autocorrelation r (lags + 1,) from lag 1 on, with what 95 % of noise stays within, and the season's lags marked.

    Args:
        values: how many known values it comes from.
    """
    figure, axes = canvas(4.6, 3.0)
    lags = np.arange(1, len(r))
    bound = 1.96 / math.sqrt(max(values, 1))
    axes.axhspan(-bound, bound, color=FAINT, alpha=0.25, linewidth=0, label="95 % of noise")
    if len(lags) <= 80:
        axes.vlines(lags, 0, r[1:], color=INK, linewidth=1.2)
    else:
        axes.plot(lags, r[1:], color=INK, linewidth=0.8)
    if season > 1 and season < len(r):
        whole = lags[lags % season == 0]
        axes.plot(whole, r[whole], "o", color=BASELINE, markersize=4, label=f"whole seasons of {season:,} steps")
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set(
        xlabel="lag (steps)", ylabel="autocorrelation", xlim=(0, 1.02 * len(r)), ylim=(min(-0.3, r.min() - 0.05), 1.05)
    )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def draw_line(axes: Axes, times: np.ndarray, values: np.ndarray, most: int, **look: object) -> None:
    """A line through the known values, open at gaps; a known value between two gaps is a dot.

    Of more than `most` values, it goes through the least and the greatest of every few.
    """
    times, values = _thinned(times, values, most)
    (line,) = axes.plot(times, values, **look)  # type: ignore[arg-type]
    missing = np.concatenate([[True], np.isnan(values), [True]])
    alone = ~missing[1:-1] & missing[:-2] & missing[2:]
    axes.plot(times[alone], values[alone], ".", color=line.get_color(), markersize=2.5)


def time_axis(axes: Axes, times: np.ndarray, most: int) -> None:
    """Few and short labels: dates with the year or day that they share at the end, or whole numbers."""
    if not np.issubdtype(times.dtype, np.datetime64):
        axes.xaxis.set_major_locator(MaxNLocator(most, integer=True))
        return
    axes.set_xlim(*np.clip(axes.get_xlim(), *date2num([FIRST, LAST])))
    locator = AutoDateLocator(minticks=3, maxticks=most)
    for unit, whole in ((SECONDLY, 60), (MINUTELY, 60), (HOURLY, 24), (MONTHLY, 12)):
        locator.intervald[unit].append(whole)  # between two of one unit and three of the next it would find none
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(8)


def titles(figure: Figure, panels: np.ndarray, used: int, time: str, value: str) -> None:
    """Titles of both axes along the edges of a grid of panels, and no frames around panels that are not used."""
    time, value = one_line(time, 60), one_line(value, 40)
    for axes in panels.flat[used:]:
        axes.set_axis_off()
    if panels.size == 1:
        panels.flat[0].set(xlabel=time, ylabel=value)
        return
    figure.supxlabel(time, fontsize=9)
    figure.supylabel(value, fontsize=9)


def _thinned(times: np.ndarray, values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest of every few values, in their order, so that no peak is lost; NaN only as a whole."""
    size = math.ceil(2 * len(values) / most)
    if size <= 2:
        return times, values
    whole = np.append(values, np.full(-len(values) % size, np.nan)).reshape(-1, size)
    empty = np.isnan(whole).all(axis=1)
    low = np.where(np.isnan(whole), np.inf, whole).argmin(axis=1)
    high = np.where(np.isnan(whole), -np.inf, whole).argmax(axis=1)
    first = np.arange(len(whole)) * size
    low, high = np.where(empty, 0, low), np.where(empty, min(1, size - 1), high)
    kept = np.unique(np.concatenate([first + low, first + high]))
    kept = kept[kept < len(values)]
    return times[kept], values[kept]
