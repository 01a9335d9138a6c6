"""The network, its loss, and the same network as an ONNX graph."""

import keras
import numpy as np
import onnx
from keras import ops

from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan, feature_counts
from pipelines.forecasting.smoothing import SmoothingNetwork, add_smoothing_network
from toolkit import export
from toolkit.layers import AttentionDecoder, ParallelDecoder, QuantileHead, build_encoder


class ForecastNetwork(keras.Model):
    """Segments of the past through the shared encoder, and a decoder that gives the whole horizon at once.

        x[n] = relu(W segment[n] + b)                      the segment itself where it is a single step
        h, final = encoder(x)                              final: tanh(U final + c) where its size is not `units`
        query[j] = position[j] + V [future[j]; statics; vector of the series]
        o[j] = decoder(query[j], final)                    direct: one o = [final; relu(V [final; future; ...] + d)]
        quantiles of segment j = head(dropout(o[j]))

    Shapes: inputs as `make_inputs` gives them -> (batch, horizon, levels), normalised
    Reference: segments and the parallel decoder: Lin et al. 2023 (SegRNN), arXiv:2308.11200
    """

    def __init__(self, config: Config, plan: Plan, **kwargs):
        super().__init__(**kwargs)
        units, model = config.encoder.units, config.model
        self.kind, self.horizon, self.parts = model.network, plan.horizon, plan.parts
        self.features = feature_counts(plan)
        self.projection = keras.layers.Dense(units, activation="relu", name="projection") if plan.segment > 1 else None
        self.encoder = build_encoder(**config.encoder.model_dump(), name="encoder")
        self.vectors = None
        if plan.ids:
            self.vectors = keras.layers.Embedding(len(plan.ids) + 1, model.series_vectors, name="vectors")
        self.bridge = None
        if self.encoder.width != units:
            self.bridge = keras.layers.Dense(units, activation="tanh", name="bridge")
        if self.kind == "direct":
            self.hidden = keras.layers.Dense(units, activation="relu", name="hidden")
        else:
            self.positions = keras.layers.Embedding(plan.parts, units, name="positions")
            self.condition = keras.layers.Dense(units, use_bias=False, name="condition")
            decoder = AttentionDecoder if self.kind == "attention" else ParallelDecoder
            self.decoder = decoder(units=units, name="decoder")
        self.dropout = keras.layers.Dropout(model.dropout)
        steps = plan.horizon if self.kind == "direct" else plan.segment
        self.head = QuantileHead(steps=steps, levels=len(plan.levels), median=plan.median, dtype="float32", name="head")

    def build(self, inputs_shape=None):
        self.built = True  # layers are built by their first call

    def call(self, inputs, training: bool = False):
        segments, lengths = inputs["segments"], inputs["lengths"]
        steps = segments if self.projection is None else self.projection(segments)
        memory, final = self.encoder(steps, lengths, training=training)
        state = final if self.bridge is None else self.bridge(final)
        if self.kind == "direct":
            parts = self._direct(inputs, state)
        elif self.kind == "attention":
            parts = self.decoder(self._queries(inputs), state, memory, lengths)
        else:
            parts = self.decoder(self._queries(inputs), state)
        outputs = self.head(self.dropout(parts, training=training))  # (batch, parts, steps, levels)
        outputs = ops.reshape(outputs, (ops.shape(outputs)[0], -1, outputs.shape[-1]))
        return outputs[:, : self.horizon]

    def _context(self, inputs) -> list:
        """What is known of a series beside its past. Shapes: each (batch, n)."""
        context = [inputs["statics"]] if self.features["statics"] else []
        return context + ([] if self.vectors is None else [self.vectors(inputs["series"])])

    def _direct(self, inputs, state):
        features = [state, *self._context(inputs)]
        if self.features["future"]:
            future = inputs["future"]
            features.append(ops.reshape(future, (-1, self.parts * self.features["future"])))
        outputs = ops.concatenate([state, self.hidden(ops.concatenate(features, axis=-1))], axis=-1)
        return ops.expand_dims(outputs, 1)

    def _queries(self, inputs):
        batch = ops.shape(inputs["lengths"])[0]
        positions = ops.expand_dims(self.positions(ops.arange(self.parts)), 0)
        context = [ops.repeat(ops.expand_dims(each, 1), self.parts, axis=1) for each in self._context(inputs)]
        if self.features["future"]:
            context.append(inputs["future"])
        if not context:
            return ops.repeat(positions, batch, axis=0)
        return positions + self.condition(ops.concatenate(context, axis=-1))


Network = ForecastNetwork | SmoothingNetwork


def build(config: Config, plan: Plan) -> Network:
    """A network with fresh weights."""
    network = SmoothingNetwork(config, plan) if plan.network == "smoothing" else ForecastNetwork(config, plan)
    sizes = {"batch": 1, "time": plan.history // plan.segment}
    inputs = {}
    for name, shape in _input_shapes(network).items():
        one = [sizes[each] if isinstance(each, str) else each for each in shape]
        inputs[name] = np.ones(one, np.int32 if len(one) == 1 else np.float32)
    network(inputs)
    return network


def _input_shapes(network: Network) -> dict[str, list[str | int]]:
    """What a network reads; see `make_inputs`."""
    sizes = network.features
    shapes: dict[str, list[str | int]] = {"segments": ["batch", "time", sizes["past"]]}
    if isinstance(network, ForecastNetwork):
        shapes["lengths"] = ["batch"]
    if sizes["future"]:
        shapes["future"] = ["batch", network.parts, sizes["future"]]
    if sizes["statics"]:
        shapes["statics"] = ["batch", sizes["statics"]]
    if isinstance(network, SmoothingNetwork) or network.vectors is not None:
        shapes["series"] = ["batch"]
    return shapes


def pinball_loss(levels: tuple[float, ...]):
    """Mean over levels of (y - q) * level where y is above, (q - y) * (1 - level) where it is below.

    Shapes: targets (batch, horizon, 1); outputs (batch, horizon, levels) -> (batch, horizon)
    Reference: Koenker & Bassett 1978, eq. 3.1; doubled, so that the median's part is the absolute error
    """
    taus = np.array(levels, np.float32)

    def loss(targets, outputs):
        errors = targets - outputs
        return 2 * ops.mean(ops.maximum(taus * errors, (taus - 1) * errors), axis=-1)

    return loss


def mean_loss(levels: tuple[float, ...]):
    """Weight times the squared error of what stands in the place of the median, which so becomes the mean, and the
    pinball loss of all other levels, which learn how far from it they are and do not move it.

    Shapes: targets (batch, horizon, 2), values and their weights; outputs (batch, horizon, levels) -> (batch, horizon)
    """
    place = levels.index(0.5)
    others = [each for each in range(len(levels)) if each != place]
    pinball = pinball_loss(tuple(levels[each] for each in others))

    def loss(targets, outputs):
        values, weights = targets[..., :1], targets[..., 1]
        mean = outputs[..., place : place + 1]
        around = ops.take(outputs, others, axis=-1) - mean + ops.stop_gradient(mean)
        return weights * ops.square(values - mean)[..., 0] + pinball(values, around)

    return loss


def loss_of(plan: Plan):
    """What a network is fitted by, of targets as it is trained on."""
    return pinball_loss(plan.levels) if plan.point == "median" else mean_loss(plan.levels)


def to_onnx(networks: list[Network]) -> onnx.ModelProto:
    """All networks as one graph; outputs quantiles (batch, horizon, levels), the mean of theirs."""
    graph, first = export.Graph(), networks[0]
    outputs = [_add_network(graph, network) for network in networks]
    graph.name(graph.add("Mean", *outputs), "quantiles")
    shape: list[str | int] = ["batch", first.horizon, first.head.levels]
    return graph.model(_input_shapes(first), {"quantiles": shape}, floats=("segments", "future", "statics"))


def _add_network(graph: export.Graph, network: Network) -> str:
    if isinstance(network, SmoothingNetwork):
        return add_smoothing_network(graph, network)
    steps = graph.add("Transpose", "segments", perm=[1, 0, 2])
    if network.projection is not None:
        steps = export.dense(graph, network.projection, steps)
    memory, final = export.encoder(graph, network.encoder, steps, "lengths")
    state = final if network.bridge is None else export.dense(graph, network.bridge, final)
    context = ["statics"] if network.features["statics"] else []
    if network.vectors is not None:
        context.append(graph.add("Gather", graph.constant(np.asarray(network.vectors.embeddings)), "series"))
    if network.kind == "direct":
        parts = _add_direct(graph, network, state, context)
    elif network.kind == "attention":
        queries = _add_queries(graph, network, context)
        parts = export.attention_decoder(graph, network.decoder, queries, state, memory, "lengths")
    else:
        parts = export.parallel_decoder(graph, network.decoder, _add_queries(graph, network, context), state)
    outputs = export.quantile_head(graph, network.head, parts)  # (parts, batch, steps, levels)
    outputs = graph.add("Transpose", outputs, perm=[1, 0, 2, 3])
    outputs = graph.add("Reshape", outputs, graph.constant([0, -1, network.head.levels], np.int64))
    return export.part(graph, outputs, 0, network.horizon, axis=1)


def _add_direct(graph: export.Graph, network: ForecastNetwork, state: str, context: list[str]) -> str:
    features = [state, *context]
    if network.features["future"]:
        width = network.parts * network.features["future"]
        features.append(graph.add("Reshape", "future", graph.constant([0, width], np.int64)))
    hidden = export.dense(graph, network.hidden, graph.add("Concat", *features, axis=-1))
    outputs = graph.add("Concat", state, hidden, axis=-1)
    return graph.add("Unsqueeze", outputs, graph.constant([0], np.int64))


def _add_queries(graph: export.Graph, network: ForecastNetwork, context: list[str]) -> str:
    """Shapes: -> (parts, batch, units)."""
    positions = graph.constant(np.asarray(network.positions.embeddings)[:, None, :])
    batch = graph.add("Shape", "lengths")
    parts = graph.constant([network.parts], np.int64)
    features = [
        graph.add(
            "Expand",
            graph.add("Unsqueeze", each, graph.constant([0], np.int64)),
            graph.add("Concat", parts, graph.add("Shape", each), axis=0),
        )
        for each in context
    ]
    if network.features["future"]:
        features.append(graph.add("Transpose", "future", perm=[1, 0, 2]))
    if not features:
        units = graph.constant(network.positions.embeddings.shape[1:], np.int64)
        return graph.add("Expand", positions, graph.add("Concat", parts, batch, units, axis=0))
    condition = export.dense(graph, network.condition, graph.add("Concat", *features, axis=-1))
    return graph.add("Add", condition, positions)
