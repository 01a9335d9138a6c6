"""A first config, fitted to some pairs."""

import random
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice
from math import inf, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolkit.config import quoted
from toolkit.data.codec import Kind, fit_codec
from toolkit.data.delimited import listed
from toolkit.data.files import ending
from toolkit.data.layout import DEEPER, to_line, usual_indent
from toolkit.data.pairs import PairSource, read_pairs, refuse_other_formats
from toolkit.data.rows import Format, Source, are_numbers, drawn, read_rows
from toolkit.errors import DataError
from toolkit.evaluation.translation import word_splitter

ROWS, MOST = 5000, 1_000_000  # so many are looked at, drawn from the first so many, for files are sorted by length
VERY_FEW, FEW, SOME, MANY = 2000, 5000, 20_000, 50_000  # pairs
PIECES = ((FEW, 1000), (SOME, 2000), (MANY, 4000), (inf, 8000))  # pairs below which a vocabulary has so many pieces
CODE_WORDS = 8000
STEPS, PAIRS = 150, 48  # at least in an epoch; at most in a batch: with larger ones too little is learned an epoch
BATCHES = (128, 256, 512, 1024, 2048)  # target pieces
SOURCE_NAMES = ("source", "src", "question", "input", "text", "intent", "utterance", "command", "annotation", "query")
TARGET_NAMES = ("target", "tgt", "trg", "sql", "code", "output", "translation", "logical_form", "snippet", "query")
HEADER_WORDS = {*SOURCE_NAMES, *TARGET_NAMES, "sentence", "phrase", "term", "answer", "original", "translated"}
WORDS_OF_A_NAME = 5  # at most
ENDS = (".", "!", "?", ",", "。", "।")  # of sentences
NOT_LANGUAGES = ("id", "no")  # as names of columns these are numbers
NAME = re.compile(r"[^\W\d][\w.-]*")
SQL = re.compile(r"\s*(select\b.+\bfrom|insert\s+into|update\b.+\bset|delete\s+from)\b", re.IGNORECASE | re.DOTALL)
SIGNS = re.compile(r"[][(){}<>=+*/\\|&^$#@%]")  # that prose has few of
CODE_SIGNS = 0.03  # share of the characters

TEMPLATE = """\
# seqloom check my.yaml tells what this would do; seqloom run my.yaml does it.
pipeline: translation

data:
  train: {train}
  validation: {share:<19}# share of the pairs, or a file of its own
  test: {share:<25}# the same; scored once, at the end
{columns}{layout}
tokens:
  kind: {kind:<25}# bpe | unigram: sub-words; words: words and punctuation, for code; dotted: for SQL; characters
  vocabulary: {vocabulary:<19}# the most pieces in a vocabulary
  joint: {joint:<24}# one vocabulary for both sides; false where their alphabets differ
  max_source: {max_source:<19}# pieces read of a source; longest seen: {longest_source}
  max_target: {max_target:<19}# pieces written; longer training targets are left out; longest seen: {longest_target}
{splitting}
model:
  embedding: {units}
{sharing}{hiding}  dropout: {dropout:<22}# more for fewer pairs

encoder:
  cell: gru                      # rnn | lstm | gru | transformer
  units: {units}

decoder:
  cell: gru
  units: {units}
  attention: bahdanau            # none | bahdanau | dot | general
{feeding}  dropout: 0.2

training:
  epochs: {epochs}
  patience: {patience:<21}# training ends after so many epochs without a better score or a lower loss
  batch_tokens: {tokens:<17}# target pieces in a batch; fewer pairs need smaller ones
  learning_rate: 2.0e-3
  warmup: 0.05
{smoothing}  average: 3                     # the mean of the weights of the last epochs is validated and kept
{concatenating}  monitor: {monitor:<22}# the validation score that chooses the best epoch: bleu | exact_match | loss
"""
LAYOUT = "  layout: true                   # line breaks and indentation are learned too; false: a text is one line\n"
SPLITTING = (
    "  long_sources: split            # a text of several sentences is translated one by one; truncate: at once\n"
)
COPYING = "  copy_words: true               # names and numbers can be copied from the source\n"
FEEDING = "  input_feeding: false           # trains twice as fast; true feeds each step's attention into the next\n"
TIED = "  tie: {tie:<26}# the output layer shares the vectors of the target's pieces; all: of the source's too\n"
WORD_DROPOUT = "  word_dropout: 0.1              # so many pieces are hidden while training; for few pairs\n"
SMOOTHING = "  label_smoothing: 0.0           # what can be copied is sure\n"
CONCATENATING = "  concatenate: 0.5               # adds pairs made of two pairs; pays off where they are few\n"


class Sample(NamedTuple):
    """Some of the pairs, where their columns are, and how many pairs there are."""

    sources: list[str]
    targets: list[str]
    columns: str
    pairs: int


def init(data: Path) -> str:
    """YAML text that trains a translator on `data`, a table or two files as train.{en,de}.

    Raises:
        DataError: there are no two columns of texts.
    """
    two_files = "{" in str(data) and not data.exists()
    sample = _lines_sample(str(data)) if two_files else _table_sample(str(data))
    code = _is_code(sample.targets)
    sql = _is_sql(sample.targets)
    layout = code and not sql and any("\n" in target.strip() for target in sample.targets)
    spaced = word_splitter([[source] for source in sample.sources]) == "13a"  # else a clause would be one word
    kind: Kind = "bpe" if not code or not spaced else "dotted" if sql else "words"
    joint = not code and _shared_letters(sample) > 0.5
    vocabulary = CODE_WORDS if code else next(size for most, size in PIECES if sample.pairs < most)
    sources, targets = _piece_counts(sample, kind, joint, vocabulary, usual_indent(sample.targets) if layout else "")
    return TEMPLATE.format(
        train=quoted(str(data)),
        share=0.1 if sample.pairs < MANY else 0.02,
        columns=sample.columns,
        layout=LAYOUT if layout else "",
        kind=kind,
        vocabulary=vocabulary,
        joint=str(joint).lower(),
        max_source=_limit(sources),
        max_target=_limit(targets),
        longest_source=max(sources),
        longest_target=max(targets),
        splitting="" if code else SPLITTING,
        sharing=COPYING if code else TIED.format(tie="all" if joint else "output"),
        feeding=FEEDING if code else "",
        monitor="exact_match" if code else "bleu",
        **_by_pairs(sample.pairs, code=code),
        tokens=_batch_tokens(sample.pairs, float(np.mean(targets))),
    )


def _by_pairs(pairs: int, *, code: bool) -> dict[str, Any]:
    """What depends on how many pairs there are: few teach little by themselves, so they are read more often."""
    few = pairs < FEW
    return {
        "units": 128 if few else 256,
        "hiding": WORD_DROPOUT if pairs < SOME and not code else "",
        "dropout": 0.3 if not few else 0.4 if code or pairs >= VERY_FEW else 0.5,
        "concatenating": CONCATENATING if code and few else "",
        "smoothing": SMOOTHING if code else "",
        "epochs": 40 if few else 20,
        "patience": 20 if few else 10,
    }


def _batch_tokens(pairs: int, pieces: float) -> int:
    """Target pieces in a batch, where an epoch has so many pairs, each with so many of them."""
    best = pieces * min(pairs / STEPS, PAIRS)
    return min(BATCHES, key=lambda size: abs(log(size / best)))


def _lines_sample(path: str) -> Sample:
    pairs = read_pairs(PairSource(path))
    some = pairs.take(random.Random(1).sample(range(len(pairs)), min(ROWS, len(pairs))))
    return Sample(some.sources, some.targets, "", len(pairs))


def _table_sample(path: str) -> Sample:
    """Some rows of a table; whether its first row is a header shows when it is read as data."""
    refuse_other_formats(path)
    kind: Format = "tsv" if ending(path) == ".txt" else "auto"
    read = (row.values for row in read_rows(Source(path, kind, header=False)))
    head = list(islice(read, 2))
    names, header = {name: name for name in head[0]}, ending(path) not in (".csv", ".tsv", ".txt")
    if not header and _is_header(head):
        names, header = {column: str(name).strip() for column, name in head.pop(0).items()}, True
        if not head:
            found = f"found the names {', '.join(map(repr, names.values()))} and no row."
            raise DataError(found, where=path, mend="Give rows of a source and its target.")
    rows, pairs = drawn(chain(head, islice(read, MOST)), ROWS)
    source, target = _columns(rows, names, path)
    both = [(row.get(source), _first(row.get(target))) for row in rows]
    sources, targets = map(list, zip(*((str(a), str(b)) for a, b in both if a and b), strict=True))
    columns = f"  source: {quoted(names[source])}\n  target: {quoted(names[target])}\n"
    if not header:
        columns = "  header: false                  # the first row is data\n" + columns
    return Sample(sources, targets, columns, pairs)


def _is_header(head: Sequence[dict[str, Any]]) -> bool:
    """Whether the first of two rows has names: usual ones, numbers of columns, or words where the second has more or a
    number."""
    # Spreadsheets write the empty columns beside a table too, and pandas no name above its numbers of rows.
    named = [column for column, cell in head[0].items() if str(cell).strip()]
    first, *second = ([str(row.get(column, "")).strip() for column in named] for row in head)
    if len(set(first)) < len(first):
        return False
    names = all(map(NAME.fullmatch, first)) and not all(NAME.fullmatch(cell) for row in second for cell in row)
    counted = any(cell.isdecimal() and name.isalpha() for row in second for name, cell in zip(first, row, strict=True))
    return names or counted or sum(map(_is_known, first)) > 1 or are_numbers(first)


def _is_known(name: str) -> bool:
    return not HEADER_WORDS.isdisjoint(_words(name)) or _is_language(name)


def _words(name: str) -> list[str]:
    """The words of what may be a column's name; none of a sentence, which is longer."""
    words = [word for word in re.split(r"[\W_]+", name) if word]
    return [word.lower() for word in words] if len(words) <= WORDS_OF_A_NAME and name[-1:] not in ENDS else []


def _columns(rows: Sequence[dict[str, Any]], names: dict[str, str], path: str) -> tuple[str, str]:
    """The columns of both sides: by usual names, by languages, else the longest texts, or the first without names."""
    lengths = {column: _mean_length(rows, column) for column in names}
    texts = [column for column in names if lengths[column]]
    varied = [column for column in texts if len({str(_first(row.get(column))) for row in rows}) > 1]
    texts = varied if len(varied) > 1 else texts  # what all rows say, such as eng, is about the pairs
    objects = [names[column] for column in names if any(isinstance(_first(row.get(column)), dict) for row in rows)]
    lists = f"What is inside lists of objects is not read ({listed(objects)})"
    nested = f"{lists}: write a row with two texts for each pair."
    if len(texts) < 2:
        found = ", ".join(names[column] for column in texts) or "none"
        found = f"columns of texts: {found}; expected two, a source and a target."
        tabs = "In .txt and .tsv tabs stand between columns; where commas do, let the name end in .csv."
        mend = tabs if len(names) == 1 and ending(path) in (".tsv", ".txt") else ""
        raise DataError(found, where=path, mend=nested if objects else mend)
    source, target = _named({names[column].lower(): column for column in texts})
    if source is None or target is None:
        sides = _named({word: column for column in reversed(texts) for word in _words(names[column])})
        source, target = (source, target) if None in sides else sides
    languages = [column for column in texts if _is_language(names[column])]
    if (source is None or target is None) and len(languages) > 1:
        return languages[0], languages[1]
    if objects and (source is None or target is None):  # the texts of a side may be there
        warnings.warn(f"{path}: {nested}", stacklevel=2)
    numbered = all(name.isdecimal() for name in names.values())
    others = texts if numbered else sorted(texts, key=lambda column: -lengths[column])
    others = [column for column in others if column not in (source, target)]
    if source is None and target is None:
        first, second = sorted(others[:2], key=texts.index)
        return first, second
    return source or others[0], target or others[0]


def _named(columns: dict[str, str]) -> tuple[str | None, str | None]:
    """The columns of both sides that have usual names, of columns by what they are called."""
    source = next((columns[name] for name in SOURCE_NAMES if name in columns), None)
    return source, next((columns[name] for name in TARGET_NAMES if name in columns and columns[name] != source), None)


def _mean_length(rows: Sequence[dict[str, Any]], column: str) -> float:
    """Of the texts of a column in characters; 0 where most cells are none."""
    cells = [_first(row.get(column)) for row in rows]
    texts = [cell for cell in cells if isinstance(cell, str) and any(sign.isalpha() for sign in cell)]
    return sum(map(len, texts)) / len(texts) if len(texts) * 2 > len(cells) else 0.0


def _first(cell: Any) -> Any:
    """A cell, or the first of several references."""
    return next(iter(cell), None) if isinstance(cell, list) else cell


def _is_language(name: str) -> bool:
    """Whether part of a column's name is a language, such as English text, text_en or Text (EN); "it is" is none."""
    codes = " " not in name  # else two letters may be a word, but for capitals
    capitals = [] if name.isupper() else [word.lower() for word in re.split(r"\W+", name) if word.isupper()]
    return any(word in _languages() and (len(word) > 2 or codes or word in capitals) for word in _words(name))


@cache
def _languages() -> frozenset[str]:
    from babel import Locale

    found = Locale("en").languages.items()
    return frozenset({code for code, _ in found if len(code) == 2} | {name.lower() for _, name in found}) - {
        *NOT_LANGUAGES
    }


def _is_code(targets: Sequence[str]) -> bool:
    """Whether most targets look like SQL or have an indented line, or many of their characters are signs."""
    text, indented = "".join(targets), sum(DEEPER in to_line(target) for target in targets)
    return _is_sql(targets) or 2 * indented > len(targets) or len(SIGNS.findall(text)) > CODE_SIGNS * len(text)


def _is_sql(targets: Sequence[str]) -> bool:
    return 2 * sum(map(bool, map(SQL.match, targets))) > len(targets)


def _shared_letters(sample: Sample) -> float:
    """How much of the letters on one side are also on the other, by frequency."""
    first, second = (Counter(filter(str.isalpha, "".join(texts).lower())) for texts in sample[:2])
    return sum(min(first[sign] / first.total(), second[sign] / second.total()) for sign in first if second)


def _piece_counts(sample: Sample, kind: Kind, joint: bool, size: int, indent: str) -> Iterator[list[int]]:
    """How many pieces each source and each target has."""
    sides: tuple[list[str], list[str]] = sample[:2]
    for texts in sides:
        both = [*sides[0], *sides[1]]
        codec = fit_codec(kind, both if joint else texts, size=size, lowercase=False, indent=indent)
        yield [len(pieces) for pieces in codec.split(texts, 10_000)]


def _limit(counts: Sequence[int]) -> int:
    """Room for all but the longest hundredth, and more, for texts to come."""
    return int(min(max(32, np.percentile(counts, 99) * 1.5), 1000))
