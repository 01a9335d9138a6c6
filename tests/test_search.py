"""Search finds what exhaustive search finds, what a naive search finds, and the same whoever shares the batch."""

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.search import Candidates, Hypothesis, SearchSettings, beam_search, greedy

START, END = 0, 1
STATES = 101


class Toy:
    """A random language for each sentence: what comes next, and attention, depend on all tokens read so far.

    Shapes: scores (sentences, states, vocab); weights (sentences, states, source) or None
    """

    def __init__(self, scores: np.ndarray, weights: np.ndarray | None = None):
        self.scores, self.weights = scores, weights
        self.batches: list[int] = []

    @classmethod
    def random(cls, seed: int, *, sentences: int = 3, vocab: int = 6, source: int = 4, lengths: Any = None) -> "Toy":
        random = np.random.default_rng(seed)
        logits = random.normal(0, 1.5, (sentences, STATES, vocab))
        logits[..., START] = -np.inf
        weights = random.gamma(0.3, size=(sentences, STATES, source)) + 1e-3
        if lengths is not None:
            weights *= (np.arange(source) < np.asarray(lengths)[:, None])[:, None]
        return cls(log_softmax(logits), weights / weights.sum(axis=-1, keepdims=True))

    def state(self) -> Any:
        return np.arange(len(self.scores)), np.zeros((len(self.scores), 1), int)

    def step(self, tokens: np.ndarray, state: Any, k: int) -> Candidates:
        sentences, memory = state
        assert tokens.shape == memory.shape and len(sentences) == len(tokens) > 0
        self.batches.append(len(sentences))
        memory = read(memory, tokens)
        scores = self.scores[sentences[:, None], memory]
        best = np.argsort(-scores, axis=-1)[..., :k]
        weights = None if self.weights is None else self.weights[sentences[:, None], memory]
        return Candidates(np.take_along_axis(scores, best, -1), best, (sentences, memory), weights)

    def select(self, state: Any, sentences: np.ndarray, beams: np.ndarray) -> Any:
        names, memory = state
        return names[sentences], memory[sentences[:, None], beams]

    def greedy(self, limits: list[int]) -> list[Hypothesis]:
        return greedy(self, self.state(), np.array(limits), start=START, end=END)

    def beam(self, limits: list[int], lengths: Any = None, **settings: Any) -> list[list[Hypothesis]]:
        chosen = search_settings(**settings)
        return beam_search(self, self.state(), np.array(limits), chosen, start=START, end=END, lengths=lengths)

    def alone(self, sentence: int) -> "Toy":
        weights = None if self.weights is None else self.weights[sentence : sentence + 1]
        return Toy(self.scores[sentence : sentence + 1], weights)


def search_settings(
    beam: int = 4, alpha: float = 0.0, beta: float = 0.0, block: int = 0, best: int = 1
) -> SearchSettings:
    return SearchSettings(beam, alpha, beta, block, best)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def read(memory: Any, token: Any) -> Any:
    return (memory * 7 + token + 3) % STATES


def after(tokens: tuple[int, ...]) -> int:
    memory = 0
    for token in (START, *tokens):
        memory = read(memory, token)
    return memory


def judged(toy: Toy, sentence: int, tokens: tuple[int, ...], finished: bool, alpha: float, beta: float) -> Hypothesis:
    """A hypothesis as the definition has it, term by term."""
    said = (*tokens, END) if finished else tokens
    total = sum(float(toy.scores[sentence, after(said[:at]), token]) for at, token in enumerate(said))
    seen = [toy.weights[sentence, after(said[:at])] for at in range(len(said))]
    coverage = sum(math.log(min(sum(column), 1.0)) for column in zip(*seen, strict=True) if sum(column) > 0)
    score = total / ((5 + len(said)) / 6) ** alpha + beta * coverage
    return Hypothesis(tokens, score, total, np.array(seen)[: len(tokens)], finished)


def ordered(found: list[Hypothesis]) -> list[Hypothesis]:
    return sorted(found, key=lambda each: (not each.finished, -each.score))


def naive_beam_search(toy: Toy, sentence: int, limit: int, settings: SearchSettings) -> list[Hypothesis]:
    """One sentence, one token at a time, and never stopped before `beam` are finished, or while one that goes on is
    better than all of them."""
    beam, size = settings.beam, settings.block_ngrams
    live, found = [(0.0, ())], []
    judge = lambda tokens, finished: judged(  # noqa: E731
        toy, sentence, tokens, finished, settings.length_penalty, settings.coverage_penalty
    )
    for length in range(2, limit + 2):
        ranked = []
        for total, tokens in live:
            scores = toy.scores[sentence, after(tokens)]
            for token in np.argsort(-scores).tolist():
                grams = [(*tokens, token)[at : at + size] for at in range(len(tokens) + 2 - size)]
                if scores[token] > -np.inf and not (size and grams[-1:] and grams[-1] in grams[:-1]):
                    ranked.append((total + float(scores[token]), (*tokens, token)))
        ranked.sort(reverse=True)
        found += [judge(tokens[:-1], True) for _, tokens in ranked[:beam] if tokens[-1] == END]
        before, live = live, [each for each in ranked[: 2 * beam] if each[1][-1] != END][:beam]
        if not live and not found:
            return ordered([judge(tokens, False) for _, tokens in before])[: settings.best]
        best = max((each.score for each in found), default=-np.inf)
        leads = bool(live) and live[0][0] / ((5 + length) / 6) ** settings.length_penalty > best
        if not live or (len(found) >= beam and not leads):
            return ordered(found)[: settings.best]
    return ordered(found + [judge(tokens, False) for _, tokens in live])[: settings.best]


def assert_same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(each.tokens, each.finished) for each in found] == [(each.tokens, each.finished) for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score) and one.log_probability == pytest.approx(other.log_probability)
        np.testing.assert_allclose(one.weights, np.reshape(other.weights, one.weights.shape))


penalties = {"alpha": st.sampled_from([0.0, 0.6, 1.0, 2.0]), "beta": st.sampled_from([0.0, 0.2, 1.0])}


@given(seed=st.integers(0, 10**6), limits=st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_a_beam_of_one_equals_greedy(seed: int, limits: list[int]) -> None:
    toy = Toy.random(seed, sentences=len(limits))
    assert_same([best for (best,) in toy.beam(limits, beam=1)], toy.greedy(limits))


def test_greedy_takes_the_most_probable_token_until_the_end() -> None:
    toy = Toy.random(4, sentences=20)
    for sentence, found in enumerate(toy.greedy([6] * 20)):
        said = (*found.tokens, END) if found.finished else found.tokens
        assert [int(toy.scores[sentence, after(said[:at])].argmax()) for at in range(len(said))] == list(said)
        assert found.finished or len(found.tokens) == 6
        assert_same([found], [judged(toy, sentence, found.tokens, found.finished, 0, 0)])


def test_a_greedy_score_is_divided_by_the_length_penalty() -> None:
    toy, limits = Toy.random(4, sentences=20), np.array([6] * 20)
    for found in greedy(toy, toy.state(), limits, start=START, end=END, alpha=0.7):
        length = len(found.tokens) + found.finished
        assert found.score == pytest.approx(found.log_probability / ((5 + length) / 6) ** 0.7)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.6, 0.0), (2.0, 0.0), (0.0, 0.5), (1.0, 0.3)])
@pytest.mark.parametrize("best", [1, 5, 150])
def test_a_beam_wide_enough_equals_brute_force(alpha: float, beta: float, best: int) -> None:
    toy = Toy.random(7, vocab=5)
    found = toy.beam([4, 4, 2], beam=150, alpha=alpha, beta=beta, best=best)
    for sentence, limit in enumerate([4, 4, 2]):
        texts = [text for size in range(limit) for text in product(range(2, 5), repeat=size)]
        everything = [judged(toy, sentence, text, True, alpha, beta) for text in texts]
        everything += [judged(toy, sentence, text, False, alpha, beta) for text in product(range(2, 5), repeat=limit)]
        assert_same(found[sentence], ordered(everything)[:best])


@given(
    seed=st.integers(0, 10**6),
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    vocab=st.integers(3, 12),
    beam=st.integers(1, 6),
    block=st.integers(0, 3),
    best=st.integers(1, 6),
    **penalties,
)
def test_it_equals_a_naive_search(
    seed: int, limits: list[int], vocab: int, beam: int, block: int, best: int, alpha: float, beta: float
) -> None:
    toy, best = Toy.random(seed, sentences=len(limits), vocab=vocab), min(best, beam)
    settings = {"beam": beam, "alpha": alpha, "beta": beta, "block": block, "best": best}
    for sentence, found in enumerate(toy.beam(limits, **settings)):
        assert_same(found, naive_beam_search(toy, sentence, limits[sentence], search_settings(**settings)))


@given(
    seed=st.integers(0, 10**6), limits=st.lists(st.integers(0, 7), min_size=2, max_size=5), data=st.data(), **penalties
)
def test_neighbours_change_nothing_and_order_is_kept(
    seed: int, limits: list[int], data: st.DataObject, alpha: float, beta: float
) -> None:
    lengths = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(limits), max_size=len(limits))))
    toy = Toy.random(seed, sentences=len(limits), lengths=lengths)
    settings = {"beam": 3, "alpha": alpha, "beta": beta, "best": 2}
    together, quick = toy.beam(limits, lengths, **settings), toy.greedy(limits)
    for sentence, limit in enumerate(limits):
        alone = toy.alone(sentence)
        (expected,) = alone.beam([limit], lengths[[sentence]], **settings)
        (short,) = alone.greedy([limit])
        if limit:
            assert_same(together[sentence], expected)
            assert_same([quick[sentence]], [short])
        else:
            assert together[sentence] == expected == [quick[sentence]] == [short] == [((), 0.0, 0.0, None, False)]


def test_padding_of_the_source_never_counts_as_uncovered() -> None:
    toy = Toy.random(3, lengths=[2, 4, 1])
    padded = Toy(toy.scores, np.pad(toy.weights, ((0, 0), (0, 0), (0, 3))))
    settings = {"beta": 0.7, "best": 3}
    found, expected = (each.beam([6] * 3, np.array([2, 4, 1]), **settings) for each in (padded, toy))
    for one, other in zip(found, expected, strict=True):
        assert [each.tokens for each in one] == [each.tokens for each in other]
        assert [each.score for each in one] == pytest.approx([each.score for each in other])


def test_a_word_that_nothing_looked_at_costs_much_but_not_everything() -> None:
    toy = Toy.random(3)
    toy.weights[..., 0] = 0
    (best, *_), *_ = toy.beam([5] * 3, beta=0.1)
    assert -10 < best.score < best.log_probability


def test_coverage_prefers_the_hypothesis_that_looks_everywhere() -> None:
    scores = np.full((1, STATES, 4), -np.inf)
    weights = np.tile([1.0, 0.0], (1, STATES, 1))
    scores[0, after(()), [2, 3]] = np.log([0.6, 0.4])
    scores[0, [after((2,)), after((3,))], END] = 0
    weights[0, after((3,))] = [0.0, 1.0]
    toy = Toy(scores, weights)
    assert toy.beam([5])[0][0].tokens == (2,)
    assert toy.beam([5], beta=0.1)[0][0].tokens == (3,)


def test_a_length_penalty_prefers_longer_hypotheses() -> None:
    toy = Toy.random(5, sentences=50)
    lengths = [
        sum(len(best.tokens) for (best,) in toy.beam([12] * 50, beam=8, alpha=alpha)) for alpha in (0.0, 1.0, 3.0)
    ]
    assert lengths == sorted(set(lengths))


def test_a_short_hypothesis_never_hides_a_long_one_that_comes_to_score_higher() -> None:
    scores = np.full((1, STATES, 4), -np.inf)
    scores[0, after(()), [END, 2]] = np.log([0.55, 0.45])
    for size in range(1, 6):
        scores[0, after((2,) * size), END if size == 5 else 2] = 0
    toy = Toy(scores)
    assert [toy.beam([9], alpha=alpha)[0][0].tokens for alpha in (0.0, 1.0)] == [(), (2,) * 5]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_improbable_ones_that_finish_early_do_not_end_the_search_for_a_probable_long_one(alpha: float) -> None:
    scores = np.full((1, STATES, 4), -np.inf)
    for size in range(6):
        text = (2,) * size
        scores[0, after(text), [2, 3]] = np.log([0.9, 0.1])
        scores[0, after((*text, 3)), END] = 0
    scores[0, after((2,) * 6), END] = 0
    found = Toy(scores).beam([9], beam=2, best=2, alpha=alpha)[0]
    assert found[0].tokens == (2,) * 6


def circling() -> Toy:
    """Says 2 3 2 3 2 3 ... and would rather not end."""
    scores = np.full((1, STATES, 6), 0.01)
    for size in range(12):
        text = (2, 3) * 6
        scores[0, after(text[:size]), text[size]] = 1
    with np.errstate(divide="ignore"):
        return Toy(np.log(scores / scores.sum(axis=-1, keepdims=True)))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocking_never_says_an_ngram_twice_and_still_finds_a_sentence(size: int) -> None:
    for toy in (circling(), *(Toy.random(seed) for seed in range(10))):
        limits = [12] * len(toy.scores)
        for found in toy.beam(limits, block=size, best=4):
            assert found
            for each in found:
                grams = [each.tokens[at : at + size] for at in range(len(each.tokens) + 1 - size)]
                assert len(grams) == len(set(grams))


@pytest.mark.parametrize("beam", [1, 2])
def test_blocking_leaves_what_may_follow_however_many_tokens_are_blocked(beam: int) -> None:
    """The most probable token is always the first that was not written yet, END comes last of all."""
    logits = -np.arange(12.0) * 5
    logits[START], logits[END] = -np.inf, -90
    toy = Toy(np.broadcast_to(log_softmax(logits), (1, STATES, 12)))
    ((found,),) = toy.beam([30], beam=beam, block=1)
    assert found.finished and sorted(found.tokens) == list(range(2, 12))


def test_without_blocking_it_goes_round_in_circles() -> None:
    found = circling().beam([12], beam=1)[0][0]
    assert found.tokens == (2, 3) * 6 and not found.finished and found.weights is None


@given(seed=st.integers(0, 10**6), **penalties)
def test_the_best_are_sorted_and_distinct_and_asking_for_fewer_changes_none(
    seed: int, alpha: float, beta: float
) -> None:
    toy = Toy.random(seed)
    many = toy.beam([9] * 3, beam=6, best=6, alpha=alpha, beta=beta)
    for found, fewer in zip(many, toy.beam([9] * 3, beam=6, best=2, alpha=alpha, beta=beta), strict=True):
        assert len(found) == 6 and len({each.tokens for each in found}) == 6
        assert all((one.finished, one.score) >= (other.finished, other.score) for one, other in pairwise(found))
        assert_same(fewer, found[:2])


def test_attention_belongs_to_the_tokens_although_beams_change_places() -> None:
    toy = Toy.random(11, sentences=20, source=5)
    for sentence, found in enumerate(toy.beam([8] * 20, best=4)):
        for each in found:
            expected = [toy.weights[sentence, after(each.tokens[:at])] for at in range(len(each.tokens))]
            np.testing.assert_array_equal(each.weights, np.reshape(expected, (-1, 5)))


def ending_after(sizes: list[int]) -> Toy:
    """Sentences that say 2 so many times and end, almost surely, and can end nowhere else."""
    logits = np.zeros((len(sizes), STATES, 4))
    logits[..., [START, END]] = -np.inf
    for sentence, size in enumerate(sizes):
        for at in range(size + 1):
            logits[sentence, after((2,) * at), END if at == size else 2] = 20
    return Toy(log_softmax(logits))


def test_sentences_that_are_done_leave_the_batch() -> None:
    sizes = [3, 0, 1, 3]
    toy = ending_after(sizes)
    assert [len(each.tokens) for each in toy.greedy([20] * 4)] == sizes
    assert toy.batches == [4, 3, 2, 2]


def test_search_stops_as_soon_as_nothing_can_be_better() -> None:
    toy = ending_after([3, 0, 1, 3])
    assert [len(best.tokens) for (best,) in toy.beam([20] * 4, beam=5, alpha=1.0)] == [3, 0, 1, 3]
    assert toy.batches == [4, 3, 2, 2]


def test_a_sentence_at_its_limit_is_closed_and_leaves_the_batch() -> None:
    toy = ending_after([4] * 4)
    found = toy.beam([0, 2, 4, 5])
    assert [(best.tokens, best.finished) for (best,) in found[:2]] == [((), False), ((2, 2), False)]
    assert found[3][0].tokens == (2,) * 4 and found[3][0].finished
    assert toy.batches == [3, 3, 2, 2, 1]


@pytest.mark.parametrize("limits", [[], [0, 0]])
def test_nothing_to_say_asks_the_network_nothing(limits: list[int]) -> None:
    toy = Toy.random(0, sentences=len(limits))
    empty = Hypothesis((), 0.0, 0.0, None, False)
    assert toy.greedy(limits) == [empty] * len(limits)
    assert toy.beam(limits) == [[empty]] * len(limits)
    assert toy.batches == []


def test_impossible_tokens_are_never_said() -> None:
    scores = np.full((2, STATES, 6), -np.inf)
    scores[1, after(()), 2] = np.log(0.5)
    toy = Toy(scores)
    expected = [Hypothesis((), 0.0, 0.0, None, False), Hypothesis((2,), np.log(0.5), np.log(0.5), None, False)]
    assert toy.greedy([5, 5]) == expected
    assert toy.beam([5, 5], block=2, best=3) == [[each] for each in expected]


def test_what_is_finished_and_cannot_go_on_is_not_also_unfinished() -> None:
    scores = np.full((1, STATES, 4), -np.inf)
    scores[0, after(()), 2] = scores[0, after((2,)), END] = 0
    assert Toy(scores).beam([5], best=4) == [[Hypothesis((2,), 0.0, 0.0, None, True)]]


def test_a_network_that_gives_no_numbers_says_nothing() -> None:
    toy = Toy(np.full((1, STATES, 6), np.nan))
    assert [each.tokens for each in [*toy.greedy([5]), *toy.beam([5])[0]]] == [(), ()]


def test_a_finished_hypothesis_comes_before_a_more_probable_one_that_is_cut_off() -> None:
    scores = np.full((1, STATES, 4), -np.inf)
    scores[0, after(()), [END, 2]] = np.log([0.1, 0.9])
    scores[0, after((2,)), 3] = 0
    found = Toy(scores).beam([2], best=4)[0]
    assert [(each.tokens, each.finished) for each in found] == [((), True), ((2, 3), False)]
    assert found[0].score < found[1].score


def test_scores_in_single_precision_add_up_in_double() -> None:
    toy = Toy.random(2)
    narrow = Toy(toy.scores.astype(np.float32), toy.weights.astype(np.float32))
    for one, other in zip(narrow.beam([9] * 3, beta=0.2), toy.beam([9] * 3, beta=0.2), strict=True):
        assert one[0].tokens == other[0].tokens and one[0].score == pytest.approx(other[0].score, rel=1e-5)


def test_coverage_without_attention_is_refused() -> None:
    toy = Toy(Toy.random(0).scores)
    with pytest.raises(ValueError, match="coverage penalty needs the weights"):
        toy.beam([5] * 3, beta=0.2)


@pytest.mark.parametrize(("beam", "best"), [(2, 3), (0, 0), (3, 0)])
def test_more_hypotheses_than_beams_are_refused(beam: int, best: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to the beam"):
        search_settings(beam=beam, best=best)
