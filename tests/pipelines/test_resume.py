"""Runs that are killed, stopped and started again, and runs of several networks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import interruptions
import numpy as np
import pytest
from interruptions import interrupt
from keywords import seqloom, write_config

from pipelines import cli, process
from pipelines.text_classification import evaluate, train
from pipelines.text_classification import model as models
from pipelines.text_classification.config import Config
from pipelines.text_classification.predict import Classifier, Scorer
from pipelines.text_classification.train import prepare
from toolkit import artifact
from toolkit import config as configs
from toolkit.artifact import read_weights

EPOCHS = 4
STEPS = 12  # of 16 rows in an epoch of 192
CALLS = EPOCHS * (STEPS + 1)  # of Watch while a network trains: after each step and each epoch
RESULTS = ("weights.safetensors", "model.onnx", "decision.json", "vocabulary.json")

KILLED = """
import os, signal, sys
from toolkit.training.watch import Watch

tell, left = Watch.__call__, int(sys.argv.pop(1))

def count(self, progress, step):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    tell(self, progress, step)

Watch.__call__ = count
from pipelines.cli import main
main()
"""


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))


@pytest.fixture(scope="module")
def config(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks."""
    path = tmp_path_factory.mktemp("members") / "members.yaml"
    return write_config(path, trained.data, model={"members": 2}, training={"epochs": EPOCHS})


@pytest.fixture(scope="module")
def unbroken(config: Path) -> Path:
    """A run of two networks that nothing stopped."""
    folder = config.parent / "unbroken"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
        assert seqloom("run", config, "--out", folder).code == 0
    return folder


@pytest.fixture
def at_call(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Do something after so many steps and epochs of training."""
    return partial(interruptions.at_call, monkeypatch)


def crash() -> None:
    raise RuntimeError("crash")


def assert_same(folder: Path, other: Path) -> None:
    for name in RESULTS:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def assert_resumes_to_the_same(config: Path, unbroken: Path) -> None:
    assert not Path("run/manifest.json").exists()
    result = seqloom("run", config, "--out", "run", "--resume")
    assert result.code == 0, result.err
    assert_same(Path("run"), unbroken)
    assert not Path("run/checkpoints").exists()


def test_a_run_that_was_killed_ends_with_bitwise_the_same_network(config: Path, unbroken: Path) -> None:
    place = CALLS + 2 * (STEPS + 1) + 5  # in the third epoch of the second network
    command = [sys.executable, "-c", KILLED, str(place), "run", str(config), "--out", "run"]
    process = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=120)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert "Its training did not finish" in seqloom("classify", "-", "--model", "run").err
    assert_resumes_to_the_same(config, unbroken)


@pytest.mark.parametrize("place", [5, STEPS + 1, 5 * (STEPS + 1)])
def test_a_run_that_crashed_ends_with_bitwise_the_same_network(place: int, trained: Any, at_call: Callable) -> None:
    at_call(place, crash)
    assert seqloom("run", trained.config, "--out", "run").code == 1
    assert_resumes_to_the_same(trained.config, trained.folder)


@pytest.mark.parametrize("epochs_before", [1, 2])
def test_a_crash_around_the_epoch_in_which_vectors_thaw_changes_nothing(
    epochs_before: int, trained: Any, at_call: Callable, here: Path
) -> None:
    vectors = {"training": "frozen_then_tuned", "frozen_epochs": 2}
    config = write_config(Path("c.yaml"), trained.data, vectors=vectors, training={"epochs": 4, "monitor": "loss"})
    at_call(epochs_before * (STEPS + 1) + 3, crash)
    assert seqloom("run", config, "--out", "run").code == 1
    assert seqloom("run", config, "--out", "unbroken").code == 0
    assert_resumes_to_the_same(config, here / "unbroken")


def test_a_checkpoint_that_was_cut_short_is_passed_over(trained: Any, at_call: Callable) -> None:
    at_call(2 * (STEPS + 1) + 2, crash)
    seqloom("run", trained.config, "--out", "run")
    latest = sorted(Path("run/checkpoints/member0").glob("*.safetensors"))[-1]
    latest.write_bytes(latest.read_bytes()[:1000])
    assert_resumes_to_the_same(trained.config, trained.folder)


def test_a_run_that_was_killed_while_it_wrote_its_report_can_go_on(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "render", lambda *_: crash())
        assert seqloom("run", trained.config, "--out", "run").code == 1
    result = seqloom("run", trained.config, "--out", "run", "--resume")
    assert result.code == 0, result.err
    assert_same(Path("run"), trained.folder)
    assert "report.json" in json.loads(Path("run/manifest.json").read_text())["files"]


def test_another_config_cannot_go_on_with_a_run(trained: Any, at_call: Callable) -> None:
    at_call(STEPS + 5, crash)
    seqloom("run", trained.config, "--out", "run")
    result = seqloom("run", trained.config, "--out", "run", "--resume", "--set", "encoder.units=9")
    assert result.code == 1
    assert "another config or other data" in result.err
    assert Path("run/checkpoints/member0").is_dir()


def test_another_decision_can_go_on_with_a_run(trained: Any, at_call: Callable) -> None:
    at_call(5 * (STEPS + 1), crash)
    seqloom("run", trained.config, "--out", "run")
    result = seqloom("run", trained.config, "--out", "run", "--resume", "--set", "decision.margin=0.1")
    assert result.code == 0, result.err
    assert json.loads(Path("run/decision.json").read_text())["margin"] == 0.1


def test_ctrl_c_keeps_the_best_epoch_and_finishes_the_run(trained: Any, at_call: Callable) -> None:
    config = write_config(Path("c.yaml"), trained.data, training={"epochs": 50})
    at_call(2 * (STEPS + 1) + 4, interrupt)
    result = seqloom("run", config, "--out", "run", "--json")
    assert result.code == 0, result.err
    assert Path("run/history.csv").read_text().count("\n") == 1 + 2
    assert json.loads(result.out)["test"]["accuracy"] > 0.4
    assert seqloom("classify", "-", "--model", "run", stdin=b"my parcel").code == 0


def test_ctrl_c_after_the_training_says_how_to_go_on(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(train, "evaluate_run", lambda *_, **__: interrupt())
        result = seqloom("run", trained.config, "--out", "run")
    assert result.code == 130
    assert "note: the same command with --resume goes on" in result.err
    assert result.err.endswith("seqloom: stopped.\n")
    assert seqloom("run", trained.config, "--out", "run", "--resume").code == 0
    assert_same(Path("run"), trained.folder)


def test_a_folder_that_cannot_be_used_is_told_before_keras_is_imported(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "use_keras", lambda: pytest.fail("it was imported"))
    result = seqloom("run", trained.config, "--out", trained.folder)
    assert "this folder holds a finished run" in result.err


def test_ctrl_c_waits_until_an_import_is_over() -> None:
    done = []

    def load() -> None:
        with process.ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the import")

    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs lack
    with pytest.raises(KeyboardInterrupt):
        load()
    assert done


def test_ctrl_c_before_the_first_epoch_is_over_says_that_there_is_no_model(config: Path, at_call: Callable) -> None:
    at_call(3, interrupt)
    result = seqloom("run", config, "--out", "run")
    assert result.code == 130
    assert "there is no model yet" in result.err
    assert not Path("run/manifest.json").exists()


@pytest.mark.parametrize("place", [2 * (STEPS + 1) + 4, CALLS + 4])
def test_ctrl_c_leaves_the_other_networks_out(place: int, config: Path, at_call: Callable) -> None:
    at_call(place, interrupt)
    assert seqloom("run", config, "--out", "run").code == 0
    assert {name.split("/")[0] for name in read_weights(Path("run/weights.safetensors"))} == {"member0"}


def test_the_networks_of_a_run_are_averaged(config: Path, unbroken: Path, texts: list[str]) -> None:
    settings = configs.validate(configs.read_document(config), Config)
    prepared = prepare(settings)
    weights = read_weights(unbroken / "weights.safetensors")
    logits = []
    for member in range(2):
        network = models.build(
            settings, prepared.encoder, table=prepared.table, tuned=prepared.tuned, labels=len(prepared.labels)
        )
        for weight in network.weights:
            weight.assign(weights[f"member{member}/{weight.path.partition('/')[2]}"])
        graph = models.to_onnx([network]).SerializeToString()
        logits.append(Scorer(graph, prepared.vocabulary).score(texts)[0])
    both, _ = Classifier(unbroken).scorer.score(texts)
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    np.testing.assert_allclose(both, np.mean(logits, axis=0), atol=1e-5)


def test_a_full_disk_stops_the_run_and_leaves_what_was_there(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 6:
            raise OSError(28, os.strerror(28))
        write(handle)

    with monkeypatch.context() as patched:
        patched.setattr(artifact.os, "fsync", full)
        result = seqloom("run", trained.config, "--out", "run")
    assert result.code == 1
    assert "No space left on device. Free some space and run again." in result.err
    assert not [path for path in Path("run").rglob("*") if path.name.startswith(".") and path.name != ".lock"]
    assert_resumes_to_the_same(trained.config, trained.folder)
