"""A small translator learns to write short sequences backwards, also those that it has never seen."""

import csv
import random
from pathlib import Path

import pytest

from pipelines.translation import report as pages
from pipelines.translation.config import Config
from pipelines.translation.train import train

LETTERS = "abcdefgh"


def write_sequences(path: Path) -> Path:
    """Different sequences of two to six letters, and the same backwards; none that is the same both ways."""
    random_ = random.Random(0)
    drawn = ("".join(random_.choices(LETTERS, k=random_.randint(2, 6))) for _ in range(1500))
    sources = dict.fromkeys(source for source in drawn if source != source[::-1])
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("source", "target"), *((source, source[::-1]) for source in sources)])
    return path


def test_reversal_is_learned_and_beats_its_baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))
    config = Config.model_validate(
        {
            "pipeline": "translation",
            "data": {"train": str(write_sequences(tmp_path / "sequences.csv")), "test": 0.2},
            "tokens": {"kind": "characters"},
            "model": {"embedding": 32, "dropout": 0.0},
            "encoder": {"cell": "gru", "units": 32},
            "decoder": {"cell": "gru", "units": 64, "attention": "general", "input_feeding": False, "dropout": 0.0},
            "training": {"epochs": 12, "batch_tokens": 128, "learning_rate": 0.01, "monitor": "loss"},
        }
    )
    report = train(config, tmp_path / "run", resume=False)
    assert report["test"]["exact_match"] > 0.95
    assert report["test"]["exact_match"] > 0.5 + max(each["exact_match"] for each in report["baselines"].values())
