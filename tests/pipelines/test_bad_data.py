"""Data that cannot be used, or only just: a sentence and an exit code, and nothing lost."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from keywords import Row, keyword_rows, seqloom, write_config, write_splits, write_table

from pipelines.text_classification import evaluate

GOOD = "".join(f"{text} {i},{label}\n" for i, (text, label) in enumerate(keyword_rows(60)))
SHARES = {"validation": 0.2, "test": 0.2}
QUICK = {"encoder": {"units": 4}, "training": {"epochs": 1, "batch_size": 64}}


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


def run(data: dict[str, Any], **stanzas: Any) -> Any:
    return seqloom("run", write_config(Path("c.yaml"), data, **{**QUICK, **stanzas}), "--out", "run")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "d.csv: nothing to read here; expected at least one row"),
        (b"text,label\n", "d.csv: nothing to read here; expected at least one row"),
        (b"text,label\nhello,a\n", "d.csv: data.test: 0.2 of the rows"),
        (b"text,label\nhello,a\nbye,b\n", "d.csv: data.test: 0.2 of the rows"),
        (b"text,label\n" + b"same text,a\n" * 50, "d.csv: data.test: 0.2 of the rows"),
        (
            b"text,label\n" + b"".join(b"text %d,a\n" % i for i in range(50)),
            "labels in the training rows: a; expected two",
        ),
        (b"txt,label\nhello,a\n", "d.csv:2: there is no column 'text' (data.text). Did you mean txt?"),
        (b"text,kind\nhello,a\n", "d.csv:2: there is no column 'label' (data.label). The columns are text, kind;"),
        (b"text,label,text\nhello,a,b\n", "no column 'text' (data.text). Did you mean text."),
        (b"text,label\nhello,a,b\n", "d.csv:2: found 3 cells, expected 2 (text, label)"),
        (b"text,label\nhello,\n", "d.csv: no row has a label. See that data.label names the right column."),
        (b"text,label\n ,a\n,b\n", "no row has a text"),
        (b'text,label\n"hello,a\n', "d.csv:2: not valid CSV"),
        (b"text,label\nhel\0lo,a\n", "d.csv:2: found a NUL"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "d.csv"),
    ],
)
def test_files_that_cannot_train_are_told(content: bytes, told: str) -> None:
    Path("d.csv").write_bytes(content)
    for command in (["check"], ["run", "--out", "run"]):
        result = seqloom(*command, write_config(Path("c.yaml"), {"train": "d.csv", **SHARES}))
        assert result.code == 1
        assert told in result.err
        assert "should not happen" not in result.err
    assert Path("d.csv").read_bytes() == content
    assert sorted(os.listdir()) == ["c.yaml", "d.csv"]


def test_labels_that_only_the_test_rows_have_are_told(here: Path) -> None:
    data = write_splits(here)
    write_table(Path("test.csv"), [("my parcel", "delivery"), ("hello", "martian"), ("bye", "venusian")])
    result = run({**data, "test": "test.csv"})
    assert result.code == 1
    assert "test.csv: labels that no training row has: martian, venusian. Add training rows" in result.err


def test_a_wrong_encoding_is_told_and_a_missing_one_guessed_aloud(here: Path) -> None:
    Path("d.csv").write_bytes(f"text,label\n{GOOD}caf\u00e9,refund\n".encode("latin-1"))
    data = {"train": "d.csv", **SHARES}
    result = run({**data, "encoding": "utf-8"})
    assert result.code == 1
    assert "d.csv:62: byte 0xe9" in result.err and "Set the encoding" in result.err
    result = run({**data, "encoding": "klingon"})
    assert result.code == 2
    assert "there is no text encoding 'klingon'" in result.err
    result = seqloom("check", write_config(Path("c.yaml"), data))
    assert result.code == 0
    assert "d.csv:62: byte 0xe9 at offset" in result.err and "read as cp1252" in result.err


@pytest.mark.usefixtures("plain_report")
def test_odd_rows_train(here: Path) -> None:
    """A label seen once, an empty text, a line of 10 MB, texts of only signs, half a character."""
    long_line = "long " * 2_000_000
    odd = f'odd words,odd\n,refund\n{long_line},account\n"!!! ...",refund\n'
    Path("d.csv").write_text(f"text,label\n{GOOD}{odd}")
    result = run({"train": "d.csv", **SHARES}, tokens={"max_tokens": 20})
    assert result.code == 0, result.err
    assert "only one training row for odd" in result.err
    assert "rows without text were left out: 1" in result.err
    assert seqloom("classify", "-", "--model", "run", stdin=b"!!!").code == 0


@pytest.mark.usefixtures("plain_report")
def test_halves_of_characters_in_json_train(here: Path) -> None:
    rows = [
        f'{{"text": "{text} {i} \\ud800", "label": "{label} \\udc00"}}'
        for i, (text, label) in enumerate(keyword_rows(60))
    ]
    Path("d.jsonl").write_text("\n".join(rows))
    result = run({"train": "d.jsonl", **SHARES})
    assert result.code == 0, result.err
    assert seqloom("classify", "d.jsonl", "--model", "run").code == 0


HOSTILE = [
    "new\nline",
    "com,ma",
    "semi;colon",
    "\N{GRINNING FACE}",
    "<script>alert(1)</script>",
    "$x^2$",
    "%s{0}",
    "null",
]
HOSTILE += ['q"uote', "../../etc", "\u202eevil", "x" * 500]


def test_hostile_labels_survive_from_the_data_to_the_report(here: Path) -> None:
    rows: list[Row] = [(f"{text} {i}", HOSTILE[i % len(HOSTILE)]) for i, (text, _) in enumerate(keyword_rows(120))]
    write_table(Path("d.csv"), rows)
    result = run({"train": "d.csv", **SHARES})
    assert result.code == 0, result.err
    page = Path("run/report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    options = ("--model", "run", "--lines", "--top", 12)
    (record,) = seqloom("classify", "-", *options, stdin=b"my parcel").records
    assert set(record["probabilities"]) == set(HOSTILE)
    table = seqloom("classify", "-", *options, "--format", "table", stdin=b"my parcel\nmy refund").out
    assert table.count("\n") == 2
    assert "\u202e" not in table


@pytest.mark.usefixtures("plain_report")
def test_thousands_of_labels_train(here: Path) -> None:
    write_table(Path("d.csv"), [(f"word{i // 3} text {i}", f"label{i // 3}") for i in range(15_000)])
    facts = seqloom("check", write_config(Path("c.yaml"), {"train": "d.csv"}, **QUICK))
    assert facts.code == 0, facts.err
    assert "5000: " in facts.out and "and 4988 more" in facts.out


def test_vectors_that_are_not_there_are_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gensim import downloader

    monkeypatch.setenv("SEQLOOM_CACHE", "cache")
    data = write_splits(here)

    def offline(*_: Any, **__: Any) -> None:
        raise ValueError("unable to read local cache, connect to the Internet and retry")

    monkeypatch.setattr(downloader, "load", offline)
    result = run(data, vectors={"source": "glove-wiki-gigaword-100"})
    assert result.code == 1
    assert "glove-wiki-gigaword-100" in result.err and "Give the path of a vectors file" in result.err
    Path("glove.txt").write_text("parcel 1 2 3\n")
    result = run(data, vectors={"source": "glvoe.txt"})
    assert result.code == 1
    assert "glvoe.txt: there is no such file. Did you mean glove.txt?" in result.err
    Path("glove.txt").write_text("parcel 1 2 3\nrefund 1 two 3\n")
    result = run(data, vectors={"source": "glove.txt"})
    assert result.code == 1
    assert "glove.txt:2" in result.err and "'two'" in result.err
    assert not Path("run").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_is_told(here: Path) -> None:
    data = write_splits(here)
    Path("locked").mkdir(mode=0o500)
    result = seqloom("run", write_config(Path("c.yaml"), data), "--out", "locked/run")
    assert result.code == 1
    assert "locked/run: cannot be written: Permission denied" in result.err


def test_a_file_in_the_place_of_the_folder_is_told_and_kept(here: Path) -> None:
    config = write_config(Path("c.yaml"), write_splits(here))
    before = config.read_text()
    mistakes = {"c.yaml": "this is a file, expected a folder", "c.yaml/run": "cannot be written: Not a directory"}
    for out, told in mistakes.items():
        result = seqloom("run", config, "--out", out)
        assert result.code == 1
        assert f"{out}: {told}" in result.err
    assert config.read_text() == before


@pytest.fixture
def small_disk(here: Path) -> Any:
    """A file system of 200 kB."""
    Path("disk").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", "disk"], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root mounts file systems")
    yield Path("disk")
    subprocess.run(["umount", here / "disk"], check=True)


def test_a_disk_that_is_really_full_is_told(small_disk: Path, trained: Any) -> None:
    (small_disk / "other.bin").write_bytes(b"x" * 100_000)
    result = seqloom("run", trained.config, "--out", small_disk / "run")
    assert result.code == 1
    assert "No space left on device. Free some space and run again." in result.err
    assert (small_disk / "other.bin").stat().st_size == 100_000
    (small_disk / "other.bin").write_bytes(b"x" * 190_000)
    lines = b"my parcel\n" * 5000
    result = seqloom("classify", "-", "--lines", "--model", trained.folder, "-o", small_disk / "o.jsonl", stdin=lines)
    assert result.code == 1
    assert "disk/o.jsonl: cannot be written: No space left on device." in result.err
    assert not (small_disk / "o.jsonl").exists()
