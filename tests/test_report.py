"""The page: nothing from the data gets out of its text, nothing is loaded, and it says plainly which won."""

import math
import re
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from toolkit import classification_plots as plots
from toolkit import report
from toolkit.evaluation import classification
from toolkit.gate_plots import gates_figure
from toolkit.gates import Direction, Trace
from toolkit.memory_plots import gradients_figure
from toolkit.report import Paragraph, Section, Table, picture, render_report, verdict

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)> & '$x_{' \x00\x1b\ud800 🎉 नमस्ते"
HISTORY = [
    {
        "epoch": epoch,
        "loss": 2 / epoch,
        "val_loss": 2.1 / epoch,
        "val_accuracy": 1 - 1 / epoch,
        "score": -abs(epoch - 3),
    }
    for epoch in (1, 2, 3, 4)
]


class Page(HTMLParser):
    """The tags, ids and text of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page(*blocks: object, title: str = "title", subtitle: str = "", summary: str = "verdict") -> str:
    return render_report(title=title, subtitle=subtitle, verdict=summary, sections=[Section("part", blocks)])


def pictures(labels: list[str], rows: int = 300) -> list[report.Picture | Table]:
    """Every kind of picture, of random answers."""
    random = np.random.default_rng(0)
    targets, predictions = random.integers(0, len(labels), (2, rows))
    confidence, correct = random.random(rows), random.random(rows) < 0.7
    matrix = classification.confusion_matrix(targets, predictions, len(labels))[:-1, :-1]
    f1, rival = random.random((2, len(labels)))
    curves = {labels[0]: classification.risk_coverage(confidence, correct)}
    return [
        picture(report.learning_curves(HISTORY), "learning curves"),
        plots.confusion(matrix, labels),
        picture(plots.reliability_diagram(classification.reliability(confidence, correct)), "reliability"),
        picture(plots.risk_coverage_plot(curves), "risk and coverage"),
        picture(plots.f1_bars(labels, f1, rival, labels[0]), "F1"),
    ]


def test_hostile_texts_stay_text_everywhere():
    labels = [HOSTILE, "a", "b"]
    table = Table((HOSTILE, "n"), [(HOSTILE, 1.0)], caption=HOSTILE)
    drawn = picture(report.learning_curves(HISTORY), alt=HOSTILE, caption=HOSTILE)
    html = page(table, Paragraph(HOSTILE), drawn, *pictures(labels), title=HOSTILE, subtitle=HOSTILE, summary=HOSTILE)
    parsed = Page(html)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert all(attributes["src"].startswith("data:") for tag, attributes in parsed.tags if tag == "img")
    assert parsed.text.count("<script>alert(1)</script>") >= 9
    assert html.encode()


def test_pictures_are_well_formed_and_share_no_id():
    again = picture(report.learning_curves(HISTORY), "the same curves again")
    drawings = [*pictures(["a < b & c", "b", "$x_{$"]), again]
    for each in drawings:
        ElementTree.fromstring(each.drawing)
    assert "$x_{$" in drawings[1].drawing
    ids = Counter(attributes["id"] for _, attributes in Page(page(*drawings)).tags if "id" in attributes)
    assert max(ids.values()) == 1


def test_a_page_loads_nothing_and_stays_small():
    labels = [f"number {i} of the labels with a long name" for i in range(30)]
    table = Table(("text", "label"), [("word " * 500, label) for label in labels])
    html = page(*pictures(labels), table)
    assert len(html) < 400_000
    for _, attributes in Page(html).tags:
        for name in {"src", "href", "xlink:href"} & attributes.keys():
            assert attributes[name].startswith(("data:", "#"))
    assert not re.findall(r"@import|url\((?!#)", html)


def test_a_caption_is_not_inside_what_is_read_out_as_one_picture():
    figure, _ = report.canvas(4, 3)
    html = page(picture(figure, "points", "what they are"))
    drawn, rest = html.split('role="img" aria-label="points">')[1].split("</div>", 1)
    assert "<svg" in drawn and "what they are" not in drawn and rest.startswith("<figcaption>what they are")


def test_drawing_is_repeatable_and_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    first, second = (picture(report.learning_curves(HISTORY), "curves") for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before


def test_the_epoch_that_was_kept_is_marked_where_several_have_the_best_score():
    history = [{**row, "score": min(row["epoch"], 2)} for row in HISTORY]  # the last has the lowest loss
    assert [axes.lines[-1].get_xdata()[0] for axes in report.learning_curves(history).axes] == [4, 4]
    assert report.best_epoch([*HISTORY, HISTORY[2]]) is HISTORY[2]  # of equal ones the first


def test_there_is_no_half_of_the_only_epoch_unit_or_step():
    one = Direction("layer 1", Trace(np.zeros((3, 1)), {"update": np.zeros((3, 1))}))
    epochs = report.learning_curves(HISTORY[:1]).axes[0].xaxis
    units = gates_figure(one, ["a", "b", "c"]).axes[0].yaxis
    steps = gradients_figure({("LSTM", 0): np.ones(1)}).axes[0].xaxis
    for axis in (epochs, units, steps):
        assert (axis.get_majorticklocs() % 1 == 0).all()


def test_pictures_take_on_the_colours_of_the_page():
    drawing = pictures(["a", "b"])[3].drawing
    assert "currentColor" in drawing
    assert "var(--model)" in drawing
    assert report.INK not in drawing
    assert "font-family" not in drawing


def test_a_picture_of_very_many_points_becomes_a_png():
    figure, axes = report.canvas(4, 3)
    axes.plot(*np.random.default_rng(0).random((2, 20_000)), ".")
    drawing = picture(figure, "points").drawing
    assert drawing.startswith('<img width="384"')
    assert len(drawing) < 200_000


def test_pictures_can_be_drawn_of_next_to_nothing():
    picture(report.learning_curves(HISTORY[:1]), "one epoch")
    one = np.array([0.5]), np.array([True])
    picture(plots.risk_coverage_plot({"one row": classification.risk_coverage(*one)}), "one row")
    picture(plots.reliability_diagram(classification.reliability(*one)), "one row")
    plots.confusion(np.zeros((2, 2), int), ["never", "seen"])


def test_confusion_of_many_labels_becomes_a_table_of_the_worst():
    matrix = 10 * np.eye(40, dtype=int)
    matrix[3, 7], matrix[8, 2] = 30, 5
    table = plots.confusion(matrix, [f"label {i}" for i in range(40)])
    assert table.rows == [("label 3", "label 7", 30, 0.75), ("label 8", "label 2", 5, pytest.approx(1 / 3))]


def test_confusion_shows_the_share_of_each_true_label():
    texts = [
        element.text
        for element in ElementTree.fromstring(plots.confusion(np.array([[3, 1], [0, 7]]), "ab").drawing).iter()
    ]
    assert [text for text in texts if text and text.strip().isdigit()] == ["75", "25", "100"]


def test_bars_of_many_labels_show_the_best_and_the_worst():
    labels = [f"label {i}" for i in range(100)]
    drawing = picture(plots.f1_bars(labels, np.linspace(0, 1, 100), np.zeros(100), "baseline"), "F1").drawing
    shown = {int(number) for number in re.findall(r"label (\d+)", drawing)}
    assert shown == {*range(20), *range(90, 100)}


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.01, 0.05), "This model wins: accuracy 0.730 against 0.700 for B, the best baseline."),
        (
            (-0.012, 0.05),
            "No clear winner: accuracy 0.730 against 0.700 for B, the best baseline; with other test rows the"
            " difference may be anything from -0.012 to +0.050. B is simpler.",
        ),
        (
            (-math.inf, math.inf),
            "No clear winner: accuracy 0.730 against 0.700 for B, the best baseline; they differ on too few"
            " test rows, or windows that do not overlap, to tell them apart. B is simpler.",
        ),
    ],
)
def test_nobody_wins_by_luck(interval, expected):
    assert verdict("accuracy", 0.73, {"A": 0.5, "B": 0.7}, {"B": interval}.__getitem__) == expected


@pytest.mark.parametrize(
    ("metric", "score", "baselines", "expected"),
    [
        ("accuracy", 0.95, {"A": 0.5, "B": 0.9}, r"^This model wins: accuracy 0\.950 against 0\.900 for B"),
        ("accuracy", 0.841, {"A": 0.5, "B": 0.853}, r"^B wins: accuracy 0\.853 against 0\.841 for this model; use it"),
        ("accuracy", 0.90004, {"B": 0.90001}, r"^This model and B tie: accuracy 0\.900 for both"),
        ("mase", 0.8, {"naive": 1.0, "ETS": 0.9}, r"^This model wins: MASE 0\.800 against 0\.900 for ETS"),
        ("mase", 1.2, {"naive": 1.0}, r"^naive wins"),
        ("coverage_80", 0.95, {"A": 0.78}, r"^A wins"),
        ("bleu", 36.52, {"copy": 5.0}, r"BLEU 36\.5 against 5\.000 for copy"),
        ("accuracy", 0.4, {}, r"accuracy 0\.400; there is no baseline"),
    ],
)
def test_the_verdict_names_who_won(metric, score, baselines, expected):
    assert re.search(expected, verdict(metric, score, baselines))


def test_the_best_of_each_metric_is_bold():
    test = {"accuracy": 0.9, "ece": 0.1, "macro_f1": 0.5, "oos_recall": 0.0}
    rivals = {
        "A": {"accuracy": 0.8, "ece": 0.02, "oos_recall": 0.0},
        "B": {"accuracy": 0.9001, "ece": 0.3, "oos_recall": 0.0},
    }
    table = report.metrics_table(test, rivals)
    assert table.best == {(0, 1), (0, 3), (1, 2), (2, 1)}
    assert [row[:4] for row in table.rows][2] == ("macro F1", 0.5, None, None)
    html = page(table)
    assert html.count('class="number best"') == 4
    assert "–" in html


def test_long_texts_are_cut_and_put_on_one_line():
    shown = Page(page(Table(("text",), [("line\n" * 1000,)]))).text
    assert "line line line" in shown
    assert "…" in shown
    assert len(shown) < 2000 + len(Page(page()).text)


def test_labels_are_listed_with_their_scores():
    flags = np.array([[True, False], [True, True]])
    table = plots.label_table(["a", "b"], classification.label_scores(flags, np.array([[True, True], [True, True]])))
    assert list(table.rows) == [("a", 1.0, 1.0, 1.0, 2), ("b", 0.5, 1.0, pytest.approx(2 / 3), 1)]
