"""Words that come together often as one piece, so that texts of fixed phrases, such as queries, are short."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Self

from toolkit.errors import expect

MOST_MERGES = 100_000

Words = tuple[str, ...]


@dataclass(frozen=True)
class Merges:
    """Byte-pair encoding whose bytes are words; the words of a piece have blanks between them.

    Args:
        pairs: of pieces that become one, those to be merged first at the front.

    Reference: Müller & Vlachos 2019, arXiv:1910.08962, section 3; Sennrich et al. 2016, arXiv:1508.07909, algorithm 1
    """

    pairs: list[tuple[str, str]]

    @cached_property
    def pieces(self) -> list[str]:
        """All that is merged, each piece once."""
        return list(dict.fromkeys(" ".join(pair) for pair in self.pairs))

    @cached_property
    def longest(self) -> int:
        """The most words of a piece."""
        return max((piece.count(" ") + 1 for piece in self.pieces), default=1)

    def merge(self, words: Sequence[str], apart: Collection[str]) -> list[str]:
        """The words as pieces; those in `apart` stay as they are, and nothing is merged across them."""
        pieces = list[str]()
        for run in runs(words, apart):
            pieces += run if run[0] in apart else self._merged(run)
        return pieces

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in reversed(list(enumerate(self.pairs)))}

    @cached_property
    def _merged(self) -> Any:
        return lru_cache(maxsize=10_000)(self._merge_run)

    def _merge_run(self, words: Words) -> Words:
        while len(words) > 1:
            pair = min(pairwise(words), key=lambda pair: self._ranks.get(pair, MOST_MERGES))
            if pair not in self._ranks:
                break
            words = _join(words, pair)
        return words

    def to_json(self) -> list[list[str]]:
        return [list(pair) for pair in self.pairs]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The reverse of `to_json`; ValueError or TypeError for what it cannot have given."""
        pairs = [(left, right) for left, right in value]
        words = all(isinstance(word, str) and word for pair in pairs for word in pair)
        expect(words and len(pairs) <= MOST_MERGES, "its merges are beyond reason")
        return cls(pairs)


def runs(words: Sequence[str], apart: Collection[str]) -> list[Words]:
    """The words, cut before and after each of those in `apart`."""
    found, run = list[Words](), list[str]()
    for word in words:
        if word not in apart:
            run.append(word)
            continue
        found += [tuple(run), (word,)] if run else [(word,)]
        run = []
    return [*found, tuple(run)] if run else found


def learn_merges(counts: Counter[Words], *, min_count: int, most: int) -> Merges:
    """Merge the most frequent pair of neighbours, again and again, while one occurs `min_count` times.

    Args:
        counts: how often each run of words occurs.
        most: no more merges than this.
    """
    texts, times = [*counts], [*counts.values()]
    places: dict[tuple[str, str], set[int]] = defaultdict(set)  # of each pair; some that have left their place
    totals = Counter[tuple[str, str]]()

    def count(place: int, sign: int) -> None:
        for pair in pairwise(texts[place]):
            totals[pair] += sign * times[place]
            places[pair].add(place)

    for place in range(len(texts)):
        count(place, 1)
    pairs = list[tuple[str, str]]()
    while totals and len(pairs) < min(most, MOST_MERGES):
        pair = max(totals, key=lambda pair: (totals[pair], pair))
        if totals[pair] < min_count:
            break
        pairs.append(pair)
        for place in sorted(places.pop(pair)):
            count(place, -1)
            texts[place] = _join(texts[place], pair)
            count(place, 1)
        del totals[pair]
    return Merges(pairs)


def _join(words: Words, pair: tuple[str, str]) -> Words:
    """The words with each such pair as one, from the left."""
    joined, place = list[str](), 0
    while place < len(words):
        size = 2 if words[place : place + 2] == pair else 1
        joined.append(" ".join(words[place : place + size]))
        place += size
    return tuple(joined)
