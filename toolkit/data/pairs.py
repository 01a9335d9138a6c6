"""Pairs of a source text and its target: read, grouped, set aside, and looked over for what would spoil them."""

import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from toolkit.data.codec import normalize
from toolkit.data.files import bounded_lines, ending, explained, foreign, open_text, require, split_part
from toolkit.data.rows import TABLES, Source, as_text, read_cell, read_rows
from toolkit.errors import ConfigError, DataError

PairFormat = Literal["auto", "csv", "tsv", "jsonl", "json", "parquet"]

_BRACES = re.compile(r"([^{}]*)\{([^{},]+),([^{},]+)\}([^{}]*)")
_BREAK = re.compile(r"[\r\n]")
_UNLIKELY_RATIO = 6  # times the usual one, between the lengths of a pair's sides
_SHORT = 20  # characters; of texts no longer than this, any ratio is likely


@dataclass(frozen=True)
class PairSource:
    """Where pairs come from.

    Args:
        path: a table with a column for each side, or two files whose lines belong together, source first:
            `train.{en,de}.gz` is train.en.gz and train.de.gz.
        source, target: the columns; without a header they are "0", "1", ...
        format: of a table; `auto` goes by the name, and takes .txt for tsv.
        header: whether the first row of a csv or tsv file names the columns.
        encoding: of the text; None reads UTF-8 and UTF-16 with a mark, and guesses aloud when a file is neither.
        layout: whether texts keep their line breaks; else these and the indentation after them become one blank.
    """

    path: str
    source: str = "source"
    target: str = "target"
    format: PairFormat = "auto"
    header: bool = True
    encoding: str | None = None
    layout: bool = False


class Grouped(NamedTuple):
    """Different sources, each with all its different targets."""

    sources: list[str]
    references: list[tuple[str, ...]]

    def pairs(self) -> "Pairs":
        """Each source with each of its targets."""
        rows = [(source, target) for source, targets in zip(*self, strict=True) for target in targets]
        return Pairs([source for source, _ in rows], [target for _, target in rows], "")


@dataclass(frozen=True)
class Pairs:
    sources: list[str]
    targets: list[str]
    name: str

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Sequence[int]) -> "Pairs":
        return Pairs([self.sources[i] for i in rows], [self.targets[i] for i in rows], self.name)

    def references(self) -> Grouped:
        """In the order in which they first appear."""
        groups: dict[str, dict[str, None]] = defaultdict(dict)
        for source, target in zip(self.sources, self.targets, strict=True):
            groups[source][target] = None
        return Grouped(list(groups), [tuple(targets) for targets in groups.values()])


def read_pairs(source: PairSource) -> Pairs:
    """All pairs, but those with an empty side: of these a warning tells.

    A target that is a list, as JSON has them, holds several references: a pair each.

    Raises:
        DataError: naming file and line, when a file cannot be used, its two halves have not the same number of lines,
            a column is missing, or there is no pair.
        ConfigError: when the path or the format cannot be what is meant.
    """
    sources: list[str] = []
    targets: list[str] = []
    empty: list[str] = []
    for where, first, second in _line_pairs(source) if _is_two_files(source.path) else _cell_pairs(source):
        if normalize(first) and normalize(second):
            sources.append(first)
            targets.append(second)
        else:
            empty.append(where)
    if not sources:
        raise DataError("found no pair with a text on both sides.", where=source.path, mend="Is this the right path?")
    if empty:
        told = f"{source.path}: rows with an empty side, which are left out: {len(empty):,}, the first at {empty[0]}."
        warnings.warn(told, stacklevel=2)
    if source.layout:
        return Pairs(sources, targets, source.path)
    if broken := sum(bool(_BREAK.search(target.strip())) for target in targets):
        told = f"{source.path}: targets of several lines: {broken:,}. Line breaks and indentation become one blank"
        warnings.warn(f"{told} in all of them; data.layout: true keeps both.", stacklevel=2)
    return Pairs([*map(_one_line, sources)], [*map(_one_line, targets)], source.path)


def _one_line(text: str) -> str:
    return " ".join(text.split()) if _BREAK.search(text) else text


def split_pairs(pairs: Pairs, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """The pairs that are left, and about `share` of all that are set aside; those with like sources stay together.

    Raises:
        DataError: all sources are alike, so that nothing could be left.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(pairs.sources):
        groups[_key(text)].append(i)
    if len(groups) < 2:
        found = "all pairs that are left have one source, so that none can be set aside."
        mend = "Add pairs with other sources, or name files to validate and to test with."
        raise DataError(found, where=pairs.name, mend=mend)
    shuffled = list(groups.values())
    random.Random(seed).shuffle(shuffled)
    wanted = min(int(len(pairs) * share + 0.5), len(pairs) - 1)
    aside: list[int] = []
    for rows in shuffled:
        if len(aside) + len(rows) <= wanted:
            aside += rows
    smallest = min(shuffled, key=len)
    chosen = set(aside or smallest)
    return pairs.take([i for i in range(len(pairs)) if i not in chosen]), pairs.take(sorted(chosen))


def shared_sources(first: Sequence[str], second: Sequence[str]) -> int:
    """How many of the second sources stand among the first too."""
    known = set(map(_key, first))
    return sum(_key(text) in known for text in second)


def suspicious(pairs: Pairs) -> list[str]:
    """Sentences that warn of pairs which look like mistakes, each with their number and the first of them.

    - both sides are the same text, but in most pairs they are not;
    - one side is far longer than such texts' other sides are, as where two files slipped against each other;
    - pairs that stand there before.
    """
    keys = [(normalize(a), normalize(b)) for a, b in zip(pairs.sources, pairs.targets, strict=True)]
    same = [i for i, (source, target) in enumerate(keys) if source == target]
    seen: dict[tuple[str, str], int] = {}
    again = [i for i, key in enumerate(keys) if seen.setdefault(key, i) != i]
    found = [
        (same if len(same) * 2 < len(keys) else [], "have the same text on both sides; a model learns to copy there"),
        (_misaligned(keys), "have one side far longer than the other; see that the two belong together"),
        (again, "repeat an earlier one; what is repeated counts more in training, and once in scores"),
    ]
    return [_warning(pairs, rows, problem) for rows, problem in found if rows]


def _warning(pairs: Pairs, rows: list[int], problem: str) -> str:
    source, target = (side[rows[0]] for side in (pairs.sources, pairs.targets))
    example = f"pair {rows[0] + 1:,}, {_short(source)} and {_short(target)}"
    return f"{pairs.name}: {len(rows):,} of {len(pairs):,} pairs {problem}. The first: {example}."


def _short(text: str) -> str:
    text = normalize(text)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _misaligned(keys: list[tuple[str, str]]) -> list[int]:
    lengths = np.array([[len(source), len(target)] for source, target in keys])
    ratios = np.log(lengths[:, 1] / lengths[:, 0])
    unlikely = np.abs(ratios - np.median(ratios)) > np.log(_UNLIKELY_RATIO)
    return np.flatnonzero(unlikely & (lengths.max(1) > _SHORT)).tolist()


def _key(text: str) -> str:
    return normalize(text.casefold())


def refuse_other_formats(path: str, format: PairFormat = "auto") -> None:
    """Raises SeqloomError for what is no table by its name, unless it is said to be one."""
    file = split_part(path)[0]
    require(file)
    if file.is_dir():
        raise DataError("found a folder, expected a file.", where=path, mend="Name a file inside it.")
    if format == "auto" and ending(path) not in (*TABLES, ".txt"):
        usual = "Set data.format in a config; or name two files whose lines belong together, such as train.{en,de}."
        mend = foreign(ending(path)) or usual
        raise ConfigError("the name does not tell which table this is.", where=path, mend=mend)


def two_files(path: str) -> list[str]:
    """train.{en,de} as train.en and train.de; nothing for any other name."""
    if not (parts := _BRACES.fullmatch(path)):
        return []
    start, *sides, end = parts.groups()
    return [f"{start}{side}{end}" for side in sides]


def _is_two_files(path: str) -> bool:
    return "{" in path and not split_part(path)[0].exists()


def _line_pairs(source: PairSource) -> Iterator[tuple[str, str, str]]:
    files = two_files(source.path)
    if not files:
        mend = "Write both endings in one pair of braces, such as train.{en,de}."
        raise ConfigError("this names neither a file nor two files.", where=source.path, mend=mend)
    ends = set(map(ending, files))
    if len(ends) == 1 and (mend := foreign(*ends)):  # of a pair such as texts and their HTML the ends differ
        raise ConfigError("by their names, these are not a text a line.", where=source.path, mend=mend)
    sources, targets = (_read_lines(file, source.encoding) for file in files)
    if len(sources) != len(targets):
        (short, name), (long, other) = sorted(zip((len(sources), len(targets)), files, strict=True))
        raise DataError(
            f"ends after {short:,} lines where {other} has {long:,}; line by line the two must belong together.",
            where=f"{name}:{short}",
            mend="Check that both are whole and of the same set.",
        )
    for number, (first, second) in enumerate(zip(sources, targets, strict=True), 1):
        yield f"{files[1 if normalize(first) else 0]}:{number}", first, second  # the side that may be empty


def _read_lines(file: str, encoding: str | None) -> list[str]:
    with explained(file), open_text(Path(file), encoding, newline="\n") as text:
        return [line.rstrip("\r\n") for line in bounded_lines(text, file)]


def _cell_pairs(source: PairSource) -> Iterator[tuple[str, str, str]]:
    refuse_other_formats(source.path, source.format)
    kind = "tsv" if source.format == "auto" and ending(source.path) == ".txt" else source.format
    for row in read_rows(Source(source.path, kind, source.header, source.encoding)):
        first = as_text(read_cell(row, source.source, "data.source"), row, "data.source")
        second = read_cell(row, source.target, "data.target")
        for target in (second or [None]) if isinstance(second, list) else [second]:
            yield row.where, first, as_text(target, row, "data.target")
