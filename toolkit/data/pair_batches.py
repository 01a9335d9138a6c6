"""Batches of pairs: like lengths together, of like size in tokens, in few shapes, so that compiled programs repeat."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toolkit.data.batches import pad

MOST_SHAPES = 12
_LEAST_SAVING = 0.01  # of all steps: a shape that saves less is not worth its compilation
_LEAST_BATCHES = 0.25  # in a bucket, lest an update belong to a few odd pairs


class Shape(NamedTuple):
    """What the arrays of a batch are padded to."""

    rows: int
    source: int
    target: int


class _Bucket(NamedTuple):
    """Cells of like lengths that share a shape, and the best way to part them."""

    cells: np.ndarray
    shape: Shape
    steps: int
    saving: int
    halves: tuple[np.ndarray, np.ndarray] | None


def plan_batches(
    source_lengths: np.ndarray, target_lengths: np.ndarray, *, tokens: int, multiple: int, seed: int, epoch: int
) -> list[tuple[np.ndarray, Shape]]:
    """The rows of each batch of an epoch, and the shape to pad them to; every row stands in exactly one batch.

    Buckets and shapes go by the lengths alone; which rows of a bucket meet, and the order of the batches, by seed and
    epoch. A batch has at most about `tokens` padded target steps. It may have fewer, for a bucket's rows are dealt out
    evenly: of each shape all rows are real, or all but one, and no batch is nearly empty.

    Of the steps of an epoch on Multi30k, English to German in whole words, 23% are padding (7 shapes, 4,096 tokens,
    multiples of 8, which alone make it 22%); with multiples of 4 it is 14% (8 shapes).

    Shapes: source_lengths, target_lengths (rows,), where targets count START or END -> list of ((batch,), Shape)
    """
    bucket, shapes = _buckets(np.stack([source_lengths, target_lengths], axis=1), tokens, multiple)
    random = np.random.default_rng([seed, epoch])
    batches = []
    for number, shape in enumerate(shapes):
        rows = random.permutation(np.flatnonzero(bucket == number))
        batches += [(part, shape) for part in np.array_split(rows, -(-len(rows) // shape.rows))]
    return [batches[i] for i in random.permutation(len(batches))]


def pad_rows(sequences: Sequence[Sequence[int]], rows: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad with zeros to a shape; ValueError when they do not fit.

    Shapes: -> tokens (rows, time) int32; lengths (rows,) int32, 0 for rows that are only padding
    """
    tokens, lengths = np.zeros((rows, time), np.int32), np.zeros(rows, np.int32)
    tokens[: len(sequences)], lengths[: len(sequences)] = pad(sequences, multiple=1, shortest=time)
    return tokens, lengths


def padding_share(
    batches: Sequence[tuple[np.ndarray, Shape]], source_lengths: np.ndarray, target_lengths: np.ndarray
) -> float:
    """Share of all steps, of both sides, that are padding."""
    steps = sum(shape.rows * (shape.source + shape.target) for _, shape in batches)
    return 1 - float(np.sum(source_lengths) + np.sum(target_lengths)) / steps


def _buckets(lengths: np.ndarray, tokens: int, multiple: int) -> tuple[np.ndarray, list[Shape]]:
    """The bucket of each row, and the shape of each bucket.

    From one bucket of all rows on, the parting that saves the most padding is made, of one bucket in two by the length
    of the source, of the target or of the longer of them. The last keeps what is odd out of large buckets: without it
    one long source among short targets makes a whole bucket longer.
    """
    rounded = np.maximum(-(-lengths // multiple), 1) * multiple
    cells, places, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    if not len(cells):
        return places, []
    buckets = [_bucket(np.arange(len(cells)), cells, counts, tokens)]
    while len(buckets) < MOST_SHAPES:
        best = max(range(len(buckets)), key=lambda i: buckets[i].saving)
        halves = buckets[best].halves
        if halves is None or buckets[best].saving < _LEAST_SAVING * sum(bucket.steps for bucket in buckets):
            break
        buckets[best : best + 1] = [_bucket(half, cells, counts, tokens) for half in halves]
    numbers = np.zeros(len(cells), np.int64)
    for number, bucket in enumerate(buckets):
        numbers[bucket.cells] = number
    return numbers[places], [bucket.shape for bucket in buckets]


def _bucket(chosen: np.ndarray, cells: np.ndarray, counts: np.ndarray, tokens: int) -> _Bucket:
    shape, steps = _shape(cells[chosen], counts[chosen], tokens)
    saving, halves = 0, None
    for side in (cells[chosen, 0], cells[chosen, 1], cells[chosen].max(axis=1)):
        for border in np.unique(side)[:-1]:
            parts = chosen[side <= border], chosen[side > border]
            if all(_batches(cells[part], counts[part], tokens) >= _LEAST_BATCHES for part in parts):
                saved = steps - sum(_shape(cells[part], counts[part], tokens)[1] for part in parts)
                if saved > saving:
                    saving, halves = saved, parts
    return _Bucket(chosen, shape, steps, saving, halves)


def _batches(cells: np.ndarray, counts: np.ndarray, tokens: int) -> float:
    return int(counts.sum()) / max(1, round(tokens / int(cells[:, 1].max())))


def _shape(cells: np.ndarray, counts: np.ndarray, tokens: int) -> tuple[Shape, int]:
    """The shape of these cells' batches, and the steps that all of them take."""
    source, target = map(int, cells.max(axis=0))
    batches = -int(-_batches(cells, counts, tokens) // 1)
    rows = -(-int(counts.sum()) // batches)
    return Shape(rows, source, target), batches * rows * (source + target)
