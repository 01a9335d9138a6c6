"""Gaps filled as a loop step by step would, and chunks that change nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation import histories

SEEDS = st.integers(0, 10_000)


def gappy(seed: int, rows: int = 6, time: int = 23, share: float = 0.4) -> np.ndarray:
    random = np.random.default_rng(seed)
    history = random.normal(size=(rows, time))
    history[random.random(history.shape) < share] = np.nan
    history[0] = np.nan
    return history


def filled_step_by_step(row: np.ndarray, season: int) -> np.ndarray:
    row = row.copy()
    known = np.flatnonzero(np.isfinite(row))
    if not len(known):
        return row
    for time in range(known[0] + 1, len(row)):
        if np.isnan(row[time]) and season > 1 and time >= season:
            row[time] = row[time - season]
    known = np.flatnonzero(np.isfinite(row))
    inside = np.arange(known[0], len(row))
    row[inside] = np.interp(inside, known, row[known])
    return row


@given(SEEDS, st.sampled_from([1, 2, 5, 12, 40]))
def test_gaps_are_filled_from_the_season_before_and_else_along_a_line(seed, season):
    history = gappy(seed)
    expected = [filled_step_by_step(row, season) for row in history]
    np.testing.assert_allclose(histories.fill_gaps(history, season), expected)


def test_what_lies_before_the_first_value_stays_missing_and_infinite_counts_as_missing():
    history = np.array([[np.nan, np.inf, 1.0, -np.inf, 3.0, np.nan]])
    np.testing.assert_array_equal(histories.fill_gaps(history, 1), [[np.nan, np.nan, 1, 2, 3, 3]])
    assert histories.starts_of(history).tolist() == [2]


def test_starts_are_the_width_where_a_row_has_no_value():
    assert histories.starts_of(np.array([[np.nan, np.nan], [np.nan, 1.0], [1.0, np.nan]])).tolist() == [2, 1, 0]
    assert histories.starts_of(np.empty((3, 0))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [1, 60, 1 << 20])
def test_rows_in_chunks_of_any_size_come_back_in_their_places(monkeypatch, size):
    monkeypatch.setattr(histories, "_CHUNK", size)
    history = gappy(3, rows=20)
    last = histories.by_rows(lambda values, horizon, season: histories.fill_gaps(values, 1)[:, -1:].repeat(horizon, 1))
    np.testing.assert_array_equal(last(history, 2, 1), histories.fill_gaps(history, 1)[:, [-1, -1]])


def test_a_method_sees_values_around_one_and_no_row_without_a_value():
    seen = []

    def method(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
        seen.append(values)
        return values[:, -1:]

    history = np.array([[np.nan, np.nan], [1.0, 3e300], [5e-300, -2e-300], [0.0, 0.0]])
    np.testing.assert_array_equal(histories.by_rows(method)(history, 1, 1), [[np.nan], [3e300], [-2e-300], [0.0]])
    largest = np.abs(np.concatenate(seen)).max(axis=1)
    assert ((largest >= 0.5) & (largest < 1) | (largest == 0)).all() and len(largest) == 3
