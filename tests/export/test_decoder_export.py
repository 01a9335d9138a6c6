"""One step of a decoder in a graph, again and again, gives the numbers that the decoder gives to whole sequences."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from keras import ops

from examples import closeness, make_decoder, randomize, sequences
from toolkit import export
from toolkit.cells import CELLS
from toolkit.runtime import Runtime

FEATURES, WIDTH, UNITS = 4, 3, 3
SENTENCES, BEAMS, SOURCE, TARGET = 3, 4, 5, 6
DEEP = dict(layers=3, residual=True, normalization="layer")


def _built(**changes: Any) -> Any:
    decoder = make_decoder(**changes)
    decoder.build((None, None, FEATURES), (None, WIDTH), (None, None, WIDTH), (None,))
    randomize(decoder)
    return decoder


def _runtime(decoder: Any) -> Runtime:
    graph, width = export.Graph(), UNITS * (len(decoder.layers) * decoder.states_per_layer + decoder.input_feeding)
    inputs: dict[str, Any] = {"words": ["rows", FEATURES], "state": ["rows", width]}
    outputs: dict[str, Any] = {"outputs": ["rows", UNITS], "after": ["rows", width]}
    memory = None
    if decoder.attention:
        memory = export.Memory("memory", export.attention_keys(graph, decoder.attention, "memory"), "lengths")
        inputs |= {"memory": ["sentences", "source", WIDTH], "lengths": ["sentences"]}
        outputs["weights"] = ["rows", "source"]
    names = ("outputs", "weights", "after")
    for name, value in zip(names, export.decoder_step(graph, decoder, "words", "state", memory), strict=True):
        if value:
            graph.name(value, name)
    model = graph.model(inputs, outputs, floats=("words", "state", "memory"))
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in model.graph.node}
    return Runtime(model.SerializeToString())


def _steps(decoder: Any, runtime: Runtime, inputs: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """What the graph gives at each step of all beams. Shapes: words (sentences * beams, target, features)."""
    words, final, memory, lengths = inputs
    states = decoder.initial_states(ops.convert_to_tensor(np.repeat(final, BEAMS, axis=0)))
    state = np.concatenate([ops.convert_to_numpy(each) for each in states], axis=-1)
    attended = {"memory": memory, "lengths": lengths} if decoder.attention else {}
    for t in range(words.shape[1]):
        found = runtime.run({"words": words[:, t], "state": state, **attended})
        state = found["after"]
        yield found


def _inputs(lengths: list[int], *, source: int = SOURCE) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    words = random.normal(size=(len(lengths) * BEAMS, TARGET, FEATURES)).astype(np.float32)
    final = random.normal(size=(len(lengths), WIDTH)).astype(np.float32)
    return [words, final, *sequences(lengths, time=source, features=WIDTH)]


def _assert_graph_equals_layer(decoder: Any, lengths: list[int]) -> None:
    runtime, inputs = _runtime(decoder), _inputs(lengths)
    repeated = [inputs[0], *(np.repeat(array, BEAMS, axis=0) for array in inputs[1:])]
    outputs, weights = decoder(*map(ops.convert_to_tensor, repeated))
    for t, found in enumerate(_steps(decoder, runtime, inputs)):
        np.testing.assert_allclose(found["outputs"], outputs[:, t], atol=closeness(runtime))
        if decoder.attention:
            np.testing.assert_allclose(found["weights"], weights[:, t], atol=closeness(runtime))


@pytest.mark.parametrize("feeding", [True, False], ids=["fed", "parallel"])
@pytest.mark.parametrize("attention", ["none", "bahdanau", "dot", "general"])
@pytest.mark.parametrize("cell", CELLS)
def test_one_layer_of_each_kind_equals_the_layer_step_by_step(cell, attention, feeding):
    _assert_graph_equals_layer(_built(cell=cell, attention=attention, input_feeding=feeding), [5, 1, 3])


@pytest.mark.parametrize(
    ("cell", "attend_from", "feeding"), [*product(CELLS, ["bottom"], [True, False]), ("lstm", "top", True)]
)
def test_deep_decoders_equal_the_layer_step_by_step(cell, attend_from, feeding):
    decoder = _built(cell=cell, attention="bahdanau", attend_from=attend_from, input_feeding=feeding, **DEEP)
    _assert_graph_equals_layer(decoder, [2, 5, 4])


@pytest.mark.parametrize("changes", [dict(residual=True), dict(normalization="layer"), dict(attention="none", **DEEP)])
def test_residual_and_normalization_each_equal_the_layer(changes):
    _assert_graph_equals_layer(_built(**{"layers": 3, "attention": "dot", **changes}), [2, 5, 4])


@pytest.mark.parametrize("attention", ["bahdanau", "dot", "general"])
def test_an_empty_sentence_and_a_single_one_give_what_the_layer_gives(attention):
    decoder = _built(attention=attention)
    _assert_graph_equals_layer(decoder, [0, 5])
    _assert_graph_equals_layer(decoder, [4])


@pytest.mark.parametrize("attention", ["bahdanau", "general"])
def test_padding_of_the_source_changes_no_step(attention):
    decoder = _built(attention=attention)
    runtime, near, far = _runtime(decoder), _inputs([5, 2]), _inputs([5, 2], source=3 * SOURCE)
    far[2][:, :SOURCE] = np.where(np.arange(SOURCE)[:, None] < near[3][:, None, None], near[2], far[2][:, :SOURCE])
    for one, other in zip(_steps(decoder, runtime, near), _steps(decoder, runtime, far), strict=True):
        np.testing.assert_allclose(other["outputs"], one["outputs"], atol=1e-6)
        np.testing.assert_allclose(other["weights"][:, :SOURCE], one["weights"], atol=1e-6)
        assert not other["weights"][:, SOURCE:].any()


def test_beams_of_a_sentence_share_its_memory_and_nothing_else():
    decoder = _built(attention="bahdanau", attend_from="bottom", **DEEP)
    runtime, inputs = _runtime(decoder), _inputs([5, 3, 4])
    together = [found["outputs"] for found in _steps(decoder, runtime, inputs)]
    reordered = [
        array.reshape(SENTENCES, BEAMS, *array.shape[1:])[::-1, ::-1].reshape(array.shape) for array in inputs[:1]
    ]
    swapped = [
        found["outputs"] for found in _steps(decoder, runtime, [*reordered, *(each[::-1] for each in inputs[1:])])
    ]
    for one, other in zip(together, swapped, strict=True):
        np.testing.assert_allclose(
            other.reshape(SENTENCES, BEAMS, UNITS)[::-1, ::-1].reshape(one.shape), one, atol=1e-6
        )
