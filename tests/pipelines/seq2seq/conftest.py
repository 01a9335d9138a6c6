"""One tiny translator, shared by the tests of a process: German words for English ones, the last word first."""

import csv
import random
from pathlib import Path

import pytest

from pipelines.translation import report as pages
from pipelines.translation.config import Config
from pipelines.translation.train import train

WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs"}


def word_pairs(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Different sentences of one to four words, and their words in German backwards."""
    random_ = random.Random(seed)
    sources: dict[str, None] = {}
    while len(sources) < count:
        sources[" ".join(random_.choices(list(WORDS), k=random_.randint(1, 4)))] = None
    return [(source, " ".join(WORDS[word] for word in reversed(source.split()))) for source in sources]


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 pairs in the columns source and target."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("source", "target"), *word_pairs(300)])
    return path


@pytest.fixture(scope="session")
def tiny_config(tiny_pairs: Path) -> Config:
    return Config.model_validate(
        {
            "pipeline": "translation",
            "data": {"train": str(tiny_pairs)},
            "tokens": {"kind": "words", "joint": False, "max_source": 8, "max_target": 8},
            "model": {"embedding": 32, "dropout": 0.0},
            "encoder": {"cell": "gru", "units": 32},
            "decoder": {"cell": "gru", "units": 32, "dropout": 0.0},
            "training": {"epochs": 8, "batch_tokens": 64, "learning_rate": 0.01, "label_smoothing": 0.0},
        }
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without the pictures of its report. Read only: copy it to change it."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))
        train(tiny_config, folder, resume=False)
    return folder
