"""A forecaster whose encoder is a Transformer: trained, served, explained and encoded."""

import json
from typing import Any

import numpy as np
import pytest
from keywords import seqloom
from pydantic import ValidationError
from sales import make_sales, read_table, write_config, write_sales

from pipelines.explain import explain
from pipelines.forecasting import model as models
from pipelines.forecasting import report as pages
from pipelines.forecasting.config import Config
from pipelines.forecasting.explain import encode
from pipelines.forecasting.inputs import make_inputs
from pipelines.forecasting.predict import Forecaster
from toolkit.artifact import read_weights
from toolkit.config import read_document, validate
from toolkit.data.windows import Cutoffs
from toolkit.explanation import NO_GATES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a network alone, its table, and its report."""
    base = tmp_path_factory.mktemp("transformer")
    table = write_sales(base / "sales.csv", make_sales())
    config = write_config(
        base / "c.yaml",
        table,
        data={"known": []},
        model={"kind": "network", "network": "attention", "scaling": "series"},
        encoder={"cell": "transformer", "layers": 2, "dropout": 0.1},
        training={"refit": False},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_: ("<html></html>", "verdict"))
        result = seqloom("run", config, "--out", base / "run", "--json")
    assert result.code == 0, result.err
    return base / "run", table, json.loads(result.out)


def test_it_learns_the_week_and_forecasts(run: Any) -> None:
    folder, table, report = run
    assert report["test"]["mase"] < report["baselines"]["naive"]["mase"]
    assert len(read_table(seqloom("forecast", table, "--model", folder).out)) == 4 * 7


def test_vectors_are_the_final_states_of_keras(run: Any) -> None:
    folder, table, _ = run
    forecaster = Forecaster.load(folder)
    panel = forecaster.read(str(table))
    cutoffs = Cutoffs(np.arange(len(panel)), panel.ends)
    arrays = make_inputs(forecaster.plan, panel, cutoffs, forecaster.sizes_of(panel, cutoffs)).arrays
    network = models.build(validate(read_document(folder / "config.yaml"), Config), forecaster.plan)
    weights = read_weights(folder / "weights.safetensors")
    for variable in network.weights:
        variable.assign(weights[f"member0/{variable.path.removeprefix(f'{network.name}/')}"])
    assert forecaster.runtime is not None
    expected = network.predict_on_batch(arrays)
    np.testing.assert_allclose(forecaster.runtime.run(arrays)["quantiles"], expected, atol=1e-5)
    _, final = network.encoder(arrays["segments"], arrays["lengths"])
    np.testing.assert_allclose(encode(folder, str(table)).vectors, np.asarray(final), atol=1e-5)


def test_it_is_explained_without_gates(run: Any) -> None:
    found = explain(run[0], str(run[1]))
    assert not found.layers and NO_GATES in found.notes and found.effects.any()
    assert not any("whose layers these are" in note for note in found.notes)


def test_smoothing_takes_no_transformer() -> None:
    given = {"pipeline": "forecasting", "horizon": 7, "data": {"path": "a.csv"}, "model": {"network": "smoothing"}}
    with pytest.raises(ValidationError, match=r"smoothing has recurrent layers. Set encoder\.cell to lstm, gru or rnn"):
        Config.model_validate({**given, "encoder": {"cell": "transformer"}})
