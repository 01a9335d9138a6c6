"""Word vectors: read from the usual files, trained, and fitted to a vocabulary."""

import contextlib
import hashlib
import itertools
import math
import os
import re
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np

from toolkit.data.rows import explained, open_binary, require, split_part
from toolkit.errors import DataError

Block = tuple[list[str], np.ndarray]  # words and their vectors, (words, units)

_HEADER = re.compile(rb"(\d{1,12})[ \t](\d{1,9})\s*")
_MOST_UNITS = 10_000  # a header that asks for more is damaged or hostile
_BLOCK = 1 << 22  # bytes that are parsed at once
_LONGEST_LINE = 1 << 20
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # in the numbers of a binary file, not in a text
_MEND = "Download or convert the file again."
_MOST_KNOWN = 100_000  # words that predictions learn from


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words, the most frequent first, and a row for each. Shapes: matrix (words, units), float32 or float16"""

    words: list[str]
    matrix: np.ndarray

    @property
    def units(self) -> int:
        return self.matrix.shape[1]

    @cached_property
    def index(self) -> dict[str, int]:
        """From a word to its row."""
        return {word: row for row, word in enumerate(self.words)}

    def row(self, word: str) -> int | None:
        """The row of a word, or else of its lower-case form."""
        return self.index.get(word, self.index.get(word.lower()))


def load_vectors(source: str, *, max_words: int | None = None, cache: Path | None = None) -> WordVectors:
    """Read word vectors; of a word that is there twice the first counts.

    Args:
        source: GloVe or fastText text, word2vec text or binary (also as .gz, .xz, .bz2 or .zip; in a .zip of several
            files `glove.6B.zip#glove.6B.100d.txt`), an .npz of our own (`words`: UTF-8 bytes, newline-joined;
            `vectors`), or the name of a gensim-data model such as glove-wiki-gigaword-100, which is downloaded.
        max_words: read the first words only.
        cache: folder where what was parsed is kept, to be memory-mapped the next time; $SEQLOOM_CACHE,
            $XDG_CACHE_HOME/seqloom or ~/.cache/seqloom unless given.

    Raises:
        DataError: naming file and line, when the file is missing, damaged or not what it seems to be.
    """
    path, member = split_part(source)
    if not path.exists() and re.fullmatch(r"[\w-]+", source):
        path = _download(source)
    require(path)
    if path.suffix.lower() == ".npz":
        return WordVectors(*next(_first_of_each(iter([_read_npz(path)]), max_words)))
    return _load_cached(path, member, max_words, cache or _cache_folder())


def train_vectors(
    sentences: Iterable[list[str]],
    *,
    method: Literal["word2vec", "fasttext"],
    units: int,
    epochs: int,
    min_count: int,
    seed: int,
) -> WordVectors:
    """Skip-gram vectors trained on sentences; the same sentences and seed give the same vectors.

    Raises:
        DataError: when no word occurs `min_count` times.

    Reference: Mikolov et al. 2013, arXiv:1310.4546; Bojanowski et al. 2017, arXiv:1607.04606
    """
    from gensim.models import FastText, Word2Vec

    # One worker, and not Python's own hash, which differs from process to process.
    options = {"sg": 1, "workers": 1, "hashfxn": lambda word: zlib.crc32(word.encode())}
    if method == "fasttext":
        options["bucket"] = 200_000  # a tenth of gensim's: 80 MB at 100 units instead of 800
    model = (Word2Vec if method == "word2vec" else FastText)(
        vector_size=units, epochs=epochs, min_count=min_count, seed=seed, **options
    )
    corpus = list(sentences)
    model.build_vocab(corpus)
    if not len(model.wv):
        raise DataError(f"no word occurs {min_count} times, so there are no vectors to train.", mend="Lower min_count.")
    model.train(corpus, total_examples=len(corpus), epochs=epochs)
    return WordVectors(list(model.wv.index_to_key), model.wv.vectors)


def build_matrix(vocabulary: Sequence[str], vectors: WordVectors, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A row for every word: its vector, that of its lower-case form, or one predicted from its n-grams.

    A word without a vector is a bag of its character 3- to 5-grams g, each of which stands for the known words with it:

        vector(word) = mean + sum over g of idf[g] V[g] / sum over g of idf[g]
        V[g] = sum over the known words with g of (vector - mean) / (frequency[g] + 1)

    The known words are of all frequencies, for rare words are like rare words. One that shares no n-gram with them
    gets a random vector of the typical size.

    Cosine to the true vector, mean over 2,000 held-out words of rank 20,000 to 100,000 of GloVe 6B 100d: 0.35
    (ridge regression by conjugate gradients on the same n-grams 0.32, the mean vector 0.18, random or zero 0.00); of
    the ten nearest words 5% are right (mean, random and zero: none).

    Shapes: -> (vocabulary, units) float32, (vocabulary,) bool, true where a vector was known
    Reference: Zhao, Mudgal and Liang 2018, arXiv:1809.04259, whose n-gram vectors are fitted, not means
    """
    rows = [vectors.row(word) for word in vocabulary]
    found = np.array([row is not None for row in rows], dtype=bool)
    matrix = np.empty((len(vocabulary), vectors.units), np.float32)
    matrix[found] = vectors.matrix[[row for row in rows if row is not None]]
    unknown = [word for word, known in zip(vocabulary, found, strict=True) if not known]
    if unknown:
        matrix[~found] = _predict(unknown, vectors, seed)
    return matrix, found


def coverage(counts: Mapping[str, int], vectors: WordVectors) -> dict[str, Any]:
    """The share of `types` and of `tokens` with a vector, and the words `missing` one: the ten most frequent."""
    missing = {word: count for word, count in counts.items() if vectors.row(word) is None}
    types, tokens = len(counts), sum(counts.values())
    return {
        "types": 1 - len(missing) / types if types else 0.0,
        "tokens": 1 - sum(missing.values()) / tokens if tokens else 0.0,
        "missing": sorted(missing, key=lambda word: -missing[word])[:10],
    }


def neighbours(vectors: WordVectors, word: str, k: int = 10) -> list[tuple[str, float]]:
    """The `k` words of highest cosine similarity to a word, or to a sum such as "king - man + woman".

    The words of a sum are scaled to length one first, and are not among the answers.

    Raises:
        DataError: when a word has no vector, naming those spelled like it.
    """
    terms = [(1, word)] if word in vectors.index else _terms(word)
    rows = [_row(vectors, term) for _, term in terms]
    matrix = np.asarray(vectors.matrix, np.float32)  # no copy of a large file that is memory-mapped
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix)) + np.finfo(np.float32).tiny
    signs = np.array([sign for sign, _ in terms], np.float32)
    query = signs @ (matrix[rows] / lengths[rows, None])
    similarity = matrix @ query / lengths / (np.linalg.norm(query) or 1)
    similarity[rows] = -np.inf
    nearest = np.argsort(-similarity, kind="stable")[: min(max(k, 0), len(matrix) - len(set(rows)))]
    return [(vectors.words[row], float(similarity[row])) for row in nearest]


def _terms(expression: str) -> list[tuple[int, str]]:
    """The signs and words of a sum; a + or - stands between blanks, for words have hyphens."""
    first, *others = re.split(r"\s([+-])\s", expression)
    signs = [1 if sign == "+" else -1 for sign in others[::2]]
    return [(sign, term.strip()) for sign, term in zip([1, *signs], [first, *others[1::2]], strict=True)]


def _row(vectors: WordVectors, word: str) -> int:
    row = vectors.row(word)
    if row is None:
        near = get_close_matches(word, vectors.words[:_MOST_KNOWN], n=3)
        mend = f"Did you mean {', '.join(near)}?" if near else 'Give a word, or a sum such as "king - man + woman".'
        raise DataError(f"{word!r} has no vector.", mend=mend)
    return row


# Words without a vector


def _predict(words: list[str], vectors: WordVectors, seed: int) -> np.ndarray:
    from sklearn.feature_extraction.text import HashingVectorizer

    ngrams = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 5),
        n_features=1 << 20,
        binary=True,
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
    known = np.linspace(0, len(vectors.words) - 1, min(len(vectors.words), _MOST_KNOWN)).astype(int)
    counts = ngrams.transform([vectors.words[row] for row in known])
    used = np.flatnonzero(counts.getnnz(axis=0))
    counts, features = counts[:, used], ngrams.transform(words)[:, used]
    frequency = counts.getnnz(axis=0).astype(np.float32)
    rarity = np.log((1 + len(known)) / frequency)
    targets = vectors.matrix[known].astype(np.float32)
    mean = targets.mean(axis=0)
    means = counts.T @ (targets - mean) / (frequency + 1)[:, None]
    weights = (features @ rarity)[:, None]
    predicted = mean + features @ (rarity[:, None] * means) / np.maximum(weights, np.finfo(np.float32).tiny)
    noise = np.random.default_rng(seed).normal(mean, targets.std(), predicted.shape)
    return np.where(weights > 0, predicted, noise)


# What was parsed before


def _cache_folder() -> Path:
    if own := os.environ.get("SEQLOOM_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqloom"


def _load_cached(path: Path, member: str, max_words: int | None, folder: Path) -> WordVectors:
    def blocks() -> Iterator[Block]:
        return _first_of_each(_read_blocks(path, member), max_words)

    status = path.stat()
    facts = (str(path.resolve()), member, max_words, status.st_size, status.st_mtime_ns)
    entry = folder / f"vectors-{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"
    with contextlib.suppress(OSError, ValueError, EOFError):  # absent, or damaged
        return _read_entry(entry)
    try:
        _write_entry(entry, blocks())
        return _read_entry(entry)
    except OSError as error:
        warnings.warn(f"{folder}: cannot keep the parsed vectors ({error.strerror}).", stacklevel=3)
    words, matrices = zip(*blocks(), strict=True)
    return WordVectors(list(itertools.chain(*words)), np.concatenate(matrices))


def _read_entry(entry: Path) -> WordVectors:
    words = entry.with_suffix(".txt").read_bytes().decode().removesuffix("\n").split("\n")
    matrix = np.load(entry.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
    if matrix.ndim != 2 or len(words) != len(matrix):
        raise ValueError("words and vectors differ")
    return WordVectors(words, matrix)


def _write_entry(entry: Path, blocks: Iterator[Block]) -> None:
    """Write block by block, in constant memory, under temporary names until both files are whole."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.parent) as scratch:
        text, array = Path(scratch, "words.txt"), Path(scratch, "vectors.npy")
        rows = 0
        with open(text, "w", encoding="utf-8", newline="\n") as words_file, open(array, "wb") as matrix_file:
            for words, block in blocks:
                if not rows:
                    _write_header(matrix_file, 0, block.shape[1])
                words_file.write("\n".join(words) + "\n")
                matrix_file.write(np.ascontiguousarray(block, dtype="<f4").data)
                rows += len(words)
            matrix_file.seek(0)
            _write_header(matrix_file, rows, block.shape[1])
        os.replace(text, entry.with_suffix(".txt"))
        os.replace(array, entry.with_suffix(".npy"))


def _write_header(stream: BinaryIO, rows: int, units: int) -> None:
    """NumPy pads its header so that the first axis can grow in place."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows, units)})


def _first_of_each(blocks: Iterator[Block], max_words: int | None) -> Iterator[Block]:
    seen: set[str] = set()
    for words, block in blocks:
        keep = []
        for row, word in enumerate(words):
            if word not in seen and len(seen) != max_words:
                seen.add(word)
                keep.append(row)
        if keep:
            yield [words[row] for row in keep], block if len(keep) == len(words) else block[keep]
        if len(seen) == max_words:
            return


# Files of vectors


def _download(name: str) -> Path:
    from gensim import downloader

    try:
        with contextlib.redirect_stdout(sys.stderr):  # where gensim shows its progress
            # Only the path: what gensim would import to load a model is code that it downloaded.
            return Path(downloader.load(name, return_path=True))
    except Exception as error:  # gensim raises Exception itself, ValueError when offline, and what urllib raises
        mend = "Give the path of a vectors file; models can be downloaded by hand from the gensim-data project."
        raise DataError(f"no such file, and no such model to download ({error}).", where=name, mend=mend) from error


def _read_npz(path: Path) -> Block:
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


def _read_blocks(path: Path, member: str) -> Iterator[Block]:
    where = f"{path}#{member}" if member else str(path)
    with explained(where), _opened(path, member) as stream:
        first = stream.readline(_LONGEST_LINE)
        header = _HEADER.fullmatch(first)
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
        stream.seek(len(first) if header else 0)
        binary = header and (".bin" in path.name.lower() or _CONTROL.search(start))
        if binary:
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

    numbered = [(number, line.rstrip(b" \r\n")) for number, line in enumerate(lines, first_line) if line.strip()]
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
