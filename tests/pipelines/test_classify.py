"""The `classify` command: what it reads, what it writes, and how it ends."""

import csv
import errno
import gzip
import io
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from keywords import Result, keyword_rows, seqloom, write_table

from pipelines.text_classification import classify as command
from pipelines.text_classification.predict import Classifier
from toolkit.artifact import seal
from toolkit.evaluation.decisions import Policy

START = "import sys; from pipelines.cli import main; sys.argv[0] = 'seqloom'; "


@pytest.fixture
def classify(trained: Any) -> Any:
    def run(*arguments: Any, stdin: bytes = b"") -> Result:
        return seqloom("classify", *arguments, "--model", trained.folder, stdin=stdin)

    return run


def labels(result: Result) -> list[list[str]]:
    assert result.code == 0, result.err
    return [record["labels"] for record in result.records]


def test_a_file_is_one_text(classify: Any) -> None:
    Path("a.txt").write_text("where is\n\nmy parcel\n")
    (record,) = classify("a.txt").records
    assert record["source"] == "a.txt"
    assert record["labels"] == ["delivery"]
    assert next(iter(record["probabilities"])) == "delivery"
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_a_label_that_is_given_is_shown_with_its_probability(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Policy, "decide", lambda self, logits, features: [(2, 1)] * len(logits))
    (record,) = classify("-", "--top", 1, stdin=b"where is my parcel").records
    assert record["labels"] == ["refund", "delivery"]
    assert set(record["probabilities"]) == {"refund", "delivery"}


def test_a_folder_is_read_in_order_without_hidden_files(classify: Any) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "sub/c.txt", ".git/d.txt"):
        Path("docs", name).parent.mkdir(parents=True, exist_ok=True)
        Path("docs", name).write_text("my parcel")
    assert [record["source"] for record in classify("docs").records] == ["docs/a.txt", "docs/b.txt", "docs/sub/c.txt"]


def test_a_link_to_a_folder_is_followed_and_one_that_leads_back_is_told(classify: Any) -> None:
    Path("docs").mkdir()
    Path("elsewhere").mkdir()
    Path("elsewhere/a.txt").write_text("my parcel")
    Path("docs/linked").symlink_to(Path("elsewhere").resolve())
    assert [record["source"] for record in classify("docs").records] == ["docs/linked/a.txt"]
    for target in (".", ".."):
        Path("docs/back").symlink_to(target)
        result = classify("docs")
        assert [record["source"] for record in result.records] == ["docs/linked/a.txt"]
        assert result.code == 1 and "docs/back: this link leads to a folder that it lies in." in result.err
        Path("docs/back").unlink()


def test_pipes_in_a_folder_are_passed_over_and_a_folder_without_files_is_told(classify: Any) -> None:
    Path("docs").mkdir()
    os.mkfifo("docs/pipe")
    result = classify("docs")
    assert result.code == 1
    assert "docs: there is no file in this folder." in result.err
    Path("docs/a.txt").write_text("my parcel")
    assert [record["source"] for record in classify("docs").records] == ["docs/a.txt"]


def test_a_folder_that_may_not_be_read_is_told(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(folder: str) -> Any:
        if folder.endswith("secret"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return scan(folder)

    Path("docs/secret").mkdir(parents=True)
    Path("docs/a.txt").write_text("my parcel")
    scan = os.scandir
    with monkeypatch.context() as patched:  # root may read all
        patched.setattr(os, "scandir", scandir)
        result = classify("docs")
    assert result.code == 1
    assert [record["source"] for record in result.records] == ["docs/a.txt"]
    assert "docs/secret: cannot be read (Permission denied)." in result.err


def test_lines_are_texts_of_their_own_and_blank_ones_get_no_label(classify: Any) -> None:
    Path("a.txt").write_bytes(b"my parcel\r\n\nmy password")
    result = classify("a.txt", "--lines")
    assert labels(result) == [["delivery"], [], ["account"]]
    assert [record["source"] for record in result.records] == ["a.txt:1", "a.txt:2", "a.txt:3"]


def test_standard_input_is_one_text_or_lines(classify: Any) -> None:
    assert labels(classify("-", stdin=b"where is\nmy parcel")) == [["delivery"]]
    assert labels(classify("-", "--lines", stdin=b"my parcel\nmy password\n")) == [["delivery"], ["account"]]
    assert labels(classify("-", "--lines", stdin=b"")) == []


def test_several_inputs_come_one_after_the_other(classify: Any) -> None:
    Path("a.txt").write_text("my password")
    assert labels(classify("a.txt", "-", "a.txt", stdin=b"my parcel")) == [["account"], ["delivery"], ["account"]]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "t.csv.gz"])
def test_a_row_of_a_table_is_a_text(name: str, classify: Any) -> None:
    rows = [{"text": "my parcel", "n": 1}, {"text": None, "n": 2}, {"text": "my password", "n": 3}]
    match name.split(".", 1)[1]:
        case "csv":
            Path(name).write_text("text,n\nmy parcel,1\n,2\nmy password,3\n")
        case "csv.gz":
            Path(name).write_bytes(gzip.compress(b"text,n\nmy parcel,1\n,2\nmy password,3\n"))
        case "tsv":
            Path(name).write_text("text\tn\nmy parcel\t1\n\t2\nmy password\t3\n")
        case "jsonl":
            Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        case "json":
            Path(name).write_text(json.dumps(rows))
        case "parquet":
            import pandas as pd

            pd.DataFrame(rows).to_parquet(name)
    assert labels(classify(name)) == [["delivery"], [], ["account"]]


def test_the_text_column_can_be_named_and_is_asked_for_where_it_is_missing(classify: Any) -> None:
    Path("t.csv").write_text("message,n\nmy parcel,1\n")
    assert labels(classify("t.csv", "--column", "message")) == [["delivery"]]
    result = classify("t.csv")
    assert result.code == 1
    assert "there is no column 'text' (--column). The columns are message, n;" in result.err


def test_a_column_of_what_is_no_table_is_refused(classify: Any) -> None:
    """Else a whole table from standard input would be one text, and its names a line with --lines."""
    Path("t.csv").write_text("text,n\nmy parcel,1\n")
    for inputs in (["-"], ["t.csv", "--lines"]):
        result = classify(*inputs, "--column", "text", stdin=b"text,n\nmy parcel,1\n")
        assert result.code == 2 and not result.out
        assert "--column: none of these is read as a table, so none has columns." in result.err
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("my password")
    assert labels(classify("t.csv", "docs", "--column", "text")) == [["delivery"], ["account"]]


def test_numbers_are_names_for_a_run_that_learned_from_a_table_where_they_are(trained: Any) -> None:
    """As pandas writes columns that nobody named, with an index before them."""
    shutil.copytree(trained.folder, "run")
    facts = {"text_column": "0", "header": json.loads(Path("run/manifest.json").read_text())["header"]}
    seal(Path("run"), "text_classification", facts)
    Path("t.csv").write_text(",0,1\n0,my parcel,delivery\n1,my password,account\n")
    for column in ([], ["--column", "0"]):
        assert labels(seqloom("classify", "t.csv", "--model", "run", *column)) == [["delivery"], ["account"]]


def test_what_is_neither_text_nor_number_is_refused(classify: Any) -> None:
    Path("t.jsonl").write_text('{"text": "my parcel"}\n{"text": ["my parcel"]}\n')
    result = classify("t.jsonl")
    assert result.code == 1
    assert [record["labels"] for record in result.records] == [["delivery"]]
    assert "t.jsonl:2: found \"['my parcel']\", expected a text or a number." in result.err


def test_a_number_counts_the_columns_of_a_table_without_header(classify: Any) -> None:
    Path("t.tsv").write_text("1\tmy parcel\n2\tmy password\n")
    assert labels(classify("t.tsv", "--column", "1")) == [["delivery"], ["account"]]


def test_compressed_lines_are_read(classify: Any) -> None:
    Path("a.txt.gz").write_bytes(gzip.compress(b"my parcel\nmy password\n"))
    assert labels(classify("a.txt.gz", "--lines")) == [["delivery"], ["account"]]
    Path("a.txt.gz").write_bytes(Path("a.txt.gz").read_bytes()[:-9])
    assert "a.txt.gz: cannot be read" in classify("a.txt.gz", "--lines").err


@pytest.mark.parametrize("lines", [[], ["--lines"]])
def test_other_encodings_are_read(lines: list[str], classify: Any) -> None:
    Path("a.txt").write_bytes("my parcel, caf\u00e9".encode("latin-1"))
    result = classify("a.txt", *lines)
    assert labels(result) == [["delivery"]]
    assert "a.txt" in result.err and "not UTF-8" in result.err
    assert classify("a.txt", *lines, "--encoding", "latin-1").err == ""
    marked = "my parcel".encode("utf-16")
    Path("b.txt").write_bytes(marked)
    assert labels(classify("b.txt", *lines, "--encoding", "utf-16")) == [["delivery"]]
    assert labels(classify("b.txt", *lines)) == labels(classify("-", *lines, stdin=marked)) == [["delivery"]]


def test_csv_has_a_header_and_quotes_what_needs_it(classify: Any) -> None:
    Path("a,b.txt").write_text("my parcel")
    result = classify("a,b.txt", "--format", "csv", "--top", 1)
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["source", "labels", "probabilities"]
    assert rows[1][:2] == ["a,b.txt", "delivery"]
    assert re.fullmatch(r"delivery=\d\.\d{4}", rows[1][2])


def test_a_table_has_a_line_a_text(classify: Any) -> None:
    Path("a.txt").write_text("my parcel")
    Path("b.txt").write_text("")
    lines = classify("a.txt", "b.txt", "--format", "table").out.splitlines()
    assert len(lines) == 2
    assert lines[0].split()[:3] == ["a.txt", "delivery", "delivery"]
    assert "(none)" in lines[1]


def test_columns_are_kept_beside_the_answers(classify: Any) -> None:
    Path("t.csv").write_text('id,text,team\n7,my parcel,"a, b"\n8,a refund please,\n')
    result = classify("t.csv", "--keep", "id", "--keep", "team", "--format", "csv")
    assert result.code == 0, result.err
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["source", "id", "team", "labels", "probabilities"]
    assert [row[:4] for row in rows[1:]] == [["t.csv:2", "7", "a, b", "delivery"], ["t.csv:3", "8", "", "refund"]]
    assert [record["id"] for record in classify("t.csv", "--keep", "id").records] == ["7", "8"]
    assert "7" in classify("t.csv", "--keep", "id", "--format", "table").out.split()


def test_what_cannot_be_kept_is_told(classify: Any) -> None:
    Path("t.csv").write_text("id,text,labels\n7,my parcel,x\n")
    result = classify("t.csv", "--keep", "ids")
    assert result.code == 1 and "there is no column 'ids' (--keep). Did you mean id?" in result.err
    result = classify("t.csv", "--keep", "labels")
    assert result.code == 2 and "a column 'labels' is written already" in result.err
    Path("a.txt").write_text("my parcel")
    result = classify("a.txt", "--keep", "id")
    assert result.code == 1 and "a.txt: only tables have columns to keep" in result.err


@pytest.mark.parametrize(("name", "begins"), [("o.csv", "source,labels"), ("o.jsonl", "{"), ("o.txt", "-:1 ")])
def test_the_ending_of_the_output_chooses_its_format(name: str, begins: str, classify: Any) -> None:
    result = classify("-", "--lines", "-o", name, stdin=b"my parcel\n")
    assert (result.code, result.out) == (0, "")
    assert Path(name).read_text().startswith(begins)


def test_an_ending_that_tells_no_format_is_refused(classify: Any) -> None:
    result = classify("-", "-o", "o.parquet", stdin=b"x")
    assert result.code == 2
    assert "o.parquet" in result.err and "--format" in result.err
    assert classify("-", "-o", "o.dat", "--format", "csv", stdin=b"x").code == 0


def test_output_appears_only_when_it_is_whole(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("o.jsonl").write_text("what was there\n")

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(command, "json", type("Json", (), {"dumps": fail}))
        assert classify("-", "-o", "o.jsonl", stdin=b"x").code == 1
    assert Path("o.jsonl").read_text() == "what was there\n"
    assert os.listdir() == ["o.jsonl"]


def test_inputs_of_which_none_can_be_read_leave_the_old_output(classify: Any) -> None:
    Path("o.jsonl").write_text("what was there\n")
    assert classify("nowhere.txt", "-o", "o.jsonl").code == 1
    assert Path("o.jsonl").read_text() == "what was there\n"
    Path("a.txt").write_text("my parcel")
    assert classify("nowhere.txt", "a.txt", "-o", "o.jsonl").code == 1
    assert json.loads(Path("o.jsonl").read_text())["source"] == "a.txt"


def test_a_full_disk_keeps_the_old_output(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("o.jsonl").write_text("what was there\n")

    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(command.os, "replace", full)
        result = classify("-", "-o", "o.jsonl", stdin=b"x")
    assert result.code == 1
    assert "o.jsonl: cannot be written: No space left on device." in result.err
    assert Path("o.jsonl").read_text() == "what was there\n"
    assert os.listdir() == ["o.jsonl"]


def test_output_that_cannot_be_written_is_told(classify: Any) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    for name in ("file/o.csv", "folder"):
        result = classify("-", "-o", name, "--format", "csv", stdin=b"x")
        assert result.code == 2 and f"{name}: " in result.err and "Choose another name." in result.err
    assert classify("-", "-o", "new/o.csv", stdin=b"x").code == 0 and Path("new/o.csv").stat().st_size


def test_devices_stay_devices(classify: Any) -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert classify("-", "-o", "pipe", stdin=b"my parcel").code == 0
        assert json.loads(os.read(reader, 10_000))["labels"] == ["delivery"]
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize(
    ("given", "out"), [("t.csv", "./t.csv"), ("t.json#rows", "t.json"), ("docs", "docs/a.txt"), (".", "docs/a.txt")]
)
def test_an_input_is_never_overwritten(given: str, out: str, classify: Any) -> None:
    write_table(Path("t.csv"), keyword_rows(3))
    Path("t.json").write_text('{"rows": [{"text": "my parcel"}]}')
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("my parcel")
    before = Path(out).read_bytes()
    result = classify(given, "-o", out)
    assert result.code == 2
    assert "would be lost" in result.err
    assert Path(out).read_bytes() == before


def test_an_output_may_be_made_in_a_folder_that_is_read(classify: Any) -> None:
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("my parcel")
    assert classify("docs", "-o", "docs/o.jsonl").code == 0
    assert Path("docs/o.jsonl").read_text().count("\n") == 1


def test_no_file_behind_a_linked_folder_is_written_over(classify: Any) -> None:
    for name in ("docs", "elsewhere"):
        Path(name).mkdir()
    Path("elsewhere/a.txt").write_text("my parcel")
    Path("docs/linked").symlink_to("../elsewhere")
    result = classify("docs", "-o", "docs/linked/a.txt")
    assert result.code == 2 and "this is an input too, and would be lost" in result.err
    assert Path("elsewhere/a.txt").read_text() == "my parcel"


def test_inputs_that_cannot_be_read_are_told_and_the_others_classified(classify: Any) -> None:
    Path("a.txt").write_text("my parcel")
    Path("empty.csv").write_text("")
    Path("broken.jsonl").write_text('{"text": "my parcel"}\n{"text": \n')
    result = classify("nowhere.txt", "empty.csv", "broken.jsonl", "a.txt")
    assert result.code == 1
    assert [record["labels"] for record in result.records] == [["delivery"], ["delivery"]]
    for told in ("nowhere.txt: there is no such file", "empty.csv", "broken.jsonl:2", "3 of the inputs"):
        assert told in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "xml"], "expected jsonl, csv or table"),
        (["--encoding", "klingon"], "there is no text encoding 'klingon'"),
        (["--top", "0"], "x>=1"),
        (["--colunm", "x"], "No such option"),
    ],
)
def test_wrong_usage_has_code_2(options: list[str], told: str, classify: Any) -> None:
    Path("a.txt").write_text("my parcel")
    result = classify("a.txt", *options)
    assert result.code == 2
    assert told in result.err
    assert "should not happen" not in result.err


def test_hostile_texts_are_classified(classify: Any) -> None:
    lines = [b"my par\x1bcel", b"\xff\xfe", b"parcel " * 1_500_000, b"\x1b[31mparcel", "\u2028\u202e".encode(), b'"']
    result = classify("-", "--lines", stdin=b"\n".join(lines))
    assert len(labels(result)) == len(lines)
    Path("half.jsonl").write_text('{"text": "my parcel \\ud800"}\n')
    assert labels(classify("half.jsonl")) == [["delivery"]]


def run_alone(code: str, *arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize("run", ["trained", "linear"])
def test_classify_starts_without_keras_tensorflow_and_other_heavy_packages(
    run: str, request: pytest.FixtureRequest
) -> None:
    code = START.replace("main; ", "main; import atexit; ") + (
        "heavy = ('keras', 'tensorflow', 'jax', 'torch', 'pandas', 'sklearn', 'scipy', 'gensim', 'matplotlib', 'onnx',"
        " 'pydantic');"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]));"
        "main()"
    )
    Path("a.txt").write_text("my parcel")
    process = run_alone(code, "classify", "a.txt", "--model", request.getfixturevalue(run).folder)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("out", "shown"), [("out.jsonl", True), (None, False)])
def test_a_terminal_that_the_answers_do_not_go_to_shows_that_there_is_work(
    out: str | None, shown: bool, trained: Any
) -> None:
    Path("a.txt").write_text("my parcel\n" * 50)
    terminal, end = pty.openpty()
    arguments = ["classify", "a.txt", "--lines", "--model", str(trained.folder), *(["-o", out] if out else [])]
    process = [sys.executable, "-c", f"{START} main()", *arguments]
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run(process, stdout=subprocess.PIPE, stderr=end, env=environment, check=True, timeout=120)
    os.write(end, b"the end")
    told = os.read(terminal, 1 << 16).decode()
    os.close(terminal), os.close(end)
    assert ("classifying" in told) == shown


def test_a_reader_that_goes_away_gives_no_traceback(trained: Any) -> None:
    Path("many.txt").write_text("my parcel\n" * 20_000)
    command = f"{sys.executable} -c '{START.replace(chr(39), chr(34))} main()' classify many.txt --lines --model"
    process = run_alone(
        "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1], shell=True).returncode)",
        f"{command} {trained.folder} | head -n 1",
    )
    assert json.loads(process.stdout)["labels"] == ["delivery"]
    assert process.stderr == ""


def test_memory_does_not_grow_with_the_input(trained: Any) -> None:
    code = START + (
        "import atexit, resource;"
        "atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr));"
        "main()"
    )
    line = "my parcel is where please help again\n"
    peak = {}
    for count in (5_000, 50_000):
        Path("lines.txt").write_text(line * count)
        process = run_alone(code, "classify", "lines.txt", "--lines", "--model", trained.folder, "-o", "o.jsonl")
        assert process.returncode == 0, process.stderr
        peak[count] = int(process.stderr.split()[-1]) / 1024
    assert Path("o.jsonl").read_text().count("\n") == 50_000
    assert peak[50_000] - peak[5_000] < 25  # MB; 45,000 more predictions kept would be more


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(classify: Any) -> None:
    Path("a.txt").write_text("my parcel")
    os.chmod("a.txt", 0)
    result = classify("a.txt")
    assert result.code == 1
    assert "a.txt" in result.err and "Permission denied" in result.err


def test_csv_refuses_labels_that_it_cannot_tell_apart(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").write_text("my parcel")
    usual = Classifier.__init__

    def odd(self: Classifier, folder: Path) -> None:
        usual(self, folder)
        self.policy = replace(self.policy, labels=("a;b", *self.policy.labels[1:]))

    monkeypatch.setattr(Classifier, "__init__", odd)
    result = classify("a.txt", "--format", "csv")
    assert result.code == 2 and "the label 'a;b' cannot be told apart in CSV" in result.err
    assert classify("a.txt", "--format", "jsonl").code == 0
