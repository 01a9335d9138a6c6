"""The graph of smoothing and dilated recurrence equals the layers."""

import numpy as np
import pytest
from keras import ops

from examples import closeness, randomize
from toolkit import export
from toolkit.cells import CELLS
from toolkit.layers import DilatedEncoder, ExponentialSmoothing
from toolkit.runtime import Runtime

SERIES, FEATURES = 3, 4


def smoothing_graph(layers):
    """One or several smoothing layers in one graph, as members of an ensemble are."""
    graph, shapes = export.Graph(), {}
    values, known = (graph.add("Transpose", name, perm=[1, 0]) for name in ("values", "known"))
    for i, layer in enumerate(layers):
        outputs = export.exponential_smoothing(graph, layer, values, known, "series")
        for name, output in zip(("rest", "level", "seasons"), outputs, strict=True):
            graph.name(graph.add("Transpose", output, perm=[1, 0]), f"{name}{i}")
            shapes[f"{name}{i}"] = ["batch", {"rest": "time", "level": 1, "seasons": layer.season}[name]]
    inputs = {"values": ["batch", "time"], "known": ["batch", "time"], "series": ["batch"]}
    return graph.model(inputs, shapes, floats=("values", "known"))


def make_smoothing(season, seed=0):
    layer = ExponentialSmoothing(series=SERIES, season=season)
    layer.build((None, None))
    randomize(layer, seed=seed, scale=0.3)
    return layer


@pytest.mark.parametrize("season", [1, 4, 30])
def test_smoothing_equals_the_layer_for_every_season_and_length(season):
    layers = [make_smoothing(season, seed) for seed in (0, 1)]
    model = smoothing_graph(layers)
    assert "Loop" not in {node.op_type for node in model.graph.node}
    runtime, random = Runtime(model.SerializeToString()), np.random.default_rng(0)
    for time in (1, 3, 26):
        known = (random.random((5, time)) < 0.7) * (np.arange(time) >= 2 * np.arange(5)[:, None])
        inputs = {
            "values": (random.normal(size=(5, time)) * known).astype(np.float32),
            "known": known.astype(np.float32),
            "series": np.array([0, 1, 2, 3, 1], np.int32),
        }
        found = runtime.run(inputs)
        for i, layer in enumerate(layers):
            expected = layer(*(ops.convert_to_tensor(each) for each in inputs.values()))
            for name, output in zip(("rest", "level", "seasons"), expected, strict=True):
                np.testing.assert_allclose(found[f"{name}{i}"], output, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("cell", CELLS)
def test_dilated_recurrence_equals_the_layer_with_fused_cells(cell, normalization):
    settings = dict(cell=cell, units=5, layers=3, normalization=normalization, dropout=0.1, variational=False)
    layer = DilatedEncoder(**settings)
    layer.build((None, None, FEATURES))
    randomize(layer)
    graph = export.Graph()
    graph.name(export.dilated_encoder(graph, layer, graph.add("Transpose", "inputs", perm=[1, 0, 2])), "state")
    model = graph.model({"inputs": ["batch", "time", FEATURES]}, {"state": ["batch", 5]}, floats=("inputs",))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count(CELLS[cell].operator) == 3
    assert not {"Loop", "Scan", "If"} & set(operators)
    runtime, random = Runtime(model.SerializeToString()), np.random.default_rng(0)
    for time in (1, 6, 11):
        inputs = random.normal(size=(3, time, FEATURES)).astype(np.float32)
        expected = layer(ops.convert_to_tensor(inputs))
        np.testing.assert_allclose(runtime.run({"inputs": inputs})["state"], expected, atol=closeness(runtime))
