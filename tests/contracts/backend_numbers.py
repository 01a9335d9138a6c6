"""Outputs and gradients of every block, and its weights after a step, on the backend that KERAS_BACKEND names.

    python backend_numbers.py given.npz numbers.npz

`given` holds tokens, lengths and, under `network/i`, weights. The numbers hold what a whole training gives too.
"""

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from examples import (
    make_decoder,
    make_encoder,
    make_transformer,
    tiny_config,
    tiny_network,
    tiny_task,
)
from toolkit.cells import CELLS
from toolkit.layers import (
    AttentionDecoder,
    BahdanauAttention,
    LuongAttention,
    ParallelDecoder,
    QuantileHead,
    SegmentedEncoder,
    SequencePooling,
    WordEmbedding,
)
from toolkit.training.adam import Adam
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import fit

ROWS, UNITS, SIZE, HORIZON = 11, 4, 4, 3
NETWORKS = (*CELLS, "transformer", "segmented", "decoders", "fed", "parallel")


def build(name: str) -> keras.Model:
    """Words, and an encoder of one kind with pooling of every kind, or an encoder with decoders of every kind."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    lengths = keras.Input((), dtype="int32", name="lengths")
    words = WordEmbedding(rows=ROWS, tuned=6, units=UNITS)(tokens)
    match name:
        case "decoders":
            outputs = _decoders(words, lengths)
        case "fed" | "parallel":
            outputs = _recurrent_decoder(name, words, lengths)
        case _:
            outputs = _poolings(name, words, lengths)
    return keras.Model([tokens, lengths], outputs)


def _poolings(name: str, words, lengths) -> list:
    """States of an encoder, and what is pooled of them."""
    if name == "segmented":
        states, final = SegmentedEncoder(encoder=make_encoder(), size=SIZE)(words, lengths), None
        kinds = ["mean", "max", "attention"]
    elif name == "transformer":
        states, final = make_transformer(layers=2)(words, lengths)
        kinds = ["last", "max"]
    else:
        deep = dict(layers=2, residual=True) if name == "gru" else {}
        states, final = make_encoder(cell=name, bidirectional=True, normalization="layer", **deep)(words, lengths)
        kinds = ["last", "mean", "max", "attention"]
    return [states, SequencePooling(kinds=kinds)(states, lengths, final)]


def _decoders(words, lengths) -> list:
    """What each attention sees of the past, and quantiles of what the decoders make of it."""
    states, final = make_encoder(cell="gru")(words, lengths)
    queries = ParallelDecoder(units=3)(words[:, :HORIZON], final)
    attentions = LuongAttention(kind="dot"), LuongAttention(kind="general"), BahdanauAttention(units=5)
    contexts = ops.concatenate([attention(queries, states, lengths)[0] for attention in attentions], axis=-1)
    decoded = AttentionDecoder(units=3)(queries, final, states, lengths)
    return [contexts, QuantileHead(steps=2, levels=5, median=2)(decoded)]


def _recurrent_decoder(name: str, words, lengths) -> list:
    """What a decoder writes, and where it looks: a loop over time, or all steps at once."""
    states, final = make_encoder(cell="gru", bidirectional="first", layers=2)(words, lengths)
    shape = dict(cell="gru", layers=3, attend_from="bottom", residual=True, normalization="layer")
    kind = dict(attention="bahdanau") if name == "fed" else dict(input_feeding=False, **shape)
    return list(make_decoder(**kind)(words[:, :HORIZON], final, states, lengths))


def loss_of(outputs):
    """A number on which every output has another influence."""
    return sum(ops.sum(output * ops.cos(ops.cumsum(ops.ones_like(output), axis=-1))) for output in outputs)


def outputs_and_gradients(network: keras.Model, inputs: list) -> tuple[list, list]:
    """Outputs, and gradients of the loss with respect to each trainable weight."""
    weights = [weight.value for weight in network.trainable_weights]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                outputs = network(inputs)
                loss = loss_of(outputs)
            return outputs, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
        case "jax":
            import jax

            others = [weight.value for weight in network.non_trainable_variables]

            def loss(trainable):
                outputs, _ = network.stateless_call(trainable, others, inputs)
                return loss_of(outputs), outputs

            gradients, outputs = jax.jit(jax.grad(loss, has_aux=True))(weights)
            return outputs, gradients
        case "torch":
            outputs = network(inputs)
            loss_of(outputs).backward()
            return outputs, [weight.grad for weight in weights]
    raise ValueError(f"{keras.backend.backend()} is not known here.")


def take_step(gradients: list, weights: list) -> None:
    """With a large epsilon, for how a gradient of nearly zero is rounded not to decide on a whole step."""
    optimizer = Adam(0.1, epsilon=1.0, global_clipnorm=1.0)
    optimizer.build(weights)
    if keras.backend.backend() != "jax":
        optimizer.apply(gradients, weights)
        return
    import jax  # compiles it as in training, whole, and so sooner than its operations for each shape

    values = [[variable.value for variable in variables] for variables in (optimizer.variables, weights)]
    after, _ = jax.jit(optimizer.stateless_apply)(values[0], gradients, values[1])
    for weight, value in zip(weights, after, strict=True):
        weight.assign(value)


def trained() -> tuple[list[float], int]:
    """The losses of the epochs of a small training, and how often Python ran the network for all its steps."""
    network, calls = tiny_network(dropout=0.0), []
    network.set_weights([np.cos(np.arange(weight.size)).reshape(weight.shape) for weight in network.get_weights()])
    call = network.call

    def counted(*args, **options):
        calls.append(args)
        return call(*args, **options)

    network.call = counted
    with tempfile.TemporaryDirectory() as folder:
        task = tiny_task(network, evaluate=None)
        progress = fit(network, task, tiny_config(epochs=5), Checkpoints(Path(folder)), "f", lambda *_: None)
    return [row["loss"] for row in progress.history], len(calls)


def main(given_path: str, numbers_path: str) -> None:
    given, numbers = np.load(given_path), {}
    for name in NETWORKS:
        network = build(name)
        network.set_weights([given[f"{name}/{i}"] for i in range(len(network.weights))])
        inputs = [ops.convert_to_tensor(given[key]) for key in ("tokens", "lengths")]
        outputs, gradients = outputs_and_gradients(network, inputs)
        paths = [f"gradient {weight.path}" for weight in network.trainable_weights]
        for key, value in zip(["first", "second", *paths], [*outputs, *gradients], strict=True):
            numbers[f"{name}/{key}"] = ops.convert_to_numpy(value)
        take_step(gradients, network.trainable_weights)
        numbers |= {f"{name}/after {weight.path}": ops.convert_to_numpy(weight) for weight in network.trainable_weights}
    losses, calls = trained()
    np.savez(numbers_path, backend=keras.backend.backend(), losses=losses, calls=calls, **numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
