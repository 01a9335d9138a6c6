"""What is served is chosen on as many windows as there can be, and by none that what is judged has learned from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.forecasting import choose as choosing
from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.predict import NETWORK, Forecaster, Own, Parts
from pipelines.forecasting.prepare import Prepared, fit_ridge_before, prepare
from toolkit.data import windows
from toolkit.evaluation.combination import Combination
from toolkit.stored import from_json, to_json

HORIZON = 12


def prepared_from(path: Path, values: np.ndarray, **model: Any) -> tuple[Config, Prepared]:
    days = np.datetime64("2000-01-01") + np.arange(len(values))
    path.write_text("ds,y\n" + "\n".join(f"{day},{value}" for day, value in zip(days, values, strict=True)))
    settings = {"pipeline": "forecasting", "horizon": HORIZON, "season": 1, "data": {"path": str(path)}, "model": model}
    config = Config.model_validate(settings)
    return config, prepare(config)


def walk(steps: int, seed: int = 0) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(size=steps))


def test_simple_methods_are_judged_at_earlier_cutoffs_too_where_validation_windows_are_few(tmp_path: Path) -> None:
    """One window picks a method by luck: on random walks the last value is nearly as good as it gets."""
    errors = []
    for seed in range(12):
        values = walk(120, seed)
        config, prepared = prepared_from(tmp_path / "a.csv", values[:-HORIZON])
        assert len(prepared.splits.validation) == 1
        forecaster = choose(config, prepared, None)
        assert forecaster.conformal is not None and (forecaster.conformal.windows > 2).all()
        forecast = forecaster.forecast(prepared.panel)[0, :, forecaster.plan.median]
        errors.append([abs(values[-HORIZON:] - each).mean() for each in (forecast, values[-HORIZON - 1])])
    own, last = np.mean(errors, axis=0)
    assert own < 1.15 * last


def test_forecasts_at_earlier_cutoffs_know_nothing_of_what_came_later(tmp_path: Path) -> None:
    found = []
    values = walk(150)
    for changed in (values, np.append(values[:80], 5 * values[80:][::-1])):
        config, prepared = prepared_from(tmp_path / "a.csv", changed)
        forecaster = choose(config, prepared, None)
        earlier = choosing._with_earlier(prepared)
        cutoffs, parts = choosing._tried(forecaster, prepared, ["ets", "ridge"], earlier, afresh=True)
        found.append(parts.forecasts)
    before = np.flatnonzero(cutoffs.ends <= 80)
    assert 0 < len(before) < len(cutoffs)
    for name in ("ets", "ridge"):
        np.testing.assert_array_equal(*(forecasts[name][before] for forecasts in found))
        assert not np.array_equal(*(forecasts[name] for forecasts in found))


@pytest.mark.parametrize(("error", "used"), [(0.0, True), (50.0, False)])
def test_a_network_is_weighed_on_validation_windows_beside_all_simple_methods_as_one(
    error: float, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, prepared = prepared_from(tmp_path / "a.csv", walk(200))
    asked = []
    parts_of = Forecaster.parts

    def with_network(self: Forecaster, panel: Any, cutoffs: Any, names: Any) -> Parts:
        """A network that is off by so much from what comes."""
        parts = parts_of(self, panel, cutoffs, [name for name in names if name != NETWORK])
        if NETWORK not in names:
            return parts
        asked.append(cutoffs.ends)
        forecast = windows.ahead(panel, panel.values, cutoffs, HORIZON) + error
        quantiles = np.repeat(forecast[:, :, None], len(self.plan.levels), axis=2)
        return Parts({NETWORK: forecast, **parts.forecasts}, quantiles, parts.unit)

    monkeypatch.setattr(Forecaster, "parts", with_network)
    monkeypatch.setattr(choosing, "Runtime", lambda graph: None)
    combination = choose(config, prepared, b"graph").combination
    assert combination is not None and (NETWORK in combination.used) == used
    assert (np.concatenate(asked) >= prepared.splits.training_ends[0]).all()
    np.testing.assert_allclose(combination.weights.sum(axis=1), 1)


def test_equal_weights_are_one_choice_and_others_more() -> None:
    def freedom(*weights: float) -> float:
        names = tuple("abcd"[: len(weights)])
        scores = dict.fromkeys((*names, "combination"), 1.0)
        return choosing._freedom(Combination(names, np.array([weights]), scores))

    assert freedom(1.0, 0.0) == freedom(0.25, 0.25, 0.25, 0.25) == 1
    assert 1.5 < freedom(0.9, 0.1) < 2
    assert freedom(0.0, 0.5, 0.5) == 1


def test_a_method_alone_is_calibrated_on_earlier_windows_too(tmp_path: Path) -> None:
    config, prepared = prepared_from(tmp_path / "a.csv", walk(120), kind="ridge")
    forecaster = choose(config, prepared, None)
    assert forecaster.conformal is not None and (forecaster.conformal.windows > 2).all()
    assert len(prepared.splits.validation) == 1


def test_the_ridge_is_fitted_once_a_horizon_of_few_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit for every cutoff would take minutes: they may be a step apart."""
    config, prepared = prepared_from(tmp_path / "a.csv", walk(420), kind="ridge")
    ends = []

    def noted(panel: Any, until: np.ndarray, plan: Any) -> Any:
        ends.append(int(until[0]))
        return fit_ridge_before(panel, until, plan)

    monkeypatch.setattr(choosing, "fit_ridge_before", noted)
    forecaster = choose(config, prepared, None)
    assert forecaster.conformal is not None and forecaster.conformal.windows.max() > 50
    assert 5 < len(ends) < 30


def panel_from(path: Path, series: list[np.ndarray], **settings: Any) -> tuple[Config, Prepared]:
    rows = [
        f"{name},{np.datetime64('2000-01-01') + t},{'' if np.isnan(value) else value}"
        for name, values in zip("abcdefghijkl", series, strict=False)
        for t, value in enumerate(values)
    ]
    path.write_text("unique_id,ds,y\n" + "\n".join(rows))
    given = {"pipeline": "forecasting", "season": 1, "data": {"path": str(path)}, **settings}
    config = Config.model_validate(given)
    return config, prepare(config)


def test_windows_that_nothing_came_for_do_not_take_the_factor_of_their_series(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sizes = np.where(np.arange(200) < 50, 1, np.array([[1], [4], [16]]))
    series = list(100 + np.cumsum(random.normal(size=(3, 200)) * sizes, axis=1))
    nothing = np.append(series[2][:1], np.full(199, np.nan))
    asked = {"horizon": 5, "model": {"kind": "naive"}}
    before = choose(*panel_from(tmp_path / "a.csv", [*series, nothing], **asked), None).own
    _, prepared = panel_from(tmp_path / "a.csv", [*series, nothing], **asked)
    start = int(prepared.splits.test_starts[2] - prepared.panel.offsets[2])
    series[2][start - 5 : start] = np.nan  # its last validation window
    after = choose(*panel_from(tmp_path / "a.csv", [*series, nothing], **asked), None).own
    assert before is not None and after is not None
    assert abs(np.log(after.factors["c"] / before.factors["c"])) < 0.2
    assert "d" not in after.factors  # it has shown nothing


def test_a_series_that_never_erred_leaves_a_run_that_can_be_opened(tmp_path: Path) -> None:
    steps = np.arange(100.0)
    config, prepared = panel_from(
        tmp_path / "a.csv", [np.minimum(steps, 20), steps, 2 * steps], horizon=3, model={"kind": "naive"}
    )
    own = choose(config, prepared, None).own
    assert own is not None
    assert from_json(Own, json.loads(json.dumps(to_json(own)))).factors == own.factors


def test_series_that_stand_still_do_not_narrow_the_intervals_of_the_others(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    walks = 100 + np.cumsum(random.normal(size=(3, 120)), axis=1)
    still = np.where(np.arange(120) < 40, np.round(random.uniform(10, 30, (9, 120))), 0)
    widths = []
    for series in ([*walks], [*walks, *still]):
        config, prepared = panel_from(tmp_path / "a.csv", series, horizon=6, model={"kind": "naive"})
        quantiles = choose(config, prepared, None).forecast(prepared.panel)[:3]
        widths.append((quantiles[:, :, -1] - quantiles[:, :, 0]).mean())
    alone, beside = widths
    assert beside > 0.7 * alone
