"""One trained run on daily sales, shared by the tests of a process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from keywords import Result, seqloom
from sales import Sales, make_sales, write_config, write_sales

from pipelines.forecasting import report as pages


class Run(NamedTuple):
    """A finished run and what it was made from."""

    folder: Path
    config: Path
    table: Path
    sales: Sales
    report: dict[str, Any]


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, where a test is about something else."""
    monkeypatch.setattr(pages, "render", lambda *_: ("<html></html>", "verdict"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network and its companions on sales whose promotions are known ahead. Read only: copy it to change."""
    base, sales = tmp_path_factory.mktemp("sales"), make_sales()
    table = write_sales(base / "sales.csv", sales)
    config = write_config(base / "sales.yaml", table)
    result = seqloom("run", config, "--out", base / "run", "--json")
    assert result.code == 0, result.err
    return Run(base / "run", config, table, sales, json.loads(result.out))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network alone that needs nothing but the series, and scales each by its own deviation."""
    base = tmp_path_factory.mktemp("plain")
    config = write_config(
        base / "plain.yaml",
        write_sales(base / "sales.csv", make_sales()),
        data={"known": []},
        model={"kind": "network", "scaling": "series", "intervals": "recent"},
        training={"epochs": 1, "refit": False},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_: ("<html></html>", "verdict"))
        result = seqloom("run", config, "--out", base / "run")
    assert result.code == 0, result.err
    return base / "run"


@pytest.fixture
def run() -> Callable[..., Result]:
    """Train on a table into the folder `run`, or `out`, of this test."""

    def train(table: Path, *, out: str = "run", **stanzas: Any) -> Result:
        return seqloom("run", write_config(Path(f"{out}.yaml"), table, **stanzas), "--out", out, "--json")

    return train
