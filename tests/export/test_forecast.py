"""Decoders and quantiles give the same numbers in a graph as in the network."""

import keras
import numpy as np
import pytest
from keras import ops

from examples import closeness, make_encoder, randomize, sequences
from toolkit import export
from toolkit.cells import CELLS
from toolkit.layers import AttentionDecoder, ParallelDecoder, QuantileHead
from toolkit.runtime import Runtime

# Keras warns of a softmax over a single step, which is what a memory of one step is for.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis")

FEATURES, WIDTH, UNITS, STEPS, LEVELS = 4, 5, 6, 2, 5
SIZES = [(1, 1, 1), (1, 7, 3), (4, 12, 1), (5, 3, 9)]  # rows, time, horizon
INPUTS = {
    "queries": ["batch", "horizon", FEATURES],
    "state": ["batch", UNITS],
    "memory": ["batch", "time", WIDTH],
    "lengths": ["batch"],
}


class Network:
    """A dense layer and an encoder where memory is read, or memory as it is, then a decoder, then quantiles."""

    def __init__(self, decoder, *, encoder=None, scale=0.5):
        self.decoder, self.encoder = decoder(units=UNITS), encoder
        self.projection = keras.layers.Dense(FEATURES, activation="relu")
        self.head = QuantileHead(steps=STEPS, levels=LEVELS, median=1)
        self(_inputs(1, 1, 1))
        for layer in (self.decoder, self.projection, self.head, *([encoder] if encoder else [])):
            randomize(layer, scale=scale)

    def __call__(self, inputs):
        queries, state, memory, lengths = (ops.convert_to_tensor(inputs[name]) for name in INPUTS)
        if self.encoder:
            memory, state = self.encoder(self.projection(memory), lengths)
        attends = isinstance(self.decoder, AttentionDecoder)
        decoded = self.decoder(queries, state, *((memory, lengths) if attends else ()))
        outputs = {"decoded": decoded, "quantiles": self.head(decoded)}
        return {name: ops.convert_to_numpy(output) for name, output in outputs.items()}

    def to_onnx(self):
        graph = export.Graph()
        queries, memory = (graph.add("Transpose", name, perm=[1, 0, 2]) for name in ("queries", "memory"))
        state = "state"
        if self.encoder:
            steps = export.dense(graph, self.projection, memory)
            memory, state = export.encoder(graph, self.encoder, steps, "lengths")
        if isinstance(self.decoder, AttentionDecoder):
            decoded = export.attention_decoder(graph, self.decoder, queries, state, memory, "lengths")
        else:
            decoded = export.parallel_decoder(graph, self.decoder, queries, state)
        graph.name(graph.add("Transpose", decoded, perm=[1, 0, 2]), "decoded")
        quantiles = export.quantile_head(graph, self.head, decoded)
        graph.name(graph.add("Transpose", quantiles, perm=[1, 0, 2, 3]), "quantiles")
        shapes = {"decoded": ["batch", "horizon", UNITS], "quantiles": ["batch", "horizon", STEPS, LEVELS]}
        return graph.model(INPUTS, shapes, floats=("queries", "state", "memory"))


def _inputs(rows, time, horizon, seed=0):
    """The first row is as long as can be, the second is empty, where there is one."""
    random = np.random.default_rng(seed)
    lengths = [time, 0, *random.integers(1, time + 1, rows)][:rows]
    memory, lengths = sequences(lengths, time=time, features=WIDTH, seed=seed)
    queries = random.normal(size=(rows, horizon, FEATURES)).astype(np.float32)
    return {
        "queries": queries,
        "state": random.normal(size=(rows, UNITS)).astype(np.float32),
        "memory": memory,
        "lengths": lengths,
    }


def _assert_graph_equals_network(network, sizes=SIZES):
    model = network.to_onnx()
    runtime = Runtime(model.SerializeToString())
    for size in sizes:
        inputs = _inputs(*size)
        expected, found = network(inputs), runtime.run({name: inputs[name] for name in runtime.inputs})
        assert found.keys() == expected.keys()
        for name in expected:
            error = closeness(runtime) * max(1, np.abs(expected[name]).max())
            np.testing.assert_allclose(found[name], expected[name], atol=error, rtol=0, err_msg=name)
    return model


every_decoder = pytest.mark.parametrize("decoder", [ParallelDecoder, AttentionDecoder])


@every_decoder
def test_a_decoder_equals_that_of_the_network_for_any_batch_length_and_horizon(decoder):
    model = _assert_graph_equals_network(Network(decoder))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("GRU") == 1
    assert not set(operators) & {"Loop", "Scan", "If"}


@every_decoder
@pytest.mark.parametrize("cell", CELLS)
def test_a_decoder_goes_on_from_any_encoder(decoder, cell):
    encoder = make_encoder(cell=cell, units=UNITS // 2, bidirectional=True, layers=2, normalization="layer")
    _assert_graph_equals_network(Network(decoder, encoder=encoder))


@every_decoder
def test_large_weights_overflow_nowhere(decoder):
    _assert_graph_equals_network(Network(decoder, scale=60.0), [(4, 12, 3)])


@every_decoder
def test_no_rows_give_no_forecasts(decoder):
    runtime = Runtime(Network(decoder).to_onnx().SerializeToString())
    inputs = _inputs(0, 3, 2)
    assert runtime.run({name: inputs[name] for name in runtime.inputs})["quantiles"].shape == (0, 2, STEPS, LEVELS)


def test_padding_never_changes_what_the_graph_gives():
    runtime = Runtime(Network(AttentionDecoder).to_onnx().SerializeToString())
    inputs = _inputs(5, 6, 4)
    wide = np.random.default_rng(9).normal(size=(5, 15, WIDTH)).astype(np.float32)
    real = np.arange(6)[:, None] < inputs["lengths"][:, None, None]
    wide[:, :6] = np.where(real, inputs["memory"], wide[:, :6])
    near, far = (runtime.run({**inputs, "memory": memory})["quantiles"] for memory in (inputs["memory"], wide))
    np.testing.assert_allclose(far, near, atol=1e-6)


@pytest.mark.parametrize(("levels", "median"), [(1, 0), (3, 0), (3, 2), (9, 4)])
def test_quantiles_equal_those_of_the_network_and_never_cross(levels, median):
    head = QuantileHead(steps=STEPS, levels=levels, median=median)
    head.build((None, FEATURES))
    randomize(head, scale=5.0)
    graph = export.Graph()
    graph.name(export.quantile_head(graph, head, "inputs"), "quantiles")
    shapes = {"quantiles": ["horizon", "batch", STEPS, levels]}
    model = graph.model({"inputs": ["horizon", "batch", FEATURES]}, shapes, floats=("inputs",))
    inputs = _inputs(4, 1, 7)["queries"]
    found = Runtime(model.SerializeToString()).run({"inputs": inputs})["quantiles"]
    np.testing.assert_allclose(found, ops.convert_to_numpy(head(inputs)), atol=1e-5, rtol=1e-5)
    assert (np.diff(found, axis=-1) >= 0).all()
