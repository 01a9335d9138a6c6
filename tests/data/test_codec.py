"""Texts become ids and come back as they were, whatever they hold."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.data.codec import END, PADDING, RESERVED, START, UNKNOWN, TextCodec, fit_codec, normalize
from toolkit.errors import ArtifactError, ConfigError, DataError
from toolkit.stored import to_json

KINDS = ["bpe", "unigram", "words", "dotted", "characters"]
TEXTS = [
    "Ein Hund läuft im Schnee.",
    "Zwei Hunde laufen im Schnee, eine Frau läuft auch.",
    "लड़का पार्क में दौड़ता है।",
    "SELECT name FROM cities WHERE size >= 10 AND name = 'Rom';",
    "A man's dog doesn't run.",
] * 4
HOSTILE = [
    "",
    " ",
    "<s> </s> <unk> <pad>",
    "a<s>b</s>",
    "￭ x￭y ▁ ■",
    "Ġhouse Ċ ##ing",
    "e\u0301 \u0301 !\u0301",
    "👩‍🚀 ❤️👍🏽hi",
    "क्‍ष है।",
    "می‌خواهم",
    "\ud83d half",
    "\x00a\x1fb\x85c\u2028d\u3000e",
    "\ufeffa\u200b\u202eb",
    "don't (stop)--now!  3,50€",
    "x" * 3000,
]
EVERYTHING = 1_000_000  # more pieces than any text here has


@pytest.fixture(scope="module")
def codecs():
    return {kind: fit_codec(kind, TEXTS, size=400, lowercase=False) for kind in KINDS}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  a\tb\r\nc\u00a0\u3000d ", "a b c d"),
        ("a\x00b\x9fc", "a b c"),
        ("cafe\u0301", "caf\u00e9"),
        ("x\ud83dy", "x?y"),
        ("￭▁", "■_"),
        ("\u200d", "\u200d"),
        ("", ""),
    ],
)
def test_what_is_kept_of_a_text(text, normal):
    assert normalize(text) == normal


@given(st.text(max_size=40))
def test_a_normal_text_stays_as_it_is(text):
    assert normalize(normalize(text)) == normalize(text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_comes_back(codecs, kind):
    codec = codecs[kind]

    @given(st.text(max_size=40))
    def comes_back(text):
        (pieces,) = codec.split([text], EVERYTHING)
        assert codec.join(pieces) == normalize(text)

    for text in [*TEXTS, *HOSTILE]:
        comes_back = example(text)(comes_back)
    comes_back()


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=40), limit=st.integers(0, 12))
def test_ids_and_pieces_are_the_same_first_ones(codecs, kind, text, limit):
    codec = codecs[kind]
    (ids,), (pieces,) = codec.encode([text], limit), codec.split([text], limit)
    assert ids == [codec.ids.get(piece, UNKNOWN) for piece in pieces]
    assert len(ids) <= limit
    assert pieces == codec.split([text], EVERYTHING)[0][:limit]


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_can_say_a_reserved_piece(codecs, kind):
    for ids in codecs[kind].encode(["<s>a</s> <pad><unk>", *TEXTS, *TEXTS[0]], EVERYTHING):
        assert not {PADDING, START, END} & set(ids)
    texts = ["<s> <s> </s> </s>"] * 9  # not even one that is learned from them
    for ids in fit_codec(kind, texts, size=400, lowercase=False).encode(texts, EVERYTHING):
        assert min(ids) >= len(RESERVED)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_nothing_is_unknown_to_pieces_written_as_bytes(codecs, kind):
    assert all(UNKNOWN not in ids for ids in codecs[kind].encode(["日本 😀 Ελλάδα \x7f", *HOSTILE], EVERYTHING))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_codec(codecs, kind):
    assert fit_codec(kind, TEXTS, size=400, lowercase=False) == codecs[kind]


@pytest.mark.parametrize(
    ("kind", "size"), [("bpe", 261), ("bpe", 300), ("unigram", 261), ("unigram", 275), ("words", 9)]
)
def test_a_vocabulary_is_as_large_as_it_may_be(kind, size):
    codec = fit_codec(kind, TEXTS, size=size, lowercase=False)
    assert tuple(codec.pieces[:4]) == RESERVED
    assert len(codec.pieces) == size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["İstanbul", "ΟΔΟΣ'Α", "ΟΔΟΣ.ΑΒ", "J̌ab"])
def test_no_word_of_training_is_unknown_however_it_is_lowered(kind, text):
    codec = fit_codec(kind, [text] * 3, size=400, lowercase=True)
    assert UNKNOWN not in codec.encode([text], 50)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_capitals_are_lost_only_where_asked(codecs, kind):
    codec = fit_codec(kind, TEXTS, size=400, lowercase=True)
    for capitals in (False, True):
        pieces = codec.split(TEXTS, EVERYTHING, capitals=capitals)
        assert [[codec.id_of(piece) for piece in each] for each in pieces] == codec.encode(TEXTS, EVERYTHING)
    assert codec.join(codec.split(["Ein İ HUND"], 50)[0]) == normalize("ein i\u0307 hund")
    if kind not in ("bpe", "unigram"):
        assert codec.join(codec.split(["Ein İ HUND"], 50, capitals=True)[0]) == "Ein İ HUND"
    assert codec.encode(["FRAU"], 50) == codec.encode(["Frau"], 50)
    assert codecs[kind].encode(["FRAU"], 50) != codecs[kind].encode(["Frau"], 50)


@pytest.mark.parametrize("kind", KINDS)
def test_reserved_pieces_are_not_spoken_but_unknown_ones_are_seen(codecs, kind):
    codec = codecs[kind]
    (pieces,) = codec.split(["Hund im Schnee"], 50)
    assert codec.join(["<s>", *pieces, "</s>", "<pad>"]) == "Hund im Schnee"
    assert "<unk>" in codec.join([*pieces, "<unk>"])
    assert codec.join([]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_model_writes_is_one_line_of_text(codecs, kind):
    codec = codecs[kind]

    @given(st.lists(st.sampled_from(codec.pieces), max_size=12))
    @example(["Ċ", "č", "Ġ", "Ġ", "â", "Ł"])
    @example(["￭", "￭.￭", "￭(", ")￭"])
    def is_one_line(pieces):
        text = codec.join(pieces)
        assert normalize(text) == text
        assert len(text.splitlines()) <= 1

    is_one_line()


CODE = "for x in rows:\n  if x:\n    print(x)\n\n  y = x\nprint(y)"


@pytest.mark.parametrize("kind", KINDS)
def test_layout_comes_back_where_it_is_kept(kind):
    codec = fit_codec(kind, [CODE] * 3, size=400, lowercase=False, indent="  ")
    (pieces,) = codec.split([CODE], EVERYTHING)
    assert codec.join(pieces) == CODE
    assert codec.split([CODE.replace("  ", "\t")], EVERYTHING) == [pieces]
    flat = fit_codec(kind, [CODE] * 3, size=400, lowercase=False)
    assert flat.join(flat.split([CODE], EVERYTHING)[0]) == normalize(CODE)


def test_signs_of_layout_are_shown_as_they_are():
    codec = fit_codec("words", [CODE], size=400, lowercase=False, indent="  ")
    assert [codec.shown(piece) for piece in codec.split(["a:\n  b"], 9)[0]] == ["a", ":", "⇥", "b"]


def test_pieces_of_runs_before_layout_was_kept_are_read(codecs):
    value = to_json(codecs["words"])
    del value["indent"]
    assert TextCodec.from_json(value, "target.json") == codecs["words"]


def test_a_word_is_the_same_piece_wherever_it_stands(codecs):
    split = codecs["words"].split
    assert split(["f(x) >= -y.z_1"], 50) == [["f", "￭(￭", "x", "￭)", ">", "￭=", "-￭", "y", "￭.￭", "z_1"]]
    assert split(['say "x y"!'], 50) == [["say", '"￭', "x", "y", '￭"', "￭!"]]
    assert split(["हिन्दी, café"], 50) == [["हिन्दी", "￭,", "café"]]


def test_dotted_names_stay_whole_and_numbers_and_ends_of_sentences_are_no_names(codecs):
    split = codecs["dotted"].split
    assert split(["-y.z_1 = a.b.c"], 50) == [["-￭", "y.z_1", "=", "a.b.c"]]
    assert split(["end. x.1 3.5 .y"], 50) == [["end", "￭.", "x", "￭.￭", "1", "3", "￭.￭", "5", ".￭", "y"]]


def test_words_that_the_vocabulary_lacks_are_seen_and_can_be_copied(codecs):
    codec = codecs["words"]
    assert codec.encode(["Hund Zyx"], 50)[0] == [codec.ids["Hund"], UNKNOWN]
    (pieces,) = codec.split(["Hund Zyx/abc"], 50)
    assert pieces == ["Hund", "Zyx", "￭/￭", "abc"]
    assert codec.join(["Ein", *pieces[1:2], "￭."]) == "Ein Zyx."


def test_the_most_frequent_pieces_are_kept_and_ties_go_by_name():
    assert fit_codec("words", ["b a b", "c b a"], size=99, lowercase=False).pieces[4:] == ["b", "a", "c"]
    assert fit_codec("words", ["b a c"], size=6, lowercase=False).pieces[4:] == ["a", "b"]
    assert fit_codec("words", ["b a b", "c"], size=99, lowercase=False, min_count=2).pieces[4:] == ["b"]
    assert fit_codec("characters", ["ba b"], size=99, lowercase=False).pieces[4:] == ["b", "a", "▁"]


def test_pieces_seen_once_are_not_merged():
    codec = fit_codec("bpe", ["abc abc xyz"], size=400, lowercase=False)
    assert codec.split(["abc xyz"], 9) == [["Ġabc", "Ġ", "x", "y", "z"]]


def test_marks_do_not_cut_words_into_pieces():
    codec = fit_codec("bpe", ["हिन्दी हिन्दी"], size=400, lowercase=False)
    assert len(codec.split(["हिन्दी"], 99)[0]) == 1


@pytest.mark.parametrize(
    ("kind", "piece", "seen"),
    [
        ("bpe", "ĠLÃ¤ufer", "Läufer"),
        ("bpe", "Ġ", "▁"),
        ("unigram", "Ã", "�"),
        ("words", "￭(￭", "("),
        ("words", "Hund", "Hund"),
        ("characters", "▁", "▁"),
        ("words", "</s>", "</s>"),
        ("bpe", "<unk>", "<unk>"),
    ],
)
def test_a_piece_is_shown_as_people_read_it(codecs, kind, piece, seen):
    assert codecs[kind].shown(piece) == seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_codec_comes_back_from_json(codecs, kind):
    codec = TextCodec.from_json(json.loads(json.dumps(to_json(codecs[kind]))), "target.json")
    assert codec == codecs[kind]
    assert codec.encode(TEXTS, 50) == codecs[kind].encode(TEXTS, 50)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("words", {"kind": "syllables"}),
        ("words", {"kind": ["words"]}),
        ("words", {"lowercase": 1}),
        ("words", {"pieces": []}),
        ("words", {"pieces": ["a", *RESERVED]}),
        ("words", {"pieces": [*RESERVED, "a", "a"]}),
        ("words", {"pieces": [*RESERVED, 5]}),
        ("words", {"pieces": {"a": 1}}),
        ("words", {"pieces": "<pad>"}),
        ("words", {"merges": ["a b"]}),
        ("words", {"scores": [0.0]}),
        ("words", {"more": 1}),
        ("words", {"indent": "x"}),
        ("words", {"indent": " " * 9}),
        ("words", {"indent": None}),
        ("bpe", {"pieces": [*RESERVED, "a"], "merges": []}),
        ("bpe", {"merges": ["a"]}),
        ("bpe", {"merges": ["a b c"]}),
        ("bpe", {"merges": ["a <pad>"]}),
        ("bpe", {"merges": [["a", "b"]]}),
        ("bpe", {"merges": None}),
        ("unigram", {"scores": []}),
        ("unigram", {"scores": 3}),
        ("unigram", {"scores": [float("nan")] * 400}),
        ("unigram", {"scores": [-1e300] * 400}),
        ("unigram", {"scores": ["-1"] * 400}),
    ],
)
def test_damaged_pieces_are_refused(codecs, kind, changes):
    with pytest.raises(ArtifactError, match=r"target\.json: these pieces are damaged"):
        TextCodec.from_json({**to_json(codecs[kind]), **changes}, "target.json")


@pytest.mark.parametrize("value", [None, [], "words", {}, {"kind": "words"}])
def test_what_is_no_codec_is_refused(value):
    with pytest.raises(ArtifactError, match="damaged"):
        TextCodec.from_json(value, "target.json")


def test_halves_of_characters_among_the_pieces_are_refused_or_never_written(codecs):
    value = to_json(codecs["bpe"])
    with pytest.raises(ArtifactError, match="damaged"):
        TextCodec.from_json({**value, "pieces": [*value["pieces"], "\ud800"]}, "target.json")
    codec = TextCodec.from_json({**to_json(codecs["words"]), "pieces": [*RESERVED, "\ud800\n"]}, "target.json")
    assert codec.join(["\ud800\n"]) == "?"


@pytest.mark.parametrize(("kind", "size"), [("bpe", 260), ("unigram", 260), ("words", 4), ("characters", -1)])
def test_a_size_that_holds_too_little_is_refused(kind, size):
    with pytest.raises(ConfigError, match=f"too few for {kind}. Make it"):
        fit_codec(kind, TEXTS, size=size, lowercase=False)


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_texts_of_which_nothing_is_kept_are_refused(kind):
    with pytest.raises(DataError, match=f"no {kind} that occur 5 times"):
        fit_codec(kind, ["a b"], size=99, lowercase=False, min_count=5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_nothing_is_learned_from_nothing(kind, texts):
    with pytest.raises(DataError, match="no text"):
        fit_codec(kind, texts, size=400, lowercase=False)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("texts", [["a"], ["x" * 5000], ["😀"]])
def test_bytes_are_pieces_however_little_there_is_to_learn_from(kind, texts):
    codec = fit_codec(kind, texts, size=300, lowercase=False)
    assert codec.join(codec.split(["Grüße 😀"], 99)[0]) == "Grüße 😀"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["a ", "x", "हि", "￭", ".", "\n"])
def test_a_text_of_megabytes_is_quick(codecs, kind, part):
    started = time.process_time()
    assert len(codecs[kind].encode([part * 1_000_000], 100)[0]) <= 100
    assert time.process_time() - started < 2
