"""Labelled texts from every kind of file, and what is set aside of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from keywords import Row, keyword_rows, write_table

from pipelines.text_classification.config import DataConfig
from pipelines.text_classification.data import (
    Examples,
    check_known,
    label_set,
    read_examples,
    read_splits,
    shared_texts,
    targets,
)
from toolkit.errors import DataError

ROWS = keyword_rows(30)


def write(kind: str, rows: list[Row]) -> str:
    """The rows as a file of some kind; returns how a config names it."""
    records = [{"text": text, "label": label} for text, label in rows]
    match kind:
        case "csv" | "tsv":
            separator = "," if kind == "csv" else "\t"
            lines = [separator.join(row) for row in (("text", "label"), *rows)]
            Path(f"d.{kind}").write_text("\n".join(lines))
        case "jsonl":
            Path("d.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        case "json#part":
            Path("d.json").write_text(json.dumps({"part": records, "other": []}))
            return "d.json#part"
        case "parquet":
            import pandas as pd

            pd.DataFrame(records).to_parquet("d.parquet")
        case "txt":
            Path("d.txt").write_text("".join(f"__label__{label} {text}\n" for text, label in rows))
        case "folder":
            for number, (text, label) in enumerate(rows):
                Path("d.folder", label).mkdir(parents=True, exist_ok=True)
                Path("d.folder", label, f"{number}.txt").write_text(text)
    return f"d.{kind}"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json#part", "parquet", "txt", "folder"])
def test_the_same_rows_come_from_every_kind_of_file(kind: str) -> None:
    examples = read_examples(DataConfig(train=write(kind, ROWS)), write(kind, ROWS))
    assert sorted(zip(examples.texts, examples.labels, strict=True)) == sorted((text, (label,)) for text, label in ROWS)
    assert not examples.many


def test_several_files_are_one(here: Path) -> None:
    paths = [write("csv", ROWS[:10]), write("jsonl", ROWS[10:])]
    assert read_examples(DataConfig(train=paths), paths).texts == [text for text, _ in ROWS]


def test_a_table_without_a_header_has_numbered_columns(here: Path) -> None:
    Path("d.csv").write_text("my parcel,delivery\nmy refund,refund\n")
    examples = read_examples(DataConfig(train="d.csv", header=False, text="0", label="1"), "d.csv")
    assert (examples.texts, examples.labels) == (["my parcel", "my refund"], [("delivery",), ("refund",)])


def test_numbers_stand_for_the_names_in_a_file(here: Path) -> None:
    Path("d.csv").write_text("text,label\nmy parcel,1\nmy refund,0\n")
    Path("names.txt").write_text("refund\ndelivery\n")
    config = DataConfig(train="d.csv", label_names="names.txt")
    assert read_examples(config, "d.csv").labels == [("delivery",), ("refund",)]
    Path("d.csv").write_text("text,label\nmy parcel,1\nmy refund,2\n")
    with pytest.raises(DataError, match=r"d\.csv:3: label '2', expected a number from 0 to 1"):
        read_examples(config, "d.csv")


@pytest.mark.parametrize(("content", "line"), [("refund\n\ndelivery\n", 2), ("\nrefund\n", 1), ("", 1), ("\n\n", 1)])
def test_a_blank_line_moves_no_name_to_another_number(content: str, line: int, here: Path) -> None:
    Path("d.csv").write_text("text,label\nmy parcel,1\n")
    Path("names.txt").write_text(content)
    with pytest.raises(DataError, match=rf"names\.txt:{line}: there is no name here"):
        read_examples(DataConfig(train="d.csv", label_names="names.txt"), "d.csv")


def test_names_of_labels_may_hold_blanks(here: Path) -> None:
    Path("d.csv").write_text("text,label\nmy parcel,1\n")
    Path("names.txt").write_text("money back\non its way\n")
    assert read_examples(DataConfig(train="d.csv", label_names="names.txt"), "d.csv").labels == [("on its way",)]


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        ("text,label\nhello,a; b;a\nbye,b\nhm,other\n", ";"),
        (
            '{"text": "hello", "label": ["a", "b", "a"]}\n'
            '{"text": "bye", "label": ["b"]}\n{"text": "hm", "label": []}\n',
            None,
        ),
    ],
)
def test_many_labels_come_from_a_separator_or_a_list(content: str, separator: str | None) -> None:
    path = "d.csv" if separator else "d.jsonl"
    Path(path).write_text(content)
    config = DataConfig(train=path, label_separator=separator, out_of_scope="other")
    examples = read_examples(config, path)
    assert examples.many
    assert examples.labels == [("a", "b"), ("b",), ()]
    assert targets(examples, ("a", "b")).tolist() == [[True, True], [False, True], [False, False]]


def test_many_labels_come_from_columns_of_0_and_1_or_lists_that_pandas_wrote() -> None:
    Path("flags.csv").write_text("text,a,other,b\nhello,1,0,TRUE\nbye,0.0,,1\nhm,false,yes,no\n")
    config = DataConfig(train="flags.csv", label=["a", "b", "other"], out_of_scope="other")
    examples = read_examples(config, "flags.csv")
    assert examples.many and examples.labels == [("a", "b"), ("b",), ()]
    Path("lists.csv").write_text("text,label\nhello,\"['a', 'b']\"\nbye,[1]\nhm,[]\n")
    examples = read_examples(DataConfig(train="lists.csv"), "lists.csv")
    assert examples.many and examples.labels == [("a", "b"), ("1",), ()]
    Path("one.csv").write_text("text,label\nhello,[a]\nbye,[b\nhm,[{[]: 1}]\n")
    examples = read_examples(DataConfig(train="one.csv"), "one.csv")
    assert not examples.many and examples.labels == [("[a]",), ("[b",), ("[{[]: 1}]",)]
    Path("flags.csv").write_text("text,a,b\nhello,1,2\n")
    with pytest.raises(DataError, match=r"flags.csv:2: found '2' in column 'b', expected 0 or 1"):
        read_examples(DataConfig(train="flags.csv", label=["a", "b"]), "flags.csv")
    with pytest.raises(DataError, match="there is no column 'c'"):
        read_examples(DataConfig(train="flags.csv", label=["a", "c"]), "flags.csv")
    with pytest.raises(ValueError, match="need no label_separator"):
        DataConfig(train="flags.csv", label=["a", "b"], label_separator=";")
    with pytest.raises(ValueError, match="the same column, 'text'"):
        DataConfig(train="flags.csv", label=["a", "text"])


def test_the_label_that_means_none_is_never_a_label(here: Path) -> None:
    Path("d.csv").write_text("text,label\nhello,a\nhm,other\nbye,b\n")
    examples = read_examples(DataConfig(train="d.csv", out_of_scope="other"), "d.csv")
    assert label_set(examples) == ("a", "b")
    assert targets(examples, ("a", "b")).tolist() == [0, -1, 1]


def test_a_label_for_none_that_no_row_has_is_noted(here: Path) -> None:
    with pytest.warns(UserWarning, match=r"d\.csv: no row is labelled 'refunds' .* Did you mean refund\?"):
        read_splits(DataConfig(train=write("csv", ROWS), out_of_scope="refunds"), 1)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_without_a_row_in_scope_is_refused(part: str, here: Path) -> None:
    parts = {"validation": "d.csv", "test": "d.csv", part: str(write_table(Path("none.csv"), [("hm", "other")] * 3))}
    config = DataConfig(train=write("csv", ROWS), out_of_scope="other", **parts)
    with pytest.raises(DataError, match=rf"none\.csv: data\.{part}: all rows are out of scope"):
        read_splits(config, 1)


def test_lists_in_one_file_make_all_files_many(here: Path) -> None:
    Path("train.jsonl").write_text(
        "".join(json.dumps({"text": f"{t} {i}", "label": [label]}) + "\n" for i, (t, label) in enumerate(ROWS))
    )
    config = DataConfig(train="train.jsonl", validation=write("csv", ROWS), test="d.csv")
    splits = read_splits(config, 1)
    assert splits.train.many and splits.validation.many and splits.test.many


def test_rows_without_text_are_left_out_with_a_note(here: Path) -> None:
    Path("d.csv").write_text("text,label\nhello,a\n  ,b\n,a\n")
    with pytest.warns(UserWarning, match=r"d\.csv: rows without text were left out: 2"):
        assert read_examples(DataConfig(train="d.csv"), "d.csv").texts == ["hello"]


def test_the_text_zero_is_a_text(here: Path) -> None:
    Path("d.jsonl").write_text('{"text": 0, "label": false}\n')
    examples = read_examples(DataConfig(train="d.jsonl"), "d.jsonl")
    assert (examples.texts, examples.labels) == (["0"], [("False",)])


@pytest.mark.parametrize("value", ["null", "NaN", '""', '" "'])
def test_rows_without_a_label_are_left_out_aloud(value: str) -> None:
    Path("d.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": ' + value + "}\n")
    with pytest.warns(UserWarning, match=r"rows without a label were left out: 1, the first at d\.jsonl:2\."):
        assert read_examples(DataConfig(train="d.jsonl"), "d.jsonl").texts == ["a"]


def test_an_empty_cell_is_a_row_without_labels_where_there_may_be_many(here: Path) -> None:
    Path("d.csv").write_text("text,label\nhello,a;b\nhm,\n")
    examples = read_examples(DataConfig(train="d.csv", label_separator=";"), "d.csv")
    assert examples.labels == [("a", "b"), ()]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"text": ["a"], "label": "b"}', r"d\.jsonl:1: found .* expected a text or a number"),
        ('{"text": "a", "label": {"b": 1}}', r"d\.jsonl:1: there is no column 'label' .* Did you mean label\.b\?"),
    ],
)
def test_what_is_neither_text_nor_number_is_refused(row: str, told: str) -> None:
    Path("d.jsonl").write_text(row)
    with pytest.raises(DataError, match=told):
        read_examples(DataConfig(train="d.jsonl"), "d.jsonl")


def rows_of(examples: Examples) -> set[tuple[str, Any]]:
    return set(zip(examples.texts, examples.labels, strict=True))


def test_shares_have_the_right_size_and_the_same_share_of_each_label(here: Path) -> None:
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(keyword_rows(300))]
    rows += [(f"rare {i}", "rare") for i in range(20)]
    path = write("csv", rows)
    splits = read_splits(DataConfig(train=path, validation=0.1, test=0.2), 1)
    assert [len(part) for part in vars(splits).values()] == [224, 32, 64]
    for part, share in ((splits.validation, 0.1), (splits.test, 0.2)):
        counts = Counter(label for labels in part.labels for label in labels)
        assert counts == {"account": 100 * share, "delivery": 100 * share, "refund": 100 * share, "rare": 20 * share}
    parts = [rows_of(part) for part in vars(splits).values()]
    assert set.union(*parts) == {(text, (label,)) for text, label in rows}
    assert sum(map(len, parts)) == len(rows)


def test_the_seed_chooses_the_rows(here: Path) -> None:
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(keyword_rows(90))]
    config = DataConfig(train=write("csv", rows))
    assert rows_of(read_splits(config, 1).test) == rows_of(read_splits(config, 1).test)
    assert rows_of(read_splits(config, 1).test) != rows_of(read_splits(config, 2).test)


def test_equal_texts_never_stand_on_both_sides(here: Path) -> None:
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(keyword_rows(60))]
    rows += [(text.upper() + "  ", label) for text, label in rows]
    splits = read_splits(DataConfig(train=write("csv", rows), validation=0.2, test=0.2), 1)
    texts = [{" ".join(text.casefold().split()) for text in part.texts} for part in vars(splits).values()]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]


@pytest.mark.filterwarnings("ignore:.*only one training row")
def test_many_rare_labels_give_some_rows_each_and_keep_some(here: Path) -> None:
    rows = [(f"word{i} text", f"label{i // 3}") for i in range(1500)]
    splits = read_splits(DataConfig(train=write("csv", rows)), 1)
    assert [len(part) for part in vars(splits).values()] == [1200, 150, 150]
    assert len(label_set(splits.train)) == 500


def test_a_label_seen_once_stays_in_training(here: Path) -> None:
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(keyword_rows(40))]
    rows += [(f"odd {i}", f"odd{i}") for i in range(40)]
    with pytest.warns(UserWarning, match="only one training row for odd0"):
        splits = read_splits(DataConfig(train=write("csv", rows), validation=0.4, test=0.4), 1)
    assert len(label_set(splits.train)) == 43


def test_files_of_their_own_are_taken_as_they_are(here: Path) -> None:
    write_table(Path("validation.csv"), ROWS[:9])
    write_table(Path("test.csv"), ROWS[3:9])
    splits = read_splits(DataConfig(train=write("csv", ROWS), validation="validation.csv", test="test.csv"), 1)
    assert [part.texts for part in vars(splits).values()] == [[t for t, _ in r] for r in (ROWS, ROWS[:9], ROWS[3:9])]


def test_labels_too_rare_to_be_set_aside_take_no_rows_of_others(here: Path) -> None:
    rare = [(f"rare {n}", f"a{n:03}") for n in range(300)]
    common = [(f"{label} {n}", label) for label in ("refund", "shipping") for n in range(60)]
    write_table(here / "d.csv", [*rare, *common])
    with pytest.warns(UserWarning, match="only one training row"):
        splits = read_splits(DataConfig(train="d.csv"), seed=1)
    for part, rows in ((splits.test, 6), (splits.validation, 6), (splits.train, 48)):
        counts = Counter(label for labels in part.labels for label in labels)
        assert all(abs(counts[label] - rows) <= 1 for label in ("refund", "shipping"))


def test_letters_written_as_two_are_the_same_text_and_the_same_label(here: Path) -> None:
    kinds = ("caf\u00e9", "th\u00e9"), ("cafe\u0301", "the\u0301"), ("tea", "tea")
    write_table(here / "d.csv", [(f"{text} {n}", label) for text, label in kinds for n in range(20)])
    splits = read_splits(DataConfig(train="d.csv"), seed=1)
    assert label_set(splits.train) == ("tea", "th\u00e9")
    assert shared_texts(splits.train, splits.test) == shared_texts(splits.train, splits.validation) == 0
    assert shared_texts(Examples(["caf\u00e9"], [()], False, ""), Examples(["cafe\u0301"], [()], False, "")) == 1
    none = read_examples(DataConfig(train="d.csv", out_of_scope="the\u0301"), "d.csv")
    assert set(none.labels) == {(), ("tea",)}


def test_a_run_of_an_early_version_knows_labels_of_letters_written_as_two() -> None:
    examples = Examples(["tea"], [("th\u00e9",)], False, "")
    check_known(examples, ("tea", "the\u0301"))
    assert targets(examples, ("tea", "the\u0301")).tolist() == [1]


def test_no_labels_at_all_are_labels_where_there_may_be_many(here: Path) -> None:
    Path("d.jsonl").write_text('{"text": "a", "label": null}\n{"text": "b", "label": ["x", "y"]}\n')
    examples = read_examples(DataConfig(train="d.jsonl"), "d.jsonl")
    assert examples.labels == [(), ("x", "y")]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["Paris", "paris", "Rome", "ROME", "Oslo"], "'Paris' and 'paris', and 1 more"),
        (["New York", "New\u00a0York"], r"'New York' and 'New\\xa0York'"),
    ],
)
def test_labels_that_differ_in_case_or_blanks_alone_are_told(labels: list[str], told: str, here: Path) -> None:
    rows = "".join(f"text {i},{label}\n" for i, label in enumerate(labels * 8))
    Path("d.csv").write_text("text,label\n" + rows)
    with pytest.warns(UserWarning, match=f"in nothing but case or blanks: {told}; they are learned apart"):
        read_splits(DataConfig(train="d.csv"), 1)
