"""A translator whose encoder is a Transformer: trained, served, explained and encoded."""

import csv
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.explain import explain
from pipelines.translation import report as pages
from pipelines.translation.config import Config
from pipelines.translation.explain import encode
from pipelines.translation.predict import Translator
from pipelines.translation.train import train
from toolkit.explanation import NO_GATES


@pytest.fixture(scope="module")
def run(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Letters for letters, the last one first: the folder and its report.

    The graphs are compared with the network before they are kept.
    """
    folder = tmp_path_factory.mktemp("transformer")
    table, letters = folder / "pairs.csv", [*zip("abcdef", "uvwxyz", strict=True)]
    with table.open("w", newline="") as stream:  # of one length, so that one step is traced
        rows = ([" ".join(word) for word in zip(*row, strict=True)] for row in product(letters, repeat=3))
        csv.writer(stream).writerows([("source", "target"), *((a, b[::-1]) for a, b in rows)])
    values = tiny_config.model_dump()
    values["data"]["train"] = str(table)
    values["encoder"] |= {"cell": "transformer"}
    values["decoder"] |= {"attention": "general", "input_feeding": False}
    values["training"] |= {"epochs": 10, "monitor": "loss"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))
        report = train(Config.model_validate(values), folder / "run", resume=False)
    return folder / "run", report


def test_it_learns_to_translate(run: Any) -> None:
    folder, report = run
    assert report["test"]["exact_match"] > 0.5
    assert len(list(Translator(folder).translate(["a b c", "f"]))) == 2


def test_it_is_explained_by_its_attention_and_without_gates(run: Any) -> None:
    found, (translation,) = explain(run[0], "a b"), Translator(run[0]).translate(["a b"])
    assert not found.layers and NO_GATES in found.notes
    assert found.attention is not None and translation.weights is not None
    np.testing.assert_array_equal(found.attention, translation.weights)
    assert np.abs(found.effects).max() > 0.05


def test_of_several_networks_no_layers_are_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_networks(folder: Path) -> Translator:
        translator = Translator(folder)
        translator.searcher.ensemble.members *= 2
        return translator

    monkeypatch.setattr("pipelines.translation.explain.Translator", two_networks)
    assert explain(run[0], "a b").notes == [
        "Of 2 networks, the attention is the mean of all, the bars are of all.",
        NO_GATES,
    ]


def test_vectors_are_means_of_what_the_decoder_reads(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c\n")
    searcher = Translator(run[0]).searcher
    (source,) = searcher.codec.read(["a b c"])
    inputs = searcher.codec.inputs([source], 1, len(source.ids))
    memory = searcher.ensemble.members[0].encoder.run(inputs, ["memory"])["memory"][0]
    assert memory.shape == (3, 32)
    np.testing.assert_allclose(encode(run[0], str(tmp_path / "a.txt")).vectors, memory.mean(axis=0)[None], atol=1e-5)
