"""Standard streams that are closed, and signals that end a command."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from keywords import seqloom, write_config, write_table

from toolkit.data import delimited, files

COMMAND = [sys.executable, "-m", "pipelines.cli"]


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_an_empty_one(closed: int, trained: Any) -> None:
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    arguments = ["-m", "pipelines.cli", "classify", "-", "--lines", "--model", str(trained.folder)]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=b"my parcel\n", capture_output=True, timeout=120, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert (b"delivery" in result.stdout) == (closed == 2)


def test_a_command_with_keras_does_without_standard_error(here: Path, trained: Any) -> None:
    code = "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    result = subprocess.run(
        [sys.executable, "-c", code, "-m", "pipelines.cli", "check", str(trained.config)],
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0
    assert b"parameters" in result.stdout


def test_a_note_that_cannot_be_written_costs_no_answer(trained: Any) -> None:
    command = [*COMMAND, "classify", "-", "--lines", "--model", str(trained.folder)]
    with open("/dev/full", "wb") as full:  # the byte beyond ASCII is worth a note
        result = subprocess.run(
            command, input=b"my parcel \xe9\n", stdout=subprocess.PIPE, stderr=full, timeout=120, check=False
        )
    assert result.returncode == 0
    assert b"delivery" in result.stdout


def test_what_ends_a_command_from_outside_leaves_the_old_output_and_nothing_else(here: Path, trained: Any) -> None:
    Path("old.jsonl").write_text("old")
    command = [*COMMAND, "classify", "-", "--lines", "--model", str(trained.folder), "-o", "old.jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while len(os.listdir()) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert os.listdir() == ["old.jsonl"]
    assert Path("old.jsonl").read_text() == "old"


def test_a_signal_in_an_import_ends_the_command_without_a_word() -> None:
    """An extension whose start is stopped says that it is broken, as NumPy does."""
    code = """
import os, signal, sys
from pipelines.process import run_app

def app(standalone_mode):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit:
        raise ImportError("initialization failed")

sys.exit(run_app(app))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (128 + signal.SIGTERM, b"", b"")


def test_what_a_command_said_is_written_before_it_leaves() -> None:
    code = (
        "import atexit; from pipelines.process import leave; atexit.register(print, 'end'); print('answer'); leave(3)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, b"answer\nend\n", b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_cannot_be_written_is_told_unless_nobody_reads_it(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        result = subprocess.run([*COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert (result.returncode, result.stderr) == (1, b"seqloom: system: No space left on device.\n")
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([*COMMAND, "schema"], stdout=write, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.txt.gz"])
def test_a_line_without_end_is_told(name: str, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (files, delimited):
        monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    head = b'{"text": "my parcel"}' if name == "a.jsonl.gz" else b"text"
    Path(name).write_bytes(gzip.compress(head + b"\n" + b"a" * 5000))
    result = seqloom("classify", name, "--model", trained.folder, *(["--lines"] if name == "a.txt.gz" else []))
    assert result.code == 1
    assert f"{name}:2: a line of more than 1,000 characters" in result.err


def test_a_text_without_end_is_told(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    Path("a.txt.gz").write_bytes(gzip.compress(b"my parcel\n" * 500))
    told = "more than 1,000 bytes, too long for one text. Of many texts make lines (--lines) or a table."
    result = seqloom("classify", "a.txt.gz", "--model", trained.folder)
    assert (result.code, result.out) == (1, "") and f"a.txt.gz: {told}" in result.err
    for command in ("classify", "explain"):
        result = seqloom(command, "-", "--model", trained.folder, stdin=b"my parcel\n" * 500)
        assert (result.code, result.out) == (1, "") and f"standard input: {told}" in result.err


def test_wide_tables_take_time_by_their_columns(trained: Any) -> None:
    names = ["text", *(f"c{n}" for n in range(60_000))]
    Path("wide.csv").write_text(",".join(names) + "\n" + ",".join(["my parcel"] * len(names)) + "\n")
    started = time.monotonic()
    assert seqloom("classify", "wide.csv", "--model", trained.folder).records[0]["labels"] == ["delivery"]
    assert time.monotonic() - started < 10
    result = seqloom("classify", "wide.csv", "--model", trained.folder, "--column", "words")
    assert "and 59,991 more" in result.err and len(result.err) < 1000


def test_gradients_are_not_written_over_the_data_that_they_read(here: Path) -> None:
    write_table(here / "d.csv", [("my parcel", "delivery"), ("my money", "refund")])
    rows = [{"text": "my parcel", "label": "delivery"}, {"text": "my money", "label": "refund"}]
    Path("d.json").write_text(json.dumps({"train": rows}))
    for train, file in (("d.csv", "d.csv"), ("d.json#train", "d.json")):
        config, before = write_config(Path("c.yaml"), {"train": train}), Path(file).read_bytes()
        result = seqloom("gradients", config, "--steps", 1, "-o", file)
        assert result.code == 2
        assert f"{file}: this is an input too, and would be lost" in result.err
        assert Path(file).read_bytes() == before
