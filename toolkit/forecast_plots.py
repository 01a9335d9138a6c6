"""Pictures of forecasts: beside the truth, by step of the horizon, and how far their intervals can be trusted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.data.text import one_line
from toolkit.report import BASELINE, COLOURS, DASHES, FAINT, INK, MODEL, canvas, styled
from toolkit.series_plots import MOST_POINTS, draw_line, time_axis, titles

MOST_PANELS = 12


@dataclass(frozen=True)
class Outlook:
    """One forecast to draw.

    Attributes:
        name: of the series.
        times: (time + horizon,) datetime64 or int64, of the history and of the forecast.
        history: (time,); NaN where missing.
        forecast: (horizon,).
        lower, upper: (horizon,), bounds of an interval, or None.
        truth: (horizon,), what came; None where it is not known.
        rival: (horizon,), another forecast, or None.
        note: what stands behind the name, such as its error.
    """

    name: str
    times: np.ndarray
    history: np.ndarray
    forecast: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    truth: np.ndarray | None = None
    rival: np.ndarray | None = None
    note: str = ""


@styled
def forecast_figure(
    outlooks: Sequence[Outlook],
    *,
    season: int = 1,
    time: str = "time",
    value: str = "value",
    interval: str = "80 % interval",
    rival: str = "baseline",
) -> Figure:
    """Up to 12 forecasts, each after the end of its history: four horizons of it, or three seasons if that is not much.

    Args:
        season: steps in a season.
        time, value: titles of the axes, with their units.
        interval, rival: what the legend calls the bounds and the other forecast.
    """
    shown = outlooks[:MOST_PANELS]
    columns = min(len(shown), 1 if len(shown) == 1 else 2 if len(shown) <= 4 else 3)
    rows = math.ceil(len(shown) / columns)
    figure, panels = canvas(9.4, 0.7 + (2.8 if rows == 1 else 1.9) * rows, nrows=rows, ncols=columns, squeeze=False)
    names = {"interval": interval, "rival": one_line(rival, 40)}
    for axes, outlook in zip(panels.flat, shown, strict=False):
        _draw_outlook(axes, outlook, season, names, MOST_POINTS // columns)
        title = ", ".join(filter(None, (one_line(outlook.name, 24 if columns == 3 else 40), outlook.note)))
        axes.set_title(title, loc="left", fontsize=9)
        time_axis(axes, outlook.times, most=(9, 6, 5)[columns - 1])
    titles(figure, panels, len(shown), time, value)
    found = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=len(found))
    return figure


def _draw_outlook(axes: Axes, outlook: Outlook, season: int, names: Mapping[str, str], most: int) -> None:
    horizon = len(outlook.forecast)
    kept = min(len(outlook.history), max(4 * horizon, min(3 * season, 12 * horizon), 20))
    past, ahead = np.split(outlook.times[len(outlook.times) - horizon - kept :], [kept])
    history = outlook.history[len(outlook.history) - kept :]
    dots: dict[str, Any] = {"marker": "o", "markersize": 3} if horizon <= 2 else {}
    draw_line(axes, past, history, most, color=INK, linewidth=1, label="history")
    if outlook.lower is not None and outlook.upper is not None:
        _draw_interval(axes, ahead, outlook.lower, outlook.upper, names["interval"])
    if outlook.rival is not None:
        axes.plot(ahead, outlook.rival, "-.", color=BASELINE, linewidth=1, label=names["rival"], **dots)
    axes.plot(ahead, outlook.forecast, color=MODEL, linewidth=1.8, label="forecast", **dots)
    if outlook.truth is not None:
        joined = np.append(past[-1:], ahead), np.append(history[-1:], outlook.truth)
        look: dict[str, Any] = {"color": INK, "linewidth": 1, "linestyle": (0, (3, 1.5)), "label": "truth"}
        axes.plot(*joined, **look, **dots, markevery=slice(1, None))


def _draw_interval(axes: Axes, times: np.ndarray, lower: np.ndarray, upper: np.ndarray, name: str) -> None:
    if len(times) == 1:  # an area needs two points
        axes.vlines(times, lower, upper, color=MODEL, alpha=0.3, linewidth=5, label=name)
    else:
        axes.fill_between(times, lower, upper, color=MODEL, alpha=0.22, linewidth=0, label=name)


@styled
def error_by_step_figure(errors: Mapping[str, np.ndarray], metric: str) -> Figure:
    """A metric by step of the horizon, each (horizon,), from step 1 on; this model's first, at most eight."""
    figure, axes = canvas(9.4, 3.2)
    for number, (name, error) in enumerate(list(errors.items())[: len(COLOURS)]):
        steps, dots = np.arange(1, len(error) + 1), "o" if len(error) <= 31 else None
        look = {"color": COLOURS[number], "linestyle": DASHES[number], "linewidth": 1.2 if number else 2}
        axes.plot(steps, error, **look, marker=dots, markersize=3, zorder=3 - number / 10, label=one_line(name, 30))
    longest = max(len(error) for error in errors.values())
    axes.set(xlabel="steps ahead", ylabel=metric, xlim=(0.5, longest + 0.5))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    figure.legend(loc="outside right upper")
    return figure


@styled
def coverage_figure(stated: np.ndarray, found: np.ndarray, by_step: np.ndarray) -> Figure:
    """How many values lie inside intervals of each stated level, (levels,) shares from 0 to 1; near the line is right.

    Args:
        by_step: share (horizon,) inside the widest interval at each step, drawn beside it.
    """
    figure, (axes, steps_axes) = canvas(9.4, 3.2, ncols=2)
    axes.plot((0, 100), (0, 100), "--", color=FAINT, linewidth=1, label="perfect")
    axes.plot(100 * stated, 100 * found, "o-", color=MODEL, markersize=4, label="this model")
    for level, share in zip(stated, found, strict=True):
        axes.annotate(f"{100 * share:.0f}", (100 * level, 100 * share), (5, -9), textcoords="offset points", fontsize=8)
    axes.set(xlabel="stated level of the interval (%)", ylabel="values inside (%)", xlim=(0, 100), ylim=(0, 102))
    level = float(stated.max())
    steps, dots = np.arange(1, len(by_step) + 1), "." if len(by_step) <= 31 else None
    steps_axes.axhline(100 * level, color=FAINT, linestyle="--", linewidth=1)
    steps_axes.plot(steps, 100 * by_step, color=MODEL, marker=dots)
    inside = f"values inside the {round(100 * level, 6):g} % interval (%)"
    steps_axes.set(xlabel="steps ahead", ylabel=inside, ylim=(0, 102))
    steps_axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@styled
def weights_figure(weights: np.ndarray, names: Sequence[str], blocks: Sequence[str]) -> Figure:
    """How much each of up to eight methods counts in each block of the horizon.

    Args:
        weights: (blocks, methods), each row summing to 1.
        names: of the methods, the network first, if there is one.
        blocks: what the blocks are called, such as "steps 1 to 24".
    """
    used = np.flatnonzero(weights.max(axis=0) >= 0.005).tolist()
    figure, axes = canvas(9.4, 0.7 + 0.2 * math.ceil(len(used) / 4) + 0.32 * len(blocks))
    start, places = np.zeros(len(blocks)), np.arange(len(blocks))
    for number in used:
        share, colour = 100 * weights[:, number], COLOURS[number]
        axes.barh(places, share, 0.72, left=start, color=colour, edgecolor="white", label=one_line(names[number], 30))
        for place, (width, left) in enumerate(zip(share, start, strict=True)):
            if width >= 5:
                tone = "black" if colour in COLOURS[3:6] or colour == COLOURS[7] else "white"
                axes.text(left + width / 2, place, f"{width:.0f}", ha="center", va="center", color=tone, fontsize=8)
        start += share
    axes.set_yticks(places, [one_line(block, 30) for block in blocks])
    axes.set(xlabel="weight in the forecast (%)", xlim=(0, 100), ylim=(len(blocks) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=4)
    return figure
