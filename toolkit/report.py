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
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from toolkit.data.text import one_line

Cell = str | int | float | None

# Colours of Okabe & Ito, which colour-blind readers tell apart. On the page, ink and model follow the dark mode.
INK, MODEL, BASELINE, OTHER, FAINT = "#010203", "#0072b2", "#d55e00", "#009e73", "#8a93a3"
THEME = {INK: "currentColor", MODEL: "var(--model)"}
# For as many methods more of these colours, a purple and their yellow darkened; dashes tell all apart in print.
COLOURS = (MODEL, BASELINE, OTHER, "#cc79a7", "#e69f00", FAINT, "#7f3c8d", "#b5a400")
DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 2)), (0, (7, 3)))
# From nothing at all to the model's colour, so that the page shows through.
SHADES = LinearSegmentedColormap.from_list("shades", [to_rgba(MODEL, 0), to_rgba(MODEL, 1)])
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
        interval: where the difference to a baseline may lie with other test rows, infinite where too few tell; nobody
            wins where that may be 0.
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
        reason = f"with other test rows the difference may be anything from {low:+.3f} to {high:+.3f}"
        if math.isinf(high):
            reason = "they differ on too few test rows, or windows that do not overlap, to tell them apart"
        return (
            f"No clear winner: {shown.title} {model_text} against {rival_text} for {name}, the best baseline; {reason}."
            f" {name} is simpler."
        )
    if shown.cost(score) < shown.cost(rival):
        return f"This model wins: {shown.title} {model_text} against {rival_text} for {name}, the best baseline."
    return (
        f"{name} wins: {shown.title} {rival_text} against {model_text} for this model; use it instead, "
        "or train the model longer or on more data."
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


def best_epoch(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The epoch with the highest `score`, and of equal ones the lowest loss, as training chooses."""
    return max(history, key=lambda row: (row["score"], -row.get("val_loss", 0.0)))


@styled
def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Losses and validation metrics (`val_...`) by epoch; the one whose weights were kept is marked."""
    figure, panels = canvas(9.4, 2.8, ncols=2)
    losses = [name for name in history[0] if name.endswith("loss")]
    metrics = [name for name in history[0] if name.startswith("val_") and name not in losses]
    epochs = [row["epoch"] for row in history]
    kept = best_epoch(history)["epoch"]
    for axes, names, title in zip(panels, (losses, metrics), ("loss", "score"), strict=True):
        for name, colour, dashes in zip(names, COLOURS, DASHES, strict=False):
            values = [row[name] for row in history]
            axes.plot(epochs, values, linestyle=dashes, color=colour, marker=".", label=_curve_title(name))
        axes.axvline(kept, color=FAINT, linewidth=1, label="epoch kept")
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend()
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
