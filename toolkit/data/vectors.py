"""Word vectors: read from the usual files, trained, and fitted to a vocabulary."""

import contextlib
import hashlib
import itertools
import os
import re
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from toolkit.data.files import require, split_part
from toolkit.data.vector_files import Block, read_blocks, read_npz
from toolkit.errors import DataError

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


def load_vectors(source: str, *, max_words: int | None = None) -> WordVectors:
    """Read word vectors; of a word that is there twice the first counts. What was parsed is kept, to be memory-mapped
    the next time, in $SEQLOOM_CACHE, $XDG_CACHE_HOME/seqloom or ~/.cache/seqloom.

    Args:
        source: GloVe or fastText text, word2vec text or binary (also as .gz, .xz, .bz2 or .zip; in a .zip of several
            files `glove.6B.zip#glove.6B.100d.txt`), an .npz of our own (`words`: UTF-8 bytes, newline-joined;
            `vectors`), or the name of a gensim-data model such as glove-wiki-gigaword-100, which is downloaded.
        max_words: read the first words only.

    Raises:
        DataError: naming file and line, when the file is missing, damaged or not what it seems to be.
    """
    path, member = split_part(source)
    if not path.exists() and re.fullmatch(r"[\w-]+", source):
        path = _download(source)
    require(path)
    if path.suffix.lower() == ".npz":
        return WordVectors(*next(_first_of_each(iter([read_npz(path)]), max_words)))
    return _load_cached(path, member, max_words)


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


def scaled(matrix: np.ndarray, option: str) -> np.ndarray:
    """The same array, brought to standard deviation 1, for dropout and learning rates to mean the same for all vectors.

    Raises:
        DataError: naming the option of the config that they come from, when they cannot be scaled.
    """
    deviation = matrix.std()
    if not 0 < deviation < np.inf:
        found = f"the vectors of these words have a standard deviation of {deviation:g}"
        raise DataError(f"{found}, expected a finite one above 0.", where=option, mend="Choose other vectors.")
    matrix /= deviation
    return matrix


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
    counts, features = ngrams.transform([vectors.words[row] for row in known]), ngrams.transform(words)
    used = np.flatnonzero(np.minimum(counts.getnnz(axis=0), features.getnnz(axis=0)))  # what both have
    counts, features = counts[:, used], features[:, used]
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
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqloom"
    except RuntimeError:  # HOME is not set, and the system does not know the user, as in some containers
        mend = "Set SEQLOOM_CACHE to a folder."
        raise DataError("there is no home folder to keep parsed vectors in.", mend=mend) from None


def _load_cached(path: Path, member: str, max_words: int | None) -> WordVectors:
    def blocks() -> Iterator[Block]:
        return _first_of_each(read_blocks(path, member), max_words)

    folder, status = _cache_folder(), path.stat()
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


def _download(name: str) -> Path:
    from gensim import downloader

    try:
        with contextlib.redirect_stdout(sys.stderr):  # where gensim shows its progress
            # Only the path: what gensim would import to load a model is code that it downloaded.
            return Path(downloader.load(name, return_path=True))
    except Exception as error:  # gensim raises Exception itself, ValueError when offline, and what urllib raises
        mend = "Give the path of a vectors file; models can be downloaded by hand from the gensim-data project."
        raise DataError(f"no such file, and no such model to download ({error}).", where=name, mend=mend) from error
