"""What is luck with the test rows, and what is not."""

import time

import numpy as np
import pytest
from scipy import stats

from toolkit.evaluation.classification import label_evidence, label_scores, macro_f1
from toolkit.evaluation.comparison import block_interval, difference_interval, mean_of_hits


def evidence(hits: np.ndarray) -> np.ndarray:
    return np.stack([hits, np.ones_like(hits)], axis=1)


def systems(random: np.random.Generator, rows: int, first: float, second: float) -> tuple[np.ndarray, np.ndarray]:
    """Hits of two systems that err on the same rows for the most part."""
    hard = random.random(rows)
    return evidence(hard < first), evidence(np.where(random.random(rows) < 0.2, random.random(rows), hard) < second)


def test_the_interval_is_that_of_a_difference_of_means():
    first, second = systems(np.random.default_rng(1), 2000, 0.8, 0.75)
    low, high = difference_interval(first, second, mean_of_hits)
    differences = first[:, 0].astype(float) - second[:, 0]
    wide = stats.norm.interval(0.95, differences.mean(), differences.std() / 2000**0.5)
    assert (low, high) == pytest.approx(wide, abs=0.003)


def test_equal_systems_are_seldom_told_apart_and_better_ones_are():
    random = np.random.default_rng(2)
    outside = [
        not low <= 0 <= high
        for low, high in (difference_interval(*systems(random, 300, 0.7, 0.7), mean_of_hits) for _ in range(100))
    ]
    assert np.mean(outside) < 0.12
    low, _ = difference_interval(*systems(random, 2000, 0.8, 0.7), mean_of_hits)
    assert low > 0


@pytest.mark.parametrize("rows", [1, 3, 5, 8, 20])
def test_a_few_rows_tell_equal_systems_apart_as_seldom(rows):
    random = np.random.default_rng(6)

    def scores() -> np.ndarray:
        return np.stack([random.normal(size=rows), np.ones(rows)], axis=1)

    outside = [
        not low <= 0 <= high
        for low, high in (difference_interval(scores(), scores(), mean_of_hits) for _ in range(300))
    ]
    assert np.mean(outside) < 0.09


def test_six_rows_that_all_favour_one_system_are_the_fewest_that_tell():
    hits, others = np.ones(9, bool), np.zeros(9, bool)
    assert difference_interval(evidence(hits[:5]), evidence(others[:5]), mean_of_hits) == (-np.inf, np.inf)
    assert difference_interval(evidence(hits[:6]), evidence(others[:6]), mean_of_hits) == (1, 1)
    assert difference_interval(evidence(hits), evidence(np.arange(9) < 4), mean_of_hits) == (-np.inf, np.inf)


def test_scores_that_are_no_means_are_compared_too():
    random = np.random.default_rng(3)
    truth = random.random((500, 4)) < 0.3
    better, worse = (truth ^ (random.random(truth.shape) < noise) for noise in (0.05, 0.2))
    low, high = difference_interval(label_evidence(truth, better), label_evidence(truth, worse), macro_f1)
    difference = label_scores(truth, better).macro_f1 - label_scores(truth, worse).macro_f1
    assert 0 < low < difference < high


def test_the_same_rows_give_the_same_interval_and_a_system_does_not_differ_from_itself():
    first, second = systems(np.random.default_rng(4), 50, 0.6, 0.5)
    assert difference_interval(first, second, mean_of_hits) == difference_interval(first, second, mean_of_hits)
    assert difference_interval(first, first, mean_of_hits) == (0, 0)
    assert difference_interval(first[:1], second[:1], mean_of_hits)  # a single row


def test_many_rows_of_many_labels_take_seconds():
    random = np.random.default_rng(5)
    truth, first, second = (random.integers(40, size=20_000)[:, None] == np.arange(40) for _ in range(3))
    started = time.monotonic()
    difference_interval(label_evidence(truth, first), label_evidence(truth, second), macro_f1)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("blocks", [2, 12])
def test_blocks_of_one_row_give_the_interval_of_students_t(blocks):
    differences = np.random.default_rng(0).normal(0.3, 1, blocks)
    expected = stats.t.interval(0.95, blocks - 1, differences.mean(), stats.sem(differences))
    np.testing.assert_allclose(block_interval(differences, np.arange(blocks)), expected)


def test_rows_of_a_block_that_are_alike_are_one_piece_of_evidence():
    differences = np.random.default_rng(0).normal(0.3, 1, 6)
    alone = block_interval(differences, np.arange(6))
    np.testing.assert_allclose(block_interval(np.repeat(differences, 50), np.repeat(np.arange(6), 50)), alone)
    assert block_interval(differences, np.zeros(6)) == block_interval(np.zeros(0), np.zeros(0)) == (-np.inf, np.inf)
