"""Pictures of what a recurrent network looked at: its gates step by step, what moved its answer, and its vectors."""

from collections import Counter
from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.data.text import one_line
from toolkit.gates import Direction
from toolkit.report import BASELINE, COLOURS, DASHES, FAINT, INK, MODEL, SHADES, canvas, styled

MOST_LABELS = 50  # steps that are named across the page; of more, every second, third, ... is
LONGEST_LABEL = 16
MOST_MARKED = 3  # bars with a name of their own
MOST_GROUPS = 8  # that have a colour of their own
MOST_NAMED = 40  # points with names; more would lie upon one another


@styled
def gates_figure(direction: Direction, steps: Sequence[str]) -> Figure:
    """Each gate, units over steps; the means of the gates; and the length of the hidden state. Steps go across."""
    gates = direction.trace.gates
    heights = [1.5] * len(gates) + [1.2] * (len(gates) > 0) + [1.0]
    figure, panels = canvas(
        9.4, 0.9 + sum(heights), nrows=len(heights), sharex=True, height_ratios=heights, squeeze=False
    )
    rows = panels[:, 0]
    for axes, (name, gate) in zip(rows, gates.items(), strict=False):
        image = axes.imshow(gate.T, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axes.set(ylabel="unit")
        axes.set_title(f"{name} gate", loc="left", fontsize=9)
    if gates:
        bar = figure.colorbar(image, ax=list(rows[: len(gates)]), pad=0.01, aspect=30, ticks=(0, 0.5, 1))
        bar.set_label("closed (0) to open (1)")
        _draw_means(rows[-2], gates)
    norm = np.linalg.norm(direction.trace.hidden, axis=1)
    rows[-1].plot(norm, color=INK, marker=".", linewidth=1)
    rows[-1].set_title("length of the hidden state", loc="left", fontsize=9)
    rows[-1].set_ylim(bottom=0)
    _name_steps(rows[-1], steps)
    return figure


def _draw_means(axes: Axes, gates: dict[str, np.ndarray]) -> None:
    for (name, gate), colour, dashes in zip(gates.items(), COLOURS, DASHES, strict=False):
        axes.plot(gate.mean(axis=1), color=colour, linestyle=dashes, marker=".", linewidth=1.3, label=name)
    axes.set_title("mean over units", loc="left", fontsize=9)
    axes.set_ylim(0, 1)
    axes.legend(ncols=len(gates), loc="lower right", bbox_to_anchor=(1, 0.97), borderaxespad=0)


@styled
def saturation_figure(layers: Sequence[Direction]) -> Figure:
    """The share of each gate's values that are near 0, in between, and near 1."""
    rows = [(f"{each.name}, {name}", *shares) for each in layers for name, shares in each.saturation().items()]
    figure, axes = canvas(9.4, 0.9 + 0.3 * len(rows))
    places = np.arange(len(rows))
    closed, opened = (100 * np.array([row[at] for row in rows]) for at in (2, 3))
    for left, width, colour, label in (
        (np.zeros(len(rows)), closed, BASELINE, "below 0.1"),
        (closed, 100 - closed - opened, FAINT, "in between"),
        (100 - opened, opened, MODEL, "above 0.9"),
    ):
        axes.barh(places, width, 0.7, left=left, color=colour, alpha=0.35 if colour == FAINT else 0.9, label=label)
    axes.set_yticks(places, [row[0] for row in rows])
    axes.set(xlabel="share of steps and units (%)", xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@styled
def effects_figure(
    parts: Sequence[str], effects: np.ndarray, effect: str, attention: np.ndarray | None = None
) -> Figure:
    """How far hiding each part moves the answer, above the attention (parts,) to each, if given; parts go across."""
    figure, panels = canvas(
        9.4, 3.0 if attention is None else 4.2, nrows=1 if attention is None else 2, sharex=True, squeeze=False
    )
    rows = panels[:, 0]
    colours = np.where(effects >= 0, MODEL, BASELINE)
    rows[0].bar(range(len(effects)), effects, 0.8, color=colours)
    rows[0].axhline(0, color=INK, linewidth=0.6)
    if len(parts) > MOST_LABELS:  # those that matter most may stand between two names
        for place in np.argsort(-np.abs(effects), kind="stable")[:MOST_MARKED]:
            mark = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
            rows[0].annotate(one_line(parts[place], LONGEST_LABEL), (place, max(effects[place], 0)), (0, 2), **mark)
    rows[0].set_title(one_line(effect, 90), loc="left", fontsize=9)
    if attention is not None:
        rows[1].bar(range(len(attention)), attention, 0.8, color=MODEL, alpha=0.6)
        rows[1].set_title("attention weight", loc="left", fontsize=9)
    _name_steps(rows[-1], parts)
    return figure


@styled
def map_figure(points: np.ndarray, names: Sequence[str], groups: Sequence[str], share: float) -> Figure:
    """Vectors as points of the plane, coloured by group; few enough are named.

    Args:
        share: of their variance that the plane shows.

    Shapes: points (rows, 2)
    """
    figure, axes = canvas(9.4, 6.5)
    largest = [group for group, _ in Counter(groups).most_common(MOST_GROUPS)]
    shown = np.array([group if group in largest else "others" for group in groups])
    looks = zip([*largest, "others"], [*COLOURS, INK], cycle("os^Dv"), strict=False)
    dots, labels = [], []
    for group, colour, marker in looks:
        if group in shown:
            dots.append(axes.scatter(*points[shown == group].T, 18, colour, marker=marker, alpha=0.7, linewidths=0))
            labels.append(one_line(group, 24))
    for name, point in zip(names, points, strict=True) if len(names) <= MOST_NAMED else ():
        axes.annotate(one_line(name, 28), point, (3, 3), textcoords="offset points", fontsize=7)
    axes.set(xlabel="first principal component", ylabel=f"second; both show {100 * share:.0f} % of the variance")
    if any(groups):
        # Told, for of itself Matplotlib leaves out a name that begins with an underscore.
        figure.legend(dots, labels, loc="outside upper left", ncols=4)
    return figure


def _name_steps(axes: Axes, steps: Sequence[str]) -> None:
    """Names below an axis on which the steps are 0, 1, ..."""
    every = -(-len(steps) // MOST_LABELS)
    places = range(0, len(steps), every)
    names = [one_line(steps[place], LONGEST_LABEL) for place in places]
    size = 8.5 if len(names) <= 30 else 6.5
    axes.set_xticks(places, names, rotation=90, fontsize=size)
    axes.set_xlim(-0.5, len(steps) - 0.5)
