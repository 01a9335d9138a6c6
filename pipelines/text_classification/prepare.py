"""What is learned from the data before a network is: labels, vocabulary and the vectors to start from."""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from pipelines.text_classification.config import Config, DecisionConfig
from pipelines.text_classification.data import Splits, label_set, read_splits, shared_texts
from toolkit.capitals import CAPITALS
from toolkit.data.text import TextEncoder, split_words, vocabulary_words
from toolkit.data.vectors import WordVectors, build_matrix, coverage, load_vectors, scaled, train_vectors
from toolkit.errors import ConfigError
from toolkit.evaluation import thresholds


@dataclass(frozen=True)
class Prepared:
    """All that is learned from the data before a network is."""

    splits: Splits
    labels: tuple[str, ...]
    vocabulary: dict[str, Any]  # the arguments of a TextEncoder; training words first
    tuned: int  # how many words come from the training texts
    table: np.ndarray  # (words, units)
    coverage: dict[str, Any] | None  # how many words have a vector

    @property
    def many(self) -> bool:
        return self.splits.train.many

    @cached_property
    def encoder(self) -> TextEncoder:
        return TextEncoder(**self.vocabulary)


def prepare(config: Config) -> Prepared:
    """Read the data, choose the vocabulary and look up its vectors."""
    splits = read_splits(config.data, config.seed)
    _check_decisions(config.decision, splits)
    for name, examples, before in (
        ("validation", splits.validation, splits.train),
        ("test", splits.test, splits.joined().train),
    ):
        shared = shared_texts(before, examples)
        if shared:
            where = "training rows" if name == "validation" else "training or validation rows"
            warnings.warn(f"{shared} of {len(examples)} {name} texts stand in the {where} too.", stacklevel=2)
    return learn(config, splits)


def learn(config: Config, splits: Splits) -> Prepared:
    """Choose the vocabulary of the training texts and look up its vectors."""
    tokens, seed = config.tokens, config.seed
    counts = Counter(chain.from_iterable(_words(config, splits)))
    words = vocabulary_words(counts, min_count=tokens.min_count, max_words=tokens.max_words)
    tuned = len(words)
    vectors = _vectors(config, splits)
    if vectors is None:
        table = np.random.default_rng(seed).normal(size=(len(words), config.vectors.units)).astype(np.float32)
    else:
        known = set(words)
        words += [word for word in vectors.words[: config.vectors.extra_words] if word not in known]
        table = scaled(build_matrix(words, vectors, seed=seed)[0], "vectors.source")
    table[0] = 0
    written = Counter({word: count for word, count in counts.items() if word not in CAPITALS})
    covered = coverage(written, vectors) if vectors else None
    vocabulary = {
        "words": words,
        **_options(config),
        "max_tokens": tokens.max_tokens,
        "multiple": config.model.segment or 1,
        "buckets": config.vectors.ngram_buckets,
    }
    return Prepared(splits, label_set(splits.train), vocabulary, tuned, table.astype(np.float32), covered)


def _check_decisions(config: DecisionConfig, splits: Splits) -> None:
    """Raise a ConfigError for what cannot be fitted on these validation rows, so that no one trains in vain."""
    if splits.train.many and (config.cutoff is not None or config.margin is not None):
        raise ConfigError(
            "decision.cutoff and decision.margin are for one label a row; with many labels each has its own threshold.",
            mend="Remove them.",
        )
    if wanted := config.none_of_the_above:
        if splits.train.many and wanted.score == "entropy":
            found = (
                "decision.none_of_the_above.score: entropy is for one label a row; with many labels, it is as low where"
            )
            raise ConfigError(f"{found} all are surely wrong.", mend="Use energy or max_probability.")
        outside = sum(not labels for labels in splits.validation.labels)
        scores = np.zeros(len(splits.validation) - outside), np.zeros(outside)
        thresholds.fit_none_threshold(*scores, wanted.target, wanted.value)


def _options(config: Config) -> dict[str, bool]:
    return config.tokens.model_dump(include={"lowercase", "punctuation", "capitals"})


def _words(config: Config, splits: Splits) -> Iterator[list[str]]:
    """The words of each training text, a text at a time: lists of all of them take ten times what the texts do."""
    options = _options(config)
    return (split_words(text, limit=config.tokens.max_tokens, **options) for text in splits.train.texts)


def _vectors(config: Config, splits: Splits) -> WordVectors | None:
    units, least = config.vectors.units, config.tokens.min_count
    match config.vectors.source:
        case None:
            return None
        case "word2vec" | "fasttext" as method:
            texts = list(_words(config, splits))
            return train_vectors(texts, method=method, units=units, epochs=10, min_count=least, seed=config.seed)
        case source:
            return load_vectors(source)
