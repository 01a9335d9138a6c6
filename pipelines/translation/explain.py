"""What a translator looked at: the gates of its encoder, its attention, and what hiding each piece changes."""

from pathlib import Path

import numpy as np

from pipelines.translation.config import Config
from pipelines.translation.pieces import Source
from pipelines.translation.predict import BATCH_ROWS, NAME, Searcher, Translator
from pipelines.translation.translate import Inputs, truncated_texts
from toolkit.artifact import Artifact
from toolkit.data.codec import END, START, UNKNOWN
from toolkit.errors import ConfigError, DataError, SeqloomError
from toolkit.explanation import NO_GATES, Explanation, Vectors, fitting, read_network
from toolkit.gates import Direction, trace_encoder

MOST_HIDDEN = 50  # pieces that are hidden, one after the other, and as many are drawn
HIDING = (
    "Each bar is what hiding one piece, which becomes the unknown piece and cannot be copied, takes from the mean"
    " probability of the pieces that were written. Blue: the translation rests on it; orange: it speaks against it."
)


def explain(folder: str | Path, text: str) -> Explanation:
    """Translate a text, look into the first network's encoder, and hide each piece of the source in turn.

    Raises:
        DataError: the text is blank.
        ArtifactError: the folder is damaged, unfinished or of another pipeline.
    """
    translator = Translator(folder)
    searcher, facts, codec = translator.searcher, translator.facts, translator.searcher.codec
    part = codec.cut(text)[0] if facts.split else text
    (source,) = codec.read([part])
    if not source.ids:
        raise DataError("there is nothing to translate in this text.", where="seqloom explain")
    (found,) = searcher.translate([part], translator.settings, replace_unknown=facts.replace_unknown)
    notes = []
    if UNKNOWN in source.ids:
        same = any(_without(source, place) == source for place in range(len(source.ids)))
        told = "; hiding one that cannot be copied changes nothing, so its bar says nothing" * same
        notes.append(f"{source.ids.count(UNKNOWN):,} of {len(source.ids):,} pieces are unknown{told}.")
    if codec.alphabet.loses(part):
        lacks = codec.alphabet.lacks or "such signs"
        notes.append(f"Some capitals or marks are not read: the sources of training have no {lacks}.")
    if found.truncated or part != text:
        told = f"The text goes on: this looks at its first {len(source.ids):,} pieces, which are read at once"
        notes.append(f"{told} (tokens.max_source, tokens.long_sources).")
    if len(source.ids) > MOST_HIDDEN:
        notes.append(f"Only the first {MOST_HIDDEN} pieces were hidden.")
    attention = found.weights if found.pieces else None
    if max(len(source.pieces), len(found.pieces)) > MOST_HIDDEN and attention is not None:
        notes.append(f"The attention is drawn for the first {MOST_HIDDEN} pieces of a side.")
    steps = [codec.source.shown(piece) for piece in source.pieces]
    layers = _layers(Path(folder), searcher, source)
    if len(members := searcher.ensemble.members) > 1:
        told = "the layers are of the first, " * bool(layers)
        told += "the attention is the mean of all, " * (attention is not None)
        notes.append(f"Of {len(members)} networks, {told}the bars are of all.")
    notes += [] if layers else [NO_GATES]
    (best,) = searcher.search([source], translator.settings)[0]
    written = [*best.tokens, END] if best.finished else list(best.tokens)
    return Explanation(
        answer=found.text or "Nothing was written.",
        steps=steps,
        layers=layers,
        parts=steps[:MOST_HIDDEN],
        effects=_effects(searcher, source, written),
        effect="fall of the mean probability of what was written",
        hiding=HIDING,
        attention=attention,
        written=[translator.shown(piece) for piece in found.pieces],
        notes=notes,
    )


def encode(folder: str | Path, path: str, column: str | None = None) -> Vectors:
    """The mean of the first network's encoder outputs over the pieces of each text: rows of a table, lines of a file.
    A blank text's is zero.

    Raises:
        ConfigError: the run has no attention, so its graph gives no such outputs.
        SeqloomError: the run folder cannot be used, or some input could not be read.
    """
    translator = Translator(folder)
    codec, encoder = translator.searcher.codec, translator.searcher.ensemble.members[0].encoder
    if "memory" not in encoder.outputs:
        mend = "Train with decoder.attention."
        raise ConfigError("this run has no attention, so its graph gives no vectors.", where=str(folder), mend=mend)
    inputs = Inputs([path], column=translator.column(column), encoding=None)
    items = list(inputs)
    if inputs.failures:
        raise SeqloomError("not all of it could be read.", where=path)
    limit = codec.limits[0]
    cut = truncated_texts(limit, "A run with a higher tokens.max_source reads more of a text.")
    sources = codec.read([item.text for item in items], limit + 1)
    for item, source in zip(items, sources, strict=True):
        if len(source.ids) > limit:
            cut.add(item.where)
    cut.tell()
    kept = [row for row, source in enumerate(sources) if source.ids]
    if not kept:
        raise DataError("there is no text in it.", where=path)
    vectors = np.zeros((len(items), int(encoder.outputs["memory"][-1])), np.float32)
    for start in range(0, len(kept), BATCH_ROWS):
        rows = kept[start : start + BATCH_ROWS]
        batch = [sources[row].cut(limit) for row in rows]
        arrays = codec.inputs(batch, len(batch), max(len(source.ids) for source in batch))
        memory = encoder.run({name: arrays[name] for name in encoder.inputs}, ["memory"])["memory"]
        vectors[rows] = memory.sum(axis=1) / arrays["lengths"][:, None]  # which is zero on padding
    texts = [item.text[:200] for item in items]
    return Vectors([item.where for item in items], texts, vectors, [""] * len(items))


def _effects(searcher: Searcher, source: Source, written: list[int]) -> np.ndarray:
    """How far the mean probability of what was written falls where each piece is hidden. Shapes: -> (hidden,)"""
    sources = [source, *(_without(source, place) for place in range(min(len(source.ids), MOST_HIDDEN)))]
    state = searcher.ensemble.start(searcher.codec.inputs(sources, len(sources), len(source.ids)))
    all_pieces, rows = searcher.codec.target_size + len(source.ids), np.arange(len(sources))
    before, total = START, np.zeros(len(sources))
    for token in written:
        found = searcher.ensemble.step(np.full((len(sources), 1), before), state, all_pieces)
        places = (found.tokens[:, 0] == token).argmax(axis=1)
        total += np.exp(found.scores[rows, 0, places])
        before, state = token, found.state
    return (total[0] - total[1:]) / max(len(written), 1)


def _without(source: Source, place: int) -> Source:
    """A source with one piece unknown, of no column and not to be copied."""
    ids, copies, columns = list(source.ids), list(source.copies), list(source.columns)
    ids[place] = UNKNOWN
    if copies:
        copies[place] = UNKNOWN
    if columns:
        columns[place] = []
    return Source(ids, source.pieces, copies, columns)


def _layers(folder: Path, searcher: Searcher, source: Source) -> list[Direction]:
    config, weights = read_network(Artifact(folder, NAME), Config)
    inputs = searcher.codec.inputs([source], 1, len(source.ids))
    with fitting(folder):
        table = "target_embedding" if config.model.tie == "all" else "source_embedding"
        pieces = weights[f"{table}/embeddings"][inputs["source"][0]]
        if "columns" in inputs:
            pieces = pieces + inputs["columns"][0] @ weights["columns/kernel"]
        return trace_encoder(weights, config.encoder.model_dump(), pieces)[0]
