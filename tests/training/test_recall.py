"""The probes of memory: what is easy is learned, what was not read is guessed, and a seed decides everything."""

import numpy as np

from toolkit.training.recall import copy_curve, keep_curve


def test_a_short_sequence_is_kept_whole() -> None:
    assert copy_curve("gru", units=24, time=3, steps=300, seed=1).min() > 0.9


def test_without_training_it_is_a_guess() -> None:
    curve = copy_curve("rnn", units=8, time=6, steps=1, seed=1)
    assert curve.shape == (6,)
    assert abs(curve.mean() - 1 / 8) < 0.06


def test_a_symbol_is_kept_while_others_pass_by() -> None:
    curve = keep_curve("lstm", units=24, longest=4, after=(0, 2, 4), steps=300, seed=1)
    assert curve.shape == (3,)
    assert curve.min() > 0.9


def test_the_seed_decides() -> None:
    curves = [keep_curve("gru", units=8, longest=2, after=(1, 2), steps=20, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert (curves[0] != curves[2]).any()
