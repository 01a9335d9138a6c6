"""The page of a translator: who won, by which length, where it looked, what it wrote."""

import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pipelines.translation import report as pages
from pipelines.translation.answers import difference_interval, score
from pipelines.translation.config import Config
from pipelines.translation.predict import NOTHING, Translation
from pipelines.translation.report import render
from toolkit.data.pairs import Grouped
from toolkit.errors import ArtifactError

HOSTILE = "\"><script>alert(1)</script><img src=x> & '$x_{' \x00\x1b\ud800 🎉 नमस्ते 他们"
SCORES = {"bleu": 40.0, "chrf": 60.0, "exact_match": 0.25}


class Page(HTMLParser):
    """Texts, titles of sections, rows of tables and pictures of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.text, self.titles, self.rows, self.pictures, self.tags = "", [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if dict(attrs).get("role") == "img":
            self.pictures.append(dict(attrs)["aria-label"])

    def handle_data(self, data):
        self.text += data
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.titles.append(data)
        if self.tags and self.tags[-1] in ("td", "th") and data.strip():
            self.rows[-1].append(data)


def translation(source: str, text: str, *, attends: bool = True) -> Translation:
    pieces, source_pieces = text.split(), source.split()
    weights = np.full((len(pieces), len(source_pieces)), 1 / max(len(source_pieces), 1)) if attends else None
    return Translation(text, -1.0, pieces, source_pieces, weights, [], False)


def config(**parts: Any) -> Config:
    return Config.model_validate({"pipeline": "translation", "data": {"train": "pairs.csv"}, **parts})


def history(**scores: float) -> list[dict[str, float]]:
    known = {"val_perplexity": 7.5, "val_token_accuracy": 0.625, "val_bleu": 40.0, "val_chrf": 60.0, **scores}
    early = {"val_perplexity": 99.0, "val_token_accuracy": 0.125, "val_bleu": 10.0, "val_chrf": 20.0}
    return [
        {"epoch": 1, "loss": 3.0, "val_loss": 3.1, **early, "val_exact_match": 0.0, "score": 10.0},
        {"epoch": 2, "loss": 2.0, "val_loss": 2.1, **known, "val_exact_match": 0.25, "score": 40.0},
    ]


def page_of(pairs: list[tuple[str, str, str]], settings: Config | None = None, **changed: Any) -> tuple[Page, str]:
    """Rendered from (source, reference, translation) of each test pair."""
    settings = settings or config()
    test = Grouped([source for source, _, _ in pairs], [(reference,) for _, reference, _ in pairs])
    report = {
        "test": SCORES,
        "baselines": {"copy": {**SCORES, "bleu": 3.0}, "nearest": {**SCORES, "bleu": 35.0, "exact_match": 0.5}},
        "seconds": {"train": 12.0},
        "signature": "nrefs:1|tok:13a",
    }
    found = [translation(source, text) for source, _, text in pairs]
    baselines = {"copy": test.sources, "nearest": ["the nearest"] * len(pairs)}
    given = {"report": report, "found": found, "baselines": baselines, "history": history(), "test": test} | changed
    html, verdict = render(**given, config=settings, shown=str.upper)
    assert not re.search("[\x00\x1b]", html)
    return Page(html), verdict


PAIRS = [
    (f"{'word ' * length}{n}", f"{'wort ' * length}{n}", f"{'wort ' * length}x")
    for length in (2, 5, 9, 14, 30)
    for n in range(4)
]


def test_bleu_tells_right_words_from_wrong_ones() -> None:
    """None of them has four words, as in a dictionary or a list of names."""
    references = [(f"wort {i}",) for i in range(50)]
    right, wrong = [text for (text,) in references], ["wort wort wort wort wort"] * 50
    assert score(right, references)["bleu"] == pytest.approx(100)
    low, _ = difference_interval("bleu", right, wrong, references, None)
    assert low > 50


def test_chrf_tells_no_winner_where_other_test_pairs_might_have_it_the_other_way() -> None:
    """It is what a verdict goes by where nobody has a word right."""
    random = np.random.default_rng(0)

    def texts() -> list[str]:
        return ["".join(random.choice(list("abcdef"), 12)) for _ in range(40)]

    one, other, references = texts(), texts(), [(text,) for text in texts()]
    low, high = difference_interval("chrf", one, other, references, None)
    assert low < score(one, references)["chrf"] - score(other, references)["chrf"] < high and low < 0 < high
    near = [f"{text[:6]}{other}" for (text,), other in zip(references, other, strict=True)]
    low, high = difference_interval("chrf", near, other, references, None)
    assert 0 < low < score(near, references)["chrf"] - score(other, references)["chrf"] < high


@pytest.fixture(autouse=True)
def surely(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores that these reports have are not those of their texts, so neither are differences."""
    monkeypatch.setattr(pages, "difference_interval", lambda *_: (math.nan, math.nan))


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(PAIRS)[0]


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [
        ("bleu", "This model wins: BLEU"),
        ("loss", "This model wins: BLEU"),
        ("exact_match", "nearest wins: exact match"),
    ],
)
def test_the_verdict_is_about_what_was_monitored(monitor, expected):
    page, verdict = page_of(PAIRS[:2], config(training={"monitor": monitor}))
    assert verdict.startswith(expected)
    assert verdict in page.text


def test_nobody_wins_where_other_test_pairs_might_have_it_the_other_way(monkeypatch):
    monkeypatch.undo()
    test = Grouped([f"{n}" for n in range(40)], [(f"the right words of {n}",) for n in range(40)])
    right = [each[0] for each in test.references]
    wrong = [f"wholly other signs at {n}" for n in range(40)]
    clear = {"exact_match": 1.0}, {"exact_match": 0.0}
    close = {"exact_match": 0.5}, {"exact_match": 0.45}
    for (own, rival), first, second, expected in (
        (clear, right, wrong, "This model wins: exact match 1.000 against 0.000 for nearest"),
        (close, right[:20] + wrong[20:], wrong[:22] + right[22:], "No clear winner: exact match 0.500 against 0.450"),
    ):
        scores = {"test": {**SCORES, **own}, "baselines": {"nearest": {**SCORES, **rival}}}
        report = {**scores, "seconds": {"train": 1.0}, "signature": "tok:13a"}
        pairs = [(source, text, text) for source, text in zip(test.sources, first, strict=True)]
        changed = {"test": test, "baselines": {"nearest": second}, "report": report}
        _, verdict = page_of(pairs, config(training={"monitor": "exact_match"}), **changed)
        assert verdict.startswith(expected)
    assert "the difference may be anything from -0." in verdict


def test_where_nobody_has_anything_by_a_score_the_verdict_goes_by_another_and_names_the_better_of_equals():
    def scores(bleu: float, chrf: float) -> dict[str, float]:
        return {**SCORES, "bleu": bleu, "chrf": chrf, "exact_match": 0.0}

    settings = config(training={"monitor": "exact_match"})
    for own, rival, expected in (
        (scores(74.9, 80.0), scores(82.6, 85.0), " nearest wins: BLEU 82.6 against 74.9"),
        (scores(0.0, 9.0), scores(0.0, 3.0), " This model wins: chrF 9.000 against 3.000 for nearest"),
    ):
        report = {"test": own, "baselines": {"copy": scores(0.0, 1.0), "nearest": rival}, "seconds": {"train": 1.0}}
        _, verdict = page_of(PAIRS[:2], settings, report={**report, "signature": "tok:13a"})
        assert verdict.startswith(f"Nothing is right by exact match, whoever translates.{expected}")
    report["test"] = {**SCORES, "exact_match": 0.5}  # where both baselines have nothing, the better one is named
    _, verdict = page_of(PAIRS[:2], settings, report={**report, "signature": "tok:13a"})
    assert "against 0.000 for nearest" in verdict


def test_scores_stand_beside_baselines_with_the_best_epoch_and_the_signature(page):
    assert ["this model", "copy", "nearest"] in page.rows
    assert ["BLEU", "40.0", "3.000", "35.0"] in [row[:4] for row in page.rows]
    for text in ("62.5% of the pieces", "perplexity of 7.50", "nrefs:1|tok:13a"):
        assert text in page.text


def test_the_best_baseline_is_drawn_by_length(page):
    for text in ("this model (bahdanau attention)", "nearest", "3\n", "31\n", "4 rows", "pieces of the source"):
        assert text in page.text


def test_four_maps_go_from_the_shortest_source_to_the_longest(page):
    lengths = [int(each.split()[-2]) for each in page.pictures if each.startswith("Attention")]
    assert lengths == [3, 6, 15, 31]
    assert "WORT" in page.text  # a piece as `shown` writes it


def test_without_attention_there_are_no_maps():
    found = [translation(source, text, attends=False) for source, _, text in PAIRS]
    page, _ = page_of(PAIRS, config(decoder={"attention": "none"}), found=found)
    assert "What it looked at" not in page.titles
    assert "this model (no attention)" in page.text


def test_sentences_of_one_piece_and_empty_ones_need_no_map():
    page, _ = page_of([("a", "b", "b"), ("c", "d", "d")], found=[translation("a", "b"), NOTHING])
    assert "What it looked at" not in page.titles


def test_the_worst_translation_comes_first_and_perfect_ones_are_not_among_the_worst():
    page, _ = page_of(
        [("s1", "right words", "right words"), ("s2", "near enough", "near enouhg"), ("s3", "far", "zzz")]
    )
    first, second = (at for at, row in enumerate(page.rows) if row == ["source", "reference", "translation", "chrF"])
    assert [row[0] for row in page.rows[first + 1 : second]] == ["s3", "s2"]
    assert [row[0] for row in page.rows[second + 1 :]] == ["s1", "s2", "s3"]
    assert page.rows[first + 1] == ["s3", "far", "zzz", "0.000"]


def test_a_perfect_translator_has_no_worst_sentences():
    page, _ = page_of([("a b", "x y", "x y")])
    assert [row[0] for row in page.rows].count("source") == 1


def test_several_references_are_shown():
    test = Grouped(["eins zwei"], [("one two", "1 2")])
    page, _ = page_of([("eins zwei", "one two", "one")], test=test)
    assert "one two / 1 2" in page.text


def test_bleu_shares_the_axis_of_shares_and_perplexity_is_off_it(page):
    for name in ("validation BLEU / 100", "validation exact match", "validation token accuracy", "validation loss"):
        assert name in page.text
    assert "validation perplexity" not in page.text and "validation chrF" not in page.text


def test_a_run_that_monitors_the_loss_has_no_translation_scores_to_draw():
    rows = [
        {name: value for name, value in row.items() if name not in ("val_bleu", "val_chrf", "val_exact_match")}
        for row in history()
    ]
    page, _ = page_of(PAIRS[:2], config(training={"monitor": "loss"}), history=rows)
    assert "validation token accuracy" in page.text and "validation BLEU" not in page.text


def test_sources_that_were_not_read_to_the_end_are_counted(page):
    found = [translation(source, text)._replace(truncated=True) for source, _, text in PAIRS[:2]]
    assert "2 sources are longer than tokens.max_source" in page_of(PAIRS[:2], found=found)[0].text
    assert "tokens.max_source" not in page.text


def test_hostile_texts_stay_text():
    page, _ = page_of([(f"{HOSTILE} {n}", HOSTILE, f"{HOSTILE} x") for n in range(3)])
    assert "script" not in page.tags
    assert page.tags.count("img") == 0
    assert "<script>alert(1)</script>" in page.text


def test_one_pair_is_enough():
    page, verdict = page_of([("a b", "c d", "e f")])
    assert verdict and len(page.titles) == 5


def test_a_run_to_compare_with_translates_the_same_sources(tiny_config, tiny_run):
    lines = [("one two", "zwei eins", "eins zwei"), ("three", "drei", "vier"), ("one two three", "drei zwei eins", "x")]
    same = tiny_config.model_copy(update={"compare": [str(tiny_run)]})
    page, _ = page_of(lines, same)
    assert f"{tiny_run.name} (bahdanau attention)" in page.text
    assert "may have seen" not in page.text
    other = same.model_copy(update={"seed": 2})
    assert "may have seen some of these pairs" in page_of(lines, other)[0].text


def test_two_runs_of_one_name_are_told_apart(tiny_config, tiny_run):
    both = tiny_config.model_copy(update={"compare": [str(tiny_run), str(tiny_run)]})
    text = page_of([("one two", "zwei eins", "x")], both)[0].text
    assert f"  {tiny_run.name} (bahdanau attention)" in text
    assert f"2: {tiny_run.name} (bahdanau attention)" in text


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_run_to_compare_with_that_cannot_be_read_is_an_error_that_names_it(damage, tmp_path):
    folder = tmp_path / "gone"
    if damage == "altered":
        folder.mkdir()
        (folder / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="gone"):
        page_of(PAIRS, config(compare=[str(folder)]))
