"""What is held back where the config does not say."""

from pathlib import Path

import numpy as np
import pytest
from sales import write_table

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import Splits, read_splits


def split(path: Path, lengths: list[int], *, horizon: int, season: int) -> Splits:
    """Weekly series of these lengths."""
    first = np.datetime64("2010-01-02")
    rows = [[f"s{k}", str(first + 7 * step), step] for k, length in enumerate(lengths) for step in range(length)]
    write_table(path, rows, ("unique_id", "ds", "y"))
    config = {"pipeline": "forecasting", "horizon": horizon, "season": season, "data": {"path": str(path)}}
    return read_splits(Config.model_validate(config))[0]


def held_back(splits: Splits) -> tuple[list[int], list[int]]:
    """Steps of each series to validate and to test on."""
    ends = splits.panel.ends
    return (splits.test_starts - splits.training_ends).tolist(), (ends - splits.test_starts).tolist()


@pytest.mark.parametrize(("season", "steps"), [(52, 104), (4, 39)])
def test_of_many_series_two_seasons_are_held_back_or_three_horizons(season: int, steps: int, tmp_path: Path) -> None:
    splits = split(tmp_path / "many.csv", [1000] * 80, horizon=13, season=season)
    assert held_back(splits) == ([steps] * 80, [steps] * 80)


def test_of_one_series_a_fifth_is_held_back_up_to_twenty_horizons(tmp_path: Path) -> None:
    assert held_back(split(tmp_path / "long.csv", [3000], horizon=10, season=52)) == ([200], [200])
    assert held_back(split(tmp_path / "short.csv", [500], horizon=10, season=52)) == ([80], [100])


def test_a_short_series_among_long_ones_gives_a_fifth_and_a_tiny_one_nothing(tmp_path: Path) -> None:
    splits = split(tmp_path / "mixed.csv", [1000] * 70 + [150, 20], horizon=13, season=52)
    validation, test = held_back(splits)
    assert (validation[-2:], test[-2:]) == ([13, 0], [26, 0])
    assert (validation[0], test[0]) == (104, 104)
