"""What a translator must beat where sentences resemble each other: the translation of the most similar one seen."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from toolkit.evaluation.linear import MOST_TERMS, text_terms

_BLOCK = 4_000_000  # similarities that are held at once, whatever the number of rows


@dataclass(frozen=True)
class _Index:
    """TF-IDF of texts, to find the one with the greatest cosine. Shapes: columns (terms, texts), sparse."""

    vectorizer: Any
    columns: Any

    @classmethod
    def fit(cls, texts: Sequence[str], terms: Callable[[str], list[str]]) -> Self:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True, max_features=MOST_TERMS)
        return cls(vectorizer, vectorizer.fit_transform(texts).T.tocsr())

    def nearest(self, texts: Sequence[str]) -> np.ndarray:
        """The place of the nearest text, the first of equals, or -1 where none has a term in common. Shape: (rows,)"""
        places = np.full(len(texts), -1)
        size = max(1, _BLOCK // self.columns.shape[1])
        for start in range(0, len(texts), size):
            cosines = (self.vectorizer.transform(texts[start : start + size]) @ self.columns).toarray()
            places[start : start + size] = np.where(cosines.any(axis=1), cosines.argmax(axis=1), -1)
        return places


@dataclass(frozen=True)
class NearestSentence:
    """Answers with the target of the training source that is most similar.

    Similar is the cosine of lower-case words, signs and pairs of them, weighted by TF-IDF; of character trigrams for a
    source without a known word; a source that shares none of those either gets the most frequent target.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    words: _Index

    @classmethod
    def fit(cls, sources: Sequence[str], targets: Sequence[str]) -> Self:
        if not sources or len(sources) != len(targets):
            counts = f"{len(sources):,} sources and {len(targets):,} targets"
            raise ValueError(f"There are {counts} to learn from; there must be one or more, and as many of both.")
        return cls(sources, targets, _Index.fit(sources, _words))

    @cached_property
    def characters(self) -> _Index:
        return _Index.fit(self.sources, _trigrams)  # as slow as the words, and rarely needed

    @cached_property
    def most_frequent(self) -> str:
        return Counter(self.targets).most_common(1)[0][0]

    def translate(self, sources: Sequence[str]) -> list[str]:
        """The answer to each source."""
        places = self.words.nearest(sources)
        unknown = np.flatnonzero(places < 0).tolist()
        if unknown:
            places[unknown] = self.characters.nearest([sources[i] for i in unknown])
        return [self.targets[place] if place >= 0 else self.most_frequent for place in places]


def _words(text: str) -> list[str]:
    return text_terms(text) or [""]  # a term of its own, for without any there is nothing to fit


def _trigrams(text: str) -> list[str]:
    text = f" {text.lower()} "
    return [text[i : i + 3] for i in range(max(1, len(text) - 2))]
