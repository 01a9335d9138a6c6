"""Naive NumPy twins of the blocks, written from the papers: one row, one step at a time, no padding anywhere.

Weights are (kernel, recurrent kernel, bias) in Keras' layout: kernels (features, gates * units).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from toolkit.cells import CELLS

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], float]
Attended = tuple[np.ndarray, np.ndarray]
States = tuple[np.ndarray, ...]


@dataclass
class Layer:
    """One recurrent layer: a cell's weights for each direction, and a normalisation's (scale, shift)."""

    forward: Weights
    backward: Weights | None = None
    norm: tuple[np.ndarray, np.ndarray] | None = None


@dataclass
class Decoder:
    """A recurrent decoder: its layers, the bridge from the encoder's final state, and what follows attention."""

    layers: list[Layer]
    bridge: tuple[np.ndarray, np.ndarray]
    score: Score | None = None
    combine: tuple[np.ndarray, np.ndarray] | None = None


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def rnn_step(weights: Weights, x: np.ndarray, states: States) -> States:
    """h[t] = tanh(W x[t] + U h[t-1] + b)  (Elman 1990). Shapes: x (features,); states (units,) each."""
    kernel, recurrent, bias = weights
    (h,) = states
    return (np.tanh(x @ kernel + h @ recurrent + bias),)


def lstm_step(weights: Weights, x: np.ndarray, states: States) -> States:
    """i, f, o = sigmoid(W x[t] + U h[t-1] + b); c[t] = f c[t-1] + i tanh(...); h[t] = o tanh(c[t]).

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000. Keras' gates stand in the order i, f, c, o.
    Shapes: x (features,); states h and c (units,)
    """
    kernel, recurrent, bias = weights
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(weights: Weights, x: np.ndarray, states: States) -> States:
    """z, r = sigmoid(W x[t] + b + U h[t-1] + d); g = tanh(W x[t] + b + r (U h[t-1] + d)); h[t] = z h[t-1] + (1 - z) g.

    Cho et al. 2014 as cuDNN computes it, with the reset gate after the matrix product and a bias on both products.
    Shapes: x (features,); states (units,) each
    """
    kernel, recurrent, (bias, recurrent_bias) = weights
    (h,) = states
    z_in, r_in, g_in = np.split(x @ kernel + bias, 3)
    z_back, r_back, g_back = np.split(h @ recurrent + recurrent_bias, 3)
    z, r = sigmoid(z_in + z_back), sigmoid(r_in + r_back)
    return (z * h + (1 - z) * np.tanh(g_in + r * g_back),)


STEPS: dict[str, Callable[[Weights, np.ndarray, States], States]] = {
    "rnn": rnn_step,
    "lstm": lstm_step,
    "gru": gru_step,
}


def run(cell: str, weights: Weights, inputs: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
    """All steps from h, zeros where it is None. Shapes: inputs (time, features); h (units,) -> (time, units)."""
    states: States = (np.zeros(weights[1].shape[0]),) * CELLS[cell].states
    states = states if h is None else (h, *states[1:])
    outputs = []
    for x in inputs:
        states = STEPS[cell](weights, x, states)
        outputs.append(states[0])
    return np.stack(outputs)


gru = partial(run, "gru")


def layer_norm(inputs: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(x - mean) / sqrt(variance + 1e-5) * scale + shift, over features (Ba et al. 2016, arXiv:1607.06450, eq. 4)."""
    mean, variance = inputs.mean(axis=-1, keepdims=True), inputs.var(axis=-1, keepdims=True)
    return (inputs - mean) / np.sqrt(variance + 1e-5) * scale + shift


def encode(
    layers: Sequence[Layer], inputs: np.ndarray, lengths: Sequence[int], *, cell: str, residual: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Stacked recurrent layers, each row alone and cut to its length.

    Shapes: inputs (batch, time, features) -> outputs (batch, time, width), zero on padding; final (batch, width)
    """
    units = layers[-1].forward[1].shape[0]
    width = units * (2 if layers[-1].backward else 1)
    outputs, final = np.zeros((*inputs.shape[:2], width)), np.zeros((len(inputs), width))
    for row, length in enumerate(lengths):
        if length == 0:
            continue
        x = inputs[row, :length].astype(np.float64)
        for i, layer in enumerate(layers):
            y = run(cell, layer.forward, x)
            if layer.backward:
                y = np.concatenate([y, run(cell, layer.backward, x[::-1])[::-1]], axis=-1)
            if residual and i and y.shape == x.shape:
                y = y + x
            x = layer_norm(y, *layer.norm) if layer.norm else y
        outputs[row, :length] = x
        final[row] = np.concatenate([x[-1, :units], x[0, units:]])
    return outputs, final


def wave(step: int, unit: int, units: int) -> float:
    """sin(step / 10000^(2i / units)) at unit 2i, cos of the same at unit 2i + 1 (Vaswani et al. 2017, 3.5)."""
    angle = step / 10000 ** ((unit - unit % 2) / units)
    return math.cos(angle) if unit % 2 else math.sin(angle)


def transform(
    weights: Mapping[str, np.ndarray], inputs: np.ndarray, lengths: Sequence[int], *, layers: int
) -> tuple[np.ndarray, np.ndarray]:
    """A Transformer encoder, each row alone and cut to its length, each step and each head by itself.

    Vaswani et al. 2017, arXiv:1706.03762, eq. 1-2, 3.4 and 3.5, normalised first as Xiong et al. 2020,
    arXiv:2002.04745, figure 1 (b). Weights are those of `named_weights_of`.
    Shapes: inputs (batch, time, features) -> outputs (batch, time, units), zero on padding; their mean (batch, units)
    """
    units = weights["norm/gamma"].shape[0]
    outputs, final = np.zeros((*inputs.shape[:2], units)), np.zeros((len(inputs), units))

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return layer_norm(x, weights[f"{name}/gamma"], weights[f"{name}/beta"])

    def attention(name: str, x: np.ndarray) -> np.ndarray:
        found = np.tile(weights[f"{name}/attention_output/bias"], (len(x), 1))
        for head in range(weights[f"{name}/query/bias"].shape[0]):
            q, k, v = (
                x @ weights[f"{name}/{part}/kernel"][:, head] + weights[f"{name}/{part}/bias"][head]
                for part in ("query", "key", "value")
            )
            for step in range(len(x)):
                exponents = np.array([math.exp(q[step] @ other / math.sqrt(len(other))) for other in k])
                looked = exponents / exponents.sum() @ v
                found[step] += looked @ weights[f"{name}/attention_output/kernel"][head]
        return found

    for row, length in enumerate(lengths):
        if length == 0:
            continue
        x = inputs[row, :length].astype(np.float64)
        x = dense("projection", x) if "projection/kernel" in weights else x
        x = math.sqrt(units) * x + np.array([[wave(t, unit, units) for unit in range(units)] for t in range(length)])
        for i in range(layers):
            x = x + attention(f"layer{i}/attention", norm(f"layer{i}/attention_norm", x))
            hidden = np.maximum(dense(f"layer{i}/hidden", norm(f"layer{i}/dense_norm", x)), 0)
            x = x + dense(f"layer{i}/projection", hidden)
        outputs[row, :length] = norm("norm", x)
        final[row] = outputs[row, :length].mean(axis=0)
    return outputs, final


def pool(kind: str, inputs: np.ndarray, lengths: Sequence[int], attention: Sequence[np.ndarray] = ()) -> np.ndarray:
    """mean, max or attention over each row's real steps; zeros for an empty row.

    Attention is Yang et al. 2016, eq. 5-7: u[t] = tanh(W h[t] + b); a = softmax(v . u); sum_t a[t] h[t].
    Shapes: inputs (batch, time, features); attention W (features, features), b (features,), v (features, 1)
        -> (batch, features)
    """
    pooled = np.zeros((len(inputs), inputs.shape[2]))
    for row, length in enumerate(lengths):
        if length == 0:
            continue
        steps = inputs[row, :length].astype(np.float64)
        match kind:
            case "mean":
                pooled[row] = steps.mean(axis=0)
            case "max":
                pooled[row] = steps.max(axis=0)
            case "attention":
                pooled[row] = attention_weights(steps, *attention) @ steps
    return pooled


def attention_weights(steps: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Shapes: steps (time, features) -> (time,)."""
    scores = (np.tanh(steps @ w + b) @ v)[:, 0]
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def attend(score: Score, queries: np.ndarray, memory: np.ndarray, lengths: Sequence[int]) -> Attended:
    """context[b,t] = sum over s of weights[b,t,s] memory[b,s], weights = softmax of the scores of the real steps.

    Shapes: score (units,), (features,) -> a number; queries (batch, target, units); memory (batch, source, features)
        -> context (batch, target, features); weights (batch, target, source); zeros for an empty row
    """
    context = np.zeros((*queries.shape[:2], memory.shape[2]))
    weights = np.zeros((*queries.shape[:2], memory.shape[1]))
    for row, length in enumerate(lengths):
        for target in range(queries.shape[1] if length else 0):
            scores = np.array([score(queries[row, target], memory[row, source]) for source in range(length)])
            exponents = np.exp(scores - scores.max())
            weights[row, target, :length] = exponents / exponents.sum()
            for source in range(length):
                context[row, target] += weights[row, target, source] * memory[row, source]
    return context, weights


def luong(w: np.ndarray | None = None) -> Score:
    """q . h, or q . W h (Luong et al. 2015, arXiv:1508.04025, eq. 8). Shapes: w (features, units)."""
    return lambda query, step: query @ (step if w is None else step @ w)


def bahdanau(w: np.ndarray, b: np.ndarray, u: np.ndarray, v: np.ndarray) -> Score:
    """v . tanh(W q + b + U h) (Bahdanau et al. 2015, arXiv:1409.0473, A.1.2). Shapes: w (units, n), u (features, n)."""
    return lambda query, step: (np.tanh(query @ w + b + step @ u) @ v)[0]


def parallel_decode(weights: Weights, queries: np.ndarray, state: np.ndarray) -> np.ndarray:
    """One GRU step from the state to each part of the horizon (Lin et al. 2023, arXiv:2308.11200, 3.2).

    Shapes: queries (batch, horizon, features); state (batch, units) -> (batch, horizon, units)
    """
    rows = zip(queries, state, strict=True)
    return np.array([[gru(weights, query[None], start)[0] for query in row] for row, start in rows])


def attention_decode(
    weights: Weights, w: np.ndarray, combine: Sequence[np.ndarray], inputs: Sequence[np.ndarray], lengths: Sequence[int]
) -> np.ndarray:
    """tanh(V [s; c] + b) along a GRU's states s, c their context (Luong et al. 2015, arXiv:1508.04025, eq. 5).

    Shapes: inputs are queries (batch, horizon, features), state (batch, units), memory (batch, time, width); w (width,
        units); combine is V (units + width, units), b (units,) -> (batch, horizon, units)
    """
    queries, state, memory = inputs
    states = np.array([gru(weights, query, start) for query, start in zip(queries, state, strict=True)])
    context, _ = attend(luong(w), states, memory, lengths)
    kernel, bias = combine
    return np.tanh(np.concatenate([states, context], axis=-1) @ kernel + bias)


def decode(
    decoder: Decoder, inputs: Sequence[np.ndarray], *, cell: str, input_feeding: bool, residual: bool, bottom: bool
) -> Attended:
    """A recurrent decoder with attention, one row and one step at a time (Luong et al. 2015, eq. 5 and 3.3).

    Where the bottom layer asks, all layers above it read [the layer below; context] (Wu et al. 2016, 3.2).
    Shapes: inputs are words (batch, target, features), final (batch, width), memory (batch, source, width), lengths
        (batch,) -> outputs (batch, target, units); weights (batch, target, source), zeros without attention
    """
    words, final, memory, lengths = inputs
    units, per_layer = decoder.layers[0].forward[1].shape[0], CELLS[cell].states
    outputs = np.zeros((*words.shape[:2], units))
    weights = np.zeros((*words.shape[:2], memory.shape[1]))
    kernel, bias = decoder.bridge
    for row, length in enumerate(lengths):
        parts = np.split(np.tanh(final[row] @ kernel + bias), len(decoder.layers) * per_layer)
        states = [tuple(parts[i : i + per_layer]) for i in range(0, len(parts), per_layer)]
        a, context = np.zeros(units), np.zeros(0)
        for t, word in enumerate(words[row]):
            h = np.concatenate([word, a]) if input_feeding else word
            for i, layer in enumerate(decoder.layers):
                below = h
                states[i] = STEPS[cell](layer.forward, np.concatenate([h, context]) if i and bottom else h, states[i])
                h = states[i][0] + below if residual and i >= 2 else states[i][0]
                h = layer_norm(h, *layer.norm) if layer.norm else h
                if decoder.score and i == (0 if bottom else len(decoder.layers) - 1):
                    found, looked = attend(decoder.score, h[None, None], memory[row : row + 1], [length])
                    context, weights[row, t] = found[0, 0], looked[0, 0]
            a = h
            if decoder.combine:
                a = np.tanh(np.concatenate([h, context]) @ decoder.combine[0] + decoder.combine[1])
            outputs[row, t] = a
    return outputs, weights


def quantiles(raw: np.ndarray, median: int) -> np.ndarray:
    """One raw number a level -> quantiles: away from the median each adds, or takes away, log(1 + exp(raw))."""
    found = np.array(raw, np.float64)
    for level in range(median + 1, len(raw)):
        found[level] = found[level - 1] + np.log1p(np.exp(raw[level]))
    for level in range(median - 1, -1, -1):
        found[level] = found[level + 1] - np.log1p(np.exp(raw[level]))
    return found


def layers_of(encoder: Any) -> list[Layer]:
    """The weights of a built `RecurrentEncoder`, as the reference wants them, by the names of its inner layers."""
    inner: dict[str, list[np.ndarray]] = {}
    for weight, value in zip(encoder.weights, encoder.get_weights(), strict=True):
        name = next(part for part in weight.path.split("/") if re.fullmatch(r"layer\d+_\w+", part))
        inner.setdefault(name, []).append(value.astype(np.float64))
    parts = ("forward", "backward", "norm")
    found = [[inner.get(f"layer{i}_{part}") for part in parts] for i in range(encoder.get_config()["layers"])]
    return [Layer(*(tuple(weights) if weights else None for weights in layer)) for layer in found]


def named_weights_of(layer: Any) -> dict[str, np.ndarray]:
    """The weights of a built layer by their names inside it."""
    values = zip(layer.weights, layer.get_weights(), strict=True)
    return {weight.path.split("/", 1)[1]: value.astype(np.float64) for weight, value in values}


def decoder_of(decoder: Any) -> Decoder:
    """The weights of a built `RecurrentDecoder`, as the reference wants them, by the names of its inner layers."""
    inner: dict[str, list[np.ndarray]] = {}
    for weight, value in zip(decoder.weights, decoder.get_weights(), strict=True):
        name = next(part for part in weight.path.split("/") if re.match(r"layer\d|bridge|attention|combine", part))
        inner.setdefault(name, []).append(value.astype(np.float64))
    names = [f"layer{i}" for i in range(decoder.get_config()["layers"])]
    norms = [tuple(inner[f"{name}_norm"]) if f"{name}_norm" in inner else None for name in names]
    layers = [Layer(tuple(inner[name]), norm=norm) for name, norm in zip(names, norms, strict=True)]
    bridge, attention = tuple(inner["bridge"]), inner.get("attention", [])
    match decoder.get_config()["attention"]:
        case "none":
            return Decoder(layers, bridge)
        case "bahdanau":
            return Decoder(layers, bridge, bahdanau(*attention), tuple(inner["combine"]))
    return Decoder(layers, bridge, luong(*attention), tuple(inner["combine"]))
