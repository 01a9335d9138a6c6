"""The network's losses are those of its equations, and its graphs give the numbers of the network."""

from typing import Any

import keras
import numpy as np
import pytest
from translators import make_config, make_network, member_of, probabilities, random_inputs

from pipelines.translation import model as models
from pipelines.translation.predict import Ensemble
from toolkit.data.codec import PADDING, UNKNOWN

COPYING = {"model": {"copy_words": True}}
GNMT = {
    "encoder": {"cell": "lstm", "units": 6, "layers": 4, "bidirectional": "first", "residual": True},
    "decoder": {"cell": "lstm", "layers": 4, "attend_from": "bottom", "residual": True, "input_feeding": False},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"model": {"tie": "output"}},
    "all_tied": {"model": {"tie": "all"}, "tokens": {"joint": True}},
    "without_attention": {"decoder": {"attention": "none"}},
    "dot": {"decoder": {"attention": "dot", "cell": "rnn"}},
    "parallel": {"decoder": {"attention": "general", "cell": "lstm", "input_feeding": False}},
    "gnmt": GNMT,
    "copying": COPYING,
    "copying_tied": {"model": {"copy_words": True, "tie": "output"}, "decoder": {"layers": 2, "attend_from": "bottom"}},
    "copying_parallel": {**COPYING, "decoder": {"attention": "general", "input_feeding": False}},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_copying = pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("copying")])


def _network(variant: str, **stanzas: Any) -> Any:
    return make_network(make_config(**{**VARIANTS[variant], **stanzas}))


def _outputs(network: Any, inputs: dict[str, np.ndarray], **kwargs: Any) -> list[np.ndarray]:
    """Loss, negative log-likelihood and whether it is the most probable. Shapes: (batch, target) each."""
    return list(np.moveaxis(np.asarray(network(inputs, **kwargs)), -1, 0))


def _picked(found: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.take_along_axis(found, ids[..., None], axis=-1)[..., 0]


# Losses


@every_variant
def test_the_loss_is_the_negative_log_likelihood_of_the_equations(variant):
    network = _network(variant)
    inputs = random_inputs(network)
    everything, _ = probabilities(network, inputs)
    loss, nll, _ = _outputs(network, inputs)
    np.testing.assert_allclose(nll, -np.log(_picked(everything, inputs["after"])), atol=1e-4)
    np.testing.assert_array_equal(loss, nll)


@pytest.mark.parametrize("variant", ["plain", "tied", "copying"])
def test_label_smoothing_spreads_its_share_over_the_vocabulary_while_training_alone(variant):
    network = _network(variant, training={"label_smoothing": 0.2})
    inputs = random_inputs(network)
    everything, words = probabilities(network, inputs)
    expected = -np.log(_picked(everything, inputs["after"]))
    loss, nll, right = _outputs(network, inputs, training=True)
    np.testing.assert_allclose(nll, expected, atol=1e-4)
    np.testing.assert_allclose(loss, 0.8 * expected - 0.2 * np.log(words).mean(axis=-1), atol=1e-4)
    assert not right.any()
    plain, nll, _ = _outputs(network, inputs)
    np.testing.assert_array_equal(plain, nll)


def test_an_unknown_target_is_as_probable_as_the_unknown_piece():
    for variant in ("plain", "copying"):
        network = _network(variant)
        inputs = random_inputs(network)
        inputs["after"][:] = UNKNOWN
        everything, _ = probabilities(network, inputs)
        np.testing.assert_allclose(_outputs(network, inputs)[1], -np.log(everything[..., UNKNOWN]), atol=1e-4)


@every_copying
def test_probabilities_of_the_vocabulary_and_of_what_can_be_copied_sum_to_one(variant):
    network = _network(variant)
    inputs = random_inputs(network)
    size = network.target_size + inputs["source"].shape[1]
    total = np.zeros(inputs["after"].shape)
    for piece in range(size):
        inputs["after"][:] = piece
        total += np.exp(-_outputs(network, inputs)[1])
    np.testing.assert_allclose(total, 1, atol=1e-4)


@every_variant
def test_a_piece_is_right_when_no_other_is_more_probable(variant):
    network = _network(variant)
    inputs = random_inputs(network)
    everything, _ = probabilities(network, inputs)
    ranked = np.argsort(-everything, axis=-1)
    if variant == "copying":
        best = ranked[..., 0]
        assert (best >= network.target_size).any() and (best < network.target_size).any()
    for place, expected in ((0, 1.0), (1, 0.0)):
        inputs["after"] = ranked[..., place].astype(np.int32)
        np.testing.assert_array_equal(_outputs(network, inputs)[2], expected)


def test_a_piece_of_the_vocabulary_that_can_be_copied_too_has_both_probabilities():
    network = _network("copying")
    inputs = random_inputs(network)
    inputs["copies"][:], inputs["after"][:] = 5, 5  # all of the source is this piece
    network.gate.set_weights([np.zeros(array.shape) for array in network.gate.get_weights()])  # half and half
    _, words = probabilities(network, inputs)
    np.testing.assert_allclose(np.exp(-_outputs(network, inputs)[1]), 0.5 + 0.5 * words[..., 5], atol=1e-4)


@every_variant
def test_padding_of_both_sides_and_neighbours_change_no_loss(variant):
    network = _network(variant)
    inputs = random_inputs(network)
    wide = {
        name: np.pad(
            array, ((1, 0), (0, 3)) if array.ndim == 2 else ((1, 0),), constant_values=7 if name != "lengths" else 2
        )
        for name, array in inputs.items()
    }
    for near, far in zip(_outputs(network, inputs)[1:], _outputs(network, wide)[1:], strict=True):
        np.testing.assert_allclose(far[1:, :6], near, atol=1e-5)


@pytest.mark.parametrize("variant", ["gnmt", "copying_tied"])
def test_a_few_steps_of_training_lower_the_loss(variant):
    keras.utils.set_random_seed(2)
    model = {**VARIANTS[variant].get("model", {}), "dropout": 0.1, "word_dropout": 0.1}
    network = _network(variant, model=model, training={"label_smoothing": 0.1, "scheduled_sampling": 0.1})
    inputs = random_inputs(network)
    network.compile(keras.optimizers.Adam(0.05), loss=models.loss)
    losses = [network.train_on_batch(inputs, np.zeros((4, 6), np.float32)) for _ in range(8)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


# Dropout and sampling


@pytest.mark.parametrize("setting", ["dropout", "word_dropout"])
def test_dropout_is_of_training_alone(setting):
    keras.utils.set_random_seed(1)
    network = make_network(make_config(model={setting: 0.5}))
    inputs = random_inputs(network)
    np.testing.assert_array_equal(_outputs(network, inputs)[1], _outputs(network, inputs)[1])
    assert np.abs(_outputs(network, inputs, training=True)[1] - _outputs(network, inputs)[1]).max() > 0.01


def test_scheduled_sampling_reads_the_networks_own_guesses_but_for_the_first_piece():
    network = make_network(make_config(training={"scheduled_sampling": 0.999999}))
    inputs = random_inputs(network)
    _, words = probabilities(network, inputs)
    guessed = {**inputs, "before": inputs["before"].copy()}
    guessed["before"][:, 1:] = words.argmax(axis=-1)[:, :-1]
    assert (guessed["before"] != inputs["before"]).any()
    expected = -np.log(_picked(probabilities(network, guessed)[1], inputs["after"]))
    np.testing.assert_allclose(_outputs(network, inputs, training=True)[1], expected, atol=1e-4)
    plain = -np.log(_picked(words, inputs["after"]))
    np.testing.assert_allclose(_outputs(network, inputs)[1], plain, atol=1e-4)


def test_with_copying_its_own_guesses_are_what_a_search_would_write():
    network = _network("copying", training={"scheduled_sampling": 0.999999})
    inputs = random_inputs(network)
    everything, _ = probabilities(network, inputs)
    everything[..., UNKNOWN] = 0
    best = everything.argmax(axis=-1)
    assert (best >= network.target_size).any() and (best < network.target_size).any()
    memory, final = network.encode(inputs)
    states, weights = network.decode(inputs["before"], final, memory, inputs["lengths"])
    np.testing.assert_array_equal(network._guesses(inputs, states, weights), best)


def test_scheduled_sampling_draws_anew_in_each_step_of_training():
    network = make_network(make_config(training={"scheduled_sampling": 0.5}))
    inputs = random_inputs(network)
    losses = [_outputs(network, inputs, training=True)[0].sum() for _ in range(6)]
    assert len(set(np.round(losses, 4).tolist())) > 2


# Graphs


def _exported(network: Any, inputs: dict[str, np.ndarray], *, beams: int = 2) -> np.ndarray:
    """Probabilities by the graphs, each sentence in so many beams. Shapes: (batch, beams, target, pieces)."""
    member = member_of(network)
    names = ("source", "lengths", *(["copies"] if network.copies else []))
    (state,) = Ensemble([member]).start({name: inputs[name] for name in names})
    state["state"] = np.repeat(state["state"][:, 0], beams, axis=0)
    found = []
    for tokens in np.repeat(inputs["before"], beams, axis=0).T:
        feeds = {"tokens": tokens, "k": np.array([3], np.int32), **state}
        outputs = member.decoder.run({name: feeds[name] for name in member.decoder.inputs})
        logs, state["state"] = outputs["log_probabilities"], outputs["next_state"]
        best = np.argsort(-logs, axis=1)[:, :3]
        np.testing.assert_array_equal(outputs["best"], best)
        np.testing.assert_allclose(outputs["scores"], np.take_along_axis(logs, best, axis=1), atol=1e-5)
        found.append(np.exp(logs))
    return np.stack(found, axis=1).reshape(len(inputs["source"]), beams, len(found), -1)


@every_variant
def test_the_graphs_give_the_probabilities_of_the_equations(variant):
    network = _network(variant)
    inputs = random_inputs(network)
    expected, _ = probabilities(network, inputs)
    if network.copies:
        expected[..., UNKNOWN] = 0  # which is never written
    found = _exported(network, inputs)
    for beam in range(2):
        np.testing.assert_allclose(found[:, beam], expected, atol=1e-5)


@every_variant
def test_the_graphs_have_no_loops(variant):
    for graph in models.to_onnx(_network(variant)):
        assert not {"Loop", "Scan", "If"} & {node.op_type for node in graph.graph.node}


@every_variant
def test_for_no_candidates_the_graph_gives_the_hidden_state_that_makes_the_logits(variant):
    network = _network(variant)
    inputs, member = random_inputs(network), member_of(network)
    offered = {"hidden", "output_kernel", "output_bias"}
    assert offered & member.decoder.outputs.keys() == (set() if network.copies else offered)
    if network.copies:
        return
    (state,) = Ensemble([member]).start({name: inputs[name] for name in ("source", "lengths")})
    feeds = {"tokens": inputs["before"][:, 0], **state, "state": state["state"][:, 0]}
    none, all_of_them = (
        member.decoder.run({name: {**feeds, "k": np.array([k], np.int32)}[name] for name in member.decoder.inputs})
        for k in (0, 3)
    )
    assert all(len(none[name]) == 0 for name in ("scores", "best", "log_probabilities"))
    for name in ("hidden", "next_state", *offered):
        np.testing.assert_array_equal(none[name], all_of_them[name])
    logits = none["hidden"] @ none["output_kernel"] + none["output_bias"]
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logs, all_of_them["log_probabilities"], atol=1e-5)


@every_copying
def test_the_unknown_piece_is_never_among_the_best_with_copying(variant):
    network = _network(variant)
    bias = network.output_bias if network.tied else network.output_layer.bias
    bias.assign(np.where(np.arange(network.target_size) == UNKNOWN, 20.0, 0.0))
    inputs = random_inputs(network)
    found = _exported(network, inputs)
    assert (found[..., UNKNOWN] < 1e-6).all()
    assert (found.argmax(axis=-1) != PADDING).all()


def test_a_graph_is_asked_for_more_candidates_than_there_are():
    for variant in ("plain", "copying"):
        network = _network(variant)
        inputs = random_inputs(network)
        ensemble = Ensemble([member_of(network)])
        names = [name for name in ("source", "lengths", "copies") if name in inputs]
        state = ensemble.start({name: inputs[name] for name in names})
        candidates = ensemble.step(inputs["before"][:, :1], state, 1000)
        size = network.target_size + (inputs["source"].shape[1] if network.copies else 0)
        assert candidates.tokens.shape == (4, 1, size)
        assert sorted(candidates.tokens[0, 0]) == list(range(size))
        assert (np.diff(candidates.scores, axis=-1) <= 1e-6).all()


def test_half_precision_is_near_single_precision_and_is_exported():
    single = _network("copying_tied")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = _network("copying_tied")
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = random_inputs(single)
    one, other = _outputs(single, inputs), _outputs(half, inputs)
    assert other[0].dtype == np.float32
    np.testing.assert_allclose(other[1], one[1], atol=0.2)
    np.testing.assert_allclose(_exported(half, inputs), _exported(single, inputs), atol=1e-6)
