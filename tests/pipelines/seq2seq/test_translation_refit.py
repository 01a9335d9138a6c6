"""Runs that are trained again on training and validation pairs together (training.refit)."""

import json
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


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return changed(tiny_config, training={"epochs": 3, "refit": True, "monitor": "loss"})


def calls_of_the_first(config: Config) -> int:
    return config.training.epochs * (_task(config, prepare(config), None).steps + 1)


def read(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def test_what_was_chosen_stays_and_the_network_is_another(config, tmp_path):
    search = {"length_penalty": "auto"}
    train(changed(config, search=search), tmp_path / "again", resume=False)
    train(changed(config, search=search, training={"refit": False}), tmp_path / "once", resume=False)
    assert read(tmp_path / "again", "history.csv", "translation.json") == read(
        tmp_path / "once", "history.csv", "translation.json"
    )
    assert read(tmp_path / "again", "decoder.onnx") != read(tmp_path / "once", "decoder.onnx")
    assert not (tmp_path / "again" / "checkpoints").exists()


def test_validation_pairs_are_learned(config, tmp_path):
    """A word that stands in validation pairs alone is known afterwards, and a baseline may answer with it."""
    validation = write_pairs(tmp_path / "validation.csv", [("seven one", "eins sieben"), ("seven two", "zwei sieben")])
    report = train(changed(config, data={"validation": str(validation)}), tmp_path / "run", resume=False)
    assert "sieben" in json.loads((tmp_path / "run" / "pieces.json").read_text())["target"]["pieces"]
    assert len(list(Translator(tmp_path / "run").translate(["seven"]))) == 1
    assert report["test"].keys() == report["baselines"]["copy source"].keys()


def test_a_crash_in_the_second_training_changes_nothing(config, tmp_path, monkeypatch):
    train(config, tmp_path / "unbroken", resume=False)
    with monkeypatch.context() as patched:
        at_call(patched, calls_of_the_first(config) + 5, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, tmp_path / "run", resume=False)
    train(config, tmp_path / "run", resume=True)
    assert read(tmp_path / "run", *NETWORKS) == read(tmp_path / "unbroken", *NETWORKS)


def test_ctrl_c_in_the_second_training_keeps_the_first(config, tmp_path, monkeypatch):
    train(changed(config, training={"refit": False}), tmp_path / "once", resume=False)
    at_call(monkeypatch, calls_of_the_first(config) + 3, interrupt)
    train(config, tmp_path / "run", resume=False)
    assert read(tmp_path / "run", *NETWORKS) == read(tmp_path / "once", *NETWORKS)
