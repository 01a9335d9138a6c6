"""What people type is read as the texts to learn from were written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.alphabet import MARKS, Alphabet
from toolkit.stored import from_json, to_json

CLEANED = Alphabet.of(["what states border texas", "dont go", "how big is it"])


def test_texts_without_capitals_and_marks_say_so():
    assert Alphabet(capitals=False, marks="") == CLEANED
    assert Alphabet.of(["He said: “No.”", "I don't"]) == Alphabet(capitals=True, marks="'“”.:", begin=True)
    assert Alphabet.of([]) == Alphabet(capitals=True, marks="")


def test_what_is_rare_counts_as_missing():
    many = ["what is it"] * 20_000
    assert Alphabet.of([*many, "it’s"]).marks == ""
    assert Alphabet.of([*many, *["it’s"] * 3]).marks == "’"
    assert not Alphabet.of([*many, *["Rome"] * 100]).capitals
    assert Alphabet.of([*many, *["Rome"] * 300]).capitals


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a man sleeps", "A man sleeps"),
        ('"is it?"', '"Is it?"'),
        ("iPhone users", "iPhone users"),
        ("3 dogs", "3 dogs"),
        ("Dogs", "Dogs"),
        ("", ""),
    ],
)
def test_a_text_begins_with_a_capital_where_nearly_all_do(text: str, read: str):
    known = ["A dog runs.", '"Who is it?"', "3 cats", "iPhone"] * 50
    assert Alphabet.of([*known, "a dog"]).read(text) == read
    assert not Alphabet.of([*known, "a dog"]).loses(text)
    assert Alphabet.of([*known, *["a dog"] * 9]).read(text) == text


def test_texts_whose_letters_have_no_case_leave_capitals_alone():
    assert Alphabet.of(["这是什么", "我很好"]).capitals
    assert Alphabet.of(["यह क्या है", "Tom यहाँ है"]).capitals
    assert Alphabet.of(["यह क्या है", "Tom यहाँ है"]).read("यह Mary है") == "यह Mary है"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("What states border Texas?", "what states border texas"),
        ("don't", "dont"),
        ("DON’T stop", "dont stop"),
        ("cross-country", "cross country"),
        ("about 3.14 or 1,000 at 10:30", "about 3.14 or 1,000 at 10:30"),
        ("in 1999.", "in 1999"),
        ("C++ & x_1 = 50 %", "c++ & x_1 = 50 %"),
    ],
)
def test_capitals_and_unknown_marks_are_not_read(text: str, read: str):
    assert " ".join(CLEANED.read(text).split()) == read
    assert CLEANED.loses(text) == (text != text.lower() or read != text.lower())


def test_a_mark_is_read_as_a_known_one_that_looks_like_it_and_nothing_is_lost():
    plain = Alphabet.of(['He didn\'t say "no" - why, or when?'])
    assert plain.read("“Don’t” – 为什么？") == '"Don\'t" - 为什么?'
    assert not plain.loses("“Don’t” – 为什么？")
    assert plain.loses("(so)")


def test_what_is_lacking_is_told_in_words():
    assert CLEANED.lacks == "capitals and no marks such as . , ? ! ; : ' \" - ( )"
    assert Alphabet(marks=MARKS.replace(";", "")).lacks == "marks such as ;"
    assert Alphabet(capitals=False).lacks == "capitals"
    assert Alphabet().lacks == ""


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20))
def test_the_texts_it_is_of_are_read_as_they_stand_and_twice_is_once(texts: list[str]):
    alphabet = Alphabet.of(texts)
    for text in texts:
        assert alphabet.read(text) == (text if alphabet.capitals else text.lower())
        assert not alphabet.loses(text) or not alphabet.capitals
    for text in ("“Is it?”—1.5…", "A-b (c)", *texts):
        assert alphabet.read(alphabet.read(text)) == alphabet.read(text)
    assert from_json(Alphabet, json.loads(json.dumps(to_json(alphabet)))) == alphabet
