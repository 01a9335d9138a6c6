"""Every pair says the same in both languages, and a text has one translation only."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.phrases import phrase_pairs
from toolkit.errors import DataError

_LOCALES = ("en", "es", "hi", "fr", "de", "zh", "ja", "ar", "ru", "pt_BR")


@pytest.fixture(scope="module")
def spanish():
    return dict(phrase_pairs("en", "es", 12_000, 1))


@pytest.mark.parametrize(
    ("form", "english", "spanish_form"),
    [
        ("date", r"\w+day, January 5, \d{4}", r"\w+, 5 de enero de \d{4}"),
        ("short date", r"(\d+)/(\d+)/(\d{4})", r"\2/\1/\3"),
        ("day without a year", r"Mon, Aug (\d+)", r"lun, \1 ago"),
        ("quarter", r"2nd quarter (\d+)", r"2.º trimestre de \1"),
        ("time", r"(\d+):(\d\d) AM", r"\d+:\2"),
        ("span to come", r"in (\d{2}) days", r"dentro de \1 días"),
        ("span gone by", r"(\d{2}) weeks ago", r"hace \1 semanas"),
        ("number", r"(\d{3}),(\d{3})\.(\d+)", r"\1.\2,\3"),
        ("percentage", r"(\d)\.(\d)%", r"\1,\2 %"),
        ("sum", r"\$(\d{3})\.(\d\d)", r"\1,\2 US\$"),
        ("long sum", r"(\d\d) US dollars", r"\1 dólares estadounidenses"),
        ("measure", r"(\d\d) kilometers", r"\1 kilómetros"),
        ("short measure", r"(\d)\.(\d) km", r"\1,\2 km"),
        ("names", r"Monday", r"lunes"),
    ],
)
def test_the_same_is_said_in_spanish(spanish, form, english, spanish_form):
    found = [(match, spanish[match.string]) for text in spanish if (match := re.fullmatch(english, text))]
    assert found, form
    for match, translation in found:
        expected = re.sub(r"\\(\d)", lambda group, match=match: re.escape(match[int(group[1])]), spanish_form)
        assert re.fullmatch(expected, translation), (match.string, translation)


def test_numbers_are_written_in_words(spanish):
    for english, words in (("fifty-three", "cincuenta y tres"), ("sixteen", "dieciséis")):
        found = [spanish[text] for text in spanish if text.endswith(f"hundred and {english}")]
        assert found
        assert all(translation.endswith(f" {words}") for translation in found)
    found = [spanish[text] for text in spanish if text.endswith("hundred and first")]
    assert found
    assert all(translation.endswith("gentésimo primero") for translation in found)


def test_afternoon_and_midnight_become_hours_of_a_day_with_24(spanish):
    hours = {"12 AM": "0", "1 AM": "1", "12 PM": "12", "1 PM": "13", "11 PM": "23"}
    found = {}
    for text, translation in spanish.items():
        if match := re.fullmatch(r"(\d+):(\d\d) ([AP]M)", text):
            hour, minute = translation.split(":")
            assert minute == match[2]
            assert hours.get(f"{match[1]} {match[3]}", hour) == hour
            found[f"{match[1]} {match[3]}"] = hour
    assert found.keys() >= hours.keys()


def test_one_is_a_singular_however_it_is_drawn(spanish):
    assert {"1 kilometer", "1 pound", "1 euro"} <= spanish.keys()
    assert not [text for text in spanish if re.fullmatch(r"1 \w+(meter|gram|liter|dollar|euro)s", text)]


def test_zero_has_no_sign(spanish):
    assert spanish["0"] == "0"
    assert "-0" not in spanish


def test_a_date_that_looks_long_and_medium_is_the_long_one(spanish):
    may = {text: translation for text, translation in spanish.items() if re.fullmatch(r"May \d+, \d{4}", text)}
    assert may
    assert all(" de mayo de " in translation for translation in may.values())
    assert any(re.fullmatch(r"\d+ jun \d{4}", translation) for translation in spanish.values())


@pytest.mark.parametrize("source", _LOCALES)
def test_a_text_has_the_same_translation_in_every_draw(source):
    target = "en" if source != "en" else "es"
    known: dict[str, str] = {}
    for seed in range(3):
        for text, translation in phrase_pairs(source, target, 1000, seed):
            assert known.setdefault(text, translation) == translation


def test_no_text_comes_twice_and_the_seed_decides(spanish):
    pairs = phrase_pairs("en", "es", 500, 1)
    assert len(dict(pairs)) == len(pairs) == 500
    assert pairs == list(spanish.items())[:500], "fewer rows are the first of more"
    assert pairs != phrase_pairs("en", "es", 500, 2)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(_LOCALES), st.sampled_from(_LOCALES), st.integers(0, 60), st.integers(0, 2**32))
def test_texts_are_short_and_have_plain_blanks_only(source, target, rows, seed):
    pairs = phrase_pairs(source, target, rows, seed)
    assert len(pairs) == rows
    for text in (text for pair in pairs for text in pair):
        assert 0 < len(text) <= 80
        assert text == " ".join(text.split())
        assert not re.search("[\u00a0\u200e\u200f\u2009\u202f]", text)


def test_months_are_those_of_the_language_whichever_was_asked_before():
    for source, target, other in (("zh", "ja", "[一-十]月"), ("ja", "zh", "[1-9]月、")):
        assert not [text for _, text in phrase_pairs(source, target, 1500, 1) if re.search(other, text)]


@pytest.mark.parametrize("target", ["aa", "de", "hi", "ja", "nl", "sv", "th", "zh"])
def test_units_are_never_names_of_the_data_format(target):
    assert not [
        text for _, text in phrase_pairs("en", target, 2000, 0) if re.search(r"\b[a-z]+-(mile|hour|foot)", text)
    ]


@pytest.mark.parametrize(
    ("target", "cardinals", "ordinals"),
    [("es", True, True), ("cs", True, False), ("hi", False, False), ("zh", False, False), ("fil", False, False)],
)
def test_numbers_in_words_are_left_out_where_a_language_lacks_them(target, cardinals, ordinals):
    texts = [text for text, _ in phrase_pairs("en", target, 1000, 0)]
    assert len(texts) == 1000
    assert any("thousand" in text for text in texts) == cardinals
    assert any(text.endswith(("first", "third", "tieth", "hundredth")) for text in texts) == ordinals


@pytest.mark.parametrize("name", ["xx", "english", "", "e", "en es", "🙂", "../en", "en_" * 1000, "en\n"])
def test_an_unknown_language_is_named_with_some_that_are_known(name):
    for pair in ((name, "en"), ("en", name)):
        with pytest.raises(DataError, match=r"(?s)no locale data .* es, fr, hi"):
            phrase_pairs(*pair, 1, 0)


def test_a_region_may_be_written_either_way():
    assert phrase_pairs("en", "pt-BR", 50, 0) == phrase_pairs("en", "pt_BR", 50, 0) != phrase_pairs("en", "pt", 50, 0)


def test_thousands_of_pairs_take_a_moment():
    started = time.process_time()
    phrase_pairs("en", "es", 3_000, 0)
    assert time.process_time() - started < 2
