"""The smoothing hybrid reads windows padded on the left, and its graph equals it."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from examples import randomize
from pipelines.forecasting import model as models
from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan, make_inputs
from pipelines.forecasting.smoothing import SmoothingNetwork
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs
from toolkit.runtime import Runtime

HORIZON, SEASON, HISTORY = 7, 4, 16
STEPS = 30


def make_config(**stanzas: Any) -> Config:
    given = {"pipeline": "forecasting", "horizon": HORIZON, "data": {"path": "series.csv"}, **stanzas}
    given["model"] = {"network": "smoothing", "quantiles": [0.1, 0.5, 0.9], **given.get("model", {})}
    given["encoder"] = {"cell": "lstm", "units": 5, "layers": 3, **given.get("encoder", {})}
    return Config.model_validate(given)


def make_panel(names: tuple[str, ...] = ("a", "b", "new")) -> Panel:
    """Series with gaps, of which the last one has just begun, a covariate and a static."""
    random = np.random.default_rng(0)
    lengths = np.array([STEPS, STEPS, HORIZON + 3])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = 50 + random.normal(size=offsets[-1]).cumsum()
    values[random.random(len(values)) < 0.1] = np.nan
    return Panel(
        names,
        Frequency("second", 86400),
        np.zeros(3, np.int64),
        offsets,
        offsets[1:] - HORIZON,
        values,
        {"price": random.normal(size=len(values))},
        {"size": np.array([1.0, 2.0, 3.0])},
        {},
    )


def make_plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = dict(
        frequency=Frequency("second", 86400),
        horizon=HORIZON,
        season=SEASON,
        history=HISTORY,
        segment=1,
        levels=(0.1, 0.5, 0.9),
        scaling="window",
        center="last",
        anchor="center",
        ids=("a", "b"),
        network="smoothing",
    )
    return Plan(**{**settings, **changes})


def at_ends(panel: Panel) -> Cutoffs:
    return Cutoffs(np.arange(len(panel)), panel.ends)


COVARIATES = dict(known=("price",), static=("size",), calendar=True, scales={"price": (0.0, 1.0), "size": (2.0, 1.0)})


@pytest.mark.parametrize(
    ("season", "vectors", "covariates"), [(1, 0, {}), (SEASON, 2, COVARIATES)], ids=["plain", "everything"]
)
def test_the_graph_of_all_members_equals_the_mean_of_the_networks(season, vectors, covariates):
    plan, panel = make_plan(season=season, **covariates), make_panel()
    config = make_config(model={"series_vectors": vectors}, encoder={"normalization": "layer" if vectors else "none"})
    networks = [models.build(config, plan) for _ in range(2)]
    for i, network in enumerate(networks):
        assert isinstance(network, SmoothingNetwork)
        randomize(network, seed=i, scale=0.3)
    arrays = make_inputs(plan, panel, at_ends(panel), None).arrays
    runtime = Runtime(models.to_onnx(networks).SerializeToString())
    assert set(runtime.inputs) == set(arrays)
    expected = np.mean([network.predict_on_batch(arrays) for network in networks], axis=0)
    assert expected.shape == (3, HORIZON, 3)
    np.testing.assert_allclose(runtime.run(arrays)["quantiles"], expected, atol=1e-5, rtol=1e-5)
    assert (np.diff(expected, axis=2) >= 0).all()


def test_a_series_that_has_just_begun_ends_at_the_cutoff_and_is_missing_before():
    panel = make_panel()
    arrays = make_inputs(make_plan(), panel, at_ends(panel), None).arrays
    assert "lengths" not in arrays
    short = arrays["segments"][2]
    assert short[: HISTORY - 3, 1].all()
    assert not short[: HISTORY - 3, 0].any()
    np.testing.assert_array_equal(short[HISTORY - 3 :, 1], np.isnan(panel.history(2)))


def test_series_are_numbered_by_name_and_unknown_ones_are_zero():
    panel = make_panel(("b", "never seen", "a"))
    arrays = make_inputs(make_plan(), panel, at_ends(panel), None).arrays
    np.testing.assert_array_equal(arrays["series"], [2, 0, 1])


def test_a_network_that_corrects_nothing_forecasts_level_and_season():
    """Values that repeat a season exactly go on like that, once the season's start is trusted."""
    plan = make_plan(season=4, history=16)
    network = models.build(make_config(), plan)
    network.smoothing.shared.assign([0.0, 0.0, 5.0])
    network.head.projection.kernel.assign(np.zeros(network.head.projection.kernel.shape))
    pattern = np.array([3.0, -1.0, -2.0, 0.0], np.float32)
    segments = np.stack([np.tile(pattern, 4) + 5, np.zeros(16)], axis=-1)[None].astype(np.float32)
    outputs = network.predict_on_batch({"segments": segments, "series": np.zeros(1, np.int32)})
    np.testing.assert_allclose(outputs[0, :, 1], 5 + np.tile(pattern, 2)[:HORIZON], atol=1e-4)


@pytest.mark.parametrize(
    ("stanzas", "named"),
    [
        ({"model": {"segment": 4}}, "segment"),
        ({"model": {"anchor": "season"}}, "anchor"),
        ({"encoder": {"bidirectional": True}}, "bidirectional"),
    ],
)
def test_settings_that_smoothing_has_no_use_for_are_refused(stanzas, named):
    with pytest.raises(ValidationError, match=f"smoothing .*{named}"):
        make_config(**stanzas)
