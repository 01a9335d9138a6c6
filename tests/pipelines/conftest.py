"""One trained run, shared by the tests of a process, and a folder to work in."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from keywords import keyword_rows, seqloom, write_config, write_splits

from pipelines.text_classification.predict import Classifier


class Run(NamedTuple):
    """A finished run and what it was made from."""

    folder: Path
    config: Path
    data: dict[str, Any]
    report: dict[str, Any]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on keyword texts with one label each. Read only: copy it to change it."""
    base = tmp_path_factory.mktemp("trained")
    data = write_splits(base)
    config = write_config(base / "keywords.yaml", data)
    result = seqloom("run", config, "--out", base / "run", "--json")
    assert result.code == 0, result.err
    return Run(base / "run", config, data, json.loads(result.out))


@pytest.fixture(scope="session")
def linear(trained: Run) -> Run:
    """The same, averaged with a linear model."""
    base = trained.folder.parent
    config = write_config(base / "linear.yaml", trained.data, model={"linear": True})
    result = seqloom("run", config, "--out", base / "linear", "--json")
    assert result.code == 0, result.err
    return Run(base / "linear", config, trained.data, json.loads(result.out))


@pytest.fixture(scope="session")
def classifier(trained: Run) -> Classifier:
    return Classifier(trained.folder)


@pytest.fixture
def texts() -> list[str]:
    """Texts that no network was trained on."""
    return [text for text, _ in keyword_rows(60, seed=77)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
