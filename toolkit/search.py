"""Greedy and beam search over a `step` callable; the network behind it may be anything.

Arrays are laid out (sentences, beams, ...). A sentence that is done leaves the batch at once, for the network is where
the time goes; what remains is one sort a step for all sentences together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np

_Taken = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # a step's sentences (rows,), their tokens and weights
State = Any  # whatever the network carries; search never looks inside
LEAST_COVERAGE = 1e-20  # of a position that no step looked at: attention in float32 can be exactly 0


class Candidates(NamedTuple):
    """The k most probable next tokens of each beam, best first; fewer than were asked for where there are no more.

    Shapes: scores, natural logarithms of probabilities, and tokens (sentences, beams, k); weights (sentences, beams,
    source), the attention of this step, which is zero on padding
    """

    scores: np.ndarray
    tokens: np.ndarray
    state: State
    weights: np.ndarray | None


class Stepper(Protocol):
    """One step of a decoder. At the start there is one beam a sentence."""

    def step(self, tokens: np.ndarray, state: State, k: int) -> Candidates:
        """Read tokens (sentences, beams); the state of the candidates is the one after that."""

    def select(self, state: State, sentences: np.ndarray, beams: np.ndarray) -> State:
        """Keep the sentences (n,), and in each of them the beams (n, b) in this order, some perhaps repeatedly."""


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Args:
        beam: how many hypotheses of a sentence go on together.
        length_penalty, coverage_penalty: alpha and beta of `beam_search`, 0 or more; 0 is none.
        block_ngrams: no sequence of so many tokens comes twice in a hypothesis; 0 allows all.
        best: how many hypotheses of a sentence to return, at most `beam`.
    """

    beam: int
    length_penalty: float
    coverage_penalty: float
    block_ngrams: int
    best: int

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.beam:
            raise ValueError(f"best is {self.best}, expected 1 to the beam of {self.beam}")


class Hypothesis(NamedTuple):
    """A translation: its tokens without START and END, and the attention of each (target, source), where there is any.

    One that ran into the limit, or had nothing to go on with, is not finished: its log-probability is without END.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float
    weights: np.ndarray | None
    finished: bool


def length_penalty(length: Any, alpha: float) -> Any:
    """lp of `beam_search` for texts of so many tokens, END among them."""
    return ((5 + length) / 6) ** alpha


def greedy(
    stepper: Stepper, state: State, limits: np.ndarray, *, start: int, end: int, alpha: float = 0.0
) -> list[Hypothesis]:
    """The most probable next token, again and again, until it is END: with `alpha` 0 what a beam of 1 finds, cheaper.

    Args:
        alpha: of the length penalty, by which scores are divided.
        limits: the most tokens of each sentence (sentences,), END not counted.
    """
    taken: list[_Taken] = []
    totals, finished, lengths = np.zeros(len(limits)), np.zeros(len(limits), bool), np.zeros(len(limits), np.int64)
    rows, state = _begin(stepper, state, limits)
    tokens = np.full((len(rows), 1), start)
    while len(rows):
        candidates = stepper.step(tokens, state, 1)
        tokens, scores = candidates.tokens[:, :, 0], candidates.scores[:, 0, 0]
        possible = scores > -np.inf
        ends = tokens[:, 0] == end
        totals[rows] += np.where(possible, scores, 0)
        finished[rows] = possible & ends
        going = possible & ~ends
        lengths[rows[going]] += 1
        taken.append((rows, tokens[:, 0], candidates.weights))
        keep = np.flatnonzero(going & (limits[rows] > len(taken)))
        rows, tokens = rows[keep], tokens[keep]
        if len(keep):
            state = stepper.select(candidates.state, keep, np.zeros((len(keep), 1), np.int64))
    texts, looked = _written(taken, len(limits))
    scores = totals / length_penalty(lengths + finished, alpha)
    return [
        Hypothesis(tuple(text[:size].tolist()), score, total, None if seen is None else seen[:size].copy(), done)
        for text, seen, size, score, total, done in zip(
            texts, looked, lengths.tolist(), scores.tolist(), totals.tolist(), finished.tolist(), strict=True
        )
    ]


def _written(taken: Sequence[_Taken], sentences: int) -> tuple[np.ndarray, Sequence[np.ndarray | None]]:
    """Shapes: steps of rows, tokens (rows,) and weights (rows, 1, source) -> tokens (sentences, steps), and for each
    sentence that had a step weights (steps, source); zeros after its last step."""
    texts, looked = np.zeros((sentences, len(taken)), np.int64), None
    for step, (rows, tokens, weights) in enumerate(taken):
        texts[rows, step] = tokens
        if weights is not None:
            looked = np.zeros((*texts.shape, weights.shape[2]), weights.dtype) if looked is None else looked
            looked[rows, step] = weights[:, 0]
    attention: list[np.ndarray | None] = [None] * sentences
    if looked is not None:
        for row in taken[0][0]:
            attention[row] = looked[row]
    return texts, attention


def beam_search(
    stepper: Stepper,
    state: State,
    limits: np.ndarray,
    settings: SearchSettings,
    *,
    start: int,
    end: int,
    lengths: np.ndarray | None = None,
) -> list[list[Hypothesis]]:
    """Up to `best` hypotheses of each sentence: finished ones first, each kind by falling score, at least one of any.

        score(Y) = log P(Y) / lp(Y) + cp(Y)
        lp(Y)    = ((5 + |Y|) / 6) ** alpha, where |Y| counts END
        cp(Y)    = beta * sum over source positions s of log(min(sum over steps t of weights[t,s], 1))

    In each step the best 2 * beam candidates of a sentence are ranked by log P. Those among the first `beam` that are
    END are finished; the first `beam` that are not END go on. A sentence is done when the limit is reached, or when
    nothing that goes on can still come among the `best`: log P only falls, cp is at most 0, and lp is at most that of
    the limit. Once `beam` hypotheses are finished, only one that would be the best of all, were it to end now, goes on:
    short ones that are hardly probable finish early, and must not end the search for a long one that is.

    Args:
        limits: the most tokens of each sentence (sentences,), END not counted; with so many a hypothesis is closed.
        lengths: real source positions of each sentence (sentences,), for the coverage; None: all of them are.

    Raises: ValueError for a coverage penalty where the stepper gives no weights.

    Reference: Wu et al. 2016, arXiv:1609.08144, eq. 14; finishing as in Ott et al. 2019, arXiv:1904.01038
    """
    book = _Book(limits, settings, lengths)
    rows, state = _begin(stepper, state, limits)
    level = _Level(np.full((len(rows), 1), start), np.zeros((len(rows), 1)), np.zeros((len(rows), 1), np.int64))
    while len(rows):
        # Of each hypothesis no more tokens are blocked than it has n-grams; so 2 * beam are left.
        blocked = max(level.length + 1 - settings.block_ngrams, 0) if settings.block_ngrams else 0
        candidates = stepper.step(level.tokens, state, 2 * settings.beam + blocked)
        ranked = _rank(level, candidates, settings)
        ends = ranked.tokens == end
        book.add(rows, ranked, ends & (np.arange(ends.shape[1]) < settings.beam), finished=True)

        totals = np.where(ends, -np.inf, ranked.totals)
        columns = np.argsort(-totals, axis=1, kind="stable")[:, : settings.beam]
        onward = replace(ranked, totals=totals).take(np.arange(len(rows)), columns)
        last = limits[rows] == onward.length
        book.add(rows, onward, last[:, None], finished=False)
        if level.length:  # a prefix that nothing can follow is better than no answer
            stuck = ~(onward.totals > -np.inf).any(axis=1) & (book.counts[rows] == 0)
            book.add(rows, level, stuck[:, None], finished=False)

        keep = np.flatnonzero(~last & book.may_improve(rows, onward))
        if len(keep):
            state = stepper.select(candidates.state, keep, onward.parents[keep] % level.tokens.shape[1])
        rows, level = rows[keep], onward.take(keep, np.arange(columns.shape[1])[None])
    return book.results()


@dataclass(frozen=True)
class _Level:
    """Hypotheses of one length, linked to those that they came from, so that no step copies what is behind it.

    Shapes: tokens, totals (log P, -inf where there is none) and parents (sentences, places), where parents are
    positions in the flattened level before; weights of the step, and coverage, their sum over all steps until then
    (parents, source), for they are the same for all tokens that follow one parent
    """

    tokens: np.ndarray
    totals: np.ndarray
    parents: np.ndarray
    weights: np.ndarray | None = None
    coverage: np.ndarray | None = None
    previous: "_Level | None" = None
    length: int = 0

    def take(self, rows: np.ndarray, columns: np.ndarray) -> "_Level":
        """The columns (rows or 1, places) of the rows."""
        chosen = (rows[:, None], columns)
        return replace(self, tokens=self.tokens[chosen], totals=self.totals[chosen], parents=self.parents[chosen])

    def walk(self, nodes: np.ndarray) -> Iterator[tuple["_Level", np.ndarray]]:
        """Each level, from this one back to the first token, and where in it (nodes,) the hypotheses come through."""
        level = self
        while level.previous is not None:
            yield level, nodes
            nodes, level = level.parents.ravel()[nodes], level.previous

    def texts(self, nodes: np.ndarray) -> np.ndarray:
        """Tokens (nodes, length) of the hypotheses at these positions (nodes,) of the flattened level."""
        return np.stack([level.tokens.ravel()[places] for level, places in self.walk(nodes)][::-1], axis=1)

    def attention(self, nodes: np.ndarray) -> np.ndarray | None:
        """Weights (nodes, length, source) of the same."""
        pairs = [(level.weights, level.parents.ravel()[places]) for level, places in self.walk(nodes)]
        rows = [weights[parents] for weights, parents in reversed(pairs) if weights is not None]
        return np.stack(rows, axis=1) if rows else None


class _Book:
    """The hypotheses that are closed, and what a new one must beat."""

    def __init__(self, limits: np.ndarray, settings: SearchSettings, lengths: np.ndarray | None):
        self.limits, self.settings, self.lengths = limits, settings, lengths
        self.found: list[list[Hypothesis]] = [[] for _ in limits]
        self.counts = np.zeros(len(limits), np.int64)  # of finished ones
        self.standing = np.full((len(limits), settings.best), -np.inf)  # scores of the best finished ones

    def add(self, rows: np.ndarray, level: _Level, mask: np.ndarray, *, finished: bool) -> None:
        """Close the hypotheses of a level that are in the mask; `rows` are the numbers of its sentences."""
        places, columns = np.nonzero(mask & (level.totals > -np.inf))
        if not len(places):
            return
        nodes = places * level.tokens.shape[1] + columns
        scores = self.scores(rows[places], level, nodes)
        if finished:
            new = np.full(level.totals.shape, -np.inf)
            new[places, columns] = scores
            standing = np.concatenate([self.standing[rows], new], axis=1)
            self.standing[rows] = np.sort(standing, axis=1)[:, -self.settings.best :]
            np.add.at(self.counts, rows[places], 1)
        kept = level.length - finished  # without END
        totals, texts, attention = level.totals[places, columns], level.texts(nodes)[:, :kept], level.attention(nodes)
        for index, row in enumerate(rows[places]):
            weights = None if attention is None else attention[index, :kept]
            text, score, total = tuple(texts[index].tolist()), float(scores[index]), float(totals[index])
            self.found[row].append(Hypothesis(text, score, total, weights, finished))

    def scores(self, rows: np.ndarray, level: _Level, nodes: np.ndarray) -> np.ndarray:
        scores = level.totals.ravel()[nodes] / length_penalty(level.length, self.settings.length_penalty)
        if level.coverage is None:
            return scores
        logs = np.log(np.clip(level.coverage[level.parents.ravel()[nodes]], LEAST_COVERAGE, 1))
        if self.lengths is not None:
            logs = np.where(np.arange(logs.shape[1]) < self.lengths[rows][:, None], logs, 0)
        return scores + self.settings.coverage_penalty * logs.sum(axis=1)

    def may_improve(self, rows: np.ndarray, level: _Level) -> np.ndarray:
        """Whether anything of each sentence in the level may still come among the best."""
        best = level.totals.max(axis=1)
        alpha = self.settings.length_penalty
        now, ever = (best / length_penalty(length, alpha) for length in (level.length + 1, self.limits[rows]))
        few, standing = self.counts[rows] < self.settings.beam, self.standing[rows]
        return np.where(few, ever > standing[:, 0], now > standing[:, -1])

    def results(self) -> list[list[Hypothesis]]:
        nothing = Hypothesis((), 0.0, 0.0, None, False)
        ranked = (sorted(each, key=attrgetter("finished", "score"), reverse=True) for each in self.found)
        return [each[: self.settings.best] or [nothing] for each in ranked]


def _begin(stepper: Stepper, state: State, limits: np.ndarray) -> tuple[np.ndarray, State]:
    """The sentences that may have a token at all, and their state."""
    rows = np.flatnonzero(limits > 0)
    if 0 < len(rows) < len(limits):
        state = stepper.select(state, rows, np.zeros((len(rows), 1), np.int64))
    return rows, state


def _rank(level: _Level, candidates: Candidates, settings: SearchSettings) -> _Level:
    """The best 2 * beam candidates of each sentence, by falling log P; equal ones in the order of beams."""
    scores = level.totals[:, :, None] + candidates.scores
    if settings.block_ngrams:
        scores[_repeats(level, candidates.tokens, settings.block_ngrams)] = -np.inf
    sentences, beams, size = scores.shape
    scores, tokens = scores.reshape(sentences, -1), candidates.tokens.reshape(sentences, -1)
    chosen = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * settings.beam]
    rows = np.arange(sentences)[:, None]
    weights = coverage = None
    if candidates.weights is not None:
        weights = candidates.weights.reshape(sentences * beams, -1)
    if settings.coverage_penalty:
        if weights is None:
            raise ValueError("a coverage penalty needs the weights of attention, and this stepper gives none")
        coverage = weights if level.coverage is None else weights + level.coverage[level.parents.ravel()]
    parents = rows * beams + chosen // size
    previous = replace(level, coverage=None)  # nothing reads it again
    return _Level(tokens[rows, chosen], scores[rows, chosen], parents, weights, coverage, previous, level.length + 1)


def _repeats(level: _Level, tokens: np.ndarray, size: int) -> np.ndarray:
    """Whether each candidate (sentences, beams, k) would end a sequence of so many tokens that its text has already."""
    sentences, beams, _ = tokens.shape
    if level.length < size:
        return np.zeros(tokens.shape, bool)
    texts = level.texts(np.arange(sentences * beams)).reshape(sentences, beams, -1)
    grams = np.lib.stride_tricks.sliding_window_view(texts, size, axis=-1)
    begun = (grams[..., :-1] == texts[:, :, None, level.length - size + 1 :]).all(axis=-1)
    return (begun[..., None] & (grams[..., -1, None] == tokens[:, :, None])).any(axis=2)
