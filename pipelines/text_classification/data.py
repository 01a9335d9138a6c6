"""Labelled texts: read, checked, split, and turned into targets."""

import ast
import contextlib
import math
import random
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unicodedata import normalize

import numpy as np

from pipelines.text_classification.config import DataConfig, Paths
from toolkit.config import closest
from toolkit.data.rows import Row, Source, as_text, read_cell, read_rows
from toolkit.errors import DataError

Labels = tuple[str, ...]
FLAGS = dict.fromkeys(("1", "1.0", "true", "yes"), True) | dict.fromkeys(("0", "0.0", "false", "no", ""), False)
nfc = partial(normalize, "NFC")  # a letter with its accent may be written as two


@dataclass(frozen=True)
class Examples:
    """Texts with their labels; a text without any is out of scope."""

    texts: list[str]
    labels: list[Labels]
    many: bool
    name: str

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> "Examples":
        return Examples([self.texts[i] for i in rows], [self.labels[i] for i in rows], self.many, self.name)


@dataclass(frozen=True)
class Splits:
    train: Examples
    validation: Examples
    test: Examples

    def joined(self) -> "Splits":
        """The same with the validation rows among the training rows, once all choices are made."""
        first, second = self.train, self.validation
        rows = replace(first, texts=first.texts + second.texts, labels=first.labels + second.labels)
        return replace(self, train=rows)


def read_splits(config: DataConfig, seed: int) -> Splits:
    """Training, validation and test examples, read or set aside as the config says.

    Raises:
        DataError: a file cannot be used, there are fewer than two labels, or a split would be empty.
    """
    train = read_examples(config, config.train)
    parts: dict[str, Examples] = {}
    for name, source in (("test", config.test), ("validation", config.validation)):
        if isinstance(source, float):
            # The share is of all rows, of which the test rows may already be gone.
            share = source / (1 - config.test) if name == "validation" and isinstance(config.test, float) else source
            train, parts[name] = _set_aside(train, share, seed)
            if not parts[name].texts:
                raise DataError(
                    f"data.{name}: {source:g} of the rows, when texts that are alike stay together and a row of each"
                    f" label must be left to train on ({len(train)} rows, {len(label_set(train))} labels), is none.",
                    where=train.name,
                    mend="Add rows, or see that data.label names the right column.",
                )
        else:
            parts[name] = read_examples(config, source)
    if config.out_of_scope and all(all(examples.labels) for examples in (train, *parts.values())):
        hint = closest(config.out_of_scope, label_set(train))
        told = f"{train.name}: no row is labelled {config.out_of_scope!r} (data.out_of_scope)."
        warnings.warn(told + (f" Did you mean {hint}?" if hint else ""), stacklevel=2)
    many = any(examples.many for examples in (train, *parts.values()))
    splits = Splits(*(replace(examples, many=many) for examples in (train, parts["validation"], parts["test"])))
    _check_labels(splits)
    return splits


def read_examples(config: DataConfig, paths: Paths) -> Examples:
    """All rows of some files. Rows without text, and without a label where there is one a row, are left out aloud.

    Raises:
        DataError: a file cannot be read, a column is missing, or no row has a text and a label.
    """
    paths = [paths] if isinstance(paths, str) else paths
    names = _read_label_names(config) if config.label_names else None
    texts, labels, many = list[str](), list[Labels | None](), config.label_separator is not None
    empty, bare = list[str](), list[str]()
    for path in paths:
        for row in read_rows(Source(path, config.format, config.header, config.encoding)):
            text = as_text(read_cell(row, config.text, "data.text"), row, "data.text")
            value = _label_cell(row, config.label)
            many = many or isinstance(value, list)
            if not text.strip():
                empty.append(row.where)
                continue
            texts.append(text)
            labels.append(_labels(value, row, config, names))
            if labels[-1] is None:
                bare.append(row.where)
    bare = [] if many else bare  # where there may be many labels, there may be none
    rows = [(text, found or ()) for text, found in zip(texts, labels, strict=True) if many or found is not None]
    if not rows:
        what, option = ("label", "data.label") if bare else ("text", "data.text")
        mend = f"See that {option} names the right column."
        raise DataError(f"no row has a {what}.", where=", ".join(paths), mend=mend)
    for what, places in (("text", empty), ("a label", bare)):
        if places:
            told = f"{', '.join(paths)}: rows without {what} were left out: {len(places):,}, the first at {places[0]}."
            if places is bare:
                told += " Rows that mean none of the labels need one that says so (data.out_of_scope)."
            warnings.warn(told, stacklevel=2)
    return Examples([text for text, _ in rows], [found for _, found in rows], many, ", ".join(paths))


def label_set(examples: Examples) -> Labels:
    """The labels to learn, sorted."""
    return tuple(sorted({label for labels in examples.labels for label in labels}))


def targets(examples: Examples, labels: Labels) -> np.ndarray:
    """The truth in numbers.

    Shapes: one label a text: (rows,) label numbers, -1 out of scope; many: (rows, labels) booleans
    """
    index = {nfc(label): i for i, label in enumerate(labels)}  # a run of an early version may have others
    if not examples.many:
        return np.array([index[row[0]] if row else -1 for row in examples.labels], dtype=np.int32)
    matrix = np.zeros((len(examples), len(labels)), dtype=bool)
    for i, row in enumerate(examples.labels):
        matrix[i, [index[label] for label in row]] = True
    return matrix


def soft_targets(truth: np.ndarray, labels: int) -> np.ndarray:
    """Targets of the loss. A text out of scope is equally likely everything (Hendrycks et al. 2019, eq. 1)."""
    if truth.ndim == 2:
        return truth.astype(np.float32)
    wanted = np.full((len(truth), labels), 1 / labels, np.float32)
    wanted[truth >= 0] = np.eye(labels, dtype=np.float32)[truth[truth >= 0]]
    return wanted


def row_weights(truth: np.ndarray, labels: int) -> np.ndarray:
    """A weight a row, so that every label weighs the same in all. Shapes: -> (rows,), mean 1."""
    shares = soft_targets(truth, labels)
    weights = shares @ (1 / np.maximum(shares.sum(axis=0), 1))
    weights[weights == 0] = weights[weights > 0].min()
    return (weights / weights.mean()).astype(np.float32)


def label_odds(truth: np.ndarray, labels: int, weights: np.ndarray) -> np.ndarray:
    """How much more, in log-odds, rows say for each label than weighed rows do: what weights took from its probability.

    Shapes: truth as `targets` gives it; weights (rows,) -> (labels,)
    """
    shares, weighed = (np.average(soft_targets(truth, labels), axis=0, weights=each) for each in (None, weights))
    if truth.ndim == 1:
        return np.log(shares) - np.log(weighed)
    shares, weighed = (np.clip(each, 1e-6, 1 - 1e-6) for each in (shares, weighed))
    return np.log(shares / (1 - shares)) - np.log(weighed / (1 - weighed))


def check_known(examples: Examples, known: Labels) -> None:
    """Raise a DataError when a label is not among the known ones."""
    unknown = sorted(set(label_set(examples)) - set(map(nfc, known)))
    if unknown:
        raise DataError(
            f"labels that no training row has: {', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}.",
            where=examples.name,
            mend="Add training rows for them, or name the one that means none of the others as data.out_of_scope.",
        )


def shared_texts(first: Examples, second: Examples) -> int:
    """How many texts of the second stand in the first too."""
    known = {_key(text) for text in first.texts}
    return sum(_key(text) in known for text in second.texts)


def as_list(cell: Any) -> Any:
    """A list that Python wrote into a cell of text, as pandas does; any other cell as it is."""
    if isinstance(cell, str) and cell.strip()[:1] == "[":
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            found = ast.literal_eval(cell.strip())
            if isinstance(found, list) and all(isinstance(part, str | int) for part in found):
                return found
    return cell


def as_flag(cell: Any) -> bool | None:
    """Whether a cell says 1 or 0, in any way of saying so; None for any other cell."""
    return FLAGS.get("" if cell is None else str(cell).strip().lower())


def _label_cell(row: Row, label: str | list[str]) -> Any:
    if isinstance(label, str):
        return as_list(read_cell(row, label, "data.label"))
    flags = {name: as_flag(cell) for name in label for cell in [read_cell(row, name, "data.label")]}
    if wrong := next((name for name, flag in flags.items() if flag is None), None):
        found = f"found {str(row.values[wrong])[:60]!r} in column {wrong!r}, expected 0 or 1"
        raise DataError(f"{found}, since data.label is a list of columns.", where=row.where)
    return [name for name, flag in flags.items() if flag]


def _labels(value: object, row: Row, config: DataConfig, names: list[str] | None) -> Labels | None:
    """The labels of a row, without the one for out of scope; None where it should have one and has none."""
    if isinstance(value, list):
        parts = [as_text(part, row, "data.label") for part in value]
    elif config.label_separator:
        parts = as_text(value, row, "data.label").split(config.label_separator)
    else:
        parts = [as_text(value, row, "data.label")]
    parts = [nfc(part.strip()) for part in parts]
    parts = list(dict.fromkeys(filter(None, parts)))
    if not parts and not isinstance(value, list) and not config.label_separator:
        return None
    if names:
        parts = [_named(part, row, names) for part in parts]
    return tuple(part for part in parts if part != nfc(config.out_of_scope or ""))


def _named(part: str, row: Row, names: list[str]) -> str:
    if part.isdecimal() and int(part) < len(names):
        return names[int(part)]
    raise DataError(
        f"label {part!r}, expected a number from 0 to {len(names) - 1} (data.label_names).", where=row.where
    )


def _read_label_names(config: DataConfig) -> list[str]:
    from toolkit.data.files import read_document

    path = str(config.label_names)
    lines = read_document(path, config.encoding).rstrip().splitlines() or [""]
    names = [nfc(line.strip()) for line in lines]
    if "" in names:  # left out, it would move every name behind it to another number
        mend = f"Name the label {names.index('')}, whether it occurs or not."
        raise DataError("there is no name here.", where=f"{path}:{names.index('') + 1}", mend=mend)
    return names


def _set_aside(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Split off a share of the rows, the same share of each label; equal texts stay together.

    Of every label some rows stay; the labels are gone through one after the other, so that where none has enough rows
    for a whole one to be set aside, some of them give one.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(examples.texts):
        groups[_key(text)].append(i)
    counts = Counter(label for labels in examples.labels for label in labels)
    strata: dict[str, list[tuple[list[int], Counter[str]]]] = defaultdict(list)
    for rows in groups.values():
        going = Counter(label for i in rows for label in examples.labels[i])
        labels = examples.labels[rows[0]]
        strata[min(labels, key=lambda label: (counts[label], label)) if labels else ""].append((rows, going))
    rng, aside, seen, taken = random.Random(seed), [], 0, 0
    for _, stratum in sorted(strata.items()):
        rng.shuffle(stratum)
        seen += sum(_leaves_some(counts, going) for _, going in stratum)
        most = taken + math.ceil(len(stratum) * share)
        for rows, going in stratum:
            if taken < min(int(seen * share + 0.5), most) and _leaves_some(counts, going):
                taken += 1
                counts.subtract(going)
                aside += rows
    chosen = set(aside)
    return examples.take([i for i in range(len(examples)) if i not in chosen]), examples.take(sorted(chosen))


def _leaves_some(counts: Counter[str], going: Counter[str]) -> bool:
    """Whether of every label some rows stay."""
    return all(counts[label] > count for label, count in going.items())


def _check_labels(splits: Splits) -> None:
    known = label_set(splits.train)
    if len(known) < 2:
        raise DataError(
            f"labels in the training rows: {', '.join(known) or 'none'}; expected two or more.",
            where=splits.train.name,
            mend="See that data.label names the right column.",
        )
    for name, examples in (("validation", splits.validation), ("test", splits.test)):
        check_known(examples, known)
        if not examples.many and not any(examples.labels):
            raise DataError(
                f"data.{name}: all rows are out of scope, expected some with a label.",
                where=examples.name,
                mend="Add rows with labels to it, or see that data.out_of_scope is right.",
            )
    alike = defaultdict[str, list[str]](list)
    for label in known:
        alike[_key(label)].append(label)
    if several := [names for names in alike.values() if len(names) > 1]:
        more = f", and {len(several) - 1:,} more" if len(several) > 1 else ""
        named = " and ".join(map(repr, several[0]))  # which shows what a blank is
        told = f"labels that differ in nothing but case or blanks: {named}{more}; they are learned apart."
        warnings.warn(f"{splits.train.name}: {told}", stacklevel=2)
    counts = Counter(label for labels in splits.train.labels for label in labels)
    single = sorted(label for label, count in counts.items() if count == 1)
    if single:
        warnings.warn(
            f"{splits.train.name}: only one training row for {', '.join(single[:5])}"
            f"{' ...' if len(single) > 5 else ''}; such labels are hardly learned.",
            stacklevel=2,
        )


def _key(text: str) -> str:
    return " ".join(nfc(text.casefold()).split())
