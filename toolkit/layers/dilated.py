"""Recurrent layers that look back over longer and longer steps."""

from functools import partial

import keras
from keras import ops

from toolkit.layers.recurrent import LAYERS, NORMALIZATIONS, recur, require
from toolkit.layers.sequence import Tensor


@keras.saving.register_keras_serializable(package="seqloom")
class DilatedEncoder(keras.layers.Layer):
    """Recurrent layers of which each looks back twice as far as the one before; gives their last state.

        h[l,t] = cell_l(x[l,t], h[l,t-d])   d = 2^l: 1, 2, 4, ...; zero before the first step
        y[l,t] = h[l,t] + x[l,t]            residual, from the second layer on
        x[l+1,t] = dropout(norm(y[l,t]))

    The last state depends on every d-th step of layer l only, counted from the last one. These alone are computed: each
    layer is a plain recurrence over every second output of the one below, which is exact and keeps the fused kernels.

    Sequences are padded on the left, so that all end at the last step; padding is read like any other step.
    Shapes: inputs (batch, time, features) -> (batch, units), the last layer at the last step
    Reference: Chang et al. 2017, arXiv:1710.02224, 2.1 and 2.2; residual Kim et al. 2017, arXiv:1701.03360
    """

    def __init__(
        self, *, cell: str, units: int, layers: int, normalization: str, dropout: float, variational: bool, **kwargs
    ):
        super().__init__(**kwargs)
        require("cell", cell, LAYERS)
        require("normalization", normalization, NORMALIZATIONS)
        self.units = units
        names = [f"layer{i}" for i in range(layers)]
        policy = {"dtype": self.dtype_policy}
        recurrent = partial(LAYERS[cell], units, return_sequences=True, **policy)
        norm = partial(keras.layers.LayerNormalization, epsilon=1e-5, **policy)
        drop = partial(keras.layers.Dropout, dropout, noise_shape=(None, 1, None) if variational else None, **policy)
        self.recurrent_layers = [recurrent(name=name) for name in names]
        self.norms = [norm(name=f"{name}_norm") for name in names if normalization == "layer"]
        self.dropouts = [drop(name=f"{name}_dropout") for name in names[1:]]

    def build(self, inputs_shape):
        batch, time, features = inputs_shape
        for i, layer in enumerate(self.recurrent_layers):
            layer.build((batch, time, self.units if i else features))
        for norm in self.norms:
            norm.build((batch, time, self.units))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        outputs = inputs
        for i, layer in enumerate(self.recurrent_layers):
            if i:
                every_second = outputs[:, (ops.shape(outputs)[1] - 1) % 2 :: 2]
                outputs = self.dropouts[i - 1](every_second, training=training)
            states, _ = recur(layer, outputs)
            outputs = states + outputs if i else states
            if self.norms:
                outputs = self.norms[i](outputs)
        return outputs[:, -1]

    def compute_output_shape(self, inputs_shape):
        return (inputs_shape[0], self.units)
