"""The recurrent encoder that all pipelines share."""

from collections.abc import Callable
from functools import partial

import keras
from keras import ops

from toolkit.layers.recurrent import LAYERS, NORMALIZATIONS, recur, require
from toolkit.layers.sequence import Tensor, last_step, zero_padding


@keras.saving.register_keras_serializable(package="seqloom")
class RecurrentEncoder(keras.layers.Layer):
    """Stacked, optionally bidirectional recurrent layers.

        h[l] = cell_l(x[l])                      both directions concatenated
        y[l] = h[l] + x[l]                       residual, from the second layer on, where their widths are the same
        x[l+1] = dropout(norm(y[l]))

    No mask is passed to the cells, which keeps their fused kernels (see `recur`): what they produce past a row's length
    is zero, and the backward direction reads each row reversed inside its own length. Both equal a masked recurrence
    exactly.

    Shapes: inputs (batch, time, features); lengths (batch,) integers ->
        outputs (batch, time, width), zero past each length; final (batch, width), the last layer's states at each
        row's own ends (forward at length - 1, backward at 0); width = units, or 2 * units when the last layer is
        bidirectional. `bidirectional` is True, False or "first": the first layer only
    Reference: LSTM Hochreiter & Schmidhuber 1997; GRU Cho et al. 2014, arXiv:1406.1078; both directions Graves &
        Schmidhuber 2005; residual Wu et al. 2016, arXiv:1609.08144, eq. 6; one dropout mask a sequence Gal &
        Ghahramani 2016, arXiv:1512.05287
    """

    def __init__(
        self,
        *,
        cell: str,
        units: int,
        layers: int,
        bidirectional: bool | str,
        residual: bool,
        normalization: str,
        dropout: float,
        variational: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require("cell", cell, LAYERS)
        require("normalization", normalization, NORMALIZATIONS)
        require("bidirectional", bidirectional, (True, False, "first"))
        both = {False: 0, True: layers, "first": 1}[bidirectional]  # how many layers read from both ends
        self.widths = [2 * units] * both + [units] * (layers - both)
        self.width = self.widths[-1]
        self.residuals = [residual and i > 0 and width == self.widths[i - 1] for i, width in enumerate(self.widths)]
        names = [f"layer{i}" for i in range(layers)]
        policy = {"dtype": self.dtype_policy}
        recurrent = partial(LAYERS[cell], units, return_sequences=True, **policy)
        norm = partial(keras.layers.LayerNormalization, epsilon=1e-5, **policy)
        drop = partial(keras.layers.Dropout, dropout, noise_shape=(None, 1, None) if variational else None, **policy)
        # Not `forward`, which PyTorch calls.
        self.forward_layers = [recurrent(name=f"{name}_forward") for name in names]
        self.backward_layers = [recurrent(name=f"{name}_backward") for name in names[:both]]
        self.norms = [norm(name=f"{name}_norm") for name in names if normalization == "layer"]
        self.dropouts = [drop(name=f"{name}_dropout") for name in names[1:]]
        # From the first layer's inputs and lengths: see `nudged`.
        self.nudge: Callable[[Tensor, Tensor], Tensor] | None = None

    def build(self, inputs_shape, lengths_shape=None):
        batch, time, features = inputs_shape
        for i, layer in enumerate(self.forward_layers):
            shape = (batch, time, self.widths[i - 1] if i else features)
            layer.build(shape)
            if i < len(self.backward_layers):
                self.backward_layers[i].build(shape)
        for norm, width in zip(self.norms, self.widths, strict=False):
            norm.build((batch, time, width))

    def call(self, inputs: Tensor, lengths: Tensor, training: bool = False):
        outputs, final = inputs, None
        for i in range(len(self.forward_layers)):
            if i:
                outputs = self.dropouts[i - 1](outputs, training=training)
            states, final = self._both_directions(i, outputs, lengths)
            outputs = states + outputs if self.residuals[i] else states
            if self.norms:
                outputs = zero_padding(self.norms[i](outputs), lengths)
        plain = not self.norms and not self.residuals[-1]
        return outputs, final if plain else self._final(outputs, lengths)

    def _both_directions(self, i: int, inputs, lengths):
        if self.nudge is None or i:
            forward = recur(self.forward_layers[i], inputs, lengths)
        else:
            states = nudged(self.forward_layers[i].cell, inputs, self.nudge(inputs, lengths))
            states = zero_padding(states, lengths)
            forward = states, last_step(states, lengths)
        if i >= len(self.backward_layers):
            return forward
        backward = recur(self.backward_layers[i], inputs, lengths, reverse=True)
        return [ops.concatenate(pair, axis=-1) for pair in zip(forward, backward, strict=True)]

    def _final(self, outputs, lengths):
        last = last_step(outputs, lengths)
        if len(self.backward_layers) < len(self.forward_layers):
            return last
        half = self.width // 2
        return ops.concatenate([last[:, :half], outputs[:, 0, half:]], axis=-1)

    def compute_output_shape(self, inputs_shape, lengths_shape=None):
        batch, time, _ = inputs_shape
        return (batch, time, self.width), (batch, self.width)


def nudged(cell: keras.Layer, inputs: Tensor, nudges: Tensor) -> Tensor:
    """The hidden states of a cell that is pushed at every step.

        h[t] = cell(x[t], h[t-1]) + nudge[t]

    At nudges of zero, the gradient with respect to them is that with respect to the hidden states.

    Shapes: inputs (batch, time, features); nudges (batch, time, units) -> (batch, time, units)
    """
    return keras.layers.RNN(_NudgedCell(cell), return_sequences=True)(ops.concatenate([inputs, nudges], axis=-1))


class _NudgedCell(keras.layers.Layer):
    """Shapes: inputs (batch, features + units), the last of which are added to the new state."""

    def __init__(self, cell: keras.Layer):
        super().__init__()
        self.cell, self.state_size, self.built = cell, cell.state_size, True

    def call(self, inputs, states):
        hidden, states = self.cell(inputs[:, : -self.cell.units], states)
        hidden = hidden + inputs[:, -self.cell.units :]
        return hidden, [hidden, *states[1:]]

    def get_initial_state(self, batch_size=None):
        return self.cell.get_initial_state(batch_size)
