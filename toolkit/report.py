"""One self-contained HTML page a run: which won, the numbers beside the baselines, pictures."""

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, ClassVar

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toolkit.data.text import one_line
from toolkit.evaluation.classification import LabelScores, Reliability, confused_pairs

Cell = str | int | float | None

# Colours of Okabe & Ito, which colour-blind readers tell apart. On the page, ink and model follow the dark mode.
INK, MODEL, BASELINE, OTHER, FAINT = "#010203", "#0072b2", "#d55e00", "#009e73", "#8a93a3"
THEME = {INK: "currentColor", MODEL: "var(--model)"}
LINES = ((MODEL, "-"), (BASELINE, "--"), (OTHER, ":"), (FAINT, "-."))
FONT = "DejaVu Sans"  # ships with Matplotlib; the page puts its own, narrower one in the same places
LARGEST_SVG = 150_000  # characters; a PNG is smaller from about here on

# Decorates every function that draws: one look, and no trace of it in Matplotlib's settings afterwards.
styled = matplotlib.rc_context(
    {
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": FONT,
        "font.size": 9,
        "legend.frameon": False,
        "svg.fonttype": "none",  # letters stay text: small, and found by a search in the page
        "text.color": INK,
        "text.parse_math": False,  # names come from data and may hold a $
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and compared; the best score is the one nearest to `goal`."""

    title: str
    meaning: str = ""
    goal: float = math.inf

    def cost(self, score: float) -> float:
        return -score if math.isinf(self.goal) else abs(score - self.goal)


METRICS = {
    "accuracy": Metric("accuracy", "share of rows answered rightly"),
    "macro_f1": Metric("macro F1", "harmonic mean of precision and recall, every label counting the same"),
    "micro_f1": Metric("micro F1", "harmonic mean of precision and recall, every assigned label counting the same"),
    "exact_match": Metric("exact match", "share of rows where the whole answer is right"),
    "in_scope_accuracy": Metric("in-scope accuracy", "accuracy on rows that do have a label"),
    "oos_recall": Metric("out-of-scope recall", "share of rows without a label that were given none"),
    "oos_precision": Metric("out-of-scope precision", "share of rows that were given no label which indeed have none"),
    "ece": Metric("ECE", "how far stated probabilities are from what comes true, on average; 0 is best", 0),
    "ece_given": Metric("ECE of given labels", "the same, of the labels that were given alone", 0),
    "nll": Metric("NLL", "surprise at the true label, in nats; 0 is best", 0),
    "among_given": Metric("label among those given", "share of rows where one of the labels that were given is right"),
    "labels_given": Metric("labels given", "labels to a row that was given any, on average", 1),
    "aurc": Metric("AURC", "mistakes left when only the surest rows are answered, on average; 0 is best", 0),
    "mse": Metric("MSE", "mean squared error", 0),
    "mae": Metric("MAE", "mean absolute error", 0),
    "mase": Metric("MASE", "absolute error over that of the seasonal naive forecast in training; below 1 is better", 0),
    "smape": Metric("sMAPE", "absolute error over the mean size of truth and forecast", 0),
    "rmsse": Metric("RMSSE", "like MASE, of squared errors", 0),
    "owa": Metric("OWA", "mean of MASE and sMAPE over those of Naive2; below 1 is better", 0),
    "wql": Metric("WQL", "weighted quantile loss of the whole forecast distribution", 0),
    "coverage_80": Metric("80 % coverage", "share of values inside the 80 % interval; 0.8 is best", 0.8),
    "width_80": Metric("80 % width", "mean width of the 80 % interval, in the units of the data", 0),
    "bleu": Metric("BLEU", "n-grams shared with the reference, 0 to 100"),
    "chrf": Metric("chrF", "character n-grams shared with the reference, 0 to 100"),
    "execution_accuracy": Metric("execution accuracy", "share of queries that give the right result"),
    "token_accuracy": Metric("token accuracy", "share of tokens that are right, given the right ones before"),
}


@dataclass(frozen=True)
class Paragraph:
    kind: ClassVar = "paragraph"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers stand right, long texts are cut, `best` holds the (row, column) in bold."""

    kind: ClassVar = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    best: frozenset[tuple[int, int]] = frozenset()

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold no text."""
        return tuple(not any(isinstance(row[at], str) for row in self.rows) for at in range(len(self.columns)))

    def style(self, row: int, column: int) -> str | None:
        """CSS classes of a cell, None for none."""
        classes = "number" * self.numeric[column], "best" * ((row, column) in self.best)
        return " ".join(filter(None, classes)) or None


@dataclass(frozen=True)
class Picture:
    """A drawing with a caption, and with words (`alt`) for those who cannot see it."""

    kind: ClassVar = "picture"
    drawing: Markup
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Paragraph | Table | Picture]


def render_report(*, title: str, verdict: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """The page. Every text in it is escaped, whatever data it comes from."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["cell"] = _show
    template = environment.from_string(files("toolkit").joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(title=title, verdict=verdict, sections=sections, subtitle=subtitle)
    return page.encode("utf-8", "replace").decode()  # a lone surrogate could not be written to a file


def verdict(
    metric: str,
    score: float,
    baselines: Mapping[str, float],
    interval: Callable[[str], tuple[float, float]] | None = None,
) -> str:
    """One sentence: which won, by how much, and which to use when it was not the model.

    Args:
        interval: where the difference to a baseline may lie with other test rows; nobody wins where that may be 0.
    """
    shown = METRICS[metric]
    if not baselines:
        return f"This model has {shown.title} {_show(score)}; there is no baseline to compare it with."
    name = min(baselines, key=lambda each: shown.cost(baselines[each]))
    rival = baselines[name]
    model_text, rival_text = _show(score), _show(rival)
    if model_text == rival_text:
        return f"This model and {name} tie: {shown.title} {model_text} for both; {name} is simpler, so use that."
    low, high = interval(name) if interval else (math.nan, math.nan)
    if low <= 0 <= high:
        return (
            f"No clear winner: {shown.title} {model_text} against {rival_text} for {name}, the best baseline; with"
            f" other test rows the difference may be anything from {low:+.3f} to {high:+.3f}. {name} is simpler."
        )
    if shown.cost(score) < shown.cost(rival):
        return f"This model wins: {shown.title} {model_text} against {rival_text} for {name}, the best baseline."
    return (
        f"{name} wins: {shown.title} {rival_text} against {model_text} for this model; use it instead, "
        "or train the model on more data."
    )


def metrics_table(test: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> Table:
    """Every metric of the model beside the baselines, the best of each row in bold unless all are equal."""
    rows, best = [], set()
    for line, name in enumerate(test):
        shown = METRICS[name]
        scores = [test[name], *(each.get(name) for each in baselines.values())]
        leader = _show(min((score for score in scores if score is not None), key=shown.cost))
        leading = {(line, column) for column, score in enumerate(scores, start=1) if _show(score) == leader}
        best |= leading if len(leading) < len(scores) else set()
        rows.append((shown.title, *scores, shown.meaning))
    return Table(("", "this model", *baselines, ""), rows, best=frozenset(best))


def label_table(labels: Sequence[str], scores: LabelScores) -> Table:
    """Precision, recall, F1 and rows of every label; those that no row has or was given are not in macro F1."""
    rows, counted = scores.support.tolist(), (scores.support + scores.predicted > 0).tolist()
    parts = (scores.precision.tolist(), scores.recall.tolist(), scores.f1.tolist())
    columns = ([score if n else None for score, n in zip(part, counted, strict=True)] for part in parts)
    return Table(("label", "precision", "recall", "F1", "rows"), list(zip(labels, *columns, rows, strict=True)))


@styled
def picture(figure: Figure, alt: str, caption: str = "") -> Picture:
    """A figure as inline SVG that takes on the font and colours of the page, or as PNG where that is smaller."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that FONT lacks; the reader's own font has it
        drawing = _svg(figure, alt)
        if len(drawing) > LARGEST_SVG:
            drawing = min(drawing, _png(figure), key=len)
        return Picture(drawing, alt, caption)


def _svg(figure: Figure, salt: str) -> Markup:
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": ascii(salt)}):  # the same picture is the same bytes, two share no id
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    svg = re.sub("<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub('<g id="[^"]*"', "<g", svg)
    for theirs, ours in {f"font-family: '{FONT}'; ": "", **THEME}.items():
        svg = svg.replace(theirs, ours)
    return Markup(svg)  # Matplotlib has escaped the texts in it


def _png(figure: Figure) -> Markup:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=144, facecolor="white")
    data = base64.b64encode(stream.getvalue()).decode()
    return Markup('<img width="{}" alt="" src="data:image/png;base64,{}">').format(
        round(96 * figure.get_figwidth()), data
    )


@styled
def canvas(width: float, height: float, **panels: Any) -> tuple[Figure, Any]:
    """An empty figure in inches, 9.6 of which fill the page, and its axes as `Figure.subplots(**panels)` gives them."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(**panels)
    for each in figure.axes:
        each.grid(color=FAINT, alpha=0.25, linewidth=0.6)
        each.set_axisbelow(True)
        each.tick_params(length=0)
    return figure, axes


@styled
def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Losses and validation metrics (`val_...`) by epoch; the epoch with the highest `score` is marked."""
    figure, panels = canvas(9.4, 2.8, ncols=2)
    losses = [name for name in history[0] if name.endswith("loss")]
    metrics = [name for name in history[0] if name.startswith("val_") and name not in losses]
    epochs = [row["epoch"] for row in history]
    kept = max(history, key=lambda row: row["score"])["epoch"]
    for axes, names, title in zip(panels, (losses, metrics), ("loss", "score"), strict=True):
        for name, (colour, dashes) in zip(names, LINES, strict=False):
            values = [row[name] for row in history]
            axes.plot(epochs, values, dashes, color=colour, marker=".", label=_curve_title(name))
        axes.axvline(kept, color=FAINT, linewidth=1, label="epoch kept")
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return figure


def confusion(matrix: np.ndarray, labels: Sequence[str], most: int = 30) -> Picture | Table:
    """Which labels are taken for which: a picture, or for more than `most` labels a table of the worst 20 pairs.

    Args:
        matrix: rows by (true, predicted), shape (labels, labels).
    """
    if len(labels) <= most:
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
    for (name, (coverage, risk)), (colour, dashes) in zip(curves.items(), LINES, strict=False):
        # From 2 % on: before, one row more or less makes the curve jump.
        points = np.unique(np.linspace(0.02 * len(risk), len(risk) - 1, 200).astype(int))
        axes.plot(100 * coverage[points], 100 * risk[points], dashes, color=colour, label=one_line(name, 40))
    axes.set(xlabel="rows answered, surest first (%)", ylabel="mistakes among them (%)", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper left")
    return figure


@styled
def f1_bars(labels: Sequence[str], f1: np.ndarray, rival: np.ndarray, rival_name: str, most: int = 30) -> Figure:
    """F1 of each label, best first, beside a baseline's; of more than `most` labels the best and the worst."""
    order = np.argsort(-f1, kind="stable")
    shown = order if len(order) <= most else np.concatenate([order[: most // 3], order[-2 * most // 3 :]])
    figure, axes = canvas(9.4, 1.0 + 0.22 * len(shown))
    places = np.arange(len(shown)) + (np.arange(len(shown)) >= most // 3) * (len(order) > most)
    axes.barh(places, f1[shown], 0.7, color=MODEL, alpha=0.8, label="this model")
    axes.plot(rival[shown], places, "D", color=BASELINE, markersize=5, label=one_line(rival_name, 40))
    axes.set_yticks(places, [one_line(labels[label], 32) for label in shown])
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set(xlabel="F1", xlim=(0, 1.01))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _show(cell: Cell) -> str:
    match cell:
        case None:
            return "–"
        case float():
            return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:,.1f}"
        case int():
            return f"{cell:,}"
    return one_line(cell, 200)


def _curve_title(column: str) -> str:
    """A column of history.csv in words."""
    part = "validation" if column.startswith("val_") else "training"
    name = column.removeprefix("val_")
    return f"{part} {METRICS[name].title if name in METRICS else name.replace('_', ' ')}"
