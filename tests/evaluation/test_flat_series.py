"""Windows end at their origins, and those that are held out lie behind those that are fitted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.flat_series import all_origins, flatten, hold_out

SEEDS = st.integers(0, 10_000)


def test_a_window_never_reads_past_its_origin():
    values = np.arange(40.0)
    series = flatten([values, values + 100], 7)
    for origin in (2, 7, 11, 30):
        before = series.windows(np.array([1]), np.array([origin]), 12)
        assert before.max() < 100 + origin
        np.testing.assert_array_equal(before[0, -min(origin, 12) :], 100 + values[max(0, origin - 12) : origin])
        np.testing.assert_array_equal(
            series.ahead(np.array([1]), np.array([origin]), 3)[0][0], 100 + origin + np.arange(3)
        )


@given(SEEDS, st.sampled_from([1, 5, 600]))
def test_no_window_to_fit_with_reaches_into_those_that_are_held_out(seed, rows):
    lengths = np.random.default_rng(seed).integers(0, 90, rows)
    until, tested, origins = hold_out(lengths, 6, 4)
    assert (origins >= 4).all() and (origins + 6 <= lengths[tested]).all()
    assert (until[tested] + 6 <= origins).all()
    if rows == 600:
        assert (np.bincount(tested) <= 1).all()


@given(SEEDS, st.integers(1, 80))
def test_all_origins_are_taken_or_as_many_as_asked_for(seed, most):
    lasts = np.random.default_rng(seed).integers(-3, 20, 7)
    every = [(row, origin) for row, last in enumerate(lasts) for origin in range(2, last + 1)]
    rows, origins = all_origins(lasts, 2, most)
    taken = list(zip(rows.tolist(), origins.tolist(), strict=True))
    assert len(taken) == len(set(taken)) == min(most, len(every)) and set(taken) <= set(every)
    if len(every) <= most:
        assert taken == every


def test_series_lie_one_after_the_other_without_their_padding_and_gaps():
    ragged = [np.array([1.0, np.nan, 3]), np.array([]), np.array([np.nan, 5])]
    matrix = np.array([[1.0, np.nan, 3], [np.nan, np.nan, np.nan], [np.nan, np.nan, 5]])
    for histories in (ragged, matrix):
        series = flatten(histories, 1)
        assert series.values.tolist() == [1, 2, 3, 5]
        assert series.known.tolist() == [True, False, True, True]
        assert series.offsets.tolist() == [0, 3, 3, 4]


def test_the_change_of_a_series_is_over_a_season_or_over_a_step_where_it_has_none():
    series = flatten([np.array([1.0, 5, 2, 9]), np.array([1.0, 4]), np.array([7.0])], 2)
    np.testing.assert_allclose(series.change, [2.5, 3, 0])
