"""Train the stored runs of this folder anew, and write down what they predict.

    PYTHONPATH=tests python tests/golden/make.py

Only for a new `schema_version`, which says that older run folders are refused: otherwise stored runs must go on
predicting what they did.
"""

import json
import os
import shutil
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import keywords
import sales
from keywords import seqloom

from pipelines.forecasting import report as forecasting
from pipelines.text_classification import report as text_classification
from pipelines.translation import report as translation

HERE = Path(__file__).parent
NUMBERS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf"}
COMMANDS = {  # in this folder
    "classify.jsonl": ("classify", "texts.txt", "--lines", "--model", "classifier"),
    "forecast.csv": ("forecast", "sales.csv", "--model", "forecaster", "--horizon", "5"),
    "translate.jsonl": ("translate", "phrases.txt", "--model", "translator", "--format", "jsonl"),
}


def write_inputs(folder: Path) -> dict[str, Path]:
    """What the runs are trained on, and asked in this folder; returns a config for each."""
    texts = keywords.keyword_rows(8, seed=77) + [("", ""), ("zzz qqq", "")]
    (HERE / "texts.txt").write_text("".join(f"{text}\n" for text, _ in texts), encoding="utf-8")
    (HERE / "phrases.txt").write_text("two one\nfive\n\nthree seven four\n", encoding="utf-8")
    series = sales.make_sales(series=3, days=120)
    sales.write_sales(HERE / "sales.csv", series)
    phrases = [" ".join(words) for length in (1, 2, 3, 4) for words in product(NUMBERS, repeat=length)]
    pairs = [(phrase, " ".join(NUMBERS[word] for word in reversed(phrase.split()))) for phrase in phrases]
    translator = {
        "pipeline": "translation",
        "data": {"train": str(keywords.write_table(folder / "pairs.csv", pairs, ("source", "target")))},
        "tokens": {"kind": "words", "joint": False, "max_source": 8, "max_target": 8},
        "model": {"embedding": 16, "dropout": 0.0},
        "encoder": {"cell": "lstm", "units": 16},
        "decoder": {"cell": "lstm", "units": 16, "dropout": 0.0},
        "training": {"epochs": 10, "batch_tokens": 128, "learning_rate": 0.01, "label_smoothing": 0.0},
    }
    (folder / "translator.yaml").write_text(json.dumps(translator), encoding="utf-8")
    return {
        "classifier": keywords.write_config(
            folder / "classifier.yaml",
            keywords.write_splits(folder),
            encoder={"cell": "gru", "layers": 2, "bidirectional": True, "normalization": "layer"},
            model={"linear": True, "members": 2},
        ),
        "forecaster": sales.write_config(
            folder / "forecaster.yaml",
            sales.write_sales(folder / "sales.csv", series),
            data={"known": []},
            model={"kind": "network"},
            training={"epochs": 5},
        ),
        "translator": folder / "translator.yaml",
    }


def make(folder: Path) -> None:
    os.chdir(folder)  # so that no path of a machine is stored
    configs = write_inputs(Path())
    for name, config in configs.items():
        shutil.rmtree(HERE / name, ignore_errors=True)
        result = seqloom("run", config, "--out", HERE / name)
        assert result.code == 0, result.err
    os.chdir(HERE)
    for name, command in COMMANDS.items():
        (HERE / name).write_text(seqloom(*command).out, encoding="utf-8")


if __name__ == "__main__":
    with ExitStack() as stack:
        for pages in (text_classification, forecasting, translation):  # the page with its pictures is not stored
            stack.enter_context(mock.patch.object(pages, "render", return_value=("", "")))
        make(Path(stack.enter_context(TemporaryDirectory())))
