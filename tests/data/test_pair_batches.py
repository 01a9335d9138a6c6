"""Batches of pairs hold every row once, in few shapes with little padding, in an order that a seed settles."""

import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.data.pair_batches import MOST_SHAPES, Shape, pad_rows, padding_share, plan_batches

_LENGTHS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 90)), min_size=1, max_size=200)


def _plan(lengths, *, tokens=512, multiple=8, seed=0, epoch=0):
    sources, targets = np.array(lengths).reshape(-1, 2).T
    return plan_batches(sources, targets, tokens=tokens, multiple=multiple, seed=seed, epoch=epoch)


def _sentences(count):
    """Lengths as translations have them: alike on both sides, a few long, a few odd."""
    random = np.random.default_rng(0)
    sources = random.lognormal(2.5, 0.4, count).clip(1, 99)
    targets = (sources * random.lognormal(0, 0.15, count)).clip(1, 99)
    targets[: count // 1000] = 90
    return np.stack([sources, targets], axis=1).astype(int)


def _in_order(batches):
    return [(rows.tolist(), shape) for rows, shape in batches]


@given(_LENGTHS, st.integers(1, 2000), st.sampled_from([1, 4, 8]), st.integers(0, 9))
@example([(5, 5)], 1, 8, 0)
@example([(0, 1)] * 50, 64, 8, 0)
@example([(8, 8)] * 200 + [(90, 1), (1, 90)], 64, 8, 0)
def test_every_row_stands_in_one_batch_and_fits_its_shape(lengths, tokens, multiple, epoch):
    batches = _plan(lengths, tokens=tokens, multiple=multiple, epoch=epoch)
    assert sorted(np.concatenate([rows for rows, _ in batches]).tolist()) == list(range(len(lengths)))
    for rows, shape in batches:
        assert shape.rows - 1 <= len(rows) <= shape.rows
        assert all(lengths[row][0] <= shape.source and lengths[row][1] <= shape.target for row in rows)
        assert shape.source % multiple == shape.target % multiple == 0
        assert shape.rows == 1 or shape.rows <= round(tokens / shape.target)


@given(_LENGTHS, st.integers(1, 2000), st.integers(0, 9))
def test_shapes_are_few_and_the_same_in_every_epoch(lengths, tokens, seed):
    shapes = [sorted(shape for _, shape in _plan(lengths, tokens=tokens, seed=seed, epoch=epoch)) for epoch in (0, 1)]
    assert shapes[0] == shapes[1]
    assert len(set(shapes[0])) <= MOST_SHAPES


def test_the_order_goes_by_seed_and_epoch():
    lengths = _sentences(2000)
    first = _in_order(_plan(lengths, seed=1, epoch=2))
    assert first == _in_order(_plan(lengths, seed=1, epoch=2))
    for other in (_plan(lengths, seed=1, epoch=3), _plan(lengths, seed=2, epoch=2)):
        together = [sorted({tuple(sorted(rows)) for rows, _ in batches}) for batches in (first, _in_order(other))]
        assert together[0] != together[1]
    targets = [shape.target for _, shape in first]
    assert targets != sorted(targets) and targets != sorted(targets, reverse=True)


def test_natural_lengths_need_little_padding():
    lengths = _sentences(20_000)
    batches = _plan(lengths, tokens=4096)
    unavoidable = 1 - lengths.sum() / (-(-lengths // 8) * 8).sum()
    assert padding_share(batches, *lengths.T) < unavoidable + 0.05
    assert np.mean([shape.rows * shape.target for _, shape in batches]) > 0.85 * 4096
    assert padding_share(_plan(lengths, tokens=4096, multiple=4), *lengths.T) < padding_share(batches, *lengths.T)


def test_pairs_that_are_odd_do_not_make_the_others_longer():
    usual = [(8, 8)] * 5000
    batches = _plan([*usual, *[(96, 8)] * 10, *[(8, 96)] * 10], tokens=512)
    assert [shape for rows, shape in batches if rows.min() < 5000] == [Shape(64, 8, 8)] * 79
    assert sorted(row for rows, shape in batches if shape.source > 8 for row in rows) == list(range(5000, 5020))


def test_no_batch_is_of_a_few_pairs_alone():
    batches = _plan([*[(8, 8)] * 5000, (96, 96)], tokens=512)
    assert min(len(rows) for rows, _ in batches) > 1


def test_one_length_is_one_shape_dealt_out_evenly():
    batches = _plan([(5, 7)] * 101, tokens=800)
    assert [(len(rows), shape) for rows, shape in batches] in (
        [(51, (51, 8, 8)), (50, (51, 8, 8))],
        [(50, (51, 8, 8)), (51, (51, 8, 8))],
    )


def test_no_rows_are_no_batches():
    assert _plan([]) == []


def test_padding_counts_both_sides_and_rows_that_are_not_there():
    batches = [(np.array([0]), Shape(2, 4, 8)), (np.array([1]), Shape(1, 4, 4))]
    assert padding_share(batches, np.array([4, 4]), np.array([4, 4])) == pytest.approx(0.5)


def test_many_rows_of_many_lengths_are_planned_in_moments():
    lengths = np.random.default_rng(0).integers(1, 500, (100_000, 2))
    started = time.process_time()
    assert len({shape for _, shape in _plan(lengths, tokens=4096)}) <= MOST_SHAPES
    assert time.process_time() - started < 5


def test_rows_are_padded_to_the_shape():
    tokens, lengths = pad_rows([[5, 6], [7], []], 5, 4)
    assert tokens.tolist() == [[5, 6, 0, 0], [7, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert lengths.tolist() == [2, 1, 0, 0, 0]
    assert tokens.dtype == lengths.dtype == np.int32


def test_no_sequences_are_padding_alone():
    tokens, lengths = pad_rows([], 2, 3)
    assert tokens.tolist() == [[0] * 3] * 2 and lengths.tolist() == [0, 0]


@pytest.mark.parametrize("sequences", [[[1, 2, 3, 4]], [[1]] * 3, [[1, 2, 3, 4]] * 2])
def test_what_does_not_fit_a_shape_is_refused(sequences):
    with pytest.raises(ValueError, match="could not broadcast"):
        pad_rows(sequences, 2, 3)
