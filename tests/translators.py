"""Small translators that several tests use, and what their equations give in NumPy."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import reference
from examples import randomize
from pipelines.translation import model as models
from pipelines.translation.config import Config
from pipelines.translation.pieces import PairCodec
from pipelines.translation.predict import Member, Searcher
from toolkit.data.codec import RESERVED, START, TextCodec

WORDS = ("one", "two", "three", "four", "five", "six")


def make_config(**stanzas: Any) -> Config:
    """A small translator of whole words without dropout, but for `stanzas`, which are merged into its own."""
    values: dict[str, Any] = {
        "pipeline": "translation",
        "data": {"train": "pairs.csv"},
        "tokens": {"kind": "words", "joint": False, "max_source": 8, "max_target": 8},
        "model": {"embedding": 6, "dropout": 0.0},
        "encoder": {"cell": "gru", "units": 3},
        "decoder": {"cell": "gru", "units": 6, "dropout": 0.0},
        "training": {"label_smoothing": 0.0},
    }
    for name, stanza in stanzas.items():
        values[name] = {**values.get(name, {}), **stanza} if isinstance(stanza, Mapping) else stanza
    return Config.model_validate(values)


def changed(config: Config, **stanzas: Any) -> Config:
    """The config with other values in some stanzas."""
    values = config.model_dump()
    return Config.model_validate({**values, **{name: {**values[name], **new} for name, new in stanzas.items()}})


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A table of pairs in the columns source and target."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("source", "target"), *pairs])
    return path


def make_network(config: Config, *, source: int = 11, target: int = 10, seed: int = 0, scale: float = 0.5) -> Any:
    """A network with random weights, none of them zero."""
    sizes = (source, source) if config.model.tie == "all" else (source, target)
    network = models.build(config, source_size=sizes[0], target_size=sizes[1])
    randomize(network, seed=seed, scale=scale)
    return network


def make_codec(source: Sequence[str] = WORDS, target: Sequence[str] = WORDS, *, copies: bool = False) -> PairCodec:
    """Whole words of two languages."""
    sides = [TextCodec("words", False, [*RESERVED, *words]) for words in (source, target)]
    return PairCodec(*sides, copies, (8, 8), 2.0)


def member_of(network: Any) -> Member:
    return Member.load(*(graph.SerializeToString() for graph in models.to_onnx(network)))


def make_searcher(codec: PairCodec, *networks: Any) -> Searcher:
    return Searcher(codec, [member_of(network) for network in networks])


def random_inputs(network: Any, *, rows: int = 4, source: int = 5, target: int = 6, seed: int = 0) -> dict[str, Any]:
    """A batch with padding on both sides; with copying, some pieces are beyond the vocabulary, and some stand twice."""
    random = np.random.default_rng(seed)
    inputs = {
        "source": random.integers(4, network.source_embedding.input_dim, (rows, source)),
        "lengths": np.maximum(source - np.arange(rows), 1),
        "before": random.integers(4, network.target_size, (rows, target)),
        "after": random.integers(4, network.target_size, (rows, target)),
    }
    if network.copies:
        copies = np.where(np.arange(source) % 2, network.target_size + np.arange(source), inputs["source"] % 3 + 4)
        copies[:, -1], copies[1, 2] = network.target_size + 1, copies[1, 0]
        inputs["copies"] = copies * (np.arange(source) < inputs["lengths"][:, None])
        inputs["after"][:, ::2], inputs["before"][:, 3] = copies[:, :1], network.target_size + 1
        inputs["after"][:, 1] = network.target_size + 1
    inputs["before"][:, 0] = START
    return {name: array.astype(np.int32) for name, array in inputs.items()}


def probabilities(network: Any, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of each next piece, with copying those of the source beyond the vocabulary too, and of the vocabulary alone.

    Shapes: -> (batch, target, vocab [+ source]); (batch, target, vocab)
    """
    encoder, decoder = network.encoder.get_config(), network.decoder.get_config()
    tables = [layer.get_weights()[0].astype(float) for layer in (network.source_embedding, network.target_embedding)]
    memory, final = reference.encode(
        reference.layers_of(network.encoder),
        tables[0][inputs["source"]],
        inputs["lengths"],
        cell=encoder["cell"],
        residual=encoder["residual"],
    )
    known = np.where(inputs["before"] < network.target_size, inputs["before"], 1)
    states, weights = reference.decode(
        reference.decoder_of(network.decoder),
        (tables[1][known], final, memory, inputs["lengths"]),
        **{name: decoder[name] for name in ("cell", "input_feeding", "residual")},
        bottom=decoder["attend_from"] == "bottom",
    )
    if network.tied:
        logits = states @ tables[1].T + np.asarray(network.output_bias)
    else:
        kernel, bias = network.output_layer.get_weights()
        logits = states @ kernel + bias
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    words = exponents / exponents.sum(axis=-1, keepdims=True)
    if not network.copies:
        return words, words
    kernel, bias = network.gate.get_weights()
    gate = reference.sigmoid(states @ kernel + bias)
    everything = np.concatenate([gate * words, np.zeros_like(weights)], axis=-1)
    for row, step, place in np.ndindex(*weights.shape):
        everything[row, step, inputs["copies"][row, place]] += (1 - gate[row, step, 0]) * weights[row, step, place]
    return everything, words
