"""Texts become what the network reads, and what it writes becomes texts; what can be copied keeps its letters."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from translators import make_codec, make_config, write_pairs

from pipelines.translation.pieces import MOST, SLACK, PairCodec, join_sentences
from pipelines.translation.prepare import prepare
from toolkit.data.alphabet import Alphabet
from toolkit.data.codec import END, UNKNOWN, fit_codec, normalize
from toolkit.data.forms import FORMS
from toolkit.data.values import ColumnValues
from toolkit.errors import ArtifactError

COPYING = make_codec(target=("eins", "zwei", "paris"), copies=True)
SIZE = COPYING.target_size
some_words = st.lists(st.sampled_from(["one", "two", "paris", "eins", "Zoë", "x9", "the"]), min_size=1, max_size=8)


def test_pieces_of_the_source_point_into_the_target_s_vocabulary_or_beyond_it():
    (source,) = COPYING.read(["one paris Zoë two Zoë"])
    assert source.pieces == ["one", "paris", "Zoë", "two", "Zoë"]
    assert source.ids == [4, UNKNOWN, UNKNOWN, 5, UNKNOWN]
    assert source.copies == [SIZE, COPYING.target.ids["paris"], SIZE + 2, SIZE + 3, SIZE + 2]


def test_targets_are_of_the_vocabulary_then_of_the_source_then_unknown():
    sources = COPYING.read(["one Zoë"])
    (target,) = COPYING.targets(sources, ["eins Zoë Oslo paris one"], 8)
    assert target == [4, SIZE + 1, UNKNOWN, 6, SIZE]
    assert make_codec(target=("eins",)).targets(sources, ["eins Zoë"], 8) == [[4, UNKNOWN]]


@given(words=some_words)
def test_what_a_source_holds_is_written_as_it_stands_there(words):
    text = " ".join(words)
    (source,) = COPYING.read([text])
    (target,) = COPYING.targets([source], [text], 8)
    assert UNKNOWN not in target
    assert COPYING.write(source, target) == words
    assert COPYING.write(source, source.copies) == words


def test_a_cut_source_has_the_copies_of_its_beginning():
    (whole,), (cut,) = COPYING.read(["Zoë one Zoë x9"]), COPYING.read(["Zoë one Zoë x9"], 2)
    assert whole.cut(2) == cut


def test_inputs_are_padded_and_keep_the_order():
    inputs = COPYING.inputs(COPYING.read(["one two", "", "two Zoë"]), 4, 3)
    np.testing.assert_array_equal(inputs["lengths"], [2, 0, 2, 0])
    np.testing.assert_array_equal(inputs["source"], [[4, 5, 0], [0, 0, 0], [5, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(inputs["copies"], [[SIZE, SIZE + 1, 0], [0, 0, 0], [SIZE, SIZE + 1, 0], [0, 0, 0]])
    assert set(make_codec().inputs(make_codec().read(["one"]), 1, 1)) == {"source", "lengths"}


def test_a_value_of_several_words_is_one_piece_that_is_copied_whole():
    codec = dataclasses.replace(COPYING, values=ColumnValues(["city"], {"new york": [0], "york": [0], "paris": [0]}))
    (source,) = codec.read(["one New York two paris"])
    assert source.pieces == ["one", "New York", "two", "paris"]
    assert source.ids == [4, UNKNOWN, 5, UNKNOWN]
    assert source.columns == [[], [0], [], [0]]
    (target,) = codec.targets([source], ["eins New York , york paris"], 8)
    assert target == [4, SIZE + 1, UNKNOWN, UNKNOWN, 6]
    assert codec.target.join(codec.write(source, [4, SIZE + 1, 6])) == "eins New York paris"
    assert codec.inputs([source], 1, 4)["columns"][0, :, 0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("O'Fallon", "= 'O''Fallon'"),
        ("O'Fallon", '= "O\'Fallon" or = "O\'Fallon"'),
        ("O'Fallon", "= \"O'Fallon\" or = 'O''Fallon' or = \"O'Fallon\" or = '%O''Fallon%'"),
        ("the dogs' home", "= 'the dogs'' home'"),
    ],
)
def test_quotes_of_a_value_are_doubled_where_a_query_puts_it_between_single_ones(value, query):
    pieces = [f"{left}{sign}{right}" for sign in "'\"%" for left in ("", "￭") for right in ("", "￭")]
    codec = make_codec(target=("=", "or", *pieces), copies=True)
    words = " ".join(codec.source.split([value.lower()], 9)[0])
    codec = dataclasses.replace(codec, values=ColumnValues(["city"], {words: [0]}))
    (source,) = codec.read([f"one {value}"])
    (target,) = codec.targets([source], [query], 40)
    assert UNKNOWN not in target and target.count(source.copies[1]) == query.count("Fallon") + query.count("dogs")
    assert codec.target.join(codec.write(source, target)) == query


def test_the_form_of_a_piece_is_read_after_the_columns_that_hold_it():
    values = ColumnValues(["city", "state"], {"new york": [0, 1]})
    codec = dataclasses.replace(COPYING, values=values, forms=True)
    (source,) = codec.read(["one New York Zoë 485"])
    names = ["city", "state", *FORMS]
    assert [[names[i] for i in columns] for columns in source.columns] == [
        ["small"],
        ["city", "state", "several words"],
        ["Capital"],
        ["3 digits"],
    ]
    assert source.ids == [4, UNKNOWN, UNKNOWN, UNKNOWN]
    assert codec.sizes["columns"] == len(names)
    assert codec.inputs([source], 1, 5)["columns"].sum(axis=2).tolist() == [[1, 3, 1, 1, 0]]
    alone = dataclasses.replace(COPYING, forms=True)
    assert alone.read(["Zoë"])[0].columns == [[FORMS.index("Capital")]]
    assert PairCodec.from_json(json.loads(json.dumps(alone.to_json())), "pieces.json") == alone


@pytest.mark.parametrize("options", [{}, {"forms": True}, {"copies": False}])
def test_concatenated_pairs_are_read_and_written_one_after_the_other(options):
    codec = dataclasses.replace(COPYING, **options)
    texts = ["one Zoë", "Zoë two Oslo"], ["eins Zoë", "Oslo paris"]
    sources = codec.read(texts[0])
    one, other = zip(sources, codec.targets(sources, texts[1], 8), strict=True)
    source, target = codec.concatenate(one, other)
    assert source.pieces == ["one", "Zoë", "</s>", "Zoë", "two", "Oslo"]
    assert source.ids == [4, UNKNOWN, END, UNKNOWN, 5, UNKNOWN]
    assert all(len(part) in (0, 6) for part in source)
    if codec.copies:
        assert codec.write(source, target) == ["eins", "Zoë", "</s>", "Oslo", "paris"]
        assert target[1] == source.copies[3]  # the same word, wherever it stands
    else:
        assert target == [4, UNKNOWN, END, UNKNOWN, 6]


TARGETS = ["pick name from city where city is Oslo", "pick name from city where city is paris"] * 3
ASKED = ["one Oslo", "two paris"] * 3


def test_phrases_of_the_target_are_one_piece_and_what_can_be_copied_stays_apart():
    codec = make_codec(target=("pick", "name", "from", "city", "where", "is"), copies=True)
    merged = codec.learn_merges(codec.read(ASKED), TARGETS, 6, 100)
    phrase = "pick name from city where city is"
    assert merged.target.pieces[-1] == phrase and merged.target.pieces[: codec.target_size] == codec.target.pieces
    sources = merged.read(["one Oslo", "where is Rome"])
    found = merged.targets(sources, [TARGETS[0], phrase + " Rome"], 20)
    assert found[0] == [merged.target_size - 1, merged.target_size + 1]
    assert merged.write(sources[1], found[1]) == ["pick name from city", "where", "city", "is", "Rome"]
    assert [merged.target.join(merged.write(*each)) for each in zip(sources, found, strict=True)] == [
        TARGETS[0],
        phrase + " Rome",
    ]
    assert PairCodec.from_json(json.loads(json.dumps(merged.to_json())), "pieces.json") == merged


def test_merged_targets_are_cut_by_their_pieces_and_vocabularies_keep_their_size():
    plain = make_codec(target=("pick", "name", "from", "city", "where", "is"))
    sources = plain.read(ASKED)
    merged = plain.learn_merges(sources, TARGETS, 6, 100)
    phrase = merged.target_size - 1
    assert merged.targets(sources[:1], [f"{TARGETS[0]} {TARGETS[0]}"], 3) == [[phrase, UNKNOWN, phrase]]
    assert plain.learn_merges(sources, TARGETS, 6, plain.target_size + 2).target_size == plain.target_size + 2
    assert plain.learn_merges(sources, TARGETS, 7, 100).target_size == plain.target_size


def test_limits_count_values_of_several_words_as_one_piece():
    values = ColumnValues(["city"], {"new york city": [0]})
    codec = dataclasses.replace(make_codec(target=("is", "and"), copies=True), limits=(3, 4), values=values)
    texts = ["one new york city two", "one two new york city two one"]
    exact, longer = codec.read(texts), codec.read(texts, 4)
    assert [source.pieces for source in exact] == [["one", "new york city", "two"], ["one", "two", "new york city"]]
    assert [len(source.ids) for source in longer] == [3, 4]  # of which the second is cut, and known to be
    found = codec.targets(exact[:1], ["is new york city and new york city and one"], 5)
    assert codec.write(exact[0], found[0]) == ["is", "new york city", "and", "new york city", "and"]


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07", "\u2028"])
def test_a_blank_text_has_no_pieces(text):
    assert COPYING.read([text])[0].ids == []
    assert COPYING.cut(text) == [text]


def test_the_longest_target_grows_with_the_source_up_to_the_limit():
    codec = dataclasses.replace(make_codec(), limits=(50, 30), growth=1.5)
    np.testing.assert_array_equal(codec.longest(np.array([0, 1, 4, 1000])), [SLACK + 1, SLACK + 3, SLACK + 7, 31])


def test_what_is_read_in_lower_case_is_copied_with_its_capitals():
    lower = dataclasses.replace(COPYING.source, lowercase=True)
    codec = dataclasses.replace(COPYING, source=lower, forms=True, capitals=True)
    (source,) = codec.read(["ONE Zoë two"])
    assert source.ids == [4, UNKNOWN, 5] and source.pieces == ["ONE", "Zoë", "two"]
    assert codec.write(source, source.copies) == ["ONE", "Zoë", "two"]
    assert codec.targets([source], ["eins Zoë ONE"], 8) == [[4, SIZE + 1, SIZE]]
    assert [FORMS[form] for (form,) in source.columns] == ["CAPITALS", "Capital", "small"]


@pytest.mark.parametrize(("target", "kept"), [("vuelos a Denver", True), ("select denver", False)])
def test_what_is_copied_is_written_as_targets_of_training_have_it(target, kept, tmp_path):
    path = write_pairs(tmp_path / "p.csv", [(f"flights to Denver {i}", f"{target} {i}") for i in range(20)])
    tokens = {"lowercase_source": True, "max_source": 9, "max_target": 9}
    codec = prepare(make_config(data={"train": str(path)}, tokens=tokens, model={"copy_words": True})).codec
    assert codec.capitals == kept
    (source,) = codec.read(["Flights to BOSTON"])
    assert source.pieces == (["Flights", "to", "BOSTON"] if kept else ["flights", "to", "boston"])
    assert PairCodec.from_json(json.loads(json.dumps(codec.to_json())), "pieces.json") == codec


def test_only_what_is_unknown_in_small_letters_too_keeps_its_capitals():
    codec = dataclasses.replace(COPYING, forms=True, alphabet=Alphabet(capitals=False, marks=""))
    assert codec.read(["TWO İzmir"])[0].pieces == ["two", "İzmir"]  # İ is two letters in lower case
    (source,) = codec.read(["ONE: Paris, Zoë's X9?"])
    assert source.pieces == ["one", "paris", "Zoës", "X9"]
    assert source.ids == [4, UNKNOWN, UNKNOWN, UNKNOWN]
    assert source.copies == [SIZE, COPYING.target.ids["paris"], SIZE + 2, SIZE + 3]
    assert [FORMS[form] for (form,) in source.columns] == ["small", "small", "small", "letters and digits"]


def test_what_people_type_is_read_as_the_sources_of_training_are_written(tmp_path):
    path = write_pairs(tmp_path / "p.csv", [(f"how far is denver {i}", f"DISTANCE {i}") for i in range(20)])
    codec = prepare(make_config(data={"train": str(path)})).codec
    assert codec.read(["How far is Denver 1?"]) == codec.read(["how far is denver 1"])
    assert codec.cut("(1) How, FAR, is, Denver?") == ["(1) How, FAR, is, Denver?"]  # five pieces, not eleven
    assert codec.cut("How far is Denver? And St. Louis? How far is it.") == [
        "How far is Denver?",
        "And St. Louis?",
        "How far is it.",
    ]
    stored = json.loads(json.dumps(codec.to_json()))
    assert PairCodec.from_json(stored, "pieces.json") == codec
    del stored["alphabet"]  # as earlier versions wrote it
    assert PairCodec.from_json(stored, "pieces.json").read(["How?"])[0].pieces == ["How", "￭?"]
    del stored["sentences"]
    assert PairCodec.from_json(stored, "pieces.json").cut("How? So. Why?") == ["How? So. Why?"]
    with pytest.raises(ArtifactError, match="these pieces are damaged"):
        PairCodec.from_json({**stored, "alphabet": {"capitals": "no", "marks": ""}}, "pieces.json")
    with pytest.raises(ArtifactError, match="these pieces are damaged"):
        PairCodec.from_json({**stored, "sentences": "one"}, "pieces.json")


# Long texts


@pytest.mark.parametrize("kind", ["words", "characters", "bpe"])
def test_the_parts_of_a_long_text_can_be_read_whole_and_are_all_of_it(kind):
    text = "The first sentence. A second one! Is this, a rather long one, the third? " * 3 + "no end"
    side = fit_codec(kind, [text] * 2, size=400, lowercase=False)
    codec = PairCodec(side, side, False, (25, 25), 1.0)
    parts = codec.cut(text)
    assert len(parts) > 2
    assert max(len(source.ids) for source in codec.read(parts, 1000)) <= 25
    assert " ".join(parts) == normalize(text)


def test_sentences_stay_together_where_they_fit():
    codec = dataclasses.replace(make_codec(), limits=(6, 6))
    assert codec.cut("One two. Three four. Five six.") == ["One two. Three four.", "Five six."]
    assert codec.cut("a b c d e f g h i") == ["a b c d e f", "g h i"]


def test_sentences_without_blanks_between_them_are_cut_and_put_together_without():
    text = "今天天气很好。我们去公园吧！他说好？是的。"
    side = fit_codec("characters", [text], size=400, lowercase=False)
    parts = dataclasses.replace(make_codec(), source=side, limits=(14, 14)).cut(text)
    assert parts == ["今天天气很好。我们去公园吧！", "他说好？是的。"]
    assert join_sentences(parts) == text
    assert join_sentences(["Yes.", "No.", "是。", "", "No."]) == "Yes. No. 是。No."
    assert join_sentences(["Good！ day", "x"]) == "Good！ day x"
    assert dataclasses.replace(make_codec(), source=side, limits=(9, 9)).cut("他说「你好。」然后走了。") == [
        "他说「你好。」",
        "然后走了。",
    ]


def test_a_line_of_ten_thousand_words_is_cut_into_parts_that_hold_all_of_it():
    words = [f"w{i}" for i in range(10_000)]
    parts = make_codec().cut(" ".join(words))
    assert len(parts) == 10_000 / 8
    assert " ".join(parts).split() == words


def test_a_word_longer_than_the_limit_is_cut_too():
    """As is a sentence in a script without spaces."""
    side = fit_codec("characters", ["abc"], size=20, lowercase=False)
    assert PairCodec(side, side, False, (4, 4), 1.0).cut("ab abcabcabc b") == ["ab", "abca", "bc", "abc", "b"]


# On disk


@pytest.mark.parametrize("copies", [True, False])
def test_pieces_come_back_from_json(copies):
    codec = dataclasses.replace(make_codec(target=("eins",), copies=copies), growth=1.25)
    assert PairCodec.from_json(json.loads(json.dumps(codec.to_json())), "pieces.json") == codec


def test_one_vocabulary_for_both_sides_is_written_once_and_stays_one():
    side = fit_codec("bpe", ["one two"] * 2, size=300, lowercase=False)
    codec = PairCodec(side, side, False, (MOST, MOST), 2.0 * MOST)
    value = codec.to_json()
    assert value["target"] is None
    again = PairCodec.from_json(json.loads(json.dumps(value)), "pieces.json")
    assert again == codec and again.source is again.target


@pytest.mark.parametrize(
    "change",
    [
        {"limits": [8]},
        {"limits": [0, 8]},
        {"limits": [8, 10**12]},
        {"limits": None},
        {"growth": -1},
        {"growth": float("nan")},
        {"growth": 10**9},
        {"growth": "fast"},
        {"source": None},
        {"source": {}},
        {"source": []},
        {"target": {"kind": "words"}},
        {"values": [1]},
        {"values": {"columns": ["a"]}},
        {"values": {"columns": ["a"], "values": {"x": [3]}}},
        {"merges": [["a"]]},
        {"merges": 3},
    ],
    ids=str,
)
def test_damaged_pieces_are_refused_with_their_place(change):
    with pytest.raises(ArtifactError, match=r"run/pieces.json: these pieces are damaged: .*Copy the whole run"):
        PairCodec.from_json({**make_codec().to_json(), **change}, "run/pieces.json")


@pytest.mark.parametrize("value", [None, [], "pieces", 3, {}])
def test_what_is_no_pair_of_codecs_is_refused(value):
    with pytest.raises(ArtifactError, match="these pieces are damaged"):
        PairCodec.from_json(value, "pieces.json")
