"""Translations beside their references: all scores, and how far two translators' scores may be apart by luck."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from toolkit.data.codec import normalize
from toolkit.data.layout import to_line
from toolkit.evaluation import comparison
from toolkit.evaluation import translation as metrics
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
    """Where the difference of two translators in bleu, chrf, exact_match or execution_accuracy may lie."""
    first, second = (_evidence(metric, texts, references, database) for texts in (one, other))
    _, lines = as_lines(one, references)
    bleu_of = partial(metrics.bleu_of, effective_order=metrics.are_short(lines))
    of_sums: dict[str, Callable[[np.ndarray], np.ndarray]] = {"bleu": bleu_of, "chrf": metrics.chrf_of}
    return comparison.difference_interval(first, second, of_sums.get(metric, comparison.mean_of_hits))


def _evidence(
    metric: str, texts: Sequence[str], references: Sequence[Sequence[str]], database: str | None
) -> np.ndarray:
    lines = as_lines(texts, references)
    if metric == "bleu":
        return metrics.bleu_evidence(*lines)
    if metric == "chrf":
        return metrics.chrf_evidence(*lines)
    hits = metrics.matches(*lines)
    if metric == "execution_accuracy":
        with Database(str(database)) as opened:
            hits = execution_accuracy(opened, texts, references)
    return np.stack([hits, np.ones_like(hits)], axis=1)
