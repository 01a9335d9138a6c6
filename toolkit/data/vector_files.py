"""Readers of the usual files of word vectors, block by block; what is damaged is named with its line."""

import codecs
import contextlib
import math
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from toolkit.data.files import explained, open_binary
from toolkit.errors import DataError

Block = tuple[list[str], np.ndarray]  # words and their vectors, (words, units)

_HEADER = re.compile(rb"(\d{1,12})[ \t](\d{1,9})\s*")
_MOST_UNITS = 10_000  # a header that asks for more is damaged or hostile
_BLOCK = 1 << 22  # bytes that are parsed at once
_LONGEST_LINE = 1 << 20
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # in the numbers of a binary file, not in a text
_MEND = "Download or convert the file again."


def read_npz(path: Path) -> Block:
    """Our own compact format: `words`, newline-joined UTF-8 as uint8, and `vectors` (words, units)."""
    try:
        with explained(str(path)), zipfile.ZipFile(path) as archive:
            _check_array(archive, "words", 1, (np.uint8,))
            _check_array(archive, "vectors", 2, (np.float16, np.float32))
            with np.load(path, allow_pickle=False) as arrays:
                words, matrix = arrays["words"].tobytes().decode().split("\n"), arrays["vectors"]
        if len(words) != len(matrix):
            raise ValueError(f"{len(words)} words for {len(matrix)} vectors")
    except (ValueError, KeyError) as error:
        mend = "It needs `words`, newline-joined UTF-8 as uint8, and `vectors` (words, units) as float16 or float32."
        raise DataError(f"not vectors of ours ({error}).", where=str(path), mend=mend) from error
    _check_finite(words, matrix, str(path))
    return words, matrix


def _check_array(archive: zipfile.ZipFile, name: str, axes: int, dtypes: tuple[type, ...]) -> None:
    """Refuse an array whose header promises more than is there, before NumPy makes room for it."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    room = min(info.file_size, 1032 * os.path.getsize(str(archive.filename)))  # deflate cannot pack more
    if len(shape) != axes or dtype not in dtypes or math.prod(shape) * dtype.itemsize > room:
        raise ValueError(f"{name} of shape {shape} and type {dtype}")


@contextlib.contextmanager
def _opened(path: Path, member: str) -> Iterator[BinaryIO]:
    if path.suffix.lower() != ".zip" and not member:
        with open_binary(path) as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        name = member or (names[0] if len(names) == 1 else "")
        if name not in names:
            raise DataError(f"holds {', '.join(names[:10])}.", where=str(path), mend=f"Name one, as {path}#{names[0]}.")
        with archive.open(name) as stream:
            yield cast(BinaryIO, stream)


def read_blocks(path: Path, member: str) -> Iterator[Block]:
    """Text of GloVe, word2vec or fastText, or binary of word2vec; `member` names a file of a .zip."""
    where = f"{path}#{member}" if member else str(path)
    with explained(where), _opened(path, member) as stream:
        first = stream.readline(_LONGEST_LINE)
        mark = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
        header = _HEADER.fullmatch(first, mark)
        start = stream.read(4096)
        if not first.strip():
            raise DataError("found an empty line, expected a word and its vector.", where=f"{where}:1", mend=_MEND)
        if first.lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise DataError("found a web page, expected vectors.", where=f"{where}:1", mend="The download failed.")
        if not header and _CONTROL.search(first + start):
            mend = "Save models with gensim's save_word2vec_format; other formats can run code when loaded."
            raise DataError("found binary data without the header of word2vec.", where=where, mend=mend)
        rows, units = map(int, header.groups()) if header else (1, _count_numbers(first))
        if not rows or not 0 < units <= _MOST_UNITS:
            found = f"found {rows} vectors of {units} numbers" if header else f"found {units} numbers after the word"
            raise DataError(f"{found}, expected 1 to {_MOST_UNITS} numbers.", where=f"{where}:1", mend=_MEND)
        stream.seek(len(first) if header else mark)
        if header and (".bin" in path.name.lower() or _CONTROL.search(start)):
            yield from _binary_blocks(stream, rows, units, where)
            return
        count, line = 0, 2 if header else 1
        while lines := stream.readlines(_BLOCK):
            words, block = _parse_lines(lines, units, where, line)
            count, line = count + len(words), line + len(lines)
            yield words, block
        if count < rows:
            raise DataError(f"ends after {count} words, expected {rows}.", where=where, mend=_MEND)


def _count_numbers(line: bytes) -> int:
    """How many numbers end a line; its first field is always a word."""
    fields = line.split()[1:]
    return next((count for count, field in enumerate(reversed(fields)) if not _is_number(field)), len(fields))


def _is_number(field: bytes) -> bool:
    try:
        return bool(np.isfinite(np.float32(field)))
    except ValueError:
        return False


def _parse_lines(lines: list[bytes], units: int, where: str, first_line: int) -> Block:
    """Parse lines at once, or if they are not all alike one by one, to accept what is right and name what is not."""
    import pyarrow
    from pyarrow import csv

    blank = (line.replace(b"\t", b" ").rstrip(b" \r\n") for line in lines)
    numbered = [(number, line) for number, line in enumerate(blank, first_line) if line]
    pairs = [line.partition(b" ") for _, line in numbered]
    names = [str(unit) for unit in range(units)]
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(b"\n".join(numbers for _, _, numbers in pairs)),
            csv.ReadOptions(use_threads=False, column_names=names),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.float32())),
        )
        block = np.stack([column.to_numpy() for column in table.columns], axis=1)
        if len(block) == len(pairs) and np.isfinite(block).all():
            return [_text(word) for word, _, _ in pairs], block
    except pyarrow.ArrowInvalid:
        pass
    parsed = [_parse_line(line, units, f"{where}:{number}") for number, line in numbered]
    return [word for word, _ in parsed], np.array([numbers for _, numbers in parsed], np.float32)


def _parse_line(line: bytes, units: int, where: str) -> tuple[str, list[float]]:
    """From the right, for there are words that hold spaces, such as ". . ." in GloVe 840B."""
    word, *numbers = line.rsplit(b" ", units)
    if len(numbers) < units or (b" " in word and _is_number(word.split(b" ")[-1])):
        found = f"found {len(line.split()) - 1} numbers after the word, expected {units}."
        raise DataError(found, where=where, mend=_MEND)
    for number in numbers:
        if not _is_number(number):
            raise DataError(f"found {_text(number)[:40]!r}, expected a number.", where=where, mend=_MEND)
    return _text(word), [float(number) for number in numbers]


def _text(word: bytes) -> str:
    return word.replace(b"\n", b"").decode("utf-8", "replace")


def _binary_blocks(stream: BinaryIO, rows: int, units: int, where: str) -> Iterator[Block]:
    """Records of word2vec: the word, a space, the vector in little-endian float32, perhaps a line break.

    Nothing is allocated on the word of the header: a file that ends early is found out where it ends.
    """
    size = 4 * units
    buffer, at, count = b"", 0, 0
    while count < rows:
        buffer, at = buffer[at:] + stream.read(_BLOCK), 0
        words, vectors = [], []
        while count < rows and 0 <= (space := buffer.find(b" ", at)) < len(buffer) - size:
            words.append(_text(buffer[at:space]))
            vectors.append(buffer[space + 1 : space + 1 + size])
            at = space + 1 + size
            count += 1
        if not words:
            raise DataError(f"ends or is damaged after {count} words, expected {rows}.", where=where, mend=_MEND)
        block = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, units)
        _check_finite(words, block, where)
        yield words, block


def _check_finite(words: list[str], matrix: np.ndarray, where: str) -> None:
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        word = words[int(np.argmin(finite))]
        raise DataError(f"the vector of {word!r} holds a number that is not finite.", where=where, mend=_MEND)
