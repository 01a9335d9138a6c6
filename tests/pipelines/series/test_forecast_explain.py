"""`explain` and `encode` with a forecaster: what they show is what forecasts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom
from sales import Sales, make_sales, write_sales

from pipelines.explain import explain
from pipelines.forecasting import model as models
from pipelines.forecasting.config import Config
from pipelines.forecasting.explain import encode
from pipelines.forecasting.inputs import make_inputs
from pipelines.forecasting.predict import Forecaster
from toolkit.artifact import read_weights
from toolkit.config import read_document, validate
from toolkit.data.windows import Cutoffs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table(here: Path) -> Path:
    return write_sales(here / "sales.csv", make_sales())


def test_vectors_are_the_final_states_of_keras(plain: Path, table: Path) -> None:
    forecaster = Forecaster.load(plain)
    panel = forecaster.read(str(table))
    cutoffs = Cutoffs(np.arange(len(panel)), panel.ends)
    inputs = make_inputs(forecaster.plan, panel, cutoffs, forecaster.sizes_of(panel, cutoffs)).arrays
    network = models.build(validate(read_document(plain / "config.yaml"), Config), forecaster.plan)
    weights = read_weights(plain / "weights.safetensors")
    for variable in network.weights:
        variable.assign(weights[f"member0/{variable.path.removeprefix(f'{network.name}/')}"])
    steps = inputs["segments"] if network.projection is None else network.projection(inputs["segments"])
    _, final = network.encoder(steps, inputs["lengths"])
    found = encode(plain, str(table))
    assert found.sources == list(panel.ids)
    np.testing.assert_allclose(found.vectors, np.asarray(final), atol=1e-5)


def test_the_answer_is_the_forecast_of_the_series_that_was_named(trained: Any) -> None:
    name = "kiosk2"
    found, forecaster = explain(trained.folder, str(trained.table), name), Forecaster.load(trained.folder)
    panel = forecaster.read(str(trained.table))
    median = forecaster.forecast(panel)[panel.ids.index(name), :, forecaster.plan.median]
    assert found.answer.endswith(f"{median[0]:,.4g} to {median[-1]:,.4g}.") and name in found.answer
    assert len(found.parts) == len(found.effects) and (found.effects >= 0).all() and found.effects.any()
    assert found.steps[-1] == found.parts[-2] == "2023-07-20"


def test_hiding_a_column_is_to_have_it_at_its_average(trained: Any) -> None:
    found, forecaster = explain(trained.folder, str(trained.table), "kiosk0"), Forecaster.load(trained.folder)
    panel = forecaster.read(str(trained.table)).take(np.zeros(1, np.int64))
    before = forecaster.forecast(panel)[0, :, forecaster.plan.median]
    panel.covariates["promotion"][:] = forecaster.plan.scales["promotion"][0]
    after = forecaster.forecast(panel)[0, :, forecaster.plan.median]
    assert found.parts[-1] == "promotion" and "other columns" in found.hiding
    assert found.effects[-1] == pytest.approx(np.abs(after - before).mean(), rel=1e-3) and found.effects[-1] > 0


def test_what_lies_before_the_reach_of_a_network_does_not_matter(plain: Path, table: Path) -> None:
    found = explain(plain, str(table))
    other = make_sales()
    other.values[:, :150] *= 3
    changed = explain(plain, str(write_sales(Path("other.csv"), other)))
    assert len(found.steps) == 14
    np.testing.assert_allclose(changed.effects, found.effects, rtol=1e-4)
    for mine, theirs in zip(changed.layers, found.layers, strict=True):
        np.testing.assert_allclose(mine.trace.hidden, theirs.trace.hidden, atol=1e-5)


def test_hiding_a_part_of_a_constant_series_changes_nothing(plain: Path) -> None:
    sales = Sales(np.full((1, 60), 40.0), np.zeros((1, 60)))
    found = explain(plain, str(write_sales(Path("flat.csv"), sales)))
    assert found.effects.max() == pytest.approx(0, abs=1e-4)


def test_series_with_gaps_and_few_values_are_explained(plain: Path) -> None:
    values = np.full((1, 20), np.nan)
    values[0, [0, 7, 19]] = 3.0, 5.0, 4.0
    found = explain(plain, str(write_sales(Path("gaps.csv"), Sales(values, np.zeros((1, 20))))))
    assert np.isfinite(found.effects).all()


def test_a_series_that_is_too_short_or_missing_is_refused(plain: Path, table: Path) -> None:
    short = write_sales(Path("short.csv"), make_sales(series=1, days=1))
    result = seqloom("explain", short, "--model", plain)
    assert result.code == 1 and "'kiosk0' is too short" in result.err
    result = seqloom("explain", table, "--model", plain, "--series", "kiosk9")
    assert result.code == 1 and "kiosk9" in result.err and "kiosk0, kiosk1" in result.err
    result = seqloom("explain", "nowhere.csv", "--model", plain)
    assert result.code == 1 and "nowhere.csv" in result.err


def test_a_page_is_written_and_never_over_the_data(plain: Path, table: Path) -> None:
    before = table.read_bytes()
    assert seqloom("explain", table, "--model", plain, "-o", table).code == 2
    assert table.read_bytes() == before
    assert seqloom("explain", table, "--model", plain, "-o", "a.html").code == 0
    assert "update gate" in Path("a.html").read_text() or "forget gate" in Path("a.html").read_text()


def test_a_run_without_a_recurrent_network_is_explained_but_gives_no_vectors(table: Path, run: Any) -> None:
    assert run(table, model={"kind": "ridge", "history": None, "segment": None}).code == 0
    found = explain("run", str(table))
    assert not found.layers and found.effects.any()
    result = seqloom("encode", table, "--model", "run", "-o", "v.npy")
    assert result.code == 2 and "no encoder" in result.err


def test_the_vector_of_a_series_without_a_value_is_zero(plain: Path) -> None:
    values = np.tile(np.arange(20.0), (2, 1))
    values[1] = np.nan
    table = write_sales(Path("gaps.csv"), Sales(values, np.zeros((2, 20))))
    assert seqloom("encode", table, "--model", plain, "-o", "v.npy").code == 0
    assert np.load("v.npy").any(axis=1).tolist() == [True, False]


def test_a_run_that_forecasts_means_is_explained_as_one(table: Path, run: Any) -> None:
    model = {"kind": "seasonal_naive", "point": "mean", "history": None, "segment": None}
    assert run(table, model=model).code == 0
    found = explain("run", str(table))
    assert found.answer.startswith("The mean forecast of kiosk0 ") and "mean forecast" in found.effect
    assert "median" not in found.hiding


def test_layers_without_gates_are_not_told_as_gates(table: Path, run: Any) -> None:
    training = {"epochs": 1, "windows": 64, "refit": False}
    assert run(table, model={"kind": "network"}, encoder={"cell": "rnn"}, training=training).code == 0
    found = explain("run", str(table))
    assert found.layers and not any("gates" in note for note in found.notes)
