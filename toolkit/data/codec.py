"""Texts to ids and back, for models that write: whole words, characters, or pieces of words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, Self

from toolkit.data.layout import INDENT, from_line, to_line
from toolkit.data.wordpieces import bpe_tokenizer, join_bytes, learn_bpe, learn_unigram, unigram_tokenizer
from toolkit.errors import ConfigError, DataError, expect, intact
from toolkit.stored import from_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["bpe", "unigram", "words", "dotted", "characters"]

RESERVED = ("<pad>", "<unk>", "<s>", "</s>")
PADDING, UNKNOWN, START, END = range(4)

MOST_PIECES = 1_000_000
_JOINER, _BLANK = "￭", "▁"
_SIGNS_OF_OURS = str.maketrans({_JOINER: "■", _BLANK: "_"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SILENT = {RESERVED[PADDING], RESERVED[START], RESERVED[END]}
_AT_ONCE = 10_000  # texts
_CHARACTERS_PER_PIECE = 64  # more than any text has; bounds the work on a text of megabytes


def normalize(text: str) -> str:
    """What of a text a codec keeps: NFC, and one blank for every run of blanks, line breaks and control characters.

    Halves of characters become "?", and the two signs with which pieces are marked, ￭ and ▁, become ■ and _.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()).translate(_SIGNS_OF_OURS)
    return " ".join(_CONTROL.sub(" ", text).split())


@dataclass(frozen=True)
class TextCodec:
    """Texts as ids of pieces, and pieces as text: `join(split(text)) == normalize(text)`, whatever the text, but for
    its capitals where `lowercase` says so, and line by line where layout is kept.

    - bpe, unigram: parts of words, written as bytes; nothing is unknown.
    - words: words, and single signs, which say with ￭ where they touch a neighbour: `f(x)` is f, ￭(￭, x, ￭). A word is
      the same piece wherever it stands, so that one of the source can be copied into the target.
    - dotted: the same, with dotted names such as table.column as one word.
    - characters: one piece each; ▁ is a blank.

    Args:
        pieces: all pieces by id; the first are RESERVED.
        lowercase: whether capitals are lost.
        merges: of bpe, "left right" in order.
        scores: of unigram, the log-probability of each piece.
        indent: a level of indentation, where line breaks and indentation are pieces too (`toolkit.data.layout`); empty
            where a text is one line.

    Raises: ValueError when these contradict each other, so that every codec there is can encode.
    """

    kind: Kind
    lowercase: bool
    pieces: list[str]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    indent: str = ""

    def __post_init__(self) -> None:
        longest = max(len(self.pieces), len(self.merges), len(self.scores))
        expect(longest <= MOST_PIECES, f"no list may have more than {MOST_PIECES:,}")
        expect(not self.indent or bool(INDENT.fullmatch(self.indent)), "indent must be up to 8 blanks, or a tab")
        expect(tuple(self.pieces[: len(RESERVED)]) == RESERVED, f"the first pieces must be {', '.join(RESERVED)}")
        expect(len(self.ids) == len(self.pieces), "no two pieces may be the same")
        expect(not self.merges or self.kind == "bpe", f"{self.kind} has no merges")
        expect(not self.scores or self.kind == "unigram", f"{self.kind} has no scores")
        if self.kind in ("bpe", "unigram"):
            _ = self._tokenizer  # which checks what is left

    @cached_property
    def ids(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(self.pieces)}

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        if self.kind == "bpe":
            return bpe_tokenizer(self.ids, self.merges)
        return unigram_tokenizer(self.ids, self.scores, UNKNOWN)

    def encode(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """The ids of the first `limit` pieces of each text, without START and END."""
        if self.kind in ("bpe", "unigram"):
            spaced = map(_spaced, self._prepared(texts, limit, self.lowercase))
            parts = iter(lambda: list(islice(spaced, _AT_ONCE)), [])  # what is encoded takes ten times what its ids do
            found = map(self._tokenizer.encode_batch_fast, parts)
            return [encoding.ids[:limit] for part in found for encoding in part]
        return [[self.id_of(piece) for piece in pieces] for pieces in self.split(texts, limit)]

    def id_of(self, piece: str) -> int:
        """Of a piece as `split` gives it, with or without capitals."""
        whole = self.kind not in ("bpe", "unigram")  # parts have lost them, and their marks have capitals of their own
        return self.ids.get(piece.lower() if self.lowercase and whole else piece, UNKNOWN)

    def split(self, texts: Sequence[str], limit: int, *, capitals: bool = False) -> list[list[str]]:
        """The first `limit` pieces of each text, those that have no id too, as they are written; with `capitals` words
        and characters have theirs, although ids lose them."""
        if self.kind in ("bpe", "unigram"):
            return [[self.pieces[i] for i in ids] for ids in self.encode(texts, limit)]
        cut = _CUTTERS[self.kind]
        lists = [list(islice(cut(text), limit)) for text in self._prepared(texts, limit, False)]
        return [[piece.lower() for piece in pieces] for pieces in lists] if self.lowercase and not capitals else lists

    def join(self, pieces: Sequence[str]) -> str:
        """The text that pieces stand for. They need no ids; the reserved ones are left out but `<unk>`."""
        line = self._line(pieces)
        return from_line(line, self.indent) if self.indent else line

    def _line(self, pieces: Sequence[str]) -> str:
        spoken = [piece for piece in pieces if piece not in _SILENT]
        match self.kind:
            case "words" | "dotted":
                marked = " ".join(spoken).replace(f" {_JOINER}", _JOINER).replace(f"{_JOINER} ", _JOINER)
                return normalize(marked.replace(_JOINER, ""))
            case "characters":
                return normalize("".join(spoken).replace(_BLANK, " "))
            case _:
                return normalize(join_bytes(spoken))

    def shown(self, piece: str) -> str:
        """A piece as people read it, without what marks its place."""
        return piece if piece in RESERVED else self._line([piece]) or _BLANK

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """The reverse of `toolkit.stored.to_json`.

        Raises:
            ArtifactError: anything that it cannot have given.
        """
        with intact("these pieces are damaged", where):
            codec: Self = from_json(cls, value)
            return codec

    def _prepared(self, texts: Sequence[str], limit: int, lowercase: bool) -> Iterator[str]:
        return (_prepare(text, lowercase, bool(self.indent))[: limit * _CHARACTERS_PER_PIECE] for text in texts)


def fit_codec(
    kind: Kind, texts: Sequence[str], *, size: int, lowercase: bool, min_count: int = 1, indent: str = ""
) -> TextCodec:
    """Learn at most `size` pieces, the reserved ones among them; the same texts give the same codec.

    Words and characters are kept when they occur `min_count` times, the most frequent first; pieces of BPE likewise,
    though never those seen once. Unigram goes by likelihood alone.

    Raises:
        ConfigError: `size` does not hold the pieces that there must be.
        DataError: there is no text, or nothing occurs `min_count` times.
    """
    least = len(RESERVED) + (256 if kind in ("bpe", "unigram") else 0) + 1
    if size < least:
        mend = f"Make it {least} or more."
        raise ConfigError(f"{size} pieces are too few for {kind}.", where="tokens.vocabulary", mend=mend)
    lower = lowercase and kind in ("bpe", "unigram")
    prepared = [text for text in (_prepare(text, lower, bool(indent)) for text in texts) if text]
    if not prepared:
        raise DataError(f"there is no text to learn {kind} from.", mend="See that the data is not empty.")
    match kind:
        case "bpe":
            pieces, merges = learn_bpe(map(_spaced, prepared), RESERVED, size=size, min_count=min_count)
            return TextCodec(kind, lowercase, pieces, merges=merges, indent=indent)
        case "unigram":
            pieces, scores = learn_unigram(map(_spaced, prepared), RESERVED, size=size)
            return TextCodec(kind, lowercase, pieces, scores=scores, indent=indent)
    cut = chain.from_iterable(map(_CUTTERS[kind], prepared))
    counts = Counter(map(str.lower, cut) if lowercase else cut)  # piece by piece, as `id_of` does it
    ranked = sorted((-count, piece) for piece, count in counts.items() if count >= min_count)
    if not ranked:
        raise DataError(f"no {kind} that occur {min_count} times.", mend="Add texts, or lower the minimum count.")
    pieces = [*RESERVED, *(piece for _, piece in ranked[: size - len(RESERVED)])]
    return TextCodec(kind, lowercase, pieces, indent=indent)


def _prepare(text: str, lowercase: bool, layout: bool) -> str:
    text = text.lower() if lowercase else text
    return normalize(to_line(text) if layout else text)


def _spaced(text: str) -> str:
    """With a blank before the first word, so that it is the same piece there as inside a sentence."""
    return f" {text}" if text else ""


def _words(text: str, dotted: bool = False) -> Iterator[str]:
    for match in _pattern(text.isascii(), dotted).finditer(text):
        word, sign, right = match.groups()
        left = match.start() > 0 and text[match.start() - 1] != " "
        yield word or f"{_JOINER if left else ''}{sign}{'' if right is None else _JOINER}"


def _characters(text: str) -> Iterator[str]:
    return iter(text.replace(" ", _BLANK))


@cache
def _pattern(ascii_only: bool, dotted: bool) -> re.Pattern[str]:
    """A word, or a sign and whether a word follows it. Marks, and the invisible joiners, belong to their letters."""
    word = r"\w"
    if not ascii_only:
        marks = "".join(chr(i) for i in range(0x300, 0x20000) if unicodedata.category(chr(i)).startswith("M"))
        word += f"\u200c\u200d{marks}"
    more = rf"(?:\.(?=[^\W\d])[{word}]+)*" if dotted else ""
    return re.compile(f"([{word}]+{more})|([^ {word}])((?=[{word}]))?")


_CUTTERS: dict[str, Callable[[str], Iterator[str]]] = {
    "words": _words,
    "dotted": partial(_words, dotted=True),
    "characters": _characters,
}
