"""Embeddings and poolings in an ONNX graph. Sequences are time-major: (time, batch, features)."""

from typing import Any

import numpy as np
from onnx import TensorProto

from toolkit.export.graph import Graph, array, axes, dense, padding_penalty, real_steps
from toolkit.layers import SequencePooling, SubwordEmbedding, WordEmbedding


def embedding(graph: Graph, words: WordEmbedding, subwords: SubwordEmbedding | None, tokens: str, ngrams: str) -> str:
    """A look-up in one table; only words that it lacks are composed of their n-grams when the graph runs.

    Shapes: tokens (batch, time); ngrams (n, per_word) -> (time, batch, units)
    """
    tokens = graph.add("Transpose", tokens, perm=[1, 0])
    if subwords is None:
        return graph.add("Gather", graph.constant(words.table()), tokens)
    table = graph.constant(words.table() + subwords.vectors())
    size, first = graph.constant(words.rows, np.int32), graph.constant(0, np.int32)
    known = graph.add("Less", tokens, size)
    vectors = graph.add("Gather", table, graph.add("Where", known, tokens, first))
    composed = _compose(graph, subwords, ngrams)
    others = graph.add("Gather", composed, graph.add("Where", known, first, graph.add("Sub", tokens, size)))
    return graph.add("Where", graph.add("Unsqueeze", known, axes(graph, 2)), vectors, others)


def pooling(graph: Graph, layer: SequencePooling, inputs: str, lengths: str, final: str | None) -> str:
    """Shapes: inputs (time, batch, features), zero on padding; final (batch, width) -> (batch, sum of the sizes)."""
    pool = {"last": lambda *_: final, "mean": _mean, "max": _max, "attention": _attention}
    parts: list[Any] = [pool[kind](graph, layer, inputs, lengths) for kind in layer.kinds]
    return graph.add("Concat", *parts, axis=-1)


def _compose(graph: Graph, layer: SubwordEmbedding, ngrams: str) -> str:
    """Vectors of words from their n-grams. Shapes: ngrams (n, per_word) -> (n, units)."""
    real = graph.add("Cast", graph.add("Greater", ngrams, graph.constant(0, np.int32)), to=TensorProto.FLOAT)
    real = graph.add("Unsqueeze", real, axes(graph, 2))
    vectors = graph.add("Mul", graph.add("Gather", graph.constant(array(layer.table)), ngrams), real)
    count = graph.add("Max", graph.add("ReduceSum", real, axes(graph, 1), keepdims=0), graph.constant(1.0))
    return graph.add("Div", graph.add("ReduceSum", vectors, axes(graph, 1), keepdims=0), graph.add("Sqrt", count))


def _mean(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    count = graph.add("Cast", graph.add("Unsqueeze", lengths, axes(graph, 1)), to=TensorProto.FLOAT)
    count = graph.add("Max", count, graph.constant(1.0))
    return graph.add("Div", graph.add("ReduceSum", inputs, axes(graph, 0), keepdims=0), count)


def _max(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    lowered = graph.add("Add", inputs, padding_penalty(graph, real_steps(graph, inputs, lengths), 6e4))
    largest = graph.add("ReduceMax", lowered, axes(graph, 0), keepdims=0)
    empty = graph.add("Equal", graph.add("Unsqueeze", lengths, axes(graph, 1)), graph.constant(0, np.int32))
    return graph.add("Where", empty, graph.constant(0.0), largest)


def _attention(graph: Graph, layer: SequencePooling, inputs: str, lengths: str) -> str:
    scores = dense(graph, layer.score, dense(graph, layer.projection, inputs))  # (time, batch, 1)
    penalty = padding_penalty(graph, real_steps(graph, inputs, lengths))
    weights = graph.add("Softmax", graph.add("Add", scores, penalty), axis=0)
    return graph.add("ReduceSum", graph.add("Mul", weights, inputs), axes(graph, 0), keepdims=0)
