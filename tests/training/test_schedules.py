"""Learning rates rise to their peak and fall as the schedule says."""

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.training.schedules import learning_rate


def _rates(schedule, *, warmup=0.0, total=100, peak=0.1):
    return [learning_rate(step, peak=peak, schedule=schedule, warmup=warmup, total=total) for step in range(total + 1)]


def test_constant_stays_at_its_peak():
    assert set(_rates("constant")) == {0.1}


def test_linear_falls_along_a_line_to_zero():
    assert _rates("linear") == pytest.approx([0.1 * (1 - step / 100) for step in range(101)])


def test_cosine_falls_along_half_a_cosine_to_zero():
    assert _rates("cosine") == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 100)) for step in range(101)])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_along_a_line_from_above_zero_to_the_peak_and_then_falls(schedule):
    rates = _rates(schedule, warmup=0.2)
    assert rates[:20] == pytest.approx([0.1 * (step + 1) / 20 for step in range(20)])
    assert rates[20] == pytest.approx(0.1)
    assert all(one >= other for one, other in pairwise(rates[20:]))
    assert rates[-1] == pytest.approx(0.1 if schedule == "constant" else 0.0)


@given(
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
    warmup=st.floats(0, 1, exclude_max=True),
    total=st.integers(1, 60),
)
@example(schedule="cosine", warmup=0.005, total=100)
@example(schedule="linear", warmup=0.25, total=10)
def test_no_rate_is_negative_or_above_the_peak(schedule, warmup, total):
    assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in _rates(schedule, warmup=warmup, total=total))


def test_an_unknown_schedule_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="schedule is 'step', expected constant, linear or cosine"):
        _rates("step")
