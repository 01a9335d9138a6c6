"""The values of gates are those that Keras computes, for every cell and every shape of encoder."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import make_encoder, make_transformer, randomize
from toolkit.cells import CELLS
from toolkit.errors import ArtifactError
from toolkit.explanation import fitting
from toolkit.gates import Direction, Trace, joined, trace, trace_encoder
from toolkit.layers.recurrent import LAYERS

FEATURES, UNITS = 4, 3


def sequence(time: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (time, FEATURES)).astype(np.float32)


def keras_layer(cell: str, *, seed: int = 0) -> Any:
    layer = LAYERS[cell](UNITS, return_sequences=True)
    layer.build((None, None, FEATURES))
    randomize(layer, seed=seed)
    return layer


def weights_of(encoder: Any) -> dict[str, np.ndarray]:
    """By name, as a run's weights are."""
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in encoder.weights}


def keras_steps(layer: Any, inputs: np.ndarray) -> list[list[np.ndarray]]:
    """The states after every step of Keras' own cell."""
    cell, states, found = layer.cell, layer.get_initial_state(1), []
    for x in inputs:
        _, states = cell(x[None], list(states))
        states = states if isinstance(states, list | tuple) else [states]
        found.append([keras.ops.convert_to_numpy(state)[0] for state in states])
    return found


@pytest.mark.parametrize("cell", CELLS)
def test_every_step_equals_keras(cell: str) -> None:
    layer, inputs = keras_layer(cell), sequence(7)
    found = trace(cell, *layer.get_weights(), inputs)
    whole = keras.ops.convert_to_numpy(layer(inputs[None]))[0]
    np.testing.assert_allclose(found.hidden, whole, atol=1e-5)
    for t, states in enumerate(keras_steps(layer, inputs)):
        np.testing.assert_allclose(found.hidden[t], states[0], atol=1e-5)


def test_gates_of_an_lstm_are_those_that_its_states_obey() -> None:
    """A wrong order of gates would not give Keras' cell states back."""
    layer, inputs = keras_layer("lstm"), sequence(6, seed=1)
    kernel, recurrent, bias = layer.get_weights()
    found, states = trace("lstm", kernel, recurrent, bias, inputs), keras_steps(layer, inputs)
    h, c = np.zeros(UNITS), np.zeros(UNITS)
    for t, x in enumerate(inputs):
        candidate = np.tanh((x @ kernel + h @ recurrent + bias)[2 * UNITS : 3 * UNITS])
        gates = {name: gate[t] for name, gate in found.gates.items()}
        np.testing.assert_allclose(gates["forget"] * c + gates["input"] * candidate, states[t][1], atol=1e-5)
        np.testing.assert_allclose(gates["output"] * np.tanh(states[t][1]), states[t][0], atol=1e-5)
        h, c = states[t]


def test_gates_of_a_gru_are_those_that_its_states_obey() -> None:
    layer, inputs = keras_layer("gru"), sequence(6, seed=2)
    assert layer.reset_after
    kernel, recurrent, (bias, recurrent_bias) = layer.get_weights()
    found, states = trace("gru", *layer.get_weights(), inputs), keras_steps(layer, inputs)
    h = np.zeros(UNITS)
    for t, x in enumerate(inputs):
        proposed, back = (x @ kernel + bias)[2 * UNITS :], (h @ recurrent + recurrent_bias)[2 * UNITS :]
        z, r = found.gates["update"][t], found.gates["reset"][t]
        np.testing.assert_allclose(z * h + (1 - z) * np.tanh(proposed + r * back), states[t][0], atol=1e-5)
        (h,) = states[t]


def test_gates_stay_numbers_however_large_the_inputs() -> None:
    with np.errstate(all="raise", under="ignore"):
        found = trace("lstm", *keras_layer("lstm").get_weights(), 1e6 * sequence(3))
    assert all(np.isfinite(gate).all() and gate.min() >= 0 and gate.max() <= 1 for gate in found.gates.values())


@pytest.mark.parametrize("bidirectional", [False, True, "first"])
@pytest.mark.parametrize(("residual", "normalization"), [(False, "none"), (True, "none"), (True, "layer")])
@pytest.mark.parametrize("cell", CELLS)
def test_an_encoder_equals_its_keras_layer_inside_the_length(
    cell: str, residual: bool, normalization: str, bidirectional: bool | str
) -> None:
    shape = dict(cell=cell, layers=3, residual=residual, normalization=normalization, bidirectional=bidirectional)
    encoder = make_encoder(**shape, name="encoder")
    encoder.build((None, None, FEATURES))
    randomize(encoder)
    inputs, lengths = np.full((2, 9, FEATURES), 7.0, np.float32), np.array([9, 5], np.int32)
    inputs[0], inputs[1, :5] = sequence(9), sequence(5, seed=3)
    expected = keras.ops.convert_to_numpy(encoder(inputs, lengths)[0])
    for row, length in enumerate(lengths):
        found, outputs = trace_encoder(weights_of(encoder), encoder.get_config(), inputs[row, :length])
        np.testing.assert_allclose(outputs, expected[row, :length], atol=1e-5)
    both = {False: 0, True: 3, "first": 1}[bidirectional]
    assert len(found) == 3 + both
    assert all(each.trace.hidden.shape == (5, UNITS) for each in found)
    assert all(tuple(each.trace.gates) == CELLS[cell].gates for each in found)


@pytest.mark.parametrize(("units", "layers"), [(5, 1), (FEATURES, 2), (64, 2)])
def test_a_transformer_equals_that_of_keras_and_has_no_gates(units: int, layers: int) -> None:
    encoder = make_transformer(units=units, layers=layers, name="encoder")
    encoder.build((None, None, FEATURES))
    randomize(encoder, scale=units**-0.5)
    inputs = sequence(9)
    settings = {**encoder.get_config(), "cell": "transformer"}
    found, outputs = trace_encoder(weights_of(encoder), settings, inputs)
    expected = keras.ops.convert_to_numpy(encoder(inputs[None], np.array([9], np.int32))[0])
    assert not found
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)


@given(time=st.integers(2, 9), seed=st.integers(0, 99))
def test_the_backward_direction_stands_in_the_order_of_the_words(time: int, seed: int) -> None:
    encoder = make_encoder(bidirectional=True, name="encoder")
    encoder.build((None, None, FEATURES))
    randomize(encoder, seed=seed)
    weights, inputs = weights_of(encoder), sequence(time, seed=seed)
    (_, backward), _ = trace_encoder(weights, encoder.get_config(), inputs)
    changed = inputs.copy()
    changed[0] += 1
    (_, after), _ = trace_encoder(weights, encoder.get_config(), changed)
    for name, gate in backward.trace.gates.items():
        np.testing.assert_array_equal(after.trace.gates[name][1:], gate[1:])  # read before the first word is
        assert not np.array_equal(after.trace.gates[name][0], gate[0])


def test_pieces_are_joined_step_by_step() -> None:
    encoder = make_encoder(bidirectional=True, layers=2, name="encoder")
    encoder.build((None, None, FEATURES))
    weights = weights_of(encoder)
    pieces = [trace_encoder(weights, encoder.get_config(), sequence(time)) for time in (4, 4, 1)]
    layers, outputs = joined(pieces)
    assert [each.name for each in layers] == [each.name for each in pieces[0][0]]
    assert outputs.shape == (9, 2 * UNITS)
    for place, each in enumerate(layers):
        for name, gate in each.trace.gates.items():
            np.testing.assert_array_equal(gate[4:8], pieces[1][0][place].trace.gates[name])


def test_saturation_is_the_share_of_values_beyond_a_tenth() -> None:
    gate = np.array([[0.0, 0.05, 0.5, 0.95], [0.2, 0.8, 0.99, 1.0]])
    (shares,) = Direction("layer 1 forward", Trace(gate, {"update": gate})).saturation().values()
    assert shares == pytest.approx((gate.mean(), 0.25, 0.375))


@pytest.mark.parametrize("damage", [lambda weights: weights.clear(), lambda weights: weights.update(wrong(weights))])
def test_weights_of_another_network_are_refused(damage: Any) -> None:
    encoder = make_encoder(name="encoder")
    encoder.build((None, None, FEATURES))
    weights = weights_of(encoder)
    damage(weights)
    with (
        pytest.raises(ArtifactError, match=r"run/weights.safetensors: .* not those of the run's config"),
        fitting("run"),
    ):
        trace_encoder(weights, encoder.get_config(), sequence(3))


def wrong(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array[:-1] for name, array in weights.items() if name.endswith("/kernel")}
