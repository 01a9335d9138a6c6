"""From texts to what the network reads, and from what it writes to texts."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, NamedTuple, Self

import numpy as np

from toolkit.data.alphabet import Alphabet
from toolkit.data.codec import END, RESERVED, UNKNOWN, TextCodec
from toolkit.data.forms import FORMS, form_of
from toolkit.data.merges import Merges, Words, learn_merges, runs
from toolkit.data.pair_batches import pad_rows
from toolkit.data.sentences import join_sentences, split_clauses, split_sentences
from toolkit.data.values import ColumnValues
from toolkit.errors import expect, intact
from toolkit.stored import from_json, to_json

SLACK = 10  # pieces that any target may have
MOST = 10_000
_STRINGS = re.compile(r"""'[^']*'|"[^"]*\"""")  # of SQL


class Source(NamedTuple):
    """A text to translate.

    Args:
        ids: of its pieces.
        pieces: as they are written.
        copies: where pieces may be copied, ids in the target's vocabulary, or beyond it, by their first place here.
        columns: where values of a database are known, the columns of each piece; where forms are read, after them its
            form.
    """

    ids: list[int]
    pieces: list[str]
    copies: list[int]
    columns: list[list[int]]

    def cut(self, limit: int) -> "Source":
        """The first `limit` pieces."""
        return Source(*(part[:limit] for part in self))  # type: ignore[arg-type]


Encoding = tuple[Source, list[int]]  # a source, and the ids of its target


def _in_string(pieces: Sequence[str]) -> bool:
    """Whether a query has opened a string with a single quote and not closed it."""
    return "'" in _STRINGS.sub("", " ".join(pieces))


@dataclass(frozen=True)
class PairCodec:
    """Both sides of a translator.

    Args:
        copies: whether pieces of a source may be copied.
        limits: the most pieces of a source and of a target.
        growth: pieces of a target for each of the source, at most, beyond SLACK.
        values: of the database that the targets query. A value is one piece, whatever its words, and is read as its
            columns alone, so that what is learned of one value holds for all.
        forms: whether the form of each piece is read besides which it is.
        merges: of the target's words, but for those that its source has too, which can then be copied.
        capitals: whether what is copied has its capitals, where a source is read in lower case.
        alphabet, sentences: of the sources to learn from, and how many of these nearly all of them have at most.
    """

    source: TextCodec
    target: TextCodec
    copies: bool
    limits: tuple[int, int]
    growth: float
    values: ColumnValues | None = None
    forms: bool = False
    merges: Merges = field(default_factory=lambda: Merges([]))
    capitals: bool = False
    alphabet: Alphabet = field(default_factory=Alphabet)
    sentences: int = MOST

    @property
    def target_size(self) -> int:
        return len(self.target.pieces)

    @property
    def sizes(self) -> dict[str, int]:
        """Of the tables of a network."""
        return {"source_size": len(self.source.pieces), "target_size": self.target_size, "columns": self.columns}

    @property
    def columns(self) -> int:
        """What may be read of a piece besides which it is: columns of the database, then forms."""
        return (len(self.values.columns) if self.values else 0) + (len(FORMS) if self.forms else 0)

    def read(self, texts: Sequence[str], limit: int | None = None) -> list[Source]:
        """Sources of at most `limit` pieces, all that a source may have unless given."""
        limit = limit or self.limits[0]
        most, known = limit * self._longest_value, [self.alphabet.read(text) for text in texts]
        split = self.source.split(known, most, capitals=self.capitals)
        if not self.alphabet.capitals:
            split = [self._with_names(words, text) for words, text in zip(split, texts, strict=True)]
        return [self._source(words).cut(limit) for words in split]

    def targets(self, sources: Sequence[Source], texts: Sequence[str], limit: int) -> list[list[int]]:
        """Ids of targets, those that can only be copied beyond the vocabulary."""
        if not self.copies and not self.merges.pairs:
            return self.target.encode(texts, limit)
        split = self.target.split(texts, limit * max(self.merges.longest, self._longest_value))
        return [self._target(source, words)[:limit] for source, words in zip(sources, split, strict=True)]

    @property
    def _longest_value(self) -> int:
        """The most words of a piece that is a value."""
        return max(self.values.longest, 1) if self.values else 1

    def learn_merges(self, sources: Sequence[Source], texts: Sequence[str], min_count: int, size: int) -> Self:
        """The same where target words that come together so often are one piece, of at most `size` pieces in all."""
        counts = Counter[Words]()
        for source, words in zip(sources, self.target.split(texts, MOST), strict=True):
            counts.update(runs(self._whole_values(source, words), self._apart(source)))
        merges = learn_merges(counts, min_count=min_count, most=size - self.target_size)
        new = [piece for piece in merges.pieces if piece not in self.target.ids]
        return replace(self, target=replace(self.target, pieces=[*self.target.pieces, *new]), merges=merges)

    def concatenate(self, one: Encoding, other: Encoding) -> Encoding:
        """A source and its target before another source and its target, with END between the two."""
        pieces = [*one[0].pieces, RESERVED[END], *other[0].pieces]
        columns = [*one[0].columns, [], *other[0].columns] if self.columns else []
        copies = self._copies(pieces) if self.copies else []
        source = Source([*one[0].ids, END, *other[0].ids], pieces, copies, columns)
        places = dict(zip(pieces, copies, strict=False))
        first, second = (
            [token if token < self.target_size else places[part.pieces[token - self.target_size]] for token in target]
            for part, target in (one, other)
        )
        return source, [*first, END, *second]

    def write(self, source: Source, tokens: Sequence[int]) -> list[str]:
        """The pieces that tokens stand for."""
        size, pieces = self.target_size, list[str]()
        for token in tokens:
            piece = self.target.pieces[token] if token < size else source.pieces[token - size]
            value = token >= size and " " in piece and "'" in piece
            pieces.append(self._doubled(piece) if value and _in_string(pieces) else piece)
        return pieces

    def inputs(self, sources: Sequence[Source], rows: int, time: int) -> dict[str, np.ndarray]:
        """A batch of sources. Shapes: source, copies (rows, time); lengths (rows,); columns (rows, time, columns)."""
        ids, lengths = pad_rows([source.ids for source in sources], rows, time)
        inputs = {"source": ids, "lengths": lengths}
        if self.copies:
            inputs["copies"], _ = pad_rows([source.copies for source in sources], rows, time)
        if self.columns:
            inputs["columns"] = np.zeros((rows, time, self.columns), np.float32)
            for row, source in enumerate(sources):
                for place, columns in enumerate(source.columns):
                    inputs["columns"][row, place, columns] = 1
        return inputs

    def longest(self, lengths: np.ndarray) -> np.ndarray:
        """The most pieces to write for sources of so many, and one for END."""
        return np.minimum(SLACK + np.ceil(self.growth * lengths), self.limits[1]).astype(np.int64) + 1

    def cut(self, text: str) -> list[str]:
        """A text in parts: its sentences where they are more than nearly all sources to learn from have. What cannot be
        read whole is cut where sentences end, else between words, else inside them."""
        sentences = split_sentences(text)
        wholes = [text] if len(sentences) <= self.sentences else sentences
        return [part for whole in wholes for part in self._fit(whole)]

    def _fit(self, text: str) -> list[str]:
        if self._size(text) <= self.limits[0]:
            return [text]
        parts, size = [""], self.limits[0]
        for unit in self._units(text, (split_sentences, split_clauses, str.split)):
            if parts[-1] and self._size(join_sentences([parts[-1], unit])) > size:
                parts.append("")
            parts[-1] = join_sentences([parts[-1], unit]).strip()
        return parts

    def _units(self, text: str, cuts: Sequence[Callable[[str], list[str]]]) -> list[str]:
        """What can be read whole of a text, cut in the first of these ways, and where that does not do in the next."""
        if self._size(text) <= self.limits[0]:
            return [text]
        if not cuts:
            return self._halves(text)
        return [unit for part in cuts[0](text) for unit in self._units(part, cuts[1:])]

    def _halves(self, word: str) -> list[str]:
        if self._size(word) <= self.limits[0] or len(word) < 2:
            return [word]
        middle = len(word) // 2
        return [*self._halves(word[:middle]), *self._halves(word[middle:])]

    def _size(self, text: str) -> int:
        return len(self.source.split([self.alphabet.read(text)], self.limits[0] + 1)[0])

    def _with_names(self, words: list[str], text: str) -> list[str]:
        """Words that are unknown in lower case too, as they are typed: what can only be copied keeps its letters."""
        unknown = [word not in self.source.ids and word not in self.target.ids for word in words]
        if not any(unknown):
            return words
        (typed,) = self.source.split([self.alphabet.read(text, capitals=True)], len(words), capitals=True)
        if [*map(str.lower, typed)] != words:  # a long text is longer in lower case, and ends elsewhere
            return words
        return [each if new else word for new, each, word in zip(unknown, typed, words, strict=True)]

    def _source(self, pieces: list[str]) -> Source:
        columns: list[list[int]] = []
        if self.values:
            pieces, columns = self.values.group(pieces)
        ids = [self.source.id_of(piece) for piece in pieces]
        ids = [UNKNOWN if found else known for known, found in zip_longest(ids, columns)]
        if self.forms:
            first = self.columns - len(FORMS)
            forms = [[first + form_of(piece if self.alphabet.capitals else piece.lower())] for piece in pieces]
            columns = [[*found, *form] for found, form in zip(columns or [[]] * len(pieces), forms, strict=True)]
        return Source(ids, pieces, self._copies(pieces) if self.copies else [], columns)

    def _copies(self, pieces: list[str]) -> list[int]:
        known, first = self.target.ids, dict[str, int]()
        for place, piece in enumerate(pieces):
            first.setdefault(piece, place)
        return [known.get(piece, self.target_size + first[piece]) for piece in pieces]

    def _target(self, source: Source, words: list[str]) -> list[int]:
        known, copied = self.target.ids, dict(zip(source.pieces, source.copies, strict=False))  # none without copying
        pieces = self.merges.merge(self._whole_values(source, words), self._apart(source))
        return [known.get(piece, copied.get(piece, UNKNOWN)) for piece in pieces]

    def _apart(self, source: Source) -> set[str]:
        """Pieces of a target that are not merged with others, lest they could not be copied."""
        return set(source.pieces) if self.copies else set()

    def _whole_values(self, source: Source, words: list[str]) -> list[str]:
        """The words of a target with each value of several words that its source has as one of them."""
        values = [piece for piece in source.pieces if " " in piece] if self.copies else []
        if not values:
            return words
        plain = {tuple(value.split(" ")): value for value in values}
        quoted = {tuple(self._doubled(value).split(" ")): value for value in values}
        whole, place = list[str](), 0
        while place < len(words):
            here = quoted if quoted != plain and _in_string(words[:place]) else plain
            found = (value for value in here if tuple(words[place : place + len(value)]) == value)
            value = max(found, key=len, default=())
            whole.append(here[value] if value else words[place])
            place += len(value) or 1
        return whole

    def _doubled(self, value: str) -> str:
        """A value as it stands in a string of SQL between single quotes, which has each of the value's own twice."""
        if "'" not in value:
            return value
        return " ".join(self.target.split([self.target.join([value]).replace("'", "''")], MOST)[0])

    def to_json(self) -> dict[str, Any]:
        joint = self.source is self.target
        return {
            "source": to_json(self.source),
            "target": None if joint else to_json(self.target),
            "copies": self.copies,
            "limits": list(self.limits),
            "growth": self.growth,
            "values": to_json(self.values),
            "forms": self.forms,
            "merges": self.merges.to_json(),
            "capitals": self.capitals,
            "alphabet": to_json(self.alphabet),
            "sentences": self.sentences,
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """The reverse of `to_json`.

        Raises:
            ArtifactError: anything that it cannot have given.
        """
        with intact("these pieces are damaged", where):
            first, second = map(int, value["limits"])
            growth, copies = float(value["growth"]), bool(value["copies"])
            within = all(1 <= limit <= MOST for limit in (first, second)) and 0 <= growth <= 2 * MOST
            expect(within, "its limits are beyond reason")
            source = TextCodec.from_json(value["source"], where)
            target = source if value["target"] is None else TextCodec.from_json(value["target"], where)
            values = from_json(ColumnValues | None, value["values"])
            forms = bool(value.get("forms", False))
            merges, capitals = Merges.from_json(value.get("merges", [])), bool(value.get("capitals", False))
            alphabet = from_json(Alphabet, value.get("alphabet", {}))
            sentences = from_json(int, value.get("sentences", MOST))
            how = (values, forms, merges, capitals, alphabet, sentences)
            return cls(source, target, copies, (first, second), growth, *how)
