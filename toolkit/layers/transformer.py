"""The Transformer encoder, whose steps look at one another instead of at what came before."""

import keras
import numpy as np
from keras import ops

from toolkit.layers.pooling import SequencePooling
from toolkit.layers.sequence import Tensor, sequence_mask, zero_padding

HEAD_UNITS = 32  # the fewest of a head, where there are several
EXPANSION = 4  # units of the hidden layer for each unit


@keras.saving.register_keras_serializable(package="seqloom")
class TransformerEncoder(keras.layers.Layer):
    """Stacked blocks of self-attention; the order of the steps is told by waves that are added to them.

        x[0]          = sqrt(units) (W inputs + b) + waves         W and b only where there are not `units` features
        x[l]          = block(x[l-1])
        outputs       = norm(x[layers])
        waves[t,2i]   = sin(t / 10000^(2i / units))
        waves[t,2i+1] = cos(t / 10000^(2i / units))

    Padding is made zero before anything is computed, and no real step looks at it.

    Shapes: inputs (batch, time, features); lengths (batch,) integers ->
        outputs (batch, time, units), zero past each length; final (batch, units), their mean over the real steps, as
        no step has read the others in order; an empty row gives zeros
    Reference: Vaswani et al. 2017, arXiv:1706.03762, 3.1, 3.4 and 3.5; normalised before each part and once at the end
        as Xiong et al. 2020, arXiv:2002.04745, figure 1 (b)
    """

    def __init__(self, *, units: int, layers: int, dropout: float, variational: bool, **kwargs):
        super().__init__(**kwargs)
        self.width = units
        policy = {"dtype": self.dtype_policy}
        self.projection: keras.layers.Dense | None = None
        self.blocks = [
            TransformerBlock(units=units, dropout=dropout, variational=variational, name=f"layer{i}", **policy)
            for i in range(layers)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", **policy)
        self.mean = SequencePooling(kinds=["mean"], name="mean", **policy)

    def build(self, inputs_shape, lengths_shape=None):
        batch, time, features = inputs_shape
        shape = (batch, time, self.width)
        if features != self.width:
            self.projection = keras.layers.Dense(self.width, name="projection", dtype=self.dtype_policy)
            self.projection.build(inputs_shape)
        for layer in (*self.blocks, self.norm, self.mean):
            layer.build(shape)

    def call(self, inputs: Tensor, lengths: Tensor, training: bool = False):
        time = ops.shape(inputs)[1]
        steps = zero_padding(inputs, lengths)
        steps = steps if self.projection is None else self.projection(steps)
        steps = steps * self.width**0.5 + ops.cast(waves(time, self.width), steps.dtype)
        # An empty row looks at its first step: a softmax over nothing is not a number on every backend.
        real = ops.expand_dims(sequence_mask(ops.maximum(lengths, 1), time), 1)
        for block in self.blocks:
            steps = block(steps, real, training=training)
        outputs = zero_padding(self.norm(steps), lengths)
        return outputs, self.mean(outputs, lengths)

    def compute_output_shape(self, inputs_shape, lengths_shape=None):
        batch, time, _ = inputs_shape
        return (batch, time, self.width), (batch, self.width)


@keras.saving.register_keras_serializable(package="seqloom")
class TransformerBlock(keras.layers.Layer):
    """Self-attention, then a dense network for each step; both add to what they read.

        y = inputs + dropout(attention(norm(inputs)))
        outputs = y + dropout(W' relu(W norm(y) + b) + b')                     W: units -> 4 units, W': and back
        attention(x)[t] = U [head 1; head 2; ...] + c
        head            = sum over real s of softmax(q[t] . k[s] / sqrt(size)) v[s]        q, k, v dense layers of x

    Shapes: inputs (batch, time, units); real (batch, 1, time), True at steps to look at -> (batch, time, units)
    Reference: Vaswani et al. 2017, arXiv:1706.03762, eq. 1-2, 3.2.2 and 5.4
    """

    def __init__(self, *, units: int, dropout: float, variational: bool, **kwargs):
        super().__init__(**kwargs)
        heads, policy = heads_of(units), {"dtype": self.dtype_policy}
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="attention_norm", **policy)
        self.attention = keras.layers.MultiHeadAttention(heads, units // heads, name="attention", **policy)
        self.dense_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="dense_norm", **policy)
        self.hidden = keras.layers.Dense(EXPANSION * units, activation="relu", name="hidden", **policy)
        self.projection = keras.layers.Dense(units, name="projection", **policy)
        noise = (None, 1, None) if variational else None
        self.dropout = keras.layers.Dropout(dropout, noise_shape=noise, name="dropout", **policy)

    def build(self, inputs_shape, real_shape=None):
        self.attention.build(inputs_shape, inputs_shape)
        for layer in (self.attention_norm, self.dense_norm, self.hidden):
            layer.build(inputs_shape)
        self.projection.build(self.hidden.compute_output_shape(inputs_shape))

    def call(self, inputs: Tensor, real: Tensor, training: bool = False) -> Tensor:
        normed = self.attention_norm(inputs)
        attended = self.attention(normed, normed, attention_mask=real)
        outputs = inputs + self.dropout(attended, training=training)
        changed = self.projection(self.hidden(self.dense_norm(outputs)))
        return outputs + self.dropout(changed, training=training)

    def compute_output_shape(self, inputs_shape, real_shape=None):
        return inputs_shape


def heads_of(units: int) -> int:
    """As many heads of one size as have at least 32 units each, or else one."""
    return next(heads for heads in range(max(units // HEAD_UNITS, 1), 0, -1) if units % heads == 0)


def wave_rates(units: int) -> np.ndarray:
    """How far the wave of each unit goes on from step to step, in radians. Shapes: -> (units,)."""
    return (10000.0 ** -(np.arange(units) // 2 * 2 / units)).astype(np.float32)


def waves(time: int | Tensor, units: int) -> Tensor:
    """Sines at even units and cosines at odd ones. Shapes: -> (time, units) float32."""
    steps = ops.expand_dims(ops.cast(ops.arange(time), "float32"), 1)
    angles = steps * ops.expand_dims(wave_rates(units), 0)
    return ops.where(np.arange(units) % 2 == 0, ops.sin(angles), ops.cos(angles))
