"""Calibrated quantiles: what they promise, that they never cross, and what is done with few windows."""

import json
import math
import warnings
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from toolkit.evaluation.intervals import Conformal, fit_conformal
from toolkit.stored import from_json, to_json

SEEDS = st.integers(0, 10_000)
LEVELS = tuple(round(0.1 * place, 1) for place in range(1, 10))


def windows(
    seed: int, rows: int = 60, horizon: int = 4, levels: tuple[float, ...] = LEVELS, bias: float = 0.5
) -> tuple[np.ndarray, ...]:
    """Truth, quantiles that are biased, too narrow and sometimes crossing, and the spread of each value."""
    random = np.random.default_rng(seed)
    spread = random.uniform(0.5, 5, (rows, horizon))
    centre = random.normal(size=(rows, horizon))
    y = centre + spread * (random.standard_t(4, size=(rows, horizon)) + bias)
    shape = np.array([NormalDist().inv_cdf(level) for level in levels])
    noise = random.normal(0, 0.1, (rows, horizon, len(levels)))
    return y, centre[..., None] + 0.3 * spread[..., None] * (shape + noise), spread


@given(SEEDS)
def test_the_interval_covers_what_it_promises_on_windows_of_the_same_kind(seed):
    fitted = fit_conformal(*windows(seed, 500, bias=0), LEVELS)
    y, quantiles, spread = windows(seed + 1, 3000, bias=0)
    calibrated = fitted.apply(quantiles, spread)
    for outside in range(4):
        promised = LEVELS[-1 - outside] - LEVELS[outside]
        covered = ((calibrated[..., outside] <= y) & (y <= calibrated[..., -1 - outside])).mean(axis=0)
        error = np.sqrt(promised * (1 - promised) * (1 / 500 + 1 / 3000))
        assert (abs(covered - promised) < 4.5 * error).all()
    before = ((quantiles[..., 0] <= y) & (y <= quantiles[..., -1])).mean()
    assert before < 0.5


def test_few_windows_cover_a_little_more_than_promised_and_never_less():
    count, covered = 47, []
    for seed in range(300):
        y, quantiles, spread = windows(seed, count + 200, horizon=1, levels=(0.1, 0.5, 0.9))
        fitted = fit_conformal(y[:count], quantiles[:count], spread[:count], (0.1, 0.5, 0.9))
        low, _, high = np.moveaxis(fitted.apply(quantiles[count:], spread[count:]), -1, 0)
        covered.append([(low <= y[count:]).mean(), (y[count:] <= high).mean()])
    # floor(.1 * 48) = 4 and ceil(.9 * 48) = 44 of 48: at least 90 % on either side, at most 1 / 48 more.
    np.testing.assert_allclose(np.mean(covered, axis=0), 44 / 48, atol=0.008)


@given(SEEDS, st.integers(40, 90))
def test_offsets_are_the_sorted_scores_at_the_corrected_rank(seed, rows):
    y, quantiles, spread = windows(seed, rows)
    y[np.random.default_rng(seed).random(y.shape) < 0.1] = np.nan
    fitted = fit_conformal(np.vstack([y] * 2), np.vstack([quantiles] * 2), np.vstack([spread] * 2), LEVELS)
    for step in range(y.shape[1]):
        for place, level in enumerate(LEVELS):
            known = ~np.isnan(y[:, step])
            scores = sorted([*((y[:, step] - quantiles[:, step, place]) / spread[:, step])[known]] * 2)
            rank = len(scores) + 1
            rank = math.ceil(rank * round(level * 10) / 10) if level > 0.5 else rank * round(level * 10) // 10
            expected = 0 if level == 0.5 else scores[rank - 1]
            assert fitted.offsets[step, place] == pytest.approx(expected)
    assert not fitted.reach.any() and not fitted.normal
    np.testing.assert_array_equal(fitted.windows, 2 * (~np.isnan(y)).sum(axis=0))


@given(SEEDS, st.integers(0, 80))
def test_calibrated_quantiles_never_cross_and_leave_the_median(seed, rows):
    y, quantiles, spread = windows(seed)
    fitted = fit_conformal(y[:rows], quantiles[:rows], spread[:rows], LEVELS)
    calibrated = fitted.apply(quantiles, spread)
    assert (np.diff(calibrated) >= 0).all()
    np.testing.assert_array_equal(calibrated[..., 4], quantiles[..., 4])


def test_quantiles_that_cross_are_moved_outwards():
    still = Conformal((0.1, 0.3, 0.5, 0.7, 0.9), np.zeros((1, 5)), np.array([50]), np.array([0]), normal=False)
    crossing = np.array([[[2.0, 3.0, 1.0, 5.0, 4.0]]])
    assert still.apply(crossing, np.ones((1, 1))).ravel().tolist() == [1, 1, 1, 5, 5]


@given(SEEDS, st.sampled_from([0.01, 3.0, 1e6]), st.sampled_from([2, 12, 60]))
def test_scaling_everything_scales_the_quantiles(seed, factor, rows):
    y, quantiles, spread = windows(seed, rows)
    plain = fit_conformal(y, quantiles, spread, LEVELS).apply(quantiles, spread)
    scaled = fit_conformal(factor * y, factor * quantiles, factor * spread, LEVELS)
    np.testing.assert_allclose(scaled.apply(factor * quantiles, factor * spread), factor * plain, rtol=1e-9)


@given(SEEDS, st.sampled_from([3, 20, 60]))
def test_windows_of_which_nothing_is_known_change_nothing(seed, rows):
    y, quantiles, spread = windows(seed, rows + 20)
    y[rows:], spread[rows:] = np.nan, 0
    expected = fit_conformal(y[:rows], quantiles[:rows], spread[:rows], LEVELS)
    found = fit_conformal(y, quantiles, spread, LEVELS)
    np.testing.assert_allclose(found.offsets, expected.offsets)
    assert (found.windows.tolist(), found.normal) == (expected.windows.tolist(), expected.normal)


def test_a_step_with_few_windows_takes_its_nearest_steps_along():
    y, quantiles, spread = windows(0, 50, horizon=9)
    y[9:, 4:7] = np.nan  # 9 windows at steps 4, 5 and 6
    fitted = fit_conformal(y, quantiles, spread, LEVELS)
    assert fitted.windows.tolist() == [50] * 4 + [9] * 3 + [50] * 2
    assert fitted.reach.tolist() == [0] * 4 + [1, 2, 1] + [0] * 2
    near = slice(3, 8)
    pooled = ((y[:, near, None] - quantiles[:, near]) / spread[:, near, None])[~np.isnan(y[:, near])]
    expected = np.sort(pooled[:, 0])[int(0.1 * (len(pooled) + 1)) - 1]
    assert fitted.offsets[5, 0] == pytest.approx(expected)


def test_a_step_never_reaches_past_the_horizon():
    y, quantiles, spread = windows(0, 6, horizon=5)
    assert fit_conformal(y, quantiles, spread, LEVELS).reach.tolist() == [4, 3, 2, 3, 4]


@pytest.mark.parametrize(("levels", "needed"), [(LEVELS, 40), ((0.025, 0.5, 0.975), 40), ((0.005, 0.5, 0.995), 199)])
def test_an_outer_level_asks_for_the_windows_it_needs(levels, needed):
    for rows, reach in ((needed, 0), (needed - 1, 1)):
        y, quantiles, spread = windows(0, rows, levels=levels)
        assert fit_conformal(y, quantiles, spread, levels).reach.tolist() == [reach] * 4


def offsets_of(rows: np.ndarray, **options: float) -> np.ndarray:
    """Offsets (levels,) from scores (rows, horizon)."""
    quantiles = np.zeros((*rows.shape, len(LEVELS)))
    fitted = fit_conformal(rows, quantiles, np.ones(rows.shape), LEVELS, **options)
    assert fitted.normal and (np.ptp(fitted.offsets, axis=0) == 0).all()
    return fitted.offsets[0]


@pytest.mark.parametrize("rows", [1, 4])
def test_with_a_handful_of_windows_the_quantiles_are_student_s_around_the_median(rows):
    y, quantiles, spread = windows(0, rows)
    y[0, 3] = np.nan
    fitted = fit_conformal(y, quantiles, spread, LEVELS)
    scores = (y - quantiles[..., 4]) / spread
    follows = max(np.nanmean(scores[:, 1:] * scores[:, :-1]) / np.nanmean(scores**2), 0)
    number = max((4 * rows - 1) * (1 - follows) / (1 + follows), 1)
    found = fitted.apply(quantiles, spread)
    shape = np.nanmean(scores**2) ** 0.5 * t(number).ppf(LEVELS)
    np.testing.assert_allclose(found, quantiles[..., 4:5] + spread[..., None] * shape)
    assert fitted.normal and fitted.windows.tolist() == [rows] * 3 + [rows - 1]


def test_windows_that_overlap_or_were_fitted_to_say_less():
    scores = np.random.default_rng(3).normal(size=(20, 12))
    plain = offsets_of(scores, independent=2.5)[-1]
    assert plain == pytest.approx(np.sqrt(np.mean(scores**2)) * 1.28, rel=0.1)
    assert offsets_of(scores, independent=1.0)[-1] > plain
    assert offsets_of(scores, independent=2.5, weighed=6)[-1] > 1.08 * plain
    half = offsets_of(scores[:1], weighed=50)  # half of the freedom is left at least
    assert (half[-1] > 1.3 * offsets_of(scores[:1])[-1]) and (half == offsets_of(scores[:1], weighed=99)).all()
    np.testing.assert_array_equal(offsets_of(scores[:2], independent=11.0), offsets_of(scores[:2]))
    scores[0, 1::2] = np.nan  # no two neighbours are known
    with warnings.catch_warnings(action="error"):
        assert np.isfinite(offsets_of(scores[:1])).all()


@pytest.mark.parametrize("alike", ["windows", "steps"])
def test_fifteen_scores_that_say_the_same_four_times_cover_as_fifteen(alike):
    """The outermost of 15 is passed by one in 16 on either side; the 55th of 60 would be the 14th of them."""
    random, found = np.random.default_rng(5), []
    for _ in range(300):
        scores = random.normal(size=(15, 1)) * np.ones((1, 4))
        y = np.repeat(scores, 4, axis=0) if alike == "windows" else scores
        quantiles, coming = np.zeros((*y.shape, 3)), random.normal(size=(300, 4))
        low, _, high = fit_conformal(y, quantiles, np.ones(y.shape), (0.1, 0.5, 0.9), independent=15).offsets.T
        found.append(((low <= coming) & (coming <= high)).mean())
    assert np.mean(found) == pytest.approx(14 / 16, abs=0.02)


@pytest.mark.parametrize("follows", [0.0, 0.5, 0.9])
def test_a_single_window_covers_what_it_promises_or_a_little_more(follows):
    random = np.random.default_rng(1)
    steps = random.normal(size=(4000, 24))
    for step in range(1, 24):
        steps[:, step] = follows * steps[:, step - 1] + (1 - follows**2) ** 0.5 * steps[:, step]
    past, coming = steps[:, :12], random.permutation(steps)[:, 12:]
    outer = np.array([offsets_of(row[None])[-1] for row in past])
    assert 0.78 < (abs(coming) < outer[:, None]).mean() < 0.87


@pytest.mark.filterwarnings("error")
def test_without_any_window_nothing_is_moved():
    y, quantiles, spread = windows(0, 3)
    quantiles = np.sort(quantiles)
    for fitted in (
        fit_conformal(y[:0], quantiles[:0], spread[:0], LEVELS),
        fit_conformal(np.full_like(y, np.nan), quantiles, spread, LEVELS),
    ):
        assert fitted.windows.tolist() == [0] * 4
        np.testing.assert_array_equal(fitted.apply(quantiles, spread), quantiles)


def test_a_shorter_horizon_takes_the_first_steps_and_a_longer_one_is_refused():
    y, quantiles, spread = windows(0)
    fitted = fit_conformal(y, quantiles, spread, LEVELS)
    short = fitted.apply(quantiles[:, :2], spread[:, :2])
    np.testing.assert_array_equal(short, fitted.apply(quantiles, spread)[:, :2])
    with pytest.raises(ValueError, match="4 steps, asked for 8"):
        fitted.apply(np.hstack([quantiles] * 2), np.hstack([spread] * 2))


@pytest.mark.parametrize("levels", [(0.1, 0.9), (0.5, 0.1, 0.9), (0.0, 0.5, 0.9), (0.1, 0.5, 1.0), (0.5, 0.5)])
def test_levels_that_cannot_be_are_refused(levels):
    y, quantiles, spread = windows(0, levels=(0.2,) * len(levels))
    with pytest.raises(ValueError, match="levels must rise"):
        fit_conformal(y, quantiles, spread, levels)


def test_a_spread_of_zero_is_refused():
    y, quantiles, spread = windows(0)
    spread[3, 1] = 0
    with pytest.raises(ValueError, match="spread must be above 0"):
        fit_conformal(y, quantiles, spread, LEVELS)


@pytest.mark.parametrize("rows", [0, 3, 20, 60])
def test_a_stored_calibration_is_the_same(rows):
    y, quantiles, spread = windows(0)
    fitted = fit_conformal(y[:rows], quantiles[:rows], spread[:rows], np.array(LEVELS))
    stored = from_json(Conformal, json.loads(json.dumps(to_json(fitted))))
    np.testing.assert_array_equal(stored.apply(quantiles, spread), fitted.apply(quantiles, spread))
    assert to_json(stored) == to_json(fitted)


@pytest.mark.parametrize(
    "damage",
    [
        {"levels": [0.1, 0.5]},
        {"levels": 5},
        {"offsets": [[0, 0, float("nan")]]},
        {"offsets": [[0, 0], [0]]},
        {"windows": [1, 2]},
        {"normal": "no"},
    ],
)
def test_a_damaged_calibration_is_named(damage):
    whole = to_json(Conformal((0.1, 0.5, 0.9), np.zeros((1, 3)), np.array([50]), np.array([0]), normal=False))
    with pytest.raises(ValueError, match=r"must|expected|missing|shape"):
        from_json(Conformal, whole | damage)
    for data in (None, [], {name: value for name, value in whole.items() if name not in damage}):
        with pytest.raises(ValueError, match=r"must|expected|missing|shape"):
            from_json(Conformal, data)


def test_what_is_mostly_at_a_bound_is_held_by_an_interval_that_reaches_it():
    """Three of four values are 0 and forecasts differ a little: a tenth of them must not lie below a bound above 0."""
    random = np.random.default_rng(0)
    y = random.exponential(size=(200, 2)) * (random.random((200, 2)) < 0.25)
    median, spread = random.uniform(0.2, 0.3, (200, 2, 1)).repeat(len(LEVELS), axis=2), np.ones((200, 2))
    for sign, bounds, outer in ((1, (0.0, None), 0), (-1, (None, 0.0), -1)):
        base, truth = sign * median, sign * y
        plain = np.clip(fit_conformal(truth, base, spread, LEVELS).apply(base, spread), *bounds)
        moved = fit_conformal(truth, base, spread, LEVELS, bounds=bounds).apply(base, spread).clip(*bounds)
        assert (moved[:, :, outer] == 0).all() and not (plain[:, :, outer] == 0).all()
        assert 0.85 < ((moved[:, :, 0] <= truth) & (truth <= moved[:, :, -1])).mean() < 0.95
