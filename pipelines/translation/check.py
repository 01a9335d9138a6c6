"""What a config would do, told before training."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np

from pipelines.translation import model as networks
from pipelines.translation.config import Config
from pipelines.translation.data import Splits, read_files
from pipelines.translation.pieces import PairCodec
from pipelines.translation.predict import NAME
from pipelines.translation.prepare import Prepared, prepare, word_vectors
from pipelines.translation.train import COMPILED_STEP, STEP
from toolkit.artifact import Artifact
from toolkit.data.alphabet import Alphabet
from toolkit.data.codec import UNKNOWN
from toolkit.data.pair_batches import Shape, padding_share, plan_batches
from toolkit.data.pairs import Grouped, shared_sources, suspicious
from toolkit.errors import try_all
from toolkit.evaluation.sql import Database
from toolkit.stanzas import FLOATS_PER_UNIT, STATES_PER_WEIGHT
from toolkit.training.members import memory_told, steps_told

FLOATS_PER_SCORE = 4  # kept for the backward pass, for each target piece and piece of the vocabulary


def check(config: Config) -> dict[str, str]:
    """Facts by name, in reading order.

    Raises:
        SeqloomError: with a line for each file, database or run that cannot be used.
    """
    _check_files(config)
    prepared = prepare(config)
    splits, codec = prepared.splits, prepared.codec
    network = networks.build(config, **codec.sizes)
    parameters = network.count_params()
    return {
        "pairs": f"train {len(splits.train):,}  validation {_pairs(splits.validation)}  test {_pairs(splits.test)}",
        **_oddities(config, splits),
        **_lengths(config, prepared),
        "vocabulary": _vocabulary(config, codec),
        "unknown pieces": _unknown(prepared),
        **_alphabet(codec.alphabet),
        "copying": _copying(prepared) if config.model.copy_words else "off",
        "parameters": f"{config.model.members} x {parameters:,}",
        **_steps(config, prepared, parameters),
    }


def _check_files(config: Config) -> None:
    """Open all that is named, so that all that is broken is told at once."""
    data = config.data
    tries: list[Callable[[], object]] = [
        partial(read_files, data, paths)
        for paths in (data.train, data.validation, data.test)
        if paths is not None and not isinstance(paths, float)
    ]
    tries += [partial(word_vectors, config, "source"), partial(word_vectors, config, "target")]
    tries += [partial(Artifact, folder, NAME) for folder in config.compare]
    if data.database:
        tries.append(partial(Database, data.database))
    try_all(tries)


def _pairs(grouped: Grouped) -> str:
    """How many, and how many sources have several references."""
    several = sum(len(references) > 1 for references in grouped.references)
    pairs = sum(map(len, grouped.references))
    return f"{pairs:,}" + (f" ({several:,} of {len(grouped.sources):,} sources have several)" if several else "")


def _oddities(config: Config, splits: Splits) -> dict[str, str]:
    seen, validation, test = splits.train.sources, splits.validation.sources, splits.test.sources
    shared = shared_sources(seen, validation), shared_sources([*seen, *validation], test)
    odd = config.data.train and suspicious(splits.train)  # pairs that were written here are as they should be
    facts = {
        "shared sources": "{} of validation stand in train too, {} of test in train or validation".format(*shared),
        "suspicious pairs": "in training there are; the notes name them" if odd else "none in training",
    }
    if config.data.database:
        with Database(config.data.database) as database:
            failing = database.failing(splits.test.references)
        why = f"; the first: {failing[0]}" if failing else ""
        facts["failing queries"] = (
            f"{len(failing):,} of {len(splits.test.references):,} test sources have no query that works{why}"
        )
    return facts


def _lengths(config: Config, prepared: Prepared) -> dict[str, str]:
    limit = config.tokens.max_source
    pairs = len(prepared.splits.train) - prepared.left_out  # after them stand concatenated ones, which nobody wrote
    sources, targets = (lengths[:pairs] for lengths in prepared.train.lengths)
    read = prepared.codec.read(prepared.splits.train.sources, limit + 1)
    longer = sum(len(source.ids) > limit for source in read) / len(read)
    return {
        "pieces a source": f"median {int(np.median(sources))}, longest {sources.max()}",
        "pieces a target": f"median {int(np.median(targets - 1))}, longest {targets.max() - 1}",
        "truncated": f"{longer:.1%} of the training sources are longer than tokens.max_source",
        "left out": f"{prepared.left_out:,} training pairs, whose targets are longer than tokens.max_target",
    }


def _vocabulary(config: Config, codec: PairCodec) -> str:
    if config.tokens.joint:
        return f"{codec.target_size:,} pieces for both sides"
    return f"{len(codec.source.pieces):,} pieces to read, {codec.target_size:,} to write"


def _unknown(prepared: Prepared) -> str:
    sources = _share_unknown(source.ids for source in prepared.validation.sources)
    return f"{sources:.2%} of the validation sources, {_share_unknown(prepared.validation.targets):.2%} of the targets"


def _alphabet(alphabet: Alphabet) -> dict[str, str]:
    told = f"no {alphabet.lacks}; what is translated is read without them too"
    return {"sources have": told} if alphabet.lacks else {}


def _share_unknown(rows: Iterator[Sequence[int]] | Sequence[Sequence[int]]) -> float:
    return float(np.mean(np.fromiter(chain.from_iterable(rows), int) == UNKNOWN))


def _copying(prepared: Prepared) -> str:
    """How much of what is to be written only stands in the source."""
    size, targets = prepared.codec.target_size, prepared.validation.targets
    needed = sum(any(token >= size for token in target) for target in targets) / len(targets)
    return f"{needed:.1%} of the validation targets have pieces that can only be copied"


def _steps(config: Config, prepared: Prepared, parameters: int) -> dict[str, str]:
    training, lengths = config.training, prepared.train.lengths
    multiple = COMPILED_STEP if training.compile else STEP
    plan = plan_batches(*lengths, tokens=training.batch_tokens, multiple=multiple, seed=config.seed, epoch=0)
    shapes = [shape for _, shape in plan]
    most = max(_activations(config, prepared.codec.target_size, shape) for shape in shapes)
    return {
        "memory": memory_told(STATES_PER_WEIGHT * parameters + most),
        "steps an epoch": f"{len(plan):,} of about {training.batch_tokens:,} target pieces,"
        f" {steps_told(len(plan), training)}",
        "batch shapes": f"{len(set(shapes)):,}",
        "padding": f"{padding_share(plan, *lengths):.1%} of the computed steps",
    }


def _activations(config: Config, vocabulary: int, shape: Shape) -> int:
    """Numbers that a batch keeps for its gradient, roughly."""
    encoder, decoder = config.encoder, config.decoder
    read = encoder.floats_kept(shape.source)
    written = shape.target * decoder.units * decoder.layers * FLOATS_PER_UNIT
    scored = shape.target * vocabulary * FLOATS_PER_SCORE
    attended = shape.target * shape.source * (decoder.units if decoder.attention == "bahdanau" else 4)
    return shape.rows * (read + written + scored + attended)
