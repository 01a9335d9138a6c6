"""The configs that ship, and those of the benchmarks, say only what their pipelines read."""

from pathlib import Path

import pytest

from pipelines.catalogue import stage
from toolkit.config import read_document, validate

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("benchmarks/*.yaml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_config_is_valid(path: Path) -> None:
    document = read_document(path)
    validate(document, stage(str(document.values["pipeline"]), "config").Config)
