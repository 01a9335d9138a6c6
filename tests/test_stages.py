"""Of many rows recurrent layers run in the kernel, which changes no result, and what it cannot run stays as it was."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from examples import closeness, make_encoder, make_transformer, randomize, sequences
from toolkit import export, graph_tables, runtime
from toolkit.errors import ArtifactError
from toolkit.kernels import prediction
from toolkit.kernels.prediction import KINDS
from toolkit.runtime import MANY, Runtime

FEATURES = 4
pytestmark = pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")


def _model(encoder):
    """A graph whose outputs are of every stage."""
    encoder.build((None, None, FEATURES))
    randomize(encoder)
    graph = export.Graph()
    steps = graph.add("Transpose", "inputs", perm=[1, 0, 2])
    states, final = export.encoder(graph, encoder, steps, "lengths")
    graph.name(graph.add("ReduceSum", steps, export.axes(graph, 0), keepdims=0), "sums")
    graph.name(graph.add("Transpose", states, perm=[1, 0, 2]), "states")
    graph.name(final, "final")
    outputs = {"sums": ["batch", FEATURES], "states": ["batch", "time", encoder.width]}
    outputs["final"] = ["batch", encoder.width]
    return graph.model({"inputs": ["batch", "time", FEATURES], "lengths": ["batch"]}, outputs, floats=("inputs",))


def _changed(model, change):
    """The bytes of a copy whose recurrent operator is changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (node,) = [node for node in copy.graph.node if node.op_type in ("LSTM", "GRU", "RNN")]
    change(node, copy.graph)
    return copy.SerializeToString()


def _both(model):
    """A runtime that runs all in ONNX Runtime, and one that has been told of many rows."""
    few, many = Runtime(model), Runtime(model, name="runs/x/model.onnx")
    many.expect(MANY)
    return few, many


def _inputs(lengths=(3, 0, 6, 1, 6)):
    inputs, lengths = sequences(lengths, time=7, features=FEATURES)
    return {"inputs": inputs, "lengths": lengths}


def _assert_same(one, other, inputs):
    found, expected = one.run(inputs), other.run(inputs)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_allclose(array, expected[name], atol=closeness(one, 1e-6), err_msg=name)


@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_stacked_layers_give_the_same_in_the_kernel(cell, bidirectional):
    settings = {"layers": 3, "residual": True, "normalization": "layer"}
    few, many = _both(_model(make_encoder(cell=cell, bidirectional=bidirectional, **settings)).SerializeToString())
    assert many.fused and not few.fused
    _assert_same(many, few, _inputs())
    assert many.run(_inputs(), ["final"]).keys() == {"final"}
    assert (
        many.run(_inputs(()))["states"].shape == few.run(_inputs(()))["states"].shape == (0, 7, 3 * (1 + bidirectional))
    )


def test_calls_side_by_side_give_the_same():
    few, many = _both(_model(make_encoder(layers=2)).SerializeToString())
    expected = few.run(_inputs())["states"]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: many.run(_inputs())["states"], range(20)):
            np.testing.assert_allclose(found, expected, atol=closeness(many, 1e-6))


def test_few_rows_are_not_worth_the_kernel_and_many_in_small_parts_are(monkeypatch):
    model = _model(make_encoder()).SerializeToString()
    monkeypatch.setattr(runtime, "MANY", 100 * (len(model) // 4))  # of weights, each of which a step multiplies
    part = Runtime(model)
    for steps in (98, 1):
        part.expect(steps)
        assert not part.fused
    for steps in (1, 0, 100):
        part.expect(steps)
        assert part.fused


def test_rows_in_pieces_count_by_their_steps(monkeypatch):
    model, inputs = _model(make_encoder()).SerializeToString(), _inputs()
    few, many = Runtime(model), Runtime(model)
    steps = inputs["inputs"].shape[0] * inputs["inputs"].shape[1]
    monkeypatch.setattr(runtime, "MANY", 2 * steps * (len(model) // 4))
    for fused in (False, True):
        found = many.run_pieces(inputs, "final")
        np.testing.assert_allclose(found, few.run(inputs)["final"], atol=closeness(many, 1e-6))
        assert many.fused == fused


def test_tables_that_rows_are_looked_up_in_are_read_where_they_are(monkeypatch):
    monkeypatch.setattr(graph_tables, "LARGE", 1)
    encoder = make_encoder()
    encoder.build((None, None, FEATURES))
    graph = export.Graph()
    table = np.random.default_rng(0).normal(size=(9, FEATURES)).astype(np.float32)
    words = graph.add("Gather", graph.constant(table), graph.add("Transpose", "tokens", perm=[1, 0]))
    graph.name(export.encoder(graph, encoder, words, "lengths")[1], "final")
    shapes = {"tokens": ["batch", "time"], "lengths": ["batch"]}
    model = graph.model(shapes, {"final": ["batch", encoder.width]})
    few, many = _both(model.SerializeToString())
    tokens = np.random.default_rng(1).integers(0, 9, (3, 5)).astype(np.int32)
    assert many.fused
    _assert_same(many, few, {"tokens": tokens, "lengths": np.array([5, 0, 3], np.int32)})


def test_a_graph_without_recurrent_layers_stays_whole():
    few, many = _both(_model(make_transformer(units=FEATURES)).SerializeToString())
    assert not many.fused
    _assert_same(many, few, _inputs())


def test_without_a_kernel_all_stays_in_onnx_runtime(monkeypatch):
    monkeypatch.setattr(prediction, "load", lambda: (None, "there is none"))
    few, many = _both(_model(make_encoder()).SerializeToString())
    assert not many.fused
    _assert_same(many, few, _inputs())


def _clip(node, graph):
    node.attribute.append(onnx.helper.make_attribute("clip", 0.3))


def _backward(node, graph):
    (direction,) = [each for each in node.attribute if each.name == "direction"]
    direction.s = b"reverse"


def _computed_weights(node, graph):
    graph.node.insert(0, onnx.helper.make_node("Tanh", [node.input[2]], ["computed"]))
    node.input[2] = "computed"


@pytest.mark.parametrize("change", [_clip, _backward, _computed_weights])
def test_an_operator_that_the_kernel_cannot_run_stays_in_onnx_runtime(change):
    model = _model(make_encoder())
    few, many = _both(_changed(model, change))
    assert not many.fused
    _assert_same(many, few, _inputs())
    assert (
        np.abs(few.run(_inputs())["states"] - Runtime(model.SerializeToString()).run(_inputs())["states"]).max() > 0.01
    )


def test_weights_that_do_not_fit_one_another_are_one_line_of_error():
    def cut(node, graph):
        for tensor in graph.initializer:
            if tensor.name == node.input[2]:
                weights = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(weights[:, :, 1:].copy(), tensor.name))

    with pytest.raises(ArtifactError) as caught:
        _both(_changed(_model(make_encoder()), cut))
    assert str(caught.value).startswith(
        "runs/x/model.onnx: this graph cannot be cut at its recurrent layers: weights of"
    )
    assert "expected" in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_onnx_cannot_read_are_one_line_of_error(monkeypatch):
    def unreadable(tensor):
        raise TypeError("an error of the library\nin two lines")

    monkeypatch.setattr(onnx.numpy_helper, "to_array", unreadable)
    with pytest.raises(ArtifactError) as caught:
        _both(_model(make_encoder()).SerializeToString())
    assert "recurrent layers: an error of the library" in str(caught.value)
    assert "train again" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda inputs: {"inputs": inputs["inputs"][:, :, 1:]},
        lambda inputs: {"inputs": inputs["inputs"].astype(np.float64)},
        lambda inputs: {"lengths": inputs["lengths"][1:]},
        lambda inputs: {"lengths": inputs["lengths"] + 3},
        lambda inputs: {"lengths": inputs["lengths"].astype(np.int64)},
        lambda inputs: {"other": inputs["lengths"]},
    ],
    ids=["features", "doubles", "rows", "lengths", "long", "unknown"],
)
def test_inputs_that_do_not_fit_are_one_line_of_error(wrong):
    _, many = _both(_model(make_encoder(layers=2)).SerializeToString())
    with pytest.raises(ArtifactError) as caught:
        many.run({**_inputs(), **wrong(_inputs())})
    assert str(caught.value).startswith("runs/x/model.onnx: this graph cannot be run: ")
    assert "\n" not in str(caught.value)
