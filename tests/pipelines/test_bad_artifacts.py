"""Run folders that are damaged, unfinished or foreign."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import Result, seqloom
from safetensors.numpy import save

from toolkit import artifact

PARTS = ("model.onnx", "vocabulary.json", "decision.json", "linear.json", "linear.safetensors", "manifest.json")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_zeros(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = [truncate, empty, Path.unlink, replace_by_folder, replace_by_zeros, replace_by_pipe, flip]


@pytest.fixture
def copied(linear: Any) -> Path:
    """A run of all parts."""
    shutil.copytree(linear.folder, "run")
    return Path("run")


def classify() -> Result:
    result = seqloom("classify", "-", "--model", "run", stdin=b"my parcel")
    assert "should not happen" not in result.err
    return result


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_named(part: str, damage: Callable[[Path], None], copied: Path) -> None:
    if (part, damage) == ("manifest.json", flip):
        pytest.skip("one changed digit may be a manifest too")
    damage(copied / part)
    result = classify()
    assert result.code == 1
    assert result.out == ""
    assert part in result.err
    assert damage is Path.unlink or any(word in result.err for word in ("damaged", "cannot be read"))


def reseal(folder: Path) -> None:
    """A manifest that fits whatever the files are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = {name: value for name, value in manifest.items() if name not in ("schema_version", "pipeline", "files")}
    artifact.seal(folder, manifest["pipeline"], facts)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("vocabulary.json", b"\xff{"),
        ("vocabulary.json", b"[]"),
        ("vocabulary.json", b'{"words": ["<padding>", "<unknown>"]}'),
        ("decision.json", b"{}"),
        ("decision.json", b"[" * 100_000),
        ("model.onnx", b"not a graph"),
        ("centroids.npy", b""),
        ("centroids.npy", b"PK\x03\x04"),
        ("centroids.npy", b"\x93NUMPY\x01\0\2\0{}"),
        ("linear.json", b"[]"),
        ("linear.json", b'{"weight": 0.5, "temperatures": [1, 1], "terms": ["parcel"]}'),
        ("linear.safetensors", b""),
        ("linear.safetensors", b"\xff" * 100),
        ("linear.safetensors", save({"idf": np.ones(3), "weights": np.ones((3, 9)), "bias": np.ones(9)})),
        (
            "linear.safetensors",
            b'C\0\0\0\0\0\0\0{"idf": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}x',
        ),
    ],
)
def test_a_foreign_part_is_refused(part: str, content: bytes, copied: Path) -> None:
    (copied / part).write_bytes(content)
    reseal(copied)
    result = classify()
    assert result.code == 1
    assert result.out == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", -1),
        ("max_tokens", 10**15),
        ("multiple", 0),
        ("multiple", 10**12),
        ("buckets", "many"),
        ("buckets", 0),
        ("capitals", "yes"),
        ("lowercase", 1),
        ("words", ["<padding>", "<unknown>", 3]),
        ("words", ["parcel", "parcel"]),
        ("surplus", 1),
    ],
)
def test_a_hostile_vocabulary_is_refused(name: str, value: Any, copied: Path) -> None:
    vocabulary = json.loads((copied / "vocabulary.json").read_text())
    (copied / "vocabulary.json").write_text(json.dumps({**vocabulary, name: value}))
    reseal(copied)
    result = classify()
    assert result.code == 1
    assert result.out == ""


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c", "d"]])
def test_labels_of_another_run_are_refused(labels: list[str], copied: Path) -> None:
    decision = json.loads((copied / "decision.json").read_text())
    (copied / "decision.json").write_text(json.dumps({**decision, "labels": labels}))
    reseal(copied)
    result = classify()
    assert result.code == 1
    assert "of different runs" in result.err


def test_a_graph_of_another_kind_is_refused(copied: Path) -> None:
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (copied / "model.onnx").write_bytes(model.SerializeToString())
    reseal(copied)
    result = classify()
    assert result.code == 1
    assert "of different runs" in result.err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pipeline": "forecasting"}, "expected text_classification"),
        ({"schema_version": 99}, "schema version 99, expected 1"),
        ({"files": {}}, "model.onnx is not part of this run"),
        ({"files": {"model.onnx": {}}}, "not a manifest"),
        ({"files": [1]}, "not a manifest"),
    ],
)
def test_manifests_of_others_are_refused(changes: dict[str, Any], told: str, copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    result = classify()
    assert result.code == 1
    if "files" in changes and not changes["files"]:
        told = "is not part of this run"
    assert told in result.err


def test_evaluate_refuses_other_pipelines(copied: Path, trained: Any) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "pipeline": "another"}))
    result = seqloom("evaluate", "--model", "run", "--data", trained.data["test"])
    assert result.code in (1, 2)
    assert "'another', expected text_classification or translation or forecasting" in result.err


def test_folders_without_a_finished_run_are_told_apart(here: Path) -> None:
    assert "there is no such run folder. Train one with" in classify().err
    Path("run").mkdir()
    assert "Give the folder that `seqloom run` wrote." in classify().err
    Path("run/checkpoints").mkdir()
    assert "Its training did not finish." in classify().err


def test_a_part_that_is_not_needed_to_predict_may_be_missing(copied: Path) -> None:
    for name in ("weights.safetensors", "report.html", "history.csv"):
        os.unlink(copied / name)
    assert classify().code == 0
