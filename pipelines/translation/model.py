"""The network, and the same network as two ONNX graphs."""

from typing import Any

import keras
import numpy as np
import onnx
from keras import ops

from pipelines.translation.config import Config
from toolkit import export
from toolkit.data.codec import START, UNKNOWN
from toolkit.layers import RecurrentDecoder, WordDropout, build_encoder
from toolkit.layers.sequence import Tensor
from toolkit.layers.softmax import softmax_parts

IMPOSSIBLE = -1e9  # a log-probability
LARGEST = 1 << 31  # more than there are rows


class Translator(keras.Model):
    """An encoder, a decoder with attention, and one score a target piece.

        memory, final = encoder(E_source source)
        a[t]          = decoder(E_target before[t], final, memory)
        P(y[t])       = softmax(W a[t] + b)                                   W = E_target when tied

    With copying, a gate chooses between the vocabulary and the source positions that hold the piece:

        g[t]    = sigmoid(v . a[t] + c)
        P(y[t]) = g[t] softmax(W a[t] + b)[y] + (1 - g[t]) sum over s with copies[s] = y of weights[t,s]

    Shapes: inputs: source (batch, source), lengths (batch,), before and after (batch, target): the pieces before each
        step and those to be written; copies (batch, source): the target ids of the source's pieces, which go on past
        the vocabulary for those that it lacks; columns (batch, source, columns): 1 where a database holds the piece ->
        (batch, target, 3): the loss of each step, its negative log-likelihood in nats, and whether the most probable
        piece is the right one (0.0 while training)
    Reference: Sutskever et al. 2014, arXiv:1409.3215; Luong et al. 2015, arXiv:1508.04025; copying See et al. 2017,
        arXiv:1704.04368, eq. 8-9; label smoothing Szegedy et al. 2016, arXiv:1512.00567, sec. 7; tied vectors Press &
        Wolf 2017, arXiv:1608.05859; scheduled sampling in two parallel passes Duckworth et al. 2019, arXiv:1906.04331
    """

    def __init__(self, config: Config, *, source_size: int, target_size: int, columns: int = 0, **kwargs):
        super().__init__(**kwargs)
        model, training = config.model, config.training
        self.label_smoothing, self.sampling = training.label_smoothing, training.scheduled_sampling
        self.target_size, self.tied, self.copies = target_size, model.tie != "none", model.copy_words
        small = keras.initializers.RandomNormal(stddev=model.embedding**-0.5)
        self.target_embedding = keras.layers.Embedding(target_size, model.embedding, small, name="target_embedding")
        self.source_embedding = self.target_embedding
        if model.tie != "all":
            self.source_embedding = keras.layers.Embedding(source_size, model.embedding, small, name="source_embedding")
        self.columns: Any = None
        if columns:
            self.columns = keras.layers.Dense(model.embedding, use_bias=False, kernel_initializer=small, name="columns")
        self.word_dropout = WordDropout(rate=model.word_dropout, unknown_id=UNKNOWN)
        self.dropout = keras.layers.Dropout(model.dropout)
        self.encoder = build_encoder(**config.encoder.model_dump(), name="encoder")
        self.decoder = RecurrentDecoder(**config.decoder.model_dump(), name="decoder")
        self.output_layer: Any = None if self.tied else keras.layers.Dense(target_size, name="output")
        self.gate: Any = keras.layers.Dense(1, name="gate") if self.copies else None
        self.sampling_seed = keras.random.SeedGenerator(config.seed)

    def build(self, input_shape=None):
        """All weights. The shapes of batches do not matter to them."""
        if self.tied:
            self.output_bias = self.add_weight(shape=(self.target_size,), initializer="zeros", name="output_bias")
        super().build(input_shape)

    def call(self, inputs, training: bool = False):
        return self.score(inputs, *self.read(inputs, *self.encode(inputs, training), training), training)

    def read(self, inputs, memory: Tensor, final: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """What follows the encoder, up to the states that words are chosen from; shapes as those of `decode`."""
        before, lengths = inputs["before"], inputs["lengths"]
        if training and self.sampling:
            states, weights = self.decode(before, final, memory, lengths, training)
            before = self._sampled(before, ops.stop_gradient(self._guesses(inputs, states, weights)))
        return self.decode(before, final, memory, lengths, training)

    def score(self, inputs, states: Tensor, weights: Tensor, training: bool = False) -> Tensor:
        """What follows the decoder. Shapes: -> (batch, target, 3)."""
        after = inputs["after"]
        known = ops.where(after < self.target_size, after, UNKNOWN)
        rows = ops.reshape(self.dropout(states, training=training), (-1, states.shape[-1]))
        logits = ops.cast(self.logits(rows), "float32")
        parts = softmax_parts(self, logits, ops.reshape(known, (-1,)))
        normalizer, mean, picked = (ops.reshape(each, ops.shape(after)) for each in parts)
        nll = -self._log_likelihood(inputs, picked - normalizer, states, weights)
        if not training:
            logits = ops.reshape(logits, (*ops.shape(after), self.target_size))
            right = self._is_best(inputs, logits, normalizer, states, weights, -nll)
            return ops.stack([nll, nll, ops.cast(right, "float32")], axis=-1)
        loss = nll
        if self.label_smoothing:
            spread = normalizer - mean  # the mean negative log-probability of all pieces
            loss = (1 - self.label_smoothing) * nll + self.label_smoothing * spread
        return ops.stack([loss, nll, ops.zeros_like(nll)], axis=-1)

    def encode(self, inputs, training: bool = False) -> tuple[Tensor, Tensor]:
        """Shapes: -> memory (batch, source, width); final (batch, width)."""
        source = self.source_embedding(self.word_dropout(inputs["source"], training=training))
        if self.columns is not None:
            source = source + self.columns(inputs["columns"])
        return self.encoder(self.dropout(source, training=training), inputs["lengths"], training=training)

    def decode(self, before: Tensor, final: Tensor, memory: Tensor, lengths: Tensor, training: bool = False):
        """Shapes: before (batch, target) -> states (batch, target, units); weights (batch, target, source)."""
        known = ops.where(before < self.target_size, before, UNKNOWN)
        known = self.word_dropout(known, training=training)
        words = self.dropout(self.target_embedding(known), training=training)
        return self.decoder(words, final, memory, lengths, training=training)

    def logits(self, states: Tensor) -> Tensor:
        """Shapes: (..., units) -> (..., vocab)."""
        if self.output_layer is not None:
            return self.output_layer(states)
        return ops.matmul(states, ops.transpose(self.target_embedding.embeddings)) + self.output_bias

    def _log_likelihood(self, inputs, written, states, weights):
        """From those of words that are written. Shapes: -> (batch, target)."""
        after = inputs["after"]
        written = ops.where(after < self.target_size, written, IMPOSSIBLE)
        if not self.copies:
            return written
        gate = ops.cast(self.gate(states)[..., 0], "float32")
        same = ops.expand_dims(inputs["copies"], 1) == ops.expand_dims(after, 2)
        copied = ops.sum(weights * ops.cast(same, weights.dtype), axis=-1)
        return ops.logaddexp(
            ops.log_sigmoid(gate) + written, ops.log_sigmoid(-gate) + ops.log(ops.maximum(copied, 1e-30))
        )

    def _is_best(self, inputs, logits, normalizer, states, weights, log_likelihood):
        """Whether no piece is more probable than the right one. Shapes: -> (batch, target)."""
        best = ops.max(logits, axis=-1) - normalizer
        if self.copies:
            gate = ops.cast(self.gate(states), "float32")
            both = self._copied(inputs["copies"], logits, normalizer, states, weights)
            best = ops.maximum(best + ops.log_sigmoid(gate)[..., 0], ops.max(both, axis=-1))
        return log_likelihood >= best - 1e-5

    def _copied(self, copies, logits, normalizer, states, weights):
        """Log-probabilities of the pieces of the source, copied or written. Shapes: -> (batch, target, source)."""
        gate = ops.cast(self.gate(states), "float32")
        known = ops.expand_dims(copies < self.target_size, 1)
        ids = ops.broadcast_to(
            ops.expand_dims(ops.where(copies < self.target_size, copies, UNKNOWN), 1), ops.shape(weights)
        )
        written = ops.where(known, ops.take_along_axis(logits, ids, axis=-1) - normalizer[..., None], IMPOSSIBLE)
        same = ops.cast(ops.expand_dims(copies, 1) == ops.expand_dims(copies, 2), weights.dtype)
        copied = ops.log(ops.maximum(ops.matmul(weights, same), 1e-30))
        return ops.logaddexp(ops.log_sigmoid(gate) + written, ops.log_sigmoid(-gate) + copied)

    def _guesses(self, inputs, states, weights):
        """The most probable piece of each step, as it would be written. Shapes: -> (batch, target)."""
        logits = ops.cast(self.logits(states), "float32")
        if not self.copies:
            return ops.argmax(logits, axis=-1)
        normalizer = ops.logsumexp(logits, axis=-1)
        both = self._copied(inputs["copies"], logits, normalizer, states, weights)
        logits = ops.where(ops.arange(self.target_size) == UNKNOWN, IMPOSSIBLE, logits)  # it is never written
        best = ops.max(logits, axis=-1) - normalizer + ops.log_sigmoid(ops.cast(self.gate(states)[..., 0], "float32"))
        copied = ops.take_along_axis(inputs["copies"], ops.argmax(both, axis=-1), axis=1)
        return ops.where(ops.max(both, axis=-1) > best, copied, ops.cast(ops.argmax(logits, axis=-1), copied.dtype))

    def _sampled(self, before: Tensor, guesses: Tensor) -> Tensor:
        """Some of the decoder's inputs as its own guesses at the step before."""
        guesses = ops.cast(guesses, before.dtype)
        guesses = ops.concatenate([before[:, :1], guesses[:, :-1]], axis=1)
        own = keras.random.uniform(ops.shape(before), seed=self.sampling_seed) < self.sampling
        own = ops.logical_and(own, ops.expand_dims(ops.arange(ops.shape(before)[1]), 0) > 0)
        return ops.where(own, guesses, before)


def build(config: Config, *, source_size: int, target_size: int, columns: int = 0) -> Translator:
    """A network with random weights."""
    network = Translator(config, source_size=source_size, target_size=target_size, columns=columns)
    pieces = np.full((1, 2), START, np.int32)
    names = ("source", "before", "after", "copies")
    no_columns = np.zeros((1, 2, columns), np.float32)
    network({**dict.fromkeys(names, pieces), "columns": no_columns, "lengths": np.array([2], np.int32)})
    return network


def loss(_: Tensor, outputs: Tensor) -> Tensor:
    """What the network says its loss is at each step."""
    return outputs[..., 0]


def to_onnx(network: Translator) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Encoder and decoder.

    encoder: source (sentences, source), lengths (sentences,) -> state (sentences, n); with attention also memory
        (sentences, source, width) and keys (sentences, source, units)
    decoder: tokens (rows,), state (rows, n), k (1,), with attention memory, keys and lengths, with copying copies
        (sentences, source), where rows = sentences * beams -> the k best scores and tokens (rows, k), next_state,
        with attention weights (rows, source), and log_probabilities (rows, vocab), with copying (rows, vocab + source);
        without copying hidden (rows, units), from which output_kernel (units, vocab) and output_bias (vocab,) make the
        logits, and what a kernel's step reads; k may then be 0, which gives no scores, tokens and probabilities of any
        row, and takes no time for them
    """
    return _encoder(network), _decoder(network)


def _encoder(network: Translator) -> onnx.ModelProto:
    graph, decoder = export.Graph(), network.decoder
    tokens = graph.add("Transpose", "source", perm=[1, 0])
    words = graph.add("Gather", graph.constant(export.array(network.source_embedding.embeddings)), tokens)
    inputs: dict[str, Any] = {"source": ["sentences", "source"], "lengths": ["sentences"]}
    if network.columns is not None:
        columns = export.dense(graph, network.columns, graph.add("Transpose", "columns", perm=[1, 0, 2]))
        words = graph.add("Add", words, columns)
        inputs["columns"] = ["sentences", "source", network.columns.kernel.shape[0]]
    outputs, final = export.encoder(graph, network.encoder, words, "lengths")
    state = export.dense(graph, decoder.bridge, final)
    units = len(decoder.layers) * decoder.states_per_layer * decoder.units
    if decoder.input_feeding:
        nothing = graph.add("Mul", export.part(graph, state, 0, decoder.units, axis=-1), graph.constant(0.0))
        state, units = graph.add("Concat", state, nothing, axis=-1), units + decoder.units
    graph.name(state, "state")
    shapes: dict[str, Any] = {"state": ["sentences", units]}
    if decoder.attention:
        memory = graph.add("Transpose", outputs, perm=[1, 0, 2])
        keys = export.attention_keys(graph, decoder.attention, memory)
        graph.name(memory, "memory")
        graph.name(keys, "keys")
        width = network.encoder.width
        shapes["memory"] = ["sentences", "source", width]
        shapes["keys"] = ["sentences", "source", _key_size(network)]
    return graph.model(inputs, shapes, floats=("columns",))


def _decoder(network: Translator) -> onnx.ModelProto:
    graph, decoder = export.Graph(), network.decoder
    vectors = export.array(network.target_embedding.embeddings)
    table = graph.constant(vectors)
    known = graph.add("Less", "tokens", graph.constant(network.target_size, np.int32))
    words = graph.add("Gather", table, graph.add("Where", known, "tokens", graph.constant(UNKNOWN, np.int32)))
    memory = export.Memory("memory", "keys", "lengths") if decoder.attention else None
    states, weights, after = export.decoder_step(graph, decoder, words, "state", memory)
    kernel, bias = map(graph.constant, _output_weights(network))
    scored = states if network.copies else _none_if_k_is_0(graph, states)
    logits = graph.add("Add", graph.add("MatMul", scored, kernel), bias)
    if network.copies:
        log_probabilities = _with_copies(graph, network, logits, states, weights)
    else:
        log_probabilities = graph.add("LogSoftmax", logits, axis=-1)
    graph.name(log_probabilities, "log_probabilities")
    size = _size(graph, "log_probabilities")
    best, tokens = graph.add("TopK", "log_probabilities", size, axis=-1, outputs=2)
    named = {"scores": best, "best": tokens, "next_state": after}
    n = len(decoder.layers) * decoder.states_per_layer + decoder.input_feeding
    inputs: dict[str, Any] = {"tokens": ["rows"], "state": ["rows", n * decoder.units], "k": [1]}
    pieces = "pieces" if network.copies else network.target_size
    shapes: dict[str, Any] = {
        "scores": ["rows", "k"],
        "best": ["rows", "k"],
        "next_state": ["rows", n * decoder.units],
        "log_probabilities": ["rows", pieces],
    }
    if memory:
        named["weights"], shapes["weights"] = weights, ["rows", "source"]
        inputs["memory"] = ["sentences", "source", network.encoder.width]
        inputs["keys"] = ["sentences", "source", _key_size(network)]
        inputs["lengths"] = ["sentences"]
    if network.copies:
        inputs["copies"] = ["sentences", "source"]
    else:
        named |= {"hidden": states, "output_kernel": kernel, "output_bias": bias, "words": table}
        units, vocab = network.decoder.units, network.target_size
        shapes |= {"hidden": ["rows", units], "output_kernel": [units, vocab], "output_bias": [vocab]}
        shapes["words"] = list(vectors.shape)
        for name, array in export.kernel_weights(decoder).items():
            named[name], shapes[name] = graph.constant(array), list(array.shape)
    for name, value in named.items():
        graph.name(value, name)
    return graph.model(inputs, shapes, floats=("state", "memory", "keys"), integers=("best",))


def _none_if_k_is_0(graph: export.Graph, states: str) -> str:
    """All rows, or none where k is 0: ONNX Runtime computes all outputs, but of no rows that takes no time."""
    k = graph.add("Cast", "k", to=onnx.TensorProto.INT64)
    most = graph.add("Mul", k, graph.constant([LARGEST], np.int64))
    return graph.add("Slice", states, graph.constant([0], np.int64), most, graph.constant([0], np.int64))


def _output_weights(network: Translator) -> tuple[np.ndarray, np.ndarray]:
    """Shapes: -> (units, vocab); (vocab,)."""
    if network.output_layer is not None:
        return export.array(network.output_layer.kernel), export.array(network.output_layer.bias)
    return export.array(network.target_embedding.embeddings).T, export.array(network.output_bias)


def _with_copies(graph: export.Graph, network: Translator, logits: str, states: str, weights: str | None) -> str:
    """Log-probabilities of the vocabulary and of the source's pieces that it lacks. Shapes: -> (rows, vocab + source).

    The unknown piece is never written: something of the source can be.
    """
    gate = graph.add("Sigmoid", export.dense(graph, network.gate, states))
    written = graph.add("Mul", graph.add("Softmax", logits, axis=-1), gate)
    possible = graph.constant(np.arange(network.target_size) != UNKNOWN, np.float32)
    written = graph.add("Mul", written, possible)
    assert weights  # the config lets only a decoder with attention copy
    room = graph.add("Mul", weights, graph.constant(0.0))
    everything = graph.add("Concat", written, room, axis=-1)
    copied = graph.add("Mul", weights, graph.add("Sub", graph.constant(1.0), gate))
    sentences = graph.add("Shape", "copies", start=0, end=1)
    source = graph.add("Shape", "copies", start=1, end=2)
    minus = graph.constant([-1], np.int64)
    copied = graph.add("Reshape", copied, graph.add("Concat", sentences, minus, source, axis=0))
    beams = graph.add("Shape", copied, start=1, end=2)
    ids = graph.add("Cast", graph.add("Unsqueeze", "copies", export.axes(graph, 1)), to=onnx.TensorProto.INT64)
    ids = graph.add("Expand", ids, graph.add("Concat", sentences, beams, source, axis=0))
    ids, copied = export.flat_rows(graph, ids), export.flat_rows(graph, copied)
    everything = graph.add("ScatterElements", everything, ids, copied, axis=1, reduction="add")
    return graph.add("Log", graph.add("Max", everything, graph.constant(1e-30)))


def _size(graph: export.Graph, scores: str) -> str:
    """How many candidates to give: k, or all that there are."""
    k = graph.add("Cast", "k", to=onnx.TensorProto.INT64)
    return graph.add("Min", k, graph.add("Shape", scores, start=1, end=2))


def _key_size(network: Translator) -> int:
    return network.encoder.width if network.decoder.attention_kind == "dot" else network.decoder.units
