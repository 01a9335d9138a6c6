"""A Transformer encoder in a text classifier: trained, broken off, served, explained and encoded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom, write_config

from pipelines.explain import explain
from pipelines.text_classification import evaluate
from pipelines.text_classification.config import Config
from pipelines.text_classification.explain import _embed
from pipelines.text_classification.predict import NAME, Classifier
from toolkit.artifact import Artifact
from toolkit.explanation import NO_GATES, read_network
from toolkit.gates import trace_encoder
from toolkit.training.watch import Watch

ENCODER = {"cell": "transformer", "units": 16, "bidirectional": True}
STEPS = 12  # in an epoch


@pytest.fixture(scope="module")
def run(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that reads pieces of eight words, its config, and its report."""
    base = tmp_path_factory.mktemp("transformer")
    model = {"pooling": ["attention"], "word_skip": False, "segment": 8}
    training = {"learning_rate": 0.02}
    config = write_config(base / "c.yaml", trained.data, encoder=ENCODER, model=model, training=training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
        result = seqloom("run", config, "--out", base / "run", "--json")
    assert result.code == 0, result.err
    return base / "run", config, json.loads(result.out)


def test_it_learns_and_answers(run: Any, trained: Any) -> None:
    folder, _, report = run
    assert report["test"]["accuracy"] > 0.8
    (record,) = seqloom("classify", "-", "--model", folder, stdin=b"the parcel is really for you").records
    assert record["labels"] == ["delivery"]
    again = seqloom("evaluate", "--model", folder, "--data", trained.data["test"], "--json")
    assert json.loads(again.out)["accuracy"] == report["test"]["accuracy"]


def test_a_run_that_was_broken_off_ends_with_bitwise_the_same_network(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config, _ = run
    monkeypatch.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
    tell, calls = Watch.__call__, []

    def count(self: Watch, progress: Any, step: int) -> None:
        tell(self, progress, step)
        calls.append(step)
        if len(calls) == STEPS + 5:
            raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "__call__", count)
        assert seqloom("run", config, "--out", "run").code == 1
    assert seqloom("run", config, "--out", "run", "--resume").code == 0
    assert Path("run/model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_it_is_explained_without_gates_and_encoded(run: Any) -> None:
    folder, text = run[0], "the parcel is really for you and my money is gone"
    scorer = Classifier(folder).scorer
    found, (features,) = explain(folder, text), scorer.score([text])[1]
    assert not found.layers and NO_GATES in found.notes and np.abs(found.effects).max() > 0.1
    config, weights = read_network(Artifact(folder, NAME), Config)
    inputs = scorer.encoder.inputs(scorer.encoder.encode([text]), [0])
    words = _embed(weights, inputs["tokens"][0, : len(found.steps)], inputs["unknown_ngrams"])
    pieces = [trace_encoder(weights, config.encoder.model_dump(), piece) for piece in (words[:8], words[8:])]
    states = np.concatenate([outputs for _, outputs in pieces])
    assert found.attention is not None
    np.testing.assert_allclose((found.attention @ states)[0], features, atol=1e-5)
    Path("a.txt").write_text(text)
    assert seqloom("encode", "a.txt", "--model", folder, "-o", "v.npy").code == 0
    np.testing.assert_allclose(np.load("v.npy")[0], features, atol=1e-5)
    result = seqloom("explain", text, "--model", folder, "-o", "a.html")
    assert result.code == 0 and NO_GATES in result.out and NO_GATES in Path("a.html").read_text()
