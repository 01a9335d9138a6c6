"""Columns of text as columns of 0 and 1, one a word."""

from collections.abc import Sequence

import numpy as np

from toolkit.data.numbers import is_missing
from toolkit.data.panel import Finding
from toolkit.data.tables import Words

MOST_WORDS = 20
_FLAGS = {"false": 0.0, "true": 1.0}


def one_hot(
    name: str, column: Words, known: Sequence[str] | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...], list[Finding]]:
    """`weather` as "weather=rain", "weather=sun", ... (rows,) float64 of 0 and 1, NaN where nothing was written.

    The most frequent words have a column, at most 20; a row of another word is 0 in all of them. "none" is one of the
    words: no promotion is not an unknown one. A column of true and false alone is one column of 1 and 0 and has no
    words.

    Args:
        known: the words of a trained model, none for true and false; None takes those of the column.

    Returns:
        columns by name, the words, and what was left out.
    """
    missing = np.array([is_missing(word) for word in column.words], bool)
    here = [word for word, gone in zip(column.words, missing, strict=True) if not gone]
    if all(word.lower() in _FLAGS for word in here) if known is None else not known:
        flags = np.array([_FLAGS.get(word.lower(), np.nan) for word in column.words])
        return {name: flags[column.codes]}, (), _left_out(name, [word for word in here if word.lower() not in _FLAGS])
    missing &= np.array([word.lower() != "none" for word in column.words], bool)
    here = [word for word, gone in zip(column.words, missing, strict=True) if not gone]
    counts = dict(zip(column.words, np.bincount(column.codes, minlength=len(missing)).tolist(), strict=True))
    chosen = tuple(known if known is not None else sorted(here, key=lambda word: (-counts[word], word))[:MOST_WORDS])
    columns = {}
    for word in chosen:
        flags = np.where(missing, np.nan, [float(each == word) for each in column.words])
        columns[f"{name}={word}"] = flags[column.codes]
    return columns, chosen, _left_out(name, sorted(set(here) - set(chosen)))


def _left_out(name: str, words: Sequence[str]) -> list[Finding]:
    if not words:
        return []
    told = f"words of column {name!r} that have no flag: {len(words)}, such as {words[0]!r}"
    return [Finding("categories", f"{told}; they count as none of those that have one.")]
