"""A segmented encoder reads pieces that know nothing of one another."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from examples import make_encoder, randomize, sequences
from toolkit.layers import SegmentedEncoder

SIZE = 4
FEATURES = 4


@pytest.fixture(scope="module")
def run():
    """Traced once: (inputs, lengths) -> outputs of the segmented encoder, and of the encoder inside it."""
    encoder = make_encoder(cell="gru", layers=2, bidirectional=True, residual=True, normalization="layer")
    segmented = SegmentedEncoder(encoder=encoder, size=SIZE)
    segmented.build((None, None, FEATURES))
    randomize(segmented)
    shapes = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None,), tf.int32)]
    runs = (lambda *inputs: segmented(*inputs), lambda *inputs: encoder(*inputs)[0])
    return [tf.function(run, shapes) for run in runs]


@given(lengths=st.lists(st.integers(0, 3 * SIZE), min_size=1, max_size=3), seed=st.integers(0, 100))
def test_each_piece_is_encoded_as_if_it_stood_alone(run, lengths, seed):
    segmented, alone = run
    inputs, sizes = sequences(lengths, time=3 * SIZE, seed=seed)
    found = segmented(inputs, sizes).numpy()
    for row, length in enumerate(lengths):
        for start in range(0, 3 * SIZE, SIZE):
            piece, size = inputs[row : row + 1, start : start + SIZE], np.clip([length - start], 0, SIZE)
            expected = alone(piece, size.astype(np.int32))[0]
            np.testing.assert_allclose(found[row, start : start + SIZE], expected, atol=1e-6)


def test_padding_is_zero_also_where_whole_pieces_are_empty(run):
    inputs, lengths = sequences([1, 5, 0], time=3 * SIZE)
    real = np.arange(3 * SIZE) < lengths[:, None]
    found = run[0](inputs, lengths).numpy()
    assert not found[~real].any()
    assert np.abs(found[real]).sum(axis=-1).all()


def test_one_piece_equals_the_encoder_itself(run):
    inputs, lengths = sequences([1, 4, 3], time=SIZE)
    np.testing.assert_allclose(run[0](inputs, lengths), run[1](inputs, lengths), atol=1e-6)


def test_an_encoder_that_is_in_use_already_can_be_segmented():
    encoder = make_encoder(normalization="layer")
    inputs, lengths = (ops.convert_to_tensor(array) for array in sequences([1, 4, 3], time=SIZE))
    outputs, _ = encoder(inputs, lengths)
    pieces = SegmentedEncoder(encoder=encoder, size=SIZE)(inputs, lengths)
    np.testing.assert_allclose(pieces, outputs, atol=1e-6)


def test_steps_that_do_not_make_whole_pieces_are_refused():
    segmented = SegmentedEncoder(encoder=make_encoder(), size=SIZE)
    inputs, lengths = sequences([3, 2], time=SIZE // 2)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        segmented(ops.convert_to_tensor(inputs), ops.convert_to_tensor(lengths))


def test_weights_are_those_of_the_encoder_inside():
    segmented = SegmentedEncoder(encoder=make_encoder(), size=SIZE)
    segmented.build((None, None, FEATURES))
    assert segmented.count_params() == segmented.encoder.count_params() > 0
