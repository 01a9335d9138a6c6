"""Pairs are read from tables and from two files, split without leaks, and looked over for mistakes."""

import gzip
import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.files import tell_learned
from toolkit.data.pairs import Pairs, PairSource, read_pairs, shared_sources, split_pairs, suspicious, two_files
from toolkit.errors import ConfigError, DataError


def _write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def _read(path, **options):
    pairs = read_pairs(PairSource(path, **options))
    return list(zip(pairs.sources, pairs.targets, strict=True))


def _pairs(*rows):
    return Pairs([source for source, _ in rows], [target for _, target in rows], "pairs.tsv")


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "source,target\na,b\n", {}),
        ("a.csv", "en,x,de\na,,b\n", {"source": "en", "target": "de"}),
        ("a.csv.gz", "source,target\na,b\n", {}),
        ("a.tsv", "a\tb\n", {"source": "0", "target": "1", "header": False}),
        ("a.txt", "a\tb\tCC-BY\n", {"source": "0", "target": "1", "header": False}),
        ("a.txt.gz", "target\tsource\nb\ta\n", {}),
        ("a.data", "source;target\na;b\n", {"format": "csv"}),
        ("a.jsonl", '{"source": "a", "target": "b"}\n', {}),
        ("a.json", '[["a", "b"]]', {"source": "0", "target": "1"}),
    ],
)
def test_a_table_has_a_column_for_each_side(tmp_path, name, content, options):
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else content
    assert _read(_write(tmp_path, name, packed), **options) == [("a", "b")]


def test_two_files_belong_together_line_by_line(tmp_path):
    _write(tmp_path, "train.en.gz", gzip.compress("\ufeffone\r\nt\u2028wo\rtwo\n".encode()))
    _write(tmp_path, "train.de.gz", gzip.compress(b"eins\nzwei"))
    two = str(tmp_path / "train.{en,de}.gz")
    assert _read(two, layout=True) == [("one", "eins"), ("t\u2028wo\rtwo", "zwei")]
    assert _read(str(tmp_path / "train.{de,en}.gz"), layout=True)[0] == ("eins", "one")
    assert read_pairs(PairSource(two)).name == two


def test_a_file_whose_own_name_has_braces_stays_a_file(tmp_path):
    assert _read(_write(tmp_path, "{a,b}.csv", "source,target\na,b\n")) == [("a", "b")]
    path = _write(tmp_path, "{a,b}.json", '{"train": [{"source": "a", "target": "b"}]}')
    assert _read(f"{path}#train") == [("a", "b")]


@pytest.mark.parametrize("name", ["train.{en}", "train.{en,de,fr}", "{a,b}.{c,d}", "train.{en,}", "train.{", "{{a,b}}"])
def test_braces_hold_two_parts_once(tmp_path, name):
    with pytest.raises(ConfigError, match=r"such as train\.\{en,de\}"):
        _read(str(tmp_path / name))


def test_files_of_different_lengths_are_refused(tmp_path):
    _write(tmp_path, "a.en", "1\n2\n3\n")
    _write(tmp_path, "a.de", "1\n2\n")
    with pytest.raises(DataError, match=r"a\.de:2: ends after 2 lines where .*a\.en has 3"):
        _read(str(tmp_path / "a.{en,de}"))


def test_a_missing_or_damaged_half_is_named(tmp_path):
    _write(tmp_path, "a.en", "1\n")
    with pytest.raises(DataError, match=r"a\.de: there is no such file"):
        _read(str(tmp_path / "a.{en,de}"))
    _write(tmp_path, "b.en.gz", gzip.compress(b"1\n" * 99)[:-12])
    _write(tmp_path, "b.de.gz", gzip.compress(b"1\n" * 99))
    with pytest.raises(DataError, match=r"b\.en\.gz: cannot be read"):
        _read(str(tmp_path / "b.{en,de}.gz"))


def test_another_encoding_is_guessed_aloud_or_given(tmp_path):
    _write(tmp_path, "a.en", "yes\n")
    _write(tmp_path, "a.de", "größer\n".encode("latin-1"))
    with pytest.warns(UserWarning, match=r"a\.de:1: .* read as cp1252"):
        assert _read(str(tmp_path / "a.{en,de}")) == [("yes", "größer")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _read(str(tmp_path / "a.{en,de}"), encoding="latin-1") == [("yes", "größer")]


def test_several_references_are_a_pair_each(tmp_path):
    nan = float("nan")
    rows = [{"source": "a", "target": ["b", "c"]}, {"source": 5, "target": "d"}, {"source": "e", "target": [nan, "f"]}]
    path = _write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.warns(UserWarning, match="left out: 1"):
        assert _read(path) == [("a", "b"), ("a", "c"), ("5", "d"), ("e", "f")]


@pytest.mark.parametrize("row", [{"source": ["a"], "target": "b"}, {"source": "a", "target": [["b"]]}])
def test_a_list_elsewhere_is_refused(tmp_path, row):
    with pytest.raises(DataError, match=r"a\.json:row 1: found .*expected a text or a number"):
        _read(_write(tmp_path, "a.json", json.dumps([row])))


def test_rows_with_an_empty_side_are_left_out_with_one_warning(tmp_path):
    rows = [["a", "b"], ["a", None], [" \u3000\x00", "b"], ["a", float("nan")], ["c", []], ["c", "d"]]
    path = _write(tmp_path, "a.json", json.dumps(rows))
    with pytest.warns(UserWarning, match=r"which are left out: 4, the first at .*a\.json:row 2") as told:
        assert _read(path, source="0", target="1") == [("a", "b"), ("c", "d")]
    assert len(told) == 1


@pytest.mark.parametrize("content", ["source,target\n", "source,target\n,\n", "source,target\na,\n"])
def test_no_pair_at_all_is_an_error_and_no_warning(tmp_path, content):
    path = _write(tmp_path, "a.csv", content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="Is this the right path"):
            _read(path)


def test_a_missing_column_is_named_with_what_is_there(tmp_path):
    path = _write(tmp_path, "a.csv", "sources,german\na,b\n")
    with pytest.raises(DataError, match=r"a\.csv:2: there is no column 'source' .*\. Did you mean sources\?"):
        _read(path)
    with pytest.raises(DataError, match=r"no column 'target' \(data\.target\)\. The columns are sources, german;"):
        _read(path, source="sources")


def test_halves_of_characters_do_not_come_in(tmp_path):
    path = _write(tmp_path, "a.jsonl", '{"source": "a\\ud83d", "target": "\\ud83d\\ude00"}')
    assert _read(path) == [("a?", "😀")]


def test_references_are_grouped_by_source_in_order():
    grouped = _pairs(("b", "1"), ("a", "2"), ("b", "3"), ("b", "1"), ("B", "4")).references()
    assert grouped.sources == ["b", "a", "B"]
    assert grouped.references == [("1", "3"), ("2",), ("4",)]


_ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "A ", "b", "c", "d", "e  f", "E f"]), st.text(max_size=2)), max_size=30
)


@given(_ROWS, st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_split_shares_no_source_loses_no_pair_and_leaves_some(rows, share, seed):
    pairs = _pairs(*rows)
    if len({" ".join(source.casefold().split()) for source, _ in rows}) < 2:
        with pytest.raises(DataError, match="one source"):
            split_pairs(pairs, share, seed)
        return
    left, aside = split_pairs(pairs, share, seed)
    assert len(left) and len(aside)
    assert shared_sources(left.sources, aside.sources) == 0
    everything = [*zip(left.sources, left.targets, strict=True), *zip(aside.sources, aside.targets, strict=True)]
    assert sorted(everything) == sorted(rows)
    assert split_pairs(pairs, share, seed) == (left, aside)


def test_a_split_is_as_large_as_asked_and_goes_by_the_seed():
    pairs = _pairs(*((f"{i % 700}", f"{i}") for i in range(1000)))
    sets = [set(split_pairs(pairs, 0.1, seed)[1].targets) for seed in range(3)]
    assert all(len(aside) == 100 for aside in sets)
    assert sets[0] != sets[1] != sets[2]


def test_shared_sources_are_counted_whatever_their_case_and_blanks():
    assert shared_sources(["A  b"], ["a b", "a B ", "ab"]) == 2


def test_good_pairs_raise_no_suspicion():
    assert suspicious(_pairs(*((f"sentence {i}", f"Satz Nummer {i}") for i in range(50)))) == []
    assert suspicious(_pairs(("a", "b"))) == []


def test_pairs_with_the_same_text_on_both_sides_are_told_unless_that_is_the_task():
    good = [(f"a {i}", f"b {i}") for i in range(6)]
    (told,) = suspicious(_pairs(*good, ("Tom", "Tom"), ("x\t y", "x y ")))
    assert told.startswith("pairs.tsv: 2 of 8 pairs have the same text on both sides")
    assert "pair 7, 'Tom' and 'Tom'" in told
    assert suspicious(_pairs(*good, *((f"c {i}", f"c {i}") for i in range(6)))) == []


def test_sides_that_are_unlike_in_length_are_told_against_what_is_usual():
    usual = [("word " * i, "longer word than that one " * i) for i in range(1, 9)]  # 5 times as long
    assert suspicious(_pairs(*usual, ("no", "y" * 20))) == []
    (told,) = suspicious(_pairs(*usual, ("a long sentence here " * 9, "@@")))
    assert told.startswith("pairs.tsv: 1 of 9 pairs have one side far longer")
    assert "pair 9, 'a long sentence here a long sentence ...' and '@@'" in told


def test_repeated_pairs_are_told():
    (told,) = suspicious(_pairs(("a", "b"), ("c", "d"), ("a", "b"), ("a", "e"), ("a", "b")))
    assert told.startswith("pairs.tsv: 2 of 5 pairs repeat an earlier one")
    assert "pair 3, 'a' and 'b'" in told


@pytest.mark.parametrize(
    ("data", "learned", "told"),
    [
        ("train.{en,de}", ["train.{en,de}"], True),  # two files, neither of which has this name
        ("folder/../train.csv", [["other.csv", "train.csv"]], True),
        ("data.json#test", ["data.json#train", 0.1], False),
        ("data.json#val", ["data.json#train", "data.json#val"], True),
        ("test.csv", ["train.csv", None], False),
    ],
)
def test_files_that_a_run_has_learned_from_are_told(data, learned, told, recwarn):
    tell_learned(data, *learned)
    assert [str(each.message).startswith(f"{data}: this run has learned") for each in recwarn] == [True] * told


def test_the_empty_side_is_named(tmp_path):
    _write(tmp_path, "k.en", "a\nb\n\n")
    _write(tmp_path, "k.de", "x\n\nz\n")
    with pytest.warns(UserWarning, match=r"left out: 2, the first at .*k\.de:2"):
        _read(str(tmp_path / "k.{en,de}"))


def test_layout_that_is_lost_is_told(tmp_path):
    rows = [{"source": "loop", "target": "for x in y:\n    print(x)"}, {"source": "end", "target": "return\n"}]
    path = _write(tmp_path, "a.json", json.dumps(rows))
    with pytest.warns(UserWarning, match=r"targets of several lines: 1\. Line breaks and indentation become one blank"):
        _read(path)


@pytest.mark.filterwarnings("ignore:.*targets of several lines")
@pytest.mark.parametrize("text", ["one\n  two", "one\rtwo", "one \r\ntwo\n"])
def test_without_layout_both_sides_are_one_line(tmp_path, text):
    """Else a target that copies its source would not be its source."""
    path = _write(tmp_path, "a.json", json.dumps([{"source": text, "target": text}]))
    assert _read(path) == [("one two", "one two")]
    assert _read(path, layout=True) == [(text, text)]


@pytest.mark.parametrize("name", ["a.en", "a.en.gz"])
def test_a_name_that_tells_no_table_asks_for_the_other_file_or_the_format(tmp_path, name):
    with pytest.raises(ConfigError, match=r"or name two files whose lines belong together, such as train\.\{en,de\}"):
        _read(_write(tmp_path, name, "a\n"))
    with pytest.raises(DataError, match="found a folder, expected a file"):
        _read(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.tmx", "a source and a target a row"),
        ("a.tmx.gz", "a source and a target a row"),
        ("a.xlsx", "as CSV"),
        ("a.txt.zip", "Unpack it"),
        ("a.tar.gz", "Unpack it"),
    ],
)
def test_files_of_other_programs_are_told_how_to_be_mended(tmp_path, name, told):
    with pytest.raises(ConfigError, match=told):
        _read(_write(tmp_path, name, "a\n"))


@pytest.mark.parametrize("name", ["a.{en,es}.srt", "a.{en,es}.xml", "a-{src.en,ref.es}.sgm", "a.{en,es}.srt.gz"])
def test_two_files_of_times_or_tags_are_not_read_as_lines(tmp_path, name):
    for file in two_files(name):
        _write(tmp_path, file, "1\n00:00:01,000 --> 00:00:01,900\nyes\n")
    with pytest.raises(ConfigError, match=r"not a text a line\. Write its texts without times and tags"):
        _read(str(tmp_path / name))
    _write(tmp_path, "b.en", "yes\n")
    _write(tmp_path, "b.html", "<b>yes</b>\n")
    assert _read(str(tmp_path / "b.{en,html}")) == [("yes", "<b>yes</b>")]
