"""Words, encoders and poolings give the same numbers in a graph as in the network."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import ops

from examples import closeness, make_encoder, make_transformer, randomize
from toolkit import export
from toolkit.cells import CELLS
from toolkit.layers import SegmentedEncoder, SequencePooling, SubwordEmbedding, WordEmbedding
from toolkit.layers.pooling import POOLINGS
from toolkit.runtime import Runtime

ROWS, FEATURES, SIZE, PER_WORD = 12, 5, 8, 3
OPERATORS = {cell.operator for cell in CELLS.values()}
SHALLOW = [dict(layers=1, residual=False, normalization=normalization) for normalization in ("none", "layer")]
DEEP = [
    dict(layers=3, residual=residual, normalization=normalization)
    for residual, normalization in product((False, True), ("none", "layer"))
]


class Network:
    """Words, an encoder as it is and in segments, and pooling over both."""

    def __init__(self, *, kinds=POOLINGS, tuned=7, buckets=0, encoder=None, **settings):
        self.embedding, self.subwords = WordEmbedding(rows=ROWS, tuned=tuned, units=FEATURES), None
        self.encoder = encoder or make_encoder(**settings)
        self.segmented = SegmentedEncoder(encoder=self.encoder, size=SIZE)
        self.pooling = SequencePooling(kinds=kinds)
        self.score = keras.layers.Dense(3)
        self(*_texts([1], SIZE))
        for layer in (self.embedding, self.encoder, self.pooling, self.score):
            randomize(layer)
        if buckets:
            self.subwords = SubwordEmbedding(rows=ROWS, per_word=PER_WORD, buckets=buckets, units=FEATURES)
            self.subwords.build()
            ngrams = np.random.default_rng(3).integers(0, buckets + 1, (ROWS, PER_WORD))
            self.subwords.set_weights([np.random.default_rng(4).normal(size=(buckets + 1, FEATURES)), ngrams])

    def __call__(self, tokens, lengths, unknown_ngrams=None):
        lengths = ops.convert_to_tensor(lengths)
        words = self.embedding(ops.convert_to_tensor(tokens))
        if self.subwords:
            words += self.subwords(ops.convert_to_tensor(tokens), ops.convert_to_tensor(unknown_ngrams))
        pieces = self.segmented(words, lengths)
        states, final = self.encoder(words, lengths)
        outputs = {
            "states": states,
            "final": final,
            "pieces": pieces,
            "pooled": self.pooling(states, lengths, final),
            "scores": self.score(self.pooling(pieces, lengths, final)),
        }
        return {name: ops.convert_to_numpy(output) for name, output in outputs.items()}

    def to_onnx(self):
        graph = export.Graph()
        words = export.embedding(graph, self.embedding, self.subwords, "tokens", "unknown_ngrams")
        states, final = export.encoder(graph, self.encoder, words, "lengths")
        pieces = export.segmented_encoder(graph, self.segmented, words, "lengths")
        graph.name(graph.add("Transpose", states, perm=[1, 0, 2]), "states")
        graph.name(final, "final")
        graph.name(graph.add("Transpose", pieces, perm=[1, 0, 2]), "pieces")
        graph.name(export.pooling(graph, self.pooling, states, "lengths", final), "pooled")
        pooled_pieces = export.pooling(graph, self.pooling, pieces, "lengths", final)
        graph.name(export.dense(graph, self.score, pooled_pieces), "scores")
        width, pooled = self.encoder.width, self.score.kernel.shape[0]
        shapes = {"states": ["batch", "time", width], "final": ["batch", width], "pieces": ["batch", "time", width]}
        shapes |= {"pooled": ["batch", pooled], "scores": ["batch", 3]}
        inputs = {"tokens": ["batch", "time"], "lengths": ["batch"]}
        if self.subwords:
            inputs["unknown_ngrams"] = ["unknown", PER_WORD]
        return graph.model(inputs, shapes)


def _texts(lengths, time, seed=0):
    """Rows of random words; other words stand where padding is."""
    tokens = np.random.default_rng(seed).integers(0, ROWS, (len(lengths), time))
    return tokens.astype(np.int32), np.array(lengths, np.int32)


def _assert_graph_equals_network(network, *batches):
    model = network.to_onnx()
    runtime = Runtime(model.SerializeToString())
    for batch in batches:
        inputs = dict(zip(("tokens", "lengths", "unknown_ngrams"), batch, strict=False))
        expected, found = network(**inputs), runtime.run(inputs)
        assert found.keys() == expected.keys()
        for name in expected:
            error = closeness(runtime)
            np.testing.assert_allclose(found[name], expected[name], atol=error, rtol=1e-5, err_msg=name)
    return model


@pytest.mark.parametrize("shape", [*SHALLOW, *DEEP], ids=lambda shape: "-".join(map(str, shape.values())))
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_equals_the_network_and_holds_fused_cells_without_loops(cell, bidirectional, shape):
    network = Network(cell=cell, bidirectional=bidirectional, **shape)
    lengths = np.random.default_rng(1).integers(1, 17, 4)
    model = _assert_graph_equals_network(network, _texts([*lengths, 1, 16], 16))
    operators = {node.op_type for node in model.graph.node}
    assert CELLS[cell].operator in operators
    assert not operators & {"Loop", "Scan", "If", *OPERATORS} - {CELLS[cell].operator}


@pytest.mark.parametrize("shape", [SHALLOW[0], *DEEP], ids=lambda shape: "-".join(map(str, shape.values())))
def test_a_graph_in_which_the_first_layer_alone_reads_from_both_ends_equals_the_network(shape):
    network = Network(kinds=["last", "attention"], cell="gru", bidirectional="first", **shape)
    model = _assert_graph_equals_network(network, _texts([9, 0, 1, 16], 16))
    directions = [
        a.s for node in model.graph.node if node.op_type == "GRU" for a in node.attribute if a.name == "direction"
    ]
    above = [b"forward"] * (shape["layers"] - 1)
    assert directions == [b"bidirectional", *above] * 2  # the encoder, and the same in segments


@pytest.mark.parametrize(("units", "layers"), [(6, 1), (FEATURES, 2), (1, 1), (96, 2)])
def test_a_transformer_equals_the_network_for_any_lengths_and_holds_no_loops(units, layers):
    network = Network(encoder=make_transformer(units=units, layers=layers))
    for weight in network.encoder.weights:
        weight.assign(weight * (5 / units) ** 0.5)  # as the sums are of more units
    lengths = np.random.default_rng(1).integers(0, 17, 4)
    model = _assert_graph_equals_network(network, _texts([*lengths, 0, 1, 16], 16), _texts([0, 0], SIZE))
    operators = {node.op_type for node in model.graph.node}
    assert {"Softmax", "LayerNormalization"} <= operators
    assert not operators & {"Loop", "Scan", "If", *OPERATORS}


@pytest.mark.parametrize("kind", POOLINGS)
def test_each_pooling_by_itself_equals_the_network_for_batches_of_any_shape(kind):
    _assert_graph_equals_network(Network(kinds=[kind]), _texts([16, 3, 9, 1], 16), _texts([3], SIZE))


@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
def test_padding_never_changes_what_the_graph_gives(kind):
    recurrent = dict(cell="gru", bidirectional=True, normalization="layer")
    network = Network(**recurrent) if kind == "recurrent" else Network(encoder=make_transformer(layers=2))
    runtime = Runtime(network.to_onnx().SerializeToString())
    tokens, lengths = _texts([4, 7], SIZE)
    wide = _texts([4, 7], 3 * SIZE, seed=5)[0]
    wide[:, :SIZE] = np.where(np.arange(SIZE) < lengths[:, None], tokens, wide[:, :SIZE])
    near, far = (runtime.run({"tokens": words, "lengths": lengths}) for words in (tokens, wide))
    np.testing.assert_allclose(far["pooled"], near["pooled"], atol=1e-6)
    np.testing.assert_allclose(far["scores"], near["scores"], atol=1e-6)


def test_an_empty_row_gives_what_the_network_gives():
    _assert_graph_equals_network(Network(bidirectional=True), _texts([0, 5], SIZE))


def test_a_table_without_fixed_rows_is_exported():
    _assert_graph_equals_network(Network(tuned=ROWS), _texts([3, 8], SIZE))


@pytest.mark.parametrize("ngrams", [[[1, 0, 0], [2, 5, 4]], [[0, 0, 0]]], ids=["two_unknown_words", "none"])
def test_words_made_of_ngrams_equal_those_of_the_network(ngrams):
    tokens, lengths = _texts([3, 8, 6], SIZE)
    if len(ngrams) > 1:
        tokens[0, 1], tokens[1, 7], tokens[2, 0] = ROWS, ROWS + 1, ROWS
    _assert_graph_equals_network(Network(buckets=6), (tokens, lengths, np.array(ngrams, np.int32)))
