"""Runs that are trained again on training and validation pairs together (training.refit)."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from interruptions import at_call, interrupt
from translators import changed, write_pairs

from pipelines.translation import report as pages
from pipelines.translation.config import Config
from pipelines.translation.predict import Translator
from pipelines.translation.prepare import prepare
from pipelines.translation.train import _task, train

NETWORKS = ("weights.safetensors", "encoder.onnx", "decoder.onnx", "pieces.json")


@pytest.fixture(scope="module", autouse=True)
def plain_report() -> Iterator[None]:
    """Leave out the pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))
        yield


@pytest.fixture(scope="module")
def config(tiny_config: Config, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A word stands in validation pairs alone."""
    _, *pairs = csv.reader(tiny_pairs.open(encoding="utf-8", newline=""))
    folder, new = tmp_path_factory.mktemp("refit"), [("seven one", "eins sieben"), ("seven two", "zwei sieben")]
    data = {
        "train": str(write_pairs(folder / "pairs.csv", pairs[:-40])),
        "validation": str(write_pairs(folder / "validation.csv", [*pairs[-40:], *new])),
    }
    training = {"epochs": 3, "refit": True, "monitor": "loss"}
    return changed(tiny_config, data=data, training=training, search={"length_penalty": "auto"})


@pytest.fixture(scope="module")
def again(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    train(config, folder := tmp_path_factory.mktemp("again") / "run", resume=False)
    return folder


@pytest.fixture(scope="module")
def once(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once") / "run"
    train(changed(config, training={"refit": False}), folder, resume=False)
    return folder


@pytest.fixture(scope="module")
def crashed(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the second training."""
    folder = tmp_path_factory.mktemp("crashed") / "run"
    of_the_first = config.training.epochs * (_task(config, prepare(config), None).steps + 1)
    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, of_the_first + 5, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, folder, resume=False)
    return folder


def read(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def test_what_was_chosen_stays_and_the_network_is_another(again, once):
    assert read(again, "history.csv", "translation.json") == read(once, "history.csv", "translation.json")
    assert read(again, "decoder.onnx") != read(once, "decoder.onnx")
    assert not (again / "checkpoints").exists()


def test_validation_pairs_are_learned(again, once):
    """A word that stands in validation pairs alone is known afterwards, and a baseline may answer with it."""
    known = [json.loads((run / "pieces.json").read_text())["target"]["pieces"] for run in (again, once)]
    assert ["sieben" in pieces for pieces in known] == [True, False]
    assert len(list(Translator(again).translate(["seven"]))) == 1
    report = json.loads((again / "report.json").read_text())
    assert report["test"].keys() == report["baselines"]["copy source"].keys()


def test_a_crash_in_the_second_training_changes_nothing(config, crashed, again, tmp_path):
    train(config, shutil.copytree(crashed, tmp_path / "run"), resume=True)
    assert read(tmp_path / "run", *NETWORKS) == read(again, *NETWORKS)


def test_ctrl_c_in_the_second_training_keeps_the_first(config, crashed, once, tmp_path, monkeypatch):
    at_call(monkeypatch, 3, interrupt)  # after the first has been read from its checkpoint
    train(config, shutil.copytree(crashed, tmp_path / "run"), resume=True)
    assert read(tmp_path / "run", *NETWORKS) == read(once, *NETWORKS)
