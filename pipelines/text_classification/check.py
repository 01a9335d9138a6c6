"""What a config would do, told before training."""

from collections import Counter
from functools import partial
from itertools import chain

import numpy as np

from pipelines.text_classification import model as networks
from pipelines.text_classification.config import Config, Paths
from pipelines.text_classification.data import Examples, Splits, read_examples, shared_texts
from pipelines.text_classification.prepare import prepare
from toolkit.data.batches import LENGTH_STEP, epoch_order, padding_waste
from toolkit.data.text import TextEncoder, one_line
from toolkit.errors import try_all
from toolkit.stanzas import STATES_PER_WEIGHT
from toolkit.training.members import memory_told, steps_told


def check(config: Config) -> dict[str, str]:
    """Facts by name, in reading order.

    Raises:
        SeqloomError: with a line for each file that cannot be used, or for vectors that cannot.
    """
    _check_files(config)
    prepared = prepare(config)
    train = prepared.splits.train
    encoder = prepared.encoder
    lengths = encoder.encode(train.texts).lengths
    truncated = _truncated(train, encoder, lengths)
    network = networks.build(config, encoder, table=prepared.table, tuned=prepared.tuned, labels=len(prepared.labels))
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    batch, bucketing = config.training.batch_size, config.training.bucketing
    order = epoch_order(lengths, batch_size=batch, seed=config.seed, epoch=0, bucketing=bucketing)
    shortest = 1 if bucketing else int(lengths.max())
    padding = padding_waste(lengths, order, max(encoder.multiple, LENGTH_STEP), shortest)
    return {
        "rows": "  ".join(f"{name} {len(examples):,}" for name, examples in vars(prepared.splits).items()),
        "labels": _label_counts(train, prepared.labels),
        "shared texts": _shared(prepared.splits),
        "words read": f"median {int(np.median(lengths))}, longest {lengths.max()}",
        "truncated": f"{truncated:.1%} of the training texts are longer than tokens.max_tokens",
        "vocabulary": f"{len(encoder.ids):,} words, {prepared.tuned:,} of them from the training texts",
        "vectors": _coverage(prepared.coverage, config.vectors.training),
        "unknown words": f"{_unknown(prepared.splits.validation, encoder):.2%} of the words in the validation texts",
        "parameters": f"{config.model.members} x {network.count_params():,}, of which {trainable:,} train",
        "memory": memory_told(_floats(config, network.count_params(), trainable, lengths, batch)),
        "steps an epoch": f"{len(order):,} of {batch} rows, {steps_told(len(order), config.training)}",
        "padding": f"{padding:.1%} of the computed steps",
    }


def _check_files(config: Config) -> None:
    """Read every file, so that all that are broken are told at once."""
    sources: list[Paths | float] = [config.data.train, config.data.validation, config.data.test]
    files = [source for source in sources if not isinstance(source, float)]
    if len(files) > 1:  # prepare reads one by itself
        try_all(partial(read_examples, config.data, source) for source in files)


def _label_counts(examples: Examples, labels: tuple[str, ...]) -> str:
    counts = Counter(label for row in examples.labels for label in row)
    shown = ", ".join(f"{one_line(label, 40)} {count:,}" for label, count in counts.most_common(12))
    none = sum(not row for row in examples.labels)
    more = f", and {len(labels) - 12} more" if len(labels) > 12 else ""
    return f"{len(labels)}: {shown}{more}" + (f"; none of them {none:,}" if none else "")


def _shared(splits: Splits) -> str:
    validation = shared_texts(splits.train, splits.validation)
    test = shared_texts(splits.joined().train, splits.test)
    return f"{validation} of validation stand in train too, {test} of test in train or validation"


def _truncated(examples: Examples, encoder: TextEncoder, lengths: np.ndarray) -> float:
    full = (examples.texts[i] for i in np.flatnonzero(lengths >= encoder.limit))  # no other can be longer
    return sum(len(encoder.split(text, limit=encoder.limit + 1)) > encoder.limit for text in full) / len(examples)


def _coverage(coverage: dict | None, training: str) -> str:
    if coverage is None:
        stay = "random, and stay so (vectors.training: frozen without a vectors.source)"
        return stay if training == "frozen" else "random, learned from scratch"
    missing = ", ".join(coverage["missing"][:5])
    return f"for {coverage['types']:.1%} of the different training words, {coverage['tokens']:.1%} of all" + (
        f"; without: {missing}" if missing else ""
    )


def _unknown(examples: Examples, encoder: TextEncoder) -> float:
    words = list(chain.from_iterable(encoder.encode(examples.texts).sequences))
    return encoder.unknown(words) / len(words)


def _floats(config: Config, parameters: int, trainable: int, lengths: np.ndarray, batch: int) -> float:
    """Numbers that training keeps, roughly: weights with their optimizer state, and a long batch for its gradient."""
    time = int(np.percentile(lengths, 99))
    size = min(time, config.model.segment or time)
    activations = batch * config.encoder.floats_kept(size) * time / max(size, 1)
    return parameters + (STATES_PER_WEIGHT - 1) * trainable + activations
