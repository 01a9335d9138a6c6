"""A runtime runs graphs, and tells what it cannot run in one line."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from examples import make_encoder, randomize
from toolkit import export
from toolkit.errors import ArtifactError
from toolkit.runtime import PIECE, Runtime

FEATURES, LENGTHS = 4, np.array([3, 1], np.int32)


def _graph():
    """The bytes of an encoder's graph."""
    encoder = make_encoder()
    encoder.build((None, None, FEATURES))
    randomize(encoder)
    graph = export.Graph()
    states, final = export.encoder(graph, encoder, "steps", "lengths")
    graph.name(states, "states")
    graph.name(final, "final")
    inputs = {"steps": ["time", "batch", FEATURES], "lengths": ["batch"]}
    outputs = {"states": ["time", "batch", encoder.width], "final": ["batch", encoder.width]}
    return graph.model(inputs, outputs, floats=("steps",)).SerializeToString()


def test_a_runtime_knows_its_inputs_and_outputs_by_name():
    runtime = Runtime(_graph())
    assert runtime.inputs == ["steps", "lengths"]
    assert runtime.outputs == {"states": ["time", "batch", 3], "final": ["batch", 3]}
    found = runtime.run({"lengths": LENGTHS, "steps": np.ones((3, 2, FEATURES), np.float32)})
    assert {name: array.shape for name, array in found.items()} == {"states": (3, 2, 3), "final": (2, 3)}


@pytest.mark.parametrize("steps", [0, 10**12])
def test_a_runtime_that_nobody_holds_is_gone_at_once(steps):
    gc.disable()  # which training seldom waits for, and a runtime holds a copy of the weights
    try:
        runtime = Runtime(_graph())
        runtime.expect(steps)
        runtime.run({"steps": np.ones((3, 2, FEATURES), np.float32), "lengths": LENGTHS})
        gone = weakref.ref(runtime)
        del runtime
        assert gone() is None
    finally:
        gc.enable()


def test_no_rows_give_no_rows():
    found = Runtime(_graph()).run({"steps": np.ones((3, 0, FEATURES), np.float32), "lengths": LENGTHS[:0]})
    assert {name: (array.shape, array.dtype) for name, array in found.items()} == {
        "states": ((3, 0, 3), np.float32),
        "final": ((0, 3), np.float32),
    }


def test_constants_are_read_without_inputs():
    graph = export.Graph()
    graph.name(graph.add("Mul", "steps", graph.constant(2.0)), "products")
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    graph.name(graph.constant(table), "table")
    shapes = {"products": ["batch", FEATURES], "table": [2, 3]}
    model = graph.model({"steps": ["batch", FEATURES], "lengths": ["batch"]}, shapes, floats=("steps",))
    (found,) = Runtime(model.SerializeToString()).constants("table")
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("rows", [0, 1, PIECE, 2 * PIECE + 3])
def test_rows_in_pieces_give_what_one_call_gives(rows):
    graph = export.Graph()
    lengths = graph.add("Unsqueeze", graph.add("Cast", "lengths", to=TensorProto.FLOAT), export.axes(graph, 1))
    graph.name(graph.add("Mul", "steps", lengths), "products")
    inputs = {"steps": ["batch", FEATURES], "lengths": ["batch"]}
    model = graph.model(inputs, {"products": ["batch", FEATURES]}, floats=("steps",))
    arrays = {
        "steps": np.random.default_rng(0).normal(size=(rows, FEATURES)).astype(np.float32),
        "lengths": np.arange(rows, dtype=np.int32),
    }
    found = Runtime(model.SerializeToString()).run_pieces(arrays, "products")
    np.testing.assert_array_equal(found, arrays["steps"] * arrays["lengths"][:, None].astype(np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\x00" * len(data),
        lambda data: data[: len(data) // 3] + b"\xff" * 64 + data[len(data) // 3 + 64 :],
        lambda data: b"this is not a graph",
        lambda data: data.replace(b"LSTM", b"LTSM"),
    ],
    ids=["empty", "half", "one_byte_short", "zeros", "overwritten", "text", "foreign_operator"],
)
def test_a_corrupted_graph_is_one_line_of_error(damage):
    data = damage(_graph())
    with pytest.raises(ArtifactError) as caught:
        Runtime(data, name="runs/x/model.onnx")
    message = str(caught.value)
    assert message.startswith("runs/x/model.onnx: this graph cannot be loaded: ")
    assert "\n" not in message


def test_inputs_that_a_graph_cannot_take_are_one_line_of_error():
    runtime = Runtime(_graph(), name="runs/x/model.onnx")
    steps = np.ones((3, 2, FEATURES), np.float32)
    wrong = [
        {"steps": steps},
        {"steps": steps[:, :, 1:], "lengths": LENGTHS},
        {"steps": steps[0], "lengths": LENGTHS},
        {"steps": steps, "lengths": LENGTHS, "other": LENGTHS},
        {"steps": steps, "lengths": LENGTHS + 1},
        {"steps": steps.astype(np.float64), "lengths": LENGTHS},
    ]
    for inputs in wrong:
        with pytest.raises(ArtifactError) as caught:
            runtime.run(inputs)
        assert str(caught.value).startswith("runs/x/model.onnx: this graph cannot be run: ")
        assert "\n" not in str(caught.value)


def test_what_predicts_starts_without_keras_and_tensorflow():
    modules = ("runtime", "artifact", "config", "stanzas", "data.batches", "data.text", "data.series", "data.windows")
    imports = ", ".join(f"toolkit.{module}" for module in modules)
    script = f"import sys, {imports}; print(*{{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_error_without_a_text_is_told_by_its_kind(monkeypatch):
    def fail(*_):
        raise MemoryError

    runtime = Runtime(_graph())
    monkeypatch.setattr(runtime, "_execute", fail)
    with pytest.raises(ArtifactError, match="this graph cannot be run: MemoryError"):
        runtime.run({"steps": np.ones((3, 2, FEATURES), np.float32), "lengths": LENGTHS})


def test_what_predicts_leaves_nothing_in_the_user_s_home(tmp_path):
    code = "from toolkit.runtime import Runtime; import sys; Runtime(open(sys.argv[1], 'rb').read())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    graph = Path(__file__).parent / "golden" / "classifier" / "model.onnx"
    command = [sys.executable, "-c", code, str(graph)]
    subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, timeout=60, check=True)
    assert list(tmp_path.iterdir()) == []
