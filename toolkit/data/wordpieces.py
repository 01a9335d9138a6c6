"""Pieces of words, learned from text and written as bytes, so that no text holds anything unknown: BPE and unigram."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import Model

# GPT-2's, but that marks such as Devanagari's vowel signs belong to their letters: it cuts such words at every one.
_WORDS = r"'(?:[sdmt]|ll|ve|re)(?![\p{L}\p{M}])| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^ \p{L}\p{M}\p{N}]+"
_LADDER = 0.03  # in steps of 0.0001 the trainer gives these scores, in no fixed order, to bytes that it never saw
_LARGEST = 1e6


@cache
def alphabet() -> tuple[str, ...]:
    """The 256 pieces of one byte each. Loading `tokenizers` takes a while, so only what needs it does."""
    from tokenizers.pre_tokenizers import ByteLevel

    return tuple(sorted(ByteLevel.alphabet()))


def learn_bpe(
    texts: Iterable[str], reserved: Sequence[str], *, size: int, min_count: int
) -> tuple[list[str], list[str]]:
    """At most `size` pieces, and the merges that make them, as "left right", in order.

    Pairs that occur once, or less than `min_count` times, are not merged: what is seen once is hardly learned.

    Reference: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1; on bytes: Radford et al. 2019 (GPT-2), section 2.2
    """
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    trainer = BpeTrainer(
        vocab_size=size,
        min_frequency=max(2, min_count),
        special_tokens=list(reserved),
        initial_alphabet=list(alphabet()),
        show_progress=False,
    )
    model = _learned(BPE(), trainer, texts)
    return sorted(model["vocab"], key=model["vocab"].__getitem__), [" ".join(pair) for pair in model["merges"]]


def learn_unigram(texts: Iterable[str], reserved: Sequence[str], *, size: int) -> tuple[list[str], list[float]]:
    """At most `size` pieces, the most likely first, and their log-probabilities (0 for the reserved ones).

    Reference: Kudo 2018, arXiv:1804.10959, section 3.2
    """
    from tokenizers.models import Unigram
    from tokenizers.trainers import UnigramTrainer

    trainer = UnigramTrainer(
        vocab_size=size,
        special_tokens=list(reserved),
        initial_alphabet=list(alphabet()),
        unk_token=reserved[1],
        show_progress=False,
    )
    scores = dict(_learned(Unigram(), trainer, texts)["vocab"])
    # The trainer sums in the order of its hashes. Without the differences which that makes, the same texts give the
    # same pieces in the same order.
    least = round(min(scores.values()), 6)
    scores = {piece: round(score, 6) for piece, score in scores.items()}
    scores |= {byte: least for byte in alphabet() if scores[byte] < least + _LADDER}
    learned = sorted((piece for piece in scores if piece not in reserved), key=lambda piece: (-scores[piece], piece))
    pieces = [*reserved, *learned]
    return pieces, [scores[piece] for piece in pieces]


def bpe_tokenizer(ids: Mapping[str, int], merges: Sequence[str]) -> "Tokenizer":
    """ValueError when the merges are not of these pieces, or a byte has none."""
    from tokenizers.models import BPE

    _require_alphabet(ids)
    pairs = [tuple(merge.split(" ")) for merge in merges]
    if not all(len(pair) == 2 and {*pair, "".join(pair)} <= ids.keys() for pair in pairs):
        raise ValueError("merges must be two pieces each that give a piece")
    return _tokenizer(BPE(vocab=dict(ids), merges=pairs))  # type: ignore[arg-type]


def unigram_tokenizer(ids: Mapping[str, int], scores: Sequence[float], unknown: int) -> "Tokenizer":
    """ValueError when there is not one finite score a piece, or a byte has none."""
    from tokenizers.models import Unigram

    _require_alphabet(ids)
    if len(scores) != len(ids) or not all(isinstance(each, float) and -_LARGEST < each <= 0 for each in scores):
        raise ValueError("scores must be one log-probability a piece")
    return _tokenizer(Unigram(list(zip(ids, scores, strict=True)), unknown, False))


def join_bytes(pieces: Sequence[str]) -> str:
    from tokenizers.decoders import ByteLevel

    return ByteLevel().decode(list(pieces))


def _require_alphabet(ids: Mapping[str, int]) -> None:
    if not ids.keys() >= set(alphabet()):
        raise ValueError("every byte must be a piece")


def _tokenizer(model: "Model") -> "Tokenizer":
    """Without the reserved pieces among its added tokens, with which a text that says </s> would end there."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = Sequence(  # type: ignore[assignment]
        [Split(Regex(_WORDS), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return tokenizer


def _learned(model: "Model", trainer: Any, texts: Iterable[str]) -> dict[str, Any]:
    tokenizer = _tokenizer(model)
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]
