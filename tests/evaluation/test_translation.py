"""Scores of translations: known values, a naive twin, and lengths."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.translation import (
    are_short,
    bleu,
    bleu_evidence,
    bleu_of,
    chrf,
    chrf_evidence,
    chrf_of,
    exact_match,
    length_edges,
    scores_by_length,
    sentence_chrf,
    word_splitter,
)

# The example of sacreBLEU's own documentation; the values are what its command line prints.
HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
FIRST = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
SECOND = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."]
ONE = [[text] for text in FIRST]
BOTH = [list(texts) for texts in zip(FIRST, SECOND, strict=True)]

TEXTS = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)
ROWS = st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), min_size=1, max_size=6)


def ngrams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def naive_bleu(hypotheses: list[str], references: list[list[str]]) -> float:
    """Papineni's score of text that is split by blanks, where the k-th order without a match counts 1 / 2^k of one.

    Where no reference has four words, orders that no hypothesis has are left out.
    """
    grams = [
        (each.split(), [text.split() for text in texts]) for each, texts in zip(hypotheses, references, strict=True)
    ]
    candidate = sum(len(words) for words, _ in grams)
    closest = sum(min((abs(len(r) - len(words)), len(r)) for r in texts)[1] for words, texts in grams)
    short = all(len(words) < 4 for _, texts in grams for words in texts)
    logs, halvings = [], 0
    for size in range(1, 5):
        matches = total = 0
        for words, texts in grams:
            counts, *theirs = (Counter(ngrams(each, size)) for each in (words, *texts))
            matches += sum(min(count, max(other[gram] for other in theirs)) for gram, count in counts.items())
            total += counts.total()
        if short and logs and not total:
            break
        if not total or (size == 1 and not matches):
            return 0.0
        halvings += not matches
        logs.append(math.log((matches or 0.5**halvings) / total))
    return 100 * math.exp(sum(logs) / len(logs)) * math.exp(min(0, 1 - closest / candidate))


def test_bleu_and_chrf_have_their_known_values() -> None:
    assert bleu(HYPOTHESES, ONE).score == pytest.approx(45.067506)
    assert bleu(HYPOTHESES, BOTH).score == pytest.approx(48.530827)
    assert chrf(HYPOTHESES, ONE) == pytest.approx(50.043064)
    assert chrf(HYPOTHESES, BOTH) == pytest.approx(59.727518)


@given(ROWS)
def test_bleu_equals_its_definition(rows: list[tuple[str, list[str]]]) -> None:
    hypotheses, references = [row[0] for row in rows], [row[1] for row in rows]
    assert bleu(hypotheses, references).score == pytest.approx(naive_bleu(hypotheses, references))


@pytest.mark.parametrize("references", [ONE, BOTH, [*ONE[:2], BOTH[2]]])
def test_bleu_is_made_of_what_its_rows_hold(references: list[list[str]]) -> None:
    evidence = bleu_evidence(HYPOTHESES, references)
    assert bleu_of(evidence.sum(axis=0)) == pytest.approx(bleu(HYPOTHESES, references).score)
    assert bleu_of(np.stack([evidence[0], evidence.sum(axis=0)])).shape == (2,)


@pytest.mark.parametrize("references", [ONE, BOTH, [*ONE[:2], BOTH[2]]])
def test_chrf_is_made_of_what_its_rows_hold(references: list[list[str]]) -> None:
    evidence = chrf_evidence(HYPOTHESES, references)
    assert chrf_of(evidence.sum(axis=0)) == pytest.approx(chrf(HYPOTHESES, references))
    assert chrf_of(np.stack([evidence[0], evidence.sum(axis=0)])).shape == (2,)


def test_perfect_texts_under_four_words_are_better_than_others() -> None:
    """Of a list of words none has a 4-gram, without which BLEU is 0; a wrong text of many words would have more."""
    references = [["el perro"], ["la casa"], ["sí"]]
    texts = [text for (text,) in references]
    assert bleu(texts, references).score == pytest.approx(100)
    assert "eff:yes" in bleu(texts, references).signature
    assert bleu(["el el el el el", "la casa", "sí"], references).score < 50
    assert bleu_of(bleu_evidence(texts, references).sum(axis=0), effective_order=True) == pytest.approx(100)
    assert are_short(references) and not are_short([*references, ["a b", "una casa muy grande"]])
    assert are_short([["行く"]]) and not are_short([["東京に行く。"]])


@pytest.mark.parametrize(
    ("reference", "splitter"),
    [
        ("The cat sat.", "13a"),
        ("बिल्ली बैठी है।", "13a"),
        ("고양이가 앉았다.", "13a"),
        ("猫坐在垫子上。", "zh"),
        ("猫がマットの上に座った。", "char"),
        ("แมวนั่งบนเสื่อ", "char"),
        ("iPhone 15 Pro of 中国", "13a"),
        ("42", "13a"),
    ],
)
def test_words_are_split_as_the_language_writes_them(reference: str, splitter: str) -> None:
    assert word_splitter([[reference]]) == splitter


def test_chinese_that_is_nearly_right_has_a_score() -> None:
    right = [["今天天气很好，我们去公园散步吧。"], ["他昨天买了一本新书。"]]
    assert bleu(["今天天气很好，我们去公园走走吧。", "他昨天买了一本旧书。"], right).score > 50


def test_the_signature_says_how_bleu_was_computed() -> None:
    assert bleu(HYPOTHESES, ONE).signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert "nrefs:2|" in bleu(HYPOTHESES, BOTH).signature
    assert "nrefs:var|" in bleu(HYPOTHESES, [*ONE[:2], BOTH[2]]).signature
    assert "|tok:zh|" in bleu(["猫"], [["猫坐在垫子上"]]).signature


def test_rows_may_have_different_numbers_of_references() -> None:
    mixed = [BOTH[0], ONE[1], BOTH[2]]
    repeated = [each if len(each) == 2 else each * 2 for each in mixed]
    assert bleu(HYPOTHESES, mixed).score == bleu(HYPOTHESES, repeated).score
    assert chrf(HYPOTHESES, mixed) == chrf(HYPOTHESES, repeated)
    assert chrf(HYPOTHESES, ONE) < chrf(HYPOTHESES, mixed) < chrf(HYPOTHESES, BOTH)


@given(ROWS)
def test_every_score_is_within_its_bounds(rows: list[tuple[str, list[str]]]) -> None:
    hypotheses, references = [row[0] for row in rows], [row[1] for row in rows]
    assert 0 <= bleu(hypotheses, references).score <= 100
    assert 0 <= chrf(hypotheses, references) <= 100
    assert 0 <= exact_match(hypotheses, references) <= 1


def test_a_perfect_translation_scores_in_full() -> None:
    assert bleu(SECOND, BOTH).score == 100
    assert chrf(SECOND, BOTH) == pytest.approx(100)
    assert exact_match(SECOND, BOTH) == 1
    np.testing.assert_allclose(sentence_chrf(SECOND, BOTH), 100)


def test_bleu_and_exact_match_see_case() -> None:
    shouted = [text.upper() for text in FIRST]
    assert bleu(shouted, ONE).score < 10
    assert exact_match(shouted, ONE) == 0


def test_exact_match_collapses_blanks_and_nothing_else() -> None:
    hypotheses = ["  a\tb \n", "a b.", "a  b", "ab", ""]
    assert exact_match(hypotheses, [["a b"], ["a b"], ["x", "a b"], ["a b"], [" "]]) == pytest.approx(3 / 5)


def test_the_worst_rows_have_the_lowest_chrf() -> None:
    scores = sentence_chrf(["", "the dog", "the cat", "the cat"], [["the cat"]] * 3 + [["a bird", "the cat"]])
    assert scores.shape == (4,)
    assert list(np.argsort(scores, kind="stable")) == [0, 1, 2, 3]
    assert scores[0] == 0 and scores[2] == scores[3] == pytest.approx(100)


def test_one_row_alone_has_the_chrf_of_its_sentence() -> None:
    scores = [chrf([hypothesis], [each]) for hypothesis, each in zip(HYPOTHESES, BOTH, strict=True)]
    np.testing.assert_allclose(sentence_chrf(HYPOTHESES, BOTH), scores)


@pytest.mark.parametrize(
    "text",
    [
        "\N{PARTY POPPER}" * 9,
        "नमस्ते दुनिया",
        "\0 \x1f",
        "half \ud800 of it",
        pytest.param("x" * 100_000, id="long"),
        "a\n b",
    ],
)
def test_odd_text_is_scored(text: str) -> None:
    assert chrf([text, ""], [[text], ["", text]]) > 0
    assert exact_match([text, ""], [[text], ["", text]]) == 1
    assert bleu([text, "a b c d"], [[text], ["a b c d"]]).score == pytest.approx(100)


def test_empty_hypotheses_score_nothing() -> None:
    empty = [""] * 3
    assert bleu(empty, ONE).score == chrf(empty, ONE) == exact_match(empty, ONE) == 0


@pytest.mark.parametrize("score", [bleu, chrf, exact_match, sentence_chrf])
@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "nothing to score"),
        (["a", "b"], [["a"]], "2 hypotheses and references for 1"),
        (["a", "b"], [["a"], []], r"Row 1 has \[\] for references"),
        (["a"], ["a text"], "Row 0 has 'a text' for references"),
    ],
)
def test_what_cannot_be_scored_is_told(score, hypotheses, references, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(hypotheses, references)


LENGTHS = [1, 2, 2, 5, 9, 9, 12]


def test_each_bin_has_the_scores_of_its_rows() -> None:
    hypotheses, references = [*HYPOTHESES, *FIRST, "d"], [*BOTH, *ONE, ["e"]]
    bins = scores_by_length(LENGTHS, hypotheses, references, [1, 3, 6, 10, 13])
    assert [(each.low, each.high, each.rows) for each in bins] == [(1, 2, 3), (3, 5, 1), (6, 9, 2), (10, 12, 1)]
    assert bins[0].bleu == pytest.approx(bleu(HYPOTHESES, BOTH).score)
    assert bins[0].exact_match == pytest.approx(1 / 3)
    assert (bins[3].bleu, bins[3].exact_match) == (0, 0)


def test_bins_without_rows_and_rows_without_bins_are_left_out() -> None:
    bins = scores_by_length([1, 8, 30], FIRST, ONE, [1, 4, 8, 20])
    assert [(each.low, each.high, each.rows) for each in bins] == [(1, 3, 1), (8, 19, 1)]


def test_a_bin_of_short_texts_can_be_perfect() -> None:
    (perfect,) = scores_by_length([1, 2], ["yes", "thank you"], [["yes"], ["thank you"]], [1, 3])
    assert perfect.bleu == 100


def test_lengths_must_be_one_a_row() -> None:
    with pytest.raises(ValueError, match="2 lengths for 3 rows"):
        scores_by_length([1, 2], FIRST, ONE, [1, 3])


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 8))
def test_edges_hold_every_row_in_distinct_bins(lengths: list[int], bins: int) -> None:
    edges = length_edges(lengths, bins)
    assert edges == sorted(set(edges)) and 2 <= len(edges) <= bins + 1
    assert edges[0] == min(lengths) and edges[-1] == max(lengths) + 1
    texts = ["a"] * len(lengths)
    found = scores_by_length(lengths, texts, [["a"]] * len(lengths), edges)
    assert sum(each.rows for each in found) == len(lengths) and len(found) == len(edges) - 1


def test_bins_have_about_as_many_rows_each() -> None:
    assert length_edges(range(1, 61)) == [1, 11, 21, 31, 41, 51, 61]
    assert length_edges(np.array([7, 7, 7])) == [7, 8]


def test_no_lengths_have_no_edges() -> None:
    with pytest.raises(ValueError, match="no lengths"):
        length_edges([])
