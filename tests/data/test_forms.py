"""What a word looks like is told apart, whatever its alphabet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.forms import FORMS, form_of


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("course", "small"),
        ("o'neill", "small"),
        ("İstanbul", "Capital"),
        ("Katie", "Capital"),
        ("A", "Capital"),
        ("EECS", "CAPITALS"),
        ("McDonald", "miXed"),
        ("7", "1 digit"),
        ("١٢", "2 digits"),
        ("485", "3 digits"),
        ("2016", "4 digits"),
        ("48104", "more digits"),
        ("B12", "letters and digits"),
        ("￭?", "sign"),
        ("new york", "several words"),
        ("北京", "small"),
    ],
)
def test_a_word_has_its_form(word, form):
    assert FORMS[form_of(word)] == form


@given(st.text(min_size=1))
def test_anything_has_a_form(word):
    assert 0 <= form_of(word) < len(FORMS)
