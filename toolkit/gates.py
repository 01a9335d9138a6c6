"""What a recurrent encoder did at every step: the values of its gates, from a run's weights with NumPy alone."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.cells import CELLS
from toolkit.self_attention import normed, transform

CLOSED, OPEN = 0.1, 0.9  # a gate beyond these is saturated


class Trace(NamedTuple):
    """One recurrent layer, step by step.

    Shapes: hidden (time, units); gates, by name, (time, units) from 0 to 1
    """

    hidden: np.ndarray
    gates: dict[str, np.ndarray]


class Direction(NamedTuple):
    """One direction of one layer; the steps are in the order of the sequence, whichever end it is read from."""

    name: str
    trace: Trace

    def saturation(self) -> dict[str, tuple[float, float, float]]:
        """Of each gate: its mean, and the shares of its values that are below 0.1 and above 0.9."""
        return {
            name: (float(gate.mean()), float((gate < CLOSED).mean()), float((gate > OPEN).mean()))
            for name, gate in self.trace.gates.items()
        }


def trace(
    cell_kind: str, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray, inputs: np.ndarray
) -> Trace:
    """Run a cell from a state of zeros and keep all that it computes on the way.

        rnn   h[t] = tanh(W x[t] + U h[t-1] + b)
        lstm  i, f, o = sigmoid(W x[t] + U h[t-1] + b); c[t] = f c[t-1] + i tanh(...); h[t] = o tanh(c[t])
        gru   z, r = sigmoid(W x[t] + b + U h[t-1] + d); h[t] = z h[t-1] + (1 - z) tanh(W x[t] + b + r (U h[t-1] + d))

    An update gate z near 1 keeps the state, as in Keras and cuDNN.

    Shapes: kernel (features, gates * units), recurrent_kernel (units, gates * units) and bias in Keras' layout; inputs
        (time, features)
    Reference: Elman 1990; Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014
    """
    units, count = len(recurrent_kernel), CELLS[cell_kind].states
    input_bias, recurrent_bias = bias if cell_kind == "gru" else (bias, 0.0)
    states = (np.zeros(units),) * count
    names = CELLS[cell_kind].gates
    values = np.empty((len(inputs), count + len(names), units))
    for row, x in zip(values, inputs.astype(np.float64) @ kernel + input_bias, strict=True):
        row[:] = _STEPS[cell_kind](x, states[0] @ recurrent_kernel + recurrent_bias, *states)
        states = tuple(row[:count])
    gates = {name: values[:, count + place] for place, name in enumerate(names)}
    return Trace(values[:, 0], gates)


def trace_encoder(
    weights: Mapping[str, np.ndarray], settings: Mapping[str, Any], inputs: np.ndarray
) -> tuple[list[Direction], np.ndarray]:
    """What the encoder does with one sequence, which has no padding.

    Args:
        weights: those of `read_network`.
        settings: the encoder's stanza of the config.

    Shapes: inputs (time, features) -> each layer and direction, of a transformer none; outputs (time, width)
    """
    if settings["cell"] == "transformer":
        return [], transform(weights, settings["layers"], inputs)
    layers, found, outputs = settings["layers"], list[Direction](), inputs.astype(np.float64)
    both = {False: 0, True: layers, "first": 1}[settings["bidirectional"]]  # layers that read from both ends
    for i in range(layers):
        names = ["forward", "backward"] if i < both else ["forward"]
        traces = [_direction(weights, settings["cell"], f"encoder/layer{i}_{name}", outputs) for name in names]
        states = np.concatenate([each.hidden for each in traces], axis=1)
        outputs = states + outputs if settings["residual"] and i and states.shape == outputs.shape else states
        if settings["normalization"] == "layer":
            outputs = normed(weights, f"encoder/layer{i}_norm", outputs)
        found += [Direction(f"layer {i + 1} {name}", each) for name, each in zip(names, traces, strict=True)]
    return found, outputs


def joined(pieces: Sequence[tuple[list[Direction], np.ndarray]]) -> tuple[list[Direction], np.ndarray]:
    """Pieces of one sequence that were each read from nothing, as one."""
    layers = []
    for same in zip(*(directions for directions, _ in pieces), strict=True):
        traces = [each.trace for each in same]
        gates = {name: np.concatenate([each.gates[name] for each in traces]) for name in traces[0].gates}
        hidden = np.concatenate([each.hidden for each in traces])
        layers.append(Direction(same[0].name, Trace(hidden, gates)))
    return layers, np.concatenate([outputs for _, outputs in pieces])


def _direction(weights: Mapping[str, np.ndarray], cell: str, name: str, inputs: np.ndarray) -> Trace:
    kind = "simple_rnn" if cell == "rnn" else cell
    kernel, recurrent, bias = (weights[f"{name}/{kind}_cell/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
    if not name.endswith("backward"):
        return trace(cell, kernel, recurrent, bias, inputs)
    back = trace(cell, kernel, recurrent, bias, inputs[::-1])
    gates = {gate: values[::-1] for gate, values in back.gates.items()}
    return Trace(back.hidden[::-1], gates)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2  # which no number overflows


def _rnn_step(x: np.ndarray, back: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    return (np.tanh(x + back),)


def _lstm_step(x: np.ndarray, back: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    i, f, candidate, o = np.split(x + back, 4)
    i, f, o = _sigmoid(i), _sigmoid(f), _sigmoid(o)
    c = f * c + i * np.tanh(candidate)
    return o * np.tanh(c), c, i, f, o


def _gru_step(x: np.ndarray, back: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    (z_in, r_in, candidate), (z_back, r_back, candidate_back) = np.split(x, 3), np.split(back, 3)
    z, r = _sigmoid(z_in + z_back), _sigmoid(r_in + r_back)
    return z * h + (1 - z) * np.tanh(candidate + r * candidate_back), z, r


_STEPS: dict[str, Any] = {"rnn": _rnn_step, "lstm": _lstm_step, "gru": _gru_step}
