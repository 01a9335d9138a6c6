"""From text to words to numbers."""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import chain, islice, starmap

import numpy as np

from toolkit.capitals import capitals_of
from toolkit.data.batches import pad

PADDING, UNKNOWN = 0, 1
RESERVED = ("<padding>", "<unknown>")

# The Penn Treebank's contractions, which GloVe was trained with; then words, numbers and single signs.
_CONTRACTIONS = r"n't\b|'(?:s|m|re|ve|ll|d)\b"
_SIGNS, _FEW_SIGNS = r"[^\w\s]", r"[!?$]"
_NEGATION = re.compile(r"(?<=[a-z])n't\b", re.IGNORECASE)
_QUOTES = str.maketrans("’‘“”", "''\"\"")
_LONGEST_WORD = 64  # characters; what is longer is no word, and its beginning says so too
_CHARACTERS_PER_WORD = 32  # more than any text has; bounds the work on a text of megabytes

_MARKED = ((0x300, 0x3100), (0xA600, 0xAC00), (0xFB00, 0x12000), (0x16000, 0x20000))  # where Unicode has marks

NGRAM_SIZES = (3, 4, 5)
NGRAMS = 24  # the most n-grams of a word that are used, the shortest first


def split_words(text: str, *, lowercase: bool, punctuation: bool, limit: int, capitals: bool = False) -> list[str]:
    """The first `limit` words and signs of a text: "Don't stop, now!" gives do, n't, stop, the comma, now, !

    Without `punctuation`, the only signs are !, ? and $. With `capitals`, a sign more stands before each word that has
    some: "What is NASA?" gives what, is, <AA>, nasa, ?
    """
    if len(text) > (most := limit * _CHARACTERS_PER_WORD):
        text = " ".join(text.split(maxsplit=most))[:most]  # a page may begin with more blanks than that
    text = text.translate(_QUOTES)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())  # half an emoji is no character
    if "n'" in text or "N'" in text:
        text = _NEGATION.sub(" n't", text)
    if lowercase and not capitals:
        text = text.lower()
    found = _words(text.isascii(), punctuation).finditer(text)
    words = [match.group()[:_LONGEST_WORD] for match in islice(found, limit)]
    return list(islice(_with_capitals(words, lowercase), limit)) if capitals else words


def spans_of(words: Iterable[str], text: str) -> Iterator[slice]:
    """Where words that `split_words` found in a text stand in it; an empty span where they were written otherwise."""
    searched, at = text.translate(_QUOTES), 0
    for word in words:
        found = re.compile(re.escape(word), re.IGNORECASE).search(searched, at)
        start, at = found.span() if found else (at, at)
        yield slice(start, at)


def _with_capitals(words: Sequence[str], lowercase: bool) -> Iterator[str]:
    for word, sign in zip(words, capitals_of(words), strict=True):
        if sign:
            yield sign
        yield word.lower() if lowercase else word


@cache
def _words(ascii_only: bool, punctuation: bool) -> re.Pattern[str]:
    """What a word or a sign is; beyond ASCII, marks such as Devanagari's vowel signs belong to their letters."""
    letters = r"[^\W_]"
    if not ascii_only:
        characters = map(chr, chain(*starmap(range, _MARKED)))
        marks = "".join(each for each in characters if unicodedata.category(each).startswith("M"))
        letters = rf"(?:{letters}[{marks}]*)"
    signs = _SIGNS if punctuation else _FEW_SIGNS
    return re.compile(f"{_CONTRACTIONS}|{letters}+|{signs}", re.IGNORECASE)


def vocabulary_words(counts: Counter[str], *, min_count: int, max_words: int) -> list[str]:
    """The reserved words, then those seen `min_count` times, the most frequent first, `max_words` at most."""
    frequent = (word for word, count in counts.most_common(max_words) if count >= min_count)
    return [*RESERVED, *frequent]


def ngram_ids(words: Sequence[str], buckets: int) -> np.ndarray:
    """Hashed character n-grams of words between their borders, <word>. Shapes: -> (words, NGRAMS) int32, 0 for none.

    Reference: Bojanowski et al. 2017, arXiv:1607.04606, section 3.2
    """
    ids = np.zeros((len(words), NGRAMS), np.int32)
    for row, word in zip(ids, words, strict=True):
        whole = f"<{word}>".encode("utf-8", "replace")
        grams = (whole[i : i + size] for size in NGRAM_SIZES for i in range(len(whole) - size + 1))
        hashed = [zlib.crc32(gram) % buckets + 1 for gram in dict.fromkeys(islice(grams, NGRAMS))]
        row[: len(hashed)] = hashed
    return ids


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as word ids. Ids from the size of the vocabulary on are words that are not in it, in `unknown_words`."""

    sequences: list[list[int]]
    unknown_words: list[str]

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.fromiter(map(len, self.sequences), dtype=np.int32, count=len(self.sequences))


class TextEncoder:
    """Texts as a network's inputs; the only place where training and prediction turn one into the other.

    Args:
        words: the vocabulary; a word's id is its place. It begins with the two reserved words.
        lowercase: whether text is lower-cased.
        punctuation: whether signs other than !, ? and $ are read.
        max_tokens: words beyond this many are not read.
        multiple: padded lengths are multiples of this, so that a network can read them in pieces.
        buckets: of hashed character n-grams, which stand for words not in the vocabulary; 0: those are all one word.
        capitals: whether a sign stands before each word that has capitals; runs from before there was this do not say.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        lowercase: bool,
        punctuation: bool,
        max_tokens: int,
        multiple: int,
        buckets: int,
        capitals: bool = False,
    ):
        self.ids = {word: i for i, word in enumerate(words)}
        self.limit, self.capitals = max_tokens, capitals
        self.split = partial(
            split_words, lowercase=lowercase, punctuation=punctuation, limit=max_tokens, capitals=capitals
        )
        self.multiple, self.buckets = multiple, buckets

    def encode(self, texts: Iterable[str]) -> EncodedTexts:
        """Word ids, of the lower-case word where the vocabulary lacks it as written.

        A text without a word is the unknown word, since a sequence is never empty.
        """
        known, size = self.ids, len(self.ids)
        unknown: dict[str, int] = {}

        def number(word: str) -> int:
            if word in known:
                return known[word]
            if (lower := word.lower()) in known:
                return known[lower]
            return size + unknown.setdefault(word, len(unknown)) if self.buckets else UNKNOWN

        sequences = [[number(word) for word in self.split(text)] or [UNKNOWN] for text in texts]
        return EncodedTexts(sequences, list(unknown))

    def unknown(self, ids: Iterable[int]) -> int:
        """How many of the ids of `encode` are of words that are not in the vocabulary."""
        return sum(number == UNKNOWN or number >= len(self.ids) for number in ids)

    def inputs(
        self, texts: EncodedTexts, rows: Sequence[int] | np.ndarray, shortest: int = 1, multiple: int = 1
    ) -> dict[str, np.ndarray]:
        """A padded batch of some of the texts.

        Its length is at least `shortest`, and a multiple of `multiple` or, where that is larger, of the encoder's own.
        With a `multiple` there are few different numbers of unknown words too: they are filled up to powers of two.

        Shapes: tokens (batch, time); lengths (batch,); with n-grams also unknown_ngrams (n, NGRAMS), where token
            vocabulary + i is the word of row i
        """
        tokens, lengths = pad(
            [texts.sequences[i] for i in rows], multiple=max(self.multiple, multiple), shortest=shortest
        )
        if not self.buckets:
            return {"tokens": tokens, "lengths": lengths}
        is_unknown = tokens >= len(self.ids)
        words, places = np.unique(tokens[is_unknown], return_inverse=True)
        tokens[is_unknown] = len(self.ids) + places
        ngrams = ngram_ids([texts.unknown_words[i - len(self.ids)] for i in words] or [""], self.buckets)
        if multiple > 1:
            rows_of_ngrams = max(multiple, 1 << (len(ngrams) - 1).bit_length())
            ngrams = np.pad(ngrams, ((0, rows_of_ngrams - len(ngrams)), (0, 0)))
        return {"tokens": tokens, "lengths": lengths, "unknown_ngrams": ngrams}


def one_line(text: str, length: int) -> str:
    """One line of at most this many characters, without control characters and halves of surrogate pairs."""
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+", " ", text[: 4 * length]).strip()
    return line if len(line) <= length else line[: length - 1] + "…"
