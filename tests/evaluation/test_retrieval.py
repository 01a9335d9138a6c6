"""The nearest sentence: what it answers, against scikit-learn's similarities, and bad cases."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from toolkit.evaluation import retrieval
from toolkit.evaluation.retrieval import NearestSentence

SOURCES = ["A dog runs.", "A cat sleeps.", "Two dogs run in the snow.", "the cat eats", "Hello!", "Hello!"]
TARGETS = ["Ein Hund rennt.", "Eine Katze schläft.", "Zwei Hunde.", "die Katze frisst", "Hallo!", "Guten Tag!"]

TEXTS = st.lists(st.sampled_from(["dog", "Dog", "cat", "runs", ".", "the", "नमस्ते"]), min_size=1, max_size=6).map(
    " ".join
)


@pytest.fixture(scope="module")
def nearest() -> NearestSentence:
    return NearestSentence.fit(SOURCES, TARGETS)


def test_a_known_source_gets_its_target(nearest: NearestSentence) -> None:
    assert nearest.translate(SOURCES[:5]) == TARGETS[:5]


def test_the_most_similar_source_answers(nearest: NearestSentence) -> None:
    sources = ["a DOG runs fast.", "my cat sleeps a lot", "in the snow", "a cat"]
    assert nearest.translate(sources) == [TARGETS[0], TARGETS[1], TARGETS[2], TARGETS[1]]


def test_of_equal_sources_the_first_answers(nearest: NearestSentence) -> None:
    assert nearest.translate(["Hello!", "hello !"]) == ["Hallo!", "Hallo!"]


@given(st.lists(TEXTS, min_size=1, max_size=8), st.lists(TEXTS, min_size=1, max_size=4))
def test_it_equals_a_search_through_all_similarities(sources: list[str], queries: list[str]) -> None:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    values = vectorizer.fit_transform(sources)
    similar = cosine_similarity(vectorizer.transform(queries), values)
    targets = [str(i) for i in range(len(sources))]
    answers = NearestSentence.fit(sources, targets).translate(queries)
    for answer, row in zip(answers, similar, strict=True):
        assert row[int(answer)] == pytest.approx(row.max()) or row.max() == 0


def test_unknown_words_are_compared_by_their_characters(nearest: NearestSentence) -> None:
    assert nearest.translate(["catlike", "snowy", "HELLOOOO"]) == [TARGETS[3], TARGETS[2], TARGETS[4]]
    chinese = NearestSentence.fit(["我喜欢狗", "今天天气很好"], ["I like dogs", "nice weather"])
    assert chinese.translate(["天气很好", "他也喜欢狗"]) == ["nice weather", "I like dogs"]


def test_what_is_like_nothing_gets_the_most_frequent_target() -> None:
    nearest = NearestSentence.fit(["one", "two", "three", "four"], ["a", "b", "b", "a"])
    assert nearest.translate(["Ж", "\N{PARTY POPPER}", ""]) == ["a", "a", "a"]


@pytest.mark.parametrize("text", ["", " \n", "\0", "\ud800", "x" * 9999, "a " * 9999, "\N{PARTY POPPER}" * 9])
def test_odd_text_is_answered(text: str, nearest: NearestSentence) -> None:
    assert nearest.translate([text])[0] in TARGETS
    assert NearestSentence.fit([text, "a b"], ["odd", "plain"]).translate([text, "a b"]) == ["odd", "plain"]


def test_one_row_answers_all() -> None:
    assert NearestSentence.fit([""], ["only"]).translate(["", "anything", "?"]) == ["only"] * 3


def test_no_sources_have_no_answers(nearest: NearestSentence) -> None:
    assert nearest.translate([]) == []


@pytest.mark.parametrize(("sources", "targets"), [([], []), (["a", "b"], ["c"]), ([], ["c"])])
def test_there_must_be_pairs_to_learn_from(sources: list[str], targets: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(sources)} sources and {len(targets)} targets"):
        NearestSentence.fit(sources, targets)


def sentences(rows: int, seed: int) -> list[str]:
    """Of words that are as unevenly frequent as in a language."""
    words = np.random.default_rng(seed).zipf(1.3, (rows, 12)) % 20_000
    return [" ".join(f"w{i}" for i in row) for row in words]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, queries = sentences(300, seed=0), sentences(50, seed=1)
    nearest = NearestSentence.fit(sources, sources)
    whole = nearest.translate(queries)
    monkeypatch.setattr(retrieval, "_BLOCK", 1000)
    assert nearest.translate(queries) == whole


def test_thousands_of_rows_take_seconds() -> None:
    sources = sentences(30_000, seed=0)
    started = time.process_time()
    answers = NearestSentence.fit(sources, sources).translate(sources[:1000])
    assert time.process_time() - started < 20  # 3 on an idle machine
    assert answers == sources[:1000]
