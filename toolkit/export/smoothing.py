"""Exponential smoothing and dilated recurrence in an ONNX graph. Sequences are time-major: (time, batch, features)."""

import numpy as np
import onnx
from keras import ops
from onnx import TensorProto, helper

from toolkit.export.graph import Graph, axes, every_step, layer_norm, part
from toolkit.export.recurrent import recurrence
from toolkit.layers import DilatedEncoder, ExponentialSmoothing
from toolkit.layers.smoothing import FIRST_SEASONS

BACK_TO_THE_FIRST, TO_THE_END = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def dilated_encoder(graph: Graph, layer: DilatedEncoder, inputs: str) -> str:
    """Shapes: inputs (time, batch, features) -> (batch, units)."""
    outputs = inputs
    for i, recurrent in enumerate(layer.recurrent_layers):
        if i:  # every second step, counted from the last one, and in order again
            for step in (-2, -1):
                outputs = part(graph, outputs, -1, BACK_TO_THE_FIRST, axis=0, step=step)
        states, _ = recurrence(graph, [recurrent.cell], outputs)
        outputs = graph.add("Add", states, outputs) if i else states
        if layer.norms:
            outputs = layer_norm(graph, layer.norms[i], outputs)
    return graph.add("Gather", outputs, graph.constant(-1, np.int64), axis=0)


def exponential_smoothing(
    graph: Graph, layer: ExponentialSmoothing, values: str, known: str, series: str
) -> tuple[str, str, str]:
    """Shapes: values, known (time, batch); series (batch,) ->
    rest (time, batch); level (1, batch); the coming season (season, batch)"""
    rates = graph.constant(ops.convert_to_numpy(layer.rates(ops.arange(layer.series + 1))))
    rates = graph.add("Transpose", graph.add("Gather", rates, series), perm=[1, 0])  # (3, batch)
    level, seasons = _start(graph, layer.season, values, known)
    seasons = graph.add("Mul", seasons, part(graph, rates, 2, 3, axis=0))
    steps = [values, *(graph.add("Mul", known, part(graph, rates, i, i + 1, axis=0)) for i in range(2))]
    steps = [graph.add("Unsqueeze", each, axes(graph, 1)) for each in steps]  # (time, 1, batch)
    body = _step(graph, layer.season)
    level, seasons, season = graph.add("Scan", level, seasons, *steps, outputs=3, body=body, num_scan_inputs=3)
    season = graph.add("Squeeze", season, axes(graph, 1))
    rest = graph.add("Sub", graph.add("Sub", values, season), level)
    return graph.add("Mul", rest, known), level, seasons


def _step(graph: Graph, season: int) -> onnx.GraphProto:
    """SmoothingCell with the batch last. A body sees the values of the graph around it, so its own have other names."""
    prefix = f"step_{len(graph.nodes)}"
    inputs = {"level": 1, "seasons": season, "value": 1, "level_rate": 1, "season_rate": 1}
    outputs = {"next_level": 1, "next_seasons": season, "this_season": 1}
    first, second, end = (graph.constant([place], np.int64) for place in (0, 1, season))
    nodes = [
        ("Slice", ["seasons", first, second], "this_season"),
        ("Slice", ["seasons", second, end], "others"),
        ("Sub", ["value", "this_season"], "adjusted"),
        ("Sub", ["adjusted", "level"], "surprise"),
        ("Mul", ["level_rate", "surprise"], "level_change"),
        ("Add", ["level", "level_change"], "next_level"),
        ("Sub", ["adjusted", "next_level"], "remainder"),
        ("Mul", ["season_rate", "remainder"], "season_change"),
        ("Add", ["this_season", "season_change"], "renewed"),
        ("Concat", ["others", "renewed"], "next_seasons"),
    ]
    own = {*inputs, *(output for _, _, output in nodes)}

    def named(name: str) -> str:
        return f"{prefix}_{name}" if name in own else name

    def declared(values: dict[str, int]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(named(name), TensorProto.FLOAT, [size, None]) for name, size in values.items()
        ]

    made = [helper.make_node(kind, [named(name) for name in names], [named(output)]) for kind, names, output in nodes]
    made[-1].attribute.append(helper.make_attribute("axis", 0))
    return helper.make_graph(made, prefix, declared(inputs), declared(outputs))


def _start(graph: Graph, season: int, values: str, known: str) -> tuple[str, str]:
    """Level and season before the first step. Shapes: values, known (time, batch) -> (1, batch), (season, batch)."""
    one, zero = graph.constant(1.0), graph.constant(0.0)
    begun = _float(graph, graph.add("Greater", _running_sum(graph, known), zero))
    age = graph.add("Sub", _running_sum(graph, begun), one)
    early = _float(graph, graph.add("Less", age, graph.constant(FIRST_SEASONS * season)))
    early = graph.add("Mul", known, early)
    pairs = graph.add("Mul", *_season_apart(graph, early, season))
    rises = graph.add("Sub", *_season_apart(graph, values, season))
    rise = _sum(graph, graph.add("Mul", pairs, rises))
    many = graph.add("Max", _sum(graph, pairs), one)
    slope = graph.add("Div", rise, graph.add("Mul", graph.constant(season), many))
    flat = graph.add("Mul", early, graph.add("Sub", values, graph.add("Mul", slope, age)))
    places = _places(graph, season, values)
    counts = graph.add("MatMul", places, early)
    means = graph.add("Div", graph.add("MatMul", places, flat), graph.add("Max", counts, one))
    seen = _float(graph, graph.add("Greater", counts, zero))
    level = graph.add("Div", _sum(graph, means), graph.add("Max", _sum(graph, seen), one))
    return level, graph.add("Mul", seen, graph.add("Sub", means, level))


def _places(graph: Graph, season: int, inputs: str) -> str:
    """1.0 where a step is at a place in the season. Shapes: inputs (time, ...) -> (season, time)."""
    steps = graph.add("Mod", every_step(graph, inputs), graph.constant(season, np.int64))
    return _float(graph, graph.add("Equal", graph.constant(np.arange(season)[:, None], np.int64), steps))


def _season_apart(graph: Graph, inputs: str, season: int) -> tuple[str, str]:
    """The steps that have another one a season before, and those before."""
    return part(graph, inputs, season, TO_THE_END, axis=0), part(graph, inputs, 0, -season, axis=0)


def _running_sum(graph: Graph, inputs: str) -> str:
    return graph.add("CumSum", inputs, graph.constant(0, np.int64))


def _sum(graph: Graph, inputs: str) -> str:
    return graph.add("ReduceSum", inputs, axes(graph, 0), keepdims=1)


def _float(graph: Graph, condition: str) -> str:
    return graph.add("Cast", condition, to=TensorProto.FLOAT)
