"""The `classify` command: files, folders, lines and tables in; JSONL, CSV or a table out."""

import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import tee
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from pipelines.printing import watched
from pipelines.text_classification.predict import Classifier, Prediction
from toolkit.artifact import check_outputs, opened
from toolkit.data.documents import refuse_circle
from toolkit.data.files import STANDARD_INPUT, ending, explained, open_binary, read_document, read_text, read_text_lines
from toolkit.data.rows import TABLES, Source, as_text, read_cell, read_rows, refuse_column
from toolkit.errors import ConfigError, DataError, SeqloomError

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".txt": "table"}
WRITTEN = ("source", "labels", "probabilities")


class Item(NamedTuple):
    """A text to classify, where it stands, and what of its row is written beside the answer."""

    source: str
    text: str
    kept: tuple[str, ...] = ()


class Inputs:
    """The texts of all paths, one after the other. A file that cannot be read is told and passed over.

    Args:
        column: of the texts in tables, and whether names stand above; without, numbers count the columns.
        keep: further columns of tables, the only inputs that then can be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        lines: bool,
        column: tuple[str, bool],
        encoding: str | None,
        keep: Sequence[str] = (),
    ):
        self.paths, self.lines, self.column, self.encoding, self.keep = paths, lines, column, encoding, keep
        self.failures = 0

    def __iter__(self) -> Iterator[Item]:
        for path in self.paths:
            for file in self._files(path):
                try:
                    yield from self._texts(file)
                except (DataError, OSError) as error:
                    self._fail(error)

    def check(self) -> None:
        """Raise a SeqloomError when some could not be read."""
        if self.failures:
            raise SeqloomError(f"{self.failures} of the inputs could not be read.")

    def _fail(self, error: DataError | OSError) -> None:
        self.failures += 1
        print(f"seqloom: {error}", file=sys.stderr)

    def _fail_folder(self, error: OSError) -> None:
        self._fail(DataError(f"cannot be read ({error.strerror}).", where=error.filename))

    def _files(self, path: str) -> Iterator[str]:
        """A file itself, or all files of a folder in order, hidden ones and pipes left out."""
        if not os.path.isdir(path):
            yield path
            return
        failures, empty = self.failures, True
        for folder, subfolders, names in os.walk(path, onerror=self._fail_folder, followlinks=True):
            seen = sorted(name for name in subfolders if not name.startswith("."))
            subfolders[:] = [name for name in seen if self._ends(Path(folder, name), Path(path))]
            for file in (os.path.join(folder, name) for name in sorted(names) if not name.startswith(".")):
                if os.path.isfile(file):
                    empty = False
                    yield file
        if empty and self.failures == failures:
            self._fail(DataError("there is no file in this folder.", where=path, mend="Is this the right path?"))

    def _ends(self, folder: Path, root: Path) -> bool:
        """Whether all below a folder is read once; a link for which it is not is told."""
        try:
            if folder.is_symlink():
                refuse_circle(folder, root)
        except DataError as error:
            self._fail(error)
            return False
        return True

    def _texts(self, path: str) -> Iterator[Item]:
        if self.keep and (self.lines or ending(path) not in TABLES):
            raise DataError("only tables have columns to keep.", where=path, mend="Leave --keep out.")
        if path == STANDARD_INPUT and not self.lines:
            yield Item(path, read_text(sys.stdin.buffer, self.encoding, "standard input"))
        elif self.lines:
            with explained(path), contextlib.ExitStack() as stack:
                stdin = path == STANDARD_INPUT
                stream = sys.stdin.buffer if stdin else stack.enter_context(open_binary(Path(path)))
                for number, line in enumerate(read_text_lines(stream, self.encoding, path), 1):
                    yield Item(f"{path}:{number}", line)
        elif ending(path) in TABLES:
            column, header = self.column
            for row in read_rows(Source(path, header=header, encoding=self.encoding)):
                kept = (as_text(read_cell(row, name, "--keep"), row, "--keep") for name in self.keep)
                yield Item(row.where, as_text(read_cell(row, column, "--column"), row, "--column"), tuple(kept))
        else:
            yield Item(path, read_document(path, self.encoding))


def classify(
    paths: Sequence[str],
    model: Path,
    *,
    lines: bool,
    out: Path | None,
    output: str | None,
    column: str | None,
    encoding: str | None,
    keep: Sequence[str],
    top: int,
) -> None:
    """Classify and write, in the order of the input and in constant memory.

    Args:
        keep: columns of tables to write beside the answers.

    Raises:
        SeqloomError: the run folder cannot be used, or some input could not be read.
    """
    classifier = Classifier(model)
    if clash := next((name for name in keep if name in WRITTEN or keep.count(name) > 1), None):
        raise ConfigError(f"a column {clash!r} is written already.", where="--keep", mend="Give it another name.")
    if column:
        refuse_column([] if lines else paths)
    inputs = Inputs(paths, lines=lines, column=classifier.column(column), encoding=encoding, keep=keep)
    check_outputs(paths, out)
    output = output or _format_for(out)
    with opened(out) as stream:
        write = _writer(output, stream, classifier.policy.labels, keep, top)
        items, read = tee(inputs)
        prediction = None
        predictions = watched(classifier.classify(item.text for item in read), "classifying", out)
        for prediction, item in zip(predictions, items, strict=True):
            write(item, prediction)
        if prediction is None:  # what stood at `out` is worth more than nothing
            inputs.check()
    inputs.check()


def _format_for(out: Path | None) -> str:
    if out is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    if out.suffix.lower() in FORMATS or (out.exists() and not out.is_file()):
        return FORMATS.get(out.suffix.lower(), "jsonl")
    endings = "its name should end in .jsonl, .csv or .txt"
    raise ConfigError(f"{endings}, which choose the format.", where=str(out), mend="Or give --format.")


def _writer(
    output: str, stream: TextIO, labels: tuple[str, ...], keep: Sequence[str], top: int
) -> Callable[[Item, Prediction], None]:
    """A function that writes one prediction."""
    source, *answers = WRITTEN

    def best(prediction: Prediction) -> list[tuple[str, float]]:
        """The most probable labels, and those that are given whatever their probability."""
        order = np.argsort(-prediction.probabilities, kind="stable")
        shown = {*order[:top].tolist(), *prediction.ids}
        return [(labels[i], round(float(prediction.probabilities[i]), 4)) for i in order.tolist() if i in shown]

    def given(prediction: Prediction) -> list[str]:
        return [labels[i] for i in prediction.ids]

    def jsonl(item: Item, prediction: Prediction) -> None:
        kept = dict(zip(keep, item.kept, strict=True))
        record = {source: item.source, **kept, "labels": given(prediction), "probabilities": dict(best(prediction))}
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def as_csv(item: Item, prediction: Prediction) -> None:
        probabilities = ";".join(f"{label}={probability:.4f}" for label, probability in best(prediction))
        rows.writerow((item.source, *item.kept, ";".join(given(prediction)), probabilities))

    def table(item: Item, prediction: Prediction) -> None:
        probabilities = "  ".join(f"{label} {probability:.2f}" for label, probability in best(prediction))
        place = "  ".join((item.source, *item.kept))
        line = f"{place:<48}  {', '.join(given(prediction)) or '(none)':<24}  {probabilities}"
        stream.write("".join(sign if sign.isprintable() else " " for sign in line) + "\n")

    match output:
        case "jsonl":
            return jsonl
        case "csv":
            if ambiguous := [label for label in labels if ";" in label or "=" in label]:
                found = f"the label {ambiguous[0]!r} cannot be told apart in CSV, where ; and = stand between labels."
                raise ConfigError(found, where="--format csv", mend="Take --format jsonl.")
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow((source, *keep, *answers))
            return as_csv
        case "table":
            return table
    raise ConfigError(f"--format {output}, expected jsonl, csv or table.", where="seqloom classify")
