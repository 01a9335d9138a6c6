"""Decoders that give a whole horizon at once, and quantiles that cannot cross."""

import keras
import numpy as np
from keras import ops

from toolkit.layers.attention import LuongAttention
from toolkit.layers.recurrent import recur
from toolkit.layers.sequence import Tensor


@keras.saving.register_keras_serializable(package="seqloom")
class ParallelDecoder(keras.layers.Layer):
    """One recurrent step from the encoder's state to every part of the horizon, all at the same time.

        s[b,j] = GRU(query[b,j], state[b])

    Errors do not add up along the horizon, as they do when each step reads the one before.
    Shapes: queries (batch, horizon, features); state (batch, units) -> (batch, horizon, units)
    Reference: Lin et al. 2023 (SegRNN), arXiv:2308.11200, 3.2, parallel multi-step forecasting
    """

    def __init__(self, *, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.cell = keras.layers.GRUCell(units, dtype=self.dtype_policy, name="cell")

    def build(self, queries_shape, state_shape=None):
        self.cell.build((None, queries_shape[-1]))

    def call(self, queries: Tensor, state: Tensor) -> Tensor:
        batch, parts, features = ops.shape(queries)
        states = ops.repeat(state, parts, axis=0)
        outputs, _ = self.cell(ops.reshape(queries, (-1, features)), [states])
        return ops.reshape(outputs, (batch, parts, self.units))

    def compute_output_shape(self, queries_shape, state_shape=None):
        return (*queries_shape[:-1], self.units)


@keras.saving.register_keras_serializable(package="seqloom")
class AttentionDecoder(keras.layers.Layer):
    """A GRU along the horizon that looks back at the whole past from each part of it.

        s[b,j] = GRU(query[b,j], s[b,j-1]),  s[b,-1] = state[b]
        c[b,j] = attention(s[b,j], memory[b])
        o[b,j] = tanh(W [s[b,j]; c[b,j]])

    It reads what is known about the future, not its own outputs, so errors do not add up.
    Shapes: queries (batch, horizon, features); state (batch, units); memory (batch, time, width); lengths (batch,) ->
        (batch, horizon, units)
    Reference: Luong et al. 2015, arXiv:1508.04025, eq. 5, attention computed after the recurrent step
    """

    def __init__(self, *, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        policy = {"dtype": self.dtype_policy}
        self.recurrent = keras.layers.GRU(units, return_sequences=True, name="recurrent", **policy)
        self.attention = LuongAttention(kind="general", name="attention", **policy)
        self.combine = keras.layers.Dense(units, activation="tanh", name="combine", **policy)

    def build(self, queries_shape, state_shape=None, memory_shape=None, lengths_shape=None):
        states = (*queries_shape[:-1], self.units)
        self.recurrent.build(queries_shape)
        self.attention.build(states, memory_shape)
        self.combine.build((*states[:-1], self.units + memory_shape[-1]))

    def call(self, queries: Tensor, state: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        states, _ = recur(self.recurrent, queries, initial_state=[state])
        context, _ = self.attention(states, memory, lengths)
        return self.combine(ops.concatenate([states, context], axis=-1))

    def compute_output_shape(self, queries_shape, state_shape=None, memory_shape=None, lengths_shape=None):
        return (*queries_shape[:-1], self.units)


@keras.saving.register_keras_serializable(package="seqloom")
class QuantileHead(keras.layers.Layer):
    """Quantiles of `steps` values from one feature vector; they cannot cross.

        a = W x + b, one number for each step and level
        q[median] = a[median]
        q[k] = q[k-1] + softplus(a[k]) above the median, q[k] = q[k+1] - softplus(a[k]) below it

    Shapes: (..., features) -> (..., steps, levels)
    Reference: increments made positive as in Gasthaus et al. 2019 (spline quantile functions), AISTATS, 3.1
    """

    def __init__(self, *, steps: int, levels: int, median: int, **kwargs):
        super().__init__(**kwargs)
        self.steps, self.levels, self.median = steps, levels, median
        self.projection = keras.layers.Dense(
            steps * levels, bias_initializer=self._narrow, dtype=self.dtype_policy, name="projection"
        )

    def build(self, inputs_shape):
        self.projection.build(inputs_shape)

    def call(self, inputs: Tensor) -> Tensor:
        shape = (*ops.shape(inputs)[:-1], self.steps, self.levels)
        raw = ops.reshape(self.projection(inputs), shape)
        median = raw[..., self.median : self.median + 1]
        return median + ops.matmul(ops.softplus(raw), ops.convert_to_tensor(self.increments, dtype=raw.dtype))

    @property
    def increments(self) -> np.ndarray:
        """How each level adds up of the increments; the median's own has no part. Shapes: -> (levels, levels)."""
        above = np.triu(np.ones((self.levels, self.levels)))
        below = -np.tril(np.ones((self.levels, self.levels)))
        above[: self.median + 1] = below[self.median :] = 0
        return (above + below).astype(np.float32)

    def _narrow(self, shape, dtype=None) -> Tensor:
        """Biases for quantiles that start near each other: softplus(-2) is 0.13."""
        bias = np.full((self.steps, self.levels), -2.0, np.float32)
        bias[:, self.median] = 0
        return ops.convert_to_tensor(bias.reshape(shape), dtype=dtype)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.steps, self.levels)
