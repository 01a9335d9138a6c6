"""Text pairs: read or written, checked and split."""

import warnings
from dataclasses import dataclass, replace

from pipelines.translation.config import DataConfig, Paths
from toolkit.data.pairs import Grouped, Pairs, PairSource, read_pairs, shared_sources, split_pairs, suspicious


@dataclass(frozen=True)
class Splits:
    """Pairs to train on, and sources with all their translations to choose and to test with."""

    train: Pairs
    validation: Grouped
    test: Grouped

    def joined(self) -> "Splits":
        """The same with the validation pairs among the training pairs, once all choices are made."""
        first, second = self.train, self.validation.pairs()
        rows = replace(first, sources=first.sources + second.sources, targets=first.targets + second.targets)
        return replace(self, train=rows)


def read_splits(config: DataConfig, seed: int) -> Splits:
    """Training, validation and test pairs, read or set aside as the config says; sources that are alike stay together.

    Raises:
        DataError: a file cannot be used, or a split would be empty.
    """
    train = _training_pairs(config, seed)
    for problem in suspicious(train) if config.train else ():
        warnings.warn(problem, stacklevel=2)
    parts: dict[str, Pairs] = {}
    for name, source in (("test", config.test), ("validation", config.validation)):
        if isinstance(source, float):
            # The share is of all pairs, of which the test pairs may already be gone.
            share = source / (1 - config.test) if name == "validation" and isinstance(config.test, float) else source
            train, parts[name] = split_pairs(train, share, seed)
        else:
            parts[name] = read_files(config, source)
    for name, before, where in (
        ("validation", train.sources, "training"),
        ("test", train.sources + parts["validation"].sources, "training or validation"),
    ):
        if shared := shared_sources(before, parts[name].sources):
            told = f"{shared} of {len(parts[name])} {name} sources stand in the {where} pairs too."
            warnings.warn(told, stacklevel=2)
    return Splits(train, grouped(parts["validation"]), grouped(parts["test"]))


def grouped(pairs: Pairs) -> Grouped:
    """What is scored: each source once, with all its translations; pairs that repeat others are told as a warning."""
    sources = pairs.references()
    if again := len(pairs) - sum(map(len, sources.references)):
        told = f"{pairs.name}: {again:,} of {len(pairs):,} pairs repeat another one; each is scored once."
        warnings.warn(told, stacklevel=2)
    return sources


def read_files(config: DataConfig, paths: Paths) -> Pairs:
    """The pairs of some files, one file after the other."""
    how = (config.source, config.target, config.format, config.header, config.encoding, config.layout)
    found = [read_pairs(PairSource(path, *how)) for path in ([paths] if isinstance(paths, str) else paths)]
    sources = [text for pairs in found for text in pairs.sources]
    targets = [text for pairs in found for text in pairs.targets]
    return Pairs(sources, targets, ", ".join(pairs.name for pairs in found))


def _training_pairs(config: DataConfig, seed: int) -> Pairs:
    if config.train is not None:
        return read_files(config, config.train)
    from toolkit.data.phrases import phrase_pairs

    phrases = config.phrases
    assert phrases  # the config has one of the two
    pairs = phrase_pairs(phrases.source, phrases.target, phrases.rows, seed)
    sources, targets = map(list, zip(*pairs, strict=True))
    return Pairs(sources, targets, f"{phrases.source} to {phrases.target}")
