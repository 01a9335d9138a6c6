"""The pieces that all graphs are made of, each against what it stands for."""

import keras
import numpy as np
import pytest
from keras import ops

from examples import make_encoder, randomize
from toolkit import export
from toolkit.runtime import Runtime

FEATURES = 4


def _dense(**settings):
    layer = keras.layers.Dense(3, **settings)
    layer.build((None, FEATURES))
    randomize(layer)
    return layer


def _to_runtime(build, shape, floats=("inputs",)):
    """A graph of one input and one output; `build` is given the graph, and returns its last value."""
    graph = export.Graph()
    graph.name(build(graph), "outputs")
    model = graph.model({"inputs": shape}, {"outputs": [*shape[:-1], "width"]}, floats=floats)
    return Runtime(model.SerializeToString())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
def test_a_dense_layer_equals_that_of_keras(activation, bias):
    layer = _dense(activation=activation, use_bias=bias)
    inputs = np.random.default_rng(1).normal(size=(5, 2, FEATURES)).astype(np.float32)
    runtime = _to_runtime(lambda graph: export.dense(graph, layer, "inputs"), ["time", "batch", FEATURES])
    expected = ops.convert_to_numpy(layer(inputs))
    assert (expected < 0).any() == (activation != "relu")
    np.testing.assert_allclose(runtime.run({"inputs": inputs})["outputs"], expected, atol=1e-5)


def test_an_activation_that_the_graph_has_no_operator_for_is_refused():
    with pytest.raises(ValueError, match="activation is selu, expected linear, tanh, relu"):
        export.dense(export.Graph(), _dense(activation="selu"), "inputs")


@pytest.mark.parametrize(("floats", "kind"), [(("inputs",), np.float32), ((), np.int32)])
def test_inputs_are_whole_numbers_unless_they_are_told_to_be_floats(floats, kind):
    def build(graph):
        return graph.add("Cast", "inputs", to=1)

    runtime = _to_runtime(build, ["batch", FEATURES], floats)
    inputs = np.arange(2 * FEATURES).reshape(2, FEATURES)
    np.testing.assert_array_equal(runtime.run({"inputs": inputs.astype(kind)})["outputs"], inputs)
    assert runtime.kinds == {"inputs": kind}


def test_real_steps_are_those_inside_each_row_s_length():
    graph = export.Graph()
    graph.name(export.real_steps(graph, "inputs", "lengths"), "real")
    shapes = {"inputs": ["time", "batch", FEATURES], "lengths": ["batch"]}
    model = graph.model(shapes, {"real": ["time", "batch", 1]}, floats=("inputs",))
    lengths = np.array([0, 2, 3], np.int32)
    inputs = {"inputs": np.zeros((3, 3, FEATURES), np.float32), "lengths": lengths}
    found = Runtime(model.SerializeToString()).run(inputs)["real"]
    np.testing.assert_array_equal(found[:, :, 0], np.arange(3)[:, None] < lengths)


def test_recurrent_layers_run_in_the_kernel_where_rows_are_many(rows):
    encoder = make_encoder()
    encoder.build((None, None, FEATURES), (None,))
    graph = export.Graph()
    graph.name(export.encoder(graph, encoder, "steps", "lengths")[1], "final")
    shapes = {"steps": ["time", "batch", FEATURES], "lengths": ["batch"]}
    model = graph.model(shapes, {"final": ["batch", encoder.width]}, floats=("steps",))
    runtime = Runtime(model.SerializeToString())
    runtime.run({"steps": np.ones((3, 2, FEATURES), np.float32), "lengths": np.array([3, 1], np.int32)})
    assert runtime.fused == (rows == "many")


def test_what_no_output_depends_on_is_left_out_even_within_a_recurrent_operator():
    encoder = make_encoder(cell="lstm", layers=2)
    encoder.build((None, None, FEATURES), (None,))

    def written(*outputs):
        graph = export.Graph()
        found = dict(zip(("states", "final"), export.encoder(graph, encoder, "steps", "lengths"), strict=True))
        for name in outputs:
            graph.name(found[name], name)
        shapes = {"states": ["time", "batch", encoder.width], "final": ["batch", encoder.width]}
        inputs = {"steps": ["time", "batch", FEATURES], "lengths": ["batch"]}
        return graph.model(inputs, {name: shapes[name] for name in outputs}, floats=("steps",)).graph.node

    lower, upper = (node for node in written("final") if node.op_type == "LSTM")
    assert lower.output[0] and not upper.output[0] and upper.output[1]
    assert all(node.output[0] for node in written("states", "final"))
