"""The hybrid of exponential smoothing and a dilated recurrent network, and the same as an ONNX graph."""

import keras
import numpy as np
from keras import ops

from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan, feature_counts
from toolkit import export
from toolkit.layers import DilatedEncoder, ExponentialSmoothing, QuantileHead


class SmoothingNetwork(keras.Model):
    """Exponential smoothing gives level and season; a network reads what is left and corrects their forecast.

        rest, level, season = smoothing(values)            rates of each series' own
        state = encoder([rest; missing; covariates])
        o = tanh(W [state; future; statics; vector of the series] + b)
        quantiles of step j = level + season[j] + head(dropout(o))[j]

    Shapes: inputs as `make_inputs` gives them, padded on the left -> (batch, horizon, levels), normalised
    Reference: Smyl 2020, doi:10.1016/j.ijforecast.2019.03.017
    """

    def __init__(self, config: Config, plan: Plan, **kwargs):
        super().__init__(**kwargs)
        units, model = config.encoder.units, config.model
        self.horizon, self.parts = plan.horizon, plan.parts
        self.features = feature_counts(plan)
        self.places = np.arange(plan.horizon) % plan.season
        # Half precision would lose what little a level changes from step to step.
        self.smoothing = ExponentialSmoothing(
            series=len(plan.ids), season=plan.season, dtype="float32", name="smoothing"
        )
        settings = config.encoder.model_dump(exclude={"bidirectional", "residual"})
        self.encoder = DilatedEncoder(**settings, name="encoder")
        self.vectors = None
        if model.series_vectors:
            self.vectors = keras.layers.Embedding(len(plan.ids) + 1, model.series_vectors, name="vectors")
        self.hidden = keras.layers.Dense(units, activation="tanh", name="hidden")
        self.dropout = keras.layers.Dropout(model.dropout)
        self.head = QuantileHead(
            steps=plan.horizon, levels=len(plan.levels), median=plan.median, dtype="float32", name="head"
        )

    def build(self, inputs_shape=None):
        self.built = True  # layers are built by their first call

    def call(self, inputs, training: bool = False):
        steps = inputs["segments"]
        rest, level, seasons = self.smoothing(steps[:, :, 0], 1 - steps[:, :, 1], inputs["series"])
        left = ops.concatenate([ops.expand_dims(rest, 2), steps[:, :, 1:]], axis=2)
        features = [self.encoder(left, training=training), *self._context(inputs)]
        hidden = self.hidden(ops.concatenate(features, axis=-1))
        corrections = self.head(self.dropout(hidden, training=training))  # (batch, horizon, levels)
        smoothed = level + ops.take(seasons, self.places, axis=1)
        return ops.expand_dims(smoothed, 2) + corrections

    def _context(self, inputs) -> list:
        """What is known beside the past. Shapes: each (batch, n)."""
        context = []
        if self.features["future"]:
            context.append(ops.reshape(inputs["future"], (-1, self.parts * self.features["future"])))
        if self.features["statics"]:
            context.append(inputs["statics"])
        return context + ([] if self.vectors is None else [self.vectors(inputs["series"])])


def add_smoothing_network(graph: export.Graph, network: SmoothingNetwork) -> str:
    """Shapes: -> (batch, horizon, levels)."""
    steps = graph.add("Transpose", "segments", perm=[1, 0, 2])
    values, missing = (graph.add("Gather", steps, graph.constant(i, np.int64), axis=2) for i in range(2))
    known = graph.add("Sub", graph.constant(1.0), missing)
    rest, level, seasons = export.exponential_smoothing(graph, network.smoothing, values, known, "series")
    others = export.part(graph, steps, 1, network.features["past"], axis=2)
    rest = graph.add("Unsqueeze", rest, graph.constant([2], np.int64))
    left = graph.add("Concat", rest, others, axis=2)
    features = [export.dilated_encoder(graph, network.encoder, left), *_add_context(graph, network)]
    hidden = export.dense(graph, network.hidden, graph.add("Concat", *features, axis=-1))
    first = graph.constant([0], np.int64)
    corrections = export.quantile_head(graph, network.head, graph.add("Unsqueeze", hidden, first))
    smoothed = graph.add("Gather", seasons, graph.constant(network.places, np.int64), axis=0)
    smoothed = graph.add("Transpose", graph.add("Add", smoothed, level), perm=[1, 0])
    smoothed = graph.add("Unsqueeze", smoothed, graph.constant([2], np.int64))
    return graph.add("Add", smoothed, graph.add("Squeeze", corrections, first))


def _add_context(graph: export.Graph, network: SmoothingNetwork) -> list[str]:
    context = []
    if network.features["future"]:
        width = network.parts * network.features["future"]
        context.append(graph.add("Reshape", "future", graph.constant([0, width], np.int64)))
    if network.features["statics"]:
        context.append("statics")
    if network.vectors is not None:
        context.append(graph.add("Gather", graph.constant(np.asarray(network.vectors.embeddings)), "series"))
    return context
