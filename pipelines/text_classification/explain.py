"""What a text classifier looked at: its gates, its attention, and the words that moved the answer. Without Keras."""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from pipelines.text_classification.classify import Inputs
from pipelines.text_classification.config import Config
from pipelines.text_classification.predict import NAME, Classifier
from toolkit.artifact import Artifact
from toolkit.capitals import capitals_of
from toolkit.data.files import ending
from toolkit.data.rows import TABLES
from toolkit.data.text import UNKNOWN, EncodedTexts, TextEncoder, spans_of
from toolkit.errors import DataError, SeqloomError
from toolkit.explanation import NO_GATES, Explanation, Vectors, fitting, read_network
from toolkit.gates import Direction, joined, trace_encoder

MOST_HIDDEN = 256  # words that are hidden, one after the other
ROWS = 64  # texts in one call of the graph
HIDING = (
    "Each bar is what hiding one word, which becomes the unknown word, takes from the probability. Blue: the answer"
    " rests on the word; orange: the word speaks against it."
)


def explain(folder: str | Path, text: str) -> Explanation:
    """Classify a text, look into the first network, and hide each word in turn.

    Raises:
        DataError: the text is blank.
        ArtifactError: the folder is damaged, unfinished or of another pipeline.
    """
    if not text.strip():
        raise DataError("this text is blank, so there is nothing to explain.", where="seqloom explain")
    classifier = Classifier(folder)
    encoder, policy = classifier.scorer.encoder, classifier.policy
    encoded, words = encoder.encode([text]), encoder.split(text) or ["(no word)"]
    logits, features = _hiding(classifier, text, encoded)
    probabilities, (chosen,) = policy.probabilities(logits), policy.decide(logits[:1], features)
    judged = chosen[0] if chosen else int(probabilities[0].argmax())
    named = [f"{policy.labels[i]} ({probabilities[0, i]:.2f})" for i in chosen or (judged,)]
    layers, attention = _look_inside(classifier, Path(folder), encoded)
    return Explanation(
        answer=", ".join(named) + "." if chosen else f"None of the labels; the nearest is {named[0]}.",
        steps=words,
        layers=layers,
        parts=words[:MOST_HIDDEN],
        effects=probabilities[0, judged] - probabilities[1:, judged],
        effect=f"fall of the probability of {policy.labels[judged]}",
        hiding=HIDING + " In a linear model beside the networks, it is left out." * bool(classifier.scorer.linear),
        attention=attention,
        notes=[*_notes(encoder, text, encoded.sequences[0]), *_notes_on(classifier, folder, bool(layers))],
    )


def encode(folder: str | Path, path: str, column: str | None = None) -> Vectors:
    """The pooled features of all networks: of each row of a table, each file of a folder, or each line of a file.
    Those of a blank text are zero.

    Raises:
        SeqloomError: the run folder cannot be used, or some input could not be read.
    """
    classifier = Classifier(folder)
    lines = not os.path.isdir(path) and ending(path) not in TABLES
    inputs = Inputs([path], lines=lines, column=classifier.column(column), encoding=None)
    items = list(inputs)
    if inputs.failures:
        raise SeqloomError("not all of it could be read.", where=path)
    if not items:
        raise DataError("there is no text in it.", where=path)
    logits, features = classifier.scorer.score([item.text for item in items])
    labels = classifier.policy.labels
    decided = zip(items, classifier.policy.decide(logits, features), strict=True)
    groups = [labels[ids[0]] if ids and item.text.strip() else "(none)" for item, ids in decided]
    written = np.array([bool(item.text.strip()) for item in items])
    features = np.where(written[:, None], features, 0)
    return Vectors([item.source for item in items], [item.text[:200] for item in items], features, groups)


def _notes(encoder: TextEncoder, text: str, ids: list[int]) -> list[str]:
    notes, limit = [], encoder.limit
    if len(encoder.split(text, limit=limit + 1)) > limit:
        notes.append(f"The text goes on: the run reads its first {limit:,} words (tokens.max_tokens).")
    if unknown := encoder.unknown(ids):
        notes.append(f"{unknown:,} of {len(ids):,} words are not in the vocabulary.")
    if len(ids) > MOST_HIDDEN:
        notes.append(f"Only the first {MOST_HIDDEN} words were hidden.")
    return notes


def _notes_on(classifier: Classifier, folder: str | Path, gates: bool) -> list[str]:
    """What else of the run a reader must know."""
    model, notes = Artifact(folder, NAME).read_config(Config).model, []
    if model.members > 1:
        notes.append(f"Inside is the first of {model.members} networks; the bars are of all of them.")
    if linear := classifier.scorer.linear:
        notes.append(f"A linear model, which reads all of a text, has {linear.weight:.0%} of the weight in the answer.")
    if model.segment and gates:
        notes.append(f"Read in pieces of {model.segment} words: no state goes from one into the next.")
    return notes if gates else [*notes, NO_GATES]


def _hiding(classifier: Classifier, text: str, encoded: EncodedTexts) -> tuple[np.ndarray, np.ndarray]:
    """Shapes: -> logits (1 + hidden, labels) of the text itself and with each word hidden; features (1, n) of itself"""
    scorer, ids = classifier.scorer, encoded.sequences[0]
    places = range(min(len(ids), MOST_HIDDEN))
    rows = EncodedTexts([ids, *([*ids[:i], UNKNOWN, *ids[i + 1 :]] for i in places)], encoded.unknown_words)
    blocks = np.split(np.arange(len(places) + 1), range(ROWS, len(places) + 1, ROWS))
    found = [scorer.runtime.run(scorer.encoder.inputs(rows, block), ["logits", "features"]) for block in blocks]
    logits = np.concatenate([each["logits"] for each in found])
    if scorer.linear:
        texts = [text, *islice(_without_each(scorer.encoder, text), len(places))]
        logits = scorer.linear.combine(scorer.linear.model.logits(texts), logits)
    return logits, found[0]["features"][:1]


def _without_each(encoder: TextEncoder, text: str) -> Iterator[str]:
    """The text without each of its words; for the sign of its capitals, with the word in lower case."""
    text = unicodedata.normalize("NFC", text)
    words = encoder.split(text, lowercase=False, capitals=False) or [""]
    signs = capitals_of(words) if encoder.capitals else [None] * len(words)
    for sign, span in zip(signs, spans_of(words, text), strict=True):
        if sign:
            yield text[: span.start] + text[span].lower() + text[span.stop :]
        yield text[: span.start] + text[span.stop :]


def _look_inside(
    classifier: Classifier, folder: Path, encoded: EncodedTexts
) -> tuple[list[Direction], np.ndarray | None]:
    """What the first network did with one text. Shapes: -> layers; attention (1, time), or None"""
    config, weights = read_network(Artifact(folder, NAME), Config)
    with fitting(folder):
        inputs = classifier.scorer.encoder.inputs(encoded, [0])
        tokens = inputs["tokens"][0, : inputs["lengths"][0]]
        words = _embed(weights, tokens, inputs.get("unknown_ngrams"))
        settings, size = config.encoder.model_dump(), config.model.segment or len(words)
        pieces = np.split(words, range(size, len(words), size))
        layers, states = joined([trace_encoder(weights, settings, piece) for piece in pieces])
        if "attention" not in config.model.pooling:
            return layers, None
        states = np.concatenate([states, words], axis=1) if config.model.word_skip else states
        hidden = np.tanh(states @ weights["pooling/projection/kernel"] + weights["pooling/projection/bias"])
        scores = (hidden @ weights["pooling/score/kernel"])[:, 0]
        attention = np.exp(scores - scores.max())
    return layers, (attention / attention.sum())[None]


def _embed(weights: Mapping[str, np.ndarray], tokens: np.ndarray, unknown_ngrams: np.ndarray | None) -> np.ndarray:
    """The vectors of words as `WordEmbedding` and `SubwordEmbedding` compose them. Shapes: (time,) -> (time, units)"""
    parts = [weights[name] for name in ("embedding/tuned", "embedding/fixed") if name in weights]
    table = np.concatenate(parts)
    vectors = np.where((tokens < len(table))[:, None], table[np.minimum(tokens, len(table) - 1)], 0.0)
    if unknown_ngrams is None:
        return vectors
    ngrams = np.concatenate([weights["subwords/ngrams"], unknown_ngrams])[tokens]
    real = (ngrams > 0)[:, :, None]
    composed = (weights["subwords/table"][ngrams] * real).sum(axis=1)
    return vectors + composed / np.sqrt(np.maximum(real.sum(axis=1), 1))
