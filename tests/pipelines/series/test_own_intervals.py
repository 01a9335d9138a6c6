"""Intervals of single series: written, read, as wide as they say, and for no series that has shown nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting.predict import Forecaster, Own
from toolkit.evaluation.intervals import Conformal
from toolkit.stored import from_json, to_json


def test_a_factor_widens_the_intervals_of_its_series_and_of_no_other(trained: Any) -> None:
    forecaster = Forecaster.load(trained.folder)
    forecaster = replace(forecaster, plan=replace(forecaster.plan, lower=None))
    assert forecaster.conformal is not None
    panel, middle = forecaster.read(str(trained.table)), forecaster.plan.median
    plain = replace(forecaster, own=None).forecast(panel)
    wider = replace(forecaster, own=Own({panel.ids[1]: 3.0}, forecaster.conformal)).forecast(panel)
    np.testing.assert_array_equal(np.delete(wider, 1, axis=0), np.delete(plain, 1, axis=0))
    np.testing.assert_allclose(wider[1, :, middle], plain[1, :, middle])
    np.testing.assert_allclose(wider[1] - wider[1, :, [middle]].T, 3 * (plain[1] - plain[1, :, [middle]].T), rtol=1e-6)


def test_what_single_series_have_shown_is_stored_and_read_again(trained: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    calibration = from_json(Conformal, json.loads((folder / "intervals.json").read_text()))
    own = Own({"kiosk0": 0.5, "a/b \u00e9": 2.0}, calibration)
    again = from_json(Own, json.loads(json.dumps(to_json(own))))
    assert again.factors == own.factors
    np.testing.assert_array_equal(again.conformal.offsets, calibration.offsets)
