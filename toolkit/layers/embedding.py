"""What happens to words on their way in."""

import keras
import numpy as np
from keras import ops

from toolkit import kernels
from toolkit.layers.sequence import Tensor


@keras.saving.register_keras_serializable(package="seqloom")
class WordEmbedding(keras.layers.Layer):
    """A vector for every word: the first `tuned` rows of the table train, the others stay as they are.

        outputs[b,t] = table[tokens[b,t]]

    Words of the training data come first and are tuned; words that are known only from pre-trained vectors follow
    and are not, so that neither memory nor optimizer steps are spent on rows that no example ever reaches. Ids beyond
    the table are words that it lacks; their vectors are zero.

    Shapes: tokens (batch, time) integers -> (batch, time, units)
    """

    def __init__(self, *, rows: int, tuned: int, units: int, **kwargs):
        super().__init__(**kwargs)
        if not 0 < tuned <= rows:
            raise ValueError(f"tuned is {tuned}, expected between 1 and rows, {rows}.")
        self.rows, self.tuned, self.units = rows, tuned, units

    def build(self, tokens_shape=None):
        self.tuned_table = self.add_weight(shape=(self.tuned, self.units), initializer="uniform", name="tuned")
        if self.rows > self.tuned:
            shape = (self.rows - self.tuned, self.units)
            self.fixed_table = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="fixed")

    def call(self, tokens: Tensor) -> Tensor:
        tokens = ops.cast(tokens, "int32")
        outputs = self._rows(self.tuned_table, tokens, 0, self.tuned)
        if self.rows > self.tuned:
            outputs = outputs + self._rows(self.fixed_table, tokens, self.tuned, self.rows)
        return outputs

    def _rows(self, table, tokens, first: int, end: int):
        """Rows of a part of the table; zero for tokens outside it."""
        inside = ops.logical_and(tokens >= first, tokens < end)
        vectors = ops.take(table, ops.where(inside, tokens - first, 0), axis=0)
        return ops.where(ops.expand_dims(inside, -1), vectors, ops.zeros((), dtype=vectors.dtype))

    def set_table(self, table: np.ndarray) -> None:
        """Start from these vectors. Shapes: table (rows, units)."""
        if len(table) != self.rows:
            raise ValueError(f"the table's shape is {table.shape}, expected {self.rows} rows.")
        self.tuned_table.assign(table[: self.tuned])
        if self.rows > self.tuned:
            self.fixed_table.assign(table[self.tuned :])

    def table(self) -> np.ndarray:
        """Shapes: -> (rows, units)."""
        tuned = ops.convert_to_numpy(self.tuned_table)
        if self.rows == self.tuned:
            return tuned
        return np.concatenate([tuned, ops.convert_to_numpy(self.fixed_table)])

    def compute_output_shape(self, tokens_shape):
        return (*tokens_shape, self.units)


@keras.saving.register_keras_serializable(package="seqloom")
class SubwordEmbedding(keras.layers.Layer):
    """A vector for every word from its character n-grams, so that words spelled alike are alike; rare ones gain most.

        outputs[b,t] = sum_i table[ngrams[tokens[b,t], i]] / sqrt(number of n-grams)

    A word that the vocabulary lacks has the id `rows + i`, and its n-grams come in row i of `unknown_ngrams`.

    Shapes: tokens (batch, time) integers; unknown_ngrams (n, per_word) integers, 0 for none -> (batch, time, units)
    Reference: Bojanowski et al. 2017, arXiv:1607.04606, eq. 2, here added to vectors that words have of their own
    """

    def __init__(self, *, rows: int, per_word: int, buckets: int, units: int, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.per_word, self.buckets, self.units = rows, per_word, buckets, units

    def build(self, tokens_shape=None, unknown_ngrams_shape=None):
        self.ngrams = self.add_weight(
            shape=(self.rows, self.per_word), initializer="zeros", dtype="int32", trainable=False, name="ngrams"
        )
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.table = self.add_weight(shape=(self.buckets + 1, self.units), initializer=small, name="table")

    def call(self, tokens: Tensor, unknown_ngrams: Tensor) -> Tensor:
        symbolic = isinstance(tokens, keras.KerasTensor)
        # XLA has no such segments.
        if symbolic or keras.backend.backend() != "tensorflow" or kernels.in_xla():
            return self.compose(self._ngrams_of(tokens, unknown_ngrams))
        import tensorflow as tf

        # Words come again in a batch, and composing them is most of what a small text classifier does.
        words, places = tf.unique(tf.reshape(tokens, (-1,)))
        ngrams = self._ngrams_of(words, unknown_ngrams)
        real = tf.where(ngrams > 0)  # (n, 2): places of n-grams, word by word
        parts = tf.gather_nd(ngrams, real), real[:, 0]
        options = {"num_segments": tf.size(words), "sparse_gradient": True}
        vectors = tf.sparse.segment_sqrt_n(self.table.value, *parts, **options)
        shape = (*tf.unstack(tf.shape(tokens)), self.units)
        return tf.cast(tf.reshape(tf.gather(vectors, places), shape), self.compute_dtype)

    def _ngrams_of(self, words: Tensor, unknown_ngrams: Tensor) -> Tensor:
        """Shapes: words (...) -> (..., per_word)."""
        unknown_ngrams = ops.pad(unknown_ngrams, ((0, 1), (0, 0)))  # there may be none
        known = ops.take(self.ngrams, ops.minimum(words, self.rows - 1), axis=0)
        unknown = ops.take(unknown_ngrams, ops.maximum(words - self.rows, 0), axis=0)
        return ops.where(ops.expand_dims(words < self.rows, -1), known, unknown)

    def compose(self, ngrams: Tensor) -> Tensor:
        """Shapes: (..., per_word) integers -> (..., units)."""
        real = ops.cast(ops.expand_dims(ngrams > 0, -1), self.compute_dtype)
        vectors = ops.cast(ops.take(self.table, ngrams, axis=0), self.compute_dtype)
        return ops.sum(vectors * real, axis=-2) / ops.sqrt(ops.maximum(ops.sum(real, axis=-2), 1))

    def vectors(self) -> np.ndarray:
        """The vectors of the vocabulary. Shapes: -> (rows, units)."""
        parts = np.array_split(ops.convert_to_numpy(self.ngrams), max(1, self.rows // 4096))
        return np.concatenate([ops.convert_to_numpy(self.compose(part)) for part in parts])

    def compute_output_shape(self, tokens_shape, unknown_ngrams_shape=None):
        return (*tokens_shape, self.units)


@keras.saving.register_keras_serializable(package="seqloom")
class WordDropout(keras.layers.Layer):
    """While training, replaces whole words by the unknown word, so that the model does not lean on single words.

        tokens[b,t] = unknown_id with probability `rate`

    Padding is replaced like any other step, which changes nothing, since no one reads it.

    Shapes: tokens (batch, time) integers -> the same
    Reference: Iyyer et al. 2015, Deep Unordered Composition Rivals Syntactic Methods for Text Classification, 3.1
    """

    def __init__(self, *, rate: float, unknown_id: int, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.unknown_id, self.seed = rate, unknown_id, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return tokens
        dropped = keras.random.uniform(ops.shape(tokens), dtype="float32", seed=self.seed_generator) < self.rate
        return ops.where(dropped, ops.cast(self.unknown_id, tokens.dtype), tokens)

    def compute_output_shape(self, tokens_shape):
        return tokens_shape
