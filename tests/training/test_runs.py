"""A run takes only a folder of its own, starts from its seed, and tells its weights apart."""

import csv
import io

import keras
import numpy as np
import pytest

from examples import tiny_network
from toolkit.artifact import refuse_foreign
from toolkit.errors import SeqloomError
from toolkit.training.runs import history_csv, named_weights, set_seed, versions


def _refusal(folder, resume):
    with pytest.raises(SeqloomError) as caught:
        refuse_foreign(folder, resume)
    return str(caught.value)


@pytest.mark.parametrize("resume", [False, True])
def test_folders_that_are_new_empty_or_only_locked_are_taken(tmp_path, resume):
    refuse_foreign(tmp_path / "new" / "run", resume)
    refuse_foreign(tmp_path, resume)
    (tmp_path / ".lock").touch()
    refuse_foreign(tmp_path, resume)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_an_unfinished_run_is_taken_only_to_go_on_with(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    refuse_foreign(tmp_path, True)
    told = f"{tmp_path}: this folder is not empty. Choose another folder."
    assert _refusal(tmp_path, False) == f"{told} What `seqloom run` began goes on with --resume."


def test_a_folder_of_something_else_does_not_advise_to_go_on(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert _refusal(tmp_path, False) == f"{tmp_path}: this folder is not empty. Choose another folder."


def test_a_run_that_was_killed_while_it_wrote_its_results_is_taken_to_go_on_with(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "manifest.json").touch()
    refuse_foreign(tmp_path, True)
    assert "this folder holds a finished run" in _refusal(tmp_path, False)


def test_a_file_named_checkpoints_makes_no_run(tmp_path):
    (tmp_path / "checkpoints").touch()
    assert "this folder holds no run to go on with" in _refusal(tmp_path, True)


def test_checkpoints_of_another_program_make_no_run(tmp_path):
    (tmp_path / "checkpoints" / "version_0").mkdir(parents=True)
    (tmp_path / "checkpoints" / "version_0" / "epoch=3.ckpt").touch()
    assert "this folder holds no run to go on with" in _refusal(tmp_path, True)


def test_checkpoints_of_a_run_and_what_a_killed_write_left_make_one(tmp_path):
    (tmp_path / "checkpoints" / "member0").mkdir(parents=True)
    for name in ("epoch00001.safetensors", "epoch00001.json", ".epoch00002.safetensors.k3x_9a0b"):
        (tmp_path / "checkpoints" / "member0" / name).touch()
    refuse_foreign(tmp_path, True)


def test_a_seed_decides_all_that_is_drawn_after_it():
    def drawn(seed):
        set_seed(seed)
        layer = keras.layers.Dense(3)
        layer.build((None, 4))
        dropped = keras.layers.Dropout(0.5)(np.ones((2, 50), np.float32), training=True)
        return np.concatenate([np.ravel(values) for values in (layer.get_weights()[0], dropped, np.random.rand(3))])

    first = drawn(7)
    np.testing.assert_array_equal(drawn(7), first)
    assert (drawn(8)[:12] != first[:12]).all()


class Nested(keras.Model):
    """Layers in a network of its own class, as pipelines have them."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(2, name="inner")
        self.outer = keras.layers.Dense(2, name="outer")

    def call(self, inputs):
        return self.outer(self.inner(inputs))


def _nested():
    network = Nested()
    network(np.ones((1, 3), np.float32))
    return network


@pytest.mark.parametrize(
    ("make", "layers"), [(_nested, ("inner", "outer")), (tiny_network, ("hidden", "head"))], ids=["class", "functional"]
)
def test_weights_of_all_networks_are_named_by_member_and_layer(make, layers):
    networks = [make(), make()]
    weights = named_weights(networks)
    names = [f"{layer}/{kind}" for layer in layers for kind in ("kernel", "bias")]
    assert list(weights) == [f"member{i}/{name}" for i in range(2) for name in names]
    found = list(weights.values())
    for value, weight in zip(found, (weight for network in networks for weight in network.get_weights()), strict=True):
        np.testing.assert_array_equal(value, weight)


def test_the_history_is_a_table_that_gives_its_numbers_back():
    rows = [{"epoch": 1, "loss": 0.1 + 0.2, "score": -1e-17}, {"epoch": 2, "loss": 1e300, "score": 0.5}]
    text = history_csv(rows)
    assert text.startswith("epoch,loss,score\n1,") and "\r" not in text
    assert [{name: float(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))] == rows


def test_versions_name_what_results_depend_on():
    found = versions()
    assert found["keras"] == keras.__version__ and found["numpy"] == np.__version__
    assert {"seqloom", "tensorflow", "onnxruntime"} <= found.keys()
