"""Length-bucketed batches in an order that depends only on a seed and an epoch."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

POOL = 64  # batches sorted by length together: enough to fill batches with like lengths, few enough to stay random
LENGTH_STEP = 8  # padded lengths are multiples of this in training, so that compiled shapes repeat


def epoch_order(lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int, bucketing: bool) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch; every row stands in exactly one batch.

    With `bucketing`, rows are shuffled, sorted by length inside pools of batches, cut, and the batches shuffled.
    Shapes: lengths (rows,) -> list of (batch,)
    """
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(lengths))
    if bucketing:
        size = POOL * batch_size
        pools = (rows[start : start + size] for start in range(0, len(rows), size))
        rows = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    random.shuffle(batches)  # type: ignore[arg-type]
    return batches


def pad(sequences: Sequence[Sequence[int]], *, multiple: int, shortest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad with zeros to the longest of them, and to `shortest` steps, rounded up to a multiple.

    Shapes: -> tokens (batch, time) int32; lengths (batch,) int32
    """
    lengths = np.fromiter((len(sequence) for sequence in sequences), dtype=np.int32, count=len(sequences))
    time = round_up(max(int(lengths.max(initial=1)), shortest), multiple)
    tokens = np.zeros((len(sequences), time), dtype=np.int32)
    tokens[np.arange(time) < lengths[:, None]] = np.fromiter(chain.from_iterable(sequences), np.int32, lengths.sum())
    return tokens, lengths


def padding_waste(lengths: np.ndarray, batches: Sequence[np.ndarray], multiple: int, shortest: int = 1) -> float:
    """Share of computed steps that are padding when these batches are padded as `pad` does."""
    padded = sum(round_up(max(int(lengths[rows].max()), shortest), multiple) * len(rows) for rows in batches)
    return 1 - float(lengths.sum()) / max(padded, 1)


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
