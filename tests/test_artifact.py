"""A run folder is whole or refused with a sentence, and a failed write leaves what was there."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit import artifact
from toolkit.artifact import (
    MANIFEST,
    Artifact,
    check_outputs,
    locked,
    opened,
    read_weights,
    refuse_foreign,
    seal,
    write_bytes,
    write_json,
    write_output,
    write_text,
    write_weights,
)
from toolkit.errors import ArtifactError, ConfigError, SeqloomError

NAME = "text_classification"


@pytest.fixture
def run(tmp_path):
    """A sealed run folder with two files."""
    write_bytes(tmp_path / "model.onnx", b"graph")
    write_json(tmp_path / "labels.json", ["ja", "nein", "ünsicher"])
    seal(tmp_path, NAME, {"versions": {"numpy": "2"}})
    return tmp_path


def _output(path, text):
    with opened(path) as stream:
        stream.write(text)


def _refused(act):
    with pytest.raises(ArtifactError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


def _full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


# Writing


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("before", [b"old", None])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, call, before):
    path = tmp_path / "model.onnx"
    if before:
        path.write_bytes(before)
    monkeypatch.setattr(os, call, _full_disk)
    with pytest.raises(SeqloomError) as caught:
        write_bytes(path, b"new")
    mend = "Free some space and run again. What `seqloom run` began goes on with --resume."
    assert str(caught.value) == f"{path}: cannot be written: No space left on device. {mend}"
    assert [found.read_bytes() for found in tmp_path.iterdir()] == ([before] if before else [])


def test_ctrl_c_while_writing_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [b"old"]


def test_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "model.onnx", []
    path.write_bytes(b"old")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(path.read_bytes()), fsync(handle)))
    write_bytes(path, b"new")
    assert seen[0] == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("write", [write_text, write_output, _output])
def test_a_file_is_no_more_public_than_the_old_one_or_than_the_umask_says(tmp_path, write):
    path, umask = tmp_path / "o.csv", os.umask(0o027)
    try:
        write(path, "new")
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o600)
        write(path, "newer")
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(umask)


def test_a_link_in_a_run_folder_leads_nowhere(tmp_path):
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "run" / "report.html"
    elsewhere.write_text("a user's own")
    link.parent.mkdir()
    link.symlink_to(elsewhere)
    write_text(link, "new")
    assert elsewhere.read_text() == "a user's own" and link.read_text() == "new" and not link.is_symlink()


def test_a_lock_that_is_a_link_is_refused_and_leads_nowhere(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").write_text("a user's own")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SeqloomError, match="cannot be written"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "elsewhere").read_text() == "a user's own"


@pytest.mark.parametrize("write", [write_output, _output])
def test_a_link_stays_one_and_what_is_no_file_stays_what_it_is(tmp_path, write):
    target, link, pipe = tmp_path / "target.csv", tmp_path / "link.csv", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    write(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(pipe, "read by another")
        assert os.read(reader, 99) == b"read by another" and pipe.is_fifo()
    finally:
        os.close(reader)


def test_what_would_cost_a_file_or_cannot_be_written_is_refused_before_the_work(tmp_path):
    run, data, page = tmp_path / "run", tmp_path / "data.csv", tmp_path / "page.html"
    run.mkdir()
    (run / "model.onnx").write_bytes(b"graph")
    seal(run, "any", {})
    data.write_text("x")
    (run / "forecast.csv").write_text("written later, which may be written again")
    check_outputs([data], page, run / "forecast.csv", tmp_path / "new/folder/page.html", Path(os.devnull), None)
    for out, message in {
        data: "an input too",
        run: "this is a folder",
        run / "model.onnx": "a part of a finished run",
        run / MANIFEST: "a part of a finished run",
        data / "page.html": "nothing can be written in",
    }.items():
        with pytest.raises(ConfigError, match=message):
            check_outputs([data], out)
    with pytest.raises(ConfigError, match="written twice"):
        check_outputs([data], page, tmp_path / "run" / ".." / "page.html")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "runs").write_bytes(b"a file")
    with pytest.raises(SeqloomError, match=r"runs/x/model\.onnx: cannot be written: "):
        write_bytes(tmp_path / "runs" / "x" / "model.onnx", b"new")


def test_numbers_that_json_has_not_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "report.json", {"bleu": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_weights_come_back_as_they_were(tmp_path):
    weights = {
        "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "step": np.array(7, np.int64),
        "seed": np.array([1, 2], np.uint32),
        "none": np.zeros((0, 3), np.float16),
    }
    write_weights(tmp_path / "w.safetensors", weights)
    found = read_weights(tmp_path / "w.safetensors")
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


@pytest.mark.parametrize(
    "part", [slice(-3), slice(4), slice(0), slice(1, None)], ids=["short", "head", "empty", "tail"]
)
def test_damaged_weights_are_told(tmp_path, part):
    path = tmp_path / "w.safetensors"
    write_weights(path, {"a": np.ones(9, np.float32)})
    path.write_bytes(path.read_bytes()[part])
    assert _refused(lambda: read_weights(path)).startswith(f"{path}: these weights cannot be read: ")


def test_missing_weights_are_told(tmp_path):
    assert "w.safetensors: cannot be read: No such file" in _refused(lambda: read_weights(tmp_path / "w.safetensors"))


# An output


def test_without_a_name_it_is_standard_output_which_stays_open(capsys):
    with opened(None) as stream:
        stream.write("one\n")
    print("two")
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("before", ["old", None])
def test_an_output_takes_its_name_only_once_it_is_whole(tmp_path, before):
    out = tmp_path / "o.csv"
    if before:
        out.write_text(before)
    with opened(out) as stream:
        stream.write("new")
        stream.flush()
        assert (out.read_text() if out.exists() else None) == before
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]
    assert out.read_text() == "new"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError])
@pytest.mark.parametrize("before", ["old", None])
def test_an_output_that_is_broken_off_leaves_the_old_one_and_nothing_else(tmp_path, stop, before):
    def write(out):
        with opened(out) as stream:
            stream.write("new")
            raise stop

    out = tmp_path / "o.csv"
    if before:
        out.write_text(before)
    with pytest.raises(stop):
        write(out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


def test_an_output_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "o.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    with opened(link) as stream:
        stream.write("new")
    assert link.is_symlink() and target.read_text() == "new"


def test_line_ends_and_halves_of_characters_are_written_as_they_are_told(tmp_path):
    with opened(tmp_path / "o.csv") as stream:
        stream.write("é\r\n\ud83d\n")
    assert (tmp_path / "o.csv").read_bytes() == b"\xc3\xa9\r\n\\ud83d\n"


# Sealing and reading


def test_what_was_sealed_is_read(run):
    opened = Artifact(run, NAME)
    assert opened.read_bytes("model.onnx") == b"graph"
    assert opened.read_json("labels.json") == ["ja", "nein", "ünsicher"]
    assert opened.manifest["versions"] == {"numpy": "2"}
    assert opened.manifest["schema_version"] == artifact.SCHEMA_VERSION


def test_a_folder_is_an_artifact_only_once_its_manifest_is_there(run, monkeypatch):
    (run / "manifest.json").unlink()
    monkeypatch.setattr(os, "replace", _full_disk)
    with pytest.raises(SeqloomError):
        seal(run, NAME, {})
    assert "there is no manifest.json" in _refused(lambda: Artifact(run, NAME))


def test_the_lock_checkpoints_and_what_a_killed_write_left_are_no_part_of_it(run):
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "epoch1.json").write_text("{}")
    (run / ".lock").touch()
    (run / ".model.onnx.x7f3").write_bytes(b"gra")
    seal(run, NAME, {})
    assert Artifact(run, NAME).manifest["files"].keys() == {"model.onnx", "labels.json"}


def test_a_damaged_file_says_what_was_found_and_expected(run):
    (run / "model.onnx").write_bytes(b"grap!")
    (run / "labels.json").write_bytes(b"")
    opened = Artifact(run, NAME)
    mend = "Copy the whole run folder again, or train again."
    assert _refused(lambda: opened.read_bytes("model.onnx")) == (
        f"{run}/model.onnx: damaged: 5 bytes that do not match the manifest (5 bytes). {mend}"
    )
    assert _refused(lambda: opened.read_json("labels.json")) == (
        f"{run}/labels.json: damaged: 0 bytes that do not match the manifest (33 bytes). {mend}"
    )


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "binary", "deep"])
def test_a_sealed_file_that_is_no_json_is_told(run, content):
    (run / "labels.json").write_bytes(content)
    seal(run, NAME, {})
    message = _refused(lambda: Artifact(run, NAME).read_json("labels.json"))
    assert message.startswith(f"{run}/labels.json: this is not JSON: ")


def test_a_missing_file_says_what_to_do(run):
    (run / "model.onnx").unlink()
    assert _refused(lambda: Artifact(run, NAME).read_bytes("model.onnx")) == (
        f"{run}/model.onnx: cannot be read: No such file or directory. Copy the whole run folder again."
    )


def test_a_file_that_the_manifest_lacks_is_not_read(run):
    (run / "extra.json").write_text("{}")
    message = _refused(lambda: Artifact(run, NAME).read_json("extra.json"))
    assert message == f"{run}: extra.json is not part of this run."


def test_another_pipeline_s_run_is_refused(run):
    message = _refused(lambda: Artifact(run, "translation"))
    assert message == f"{run}: this run was made by the text_classification pipeline, expected translation."


def test_another_version_is_refused(run):
    _change_manifest(run, schema_version=2)
    assert _refused(lambda: Artifact(run, NAME)) == (
        f"{run}/manifest.json: schema version 2, expected 1. Use the version of seqloom that made it, or train again."
    )


def test_a_folder_that_is_not_there_says_how_to_make_one(tmp_path):
    assert _refused(lambda: Artifact(tmp_path / "x", NAME)) == (
        f"{tmp_path}/x: there is no such run folder. Train one with `seqloom run CONFIG --out DIR`."
    )


def test_a_folder_that_is_no_run_says_so(tmp_path):
    assert _refused(lambda: Artifact(tmp_path, NAME)) == (
        f"{tmp_path}: there is no manifest.json in this folder. Give the folder that `seqloom run` wrote."
    )


def test_an_unfinished_run_says_how_to_go_on(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    message = _refused(lambda: Artifact(tmp_path, NAME))
    assert message.endswith("Its training did not finish. What `seqloom run` began goes on with --resume.")


def test_a_manifest_that_may_not_be_read_is_not_called_damaged(run):
    (run / "manifest.json").unlink()
    (run / "manifest.json").mkdir()
    assert _refused(lambda: Artifact(run, NAME)).startswith(f"{run}/manifest.json: cannot be read: Is a directory.")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"schema_version": 1, "pipeline": "text_classification", "files": []}',
        b'{"schema_version": 1, "pipeline": "text_classification", "files": {"model.onnx": 1}}',
        b'{"schema_version": 1, "pipeline": "text_classification", "files": {"model.onnx": {}}}',
        b'{"schema_version": 1, "pipeline": "text_classification", "files": {"a": {"bytes": "x", "sha256": ""}}}',
        b'{"schema_version": 1, "pipeline": ["text_classification"], "files": {}}',
        b"[" * 100_000,
    ],
    ids=[
        "empty",
        "cut",
        "binary",
        "list",
        "null",
        "no_keys",
        "files_list",
        "entry_number",
        "entry_empty",
        "bytes",
        "pipeline",
        "deep",
    ],
)
def test_what_is_no_manifest_is_refused(run, content):
    (run / "manifest.json").write_bytes(content)
    message = _refused(lambda: Artifact(run, NAME).read_bytes("model.onnx"))
    assert message == f"{run}/manifest.json: damaged: this is not a manifest."


def _change_manifest(run, **changes):
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# The lock


HOLD = """
import sys
from pathlib import Path
from toolkit.artifact import locked
from toolkit.errors import SeqloomError
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except SeqloomError as error:
    print(error, flush=True)
"""


def _holder(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_second_process_is_refused_until_the_first_lets_go_or_dies(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        answer, _ = _holder(folder).communicate(timeout=60)
    assert answer == f"{folder}: another run is writing to this folder.\n"
    with _holder(folder) as killed:
        assert killed.stdout.readline() == "held\n"
        with pytest.raises(SeqloomError, match="another run is writing"), locked(folder):
            pytest.fail("two held the folder")
        killed.kill()
        killed.wait(timeout=60)
    with locked(folder):
        assert folder.is_dir()


def test_a_failure_inside_lets_go(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_one_who_comes_while_another_leaves_keeps_a_third_out(tmp_path, monkeypatch):
    folder, flock = tmp_path / "run", fcntl.flock
    first, second = locked(folder), locked(folder)

    def lock_after_the_first_has_left(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        first.__exit__(None, None, None)
        return flock(*arguments)

    first.__enter__()
    monkeypatch.setattr(fcntl, "flock", lock_after_the_first_has_left)
    try:
        second.__enter__()
    except SeqloomError:
        return  # to be refused in that moment is as safe
    with pytest.raises(SeqloomError, match="another run is writing"), locked(folder):
        pytest.fail("two held the folder")
    second.__exit__(None, None, None)


def test_a_run_that_fails_before_it_wrote_anything_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "run"):
        raise KeyError
    with locked(tmp_path / "kept"):
        (tmp_path / "kept" / "config.yaml").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "config.yaml"]


def test_a_run_that_fails_leaves_an_empty_folder_that_was_there_before(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    assert tmp_path.is_dir()


def test_a_folder_that_cannot_be_locked_is_told(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(SeqloomError), locked(tmp_path / "run"):
        pytest.fail("a file was taken for a folder")


def test_weights_of_numbers_that_numpy_lacks_are_told(tmp_path):
    header = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    assert "these weights cannot be read: " in _refused(lambda: read_weights(tmp_path / "w.safetensors"))


def test_what_killed_writes_left_goes_with_the_seal(run):
    left = [run / ".report.html.a1b2c3d4", run / ".manifest.json.a1b2c3d4"]
    kept = [run / ".report.html.mine", run / ".other.a1b2c3d4", run / ".lock"]
    write_text(run / "report.html", "page")
    for path in (*left, *kept):
        path.write_text("")
    seal(run, "text_classification", {})
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_a_link_to_itself_and_one_that_leads_nowhere_are_told(tmp_path):
    loop, dangling = tmp_path / "loop", tmp_path / "dangling"
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="loop: this link leads to itself"):
        check_outputs([], loop)
    for link in (loop, dangling):
        with pytest.raises(SeqloomError, match="this link leads nowhere"):
            refuse_foreign(link, resume=False)
