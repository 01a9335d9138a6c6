"""Capitals are signs of their own, and nothing but capitals is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.capitals import CAPITALS, capitals_of
from toolkit.data.text import split_words
from toolkit.evaluation.linear import text_terms

TEXTS = st.text(st.sampled_from("abCDx' .?<>1é"), max_size=40)


def _split(text: str, *, limit: int = 100, lowercase: bool = True, capitals: bool = True) -> list[str]:
    return split_words(text, lowercase=lowercase, punctuation=True, limit=limit, capitals=capitals)


@pytest.mark.parametrize(
    ("words", "signs"),
    [
        (["What", "is", "NASA"], [None, None, "<AA>"]),
        (["NASA", "is", "What"], ["<AA>", None, "<Aa>"]),
        (["who", "am", "I", "?"], [None, None, "<Aa>", None]),
        (["of", "McDonald", "iPod", "B2"], [None, "<Aa>", None, "<AA>"]),
        (["ein", "Äpfel", "ÄÖ", "中文", "3"], [None, "<Aa>", "<AA>", None, None]),
        ([], []),
    ],
)
def test_words_have_a_capital_or_are_in_capitals(words: list[str], signs: list[str | None]) -> None:
    assert capitals_of(words) == signs


def test_a_sign_stands_before_the_lower_case_word() -> None:
    assert _split("Is Rome in the US?") == ["is", "<Aa>", "rome", "in", "the", "<AA>", "us", "?"]
    assert _split("Is Rome?", lowercase=False) == ["Is", "<Aa>", "Rome", "?"]


@given(TEXTS)
def test_without_the_signs_the_words_are_the_same(text: str) -> None:
    assert [word for word in _split(text) if word not in CAPITALS] == _split(text, capitals=False)


@given(TEXTS)
def test_lower_case_texts_have_no_signs(text: str) -> None:
    assert _split(text.lower()) == _split(text, capitals=False)
    assert text_terms(text.lower(), capitals=True) == text_terms(text)


@given(TEXTS, st.integers(1, 10))
def test_signs_count_as_words_that_are_read(text: str, limit: int) -> None:
    assert _split(text, limit=limit) == _split(text)[:limit]


def test_terms_tell_what_stands_beside_a_word_in_capitals() -> None:
    terms = text_terms("What is NASA?", capitals=True)
    assert terms == [*text_terms("what is nasa?"), "<AA>", "is <AA>", "<AA> ?"]
