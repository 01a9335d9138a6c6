"""Long sequences read in independent pieces of one size, as further rows of the batch."""

import keras
from keras import ops

from toolkit.layers.encoders import Encoder
from toolkit.layers.sequence import Tensor, counted


@keras.saving.register_keras_serializable(package="seqloom")
class SegmentedEncoder(keras.layers.Layer):
    """An encoder that starts anew every `size` steps.

    Pieces of a long text become rows of one batch, so that a text of 400 words costs 64 steps and not 400. States do
    not see past the borders of their piece.

    Shapes: inputs (batch, n * size, features); lengths (batch,) -> (batch, n * size, width), zero on padding
    """

    def __init__(self, *, encoder: Encoder, size: int, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.size = encoder, size

    def build(self, inputs_shape, lengths_shape=None):
        if not self.encoder.built:
            self.encoder.build((None, self.size, inputs_shape[-1]))

    def call(self, inputs: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        pieces, piece_lengths = split_segments(inputs, lengths, self.size)
        outputs, _ = self.encoder(pieces, piece_lengths, training=training)
        return ops.reshape(outputs, (ops.shape(inputs)[0], ops.shape(inputs)[1], self.encoder.width))

    def compute_output_shape(self, inputs_shape, lengths_shape=None):
        return (*inputs_shape[:2], self.encoder.width)

    def get_config(self) -> dict:
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder, "size": self.size}

    @classmethod
    def from_config(cls, config: dict) -> "SegmentedEncoder":
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})


def split_segments(inputs: Tensor, lengths: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cut the time axis into pieces of `size` steps.

    Shapes: inputs (batch, n * size, features); lengths (batch,) ->
        (batch * n, size, features); lengths of the pieces (batch * n,), 0 where a piece is all padding
    """
    features = inputs.shape[2]
    starts = ops.arange(0, ops.shape(inputs)[1], size, dtype="int32")
    pieces = ops.clip(ops.expand_dims(counted(lengths), 1) - ops.expand_dims(starts, 0), 0, size)
    return ops.reshape(inputs, (-1, size, features)), ops.reshape(pieces, (-1,))
