"""The newest whole state is found, whatever a crash left."""

import json

import numpy as np
import pytest

from examples import tiny_network
from toolkit.errors import SeqloomError
from toolkit.training.checkpoints import Checkpoints, Progress, restore_variables, variables_of


def _save(checkpoints, epoch, fingerprint="f"):
    history = [{"epoch": i + 1, "score": float(i)} for i in range(epoch)]
    progress = Progress(fingerprint, epoch=epoch, best_epoch=epoch - 1, seconds=1.5, history=history)
    checkpoints.save(progress, {"state": {"a/b": np.full(3, epoch)}, "best": {"a|b": np.full((2, 2), -epoch)}})
    return progress


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run" / "checkpoints")


def test_nothing_is_found_where_nothing_was_saved(checkpoints):
    assert checkpoints.load("f") is None


def test_a_state_comes_back_as_it_was(checkpoints):
    progress = _save(checkpoints, 3)
    found, groups = checkpoints.load("f")
    assert found == progress
    assert found.best_score == 2.0
    assert groups.keys() == {"state", "best"}
    np.testing.assert_array_equal(groups["state"]["a/b"], [3, 3, 3])
    np.testing.assert_array_equal(groups["best"]["a|b"], np.full((2, 2), -3))


def test_the_latest_of_the_last_two_states_is_loaded_and_older_ones_are_gone(checkpoints):
    for epoch in (9, 10, 11, 100):
        _save(checkpoints, epoch)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "epoch00011.json",
        "epoch00011.safetensors",
        "epoch00100.json",
        "epoch00100.safetensors",
    ]
    assert checkpoints.load("f")[0].epoch == 100


def _cut(path):
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("epoch00002.safetensors", _cut),
        ("epoch00002.safetensors", lambda path: path.unlink()),
        ("epoch00002.safetensors", lambda path: path.write_bytes(b"")),
        ("epoch00002.json", _cut),
        ("epoch00002.json", lambda path: path.unlink()),
        ("epoch00002.json", lambda path: path.write_bytes(b"")),
        ("epoch00002.json", lambda path: path.write_text("null")),
        ("epoch00002.json", lambda path: path.write_text("{}")),
        ("epoch00002.json", lambda path: _drop(path, "progress")),
    ],
    ids=["cut", "gone", "empty", "json_cut", "json_gone", "json_empty", "json_null", "json_bare", "json_no_progress"],
)
def test_a_damaged_newest_state_falls_back_to_the_one_before(checkpoints, name, damage):
    _save(checkpoints, 1)
    _save(checkpoints, 2)
    damage(checkpoints.folder / name)
    progress, groups = checkpoints.load("f")
    assert progress.epoch == 1
    np.testing.assert_array_equal(groups["state"]["a/b"], [1, 1, 1])


def _drop(path, key):
    path.write_text(json.dumps({k: value for k, value in json.loads(path.read_text()).items() if k != key}))


def test_where_every_state_is_damaged_nothing_is_found_and_that_is_told(checkpoints):
    _save(checkpoints, 1)
    _cut(checkpoints.folder / "epoch00001.safetensors")
    with pytest.warns(UserWarning, match="all checkpoints in .*run/checkpoints are damaged: this training begins anew"):
        assert checkpoints.load("f") is None


def test_another_training_s_state_is_refused(checkpoints):
    _save(checkpoints, 1, fingerprint="other")
    with pytest.raises(SeqloomError) as caught:
        checkpoints.load("f")
    assert str(caught.value) == (
        f"{checkpoints.folder.parent}: this folder holds a training of another config or other data. "
        "Resume with the config that it was started with, or choose another folder."
    )


def test_all_state_of_a_compiled_model_comes_back_from_the_disk(checkpoints):
    network, other = tiny_network(), tiny_network()
    for model in (network, other):
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    for variable in [*network.variables, *network.optimizer.variables]:
        variable.assign(np.random.default_rng(0).integers(1, 99, variable.shape))
    checkpoints.save(Progress("f", epoch=1), {"state": variables_of(network)})
    _, groups = checkpoints.load("f")
    restore_variables(other, groups["state"])
    expected, found = variables_of(network), variables_of(other)
    assert len(expected) > 10
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
