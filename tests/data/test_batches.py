"""Every row is read once an epoch, in an order that depends on nothing but a seed and an epoch."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.data.batches import LENGTH_STEP, epoch_order, pad, padding_waste, round_up

LENGTHS = np.random.default_rng(0).geometric(0.05, size=1000)


def _order(**changes):
    return epoch_order(LENGTHS, **{**dict(batch_size=16, seed=1, epoch=0, bucketing=True), **changes})


def _same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=300),
    batch_size=st.integers(1, 40),
    epoch=st.integers(0, 9),
    bucketing=st.booleans(),
)
@example(lengths=list(range(1, 300)), batch_size=2, epoch=0, bucketing=True)
def test_every_row_stands_in_exactly_one_full_batch_but_for_the_rest(lengths, batch_size, epoch, bucketing):
    batches = epoch_order(np.array(lengths, int), batch_size=batch_size, seed=3, epoch=epoch, bucketing=bucketing)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    full, rest = divmod(len(lengths), batch_size)
    assert sorted(map(len, batches)) == sorted([batch_size] * full + [rest] * (rest > 0))


@pytest.mark.parametrize("bucketing", [True, False])
def test_the_order_depends_only_on_seed_and_epoch(bucketing):
    first = _order(bucketing=bucketing)
    np.random.seed(5)  # what others draw must not matter
    assert _same(first, _order(bucketing=bucketing))
    assert not _same(first, _order(bucketing=bucketing, epoch=1))
    assert not _same(first, _order(bucketing=bucketing, seed=2))


def test_bucketing_leaves_less_padding():
    waste = {bucketing: padding_waste(LENGTHS, _order(bucketing=bucketing), 8) for bucketing in (True, False)}
    assert waste[True] < 0.25 < 0.5 < waste[False]


def test_bucketed_batches_come_in_no_order_of_length():
    longest = [LENGTHS[batch].max() for batch in _order()]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.4


def test_rows_meet_other_rows_in_another_epoch():
    def neighbours(epoch):
        return {frozenset((int(batch[0]), int(row))) for batch in _order(epoch=epoch) for row in batch[1:]}

    assert len(neighbours(0) & neighbours(1)) < 0.2 * len(neighbours(0))


def test_padding_is_zeros_on_the_right():
    tokens, lengths = pad([[5, 6, 7], [8], [9] * 9], multiple=8)
    assert tokens.shape == (3, 16)
    assert (tokens.dtype, lengths.dtype) == (np.int32, np.int32)
    assert lengths.tolist() == [3, 1, 9]
    assert tokens[:2].tolist() == [[5, 6, 7] + [0] * 13, [8] + [0] * 15]


@given(
    sequences=st.lists(st.lists(st.integers(1, 9), max_size=20), max_size=6),
    multiple=st.sampled_from([1, LENGTH_STEP]),
    shortest=st.integers(1, 30),
)
def test_padded_rows_hold_their_words_and_no_more_steps_than_needed(sequences, multiple, shortest):
    tokens, lengths = pad(sequences, multiple=multiple, shortest=shortest)
    needed = max([shortest, *map(len, sequences)])
    assert tokens.shape == (len(sequences), round_up(needed, multiple))
    for row, length, sequence in zip(tokens, lengths, sequences, strict=True):
        assert row[:length].tolist() == sequence
        assert not row[length:].any()


def test_waste_is_the_share_of_steps_that_are_padding():
    assert padding_waste(np.array([1, 8, 4]), [np.array([0, 1]), np.array([2])], 8) == pytest.approx(1 - 13 / 24)
    assert padding_waste(np.array([8, 8]), [np.array([0, 1])], 8) == 0


@pytest.mark.parametrize(("number", "multiple", "expected"), [(1, 8, 8), (8, 8, 8), (9, 8, 16), (5, 1, 5)])
def test_rounding_goes_up_to_the_next_multiple(number, multiple, expected):
    assert round_up(number, multiple) == expected


def test_batches_that_are_padded_to_the_longest_waste_more():
    lengths, batches = np.array([1, 8, 4]), [np.array([0, 1]), np.array([2])]
    assert padding_waste(lengths, batches, 8, shortest=16) == pytest.approx(1 - 13 / 48)
