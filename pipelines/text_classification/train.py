"""From a config to a sealed run folder."""

import csv
import hashlib
import io
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.text_classification import model as models
from pipelines.text_classification.config import Config
from pipelines.text_classification.data import Splits, label_set, read_splits, shared_texts, targets
from pipelines.text_classification.evaluate import evaluate_run, fit_policy
from pipelines.text_classification.predict import NAME, Scorer
from toolkit import artifact
from toolkit import config as configs
from toolkit.data.batches import LENGTH_STEP, epoch_order
from toolkit.data.text import EncodedTexts, TextEncoder, count_words, split_words, vocabulary_words
from toolkit.data.vectors import WordVectors, build_matrix, coverage, load_vectors, train_vectors
from toolkit.errors import SeqloomError
from toolkit.evaluation import classification, decisions
from toolkit.training.checkpoints import Checkpoints, Progress
from toolkit.training.fit import Batch, StoppedError, Task, fit
from toolkit.training.watch import Watch

TOLERANCE = 1e-5  # between the exported graph and the Keras model


@dataclass(frozen=True)
class Prepared:
    """All that is learned from the data before a network is."""

    splits: Splits
    labels: tuple[str, ...]
    vocabulary: dict[str, Any]  # the arguments of a TextEncoder; training words first
    tuned: int  # how many words come from the training texts
    table: np.ndarray  # (words, units)
    coverage: dict[str, Any] | None  # how many words have a vector

    @property
    def many(self) -> bool:
        return self.splits.train.many

    @cached_property
    def encoder(self) -> TextEncoder:
        return TextEncoder(**self.vocabulary)


def prepare(config: Config) -> Prepared:
    """Read the data, choose the vocabulary and look up its vectors."""
    splits = read_splits(config.data, config.seed)
    for name, examples in (("validation", splits.validation), ("test", splits.test)):
        shared = shared_texts(splits.train, examples)
        if shared:
            warnings.warn(f"{shared} of {len(examples)} {name} texts stand in the training rows too.", stacklevel=2)
    tokens, seed = config.tokens, config.seed
    split = partial(split_words, lowercase=tokens.lowercase, punctuation=tokens.punctuation, limit=tokens.max_tokens)
    texts = [split(text) for text in splits.train.texts]
    counts = count_words(texts)
    words = vocabulary_words(counts, min_count=tokens.min_count, max_words=tokens.max_words)
    tuned = len(words)
    vectors = _vectors(config, texts)
    if vectors is None:
        table = np.random.default_rng(seed).normal(size=(len(words), config.vectors.units)).astype(np.float32)
    else:
        known = set(words)
        words += [word for word in vectors.words[: config.vectors.extra_words] if word not in known]
        table, _ = build_matrix(words, vectors, seed=seed)
        table /= table.std()  # so that dropout and learning rates mean the same for all vectors
    table[0] = 0
    covered = coverage(counts, vectors) if vectors else None
    vocabulary = {
        "words": words,
        "lowercase": tokens.lowercase,
        "punctuation": tokens.punctuation,
        "max_tokens": tokens.max_tokens,
        "multiple": config.model.segment or LENGTH_STEP,
        "buckets": config.vectors.ngram_buckets,
    }
    return Prepared(splits, label_set(splits.train), vocabulary, tuned, table.astype(np.float32), covered)


def train(config: Config, folder: Path, *, resume: bool) -> dict[str, Any]:
    """Train, export, decide, seal and evaluate; returns the report's numbers.

    Raises:
        SeqloomError: the folder holds a run already, or a step failed; what was on disk before is still there.
    """
    checkpoints = folder / "checkpoints"
    _refuse_foreign(folder, resume and checkpoints.is_dir(), resume)
    with artifact.locked(folder):
        prepared = prepare(config)
        (folder / artifact.MANIFEST).unlink(missing_ok=True)  # of a run that was killed while it wrote its report
        artifact.write_text(folder / "config.yaml", configs.dump(config))
        members = _fit_all(config, prepared, checkpoints)
        networks = [network for network, _ in members]
        history = [{"member": i, **row} for i, (_, progress) in enumerate(members, 1) for row in progress.history]
        _write(config, prepared, networks, history, folder)
        artifact.seal(folder, NAME, _facts(config, prepared))
        report = evaluate_run(
            folder, prepared.splits, config, history, sum(progress.seconds for _, progress in members)
        )
        artifact.seal(folder, NAME, _facts(config, prepared))
        shutil.rmtree(checkpoints, ignore_errors=True)
    return report


def _refuse_foreign(folder: Path, resumable: bool, resume: bool) -> None:
    """Raise unless the folder is new, empty, or that of a run to go on with."""
    if folder.exists() and not folder.is_dir():
        raise SeqloomError("this is a file, expected a folder.", where=str(folder), mend="Choose another --out.")
    if resumable or not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} - {".lock"}
    if artifact.MANIFEST in names:
        raise SeqloomError("this folder holds a finished run.", where=str(folder), mend="Choose another --out.")
    if resume and names - {"config.yaml"}:  # it stands there alone when a run is stopped in its first epoch
        raise SeqloomError("this folder holds no run to go on with.", where=str(folder), mend="Choose another --out.")
    if names and not resume:
        raise SeqloomError("this folder is not empty.", where=str(folder), mend="Choose another --out, or --resume.")


def _vectors(config: Config, texts: list[list[str]]) -> WordVectors | None:
    units, least = config.vectors.units, config.tokens.min_count
    match config.vectors.source:
        case None:
            return None
        case "word2vec" | "fasttext" as method:
            return train_vectors(texts, method=method, units=units, epochs=10, min_count=least, seed=config.seed)
        case source:
            return load_vectors(source)


def _fit_all(config: Config, prepared: Prepared, folder: Path) -> list[tuple[models.TextClassifier, Progress]]:
    """All members; after Ctrl-C those that there are."""
    members: list[tuple[models.TextClassifier, Progress]] = []
    for member in range(config.model.members):
        try:
            members.append(_fit(config, prepared, folder, member))
        except StoppedError:
            if not members:
                raise
            break
        if not members[-1][1].finished:
            break
    return members


def _fit(config: Config, prepared: Prepared, folder: Path, member: int) -> tuple[models.TextClassifier, Progress]:
    """Train one network, from a seed of its own."""
    keras.utils.set_random_seed(config.seed + member)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    half = config.training.mixed_precision
    keras.config.set_dtype_policy("float32" if half == "none" else f"mixed_{half}")
    network = models.build(
        config, prepared.encoder, table=prepared.table, tuned=prepared.tuned, labels=len(prepared.labels)
    )
    keras.config.set_dtype_policy("float32")
    task = _task(config, prepared, network, config.seed + member)
    checkpoints = Checkpoints(folder / f"member{member}")
    with Watch(config.training.epochs, task.steps) as watch:
        progress = fit(network, task, config.training, checkpoints, _fingerprint(config, prepared), watch)
    return network, progress


def _task(config: Config, prepared: Prepared, network: models.TextClassifier, seed: int) -> Task:
    training, later = config.training, config.vectors.training == "frozen_then_tuned"
    encoder, training_texts = prepared.encoder, prepared.encoder.encode(prepared.splits.train.texts)
    truth = targets(prepared.splits.train, prepared.labels)
    weights = _weights(truth, prepared) if training.class_weights == "balanced" else None
    shortest = 1 if training.bucketing else int(training_texts.lengths.max())

    def batches(epoch: int) -> Iterator[Batch]:
        order = epoch_order(
            training_texts.lengths,
            batch_size=training.batch_size,
            seed=seed,
            epoch=epoch,
            bucketing=training.bucketing,
        )
        for rows in order:
            wanted = _soft(truth[rows], len(prepared.labels))
            inputs = encoder.inputs(training_texts, rows, shortest)
            yield inputs, wanted, None if weights is None else weights[rows]

    return Task(
        batches=batches,
        steps=-(-len(truth) // training.batch_size),
        loss=models.loss(prepared.many, training.label_smoothing),
        evaluate=partial(_validate, config, prepared, network, encoder.encode(prepared.splits.validation.texts)),
        tuned_later=network.embedding if later else None,
        frozen_epochs=config.vectors.frozen_epochs,
    )


def _soft(truth: np.ndarray, labels: int) -> np.ndarray:
    """Targets of the loss. A text out of scope is equally likely everything (Hendrycks et al. 2019, eq. 1)."""
    if truth.ndim == 2:
        return truth.astype(np.float32)
    wanted = np.full((len(truth), labels), 1 / labels, np.float32)
    wanted[truth >= 0] = np.eye(labels, dtype=np.float32)[truth[truth >= 0]]
    return wanted


def _weights(truth: np.ndarray, prepared: Prepared) -> np.ndarray:
    """A weight a row, so that every label weighs the same in all. Shapes: -> (rows,), mean 1."""
    labels = len(prepared.labels)
    shares = _soft(truth, labels)
    weights = shares @ (1 / np.maximum(shares.sum(axis=0), 1))
    weights[weights == 0] = weights[weights > 0].min()
    return (weights / weights.mean()).astype(np.float32)


def _validate(
    config: Config,
    prepared: Prepared,
    network: models.TextClassifier,
    texts: EncodedTexts,
) -> dict[str, float]:
    """Validation scores of the network as it is; `score` is the one that chooses."""
    truth = targets(prepared.splits.validation, prepared.labels)
    logits = models.logits([network], prepared.encoder, texts)
    if prepared.many:
        probabilities = 1 / (1 + np.exp(-logits))
        guess = probabilities >= decisions.fit_thresholds_per_label(probabilities, truth)
        nll = (np.logaddexp(0, logits) - truth * logits).sum(axis=1).mean()
    else:
        truth, logits = truth[truth >= 0], logits[truth >= 0]
        nll = (np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(truth)), truth]).mean()
        guess, truth = (classification.as_flags(ids, logits.shape[1]) for ids in (logits.argmax(axis=1), truth))
    accuracy = classification.exact_match(truth, guess)
    macro_f1 = classification.label_scores(truth, guess).macro_f1
    score = {"accuracy": accuracy, "macro_f1": macro_f1, "loss": -float(nll)}[config.training.monitor]
    return {"val_accuracy": accuracy, "val_macro_f1": macro_f1, "val_loss": float(nll), "score": score}


def _write(
    config: Config,
    prepared: Prepared,
    networks: list[models.TextClassifier],
    history: list[dict[str, float]],
    folder: Path,
) -> None:
    """The files that predict, once the graph is known to compute what the network does."""
    graph = models.to_onnx(networks).SerializeToString()
    scorer = Scorer(graph, prepared.vocabulary)
    if config.training.mixed_precision == "none":
        _check_export(networks, scorer, prepared.splits.validation.texts)
    policy = fit_policy(config.decision, prepared.splits, prepared.labels, scorer)
    artifact.write_bytes(folder / "model.onnx", graph)
    artifact.write_weights(folder / "weights.safetensors", _named_weights(networks))
    artifact.write_json(folder / "vocabulary.json", prepared.vocabulary)
    artifact.write_json(folder / "decision.json", policy.to_json())
    artifact.write_text(folder / "history.csv", _history(history))
    if policy.centroids is not None:
        buffer = io.BytesIO()
        np.save(buffer, policy.centroids, allow_pickle=False)
        artifact.write_bytes(folder / "centroids.npy", buffer.getvalue())


def _check_export(networks: list[models.TextClassifier], scorer: Scorer, texts: list[str]) -> None:
    """Compare what will predict with what was trained, on texts of all lengths."""
    exported, _ = scorer.score(texts)
    logits = models.logits(networks, scorer.encoder, scorer.encoder.encode(texts))
    difference = float(np.abs(exported - logits).max() / max(1.0, np.abs(logits).max()))
    if not difference <= TOLERANCE:
        raise SeqloomError(f"the exported graph differs from the network by {difference:.1e}, so it was not kept.")


def _named_weights(networks: list[models.TextClassifier]) -> dict[str, np.ndarray]:
    weights = ((i, weight) for i, network in enumerate(networks) for weight in network.weights)
    return {f"member{i}/{weight.path.partition('/')[2]}": keras.ops.convert_to_numpy(weight) for i, weight in weights}


def _history(rows: list[dict[str, float]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _fingerprint(config: Config, prepared: Prepared) -> str:
    """Of everything that weights depend on."""
    parts = (prepared.splits.train, prepared.splits.validation, prepared.vocabulary)
    digest = hashlib.sha256(configs.dump(config).encode())
    for part in parts:
        digest.update(repr(part).encode())
    digest.update(prepared.table.tobytes())
    return digest.hexdigest()


def _facts(config: Config, prepared: Prepared) -> dict[str, Any]:
    """What the manifest says beyond the files."""
    return {
        "text_column": config.data.text,
        "versions": {name: version(name) for name in ("seqloom", "keras", "tensorflow", "numpy", "onnxruntime")},
        "data": {
            name: {"rows": len(examples), "sha256": hashlib.sha256(repr(examples).encode()).hexdigest()}
            for name, examples in vars(prepared.splits).items()
        },
    }
