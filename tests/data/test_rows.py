"""Rows: what is written is read back, what is wrong is named with its place, and memory stays constant."""

import bz2
import csv
import gc
import gzip
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import files
from toolkit.data.files import read_document, read_text_lines
from toolkit.data.rows import Row, Source, read_cell, read_rows
from toolkit.errors import ConfigError, DataError, SeqloomError

CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
TABLE = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1))


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def values(path: str | Path, **options) -> list[dict]:
    return [row.values for row in read_rows(Source(str(path), **options))]


def places(path: str | Path, **options) -> list[str]:
    return [Path(row.where).name for row in read_rows(Source(str(path), **options))]


def refusal(path: str | Path, **options) -> str:
    with pytest.raises(DataError) as error:
        values(path, **options)
    return str(error.value)


def tar(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


# What is written is read back


@given(TABLE)
def test_csv_cells_with_quotes_line_breaks_and_any_script_come_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    names = [f"c{i}" for i in range(len(table[0]))]
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([names, *table])
    assert [list(row.values()) for row in values(path)] == table


@given(TABLE)
def test_jsonl_json_and_parquet_come_back(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("objects")
    rows = [{f"c{i}": cell for i, cell in enumerate(cells)} for cells in table]
    write(folder / "a.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write(folder / "a.json", json.dumps({"train": rows, "lists": table}))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet")
    assert values(folder / "a.jsonl") == rows
    assert values(folder / "a.json#train") == rows
    assert values(folder / "a.parquet") == rows
    assert [list(row.values()) for row in values(folder / "a.json#lists")] == table


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_a_compressed_table_is_read_by_its_name(tmp_path, suffix, pack):
    path = write(tmp_path / f"a.csv.{suffix}", pack("text,label\nhé,x\n".encode()))
    assert values(path) == [{"text": "hé", "label": "x"}]


def test_each_row_knows_the_line_it_begins_on(tmp_path):
    path = write(tmp_path / "a.csv", '\ntext,label\n"two\nlines",x\n\n   \nb,y\n')
    assert places(path) == ["a.csv:3", "a.csv:7"]
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    assert places(path) == ["a.jsonl:1", "a.jsonl:3"]
    path = write(tmp_path / "a.json", '{"train": [["a"], ["b"]]}')
    assert places(f"{path}#train") == ["a.json#train:row 1", "a.json#train:row 2"]


def test_tables_without_a_header_number_their_columns(tmp_path):
    assert values(write(tmp_path / "a.csv", "a,b\nc,d\n"), header=False)[1] == {"0": "c", "1": "d"}
    assert values(write(tmp_path / "a.tsv", "a\tb\n"), header=False) == [{"0": "a", "1": "b"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_is_told_from_its_header(tmp_path, delimiter):
    path = write(tmp_path / "a.csv", f"text{delimiter}label\nhi there{delimiter}x\n")
    assert values(path) == [{"text": "hi there", "label": "x"}]


def test_a_semicolon_beside_commas_in_the_header_separates_nothing(tmp_path):
    assert values(write(tmp_path / "a.csv", "a;b,c\n1;2,3\n")) == [{"a;b": "1;2", "c": "3"}]


def test_a_tsv_knows_no_quotes(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\r\n"open\tx\r\n')
    assert values(path) == [{"text": '"open', "label": "x"}]


def test_lines_begin_with_their_label(tmp_path):
    path = write(
        tmp_path / "a.txt", "__label__spam buy  now\nham hello __label__x\n\n__label__a __label__b two\nbare\n"
    )
    assert values(path) == [
        {"label": "spam", "text": "buy  now"},
        {"label": "ham", "text": "hello __label__x"},
        {"label": ["a", "b"], "text": "two"},
        {"label": "bare", "text": ""},
    ]


def test_a_cell_of_ten_megabytes_is_read(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n" + "x" * 10_000_000 + ",y\n")
    assert len(values(path)[0]["text"]) == 10_000_000


# Folders and archives


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path):
    for name in ("spam/b.txt", "spam/a.txt", "ham/1.txt", "ham/.hidden", ".git/x.txt", "README"):
        write(tmp_path / "mail" / name, f"text of {name}")
    rows = list(read_rows(Source(str(tmp_path / "mail"))))
    assert [row.values["label"] for row in rows] == ["ham", "spam", "spam"]
    assert rows[1].values["text"] == "text of spam/a.txt"
    assert rows[1].where == str(tmp_path / "mail" / "spam" / "a.txt")


def test_a_label_may_be_a_link_to_a_folder_and_a_loop_is_told(tmp_path):
    write(tmp_path / "mail/ham/1.txt", "hi")
    write(tmp_path / "elsewhere/2.txt", "buy")
    (tmp_path / "mail/spam").symlink_to(tmp_path / "elsewhere")
    assert values(tmp_path / "mail") == [{"text": "hi", "label": "ham"}, {"text": "buy", "label": "spam"}]
    for target in (tmp_path / "mail", tmp_path):
        (tmp_path / "mail/again").symlink_to(target)
        assert "mail/again: this link leads to a folder that it lies in." in refusal(tmp_path / "mail")
        (tmp_path / "mail/again").unlink()


def test_a_label_may_be_a_link_to_the_folder_that_a_command_runs_in(tmp_path, monkeypatch):
    write(tmp_path / "mail/ham/1.txt", "hi")
    write(tmp_path / "here/2.txt", "buy")
    (tmp_path / "mail/spam").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert values("../mail") == [{"text": "hi", "label": "ham"}, {"text": "buy", "label": "spam"}]


def test_archives_are_read_like_folders_and_nothing_is_unpacked(tmp_path):
    members = {
        "./data/train/ham/1": b"a",
        "data/train/spam/2": b"b",
        "data/test/ham/3": b"c",
        "data/train/ham/._1": b"x",
    }
    sources = [tar(tmp_path / "a.tar.gz", members), tar(tmp_path / "b.tar", members), str(tmp_path / "c.zip")]
    with zipfile.ZipFile(sources[-1], "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    for source in sources:
        assert values(f"{source}#data/train") == [{"text": "a", "label": "ham"}, {"text": "b", "label": "spam"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "b.tar", "c.zip"]


def test_links_in_an_archive_are_passed_over(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("spam/passwords")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        file = tarfile.TarInfo("spam/1")
        file.size = 2
        archive.addfile(file, io.BytesIO(b"hi"))
    assert values(path) == [{"text": "hi", "label": "spam"}]


def test_documents_that_lie_too_deep_name_the_folder_to_use(tmp_path):
    path = tar(tmp_path / "a.tar.gz", {"data/train/ham/1": b"a"})
    assert f"{path}#data/train." in refusal(path)
    write(tmp_path / "data/train/ham/1", "a")
    assert f"{tmp_path}/data/train." in refusal(tmp_path / "data").replace("\\", "/")


def test_a_folder_without_sub_folders_says_what_is_expected(tmp_path):
    write(tmp_path / "mail/1.txt", "hi")
    assert "one sub-folder a label" in refusal(tmp_path / "mail")


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_with_or_without_a_mark_needs_no_setting(tmp_path, encoding):
    path = write(tmp_path / "a.csv", "text,label\nZoë – 你好,x\n".encode(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert values(path) == [{"text": "Zoë – 你好", "label": "x"}]


def test_a_file_that_is_not_unicode_is_read_with_one_warning_that_says_how(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nplain,x\ncafé “très” cher,y\nnaïve,z\n".encode("cp1252"))
    with pytest.warns(UserWarning, match="read as cp1252") as told:
        assert [row["text"] for row in values(path)] == ["plain", "café “très” cher", "naïve"]
    assert len(told) == 1
    assert str(told[0].message).startswith(f"{path}:3: byte 0xe9 at offset 22 is not UTF-8; read as cp1252.")


def test_the_first_bad_byte_is_found_beyond_the_first_chunk(tmp_path):
    body = "text\n" + "some é\n" * 50_000
    path = write(tmp_path / "a.csv", body.encode() + b"\xe9 last\n")
    with pytest.warns(UserWarning, match=f":50002: byte 0xe9 at offset {len(body.encode())} is"):
        assert values(path)[-1] == {"text": "é last"}


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1251", "Сегодня в Москве хорошая погода. "), ("cp932", "今日は天気がいいですね。")]
)
def test_other_scripts_are_told_by_their_statistics(tmp_path, encoding, text):
    path = write(tmp_path / "a.csv", ("text,label\n" + f"{text},x\n" * 20).encode(encoding))
    with pytest.warns(UserWarning, match=f"read as {encoding}"):
        assert values(path)[0]["text"] == text


def test_documents_are_decoded_one_by_one_with_one_warning(tmp_path):
    for number in range(3):
        write(tmp_path / "mail" / "a" / f"{number}.txt", "é".encode("cp1252"))
    write(tmp_path / "mail" / "a" / "utf8.txt", "é")
    with pytest.warns(UserWarning, match="read as cp1252") as told:
        assert {row["text"] for row in values(tmp_path / "mail")} == {"é"}
    assert len(told) == 1


def test_a_given_encoding_is_kept_to(tmp_path):
    path = write(tmp_path / "a.csv", "text\nZoë\n".encode("cp1252"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert values(path, encoding="latin-1") == [{"text": "Zoë"}]
    assert f"{path}:2: byte 0xeb at offset 7 is not ascii." in refusal(path, encoding="ascii")
    assert "UTF-16" in refusal(path, encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-ate", "base64", "rot13"])
def test_an_encoding_that_is_none_is_refused(tmp_path, encoding):
    with pytest.raises(ConfigError, match=f"no text encoding '{encoding}'"):
        values(write(tmp_path / "a.csv", "a\nb\n"), encoding=encoding)


@pytest.mark.parametrize(
    "content", [b"text\nab\0c\n", "text\nabc\n".encode("utf-16-le"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"]
)
def test_binary_files_are_refused(tmp_path, content):
    path = write(tmp_path / "a.csv", content)
    assert "looks binary" in refusal(path) and "utf-16-le" in refusal(path)
    with pytest.raises(DataError, match="looks binary"):
        read_document(path)


# What is wrong is named


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4", "1"])
def test_a_row_of_another_width_is_named_with_both_counts(tmp_path, row):
    path = write(tmp_path / "a.csv", f"a,b,c\n1,2,3\n{row}\n")
    cells = row.count(",") + 1
    assert f"{path}:3: found {cells} cell{'s' * (cells > 1)}, expected 3 (a, b, c)." in refusal(path)


@pytest.mark.parametrize("content", ['text,label\n"never closed,x\na,b\n', 'text,label\n"a"b,x\n'])
def test_broken_quotes_are_named_where_the_row_begins(tmp_path, content):
    path = write(tmp_path / "a.csv", content)
    assert refusal(path).startswith(f"{path}:2: not valid CSV")


def test_cells_of_a_tsv_that_are_quoted_as_in_csv_are_told_once(tmp_path):
    rows = 'text\tlabel\n"hi" he said "ho"\ta\n""so""\tb\n"she said ""yes"""\tc\n"a ""b"" c"\td\n'
    path = write(tmp_path / "a.tsv", rows)
    with pytest.warns(UserWarning, match="looks quoted") as told:
        assert [row["text"] for row in values(path)][2] == '"she said ""yes"""'
    assert [str(each.message).partition(" looks")[0] for each in told] == [f"""{path}:4: '"she said ""yes""\"'"""]
    path = write(tmp_path / "b.csv", 'text\tlabel\n"she said ""yes"""\tc\n')
    assert values(path) == [{"text": 'she said "yes"', "label": "c"}]


def test_what_stands_in_columns_without_a_name_is_left_out_aloud(tmp_path):
    path = write(tmp_path / "a.csv", "a,b,,,\n1,2,,,\n3,4, note,,5\n6,7,8\n")
    with pytest.warns(UserWarning, match="without a name") as told:
        assert values(path) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "6", "b": "7"}]
    assert [str(each.message) for each in told] == [
        f"{path}:3: found 'note' in a column without a name; such columns are left out. Give them names to read them."
    ]
    assert "found 6 cells" in refusal(write(tmp_path / "b.csv", "a,b,,,\n1,2,,,\n1,2,3,4,5,6\n"))
    assert "lines of a title" in refusal(write(tmp_path / "c.csv", "Report,,\n,,\na,b,c\n1,2,3\n"))


@pytest.mark.parametrize(
    ("title", "names", "rows"),
    [
        ("Category: All\n\n", "Week,hits", ["2024-01-07,5", "2024-01-14,", "2024-01-21,7", "2024-01-28,8"]),
        ("# ---\n# All data\n\n", "Day,visits", ['1/1/24,"1,234"', '1/2/24,"2,345"', '1/3/24,"3,456"']),
        ("Turnover;;\nIBAN:;DE12;\n", "day;amount;unit", [f"0{day}.01.2024;-{day},50;EUR" for day in range(1, 5)]),
        ('"Source","Bank",\n\n', '"name","2020","2021",', [f'"{name}","1","2",' for name in "abc"]),
    ],
)
def test_a_title_above_the_names_is_told_and_left_out(tmp_path, title, names, rows):
    path = write(tmp_path / "a.csv", "\n".join([title + names, *rows, ""]))
    first, line = title.split("\n")[0], title.count("\n") + 1
    with pytest.warns(UserWarning, match="a title") as told:
        found = list(read_rows(Source(str(path))))
    assert f"found in line {line}, below {first!r}" in str(told[0].message)
    assert len(found) == len(rows) and found[0].where == f"{path}:{line + 1}"
    assert list(found[0].values) == [name for name in re.split('[,;"]+', names) if name]


@pytest.mark.parametrize(
    "text",
    [
        "value\n1,5\n2,5\n3,5\n4,5\n",  # decimal commas
        "a,b\nx,1,2\ny,3,4\nz,5,6\nz,7,8\n",  # no name for the numbers of the rows
        "text\nhello, you\nhello, me\nhello, all\nhello, 5\n",  # commas of a text
        "text\nhello, 1\nhello, 2\nhello, 3\nhello, 4, 5\n",
    ],
)
def test_what_may_be_a_row_is_no_title(tmp_path, text):
    assert "cells, expected" in refusal(write(tmp_path / "a.csv", text))


def test_names_of_two_lines_are_no_title(tmp_path):
    path = write(tmp_path / "a.csv", '"Day\n(UTC)",visits\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n2024-01-04,4\n')
    assert list(values(path)[0]) == ["Day\n(UTC)", "visits"]


def test_columns_of_one_name_are_told_apart_by_a_number(tmp_path):
    path = write(tmp_path / "a.csv", "Comment,,Labels,Comment ,,Key\n1,2,3,4,5,6\n")
    with pytest.warns(UserWarning, match=r"a.csv:1: .* Comment.1 to Comment.2, unnamed.1 to unnamed.2.$"):
        names = list(values(path)[0])
    assert names == ["Comment.1", "unnamed.1", "Labels", "Comment.2", "unnamed.2", "Key"]
    row = Row(path, dict.fromkeys(names))
    with pytest.raises(DataError, match=r"no column 'Comment' .* Did you mean Comment.[12]\?"):
        read_cell(row, "Comment", "data.text")


def test_columns_that_a_number_does_not_tell_apart_are_refused(tmp_path):
    told = refusal(write(tmp_path / "a.csv", "x,5,5\ny,1,2\n"))
    assert "column '5' is there twice. If this is a row of data, write one with the names" in told
    with pytest.warns(UserWarning, match="told apart"):
        assert "column 'a.1' is there twice" in refusal(write(tmp_path / "a.csv", "a, a,a.1\n1,2,3\n"))
    table = pyarrow.table([pyarrow.array([1]), pyarrow.array([2])], names=["b", "b"])
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    assert "column 'b' is there twice" in refusal(tmp_path / "b.parquet")


def test_a_missing_file_names_those_spelled_like_it(tmp_path):
    write(tmp_path / "train.csv", "a\n1\n")
    assert "Did you mean train.csv?" in refusal(tmp_path / "trian.csv")
    assert "there is no folder" in refusal(tmp_path / "nowhere" / "train.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, name, content):
    assert "nothing to read" in refusal(write(tmp_path / name, content))


def test_a_header_alone_is_refused(tmp_path):
    assert "at least one row" in refusal(write(tmp_path / "a.csv", "text,label\n"))


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": }\n', ":3: not valid JSON (Expecting value)"),
        ("a.json", '[\n["a"],\n["b"\n}', ":4: not valid JSON (Expecting ',' delimiter)"),
        ("a.json", "[" * 100_000, ":1: not valid JSON (brackets are nested"),
        ("a.jsonl", '"text"\n', ":1: found a string, expected an object or a list."),
        ("a.json", "[[1], 2]", ":row 2: found a number, expected an object or a list."),
        ("a.json", '{"train": [], "test": []}', ": found an object, expected a list of rows. Name the key"),
        ("a.json", '{"text": {"0": "x"}}', ": found an object, expected a list of rows. Write a list"),
        ("a.json", "3", ": found a number, expected a list of rows."),
    ],
)
def test_json_that_holds_no_rows_is_named_with_its_place(tmp_path, name, content, place):
    path = write(tmp_path / name, content)
    assert refusal(path).startswith(path + place)


def test_a_json_file_with_a_row_a_line_is_read_so(tmp_path):
    path = write(tmp_path / "a.json", '{"a": 1}\n\n{"a": 2}\n["x"]\n')
    assert values(path) == [{"a": 1}, {"a": 2}, {"0": "x"}]
    assert places(path) == ["a.json:1", "a.json:3", "a.json:4"]
    assert values(write(tmp_path / "b.json", '[{"a": 1}]\n\n')) == [{"a": 1}]  # one document, with blank lines after it
    assert ":3: not valid JSON" in refusal(write(tmp_path / "c.json", '{"a": 1}\n\n{"a": }\n'))
    assert "found rows of JSON, which have no parts. Leave out #train." in refusal(f"{path}#train")
    assert "found an object, expected a list of rows" in refusal(write(tmp_path / "d.json", '{"a": 1}\n'))


NESTED = [
    {"id": 1, "translation": {"en": "yes", "es": "sí"}},
    {"id": 2, "translation": {"en": "no", "es": "no"}},
    {"id": 3, "translation": None},
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_what_is_inside_objects_is_a_column_of_its_own(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(NESTED), path)
    else:
        lines = map(json.dumps, NESTED)
        write(path, "\n".join(lines) if path.suffix == ".jsonl" else json.dumps(NESTED))
    rows = list(read_rows(Source(str(path))))
    assert rows[0].values == {"id": 1, "translation.en": "yes", "translation.es": "sí"}
    assert [read_cell(row, "translation.es", "data.target") for row in rows] == ["sí", "no", None]
    with pytest.raises(DataError, match="no column 'translation'"):
        read_cell(rows[0], "translation", "data.target")


def test_objects_in_objects_are_columns_as_deep_as_they_go(tmp_path):
    row = {"a": {"b": {"c": [{"d": 1}]}, "e": {}}, "a.e": 2}
    assert values(write(tmp_path / "a.jsonl", json.dumps(row))) == [{"a.b.c": [{"d": 1}], "a.e": 2}]


def test_of_several_lists_in_a_json_document_the_longest_is_proposed(tmp_path):
    path = write(tmp_path / "a.json", '{"features": [], "train": [[1], [2]], "test": [[3]]}')
    assert f"Name the key of the list, such as {path}#train." in refusal(path)


def test_a_folder_without_labels_names_a_file_in_it(tmp_path):
    for name in ("classes.txt", "test.csv", "train.csv", ".hidden", "readme"):
        write(tmp_path / name, "a,b\n1,2\n")
    assert refusal(tmp_path).endswith(f"Name a file in it, such as {tmp_path / 'train.csv'}.")
    write(tmp_path / "only" / "readme", "x")
    assert refusal(tmp_path / "only").endswith(f"such as {tmp_path / 'only' / 'readme'}.")
    assert "unpack it and name the table" in refusal(tar(tmp_path / "a.tar", {"a.csv": b"a,b\n1,2\n"}))


def test_documents_that_are_more_than_their_text_are_told_once(tmp_path, recwarn):
    warnings.simplefilter("default")  # as in a command
    for label in "ab":
        write(tmp_path / label / "1.EML", "Subject: =?utf-8?Q?Caf=C3=A9?=\n\nGr=C3=BC=C3=9Fe")
    assert [row["label"] for row in values(tmp_path)] == ["a", "b"]
    assert read_document(write(tmp_path / "a.html", "<b>yes</b>")) == "<b>yes</b>"
    told = [str(each.message).partition(".")[2] for each in recwarn]
    assert [each[: len("eml files, headers")] for each in told] == ["eml files, headers", "html files, header"]


def test_of_folders_for_training_and_testing_the_one_for_training_is_proposed(tmp_path):
    for part in ("test", "train"):
        write(tmp_path / "data" / part / "pos" / "1.txt", "good")
    assert refusal(tmp_path / "data").endswith(f"such as {tmp_path / 'data' / 'train'}.")


def test_an_unknown_part_names_the_keys(tmp_path):
    path = write(tmp_path / "a.json", '{"train": [], "test": []}')
    assert "no key 'trian'; the keys are train, test." in refusal(f"{path}#trian")


def test_a_file_with_a_hash_in_its_name_has_no_part(tmp_path):
    assert values(write(tmp_path / "c#notes.csv", "a\n1\n")) == [{"a": "1"}]


def test_what_cannot_have_parts_or_a_format_is_a_mistake_in_the_config(tmp_path):
    path = write(tmp_path / "a.csv", "a\n1\n")
    with pytest.raises(ConfigError, match="a csv file has no parts"):
        values(f"{path}#train")
    with pytest.raises(ConfigError, match=r"set data\.format"):
        values(write(tmp_path / "a.data", "a\n1\n"))
    assert values(tmp_path / "a.data", format="csv") == [{"a": "1"}]


def test_folders_and_files_are_not_taken_for_each_other(tmp_path):
    assert "found a folder, expected a file" in refusal(tmp_path, format="csv")
    path = write(tmp_path / "a.csv", "a\n1\n")
    assert "neither a folder nor a readable .tar or .zip" in refusal(path, format="folder")
    with pytest.raises(DataError, match="found a folder"):
        read_document(tmp_path)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_whole_number_that_no_float_holds_is_text_as_in_a_csv(tmp_path, name):
    for digits in ("9" * 309, "-" + "9" * 5000):
        row = f'{{"a": {digits}, "b": 12}}'
        path = write(tmp_path / name, f"[{row}]" if name == "a.json" else row)
        assert values(path) == [{"a": digits, "b": 12}]


@pytest.mark.parametrize("kind", ["folder", "zip", "gztar"])
def test_a_document_that_no_memory_may_hold_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    for name, size in (("short", 1000), ("long", 1001)):
        folder = tmp_path / name
        (folder / "spam").mkdir(parents=True)
        (folder / "spam" / "1.txt").write_bytes(b"a" * size)
        path = folder if kind == "folder" else shutil.make_archive(str(folder), kind, folder)
        if name == "short":
            assert [len(row["text"]) for row in values(path)] == [1000]
        else:
            assert "1.txt: more than 1,000 bytes, too long for one text." in refusal(path)


@pytest.mark.parametrize(("name", "pack"), [("a.csv.gz", gzip.compress), ("a.csv.xz", lzma.compress)])
def test_a_compressed_file_that_is_cut_off_or_not_compressed_is_refused(tmp_path, name, pack):
    whole = pack(b"a,b\n" + b"1,2\n" * 1000)
    assert "cannot be read" in refusal(write(tmp_path / name, whole[:-12]))
    assert "cannot be read" in refusal(write(tmp_path / name, b"a,b\n1,2\n"))


def test_a_damaged_parquet_file_or_archive_is_refused(tmp_path):
    assert "Parquet" in refusal(write(tmp_path / "a.parquet", b"PAR1 and nothing else"))
    assert "readable .tar or .zip" in refusal(write(tmp_path / "a.zip", b"PK and nothing else"))
    whole = Path(tar(tmp_path / "a.tar.gz", {f"spam/{i}": bytes(range(1, 128)) * i for i in range(50)})).read_bytes()
    assert "cannot be read" in refusal(write(tmp_path / "b.tar.gz", whole[:-60]))


# Lines and documents to predict from


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]))))
def test_every_line_comes_back_in_order_empty_ones_too(lines):
    stream = io.BytesIO("".join(line + "\n" for line in lines).encode("utf-8-sig"))
    assert list(read_text_lines(stream, None, "input")) == lines


def test_lines_lose_control_characters_and_only_line_feeds_end_them():
    stream = io.BytesIO("a\x1bb\tc\r\nd\u2028e\x0bf\rg".encode())
    assert list(read_text_lines(stream, None, "input")) == ["a b c", "d\u2028e f g"]


def test_a_line_that_is_not_unicode_falls_back_alone_with_one_warning():
    stream = io.BytesIO("é\n".encode() + b"caf\xe9\n" + "ü\n".encode() + b"\x93ok\x94 \x81\n")
    with pytest.warns(UserWarning, match="input:2: not UTF-8") as told:
        assert list(read_text_lines(stream, None, "input")) == ["é", "café", "ü", "“ok” �"]
    assert len(told) == 1
    assert not stream.closed


def test_lines_keep_to_a_given_encoding():
    assert list(read_text_lines(io.BytesIO("é\nб".encode("utf-16")), "utf-16", "input")) == ["é", "б"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_lines_of_utf_16_are_known_by_their_mark(codec):
    stream = io.BufferedReader(io.BytesIO("\ufeffé\nб".encode(codec)))
    assert list(read_text_lines(stream, None, "input")) == ["é", "б"]


def test_what_begins_with_a_nul_is_refused_and_one_far_into_it_is_a_space():
    with pytest.raises(DataError, match="input:2: found a NUL"):
        list(read_text_lines(io.BufferedReader(io.BytesIO(b"one\nt\0wo\n")), None, "input"))
    lines = list(read_text_lines(io.BufferedReader(io.BytesIO(b"one\n" * 100_000 + b"t\0wo\n")), None, "input"))
    assert len(lines) == 100_001 and lines[-1] == "t wo"


def test_a_document_is_read_in_its_encoding(tmp_path):
    assert read_document(write(tmp_path / "a.txt", "\ufeffZoë\n")) == "Zoë\n"
    path = write(tmp_path / "b.txt", "Zoë".encode("cp1252"))
    assert read_document(path, "cp1252") == "Zoë"
    with pytest.warns(UserWarning, match="read as cp1252"):
        assert read_document(path) == "Zoë"


# Cost


def grown(rows) -> int:
    """The bytes that were held at once while the rows were read."""
    gc.collect()
    gc.freeze()  # else the size of everything imported so far decides how rarely garbage is collected
    tracemalloc.start()
    for _ in rows:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gc.unfreeze()
    return peak


WORDS = "some words " * 400


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\n" + f'"{WORDS}",x\n' * 4000),
        ("a.tsv.gz", f"text\tlabel\n{WORDS}\tx\n" * 4000),
        ("a.jsonl", f'{{"text": "{WORDS}"}}\n' * 4000),
        ("a.txt", f"label {WORDS}\n" * 4000),
    ],
)
def test_a_large_file_takes_no_more_memory_than_a_few_of_its_rows(tmp_path, name, content):
    path = write(tmp_path / name, gzip.compress(content.encode(), 1) if name.endswith(".gz") else content)
    assert len(content) > 16_000_000
    assert grown(read_rows(Source(path))) < 2_000_000


def test_a_large_parquet_file_takes_no_more_memory_than_a_batch(tmp_path):
    table = pyarrow.table({"text": [WORDS + str(row) for row in range(8000)]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1000)
    assert grown(read_rows(Source(str(tmp_path / "a.parquet")))) < 12_000_000


def test_an_archive_of_many_documents_takes_no_more_memory_than_one_of_few(tmp_path):
    # In a process of its own: what else a test process has loaded is counted too.
    script = """
import sys, tracemalloc
from toolkit.data.rows import Source, read_rows
peaks = []
for path in (sys.argv[1], *sys.argv[1:]):  # the first time is to load what is loaded once
    tracemalloc.start()
    for row in read_rows(Source(path)):
        pass
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
print(*peaks[1:])
"""
    paths = [
        tar(tmp_path / f"{many}.tar", {f"x/{number}": b"some words" for number in range(many)}) for many in (100, 3000)
    ]
    done = subprocess.run([sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many < few + 1_000_000  # what waits for the garbage collector; all members together are 8 MB


def test_lines_are_streamed():
    def lines():
        for _ in range(20_000):
            yield b"some words\n"

    class Stream(io.RawIOBase):
        source = lines()

        def readable(self):
            return True

        def readinto(self, buffer):
            chunk = next(self.source, b"")
            buffer[: len(chunk)] = chunk
            return len(chunk)

    assert grown(read_text_lines(io.BufferedReader(Stream()), None, "input")) < 200_000


def test_the_module_loads_nothing_heavy():
    heavy = "('numpy', 'pyarrow', 'charset_normalizer')"
    code = f"import sys, toolkit.data.rows; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_single_bytes_that_are_not_utf_8_leave_the_rest_as_it_is(tmp_path):
    text = "text\n" + "Königin\n" * 40
    path = write(tmp_path / "a.csv", text.encode() + "café Königin\n".encode("cp1252") + "नमस्ते\n".encode())
    with pytest.warns(UserWarning, match=r"a\.csv:42: byte 0xe9 at offset .* such bytes are read as cp1252"):
        found = [row["text"] for row in values(path)]
    assert found == ["Königin"] * 40 + ["café Königin", "नमस्ते"]
    write(tmp_path / "a.csv", Path(path).read_bytes() + b"a\0b\n")
    assert "a.csv:44: found a NUL" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nText;Label\nhallo, du;a\nna, ja;b\n",
        "Text, frei;Label\nhallo du;a\nna ja;b\n",
        "Text;Label;;\nhallo du;a;;\nna ja;b;;\n",
        "Text\tLabel\nhallo, du\ta\nna ja, ja\tb\n",
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, text):
    path = write(tmp_path / "a.csv", text)
    rows = list(read_rows(Source(str(path))))
    assert [list(row.values.values())[1] for row in rows] == ["a", "b"]
    assert [len(row.values) for row in rows] == [2, 2]
    assert rows[0].where.endswith(f":{2 + text.startswith('sep')}")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.xlsx", b"PK\x03\x04", "Save the sheet as CSV"),
        ("a.tmx", b"<tmx/>", "a source and a target a row"),
        ("a.jsonl", b'[\n{"a": 1}\n]', "let the name end in .json"),
        ("a.json", b'{"status": "ok", "results": [1]}', "such as .*a.json#results"),
        ("a.csv", b"Sales report\na,b\n1,2\n", "If lines of a title stand above"),
        ("a.csv", b"Source,Bank,\nname,2020,2021,2022,2023\na,1,2,3,4\n", "If lines of a title stand above"),
    ],
)
def test_files_of_other_programs_are_told_how_to_be_mended(tmp_path, name, content, told):
    with pytest.raises(SeqloomError, match=told):
        values(write(tmp_path / name, content))
