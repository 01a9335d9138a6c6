"""Pictures of translations: where a decoder looked while it wrote, and how scores fare as sources grow longer."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from toolkit.data.text import one_line
from toolkit.evaluation.translation import LengthBin
from toolkit.report import COLOURS, DASHES, METRICS, SHADES, canvas, styled

MOST_DRAWN = 50  # pieces of a side; more would not be readable across a page
LONGEST_PIECE = 14


@styled
def attention_map(source: Sequence[str], target: Sequence[str], weights: np.ndarray) -> Figure:
    """How much each piece that was written owes to each that was read: the first 50 of either side.

    Args:
        source, target: the pieces as people read them.
        weights: (target, source), each row summing to 1.

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, figure 3
    """
    across, down = ([one_line(piece, LONGEST_PIECE) for piece in side[:MOST_DRAWN]] for side in (source, target))
    cell = 0.22 if max(len(across), len(down)) <= 30 else 0.155
    figure, axes = canvas(1.9 + cell * len(across), 1.5 + cell * len(down))
    image = axes.imshow(weights[: len(down), : len(across)], cmap=SHADES, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    size = {"fontsize": 8.5 if cell > 0.2 else 6.5}
    axes.set_xticks(range(len(across)), across, rotation=90, ha="left", va="center", rotation_mode="anchor", **size)
    axes.set_yticks(range(len(down)), down, **size)
    axes.set(xlabel="source", ylabel="translation")
    bar = figure.colorbar(image, shrink=min(1.0, 1.4 / (cell * len(down))), pad=0.02, ticks=(0, 0.5, 1))
    bar.set_label("attention weight")
    return figure


@styled
def length_curves(curves: Mapping[str, Sequence[LengthBin]], metric: Literal["bleu", "exact_match"]) -> Figure:
    """The score of each translator, this model's first, by the length of what it read; all of the same bins."""
    figure, axes = canvas(9.4, 3.4)
    looks = cycle(zip(COLOURS, DASHES, strict=True))
    for number, (bins, (colour, dashes)) in enumerate(zip(curves.values(), looks, strict=False)):
        scores = [getattr(each, metric) for each in bins]
        look = {"color": colour, "linestyle": dashes, "linewidth": 1.2 if number else 2, "clip_on": False}
        axes.plot(scores, marker="o", markersize=4, zorder=3 - number / 10, **look)
    bins = next(iter(curves.values()))
    axes.set_xticks(range(len(bins)), [f"{_range(each)}\n{each.rows:,} rows" for each in bins])
    unit = " (share of rows)" if metric == "exact_match" else ""
    axes.set(xlabel="pieces of the source", ylabel=f"{METRICS[metric].title}{unit}", xlim=(-0.3, len(bins) - 0.7))
    axes.set_ylim(bottom=0)
    # Told, for of itself Matplotlib leaves out a name that begins with an underscore, as a run's folder may.
    figure.legend(axes.lines, [one_line(name, 50) for name in curves], loc="outside upper left", ncols=2)
    return figure


def _range(each: LengthBin) -> str:
    return f"{each.low}" if each.low == each.high else f"{each.low}–{each.high}"
