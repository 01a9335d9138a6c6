"""A first config, fitted to some data."""

import warnings
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.text_classification.data import as_flag, as_list
from toolkit.config import quoted
from toolkit.data.delimited import listed
from toolkit.data.documents import ARCHIVES
from toolkit.data.files import ending, foreign, split_part
from toolkit.data.rows import TABLES, Format, Source, are_numbers, drawn, read_rows
from toolkit.data.text import split_words
from toolkit.errors import DataError

ROWS, MOST = 5000, 1_000_000  # so many are looked at, drawn from the first so many, for files are sorted by label
FEW = 3000  # of so many rows, vectors of words are better not learned, and one network is a matter of luck
SAMPLE_VECTORS = "configs/samples/glove.6B.100d.10k.npz"
LABEL_NAMES = ("label", "labels", "category", "class", "intent", "topic", "target", "tag", "tags", "y")
TEXT_NAMES = ("text", "message", "sentence", "question", "content", "body", "comment", "review", "query")
OUT_OF_SCOPE_NAMES = ("oos", "other", "none", "out_of_scope", "none_of_the_above")
SEPARATORS = (";", "|", ",")
FORMATS = {"tsv": "tabs stand between its cells", "lines": "on each line the label, a blank, the text"}
MARK = "__label__"  # of fastText
PARTS = {"train", "training", "test", "testing", "dev", "valid", "val", "validation"}
NOT_LABELLED = {"unsup", "unlabeled", "unlabelled"}
LENGTH_OF_A_TEXT = 20  # characters, on average, in a column of texts
FEWEST_OF_A_LABEL = 5  # rows, on average, in a column of labels

TEMPLATE = """\
# seqloom check {name} tells what this would do; seqloom run {name} does it.
pipeline: text_classification

data:
  train: {train}
  validation: 0.1                # share of the rows, or a file of its own
  test: 0.1                      # the same; scored once, at the end
{columns}
tokens:
  max_tokens: {max_tokens:<19}# longer texts are truncated; longest seen: {longest}

vectors:
  source: {vectors}
  training: {tuning:<21}# frozen | tuned | frozen_then_tuned; frozen suits few rows

encoder:
  cell: lstm                     # rnn | lstm | gru | transformer
  units: 128
  bidirectional: true

model:
  members: {members:<22}# networks whose answers are averaged
  linear: true                   # and a TF-IDF linear model, with a weight fitted on validation rows

training:
  epochs: {epochs}
  batch_size: 32
  monitor: {monitor:<22}# the validation score that chooses the best epoch
{weights}{decision}"""


def init(data: Path) -> str:
    """YAML text that trains a classifier on `data`.

    Raises:
        DataError: there are no two columns that look like texts and labels.
    """
    kind = _format(data)
    rows, header = _rows(data, kind, header=True), True
    text, label = _columns(rows, str(data))
    few_kinds = len({str(row[label]) for row in rows}) < len(rows) / 2
    if few_kinds and any(row[label] == label for row in rows) and not are_numbers(rows[0]):
        rows, header = _rows(data, kind, header=False), False  # what should be the column's name is one of the labels
        text, label = _columns(rows, str(data))
    if flags := _flags(rows, text, label):
        values = [[name for name in flags if as_flag(row[name])] for row in rows]
    else:
        values = [as_list(row[label]) for row in rows if row[label] is not None]
    separator = _separator(values)
    labels = [part for value in values for part in _parts(value, separator)]
    counts = Counter(labels)
    if not counts:
        raise DataError(f"no row has anything in the column {label!r}, expected labels.", where=str(data))
    _tell_odd_labels(counts, len(rows), flags or [label], str(data))
    none = next((name for name in counts if name.lower() in OUT_OF_SCOPE_NAMES), None)
    many = separator is not None or any(isinstance(value, list) for value in values)
    lengths = [len(split_words(str(row[text] or ""), lowercase=True, punctuation=True, limit=10**6)) for row in rows]
    skewed = counts.most_common()[-1][1] * 5 < counts.most_common()[0][1]
    few = len(rows) < FEW
    others = _other_texts(rows, text, label), [] if flags else _other_labels(rows, text, label)
    return TEMPLATE.format(
        name="my.yaml",
        train=quoted(str(data)),
        columns=_column_lines(text, flags or [label], separator, none, header, others, kind),
        max_tokens=int(min(max(16, np.percentile(lengths, 99) * 1.2), 400)),
        longest=max(lengths),
        vectors=_vectors(),
        tuning="frozen" if few else "tuned",
        members=3 if few else 1,
        epochs=20 if few else 10,
        monitor="macro_f1" if many or skewed else "accuracy",
        weights="  class_weights: balanced        # some labels are rare\n" if skewed and not many else "",
        decision=_decision(many, none),
    )


def _format(data: Path) -> Format:
    """How to read a file whose name does not tell, .txt among them: as a table where all lines have as many tabs, but
    as lines where the only one stands behind their label."""
    path, told = split_part(str(data))[0], (*TABLES, *ARCHIVES)
    if not path.is_file() or ending(str(data)) in told or path.name.lower().endswith(told) or foreign(path.suffix):
        return "auto"
    with suppress(DataError):
        rows = islice(read_rows(Source(str(data), "tsv", header=False)), ROWS)
        first, *others = (tuple(row.values.values()) for row in rows)
        words = {row[0] for row in others}
        labels = all(map(_is_word, words)) and (first[0] in words or first[0].startswith(MARK))
        if len(first) > 2 or (len(first) == 2 and not labels):
            return "tsv"
        if len(first) == 2 and ending(str(data)) != ".txt":
            return "lines"
    return "auto"


def _is_word(cell: str) -> bool:
    return len(cell.split()) == 1 or cell.startswith(MARK)


def _rows(data: Path, kind: Format, *, header: bool) -> list[dict[str, Any]]:
    """Some rows, all with the same columns."""
    read = (row.values for row in islice(read_rows(Source(str(data), kind, header)), MOST))
    rows, _ = drawn(read, ROWS)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def _columns(rows: list[dict[str, Any]], name: str) -> tuple[str, str]:
    """The columns of texts and labels: by name, else the longest texts and the fewest different values."""
    nested = [column for column in rows[0] if any(map(_is_nested, (row[column] for row in rows)))]
    told = f"What is inside lists of objects is not read ({listed(nested)})." if nested else ""
    names = [column for column in rows[0] if column not in nested]
    filled = [column for column in names if _filled(rows, column)]
    names = filled if len(filled) > 1 else names
    if len(names) < 2:
        found = f"one column ({names[0]})" if names else "no column"
        raise DataError(f"{found}, expected a text and a label.", where=name, mend=told)
    length = {column: np.mean([len(str(row[column] or "")) for row in rows]) for column in names}
    texts = [column for column in names if not any(isinstance(row[column], list) for row in rows)] or names
    text = next((column for column in texts if _is_usual(column, TEXT_NAMES)), max(texts, key=length.__getitem__))
    others = [column for column in names if column != text]
    kinds = {column: len({str(row[column]) for row in rows}) for column in others}
    several = [column for column in others if kinds[column] > 1] or others
    label = next((column for column in others if _is_usual(column, LABEL_NAMES)), min(several, key=kinds.__getitem__))
    if told and not (_is_usual(text, TEXT_NAMES) and _is_usual(label, LABEL_NAMES)):  # it may be there
        warnings.warn(f"{name}: {told}", stacklevel=2)
    return text, label


def _is_usual(name: str, names: tuple[str, ...]) -> bool:
    """Whether a column has one of these names, perhaps inside an object."""
    return name.lower().rpartition(".")[2] in names


def _is_nested(cell: Any) -> bool:
    return isinstance(cell, list) and any(isinstance(part, dict | list) for part in cell)


def _filled(rows: list[dict[str, Any]], column: str) -> float:
    """Share of the rows that hold something in a column."""
    return sum(row[column] not in (None, "", []) for row in rows) / len(rows)


def _tell_odd_labels(counts: Counter[str], rows: int, columns: list[str], name: str) -> None:
    """Warn of labels that are probably none, or none of a text."""
    column, told = listed(columns), ""
    if len(counts) > max(rows / FEWEST_OF_A_LABEL, 2):
        told = f"{len(counts):,} different labels in {rows:,} rows ({column}); see that they are the labels."
    if {label.lower() for label in counts} <= PARTS:
        told = f"the labels are {listed(counts)}, which are parts of a data set; name each of them by itself in data."
    if unlabelled := [label for label in counts if label.lower() in NOT_LABELLED]:
        told = f"{listed(unlabelled)} is learned like any other label; take its texts away if they have no label."
    if told:
        warnings.warn(f"{name}: {told}", stacklevel=2)


def _flags(rows: list[dict[str, Any]], text: str, label: str) -> list[str]:
    """Columns of 0 and 1, each of which is a label, where there are several and no column has the name of one."""
    names = [name for name in rows[0] if name != text and {as_flag(row[name]) for row in rows} == {False, True}]
    return [] if _is_usual(label, LABEL_NAMES) or len(names) < 2 else names


def _other_labels(rows: list[dict[str, Any]], text: str, label: str) -> list[str]:
    """Columns that may as well be the label, where its name did not tell, or few rows have one."""
    if _is_usual(label, LABEL_NAMES) and _filled(rows, label) > 0.5:
        return []
    kinds = {
        name: len({str(row[name]) for row in rows})
        for name in rows[0]
        if name not in (text, label) and not any(map(_is_nested, (row[name] for row in rows)))
    }
    return [name for name, count in kinds.items() if 1 < count <= max(len(rows) / FEWEST_OF_A_LABEL, 2)]


def _other_texts(rows: list[dict[str, Any]], text: str, label: str) -> list[str]:
    """Columns that may as well be the text, where its name did not tell: of sentences that differ, not of numbers."""
    if _is_usual(text, TEXT_NAMES):
        return []
    names = (name for name in rows[0] if name not in (text, label))
    plain = (name for name in names if not any(isinstance(row[name], list) for row in rows))
    cells = {name: [str(row[name] or "") for row in rows] for name in plain}
    lengths = {name: sum(map(len, column)) for name, column in cells.items()}
    return [
        name
        for name, column in cells.items()
        if lengths[name] > LENGTH_OF_A_TEXT * len(rows)
        and sum(map(str.isalpha, "".join(column))) > lengths[name] / 2
        and len(set(column)) > len(rows) / 2
    ]


def _separator(values: list[Any]) -> str | None:
    """What stands between labels: a sign without which there are far fewer of them, or each is in several values."""
    words = [str(value) for value in values if value is not None and not isinstance(value, list)]
    for separator in SEPARATORS:
        joined = {word: _parts(word, separator) for word in set(words)}
        places = Counter(part for parts in joined.values() for part in set(parts))
        several = [part for parts in joined.values() if len(parts) > 1 for part in parts]
        if several and (len(places) < 0.8 * len(joined) or all(places[part] > 1 for part in several)):
            return separator
    return None


def _parts(value: Any, separator: str | None) -> list[str]:
    parts = value if isinstance(value, list) else str(value).split(separator) if separator else [value]
    return list(filter(None, (str(part).strip() for part in parts)))


def _column_lines(
    text: str,
    labels: list[str],
    separator: str | None,
    none: str | None,
    header: bool,
    others: tuple[list[str], list[str]],
    kind: Format,
) -> str:
    lines = [_guessed(f"  text: {quoted(text)}", others[0]), _guessed(f"  label: {quoted(labels[0])}", others[1])]
    if len(labels) > 1:
        lines[1] = "  label:                         # columns of 0 and 1, one for each label"
        lines += [f"    - {quoted(name)}" for name in labels]
    if not header:
        lines.insert(0, "  header: false                  # the first row is data")
    if kind != "auto":
        lines.insert(0, f"  format: {kind:<23}# {FORMATS[kind]}")
    if separator:
        lines.append(f'  label_separator: "{separator}"')
    if none:
        lines.append(f"  out_of_scope: {quoted(none)}")
    return "\n".join(lines) + "\n"


def _guessed(line: str, others: list[str]) -> str:
    """With the other columns that may be meant."""
    names = ", ".join(" ".join(name.split()) for name in others[:4]) + (", ..." if len(others) > 4 else "")
    return f"{line:<32} # a guess; or {names}" if others else line


def _vectors() -> str:
    for root in (Path(), Path(__file__).parents[2]):
        if (root / SAMPLE_VECTORS).exists():
            return f"{quoted(str(root / SAMPLE_VECTORS))}   # or a larger GloVe, word2vec or fastText file"
    return "glove-wiki-gigaword-100   # downloaded once; or a file; or word2vec: trained on your texts"


def _decision(many: bool, none: str | None) -> str:
    if many:
        return ""
    lines = ["", "decision:", "  margin: 0.1                    # two labels when they are this close"]
    if none:
        lines += [
            "  none_of_the_above:",
            "    score: entropy",
            "    target: keep",
            "    value: 0.95                  # share of the rows with a label that keep it",
        ]
    return "\n".join(lines) + "\n"
