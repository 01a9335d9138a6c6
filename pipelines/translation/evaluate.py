"""Scores on test sources beside the baselines, and the report."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.translation.answers import as_lines, score
from pipelines.translation.config import Config, DataConfig
from pipelines.translation.data import Splits, grouped, read_files
from pipelines.translation.predict import NAME, Translator
from toolkit.artifact import Artifact
from toolkit.data.files import tell_few, tell_learned
from toolkit.evaluation import translation as metrics
from toolkit.evaluation.retrieval import NearestSentence


def evaluate_run(
    folder: Path, splits: Splits, config: Config, history: list[dict[str, float]], seconds: float
) -> tuple[dict[str, Any], str]:
    """Score a sealed run on its test sources, through the path that users run: its report, and the page."""
    from pipelines.translation.report import render

    started = time.monotonic()
    translator, test = Translator(folder), splits.test
    found = list(translator.translate(test.sources))
    evaluated = time.monotonic()
    others = fit_baselines(splits)
    report: dict[str, Any] = {
        "pipeline": NAME,
        "test": score([each.text for each in found], test.references, config.data.database),
        "baselines": {name: score(texts, test.references, config.data.database) for name, texts in others.items()},
        "seconds": {"train": seconds, "evaluate": evaluated - started, "baselines": time.monotonic() - evaluated},
        "signature": _signature([each.text for each in found], test.references),
    }
    page, report["verdict"] = render(report, found, others, history, test, config, translator.shown)
    return report, page


def evaluate(folder: Path, data: Path) -> dict[str, float | str]:
    """Score a run on pairs that its own data stanza describes; `signature` tells how BLEU was computed.

    Raises:
        DataError: the pairs cannot be read.
    """
    translator = Translator(folder)
    config: DataConfig = Artifact(folder, NAME).read_config(Config).data
    sources, references = grouped(read_files(config, str(data)))
    tell_learned(str(data), config.train, config.validation)
    tell_few(str(data), len(sources))
    texts = [each.text for each in translator.translate(sources)]
    return {**score(texts, references, config.database), "signature": _signature(texts, references)}


def _signature(texts: Sequence[str], references: Sequence[Sequence[str]]) -> str:
    return metrics.bleu(*as_lines(texts, references)).signature


def fit_baselines(splits: Splits) -> dict[str, list[str]]:
    """What the simplest things that users could do instead write for the test sources."""
    nearest = NearestSentence.fit(splits.train.sources, splits.train.targets)
    return {"copy source": splits.test.sources, "nearest training sentence": nearest.translate(splits.test.sources)}
