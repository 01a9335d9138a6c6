"""Pictures of translations: what they show, that it stays readable, and that no piece or name breaks them."""

import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from toolkit.evaluation.translation import LengthBin
from toolkit.report import picture
from toolkit.translation_plots import LONGEST_PIECE, MOST_DRAWN, attention_map, length_curves

HOSTILE = "<script>alert(1)</script> $x_{ & '\" \x00\x1b\ud800 नमस्ते 🎉 and a name that goes on and on and on"
BINS = [LengthBin(1, 4, 1200, 60.0, 0.5), LengthBin(5, 5, 800, 40.0, 0.25), LengthBin(6, 90, 1, 20.0, 0.0)]


def texts(figure: Figure) -> list[str]:
    """Every text in the picture, which must be drawable without a warning and well-formed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph")
        drawing = picture(figure, "picture").drawing
    return [element.text for element in ElementTree.fromstring(drawing).iter() if element.text and element.text.strip()]


def uniform(target: int, source: int) -> np.ndarray:
    return np.full((target, source), 1 / source)


def test_sources_stand_across_and_translations_down():
    weights = np.array([[0.0, 0.9, 0.1], [1.0, 0.0, 0.0]])
    figure = attention_map(["the", "blue", "house"], ["casa", "azul"], weights)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["the", "blue", "house"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["casa", "azul"]
    assert axes.yaxis_inverted()  # the first piece written on top
    assert {"source", "translation", "attention weight"} <= set(texts(figure))


def test_shades_of_two_maps_mean_the_same():
    for weights in (uniform(2, 9), np.eye(2)):
        image = attention_map(["a"] * weights.shape[1], ["b"] * 2, weights).axes[0].images[0]
        assert image.get_clim() == (0, 1)


@pytest.mark.parametrize(("target", "source"), [(1, 1), (1, 50), (50, 1), (31, 7), (200, 300)])
def test_maps_fit_the_page_however_long_the_sentences(target, source):
    figure = attention_map(["piece"] * source, ["piece"] * target, uniform(target, source))
    width, height = figure.get_size_inches()
    assert width <= 9.8 and height <= 9.8
    assert figure.axes[0].images[0].get_array().shape == (min(target, MOST_DRAWN), min(source, MOST_DRAWN))
    assert texts(figure).count("piece") == min(target, MOST_DRAWN) + min(source, MOST_DRAWN)


def test_long_pieces_are_cut():
    shown = texts(attention_map(["Donaudampfschifffahrtsgesellschaft"], ["x"], uniform(1, 1)))
    (piece,) = (text for text in shown if text.startswith("Donau"))
    assert len(piece) == LONGEST_PIECE and piece.endswith("…")


@pytest.mark.parametrize(("metric", "scores"), [("bleu", [60, 40, 20]), ("exact_match", [0.5, 0.25, 0])])
def test_curves_show_every_run_and_the_rows_of_each_length(metric, scores):
    lower = [each._replace(bleu=each.bleu / 2, exact_match=0.0) for each in BINS]
    figure = length_curves({"this model": BINS, "a rival": lower}, metric)
    own, rival = figure.axes[0].lines
    assert own.get_ydata().tolist() == scores
    assert rival.get_ydata().tolist() == [getattr(each, metric) for each in lower]
    assert {"this model", "a rival", "1–4", "1,200 rows", "5", "800 rows", "6–90", "1 rows"} <= set(texts(figure))


def test_a_run_whose_name_begins_with_an_underscore_has_its_place_in_the_legend():
    assert "_base (no attention)" in texts(length_curves({"this model": BINS, "_base (no attention)": BINS}, "bleu"))


def test_curves_of_eight_runs_look_different():
    figure = length_curves({f"run {number}": BINS for number in range(8)}, "bleu")
    assert len({(line.get_color(), str(line._dash_pattern)) for line in figure.axes[0].lines}) == 8


def test_one_length_is_drawn_as_dots():
    figure = length_curves({"this model": BINS[:1]}, "bleu")
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert "1–4" in texts(figure)


def test_hostile_texts_stay_text_and_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    for figure in (attention_map([HOSTILE, ""], [HOSTILE] * 3, uniform(3, 2)), length_curves({HOSTILE: BINS}, "bleu")):
        assert not [text for text in texts(figure) if "\x1b" in text]
    assert dict(matplotlib.rcParams) == before
