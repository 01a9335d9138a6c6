"""From one vector a step to one vector a sequence."""

from collections.abc import Sequence

import keras
from keras import ops

from toolkit.layers.sequence import Tensor, sequence_mask, zero_padding

POOLINGS = ("last", "mean", "max", "attention")


@keras.saving.register_keras_serializable(package="seqloom")
class SequencePooling(keras.layers.Layer):
    """Concatenates one or more summaries of a sequence.

        last       final[b], the encoder's state at the row's own ends
        mean       sum_t inputs[b,t] / length
        max        max_t inputs[b,t]
        attention  sum_t a[b,t] inputs[b,t],  a = softmax over real steps of v . tanh(W inputs[b,t] + c)

    Only steps before each row's length are read; an empty row gives zeros.

    Shapes: inputs (batch, time, features); lengths (batch,); final (batch, width), for `last` only
        -> (batch, sum of the sizes)
    Reference: attention as Yang et al. 2016, Hierarchical Attention Networks, eq. 5-7
    """

    def __init__(self, *, kinds: Sequence[str], **kwargs):
        super().__init__(**kwargs)
        unknown = [kind for kind in kinds if kind not in POOLINGS]
        if unknown or not kinds:
            raise ValueError(f"kinds is {list(kinds)}, expected one or more of {', '.join(POOLINGS)}.")
        self.kinds = tuple(kinds)
        if "attention" in kinds:
            self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")

    def build(self, inputs_shape, lengths_shape=None, final_shape=None):
        if "attention" in self.kinds:
            features = inputs_shape[-1]
            self.projection = keras.layers.Dense(
                features, activation="tanh", dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(inputs_shape)
            self.score.build(inputs_shape)

    def call(self, inputs: Tensor, lengths: Tensor, final: Tensor | None = None) -> Tensor:
        pool = {"last": lambda *_: final, "mean": self._mean, "max": self._max, "attention": self._attention}
        return ops.concatenate([pool[kind](inputs, lengths) for kind in self.kinds], axis=-1)

    def attention_weights(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Shapes: inputs (batch, time, features); lengths (batch,) -> (batch, time), zero on padding."""
        scores = ops.squeeze(self.score(self.projection(inputs)), axis=-1)
        mask = sequence_mask(lengths, ops.shape(inputs)[1])
        scores = ops.where(mask, ops.cast(scores, "float32"), -1e9)
        return ops.where(mask, ops.softmax(scores, axis=-1), 0.0)

    def _mean(self, inputs, lengths):
        # Sums of half precision stop growing: 2048 + 1 is 2048.
        count = ops.cast(ops.expand_dims(ops.maximum(lengths, 1), 1), "float32")
        total = ops.sum(ops.cast(zero_padding(inputs, lengths), "float32"), axis=1)
        return ops.cast(total / count, inputs.dtype)

    def _max(self, inputs, lengths):
        mask = ops.expand_dims(sequence_mask(lengths, ops.shape(inputs)[1]), 2)
        # -6e4 is below any state and still a float16.
        states = ops.where(mask, inputs, ops.cast(-6e4, inputs.dtype))
        if keras.backend.backend() == "jax":
            # The gradient of `max` looks for what equals it, where XLA may compute both anew and round them otherwise.
            places = ops.argmax(states, axis=1, keepdims=True)
            largest = ops.take_along_axis(states, places, axis=1)[:, 0]
        else:
            largest = ops.max(states, axis=1)
        return ops.where(ops.expand_dims(lengths > 0, 1), largest, ops.zeros((), dtype=inputs.dtype))

    def _attention(self, inputs, lengths):
        weights = ops.expand_dims(self.attention_weights(inputs, lengths), 2)
        return ops.cast(ops.sum(weights * ops.cast(inputs, "float32"), axis=1), inputs.dtype)

    def compute_output_shape(self, inputs_shape, lengths_shape=None, final_shape=None):
        return inputs_shape[0], sum(final_shape[-1] if kind == "last" else inputs_shape[-1] for kind in self.kinds)
