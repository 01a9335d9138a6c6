"""Exponential smoothing of level and season with learned rates."""

import keras
import numpy as np
from keras import ops

from toolkit.layers.sequence import Tensor

FIRST_RATES = (0.5, 0.2, 0.8)  # of level, season and the season's start, before anything is learned
FIRST_SEASONS = 3  # what level and season start from
# Adam moves each weight by about the learning rate a step, which is little for a logit.
SPEED = 5.0


@keras.saving.register_keras_serializable(package="seqloom")
class SmoothingCell(keras.layers.Layer):
    """One step of exponential smoothing; a rate of 0 keeps what there is.

    Shapes: inputs (batch, 3), the value and the rates of level and season; states (batch, 1), the level, and
        (batch, season), the season from this step on -> this step's season (batch, 1); the next states
    """

    def __init__(self, *, season: int, **kwargs):
        super().__init__(**kwargs)
        self.season = season
        self.state_size, self.output_size = [1, season], 1

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False):
        value, level_rate, season_rate = inputs[:, 0:1], inputs[:, 1:2], inputs[:, 2:3]
        level, seasons = states
        season = seasons[:, :1]
        level = level + level_rate * (value - season - level)
        renewed = season + season_rate * (value - season - level)
        return season, [level, ops.concatenate([seasons[:, 1:], renewed], axis=1)]


@keras.saving.register_keras_serializable(package="seqloom")
class ExponentialSmoothing(keras.layers.Layer):
    """Level and season of each row, and what they leave of its values.

        l[t]   = a (z[t] - s[t]) + (1 - a) l[t-1]
        s[t+m] = g (z[t] - l[t]) + (1 - g) s[t]            season 1: s = 0
        a, g, h = sigmoid(5 (shared + own[series]))        own[0] = 0: series that were not trained on
        rest[t] = z[t] - s[t] - l[last]

    A step that is not known changes neither level nor season, and its rest is 0; that holds for padding on the left.
    Level and season start from the values of the first three seasons after the first known step. Their slope is the
    mean change from a step to the one a season later; without it, each place in the season has a mean. The level is the
    mean of those, and the season is h times what they differ by from it, 0 for a place that was not seen. The weight h
    is learned too: where a season is an accident of the first values, there is none to start from.

    Shapes: values, known (batch, time), 1 where a value is known; series (batch,) integers, 1 to `series` or 0 ->
        rest (batch, time); level (batch, 1) at the last step; the coming season (batch, season), its first step first
    Reference: Smyl 2020, doi:10.1016/j.ijforecast.2019.03.017, with sums in place of products; the recursion is that of
        Winters 1960, doi:10.1287/mnsc.6.3.324, without a trend
    """

    def __init__(self, *, series: int, season: int, **kwargs):
        super().__init__(**kwargs)
        self.series, self.season = series, season
        cell = SmoothingCell(season=season, dtype=self.dtype_policy)
        policy = {"dtype": self.dtype_policy}
        self.recursion = keras.layers.RNN(cell, return_sequences=True, return_state=True, name="recursion", **policy)

    def build(self, values_shape, known_shape=None, series_shape=None):
        learned = 1 if self.season == 1 else len(FIRST_RATES)
        self.shared = self.add_weight(name="shared", shape=(learned,), initializer=_first_logits)
        self.own = self.add_weight(name="own", shape=(self.series, learned), initializer="zeros")
        self.recursion.build((*values_shape, 3))

    def call(self, values: Tensor, known: Tensor, series: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rates = self.rates(series)
        steps = ops.stack([values, known * rates[:, 0:1], known * rates[:, 1:2]], axis=-1)
        level, seasons = self._start(values, known)
        season, level, seasons = self.recursion(steps, initial_state=[level, rates[:, 2:3] * seasons])
        return (values - season[:, :, 0] - level) * known, level, seasons

    def rates(self, series: Tensor) -> Tensor:
        """Of level, season and the season's start. Shapes: series (batch,) -> (batch, 3)."""
        own = ops.take(self.own, ops.maximum(series - 1, 0), axis=0)
        own = own * ops.cast(ops.expand_dims(series, 1) > 0, own.dtype)
        rates = ops.cast(ops.sigmoid(SPEED * (self.shared + own)), self.compute_dtype)
        return rates if self.season > 1 else ops.pad(rates, [[0, 0], [0, len(FIRST_RATES) - 1]])

    def _start(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Level and season before the first step, with h = 1. Shapes: -> (batch, 1), (batch, season)."""
        m, dtype = self.season, values.dtype
        age = ops.cumsum(ops.cast(ops.cumsum(known, axis=1) > 0, dtype), axis=1) - 1
        early = known * ops.cast(age < FIRST_SEASONS * m, dtype)
        pairs = early[:, m:] * early[:, :-m]
        rise = ops.sum(pairs * (values[:, m:] - values[:, :-m]), axis=1, keepdims=True)
        slope = rise / (m * ops.maximum(ops.sum(pairs, axis=1, keepdims=True), 1))
        places = ops.expand_dims(ops.arange(ops.shape(values)[1]) % m, 1) == ops.arange(m)
        places = ops.cast(places, dtype)  # (time, season), 1 where a step is at a place in the season
        counts = ops.matmul(early, places)
        means = ops.matmul(early * (values - slope * age), places) / ops.maximum(counts, 1)
        seen = ops.cast(counts > 0, dtype)
        level = ops.sum(means, axis=1, keepdims=True) / ops.maximum(ops.sum(seen, axis=1, keepdims=True), 1)
        return level, seen * (means - level)

    def compute_output_shape(self, values_shape, known_shape=None, series_shape=None):
        return values_shape, (values_shape[0], 1), (values_shape[0], self.season)


def _first_logits(shape, dtype=None) -> Tensor:
    rates = np.array(FIRST_RATES[: shape[0]])
    return ops.convert_to_tensor(np.log(rates / (1 - rates)) / SPEED, dtype=dtype)
