"""What the report of a text classifier shows: labels, mistakes, and whether its probabilities can be trusted."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toolkit.data.text import one_line
from toolkit.evaluation.classification import LabelScores, Reliability, confused_pairs
from toolkit.report import BASELINE, COLOURS, DASHES, FAINT, INK, MODEL, Picture, Table, canvas, picture, styled

MOST_LABELS = 30  # in a picture


def label_table(labels: Sequence[str], scores: LabelScores) -> Table:
    """Precision, recall, F1 and rows of every label; those that no row has or was given are not in macro F1."""
    rows, counted = scores.support.tolist(), scores.counted.tolist()
    parts = (scores.precision.tolist(), scores.recall.tolist(), scores.f1.tolist())
    columns = ([score if n else None for score, n in zip(part, counted, strict=True)] for part in parts)
    return Table(("label", "precision", "recall", "F1", "rows"), list(zip(labels, *columns, rows, strict=True)))


def confusion(matrix: np.ndarray, labels: Sequence[str]) -> Picture | Table:
    """Which labels are taken for which: a picture, or for more than 30 labels a table of the worst 20 pairs.

    Args:
        matrix: rows by (true, predicted), shape (labels, labels).
    """
    if len(labels) <= MOST_LABELS:
        caption = "Of the rows of each true label, the share (%) that was given each label."
        return picture(_confusion_figure(matrix, labels), "Confusion matrix", caption)
    pairs = confused_pairs(matrix, limit=20)
    rows = [(labels[true], labels[given], count, count / int(matrix[true].sum())) for true, given, count in pairs]
    return Table(("true label", "taken for", "rows", "share of the true label"), rows, "The most frequent mistakes.")


@styled
def _confusion_figure(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.0 + max(0.24, 0.48 - 0.015 * len(labels)) * len(labels)
    figure, axes = canvas(side + 0.4, side)
    colours = np.zeros((*share.shape, 4))
    colours[..., :3], colours[..., 3] = to_rgb(MODEL), share  # transparent where there is nothing
    axes.imshow(colours)
    axes.grid(visible=False)
    size = 8.5 if len(labels) <= 12 else 6.5
    for true, given in np.argwhere(share >= 0.005):
        colour = "white" if share[true, given] > 0.65 else INK
        text = f"{100 * share[true, given]:.0f}"
        axes.text(given, true, text, ha="center", va="center", color=colour, fontsize=size)
    names = [one_line(label, 24) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="given label", ylabel="true label")
    return figure


@styled
def reliability_diagram(bins: Reliability) -> Figure:
    """How often answers of each stated probability come true, above how many there are of them."""
    figure, (upper, lower) = canvas(4.5, 4.2, nrows=2, sharex=True, height_ratios=(3, 1))
    width = 1 / len(bins.rows)
    middles, filled = (np.arange(len(bins.rows)) + 0.5) * width, bins.rows > 0
    upper.plot((0, 1), (0, 1), "--", color=FAINT, linewidth=1, label="perfect")
    upper.bar(middles[filled], bins.accuracy[filled], 0.9 * width, color=MODEL, alpha=0.35)
    points = bins.confidence[filled], bins.accuracy[filled]
    upper.plot(*points, "o-", color=MODEL, markersize=4, label=f"ECE {bins.ece:.3f}")
    upper.set(ylabel="came true (share)", xlim=(0, 1), ylim=(0, 1.02))
    lower.bar(middles, bins.rows, 0.9 * width, color=MODEL, alpha=0.6)
    lower.set(xlabel="stated probability", ylabel="answers")
    figure.legend(loc="outside upper left")
    return figure


@styled
def risk_coverage_plot(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Mistakes among the surest answers, by how many are answered; coverage and risk by name, this model's first."""
    figure, axes = canvas(4.5, 4.2)
    for (name, (coverage, risk)), colour, dashes in zip(curves.items(), COLOURS, DASHES, strict=False):
        # From 2 % on: before, one row more or less makes the curve jump.
        points = np.unique(np.linspace(0.02 * len(risk), len(risk) - 1, 200).astype(int))
        axes.plot(100 * coverage[points], 100 * risk[points], linestyle=dashes, color=colour, label=one_line(name, 40))
    axes.set(xlabel="rows answered, surest first (%)", ylabel="mistakes among them (%)", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper left")
    return figure


@styled
def f1_bars(labels: Sequence[str], f1: np.ndarray, rival: np.ndarray, rival_name: str) -> Figure:
    """F1 of each label, best first, beside a baseline's; of more than 30 labels the best and the worst."""
    order = np.argsort(-f1, kind="stable")
    best = MOST_LABELS // 3
    shown = order if len(order) <= MOST_LABELS else np.concatenate([order[:best], order[-2 * best :]])
    figure, axes = canvas(9.4, 1.0 + 0.22 * len(shown))
    places = np.arange(len(shown)) + (np.arange(len(shown)) >= best) * (len(order) > MOST_LABELS)
    axes.barh(places, f1[shown], 0.7, color=MODEL, alpha=0.8, label="this model")
    axes.plot(rival[shown], places, "D", color=BASELINE, markersize=5, label=one_line(rival_name, 40))
    axes.set_yticks(places, [one_line(labels[label], 32) for label in shown])
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set(xlabel="F1", xlim=(0, 1.01))
    figure.legend(loc="outside upper left", ncols=2)
    return figure
