"""Words that come together often become one piece, those that can be copied never, and the text stays the same."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.merges import Merges, learn_merges, runs

some_words = st.lists(st.sampled_from("abcdef"), max_size=12)


def test_the_most_frequent_pair_is_merged_first_until_none_is_frequent_enough():
    counts = Counter({("a", "b", "c"): 3, ("a", "b"): 2, ("c", "d"): 2})
    merges = learn_merges(counts, min_count=3, most=10)
    assert merges.pairs == [("a", "b"), ("a b", "c")]
    assert merges.longest == 3
    assert merges.merge(["d", "a", "b", "c", "d"], apart=()) == ["d", "a b c", "d"]
    assert learn_merges(counts, min_count=3, most=1).pairs == [("a", "b")]
    assert learn_merges(counts, min_count=6, most=10).pairs == []


def test_a_pair_that_overlaps_itself_is_merged_from_the_left():
    merges = learn_merges(Counter({("a", "a", "a"): 5}), min_count=5, most=10)
    assert merges.merge(["a"] * 3, apart=()) == ["a a a"]
    assert Merges([("a", "a")]).merge(["a"] * 5, apart=()) == ["a a", "a a", "a"]


def test_words_that_can_be_copied_stay_apart():
    merges = Merges([("a", "b"), ("a b", "c")])
    assert merges.merge(["a", "b", "c"], apart={"b"}) == ["a", "b", "c"]
    assert merges.merge(["a", "b", "c", "a", "b"], apart={"c"}) == ["a b", "c", "a b"]
    assert runs(["a", "b", "c", "c"], {"c"}) == [("a", "b"), ("c",), ("c",)]


@given(texts=st.lists(some_words, max_size=8), text=some_words, apart=st.sets(st.sampled_from("abcdef")))
def test_pieces_are_the_words_and_learning_and_merging_agree(texts, text, apart):
    counts = Counter(run for each in texts for run in runs(each, apart))
    merges = learn_merges(counts, min_count=2, most=50)
    pieces = merges.merge(text, apart)
    assert " ".join(pieces).split() == text
    assert all(piece in apart for piece in pieces if set(piece.split()) & apart)
    assert Merges.from_json(merges.to_json()) == merges
    again = Counter(pair for run, n in counts.items() for pair in _neighbours(merges, run, apart) for _ in range(n))
    assert not again or max(again.values()) < 2


def _neighbours(merges, run, apart):
    pieces = merges.merge(run, apart)
    return list(pairwise(pieces))


@pytest.mark.parametrize("stored", [[["a"]], [["a", ""]], [["a", 1]], 5, [["a", "b", "c"]]])
def test_damaged_merges_are_refused(stored):
    with pytest.raises((TypeError, ValueError)):
        Merges.from_json(stored)
