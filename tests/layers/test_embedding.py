"""Words come in as the vectors they should be."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from toolkit.layers import SubwordEmbedding, WordDropout, WordEmbedding

TABLE = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
TOKENS = np.array([[0, 5, 3], [2, 2, 4]], np.int32)


def _embedding(tuned, rows=6):
    embedding = WordEmbedding(rows=rows, tuned=tuned, units=3)
    embedding.build((None, None))
    embedding.set_table(TABLE[:rows])
    return embedding


def _network(embedding, *layers):
    return keras.Sequential([keras.Input((None,), dtype="int32"), embedding, *layers])


@pytest.mark.parametrize("tuned", [1, 3, 6])
def test_each_word_gets_its_row_of_the_table(tuned):
    embedding = _embedding(tuned)
    np.testing.assert_array_equal(ops.convert_to_numpy(embedding(TOKENS)), TABLE[TOKENS])
    np.testing.assert_array_equal(embedding.table(), TABLE)


@pytest.mark.parametrize("tuned", [4, 6])
def test_words_that_the_table_lacks_are_zero(tuned):
    found = ops.convert_to_numpy(_embedding(tuned)(np.array([[6, 2, 99]], np.int32)))
    np.testing.assert_array_equal(found, [[[0, 0, 0], TABLE[2], [0, 0, 0]]])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_changes_the_tuned_rows_that_were_read_and_no_fixed_row(optimizer):
    embedding = _embedding(tuned=4)
    network = _network(embedding)
    network.compile(optimizer=optimizer, loss="mse")
    for _ in range(2):
        network.train_on_batch(TOKENS, np.full((2, 3, 3), 9.0))
    changed = (embedding.table() != TABLE).any(axis=1)
    assert changed.tolist() == [True, False, True, True, False, False]


def test_a_frozen_embedding_does_not_change_at_all():
    embedding = _embedding(tuned=4)
    embedding.trainable = False
    network = _network(embedding, keras.layers.Dense(3))
    network.compile(optimizer="sgd", loss="mse")
    network.train_on_batch(TOKENS, np.full((2, 3, 3), 9.0))
    np.testing.assert_array_equal(embedding.table(), TABLE)


def test_numbers_that_a_sequential_model_made_floats_are_still_words():
    embedding = _embedding(tuned=4)
    np.testing.assert_array_equal(keras.Sequential([embedding])(TOKENS), TABLE[TOKENS])


def test_words_known_from_vectors_alone_cost_no_trainable_weights():
    assert [weight.shape for weight in _embedding(tuned=4).trainable_weights] == [(4, 3)]


@pytest.mark.parametrize("tuned", [0, 7, -1])
def test_more_tuned_rows_than_rows_or_none_are_refused(tuned):
    with pytest.raises(ValueError, match=f"tuned is {tuned}, expected between 1 and rows, 6"):
        WordEmbedding(rows=6, tuned=tuned, units=3)


@pytest.mark.parametrize("tuned", [4, 5])
def test_a_table_with_other_rows_is_refused(tuned):
    embedding = _embedding(tuned, rows=5)
    with pytest.raises(ValueError, match="shape"):
        embedding.set_table(TABLE)


BUCKETS, PER_WORD = 5, 3
NGRAMS = np.array([[0, 0, 0], [1, 0, 0], [2, 5, 0], [3, 4, 1]])  # of the vocabulary's four words
UNKNOWN_NGRAMS = np.array([[5, 5, 5], [0, 0, 0]], np.int32)


def _subwords():
    subwords = SubwordEmbedding(rows=4, per_word=PER_WORD, buckets=BUCKETS, units=3)
    subwords.build()
    subwords.ngrams.assign(NGRAMS)
    return subwords


def _composed(subwords, ngrams):
    """sum_i table[ngrams[i]] / sqrt(number of n-grams), a word at a time."""
    table = ops.convert_to_numpy(subwords.table)
    words = [[table[i] for i in word if i] for word in ngrams]
    return np.array([np.sum(word, axis=0) / np.sqrt(len(word)) if word else np.zeros(3) for word in words])


def test_a_word_is_the_sum_of_its_ngrams_also_where_the_vocabulary_lacks_it():
    subwords = _subwords()
    tokens = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    expected = _composed(subwords, [*NGRAMS, *UNKNOWN_NGRAMS])[tokens]
    np.testing.assert_allclose(subwords(tokens, UNKNOWN_NGRAMS), expected, atol=1e-6)
    np.testing.assert_allclose(subwords.vectors(), expected.reshape(6, 3)[:4], atol=1e-6)


def test_xla_compiles_the_sum_of_ngrams_and_its_gradient():
    subwords = _subwords()
    tokens = tf.constant([[0, 1, 2], [3, 4, 5]])

    def run():
        with tf.GradientTape() as tape:
            outputs = subwords(tokens, UNKNOWN_NGRAMS)
            loss = tf.reduce_sum(tf.sin(outputs))
        return outputs, tf.convert_to_tensor(tape.gradient(loss, subwords.table.value))

    for found, expected in zip(tf.function(run, jit_compile=True, autograph=False)(), run(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_training_changes_the_vectors_of_ngrams_that_were_read_and_no_word_s_ngrams():
    subwords = _subwords()
    before = ops.convert_to_numpy(subwords.table)
    inputs = [keras.Input((None,), dtype="int32"), keras.Input((PER_WORD,), dtype="int32")]
    network = keras.Model(inputs, subwords(*inputs))
    network.compile(optimizer="sgd", loss="mse")
    network.train_on_batch([np.array([[0, 2, 1]]), np.zeros((1, PER_WORD))], np.full((1, 3, 3), 9.0))
    changed = (ops.convert_to_numpy(subwords.table) != before).any(axis=1)
    assert changed.tolist() == [False, True, True, False, False, True]
    np.testing.assert_array_equal(subwords.ngrams, NGRAMS)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.7])
def test_words_are_dropped_at_the_rate_given(rate):
    dropout = WordDropout(rate=rate, unknown_id=1, seed=3)
    tokens = np.full((200, 500), 7, np.int32)
    found = ops.convert_to_numpy(dropout(tokens, training=True))
    assert set(np.unique(found)) <= {1, 7}
    assert abs((found == 1).mean() - rate) < 0.01


def test_words_are_never_dropped_in_prediction():
    dropout = WordDropout(rate=0.9, unknown_id=1)
    np.testing.assert_array_equal(dropout(TOKENS), TOKENS)
    np.testing.assert_array_equal(dropout(TOKENS, training=False), TOKENS)


def test_other_words_are_dropped_at_each_step_and_the_same_ones_from_the_same_seed():
    tokens = np.full((4, 50), 7, np.int32)
    one, other = WordDropout(rate=0.5, unknown_id=1, seed=3), WordDropout(rate=0.5, unknown_id=1, seed=3)
    steps = [ops.convert_to_numpy(one(tokens, training=True)) for _ in range(2)]
    assert (steps[0] != steps[1]).any()
    np.testing.assert_array_equal(other(tokens, training=True), steps[0])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_dropped_words_keep_their_type(dtype):
    found = WordDropout(rate=0.5, unknown_id=1)(TOKENS.astype(dtype), training=True)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
