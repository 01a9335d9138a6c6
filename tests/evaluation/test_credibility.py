"""What single series show of their own: as the formula of credibility has it, and nothing where all are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.credibility import own_factors


def errors_of(random: np.random.Generator, sizes: list[float], blocks: int, horizon: int = 5) -> tuple[np.ndarray, ...]:
    """Absolute errors of series of these sizes, so many blocks each, that grow with the step; whose, and when."""
    series = np.repeat(np.arange(len(sizes)), blocks)
    errors = abs(random.normal(size=(len(series), horizon))) * np.arange(1, horizon + 1)
    return errors * np.array(sizes)[series][:, None], series, np.tile(np.arange(blocks), len(sizes))


def naive_factors(errors: np.ndarray, series: np.ndarray) -> tuple[list[float], list[float]]:
    """By loops over blocks of a row each."""
    size = np.nanmean(errors / np.nanmean(errors, axis=0), axis=1)
    size = size / size.mean()
    groups = [size[series == number] for number in np.unique(series)]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (len(size) - len(groups))
    squares = sum(len(group) ** 2 for group in groups)
    typical = (len(size) - squares / len(size)) / (len(groups) - 1)
    spread = sum(len(group) * (group.mean() - 1) ** 2 for group in groups) / (len(groups) - 1)
    between = (spread - within) / typical
    own, left_out = [], []
    for group in groups:
        for place in range(len(group)):
            others = np.delete(group, place)
            mean = others.mean() if len(others) else 1.0
            own.append(1 + len(group) * between / (len(group) * between + within) * (group.mean() - 1))
            left_out.append(1 + len(others) * between / (len(others) * between + within) * (mean - 1))
    return own, left_out


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_factors_are_those_of_the_formula(seed, blocks):
    random = np.random.default_rng(seed)
    errors, series, when = errors_of(random, [1.0, 1.0, 6.0, 0.2], blocks)
    errors[random.random(errors.shape) < 0.2] = np.nan
    kept = (random.random(len(series)) < 0.8) & np.isfinite(errors).any(axis=1)
    kept[:2] = np.isfinite(errors[:2]).any(axis=1)
    errors, series, when = errors[kept], series[kept], when[kept]
    found = own_factors(errors, series, when)
    if (found[0] == 1).all():  # by chance nothing differs, or no series has two blocks
        return
    np.testing.assert_allclose(found, naive_factors(errors, series))
    assert (found[0] > 0).all() and (found[1] > 0).all()


def test_more_of_its_own_counts_more():
    for few, many in ((2, 4), (4, 20)):
        found = []
        for blocks in (few, many):
            draws = [
                own_factors(*errors_of(np.random.default_rng(seed), [1.0] * 9 + [4.0], blocks)) for seed in range(30)
            ]
            found.append(np.mean([own[-1] for own, _ in draws]))
        assert 1.5 < found[0] < found[1] < 4 / 1.3 + 0.1  # the mean of all is 1.3


def test_windows_of_one_block_count_as_one():
    errors, series, blocks = errors_of(np.random.default_rng(3), [1.0, 2.0, 5.0], 4)
    once = own_factors(errors, series, blocks)
    twice = own_factors(*(np.concatenate([each, each]) for each in (errors, series, blocks)))
    np.testing.assert_allclose(twice, np.tile(once, 2))


@pytest.mark.parametrize("case", ["one series", "one block each", "all alike", "nothing came", "no errors", "no rows"])
def test_without_evidence_all_factors_are_one(case):
    errors, series, blocks = errors_of(np.random.default_rng(0), [1.0, 5.0, 9.0], 4)
    match case:
        case "one series":
            series = np.zeros_like(series)
        case "one block each":
            blocks = np.zeros_like(blocks)
        case "all alike":
            errors = np.ones_like(errors)
        case "nothing came":
            errors = np.full_like(errors, np.nan)
        case "no errors":
            errors = np.zeros_like(errors)
        case "no rows":
            errors, series, blocks = errors[:0], series[:0], blocks[:0]
    for factors in own_factors(errors, series, blocks):
        np.testing.assert_array_equal(factors, np.ones(len(errors)))


def test_a_row_that_nothing_came_for_has_the_factor_of_no_evidence():
    errors, series, blocks = errors_of(np.random.default_rng(0), [1.0, 9.0], 6)
    errors[3] = np.nan
    own, left_out = own_factors(errors, series, blocks)
    assert (own[3], left_out[3]) == (1, 1) and (np.delete(own, 3) != 1).all()


def test_no_factor_is_0_however_alike_errors_of_one_series_are():
    series, blocks = np.repeat([0, 1, 2], 4), np.tile(np.arange(4), 3)
    for factors in own_factors(np.repeat([0.0, 2.0, 3.0], 4)[:, None], series, blocks):
        assert (factors > 0).all() and (factors[:4] < 0.01).all()
