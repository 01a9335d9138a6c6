"""Operators that no run has are refused; large tables are read where they lie in the file."""

import re
import time

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import export, graph_tables
from toolkit.errors import ArtifactError
from toolkit.runtime import Runtime

ROWS, WIDTH, OTHER = 9, 4, 5
TABLE = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(WIDTH, OTHER)).astype(np.float32)
TOKENS = np.array([[3, 0, 8], [1, 1, 2]], np.int32)


@pytest.fixture(autouse=True)
def small_tables_are_large(monkeypatch):
    monkeypatch.setattr(graph_tables, "LARGE", 4 * WIDTH * OTHER)


def _model(*, also_multiplied=False):
    """Rows of a table, times a matrix; and on request the whole table times the matrix."""
    graph = export.Graph()
    table, kernel = graph.constant(TABLE), graph.constant(KERNEL)
    graph.name(graph.add("MatMul", graph.add("Gather", table, "tokens"), kernel), "found")
    shapes = {"found": ["batch", "time", OTHER]}
    if also_multiplied:
        graph.name(graph.add("MatMul", table, kernel), "all")
        shapes["all"] = [ROWS, OTHER]
    return graph.model({"tokens": ["batch", "time"]}, shapes)


def test_tables_lie_in_the_file_and_what_is_multiplied_stays_in_the_graph():
    model = _model().SerializeToString()
    graph, found = graph_tables.split(model)
    (table,) = found.values()
    np.testing.assert_array_equal(table, TABLE)
    assert np.shares_memory(table, np.frombuffer(model, np.uint8))
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    assert TABLE.tobytes() not in graph and KERNEL.tobytes() in graph


def test_a_runtime_looks_rows_up_in_them_as_before():
    runtime = Runtime(_model().SerializeToString())
    assert runtime.inputs == ["tokens"]
    np.testing.assert_allclose(runtime.run({"tokens": TOKENS})["found"], TABLE[TOKENS] @ KERNEL, atol=1e-6)
    with pytest.raises(ArtifactError, match="cannot be run"):
        runtime.run({"tokens": TOKENS + ROWS})


def test_a_table_that_is_read_otherwise_too_stays_in_the_graph():
    model = _model(also_multiplied=True).SerializeToString()
    assert graph_tables.split(model) == (model, {})


def test_small_tables_stay_in_the_graph(monkeypatch):
    monkeypatch.setattr(graph_tables, "LARGE", 1 << 20)
    model = _model().SerializeToString()
    assert graph_tables.split(model) == (model, {})


def _initializer(model):
    (tensor,) = [each for each in model.graph.initializer if list(each.dims) == [ROWS, WIDTH]]
    return tensor


def _changed(change):
    model = _model()
    change(_initializer(model))
    return model.SerializeToString()


def _cut(tensor):
    tensor.raw_data = tensor.raw_data[:-4]


def _shape(*shape):
    def change(tensor):
        del tensor.dims[:]
        tensor.dims.extend(shape)

    return change


def _doubles(tensor):
    tensor.CopyFrom(onnx.numpy_helper.from_array(TABLE.astype(np.float64), tensor.name))


def _numbers(tensor):
    tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, onnx.TensorProto.FLOAT, TABLE.shape, TABLE.ravel()))


@pytest.mark.parametrize(
    "change",
    [_cut, _shape(ROWS), _shape(-1, WIDTH), _shape(2**62, WIDTH), _doubles, _numbers],
    ids=["cut", "one_axis", "negative", "huge", "doubles", "one_by_one"],
)
def test_a_table_of_another_kind_or_shape_leaves_the_file_whole(change):
    model = _changed(change)
    assert graph_tables.split(model) == (model, {})


@pytest.mark.parametrize(
    "model",
    [
        b"",
        b"\xff" * 1000,  # a number that does not end
        b"\x3b\x3c",  # a group, which nobody writes any more
        b"\x3a\x05\x08\x01",  # a graph that ends after the file
        b"\x3a\x00\x3a\x00",  # two graphs
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a graph of 2 ** 64 bytes
        b"\x08\x01" * (graph_tables.MOST_FIELDS + 1),
    ],
)
def test_what_is_no_model_is_left_to_onnx_runtime(model):
    assert graph_tables.split(model) == (model, {})
    with pytest.raises(ArtifactError, match="this graph cannot be loaded"):
        Runtime(model)


def test_a_hostile_file_is_given_up_soon():
    model = _model()
    for _ in range(500):
        model.graph.node.append(onnx.helper.make_node("Sum", ["x"] * 1000, []))
    hostile = model.SerializeToString()
    assert len(hostile) > graph_tables.MOST_BYTES
    started = time.process_time()
    assert graph_tables.split(hostile) == (hostile, {})
    assert time.process_time() - started < 0.5


@given(st.data())
def test_a_damaged_file_raises_nothing_here(data):
    model = bytearray(_MODEL)
    for place in data.draw(st.lists(st.integers(0, len(model) - 1), max_size=8)):
        model[place] = data.draw(st.integers(0, 255))
    model = bytes(model[: data.draw(st.integers(0, len(model)))])
    graph, found = graph_tables.split(model)
    assert found or graph == model


_MODEL = _model().SerializeToString()


def _with_node(node, *functions, opset=()):
    """The model, with a node of its own kind behind its output."""
    model = _model()
    model.graph.node.append(node)
    model.functions.extend(functions)
    model.opset_import.extend(opset)
    return model.SerializeToString()


def _endless():
    body = onnx.parser.parse_graph("b (int64 i, bool go) => (bool go_on) { go_on = Identity (go) }")
    return onnx.helper.make_node("Loop", ["", ""], [], body=body)


def test_operators_that_no_run_has_are_refused_wherever_they_stand():
    scan = onnx.helper.make_node("Scan", ["found"], ["x"], num_scan_inputs=1)
    inside = onnx.helper.make_graph([_endless()], "inside", [], [])
    scan.attribute.append(onnx.helper.make_attribute("body", inside))
    large = onnx.helper.make_node("Add", ["x" * graph_tables.MOST_CHECKED, "found"], ["x"])
    foreign = onnx.helper.make_node("Add", ["found", "found"], ["x"], domain="custom")
    function = onnx.helper.make_function("custom", "Add", ["a"], ["b"], [_endless()], [])
    for model, told in (
        (_with_node(_endless()), "it holds an operator 'Loop'"),
        (_with_node(scan), "it holds an operator 'Loop'"),
        (_with_node(foreign), "it holds an operator that is not one of ONNX's own"),
        (_with_node(scan, function), "it holds functions of its own"),
        (_with_node(large), "its operators take more than"),
        (b"no graph at all", "cannot be loaded"),
    ):
        with pytest.raises(ArtifactError, match=re.escape(told)):
            Runtime(model)


def test_graphs_of_very_many_networks_are_read():
    model = _model()
    model.graph.node.extend([onnx.helper.make_node("Tanh", ["found"], [f"x{i}"]) for i in range(12_000)])
    model.graph.initializer.extend([onnx.numpy_helper.from_array(TABLE[:1], f"c{i}") for i in range(12_000)])
    started = time.monotonic()
    graph_tables.check_operators(model.SerializeToString())
    assert time.monotonic() - started < 10


def test_an_operator_that_a_run_may_not_hold_is_not_exported():
    with pytest.raises(ValueError, match="Loop is not among the operators that a run may hold"):
        export.Graph().add("Loop")


def test_nothing_is_written_to_standard_output_where_a_graph_does_not_load(capfd):
    model = _model()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        Runtime(model.SerializeToString())
    assert capfd.readouterr().out == ""
