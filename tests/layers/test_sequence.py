"""Operations on padded rows stay inside each row's length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from toolkit.layers.segments import split_segments
from toolkit.layers.sequence import last_step, reverse_sequences, sequence_mask, take_steps, zero_padding

TIME = 6
lengths_of_rows = st.lists(st.integers(0, TIME), min_size=1, max_size=4)


def _rows(lengths, features=2):
    inputs = np.random.default_rng(0).normal(size=(len(lengths), TIME, features)).astype(np.float32)
    return inputs, np.array(lengths, np.int32)


def test_mask_is_true_at_exactly_the_real_steps():
    mask = ops.convert_to_numpy(sequence_mask(ops.convert_to_tensor(np.array([0, 1, 3])), 3))
    assert mask.tolist() == [[False, False, False], [True, False, False], [True, True, True]]


@given(lengths_of_rows)
def test_reversing_stays_inside_each_row(lengths):
    inputs, sizes = _rows(lengths)
    found = ops.convert_to_numpy(reverse_sequences(inputs, ops.convert_to_tensor(sizes)))
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(found[row, :length], inputs[row, :length][::-1])
        np.testing.assert_array_equal(found[row, length:], inputs[row, length:])


@given(lengths_of_rows)
def test_reversing_twice_gives_the_rows_back(lengths):
    inputs, sizes = _rows(lengths)
    sizes = ops.convert_to_tensor(sizes)
    np.testing.assert_array_equal(reverse_sequences(reverse_sequences(inputs, sizes), sizes), inputs)


def test_padding_becomes_zero_even_where_it_was_not_a_number():
    inputs, lengths = _rows([2, 6])
    inputs[0, 2:] = np.nan
    found = ops.convert_to_numpy(zero_padding(ops.convert_to_tensor(inputs), ops.convert_to_tensor(lengths)))
    np.testing.assert_array_equal(found[0, 2:], 0)
    np.testing.assert_array_equal(found[0, :2], inputs[0, :2])
    np.testing.assert_array_equal(found[1], inputs[1])


def test_last_step_is_at_each_row_s_own_end():
    inputs, lengths = _rows([0, 1, 4, 6])
    found = ops.convert_to_numpy(last_step(inputs, ops.convert_to_tensor(lengths)))
    np.testing.assert_array_equal(found, inputs[[0, 1, 2, 3], [0, 0, 3, 5]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_lengths_may_have_fewer_bits_than_the_numbers_of_steps(dtype):
    inputs = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(150, 300, 1)).astype(np.float32))
    lengths = np.arange(150) % 128
    wide, narrow = (ops.convert_to_tensor(lengths.astype(kind)) for kind in ("int32", dtype))
    for function in (zero_padding, reverse_sequences, last_step):
        np.testing.assert_array_equal(function(inputs, narrow), function(inputs, wide))
    for found, expected in zip(split_segments(inputs, narrow, 50), split_segments(inputs, wide, 50), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_steps_may_be_taken_in_any_order_and_more_than_once():
    inputs, _ = _rows([6, 6])
    steps = np.array([[5, 0, 0], [1, 2, 1]], np.int64)
    found = ops.convert_to_numpy(take_steps(inputs, ops.convert_to_tensor(steps)))
    np.testing.assert_array_equal(found, np.take_along_axis(inputs, steps[:, :, None], axis=1))
