"""The network, and the same network as an ONNX graph."""

import keras
import numpy as np
import onnx
from keras import ops

from pipelines.text_classification.config import Config
from toolkit import export
from toolkit.data.batches import LENGTH_STEP
from toolkit.data.text import NGRAMS, UNKNOWN, EncodedTexts, TextEncoder, ngram_ids
from toolkit.layers import (
    SegmentedEncoder,
    SequencePooling,
    SubwordEmbedding,
    WordDropout,
    WordEmbedding,
    build_encoder,
)
from toolkit.layers.sequence import zero_padding

PREDICTION_BATCH = 256


class TextClassifier(keras.Model):
    """Embedded words, an encoder, pooling, and one score a label.

        x = dropout(table[words] + n-grams of words)
        h = encoder(x)                     [h; x] when pooling reads the words too
        features = pooling(h)
        logits = W dropout(features) + b

    Shapes: inputs as `TextEncoder.inputs` gives them -> logits (batch, labels)
    Reference: words beside states, pooled by maximum: Lai et al. 2015, Recurrent Convolutional Neural Networks for Text
        Classification, eq. 1-6
    """

    def __init__(self, config: Config, *, rows: int, tuned: int, units: int, labels: int, **kwargs):
        super().__init__(**kwargs)
        model, buckets = config.model, config.vectors.ngram_buckets
        self.segment, self.word_skip = model.segment, model.word_skip
        self.word_dropout = WordDropout(rate=model.word_dropout, unknown_id=UNKNOWN)
        self.embedding = WordEmbedding(rows=rows, tuned=tuned, units=units, name="embedding")
        self.subwords = None
        if buckets:
            self.subwords = SubwordEmbedding(rows=rows, per_word=NGRAMS, buckets=buckets, units=units, name="subwords")
        self.input_dropout = keras.layers.Dropout(model.input_dropout, noise_shape=(None, 1, None))
        self.encoder = build_encoder(**config.encoder.model_dump(), name="encoder")
        if self.segment:
            self.segmented = SegmentedEncoder(encoder=self.encoder, size=self.segment)
        self.pooling = SequencePooling(kinds=model.pooling, name="pooling")
        self.output_dropout = keras.layers.Dropout(model.output_dropout)
        self.classifier = keras.layers.Dense(labels, dtype="float32", name="classifier")

    def call(self, inputs, training: bool = False):
        lengths = inputs["lengths"]
        words = self.input_dropout(self._words(inputs, training), training=training)
        if self.segment:
            states, final = self.segmented(words, lengths, training=training), None
        else:
            states, final = self.encoder(words, lengths, training=training)
        if self.word_skip:
            states = ops.concatenate([states, zero_padding(words, lengths)], axis=-1)
        features = self.pooling(states, lengths, final)
        return self.classifier(self.output_dropout(features, training=training))

    def _words(self, inputs, training: bool):
        tokens = self.word_dropout(inputs["tokens"], training=training)
        words = self.embedding(tokens)
        return words if self.subwords is None else words + self.subwords(tokens, inputs["unknown_ngrams"])


def build(config: Config, encoder: TextEncoder, *, table: np.ndarray, tuned: int, labels: int) -> TextClassifier:
    """A network that starts from these word vectors. Shapes: table (rows, units)."""
    rows, units = table.shape
    network = TextClassifier(config, rows=rows, tuned=tuned, units=units, labels=labels)
    network(encoder.inputs(encoder.encode(["a"]), [0]))
    network.embedding.set_table(table)
    if network.subwords is not None:
        network.subwords.ngrams.assign(ngram_ids(list(encoder.ids), encoder.buckets))
    if config.vectors.training == "frozen":
        network.embedding.trainable = False
    return network


def loss(many: bool, label_smoothing: float):
    """Cross entropy of targets (batch, labels) that may be soft: one label a text, or each label by itself."""

    def one_label(targets, logits):
        smooth = targets * (1 - label_smoothing) + label_smoothing / ops.shape(targets)[-1]
        return ops.categorical_crossentropy(smooth, logits, from_logits=True)

    def many_labels(targets, logits):
        smooth = targets * (1 - label_smoothing) + label_smoothing / 2
        return ops.sum(ops.binary_crossentropy(smooth, logits, from_logits=True), axis=-1)

    return many_labels if many else one_label


def logits(networks: list[TextClassifier], encoder: TextEncoder, texts: EncodedTexts) -> np.ndarray:
    """The mean of the networks' logits. Shapes: -> (texts, labels)."""
    order = np.argsort(texts.lengths, kind="stable")
    outputs = np.empty((len(order), networks[0].classifier.units), np.float32)
    for rows in np.split(order, range(PREDICTION_BATCH, len(order), PREDICTION_BATCH)):
        inputs = encoder.inputs(texts, rows, multiple=LENGTH_STEP)
        outputs[rows] = np.mean([network.predict_on_batch(inputs) for network in networks], axis=0)
    return outputs


def to_onnx(networks: list[TextClassifier]) -> onnx.ModelProto:
    """All networks as one graph.

    Inputs as `TextEncoder.inputs` gives them; outputs logits (batch, labels), their mean, and the pooled features of
    all (batch, n).
    """
    graph = export.Graph()
    outputs = [_add_network(graph, network) for network in networks]
    logits, features = zip(*outputs, strict=True)
    graph.name(graph.add("Concat", *features, axis=-1), "features")
    graph.name(graph.add("Mean", *logits), "logits")
    inputs: dict[str, list[str | int]] = {"tokens": ["batch", "time"], "lengths": ["batch"]}
    if networks[0].subwords is not None:
        inputs["unknown_ngrams"] = ["unknown", NGRAMS]
    return graph.model(inputs, {"logits": ["batch", networks[0].classifier.units], "features": ["batch", "features"]})


def _add_network(graph: export.Graph, network: TextClassifier) -> tuple[str, str]:
    words = export.embedding(graph, network.embedding, network.subwords, "tokens", "unknown_ngrams")
    final = None
    if network.segment:
        states = export.segmented_encoder(graph, network.segmented, words, "lengths")
    else:
        states, final = export.encoder(graph, network.encoder, words, "lengths")
    if network.word_skip:
        real = export.real_steps(graph, words, "lengths")
        states = graph.add("Concat", states, graph.add("Mul", words, real), axis=-1)
    features = export.pooling(graph, network.pooling, states, "lengths", final)
    return export.dense(graph, network.classifier, features), features
