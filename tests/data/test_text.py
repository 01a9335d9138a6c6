"""Text becomes the same words and numbers in training and in prediction."""

import time
import unicodedata
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.data.text import (
    NGRAMS,
    RESERVED,
    UNKNOWN,
    TextEncoder,
    ngram_ids,
    spans_of,
    split_words,
    vocabulary_words,
)

WORDS = [*RESERVED, "do", "n't", "stop", "!"]


def _split(text, *, lowercase=True, punctuation=True, limit=100):
    return split_words(text, lowercase=lowercase, punctuation=punctuation, limit=limit)


def _encoder(**changes):
    settings = dict(lowercase=True, punctuation=True, max_tokens=8, multiple=4, buckets=0)
    return TextEncoder(WORDS, **{**settings, **changes})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", ["do", "n't", "stop", "!"]),
        ("I can't; they're John's", ["i", "ca", "n't", ";", "they", "'re", "john", "'s"]),
        ("CAN'T WON'T", ["ca", "n't", "wo", "n't"]),
        ("I'd, we'll, I've, I'm", ["i", "'d", ",", "we", "'ll", ",", "i", "'ve", ",", "i", "'m"]),
        ("he’s “fine” isn’t ‘x’", ["he", "'s", '"', "fine", '"', "is", "n't", "'", "x", "'"]),
        ("rock 'n' roll 'dog", ["rock", "'", "n", "'", "roll", "'", "dog"]),
        ("O'Neil n'tuple", ["o", "'", "neil", "n", "'", "tuple"]),
        ("café naïve Ünal", ["café", "naïve", "ünal"]),
        ("snake_case ___", ["snake", "case"]),
        ("3.14, 50%", ["3", ".", "14", ",", "50", "%"]),
        ("a\u00a0b\u3000c\td\r\ne", ["a", "b", "c", "d", "e"]),
        ("no👍🏽way", ["no", "👍", "🏽", "way"]),
        ("한국어 문장, مرحبا بالعالم", ["한국어", "문장", ",", "مرحبا", "بالعالم"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_text_is_split_into_words_and_signs(text, words):
    assert _split(text) == words


@pytest.mark.parametrize("word", ["हिन्दी", "cafe\u0301", "İstanbul"])
def test_marks_stay_with_their_letters(word):
    assert len(_split(word)) == 1


def test_all_marks_of_unicode_stay_with_their_letters():
    marks = [chr(i) for i in range(0x20000) if unicodedata.category(chr(i)).startswith("M")]
    assert len(_split(" ".join(f"a{mark}b" for mark in marks), limit=10**6)) == len(marks) > 2000


def test_a_word_is_the_same_however_its_accents_are_written():
    assert _split("cafe\u0301") == _split("caf\u00e9") == ["café"]


def test_capitals_are_kept_where_asked():
    assert _split("Don't Stop", lowercase=False) == ["Do", "n't", "Stop"]


def test_without_punctuation_only_signs_that_carry_meaning_are_read():
    words = _split("Don't (stop), it's 50% off: $5! Why?", punctuation=False)
    assert words == ["do", "n't", "stop", "it", "'s", "50", "off", "$", "5", "!", "why", "?"]


def test_only_the_first_words_are_read():
    assert _split("a b c d e", limit=3) == ["a", "b", "c"]
    assert _split("n't " * 9, limit=2) == ["n't", "n't"]


def test_the_beginning_of_an_endless_word_stands_for_it():
    assert _split("x" * 1000 + " y") == ["x" * 64, "y"]


@given(st.text(max_size=60), st.booleans(), st.integers(1, 20))
@example("n't'n't", True, 5)
def test_words_hold_no_space_and_nothing_that_the_text_lacks(text, lowercase, limit):
    words = _split(text, lowercase=lowercase, limit=limit)
    assert len(words) <= limit
    assert all(word and not any(map(str.isspace, word)) for word in words)
    if not lowercase:
        remaining = iter(unicodedata.normalize("NFC", text.translate(str.maketrans("’‘“”", "''\"\""))))
        assert all(character in remaining for word in words for character in word)


@pytest.mark.parametrize("piece", ["a", "a ", "n'", "'", " ", "İ", "don't "])
def test_a_text_of_megabytes_is_quick(piece):
    text = piece * (4_000_000 // len(piece))
    started = time.process_time()
    assert len(_split(text, limit=1000)) <= 1000
    assert time.process_time() - started < 0.5


def test_the_most_frequent_words_follow_the_reserved_ones():
    counts = Counter(b=3, a=2, c=1)
    assert vocabulary_words(counts, min_count=1, max_words=10) == [*RESERVED, "b", "a", "c"]
    assert vocabulary_words(counts, min_count=2, max_words=10) == [*RESERVED, "b", "a"]
    assert vocabulary_words(counts, min_count=1, max_words=1) == [*RESERVED, "b"]


def test_texts_are_the_places_of_their_words():
    found = _encoder().encode(["Don't stop!", "stop now", ""])
    assert found.sequences == [[2, 3, 4, 5], [4, UNKNOWN], [UNKNOWN]]
    assert found.unknown_words == []
    assert found.lengths.tolist() == [4, 2, 1]


def test_a_word_that_the_vocabulary_lacks_as_written_is_looked_up_in_lower_case():
    encoder = TextEncoder(
        [*RESERVED, "us", "US"], lowercase=False, punctuation=True, max_tokens=8, multiple=4, buckets=9
    )
    encoded = encoder.encode(["US Us us THEM"])
    assert encoded.sequences == [[3, 2, 2, 4]]
    assert encoded.unknown_words == ["THEM"]


def test_blanks_between_words_take_no_room():
    assert _split("\n" * 500 + "Dear all," + " " * 500 + "thanks", limit=4) == ["dear", "all", ",", "thanks"]


def test_words_beyond_the_limit_are_not_read():
    assert _encoder(max_tokens=2).encode(["stop stop stop"]).sequences == [[4, 4]]


@given(st.lists(st.text(max_size=20), max_size=4), st.sampled_from([0, 7]), st.booleans())
@example(["", " ", "___", ",.", "\u0301"], 0, True)
@example(["", " ", "___", ",.", "\u0301"], 7, False)
def test_no_text_is_ever_an_empty_sequence(texts, buckets, punctuation):
    encoder = _encoder(buckets=buckets, punctuation=punctuation)
    encoded = encoder.encode(texts)
    assert len(encoded.sequences) == len(texts)
    assert all(encoded.sequences)
    if texts:
        inputs = encoder.inputs(encoded, range(len(texts)))
        assert inputs["lengths"].tolist() == encoded.lengths.tolist()


def test_unknown_words_have_numbers_past_the_vocabulary_that_stand_for_their_ngrams():
    encoder = _encoder(buckets=50)
    encoded = encoder.encode(["stop foo", "bar foo baz", "", "do"])
    assert encoded.sequences == [[4, 6], [7, 6, 8], [UNKNOWN], [2]]
    assert encoded.unknown_words == ["foo", "bar", "baz"]
    inputs = encoder.inputs(encoded, [1, 3])
    assert inputs["lengths"].tolist() == [3, 1]
    unknown = inputs["tokens"] - len(WORDS)
    words = ["bar", "foo", "baz"]
    for place, word in enumerate(words):
        np.testing.assert_array_equal(inputs["unknown_ngrams"][unknown[0, place]], ngram_ids([word], 50)[0])
    assert inputs["unknown_ngrams"].shape == (3, NGRAMS)
    assert inputs["tokens"][1].tolist() == [2, 0, 0, 0]


def test_a_batch_of_known_words_still_has_a_row_of_ngrams():
    encoder = _encoder(buckets=50)
    inputs = encoder.inputs(encoder.encode(["stop foo", "do"]), [1])
    assert inputs["unknown_ngrams"].shape == (1, NGRAMS)
    assert (inputs["tokens"] < len(WORDS)).all()


def test_batches_are_padded_as_asked():
    encoder = _encoder()
    encoded = encoder.encode(["stop", "do stop do stop do"])
    assert encoder.inputs(encoded, [0])["tokens"].shape == (1, 4)
    assert encoder.inputs(encoded, [1, 0])["tokens"].shape == (2, 8)
    assert encoder.inputs(encoded, [0], shortest=9)["tokens"].shape == (1, 12)
    assert encoder.inputs(encoded, [1], multiple=3)["tokens"].shape == (1, 8)
    assert encoder.inputs(encoded, [1], multiple=7)["tokens"].shape == (1, 7)


@pytest.mark.parametrize(("unknown", "rows"), [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 32)])
def test_unknown_words_are_filled_up_where_shapes_are_to_repeat(unknown, rows):
    encoder, words = _encoder(buckets=50), [f"a{i}" for i in range(unknown)]
    encoded = encoder.encode(["stop", *words])
    ngrams = encoder.inputs(encoded, range(unknown + 1), multiple=8)["unknown_ngrams"]
    assert ngrams.shape == (rows, NGRAMS)
    np.testing.assert_array_equal(ngrams[:unknown], ngram_ids(words, 50))


def test_ngrams_are_those_between_the_borders_of_a_word():
    grams = ["<ab", "ab>", "<ab>"]
    expected = [zlib.crc32(gram.encode()) % 1000 + 1 for gram in grams]
    ids = ngram_ids(["ab", "a"], 1000)
    assert ids.shape == (2, NGRAMS)
    assert ids[0].tolist() == expected + [0] * (NGRAMS - 3)
    assert ids[1].tolist() == [zlib.crc32(b"<a>") % 1000 + 1] + [0] * (NGRAMS - 1)


def test_ngrams_fit_their_table_and_a_long_word_has_its_first():
    ids = ngram_ids(["x" + "abc" * 21], 7)
    assert ((ids > 0) & (ids <= 7)).any()
    assert ids.max() <= 7


def test_half_an_emoji_as_json_may_hold_it_can_be_encoded():
    encoder = _encoder(buckets=50)
    encoded = encoder.encode(["\ud83d stop"])
    assert 4 in encoder.inputs(encoded, [0])["tokens"]


def test_words_can_be_written_also_where_the_text_held_half_an_emoji():
    assert "stop" in [word.encode().decode() for word in _split("\ud83d stop")]


def test_words_are_known_in_lower_case_too():
    settings = dict(lowercase=False, punctuation=True, max_tokens=9, multiple=1)
    for buckets in (0, 8):
        encoder = TextEncoder([*RESERVED, "the", "cat"], buckets=buckets, **settings)
        ids = encoder.encode(["The Cat sat", "", "a mat"]).sequences
        assert [encoder.unknown(each) for each in ids] == [1, 1, 2]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("They don't  refund.", ["They", "do", "n't", "refund", "."]),
        ("\u201cNo\u201d \u2019t ok", ["\u201c", "No", "\u201d", "ok"]),
        ("a A a", ["a", "A", "a"]),
        ("", []),
    ],
)
def test_words_are_found_where_they_stand(text, parts):
    words = split_words(text, lowercase=True, punctuation=True, limit=99)
    found = [text[span] for span in spans_of(words, text)]
    assert [part for part in found if part in parts] == parts
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
