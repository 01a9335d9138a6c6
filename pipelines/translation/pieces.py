"""From texts to what the network reads, and from what it writes to texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple, Self

import numpy as np

from toolkit.data.codec import UNKNOWN, TextCodec
from toolkit.data.pair_batches import pad_rows
from toolkit.data.values import ColumnValues
from toolkit.errors import DataError

SLACK = 10  # pieces that any target may have
MOST = 10_000


class Source(NamedTuple):
    """A text to translate.

    Args:
        ids: of its pieces.
        pieces: as they are written.
        copies: where pieces may be copied, ids in the target's vocabulary, or beyond it, by their first place here.
        columns: where values of a database are known, the columns of each piece.
    """

    ids: list[int]
    pieces: list[str]
    copies: list[int]
    columns: list[list[int]]

    def cut(self, limit: int) -> "Source":
        """The first `limit` pieces."""
        return Source(*(part[:limit] for part in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class PairCodec:
    """Both sides of a translator.

    Args:
        copies: whether pieces of a source may be copied.
        limits: the most pieces of a source and of a target.
        growth: pieces of a target for each of the source, at most, beyond SLACK.
        values: of the database that the targets query. A value is one piece, whatever its words, and is read as its
            columns alone, so that what is learned of one value holds for all.
    """

    source: TextCodec
    target: TextCodec
    copies: bool
    limits: tuple[int, int]
    growth: float
    values: ColumnValues | None = None

    @property
    def target_size(self) -> int:
        return len(self.target.pieces)

    @property
    def sizes(self) -> dict[str, int]:
        """Of the tables of a network."""
        columns = len(self.values.columns) if self.values else 0
        return {"source_size": len(self.source.pieces), "target_size": self.target_size, "columns": columns}

    def read(self, texts: Sequence[str], limit: int | None = None) -> list[Source]:
        """Sources of at most `limit` pieces, all that a source may have unless given."""
        return [self._source(pieces) for pieces in self.source.split(texts, limit or self.limits[0])]

    def targets(self, sources: Sequence[Source], texts: Sequence[str], limit: int) -> list[list[int]]:
        """Ids of targets, those that can only be copied beyond the vocabulary."""
        if not self.copies:
            return self.target.encode(texts, limit)
        split = self.target.split(texts, limit)
        return [self._target(source, pieces) for source, pieces in zip(sources, split, strict=True)]

    def write(self, source: Source, tokens: Sequence[int]) -> list[str]:
        """The pieces that tokens stand for."""
        size = self.target_size
        return [self.target.pieces[token] if token < size else source.pieces[token - size] for token in tokens]

    def inputs(self, sources: Sequence[Source], rows: int, time: int) -> dict[str, np.ndarray]:
        """A batch of sources. Shapes: source, copies (rows, time); lengths (rows,); columns (rows, time, columns)."""
        ids, lengths = pad_rows([source.ids for source in sources], rows, time)
        inputs = {"source": ids, "lengths": lengths}
        if self.copies:
            inputs["copies"], _ = pad_rows([source.copies for source in sources], rows, time)
        if self.values:
            inputs["columns"] = np.zeros((rows, time, len(self.values.columns)), np.float32)
            for row, source in enumerate(sources):
                for place, columns in enumerate(source.columns):
                    inputs["columns"][row, place, columns] = 1
        return inputs

    def longest(self, lengths: np.ndarray) -> np.ndarray:
        """The most pieces to write for sources of so many, END among them."""
        return np.minimum(SLACK + np.ceil(self.growth * lengths), self.limits[1]).astype(np.int64) + 1

    def cut(self, text: str) -> list[str]:
        """A text in parts that can be read whole, cut where sentences end, or else between words."""
        if self._size(text) <= self.limits[0]:
            return [text]
        parts, size = [""], self.limits[0]
        for sentence in re.split(r"(?<=[.!?;。।])\s+", text):
            for word in [sentence] if self._size(sentence) <= size else sentence.split():
                if parts[-1] and self._size(f"{parts[-1]} {word}") > size:
                    parts.append("")
                parts[-1] = f"{parts[-1]} {word}".strip()
        return parts

    def _size(self, text: str) -> int:
        return len(self.source.split([text], self.limits[0] + 1)[0])

    def _source(self, pieces: list[str]) -> Source:
        columns: list[list[int]] = []
        if self.values:
            pieces, columns = self.values.group(pieces)
        ids = [self.source.ids.get(piece, UNKNOWN) for piece in pieces]
        ids = [UNKNOWN if found else known for known, found in zip_longest(ids, columns)]
        return Source(ids, pieces, self._copies(pieces) if self.copies else [], columns)

    def _copies(self, pieces: list[str]) -> list[int]:
        known, first = self.target.ids, dict[str, int]()
        for place, piece in enumerate(pieces):
            first.setdefault(piece, place)
        return [known.get(piece, self.target_size + first[piece]) for piece in pieces]

    def _target(self, source: Source, pieces: list[str]) -> list[int]:
        known, copied = self.target.ids, dict(zip(source.pieces, source.copies, strict=True))
        whole = [piece.split(" ") for piece in source.pieces if " " in piece]  # values of several words
        ids, place = [], 0
        while place < len(pieces):
            value = max(
                (words for words in whole if pieces[place : place + len(words)] == words), key=len, default=None
            )
            piece = " ".join(value) if value else pieces[place]
            ids.append(known.get(piece, copied.get(piece, UNKNOWN)))
            place += len(value) if value else 1
        return ids

    def to_json(self) -> dict[str, Any]:
        joint = self.source is self.target
        return {
            "source": self.source.to_json(),
            "target": None if joint else self.target.to_json(),
            "copies": self.copies,
            "limits": list(self.limits),
            "growth": self.growth,
            "values": self.values and self.values.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """The reverse of `to_json`.

        Raises:
            DataError: anything that it cannot have given.
        """
        try:
            limits, growth, copies = tuple(map(int, value["limits"])), float(value["growth"]), bool(value["copies"])
            if len(limits) != 2 or not all(1 <= limit <= MOST for limit in limits) or not 0 <= growth <= 2 * MOST:
                raise ValueError("its limits are beyond reason")
            source = TextCodec.from_json(value["source"], where)
            target = source if value["target"] is None else TextCodec.from_json(value["target"], where)
            values = value["values"] and ColumnValues.from_json(value["values"])
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            mend = "Copy the run folder again, or train again."
            raise DataError(f"these pieces are damaged: {error}.", where=where, mend=mend) from error
        return cls(source, target, copies, limits, growth, values)
