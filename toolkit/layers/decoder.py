"""The recurrent decoder with attention."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from toolkit.cells import CELLS
from toolkit.kernels.prediction import KINDS
from toolkit.layers.attention import BahdanauAttention, LuongAttention
from toolkit.layers.fused_decoder import decode
from toolkit.layers.loop import loop
from toolkit.layers.recurrent import LAYERS, NORMALIZATIONS, kernel_for, recur, require
from toolkit.layers.sequence import Tensor

Attend = Callable[[Tensor], tuple[Tensor, Tensor]]  # queries to context and weights
ATTENTIONS = ("none", "bahdanau", "dot", "general")


@keras.saving.register_keras_serializable(package="seqloom")
class RecurrentDecoder(keras.layers.Layer):
    """Stacked recurrent layers that look at the encoder's outputs and say what the next words depend on.

        u[t]   = [x[t]; a[t-1]]                     with input feeding, else x[t]
        s[1,t] = cell_1(u[t], s[1,t-1])
        s[l,t] = cell_l(h[l-1,t], s[l,t-1])         [h[l-1,t]; c[t]] when the bottom layer attends
        h[l,t] = norm(s[l,t] + h[l-1,t])            the sum with residual, from the third layer on; norm with "layer"
        c[t]   = attention(h[q,t], memory)          q the top or the bottom layer
        a[t]   = tanh(W [h[L,t]; c[t]])             without attention a[t] = h[L,t]

    All layers start from the encoder's final state: s[l,0] = tanh(W_l final + b_l). Without input feeding no step needs
    the attention of the one before, so whole sequences go through the layers' fused kernels. Dropout between layers
    and on what is fed back has one mask a sequence.

    Shapes: inputs (batch, target, features), the embedded words before each step; final (batch, width), memory
        (batch, source, width) and lengths (batch,) of the source ->
        outputs (batch, target, units); weights (batch, target, source), None without attention
    Reference: Luong et al. 2015, arXiv:1508.04025, eq. 5 and 3.3 (input feeding); Bahdanau et al. 2015,
        arXiv:1409.0473; attention of the bottom layer, fed to all others, and residuals: Wu et al. 2016 (GNMT),
        arXiv:1609.08144, 3.1-3.2; one dropout mask a sequence Gal & Ghahramani 2016, arXiv:1512.05287
    """

    def __init__(
        self,
        *,
        cell: str,
        units: int,
        layers: int,
        attention: str,
        attend_from: str,
        input_feeding: bool,
        residual: bool,
        normalization: str,
        dropout: float,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require("cell", cell, LAYERS)
        require("attention", attention, ATTENTIONS)
        require("attend_from", attend_from, ("top", "bottom"))
        require("normalization", normalization, NORMALIZATIONS)
        self.cell = cell
        self.units, self.residual, self.states_per_layer = units, residual, CELLS[cell].states
        self.attention_kind = attention
        self.input_feeding = input_feeding
        simple = layers == 1 and attention != "none" and normalization == "none" and cell in KINDS
        self.loops = input_feeding and not simple  # even where there is a kernel
        self.query_layer = 0 if attend_from == "bottom" else layers - 1
        policy = {"dtype": self.dtype_policy}
        names = [f"layer{i}" for i in range(layers)]
        self.layers = [LAYERS[cell](units, return_sequences=True, name=name, **policy) for name in names]
        self.norms = [
            keras.layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm", **policy)
            for name in names
            if normalization == "layer"
        ]
        self.dropout = keras.layers.Dropout(dropout, noise_shape=(None, 1, None), name="dropout", **policy)
        self.bridge = keras.layers.Dense(
            layers * self.states_per_layer * units, activation="tanh", name="bridge", **policy
        )
        self.attention: Any = None
        self.combine: Any = None
        if attention != "none":
            if attention == "bahdanau":
                self.attention = BahdanauAttention(units=units, name="attention", **policy)
            else:
                self.attention = LuongAttention(kind=attention, name="attention", **policy)
            self.combine = keras.layers.Dense(units, activation="tanh", name="combine", **policy)

    def build(self, inputs_shape, final_shape, memory_shape, lengths_shape=None):
        batch, target, features = inputs_shape
        context = memory_shape[-1] if self.attention else 0
        for i, layer in enumerate(self.layers):
            below = self.units + (context if self.reads_context(i) else 0)
            layer.build((batch, target, below if i else features + self.units * self.input_feeding))
        for norm in self.norms:
            norm.build((batch, target, self.units))
        self.bridge.build(final_shape)
        if self.attention:
            self.attention.build((batch, target, self.units), memory_shape)
            self.combine.build((batch, target, self.units + context))

    def call(self, inputs: Tensor, final: Tensor, memory: Tensor, lengths: Tensor, training: bool = False):
        states = self.initial_states(final)
        keys = self.attention.keys(memory) if self.attention else None

        def attend(queries: Tensor) -> tuple[Tensor, Tensor]:
            return self.attention.attend(queries, keys, memory, lengths)

        if not self.input_feeding:
            return self._parallel(inputs, states, attend, training)
        ones = ops.ones((ops.shape(inputs)[0], 1, self.units), dtype=self.compute_dtype)
        masks = [self.dropout(ones, training=training)[:, 0] for _ in self.layers]
        operations = kernel_for(self, inputs) if not self.loops else None
        if operations:
            return decode(operations, self, inputs, states[:-1], masks[0], memory, keys, lengths)

        def step(step_inputs, states):
            outputs, weights, states = self.step(step_inputs, states, attend, masks)
            return (outputs, weights) if self.attention else (outputs,), states

        outputs = loop(step, inputs, states, self.weights)
        return outputs if self.attention else (outputs[0], None)

    def initial_states(self, final: Tensor) -> tuple[Tensor, ...]:
        """The states before the first step, layer by layer, and zeros to be fed. Shapes: -> (batch, units) each."""
        states = ops.split(self.bridge(final), len(self.layers) * self.states_per_layer, axis=-1)
        return (*states, ops.zeros_like(states[0])) if self.input_feeding else tuple(states)

    def step(self, inputs: Tensor, states: tuple[Tensor, ...], attend: Attend, masks: list[Tensor]):
        """One step. Shapes: inputs (batch, features); states (batch, units) each -> outputs (batch, units); weights
        (batch, source); states."""

        def run(layer, inputs, states):
            outputs, after = layer.cell(inputs, states)
            return outputs, list(after) if isinstance(after, list | tuple) else [after]

        def look(queries):
            context, weights = attend(ops.expand_dims(queries, 1))
            return context[:, 0], weights[:, 0]

        if self.input_feeding:
            inputs = ops.concatenate([inputs, states[-1] * masks[0]], axis=-1)
        outputs, weights, after = self._stack(inputs, states, run, look, lambda i, outputs: outputs * masks[i])
        return outputs, weights, (*after, outputs) if self.input_feeding else tuple(after)

    def _parallel(self, inputs: Tensor, states: tuple[Tensor, ...], attend: Attend, training: bool):
        """All steps at once, layer by layer."""

        def run(layer, inputs, states):
            return recur(layer, inputs, initial_state=states)[0], []

        def drop(_, outputs):
            return self.dropout(outputs, training=training)

        outputs, weights, _ = self._stack(inputs, states, run, attend, drop)
        return outputs, weights

    def _stack(self, inputs: Tensor, states: tuple[Tensor, ...], run, attend: Attend, drop):
        """Through all layers, over one step or over all, as `run` goes through one of them."""
        outputs, context, weights, after = inputs, None, None, list[Tensor]()
        for i, layer in enumerate(self.layers):
            below = outputs
            if i:
                outputs = drop(i, outputs)
            if self.reads_context(i):
                outputs = ops.concatenate([outputs, context], axis=-1)
            first = i * self.states_per_layer
            outputs, new = run(layer, outputs, list(states[first : first + self.states_per_layer]))
            after += new
            if self.residual and i >= 2:
                outputs = outputs + below
            if self.norms:
                outputs = self.norms[i](outputs)
            if self.attention and i == self.query_layer:
                context, weights = attend(outputs)
        if self.attention:
            outputs = self.combine(ops.concatenate([outputs, context], axis=-1))
        return outputs, weights, after

    def reads_context(self, i: int) -> bool:
        """Whether a layer's inputs end in the attention's context."""
        return self.attention is not None and i > self.query_layer

    def compute_output_shape(self, inputs_shape, final_shape, memory_shape, lengths_shape=None):
        batch, target, _ = inputs_shape
        weights = (batch, target, memory_shape[1]) if self.attention else None
        return (batch, target, self.units), weights
