"""What is learned from the data before a network is: the pieces of both sides."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipelines.translation.config import Config
from pipelines.translation.data import Splits, read_splits
from pipelines.translation.pieces import MOST, SLACK, PairCodec, Source
from toolkit.data.alphabet import Alphabet
from toolkit.data.codec import TextCodec, fit_codec
from toolkit.data.layout import usual_indent
from toolkit.data.pairs import Pairs
from toolkit.data.sentences import split_sentences
from toolkit.data.values import read_values
from toolkit.data.vectors import WordVectors, load_vectors
from toolkit.errors import ConfigError, DataError

SAMPLED = 10_000  # sources whose sentences are counted


@dataclass(frozen=True)
class Encoded:
    """Pairs as ids, with the END of each target."""

    sources: list[Source]
    targets: list[list[int]]

    @property
    def lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Shapes: source and target, with END, (pairs,)."""
        targets = np.array([len(target) + 1 for target in self.targets])
        return np.array([len(source.ids) for source in self.sources]), targets


@dataclass(frozen=True)
class Prepared:
    """All that is learned from the data before a network is."""

    splits: Splits
    codec: PairCodec
    train: Encoded
    validation: Encoded  # each source with each of its references
    left_out: int  # training pairs whose target is too long


def prepare(config: Config) -> Prepared:
    """Read the data, choose the pieces, and encode.

    Raises:
        DataError: nothing is left to train on.
    """
    return learn(config, read_splits(config.data, config.seed))


def learn(config: Config, splits: Splits) -> Prepared:
    """Choose the pieces of the training pairs, and encode.

    Raises:
        DataError: nothing is left to train on.
    """
    tokens, alphabet = config.tokens, Alphabet.of(splits.train.sources)
    source, target = _fit_codecs(config, splits.train)
    values = None
    if config.model.value_columns:
        read = [*map(alphabet.read, splits.train.sources)]
        sides = source.split(read, tokens.max_source), target.split(splits.train.targets, MOST)
        split = partial(source.split, limit=MOST, capitals=True)
        values = read_values(str(config.data.database), split, alphabet.read).written(*sides)
    codec = PairCodec(
        source,
        target,
        copies=config.model.copy_words,
        limits=(tokens.max_source, tokens.max_target),
        growth=0.0,
        values=values,
        forms=config.model.word_forms,
        capitals=_keep_capitals(source, target, splits.train, tokens.max_source),
        alphabet=alphabet,
        sentences=_usual_sentences(splits.train.sources),
    )
    if tokens.merge_count:
        sources = codec.read(splits.train.sources)
        codec = codec.learn_merges(sources, splits.train.targets, tokens.merge_count, tokens.vocabulary)
    encoded = encode(codec, splits.train, tokens.max_target + 1)
    fitting = [i for i, target in enumerate(encoded.targets) if len(target) <= tokens.max_target]
    left_out = len(encoded.targets) - len(fitting)
    if not fitting:
        raise DataError(
            f"every target has more than {tokens.max_target} pieces.",
            where=splits.train.name,
            mend="Raise tokens.max_target.",
        )
    if left_out:
        warnings.warn(f"{left_out} training pairs were left out: targets longer than tokens.max_target.", stacklevel=2)
    train = Encoded([encoded.sources[i] for i in fitting], [encoded.targets[i] for i in fitting])
    codec = replace(codec, growth=_growth(train))
    train = _with_concatenated(train, codec, round(config.training.concatenate * len(fitting)), config.seed)
    return Prepared(splits, codec, train, encode(codec, splits.validation.pairs(), tokens.max_target), left_out)


def word_vectors(config: Config, side: str) -> WordVectors | None:
    """What the embeddings of a side, source or target, start from, if anything.

    Raises:
        ConfigError: it is of another size than they are.
        DataError: the file cannot be used.
    """
    source = getattr(config.vectors, side)
    vectors = load_vectors(source) if source else None
    if vectors and vectors.units != config.model.embedding:
        raise ConfigError(
            f"vectors.{side} has {vectors.units} units, and model.embedding is {config.model.embedding}.",
            mend=f"Set model.embedding: {vectors.units}.",
        )
    return vectors


def encode(codec: PairCodec, pairs: Pairs, limit: int) -> Encoded:
    """Pairs as ids; targets of at most `limit` pieces."""
    sources = codec.read(pairs.sources)
    return Encoded(sources, codec.targets(sources, pairs.targets, limit))


def _keep_capitals(source: TextCodec, target: TextCodec, pairs: Pairs, limit: int) -> bool:
    """Whether targets write words of their sources with the capitals that these have, rather than in lower case."""
    if not source.lowercase:
        return False
    kept, sources = 0, source.split(pairs.sources, limit, capitals=True)
    for asked, written in zip(sources, target.split(pairs.targets, MOST), strict=True):
        words = set(written)
        kept += sum((piece in words) - (piece.lower() in words) for piece in asked if piece != piece.lower())
    return kept >= 0


def _usual_sentences(sources: Sequence[str]) -> int:
    """How many of 99 in 100 texts have at most."""
    some = sources[:: -(-len(sources) // SAMPLED)]
    return int(np.quantile([len(split_sentences(text)) for text in some], 0.99, method="lower"))


def _with_concatenated(pairs: Encoded, codec: PairCodec, count: int, seed: int) -> Encoded:
    """The pairs, and so many more that are two of them, one after the other, where they are not too long; that most of
    them are is told as a warning.

    Reference: Jia & Liang 2016, arXiv:1606.03622, section 4.2.3 (Concat-k)
    """
    whole, random = list(zip(pairs.sources, pairs.targets, strict=True)), np.random.default_rng(seed)
    more = [codec.concatenate(*(whole[i] for i in pair)) for pair in random.integers(len(whole), size=(count, 2))]
    more = [(s, t) for s, t in more if len(s.ids) <= codec.limits[0] and len(t) <= codec.limits[1]]
    if 2 * len(more) < count:
        told = (
            f"training.concatenate adds {len(more):,} pairs instead of {count:,}, since the others would be longer than"
        )
        warnings.warn(f"{told} tokens.max_source or tokens.max_target.", stacklevel=2)
    sources, targets = zip(*whole, *more, strict=True)
    return Encoded(list(sources), list(targets))


def _fit_codecs(config: Config, pairs: Pairs) -> tuple[TextCodec, TextCodec]:
    tokens = config.tokens
    indent = usual_indent(pairs.targets) if config.data.layout else ""
    fit = partial(fit_codec, tokens.kind, size=tokens.vocabulary, min_count=tokens.min_count, indent=indent)
    if tokens.joint:
        codec = fit([*pairs.sources, *pairs.targets], lowercase=False)
        return codec, codec
    source = fit(pairs.sources, lowercase=tokens.lowercase_source)
    if config.vectors.extra_words and (vectors := word_vectors(config, "source")):
        words = vectors.words[: config.vectors.extra_words]
        source = replace(source, pieces=[*source.pieces, *(word for word in words if word not in source.ids)])
    return source, fit(pairs.targets, lowercase=False)


def _growth(encoded: Encoded) -> float:
    """Twice the most pieces that a training target has for each of its source, beyond what any may have."""
    sources, targets = encoded.lengths
    return float(2 * np.max((targets - SLACK) / np.maximum(sources, 1), initial=0.5))
