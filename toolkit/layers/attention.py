"""Attention over the outputs of an encoder."""

import keras
from keras import ops

from toolkit.layers.sequence import Tensor, sequence_mask


class _Attention(keras.layers.Layer):
    """From scores to weights to a context; a subclass scores.

    `keys` depend on the memory alone, so a decoder that looks again and again computes them once.
    """

    def call(self, queries: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.attend(queries, self.keys(memory), memory, lengths)

    def attend(self, queries: Tensor, keys: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        scores = ops.cast(self.score(queries, keys), "float32")
        mask = ops.expand_dims(sequence_mask(lengths, ops.shape(memory)[1]), 1)
        # An empty row has no step to look at: its weights are zero, and so is its context.
        weights = ops.where(mask, ops.softmax(ops.where(mask, scores, -1e9), axis=-1), 0.0)
        return ops.matmul(ops.cast(weights, memory.dtype), memory), weights

    def compute_output_shape(self, queries_shape, memory_shape, lengths_shape=None):
        batch, target, _ = queries_shape
        return (batch, target, memory_shape[-1]), (batch, target, memory_shape[1])


@keras.saving.register_keras_serializable(package="seqloom")
class LuongAttention(_Attention):
    """Multiplicative attention.

        score[b,t,s]   = query[b,t] . memory[b,s]          dot; their sizes are the same
        score[b,t,s]   = query[b,t] . W memory[b,s]        general
        weights[b,t,:] = softmax over real source positions
        context[b,t]   = sum over s of weights[b,t,s] memory[b,s]

    Shapes: queries (batch, target, units); memory (batch, source, features); lengths (batch,) ->
        context (batch, target, features); weights (batch, target, source), zero on padding
    Reference: Luong et al. 2015, arXiv:1508.04025, eq. 7 and 8
    """

    def __init__(self, *, kind: str, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("dot", "general"):
            raise ValueError(f"kind is {kind!r}, expected dot or general.")
        self.kind = kind

    def build(self, queries_shape, memory_shape, lengths_shape=None):
        if self.kind == "general":
            self.projection = keras.layers.Dense(
                queries_shape[-1], use_bias=False, dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(memory_shape)
        elif queries_shape[-1] != memory_shape[-1]:
            raise ValueError(
                f"queries have {queries_shape[-1]} features and the memory {memory_shape[-1]}; dot attention needs the"
                " same number. Use general."
            )

    def keys(self, memory: Tensor) -> Tensor:
        return self.projection(memory) if self.kind == "general" else memory

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))


@keras.saving.register_keras_serializable(package="seqloom")
class BahdanauAttention(_Attention):
    """Additive attention.

        score[b,t,s]   = v . tanh(W query[b,t] + b + U memory[b,s])
        weights[b,t,:] = softmax over real source positions
        context[b,t]   = sum over s of weights[b,t,s] memory[b,s]

    Shapes: queries (batch, target, units); memory (batch, source, features); lengths (batch,) ->
        context (batch, target, features); weights (batch, target, source), zero on padding
    Reference: Bahdanau et al. 2015, arXiv:1409.0473, A.1.2
    """

    def __init__(self, *, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        policy = {"dtype": self.dtype_policy}
        self.query_projection = keras.layers.Dense(units, name="query", **policy)
        self.memory_projection = keras.layers.Dense(units, use_bias=False, name="memory", **policy)
        self.energy = keras.layers.Dense(1, use_bias=False, name="energy", **policy)

    def build(self, queries_shape, memory_shape, lengths_shape=None):
        self.query_projection.build(queries_shape)
        self.memory_projection.build(memory_shape)
        self.energy.build((*queries_shape[:-1], self.units))

    def keys(self, memory: Tensor) -> Tensor:
        return self.memory_projection(memory)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        query = ops.expand_dims(self.query_projection(queries), 2)
        return ops.squeeze(self.energy(ops.tanh(query + ops.expand_dims(keys, 1))), axis=-1)
