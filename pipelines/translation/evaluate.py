"""Scores on test sources beside the baselines, and the report."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.translation.config import Config, DataConfig
from pipelines.translation.data import Splits, grouped, read_files
from pipelines.translation.predict import NAME, Translator
from toolkit import artifact
from toolkit.artifact import Artifact
from toolkit.data.codec import normalize
from toolkit.data.files import tell_learned
from toolkit.data.layout import to_line
from toolkit.evaluation import comparison
from toolkit.evaluation import translation as metrics
from toolkit.evaluation.retrieval import NearestSentence
from toolkit.evaluation.sql import Database, execution_accuracy


def score(texts: Sequence[str], references: Sequence[Sequence[str]], database: str | None = None) -> dict[str, float]:
    """All metrics of some translations; the signs of their layout, where it is kept, count as words."""
    lines = as_lines(texts, references)
    scores = {
        "bleu": metrics.bleu(*lines).score,
        "chrf": metrics.chrf(*lines),
        "exact_match": metrics.exact_match(*lines),
    }
    if database:
        with Database(database) as opened:
            scores["execution_accuracy"] = float(execution_accuracy(opened, texts, references).mean())
    return scores


def as_lines(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The same with each text in one line, and as translations are: a letter with its accent may be written as two."""

    def line(text: str) -> str:
        return normalize(to_line(text))

    return list(map(line, texts)), [list(map(line, each)) for each in references]


def difference_interval(
    metric: str, one: Sequence[str], other: Sequence[str], references: Sequence[Sequence[str]], database: str | None
) -> tuple[float, float]:
    """Where the difference of two translators in bleu, exact_match or execution_accuracy may lie."""
    first, second = (_evidence(metric, texts, references, database) for texts in (one, other))
    score = metrics.bleu_of if metric == "bleu" else comparison.mean_of_hits
    return comparison.difference_interval(first, second, score)


def _evidence(
    metric: str, texts: Sequence[str], references: Sequence[Sequence[str]], database: str | None
) -> np.ndarray:
    lines = as_lines(texts, references)
    if metric == "bleu":
        return metrics.bleu_evidence(*lines)
    hits = metrics.matches(*lines)
    if metric == "execution_accuracy":
        with Database(str(database)) as opened:
            hits = execution_accuracy(opened, texts, references)
    return np.stack([hits, np.ones_like(hits)], axis=1)


def evaluate_run(folder: Path, splits: Splits, config: Config, history: list[dict[str, float]], seconds: float) -> dict:
    """Score a sealed run on its test sources, through the path that users run, and write its report."""
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
        "signature": metrics.bleu(*as_lines([each.text for each in found], test.references)).signature,
    }
    page, report["verdict"] = render(report, found, others, history, test, config, translator.shown)
    artifact.write_json(folder / "report.json", report)
    artifact.write_text(folder / "report.html", page)
    return report


def evaluate(folder: Path, data: Path) -> dict[str, float]:
    """Score a run on pairs that its own data stanza describes.

    Raises:
        DataError: the pairs cannot be read.
    """
    translator = Translator(folder)
    config: DataConfig = Artifact(folder, NAME).read_config(Config).data
    sources, references = grouped(read_files(config, str(data)))
    tell_learned(str(data), config.train, config.validation)
    found = translator.translate(sources)
    return score([each.text for each in found], references, config.database)


def fit_baselines(splits: Splits) -> dict[str, list[str]]:
    """What the simplest things that users could do instead write for the test sources."""
    nearest = NearestSentence.fit(splits.train.sources, splits.train.targets)
    return {"copy source": splits.test.sources, "nearest training sentence": nearest.translate(splits.test.sources)}
