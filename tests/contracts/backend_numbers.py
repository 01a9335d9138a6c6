"""Outputs and gradients of every block on the backend that KERAS_BACKEND names.

    python backend_numbers.py given.npz numbers.npz

`given` holds tokens, lengths and, under `network/i`, weights; without weights only their shapes are written.
"""

import os
import sys

import keras
import numpy as np
from keras import ops

from examples import CELLS, make_encoder
from toolkit.layers import SegmentedEncoder, SequencePooling, WordEmbedding

ROWS, UNITS, SIZE = 11, 4, 4
NETWORKS = [f"{cell}-{direction}" for cell in CELLS for direction in ("forward", "both")] + ["segmented"]


def build(name: str) -> keras.Model:
    """Words, a deep encoder, pooling of every kind."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    lengths = keras.Input((), dtype="int32", name="lengths")
    words = WordEmbedding(rows=ROWS, tuned=6, units=UNITS)(tokens)
    if name == "segmented":
        states, final = SegmentedEncoder(encoder=make_encoder(cell="gru", bidirectional=True), size=SIZE)(words, lengths), None
        kinds = ["mean", "max", "attention"]
    else:
        cell, direction = name.split("-")
        deep = dict(layers=2, residual=True, normalization="layer", bidirectional=direction == "both")
        states, final = make_encoder(cell=cell, **deep)(words, lengths)
        kinds = ["last", "mean", "max", "attention"]
    pooled = SequencePooling(kinds=kinds)(states, lengths, final)
    return keras.Model([tokens, lengths], [states, pooled])


def loss_of(outputs):
    """A number on which every output has another influence."""
    return sum(ops.sum(output * ops.cos(ops.cumsum(ops.ones_like(output), axis=-1))) for output in outputs)


def gradients(network: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Of the loss, with respect to each trainable weight."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                loss = loss_of(network(inputs))
            found = tape.gradient(loss, [weight.value for weight in network.trainable_weights])
            return [tf.convert_to_tensor(gradient).numpy() for gradient in found]
        case "jax":
            import jax

            def loss(trainable):
                outputs, _ = network.stateless_call(trainable, network.non_trainable_variables, inputs)
                return loss_of(outputs)

            return [np.asarray(g) for g in jax.grad(loss)([weight.value for weight in network.trainable_weights])]
        case "torch":
            network.zero_grad()
            loss_of(network(inputs)).backward()
            return [weight.value.grad.cpu().numpy() for weight in network.trainable_weights]
        case unknown:
            raise ValueError(unknown)


def main(given_path: str, numbers_path: str) -> None:
    given, numbers = np.load(given_path), {}
    inputs = [given["tokens"], given["lengths"]]
    for name in NETWORKS:
        network = build(name)
        network.set_weights([given[f"{name}/{i}"] for i in range(len(network.weights))])
        for i, output in enumerate(network([ops.convert_to_tensor(array) for array in inputs])):
            numbers[f"{name}/output{i}"] = ops.convert_to_numpy(output)
        found = gradients(network, [ops.convert_to_tensor(array) for array in inputs])
        for weight, gradient in zip(network.trainable_weights, found, strict=True):
            numbers[f"{name}/{weight.path}"] = gradient
    np.savez(numbers_path, backend=os.environ["KERAS_BACKEND"], **numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
