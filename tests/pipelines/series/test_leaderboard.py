"""Who is better on the test windows, and whether that is more than luck."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sales import make_sales, write_sales

from pipelines.forecasting.evaluate import last_windows
from pipelines.forecasting.inputs import Plan
from pipelines.forecasting.leaderboard import Leaderboard, Rival, _truth, difference_interval, join
from pipelines.forecasting.predict import Forecaster
from toolkit.data import windows
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.evaluation.forecasting import Truth

HORIZON = 7


def board(path: Path, *, series: int, count: int, step: int, better: float = 0.0, luck: float = 0.0) -> Leaderboard:
    """A model whose error is 1 at each step, and a rival whose error is less, and in its last windows more or less."""
    panel, _ = read_panel(SeriesSource(str(write_sales(path, make_sales(series, 200)))))
    cutoffs = last_windows(panel, HORIZON, count=count, step=step).test
    y = windows.ahead(panel, panel.values, cutoffs, HORIZON)
    ones = np.ones(len(y))
    last = np.arange(len(y)) >= len(y) - HORIZON
    rival = y + (1 - better) + luck * np.where(last, -1.0, 0.1)[:, None]
    rivals = {"seqloom": Rival(y + 1), "naive": Rival(rival)}
    return Leaderboard(panel, cutoffs, (0.1, 0.5, 0.9), ones, False, "mase", Truth(y, ones, ones, y), rivals)


def test_a_rival_that_is_better_everywhere_is_surely_better(tmp_path: Path) -> None:
    low, high = difference_interval(board(tmp_path / "a.csv", series=1, count=8, step=7, better=0.3), "naive")
    assert 0.29 < low <= high < 0.31


def test_the_interval_of_two_rmsse_lies_around_their_difference(tmp_path: Path) -> None:
    found = replace(board(tmp_path / "a.csv", series=3, count=8, step=7, better=0.3, luck=0.5), metric="rmsse")
    interval = difference_interval(found, "naive")
    scores = found.scores["seqloom"]["rmsse"], found.scores["naive"]["rmsse"]
    np.testing.assert_allclose(np.mean(interval), scores[0] - scores[1])
    assert interval[0] < interval[1]
    own = {"seqloom": found.rivals["seqloom"], "naive": found.rivals["seqloom"]}
    assert difference_interval(replace(found, rivals=own), "naive") == (0, 0)


def test_windows_that_overlap_are_no_more_of_them(tmp_path: Path) -> None:
    """Seven lucky windows of 60 that overlap are luck in one block of five."""
    found = board(tmp_path / "a.csv", series=1, count=60, step=1, luck=1.0)
    low, high = difference_interval(found, "naive")
    assert low < 0 < high
    assert not np.isfinite(difference_interval(board(tmp_path / "b.csv", series=9, count=1, step=7), "naive")).any()


def test_what_series_have_in_common_at_a_time_is_one_piece_of_evidence(tmp_path: Path) -> None:
    """Of 30 series at four times, where only the time decides who is better, winners come by chance."""
    found = board(tmp_path / "a.csv", series=30, count=4, step=7)
    own, winners = found.rivals["seqloom"].forecasts, 0
    for seed in range(100):
        shock = np.random.default_rng(seed).normal(size=4)[np.arange(120) % 4][:, None]
        rivals = {**found.rivals, "naive": Rival(own + 0.3 * shock)}
        low, high = difference_interval(replace(found, rivals=rivals), "naive")
        winners += not low <= 0 <= high
    assert winners < 12


def test_windows_of_which_nothing_came_are_no_evidence(tmp_path: Path) -> None:
    found = board(tmp_path / "a.csv", series=1, count=8, step=7, better=0.3)
    y = found.truth.y.copy()
    y[1:] = np.nan
    assert not np.isfinite(difference_interval(replace(found, truth=replace(found.truth, y=y)), "naive")).any()


def test_errors_are_scaled_by_those_of_the_past_before_all_test_windows_in_the_units_of_the_board(
    tmp_path: Path,
) -> None:
    sales = make_sales(3, 100)
    panel, _ = read_panel(SeriesSource(str(write_sales(tmp_path / "a.csv", sales))))
    splits, units = last_windows(panel, HORIZON, count=3), np.array([1.0, 2.0, 10.0])
    truth = _truth(splits, units[splits.test.series], HORIZON, 5)
    past = sales.values[:, : 100 - 3 * HORIZON]
    changes = (past[:, 5:] - past[:, :-5]) / units[:, None]
    np.testing.assert_allclose(truth.scale, abs(changes).mean(axis=1).repeat(3))
    np.testing.assert_allclose(truth.squared_scale, (changes**2).mean(axis=1).repeat(3))
    came = sales.values[:, -3 * HORIZON :] / units[:, None]
    np.testing.assert_allclose(truth.y, came.reshape(9, HORIZON))
    plain = _truth(splits, np.ones(9), HORIZON, 5)
    np.testing.assert_allclose(truth.naive2, plain.naive2 / units.repeat(3)[:, None])


def test_boards_are_joined_row_by_row_with_the_rivals_that_all_have(tmp_path: Path) -> None:
    first, second = (board(tmp_path / f"{n}.csv", series=1, count=n, step=7) for n in (2, 3))
    first, second = (replace(each, truth=replace(each.truth, naive2=each.truth.y)) for each in (first, second))
    joined = join([replace(first, rivals={**first.rivals, "alone": first.rivals["naive"]}), second])
    assert list(joined.rivals) == ["seqloom", "naive"] and joined.rivals["naive"].quantiles is None
    np.testing.assert_array_equal(joined.truth.y, np.concatenate([first.truth.y, second.truth.y]))
    np.testing.assert_array_equal(joined.rivals["seqloom"].forecasts, joined.truth.y + 1)
    assert len(joined.cutoffs) == len(joined.units) == 5


@pytest.mark.parametrize(("season", "names"), [(1440, ("seasonal_naive", "theta")), (10_080, ("seasonal_naive",))])
def test_companions_see_seasons_of_thousands_of_steps(season: int, names: tuple[str, ...]) -> None:
    """A day and a week of minutes. Naive2 too has the season of a day, or OWA would be relative to the naive method."""
    time, horizon = np.arange(8 * season), season // 2
    values = 10 + 5 * np.sin(2 * np.pi * time / season) + np.random.default_rng(0).normal(0, 0.3, len(time))
    grid, ends = Frequency("second", 60), np.array([0, len(time)])
    panel = Panel(("a",), grid, np.zeros(1, np.int64), ends, ends[1:], values, {}, {}, {})
    splits = last_windows(panel, horizon, count=1)
    plan = Plan(grid, horizon, season, 60, 60, (0.1, 0.5, 0.9), "window", "last", "center", scales={})
    forecaster = Forecaster(plan, None, None, {}, SeriesSource("a.csv"))
    forecasts = forecaster.parts(panel, splits.test, ["naive", *names]).forecasts
    if "theta" in names:
        forecasts["naive2"] = _truth(splits, np.ones(1), horizon, season).naive2
    errors = {name: np.abs(values[-horizon:] - forecast).mean() for name, forecast in forecasts.items()}
    naive = errors.pop("naive")
    assert all(error < 0.5 < naive for error in errors.values()), errors
