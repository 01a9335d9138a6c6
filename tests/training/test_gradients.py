"""Gradients at hidden states: those of backpropagation by hand, aligned at the rows' ends."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from toolkit.errors import SeqloomError
from toolkit.layers import RecurrentEncoder
from toolkit.training.gradients import Reach, reach_of

UNITS, FEATURES = 4, 3


class Last(keras.Model):
    """The final state of a one-directional encoder."""

    def __init__(self, cell: str, layers: int = 1) -> None:
        super().__init__()
        settings = {"residual": False, "normalization": "none", "dropout": 0.5, "variational": False}
        self.encoder = RecurrentEncoder(cell=cell, units=UNITS, layers=layers, bidirectional=False, **settings)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.encoder(inputs["x"], inputs["lengths"], training=training)[1]


def half_square(targets: Any, outputs: Any) -> Any:
    """Its gradient at the final state is that state less the target, over the units."""
    return ops.square(outputs - targets) / 2


def batch(lengths: list[int], *, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, None]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(len(lengths), max(lengths), FEATURES)).astype(np.float32)
    targets = random.normal(size=(len(lengths), UNITS)).astype(np.float32)
    return {"x": x, "lengths": np.array(lengths, np.int32)}, targets, None


def by_hand(network: Last, inputs: dict[str, np.ndarray], targets: np.ndarray, row: int) -> list[float]:
    """Norms at a vanilla RNN's states, the last step first: g[t-1] = U (1 - h[t]^2) g[t]."""
    kernel, recurrent, bias = (weight.numpy() for weight in network.encoder.forward_layers[0].cell.weights)
    states = [np.zeros(UNITS)]
    for x in inputs["x"][row, : inputs["lengths"][row]]:
        states.append(np.tanh(x @ kernel + states[-1] @ recurrent + bias))
    gradient = (states[-1] - targets[row]) / UNITS
    norms = []
    for state in reversed(states[1:]):
        norms.append(float(np.linalg.norm(gradient)))
        gradient = recurrent @ ((1 - state**2) * gradient)
    return norms


def test_a_vanilla_rnn_has_the_gradients_of_backpropagation_by_hand() -> None:
    network, (inputs, targets, _) = Last("rnn"), batch([6, 6])
    reach = reach_of(network, half_square)([(inputs, targets, None)])
    expected = np.mean([by_hand(network, inputs, targets, row) for row in range(2)], axis=0)
    np.testing.assert_allclose(reach.norms, expected, rtol=1e-4)
    assert reach.rows.tolist() == [2] * 6


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_they_say_how_much_the_loss_changes_with_a_state(cell: str) -> None:
    network, (inputs, targets, _) = Last(cell, layers=2), batch([5])
    reach = reach_of(network, half_square)([(inputs, targets, None)])
    step, small, slopes = 2, 1e-2, []
    for unit in range(UNITS):
        losses = []
        for sign in (1, -1):
            nudges = np.zeros((1, 5, UNITS), np.float32)
            nudges[0, step, unit] = sign * small
            network.encoder.nudge = lambda *_, nudges=nudges: ops.convert_to_tensor(nudges)
            losses.append(float(ops.mean(half_square(targets, network(inputs)))))
        slopes.append((losses[0] - losses[1]) / (2 * small))
    network.encoder.nudge = None
    assert reach.norms[5 - 1 - step] == pytest.approx(np.linalg.norm(slopes), rel=2e-2)


def test_rows_meet_at_their_ends_and_padding_is_no_step() -> None:
    network, (inputs, targets, _) = Last("rnn"), batch([7, 4])
    measure = reach_of(network, half_square)
    together = measure([(inputs, targets, None)])
    alone = [by_hand(network, inputs, targets, row) for row in range(2)]
    np.testing.assert_allclose(together.norms[:4], np.mean([alone[0][:4], alone[1]], axis=0), rtol=1e-4)
    np.testing.assert_allclose(together.norms[4:], alone[0][4:], rtol=1e-4)
    assert together.rows.tolist() == [2] * 4 + [1] * 3


def test_a_few_long_rows_do_not_speak_for_all() -> None:
    inputs, targets, _ = batch([9, 3, 3, 3])
    assert len(reach_of(Last("gru"), half_square)([(inputs, targets, None)]).norms) == 3


def test_weights_of_the_loss_count() -> None:
    network, (inputs, targets, _) = Last("rnn"), batch([5])
    measure = reach_of(network, half_square)
    plain, doubled = (measure([(inputs, targets, np.array([[weight]], np.float32))]) for weight in (1, 2))
    np.testing.assert_allclose(doubled.norms, 2 * plain.norms, rtol=1e-5)


def test_the_network_is_left_as_it_was() -> None:
    network, some = Last("lstm"), batch([5])
    before = network(some[0]).numpy()
    reach_of(network, half_square)([some])
    assert network.encoder.nudge is None
    np.testing.assert_array_equal(network(some[0]).numpy(), before)


def test_it_tells_how_far_and_how_fast() -> None:
    halves = Reach(0.5 ** np.arange(12.0), np.ones(12, int))
    assert halves.steps == 6  # 1/64 is more than a hundredth, 1/128 is not
    assert halves.factor == pytest.approx(0.5)
    assert Reach(1.1 ** np.arange(12.0), np.ones(12, int)).factor == pytest.approx(1.1)
    nothing = Reach(np.zeros(5), np.ones(5, int))
    assert (nothing.steps, nothing.factor) == (0, 0.0)


def test_a_network_without_such_an_encoder_is_refused() -> None:
    with pytest.raises(SeqloomError, match="no recurrent encoder"):
        reach_of(keras.Sequential([keras.layers.Dense(2)]), half_square)
