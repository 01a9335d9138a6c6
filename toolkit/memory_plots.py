"""Pictures of what recurrent networks remember: gradients by distance, quality by length, and how cells compare."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from toolkit.report import COLOURS, DASHES, INK, MODEL, canvas, styled


@styled
def gradients_figure(curves: Mapping[tuple[str, int], np.ndarray]) -> Figure:
    """Norms by distance from the end, a panel for the start and one for each later step of training.

    Args:
        curves: (steps,), by the network's name and its training steps; a name that ends in ", residual" has the colour
            of the name without it, and dashes.
    """
    stages = sorted({step for _, step in curves})
    figure, panels = canvas(9.4, 3.6, ncols=len(stages), sharey=True, squeeze=False)
    plain = list(dict.fromkeys(name.removesuffix(", residual") for name, _ in curves))
    for axes, step in zip(panels[0], stages, strict=True):
        for (name, at), norms in curves.items():
            if at != step:
                continue
            base = name.removesuffix(", residual")
            look = {"color": COLOURS[plain.index(base)], "linestyle": "-" if base == name else "--"}
            axes.plot(norms, label=name, **look)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_title("before training" if not step else f"after {step:,} training steps", loc="left", fontsize=9)
        axes.set_xlabel("steps back from the end of the sequence")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    panels[0, 0].set_ylabel("norm of the gradient")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(plain))
    return figure


@styled
def memory_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], across: str, up: str, *, logarithmic: bool
) -> Figure:
    """The mean quality of some networks over what stands across, within bands from the worst to the best.

    Args:
        curves: places (n,) and quality (networks, n), by name.
        logarithmic: the axis across.
    """
    figure, axes = canvas(9.4, 3.6)
    looks = zip(cycle(COLOURS), cycle(DASHES), strict=False)
    for (name, (places, quality)), (colour, dashes) in zip(curves.items(), looks, strict=False):
        axes.plot(places, quality.mean(axis=0), color=colour, linestyle=dashes, marker=".", label=name, clip_on=False)
        axes.fill_between(places, quality.min(axis=0), quality.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel=across, ylabel=up)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper left", ncols=4)
    return figure


@styled
def ladder_figure(scores: Mapping[str, Sequence[float]], title: str) -> Figure:
    """A row a rung, the first at the top: the score of each seed, and a line at their mean."""
    figure, axes = canvas(9.4, 0.9 + 0.36 * len(scores))
    for place, values in enumerate(scores.values()):
        axes.plot(values, [place] * len(values), "o", color=MODEL, alpha=0.55, markersize=6, markeredgewidth=0)
        axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set(xlabel=title, ylim=(len(scores) - 0.5, -0.5))
    return figure
