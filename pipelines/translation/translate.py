"""The `translate` command: lines and tables in; text, JSONL or CSV out."""

import csv
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import tee
from pathlib import Path
from typing import NamedTuple, TextIO

from pipelines.printing import watched
from pipelines.translation.predict import Translation, Translator
from toolkit.artifact import check_outputs, opened
from toolkit.data.files import OPENERS, STANDARD_INPUT, bounded_lines, ending, explained, open_text, read_text_lines
from toolkit.data.rows import TABLES, Source, as_text, read_cell, read_rows, refuse_column
from toolkit.data.sentences import split_sentences
from toolkit.errors import ConfigError, DataError, SeqloomError
from toolkit.search import SearchSettings

MOST_PENALTY = 10
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}  # what else a file is called, such as news.de, is text


class Item(NamedTuple):
    """A text to translate and where it stands."""

    where: str
    text: str


class Noted:
    """What happened to some of the texts, told once."""

    def __init__(self, what: str, then: str):
        self.what, self.then, self.count, self.first = what, then, 0, ""

    def add(self, where: str) -> None:
        self.count, self.first = self.count + 1, self.first or where

    def tell(self) -> None:
        if self.count:
            texts = "1 text was" if self.count == 1 else f"{self.count:,} texts were"
            warnings.warn(f"{texts} {self.what}, the first at {self.first}; {self.then}", stacklevel=2)


class Inputs:
    """The texts of all paths, one after the other. A file that cannot be read is told and passed over.

    Args:
        column: of the texts in tables, and whether names stand above; without, numbers count the columns.
    """

    def __init__(self, paths: Sequence[str], *, column: tuple[str, bool], encoding: str | None):
        self.paths, self.column, self.encoding = paths, column, encoding
        self.failures = 0
        mend = "each line was translated as a whole. If it is a row of a table, let the name end in .tsv."
        self.tabbed = Noted("written with a tab inside", mend)

    def __iter__(self) -> Iterator[Item]:
        for path in self.paths:
            try:
                yield from self._cells(path) if ending(path) in TABLES else self._lines(path)
            except (DataError, OSError) as error:
                self.failures += 1
                print(f"seqloom: {error}", file=sys.stderr)

    def check(self) -> None:
        """Raise a SeqloomError when some could not be read."""
        if self.failures:
            raise SeqloomError(f"{self.failures} of the inputs could not be read.")

    def _lines(self, path: str) -> Iterator[Item]:
        if path == STANDARD_INPUT:
            name = "standard input"
            for number, line in enumerate(read_text_lines(sys.stdin.buffer, self.encoding, name), 1):
                yield Item(f"{name}:{number}", line)
            return
        with explained(path), open_text(Path(path), self.encoding, newline="\n") as text:
            for number, line in enumerate(bounded_lines(text, path), 1):
                item = Item(f"{path}:{number}", line.rstrip("\r\n"))
                if "\t" in item.text.strip():
                    self.tabbed.add(item.where)
                yield item

    def _cells(self, path: str) -> Iterator[Item]:
        column, header = self.column
        for row in read_rows(Source(path, header=header, encoding=self.encoding)):
            yield Item(row.where, as_text(read_cell(row, column, "--column"), row, "--column"))


def truncated_texts(limit: int, mend: str) -> Noted:
    """Texts of more than so many pieces."""
    return Noted(f"longer than {limit} pieces", f"their ends were not read. {mend}")


def translate(
    paths: Sequence[str],
    models: Sequence[Path],
    *,
    beam: int | None,
    best: int,
    length_penalty: float | None,
    out: Path | None,
    output: str | None,
    column: str | None,
    encoding: str | None,
) -> None:
    """Translate and write, in the order of the input and in constant memory.

    Args:
        models: run folders; the probabilities of several are averaged.
        beam, length_penalty: those that the run was made with where None.
        best: how many translations of a text to write.

    Raises:
        SeqloomError: a run folder cannot be used, or some input could not be read.
    """
    output = output or _format_for(out)
    if best > 1 and output != "jsonl":
        raise ConfigError(
            f"only jsonl holds {best} translations of a text.", where="--best", mend="Add --format jsonl."
        )
    check_outputs(paths, out)
    translator = Translator(*models)
    settings = _settings(translator.settings, beam, best, length_penalty)
    if column:
        refuse_column(paths)
    inputs = Inputs(paths, column=translator.column(column), encoding=encoding)
    mend = "A run with tokens.long_sources: split translates all of a text."
    truncated = truncated_texts(translator.searcher.codec.limits[0], mend)
    alphabet, usual = translator.searcher.codec.alphabet, translator.searcher.codec.sentences
    cleaned = Noted(
        "read without some capitals or marks",
        f"the sources that this run has learned from have no {alphabet.lacks or 'such signs'}.",
    )
    several = Noted(
        "translated at once although it has more sentences than nearly all sources that this run has learned from",
        "put each on a line, or train with tokens.long_sources: split.",
    )
    broken_off = Noted(
        "translated up to the most pieces that a translation may have",
        "it breaks off there. More are written by a run with a higher tokens.max_target, if that is what"
        " held them; else the network had not found an end.",
    )
    items, read = tee(inputs)
    with opened(out) as stream:
        write = _writer(output, stream, best, "\n" if translator.layout else "")
        translation = None
        translations = translator.translate((item.text for item in read), settings)
        for translation, item in zip(watched(translations, "translating", out), items, strict=True):
            write(item.text, translation)
            if alphabet.loses(item.text):
                cleaned.add(item.where)
            if not translator.facts.split and len(split_sentences(item.text)) > usual:
                several.add(item.where)
            if translation.truncated:
                truncated.add(item.where)
            if not translation.finished:
                broken_off.add(item.where)
        if translation is None:  # what stood at `out` is worth more than nothing
            inputs.check()
    inputs.tabbed.tell()
    cleaned.tell()
    several.tell()
    truncated.tell()
    broken_off.tell()
    inputs.check()


def _settings(usual: SearchSettings, beam: int | None, best: int, length_penalty: float | None) -> SearchSettings:
    """How the run searches, but for what is asked for; a beam that nobody asked for widens for the best."""
    if beam is not None and best > beam:
        raise ConfigError(f"{best} translations do not come out of a beam of {beam}.", where="--best")
    penalty = usual.length_penalty if length_penalty is None else length_penalty
    if not 0 <= penalty <= MOST_PENALTY:
        raise ConfigError(f"{penalty:g}, expected 0 to {MOST_PENALTY}.", where="--length-penalty")
    return replace(usual, beam=beam or max(usual.beam, best), best=best, length_penalty=penalty)


def _format_for(out: Path | None) -> str:
    suffix = out.suffix.lower() if out else ""
    if suffix not in FORMATS and suffix in (*TABLES, *OPENERS):
        mend = "Let its name end in .jsonl, .csv or .txt, or give --format."
        raise ConfigError(f"no {suffix} file can be written.", where=str(out), mend=mend)
    return FORMATS.get(suffix, "text")


def _writer(output: str, stream: TextIO, best: int, after: str) -> Callable[[str, Translation], None]:
    """A function that writes one translation; `after` ends one in a text, besides the end of its line."""

    def text(_: str, translation: Translation) -> None:
        stream.write(f"{translation.text}\n{after}")

    def jsonl(source: str, translation: Translation) -> None:
        record = {"source": source, **_scored(translation.text, translation.score)}
        if best > 1:
            record["others"] = [_scored(*other) for other in translation.others]
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def as_csv(source: str, translation: Translation) -> None:
        rows.writerow((source, *_scored(translation.text, translation.score).values()))

    match output:
        case "text":
            return text
        case "jsonl":
            return jsonl
        case "csv":
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(("source", "translation", "score"))
            return as_csv
    raise ConfigError(f"--format {output}, expected text, jsonl or csv.", where="seqloom translate")


def _scored(text: str, score: float) -> dict[str, object]:
    return {"translation": text, "score": round(float(score), 4)}
