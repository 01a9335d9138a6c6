"""A linear model of words, pairs and pieces of words, alone and beside networks; predicting needs NumPy alone."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np

from toolkit.capitals import capitals_of
from toolkit.errors import expect, intact
from toolkit.evaluation import calibration
from toolkit.stored import from_json

MOST_TERMS = 300_000
LARGEST = 1_000_000  # number in a model
_TOGETHER = 64  # texts, which bounds the memory
PIECES = (2, 3, 4)  # letters and ends of a word
_LONGEST = 40  # letters of a word; what is longer is none
_WORDS = re.compile(r"\w+|[^\w\s]")
_ARRAYS = ("idf", "weights", "bias")
_OPTIONS = ("capitals", "strength", "pieces")


def text_terms(text: str, capitals: bool = False) -> list[str]:
    """The lower-case words and signs of a text, and the pairs of neighbours.

    With `capitals`, words that have some stand there once more as no more than that: "What is NASA?" gives <AA>,
    is <AA> and <AA> ? besides.
    """
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    if not capitals:
        words = _WORDS.findall(text.lower())
        return [*words, *map(" ".join, pairwise(words))]
    written = _WORDS.findall(text)
    words, signs = [word.lower() for word in written], capitals_of(written)
    kinds = [sign or word for sign, word in zip(signs, words, strict=True)]
    marked = [" ".join(kinds[i : i + 2]) for i in range(len(words) - 1) if signs[i] or signs[i + 1]]
    return [*words, *map(" ".join, pairwise(words)), *filter(None, signs), *marked]


def text_pieces(text: str) -> list[str]:
    """The pieces of a text's lower-case words, after a blank, which no word begins with, nor a pair of them.

    Words of few texts are mostly met once or never; "refunds" has most of its pieces in common with "refund".
    """
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return list(chain.from_iterable(map(_pieces, _WORDS.findall(text.lower()))))


@lru_cache(100_000)
def _pieces(word: str) -> tuple[str, ...]:
    whole = f"<{word[:_LONGEST]}>"
    return tuple(f" {whole[i : i + size]}" for size in PIECES for i in range(len(whole) - size + 1))


@dataclass(frozen=True)
class TfidfLogistic:
    """Logistic regressions on TF-IDF.

        value[t]  = idf[t] (1 + log count[t]),  divided by the length of all values together, pieces of words apart
        logits[k] = sum over t of value[t] weights[t,k] + bias[k]

    `capitals` is that of `text_terms`, `strength` what it was fitted with; `pieces`: it reads `text_pieces` too.

    Shapes: idf (terms,); weights (terms, labels); bias (labels,)

    Raises: ValueError when these contradict each other, so that every model there is can predict.
    """

    terms: tuple[str, ...]
    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    capitals: bool = False  # these three are what they were in runs that do not say
    strength: float = 10.0
    pieces: bool = False

    def __post_init__(self) -> None:
        expect(self.strength > 0, "strength must be a positive number")
        size, labels = len(self.terms), self.bias.size
        expect(0 < size <= MOST_TERMS, f"there must be 1 to {MOST_TERMS:,} terms")
        expect(len(self.rows) == size, "no two terms may be the same")
        for name, shape in zip(_ARRAYS, [(size,), (size, labels), (labels,)], strict=True):
            array = getattr(self, name)
            expect(array.shape == shape, f"{name} has the shape {array.shape}, expected {shape}")
            fits = array.dtype.kind == "f" and bool((np.abs(array) <= LARGEST).all())  # which NaN is not
            expect(fits, f"{name} must be numbers within {LARGEST:,}")
        expect(bool((self.idf >= 1).all()), "idf must be at least 1")

    @cached_property
    def rows(self) -> dict[str, int]:
        return {term: row for row, term in enumerate(self.terms)}

    @cached_property
    def _piece(self) -> np.ndarray:
        """Which terms are pieces of words (terms,)."""
        return np.array([term.startswith(" ") for term in self.terms])

    def _read(self, text: str) -> list[int]:
        """The terms of a text that are known."""
        terms = text_terms(text, self.capitals)
        terms += text_pieces(text) if self.pieces else []
        return [self.rows[term] for term in terms if term in self.rows]

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Log-odds of every label (texts, labels)."""
        outputs = np.tile(self.bias, (len(texts), 1))
        for start in range(0, len(texts), _TOGETHER):
            some = texts[start : start + _TOGETHER]
            found = list(map(self._read, some))
            rows = np.fromiter(chain.from_iterable(found), np.int64)
            texts_of = np.repeat(np.arange(len(some)), list(map(len, found)))
            pairs, counts = np.unique(texts_of * len(self.terms) + rows, return_counts=True)
            texts_of, rows = np.divmod(pairs, len(self.terms))
            values = self.idf[rows] * (1 + np.log(counts))
            parts = 2 * texts_of + self._piece[rows]
            values /= np.sqrt(np.bincount(parts, values**2))[parts]
            known, firsts = np.unique(texts_of, return_index=True)
            if len(known):
                outputs[start + known] += np.add.reduceat(values[:, None] * self.weights[rows], firsts)
        return outputs


@dataclass(frozen=True)
class LinearMember:
    """A linear model that is averaged with networks, both calibrated first.

        logits = (1 - weight) networks / temperatures[0] + weight linear / temperatures[1]

    For independent labels these are log-odds. For exclusive ones they are log-probabilities but for a number that all
    labels of a row share: it changes no probability, and it keeps what the energy of a row tells about its scope.

    Reference: Cheng et al. 2016, arXiv:1606.07792, where both parts are trained as one
    """

    model: TfidfLogistic
    weight: float
    temperatures: tuple[float, float]

    def __post_init__(self) -> None:
        expect(0 < self.weight < 1, "its weight must be between 0 and 1")
        expect(all(1e-6 <= each <= 1e6 for each in self.temperatures), "its temperatures must be two positive numbers")

    def combine(self, linear: np.ndarray, networks: np.ndarray) -> np.ndarray:
        """Logits of both from those of each, all (rows, labels)."""
        first, second = self.temperatures
        return (1 - self.weight) * networks / first + self.weight * linear / second

    def to_json(self) -> dict[str, Any]:
        """All but the arrays, ready for `json.dump`."""
        model = {"terms": list(self.model.terms), **{name: getattr(self.model, name) for name in _OPTIONS}}
        return {"weight": self.weight, "temperatures": list(self.temperatures), **model}

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self.model, name) for name in _ARRAYS}

    @classmethod
    def from_json(cls, data: Any, arrays: Mapping[str, np.ndarray], labels: int, where: str) -> Self:
        """The reverse of `to_json` and `arrays`; ArtifactError, with its place, for what those cannot have given."""
        with intact("the linear model is damaged", where):
            of_model = {name: value for name, value in data.items() if name in ("terms", *_OPTIONS)}
            model = from_json(TfidfLogistic, of_model, **arrays)
            expect(model.bias.shape == (labels,), f"bias has the shape {model.bias.shape}, expected ({labels},)")
            others = {name: value for name, value in data.items() if name not in of_model}
            member: Self = from_json(cls, others, model=model)
            return member


def fit_linear_member(
    model: TfidfLogistic,
    networks: np.ndarray,
    linear: np.ndarray,
    targets: np.ndarray,
    expected: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> LinearMember | None:
    """The member with the weight at which validation rows are most likely; None where that is no weight at all.

    Args:
        networks, linear: logits of validation rows (rows, labels).
        targets: ids (rows,), where rows out of scope are left out, or flags (rows, labels).
        expected: the shift (labels,) of each that `calibration.calibrate` is told. Both are weighed by what they say
            once it is undone; it is no part of the member, whose logits are calibrated as one.
    """
    calibrated, temperatures = list[np.ndarray](), list[float]()
    for logits, undone in zip((networks, linear), expected, strict=True):
        temperature, shift = calibration.calibrate(logits, targets, undone)
        calibrated.append(logits / temperature + np.array(shift or 0.0))
        temperatures.append(temperature)
    weight = calibration.fit_weight(calibrated[0], calibrated[1], targets)
    return LinearMember(model, weight, (temperatures[0], temperatures[1])) if weight else None
