"""The `translate` command: what it reads, what it writes, and how it ends."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from keywords import Result, seqloom

from pipelines.translation import translate as command
from pipelines.translation.predict import Translator
from toolkit.artifact import seal
from toolkit.search import SearchSettings

START = "import sys; from pipelines.cli import main; sys.argv[0] = 'seqloom'; "


@pytest.fixture
def translate(tiny_run: Path) -> Any:
    def run(*arguments: Any, stdin: bytes = b"") -> Result:
        return seqloom("translate", *arguments, "--model", tiny_run, stdin=stdin)

    return run


@pytest.fixture
def splitting(tiny_run: Path, tmp_path: Path) -> Path:
    """The same run, which translates long texts in parts."""
    return with_other(tiny_run, tmp_path, "translation.json", long_sources="split")


def with_other(run: Path, parent: Path, file: str, **values: Any) -> Path:
    """A copy of a run with other values in one of its files."""
    folder = Path(shutil.copytree(run, parent / "other"))
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **values}))
    seal(folder, "translation", {})
    return folder


def lines(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return result.out.split("\n")[:-1]


def test_a_line_is_a_text_and_the_model_has_learned(translate: Any) -> None:
    Path("a.txt").write_bytes(b"one two\r\nthree\nfour five six")
    result = translate("a.txt")
    assert lines(result) == ["zwei eins", "drei", "sechs fünf vier"]
    assert result.err == ""


def test_capitals_and_marks_that_training_lacks_are_not_read_and_told(translate: Any) -> None:
    result = translate("-", stdin=b"one two\nOne, TWO!\nthree\n")
    assert lines(result) == ["zwei eins", "zwei eins", "drei"]
    assert result.err == (
        "note: 1 text was read without some capitals or marks, the first at standard input:2; the sources that this run"
        " has learned from have no capitals and no marks such as . , ? ! ; : ' \" - ( ).\n"
    )


def test_empty_lines_stay_empty_lines(translate: Any) -> None:
    assert lines(translate("-", stdin=b"\none two\n \n\nthree\n\n")) == ["", "zwei eins", "", "", "drei", ""]
    assert lines(translate("-", stdin=b"")) == []
    assert lines(translate("-", stdin=b"\n")) == [""]
    assert translate("-", "--format", "jsonl", stdin=b"\n").records == [{"source": "", "translation": "", "score": 0.0}]


def test_inputs_come_one_after_the_other_whatever_their_length(translate: Any) -> None:
    Path("a.txt").write_text("one\none two three four\ntwo\n")
    expected = ["eins", "vier drei zwei eins", "zwei"]
    assert lines(translate("a.txt", "-", "a.txt", stdin=b"six")) == [*expected, "sechs", *expected]


def test_order_is_kept_over_windows(translate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.translation.predict.WINDOW", 3)
    texts = ["one", "two one", "", "three two", "four", "", "five", "six"]
    found = lines(translate("-", stdin="\n".join(texts).encode()))
    assert found == ["eins", "eins zwei", "", "zwei drei", "vier", "", "fünf", "sechs"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "t.CSV", "t.csv.gz"])
def test_a_row_of_a_table_is_a_text(name: str, translate: Any) -> None:
    rows = [{"source": "one two", "n": 1}, {"source": None, "n": 2}, {"source": "three", "n": 3}]
    match name.lower().split(".", 1)[1]:
        case "csv":
            Path(name).write_text("source,n\none two,1\n,2\nthree,3\n")
        case "csv.gz":
            Path(name).write_bytes(gzip.compress(b"source,n\none two,1\n,2\nthree,3\n"))
        case "tsv":
            Path(name).write_text("source\tn\none two\t1\n\t2\nthree\t3\n")
        case "jsonl":
            Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        case "json":
            Path(name).write_text(json.dumps(rows))
        case "parquet":
            import pandas as pd

            pd.DataFrame(rows).to_parquet(name)
    assert lines(translate(name)) == ["zwei eins", "", "drei"]


def test_a_cell_with_line_breaks_becomes_one_line(translate: Any) -> None:
    Path("t.jsonl").write_text(json.dumps({"source": "one\r\n\u2028two\n\nthree"}) + "\n")
    assert lines(translate("t.jsonl")) == ["drei zwei eins"]


def test_the_column_can_be_named_and_is_asked_for_where_it_is_missing(translate: Any) -> None:
    Path("t.csv").write_text("english,n\none,1\n")
    assert lines(translate("t.csv", "--column", "english")) == ["eins"]
    result = translate("-", "--column", "english", stdin=b"english,n\none,1\n")
    assert result.code == 2 and "--column: none of these is read as a table" in result.err
    result = translate("t.csv")
    assert result.code == 1
    assert "t.csv:2: there is no column 'source' (--column). The columns are english, n;" in result.err


def test_a_number_counts_the_columns_of_a_table_without_header(translate: Any) -> None:
    Path("t.tsv").write_text("7\tone\n8\ttwo\n")
    assert lines(translate("t.tsv", "--column", "1")) == ["eins", "zwei"]


def test_numbers_are_names_for_a_run_that_learned_from_a_table_where_they_are(tiny_run: Path, tmp_path: Path) -> None:
    assert json.loads((tiny_run / "translation.json").read_text())["header"] is True
    run = with_other(tiny_run, tmp_path, "translation.json", source_column="0")
    Path("t.csv").write_text(",0,1\n0,one two,zwei eins\n1,three,drei\n")
    for column in ([], ["--column", "0"]):
        assert lines(seqloom("translate", "t.csv", "--model", run, *column)) == ["zwei eins", "drei"]


@pytest.mark.parametrize("module", [gzip, lzma, bz2])
def test_compressed_lines_are_read(module: Any, translate: Any) -> None:
    name = {gzip: "a.txt.gz", lzma: "a.txt.xz", bz2: "a.bz2"}[module]
    Path(name).write_bytes(module.compress(b"one\ntwo\n"))
    assert lines(translate(name)) == ["eins", "zwei"]


def test_other_encodings_are_read(translate: Any) -> None:
    Path("a.txt").write_bytes("one café\n".encode("latin-1"))
    result = translate("a.txt", "--format", "jsonl")
    assert result.records[0]["source"] == "one café"
    assert "a.txt:1" in result.err and "not UTF-8" in result.err
    assert translate("a.txt", "--encoding", "latin-1").err == ""
    Path("b.txt").write_bytes("one\ntwo\n".encode("utf-16"))
    assert lines(translate("b.txt")) == ["eins", "zwei"]
    assert "not UTF-8" in translate("-", stdin="café".encode("latin-1")).err


def test_lines_that_may_be_rows_of_a_table_are_told(translate: Any) -> None:
    Path("a.txt").write_text("\tone\none\teins\tCC-BY\ntwo\tzwei\tCC-BY\n")
    result = translate("a.txt")
    assert len(lines(result)) == 3
    told = "2 texts were written with a tab inside, the first at a.txt:2; each line was translated as a whole."
    assert told in result.err
    Path("a.txt").write_text("one\ntwo\n")
    assert translate("a.txt").err == ""


def test_jsonl_holds_source_translation_and_score(translate: Any) -> None:
    (record,) = translate("-", "--format", "jsonl", stdin=b'one "two"\n').records
    assert list(record) == ["source", "translation", "score"]
    assert record["source"] == 'one "two"'
    assert record["score"] < 0


def test_the_best_translations_come_as_jsonl_with_the_best_first(translate: Any) -> None:
    (record,) = translate("-", "--format", "jsonl", "--best", 4, stdin=b"one two").records
    assert record["translation"] == "zwei eins"
    assert len(record["others"]) == 3
    scores = [record["score"], *(other["score"] for other in record["others"])]
    assert scores == sorted(scores, reverse=True)
    assert len({record["translation"], *(other["translation"] for other in record["others"])}) == 4


@pytest.mark.parametrize("output", [[], ["--format", "csv"]])
def test_several_translations_need_jsonl(output: list[str], translate: Any) -> None:
    result = translate("-", "--best", 2, *output, stdin=b"one")
    assert result.code == 2
    assert "only jsonl holds 2 translations of a text. Add --format jsonl." in result.err


def test_a_beam_widens_for_the_best_unless_it_is_given(translate: Any) -> None:
    (record,) = translate("-", "--format", "jsonl", "--best", 8, stdin=b"one two").records
    assert len(record["others"]) == 7
    result = translate("-", "--format", "jsonl", "--best", 8, "--beam", 4, stdin=b"one")
    assert result.code == 2
    assert "8 translations do not come out of a beam of 4" in result.err


def test_beam_and_length_penalty_are_used(tiny_run: Path) -> None:
    usual = Translator(tiny_run).settings
    assert command._settings(usual, None, 1, None) == usual
    assert command._settings(usual, 9, 2, 0.0) == SearchSettings(9, 0.0, usual.coverage_penalty, usual.block_ngrams, 2)


def test_a_beam_of_one_translates_too(translate: Any) -> None:
    assert lines(translate("-", "--beam", 1, "--length-penalty", 0, stdin=b"one two")) == ["zwei eins"]


def test_csv_has_a_header_and_quotes_what_needs_it(translate: Any) -> None:
    result = translate("-", "--format", "csv", stdin=b'one, "two"\n\n')
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["source", "translation", "score"]
    assert rows[1][0] == 'one, "two"'
    assert float(rows[1][2]) < 0
    assert rows[2] == ["", "", "0.0"]


@pytest.mark.parametrize(
    ("name", "begins"),
    [("o.csv", "source,translation,score\none,eins,"), ("o.jsonl", '{"source"'), ("o.txt", "eins\n"), ("o.de", "eins")],
)
def test_the_ending_of_the_output_chooses_its_format(name: str, begins: str, translate: Any) -> None:
    result = translate("-", "-o", name, stdin=b"one\n")
    assert (result.code, result.out) == (0, "")
    assert Path(name).read_text().startswith(begins)


@pytest.mark.parametrize("name", ["o.parquet", "o.tsv", "o.json", "o.txt.gz"])
def test_an_output_that_cannot_be_what_its_name_says_is_refused(name: str, translate: Any) -> None:
    result = translate("-", "-o", name, stdin=b"one")
    assert result.code == 2
    assert name in result.err and "--format" in result.err
    assert translate("-", "-o", name, "--format", "text", stdin=b"one").code == 0


def test_output_appears_only_when_it_is_whole(translate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("o.jsonl").write_text("what was there\n")

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(command, "json", type("Json", (), {"dumps": fail}))
        assert translate("-", "-o", "o.jsonl", stdin=b"one").code == 1
    assert Path("o.jsonl").read_text() == "what was there\n"
    assert os.listdir() == ["o.jsonl"]


def test_inputs_of_which_none_can_be_read_leave_the_old_output(translate: Any) -> None:
    Path("o.txt").write_text("what was there\n")
    assert translate("nowhere.txt", "-o", "o.txt").code == 1
    assert Path("o.txt").read_text() == "what was there\n"
    Path("a.txt").write_text("one")
    assert translate("nowhere.txt", "a.txt", "-o", "o.txt").code == 1
    assert Path("o.txt").read_text() == "eins\n"


def test_output_that_cannot_be_written_is_told(translate: Any) -> None:
    Path("file").touch()
    result = translate("-", "-o", "file/o.txt", stdin=b"one")
    assert result.code == 2 and "file/o.txt: nothing can be written in" in result.err


@pytest.mark.parametrize("path", ["t.json", "t.json#rows"])
def test_an_input_is_never_overwritten(path: str, translate: Any) -> None:
    Path("t.json").write_text('{"rows": [{"source": "one"}]}')
    before = Path("t.json").read_bytes()
    result = translate("-", path, "-o", "./t.json", "--format", "text", stdin=b"one")
    assert result.code == 2
    assert "would be lost" in result.err
    assert Path("t.json").read_bytes() == before


def test_inputs_that_cannot_be_read_are_told_and_the_others_translated(translate: Any) -> None:
    Path("a.txt").write_text("one two")
    Path("empty.csv").write_text("")
    Path("binary.txt").write_bytes(b"\x00\x01\x02")
    Path("damaged.txt.gz").write_bytes(gzip.compress(b"one\n" * 1000)[:-20])
    Path("broken.jsonl").write_text('{"source": "three"}\n{"source": \n')
    Path("folder").mkdir()
    result = translate("nowhere.txt", "empty.csv", "binary.txt", "damaged.txt.gz", "broken.jsonl", "folder", "a.txt")
    assert result.code == 1
    assert result.out.splitlines()[-2:] == ["drei", "zwei eins"]
    for told in ("nowhere.txt", "empty.csv", "binary.txt:1", "damaged.txt.gz", "broken.jsonl:2", "folder", "6 of the"):
        assert told in result.err
    assert "Traceback" not in result.err and "should not happen" not in result.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "xml"], "expected text, jsonl or csv"),
        (["--encoding", "klingon"], "there is no text encoding 'klingon'"),
        (["--beam", "0"], "--beam"),
        (["--best", "0"], "--best"),
        (["--length-penalty", "nan"], "nan, expected 0 to 10"),
        (["--length-penalty", "-1"], "-1, expected 0 to 10"),
        (["--bean", "5"], "No such option"),
    ],
)
def test_wrong_usage_has_code_2(options: list[str], told: str, translate: Any) -> None:
    Path("a.txt").write_text("one")
    result = translate("a.txt", *options)
    assert result.code == 2
    assert told in result.err
    assert "should not happen" not in result.err


def test_hostile_texts_are_translated_a_line_each(translate: Any) -> None:
    texts = [
        b"one\x1b two",
        b"\xff\xfe",
        b"one " * 500_000,
        b"\x1b[31mone",
        "\u2028\u202e".encode(),
        "नमस्ते 你好 \N{PILE OF POO}\u200d".encode(),
        b"unheard of words",
        b'"',
        b"x" * 1_000_000,
    ]
    assert len(lines(translate("-", stdin=b"\n".join(texts)))) == len(texts)
    Path("half.jsonl").write_text('{"source": "one \\ud800"}\n')
    assert len(lines(translate("half.jsonl"))) == 1
    assert translate("half.jsonl", "--format", "jsonl").records[0]["source"] == "one ?"


def test_truncated_sources_are_told_once_with_the_first_place(translate: Any) -> None:
    Path("a.txt").write_text("one\n" + "two " * 8 + "\n" + "three " * 9 + "\n" + "four " * 20)
    result = translate("a.txt")
    assert result.code == 0
    assert result.err.count("note:") == 1
    assert "note: 2 texts were longer than 8 pieces, the first at a.txt:3; their ends were not read." in result.err
    assert "note: 1 text was" in translate("-", stdin=b"one " * 10).err


def test_translations_that_break_off_are_told_once_with_the_first_place(tiny_run: Path, tmp_path: Path) -> None:
    short = with_other(tiny_run, tmp_path, "pieces.json", limits=[8, 1])
    result = seqloom("translate", "-", "--model", short, stdin=b"one\none two three\none two three four\n")
    assert result.code == 0 and len(lines(result)) == 3
    assert "note: 2 texts were translated up to the most pieces that a translation may have, the first at" in result.err
    assert "standard input:2; it breaks off there." in result.err


def test_a_row_of_empty_cells_is_a_row_and_has_a_line(translate: Any) -> None:
    Path("a.tsv").write_text("source\tid\none\t1\n\t2\n\t\nsix\t3\n")
    Path("a.csv").write_text("source,id\none,1\n,2\n,\nsix,3\n")
    assert translate("a.tsv").out == translate("a.csv").out == "eins\n\n\nsechs\n"


def test_long_sources_are_translated_in_parts_where_the_run_says_so(splitting: Path) -> None:
    text = b"one two three four. five six one two three four\n"
    result = seqloom("translate", "-", "--model", splitting, stdin=text)
    assert result.err.startswith("note: 1 text was read without some capitals or marks, ")
    assert result.err.count("\n") == 1
    assert len(lines(result)) == 1
    assert {"vier", "sechs", "eins"} <= set(result.out.split())


def test_sentences_are_translated_one_by_one_where_training_has_single_ones(splitting: Path, translate: Any) -> None:
    text = b"One two three. Four! Five six?\n"
    assert lines(seqloom("translate", "-", "--model", splitting, stdin=text)) == ["drei zwei eins vier sechs fünf"]
    assert "more sentences" in translate("-", stdin=text).err
    assert "more sentences" not in translate("-", stdin=b"One two three four five six.\n").err


def test_several_runs_are_an_ensemble(tiny_run: Path, translate: Any) -> None:
    twice = translate("-", "--format", "jsonl", "--model", tiny_run, stdin=b"one two three\nsix")
    once = translate("-", "--format", "jsonl", stdin=b"one two three\nsix")
    assert [record["translation"] for record in twice.records] == ["drei zwei eins", "sechs"]
    for one, two in zip(once.records, twice.records, strict=True):
        assert two["score"] == pytest.approx(one["score"], abs=2e-3)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, tiny_run: Path) -> None:
    result = seqloom("translate", "-", "--model", tiny_run, "--model", tmp_path / "nowhere", stdin=b"one")
    assert result.code == 1
    assert "nowhere: there is no such run folder" in result.err


def test_evaluate_scores_a_run_on_a_file(tiny_run: Path, tiny_pairs: Path) -> None:
    result = seqloom("evaluate", "--model", tiny_run, "--data", tiny_pairs, "--json")
    assert result.code == 0, result.err
    scores = json.loads(result.out)
    assert scores["exact_match"] > 0.8
    assert scores["bleu"] > 80
    assert scores["signature"].startswith("nrefs:1|case:mixed|")
    shown = seqloom("evaluate", "--model", tiny_run, "--data", tiny_pairs).out
    assert f"{'signature':<20}{scores['signature']}" in shown
    assert "has learned from this file" in result.err  # which the run split for itself


def run_alone(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


def test_translate_starts_without_keras_tensorflow_and_other_heavy_packages(tiny_run: Path) -> None:
    code = START.replace("main; ", "main; import atexit; ") + (
        "heavy = ('keras', 'tensorflow', 'jax', 'torch', 'pandas', 'sklearn', 'scipy', 'gensim', 'matplotlib', 'onnx',"
        " 'pydantic', 'sacrebleu', 'babel', 'rich.progress');"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]));"
        "main()"
    )
    Path("a.txt").write_text("one two")
    process = run_alone(code, "translate", "a.txt", "--model", tiny_run)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ["zwei eins", "[]"]


def test_memory_does_not_grow_with_the_input(tiny_run: Path) -> None:
    code = START + (
        "import atexit, resource;"
        "atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr));"
        "main()"
    )
    peak = {}
    for count in (4_000, 16_000):
        Path("lines.txt").write_text("one two\n" * count)
        process = run_alone(code, "translate", "lines.txt", "--model", tiny_run, "-o", "o.txt", "--beam", 1)
        assert process.returncode == 0, process.stderr
        peak[count] = int(process.stderr.split()[-1]) / 1024
    assert Path("o.txt").read_text() == "zwei eins\n" * 16_000
    assert peak[16_000] - peak[4_000] < 15  # MB


def test_a_list_is_no_text(translate: Any) -> None:
    Path("a.jsonl").write_text('{"source": "one"}\n{"source": ["one", "two"]}\n')
    result = translate("a.jsonl")
    assert (result.code, result.out) == (1, "eins\n")
    assert """a.jsonl:2: found "['one', 'two']", expected a text or a number.""" in result.err
