"""How near translations come to their references: BLEU, chrF and exact match, over all rows and by length.

All take hypotheses, one a row, and for every row one or more references, which may be more for some than for others.
All raise ValueError where there is no row, where a row has no reference, and where the two are not of one length.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

References = Sequence[Sequence[str]]

_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff]")  # Thai, Lao, Burmese, Khmer, kana


class Bleu(NamedTuple):
    score: float
    """From 0 to 100."""
    signature: str
    """How it was computed, as sacreBLEU writes it; only scores with the same signature compare."""


class LengthBin(NamedTuple):
    """The scores of the rows with a length from `low` to `high`, both included."""

    low: int
    high: int
    rows: int
    bleu: float
    exact_match: float


def bleu(
    hypotheses: Sequence[str],
    references: References,
    *,
    tokenize: str | None = None,
    effective_order: bool | None = None,
) -> Bleu:
    """Corpus BLEU of cased and detokenised text by sacreBLEU, which splits it into words itself.

    Args:
        tokenize: sacreBLEU's name of how; None goes by the letters of the references (`word_splitter`).
        effective_order: leave n-grams out that are longer than any text; None: where all references are (`are_short`).

    Reference: Papineni et al. 2002, section 2; Post 2018, arXiv:1804.08771
    """
    effective_order = are_short(references, tokenize) if effective_order is None else effective_order
    metric = _bleu_metric(hypotheses, references, tokenize, effective_order)
    score = metric.corpus_score(hypotheses, _streams(references)).score
    return Bleu(min(score, 100.0), str(metric.get_signature()))  # rounding takes a perfect one beyond 100


def bleu_evidence(hypotheses: Sequence[str], references: References) -> np.ndarray:
    """What `bleu_of` makes BLEU of, for each row: right and all n-grams of 1 to 4 words, and both lengths.

    Shapes: -> (rows, 10)
    """
    metric = _bleu_metric(hypotheses, references, None, effective_order=True)
    found = [metric.sentence_score(text, list(each)) for text, each in zip(hypotheses, references, strict=True)]
    return np.array([[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in found])


def bleu_of(sums: np.ndarray, *, effective_order: bool = False) -> np.ndarray:
    """Corpus BLEU of sums of `bleu_evidence`. Shapes: (..., 10) -> (...)."""
    from sacrebleu.metrics import BLEU

    score = partial(BLEU.compute_bleu, smooth_method="exp", effective_order=effective_order)
    scores = [
        score(row[:4].tolist(), row[4:8].tolist(), int(row[8]), int(row[9])).score for row in sums.reshape(-1, 10)
    ]
    return np.reshape(scores, sums.shape[:-1])


def are_short(references: References, tokenize: str | None = None) -> bool:
    """Whether no reference has four words, as in lists of names: without a 4-gram even perfect texts would have a BLEU
    of 0, and less than wrong ones that are longer."""
    words = _bleu_metric([""] * len(references), references, tokenize, effective_order=False).tokenizer
    return all(len(words(text).split()) < 4 for each in references for text in each)


def word_splitter(references: References) -> Literal["13a", "zh", "char"]:
    """sacreBLEU's name of how to split texts into words: zh where most letters are Chinese, char where they are of
    another language that writes no blanks between words (Japanese, Thai, Lao, Khmer, Burmese), else 13a."""
    text = "".join(each[0] for each in references)
    letters = sum(map(str.isalpha, text))
    others, chinese = len(_UNSPACED.findall(text)), len(_CHINESE.findall(text))
    if 2 * (chinese + others) <= letters:
        return "13a"
    return "zh" if 10 * others < chinese else "char"


def chrf(hypotheses: Sequence[str], references: References) -> float:
    """chrF2 of all rows, from 0 to 100: the F-score of character n-grams up to 6, recall weighing twice as much.

    Reference: Popović 2015, section 2
    """
    from sacrebleu.metrics import CHRF

    _require_rows(hypotheses, references)
    return CHRF().corpus_score(hypotheses, _streams(references)).score


def chrf_evidence(hypotheses: Sequence[str], references: References) -> np.ndarray:
    """What `chrf_of` makes chrF of, for each row: n-grams of the text, of its reference and of both, of 1 to 6 letters.

    Shapes: -> (rows, 18)
    """
    from sacrebleu.metrics import CHRF

    _require_rows(hypotheses, references)
    return np.array(CHRF()._extract_corpus_statistics(hypotheses, _streams(references)))


def chrf_of(sums: np.ndarray) -> np.ndarray:
    """chrF2 of sums of `chrf_evidence`. Shapes: (..., 18) -> (...)."""
    from sacrebleu.metrics import CHRF

    score = CHRF()._compute_f_score
    return np.reshape([score(row.tolist()) for row in sums.reshape(-1, sums.shape[-1])], sums.shape[:-1])


def sentence_chrf(hypotheses: Sequence[str], references: References) -> np.ndarray:
    """chrF2 of every row (rows,), to find the worst of them."""
    from sacrebleu.metrics import CHRF

    _require_rows(hypotheses, references)
    metric = CHRF()
    pairs = zip(hypotheses, references, strict=True)
    return np.array([metric.sentence_score(hypothesis, each).score for hypothesis, each in pairs])


def exact_match(hypotheses: Sequence[str], references: References) -> float:
    """The share of rows that equal one of their references."""
    return float(matches(hypotheses, references).mean())


def matches(hypotheses: Sequence[str], references: References) -> np.ndarray:
    """Which rows equal one of their references, however long the blanks between words are.

    Shapes: -> (rows,) of bool
    """
    _require_rows(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    return np.array([hypothesis.split() in [text.split() for text in each] for hypothesis, each in pairs])


def length_edges(lengths: Sequence[int] | np.ndarray, bins: int = 6) -> list[int]:
    """Edges between at most `bins` bins with about as many rows each: where each begins, and where the last has ended.

    Equal lengths are never parted, so there are fewer bins where many lengths are equal.
    """
    if not len(lengths):
        raise ValueError("Without a row there are no lengths to part into bins.")
    ordered = np.sort(lengths)
    begins = ordered[np.arange(bins) * len(ordered) // bins]
    return [*np.unique(begins).tolist(), int(ordered[-1]) + 1]


def scores_by_length(
    lengths: Sequence[int] | np.ndarray, hypotheses: Sequence[str], references: References, edges: Sequence[int]
) -> list[LengthBin]:
    """The scores of rows from each edge to just before the next; bins without a row are left out.

    Args:
        lengths: of each row, such as the number of words in its source.
        edges: distinct and ascending, as `length_edges` gives them; rows outside them are in no bin.
    """
    _require_rows(hypotheses, references)
    if len(lengths) != len(hypotheses):
        raise ValueError(f"There are {len(lengths):,} lengths for {len(hypotheses):,} rows; there must be one a row.")
    places = np.digitize(lengths, edges)
    found = []
    for place in range(1, len(edges)):
        rows = np.flatnonzero(places == place).tolist()
        if not rows:
            continue
        some, theirs = [hypotheses[i] for i in rows], [references[i] for i in rows]
        # A bin of texts under four words has no 4-gram; without the effective order even perfect ones would score 0.
        score = bleu(some, theirs, effective_order=True).score
        found.append(LengthBin(edges[place - 1], edges[place] - 1, len(rows), score, exact_match(some, theirs)))
    return found


def _bleu_metric(hypotheses: Sequence[str], references: References, tokenize: str | None, effective_order: bool) -> Any:
    from sacrebleu.metrics import BLEU

    _require_rows(hypotheses, references)
    # `force` only silences the log line about text that looks tokenised; it changes no score.
    return BLEU(tokenize=tokenize or word_splitter(references), effective_order=effective_order, force=True)


def _streams(references: References) -> list[list[Any]]:
    """All first references, all second ones, ...: sacreBLEU's order; None, which its types omit, is a missing one."""
    most = max(map(len, references))
    return [[each[i] if i < len(each) else None for each in references] for i in range(most)]


def _require_rows(hypotheses: Sequence[str], references: References) -> None:
    if not len(hypotheses):
        raise ValueError("Without a row there is nothing to score.")
    if len(hypotheses) != len(references):
        counts = f"{len(hypotheses):,} hypotheses and references for {len(references):,}"
        raise ValueError(f"There are {counts} rows; there must be as many.")
    for row, each in enumerate(references):
        if isinstance(each, str) or not each:  # a text would count as references of one character each
            raise ValueError(f"Row {row} has {each!r} for references; expected a list of one or more texts.")
