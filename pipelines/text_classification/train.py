"""From a config to a sealed run folder."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.text_classification import model as models
from pipelines.text_classification.config import Config, DecisionConfig
from pipelines.text_classification.data import row_weights, soft_targets, targets
from pipelines.text_classification.evaluate import evaluate_run, fit_centroids, fit_linear, fit_policy, refit_linear
from pipelines.text_classification.predict import CENTROIDS, DECISION, LINEAR, LINEAR_ARRAYS, NAME, Scorer
from pipelines.text_classification.prepare import Prepared, learn, prepare
from toolkit import artifact
from toolkit import config as configs
from toolkit.data.batches import LENGTH_STEP, epoch_order
from toolkit.data.text import EncodedTexts
from toolkit.errors import SeqloomError
from toolkit.evaluation import classification, thresholds
from toolkit.training.fit import Batch, Task
from toolkit.training.members import Fitted, Trained, fit_members, fit_network, networks_of, refit_members
from toolkit.training.runs import finish, history_csv, in_precision, named_weights, set_seed

TOLERANCE = 1e-5  # between the exported graph and the Keras model


def train(config: Config, folder: Path, *, resume: bool) -> dict[str, Any]:
    """Train, export, decide, seal and evaluate; returns the report's numbers.

    Raises:
        SeqloomError: the folder holds a run already, or a step failed; what was on disk before is still there.
    """
    checkpoints = folder / "checkpoints"
    artifact.refuse_foreign(folder, resume)
    with artifact.locked(folder):
        prepared = prepare(config)
        members = fit_members(config.model.members, partial(_fit, config, prepared, folder=checkpoints))
        fitted = Fitted[models.TextClassifier, Prepared](members)
        if config.training.refit:
            learn_all = partial(learn, config, prepared.splits.joined())
            fit_again = partial(_fit, folder=checkpoints / "refit", choose=False)
            fitted = replace(fitted, again=refit_members(config, members, learn_all, fit_again))
        return finish(
            folder,
            NAME,
            _facts(config, prepared),
            write=lambda: _write(config, prepared, fitted, folder),
            score=lambda: evaluate_run(
                folder, prepared.splits, config, fitted.history, fitted.seconds, refitted=fitted.again is not None
            ),
        )


def _fit(
    config: Config, prepared: Prepared, member: int, *, folder: Path, choose: bool = True
) -> Trained[models.TextClassifier]:
    """Train one network; without `choose` there are no rows left to choose its epoch by."""
    network, task = begin(config, prepared, member)
    fingerprint = _fingerprint(config, prepared)
    return fit_network(network, task, config.training, folder / f"member{member}", fingerprint, choose=choose)


def begin(config: Config, prepared: Prepared, member: int = 0) -> tuple[models.TextClassifier, Task]:
    """A network from a seed of its own, and what it is to be fitted to."""
    set_seed(config.seed + member)
    with in_precision(config.training):
        network = models.build(
            config, prepared.encoder, table=prepared.table, tuned=prepared.tuned, labels=len(prepared.labels)
        )
    return network, _task(config, prepared, network, config.seed + member)


def _task(config: Config, prepared: Prepared, network: models.TextClassifier, seed: int) -> Task:
    training, later = config.training, config.vectors.training == "frozen_then_tuned"
    encoder, training_texts = prepared.encoder, prepared.encoder.encode(prepared.splits.train.texts)
    truth = targets(prepared.splits.train, prepared.labels)
    weights = row_weights(truth, len(prepared.labels)) if training.class_weights == "balanced" else None
    shortest = 1 if training.bucketing else int(training_texts.lengths.max())

    def batches(epoch: int) -> Iterator[Batch]:
        order = epoch_order(
            training_texts.lengths, batch_size=training.batch_size, seed=seed, epoch=epoch, bucketing=training.bucketing
        )
        for rows in order:
            wanted = soft_targets(truth[rows], len(prepared.labels))
            inputs = encoder.inputs(training_texts, rows, shortest, LENGTH_STEP)
            yield inputs, wanted, None if weights is None else weights[rows]

    return Task(
        batches=batches,
        steps=-(-len(truth) // training.batch_size),
        loss=models.loss(prepared.many, training.label_smoothing),
        evaluate=partial(_validate, config, prepared, network, encoder.encode(prepared.splits.validation.texts)),
        average=training.average,
        tuned_later=network.embedding if later else None,
        frozen_epochs=config.vectors.frozen_epochs,
    )


def _validate(
    config: Config, prepared: Prepared, network: models.TextClassifier, texts: EncodedTexts
) -> dict[str, float]:
    """Validation scores of the network as it is; `score` is the one that chooses."""
    truth = targets(prepared.splits.validation, prepared.labels)
    logits = models.logits([network], prepared.encoder, texts)
    if prepared.many:
        probabilities = 1 / (1 + np.exp(-logits))
        guess = probabilities >= thresholds.fit_thresholds_per_label(probabilities, truth)
        nll = (np.logaddexp(0, logits) - truth * logits).sum(axis=1).mean()
    else:
        truth, logits = truth[truth >= 0], logits[truth >= 0]
        nll = (np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(truth)), truth]).mean()
        guess, truth = (classification.as_flags(ids, logits.shape[1]) for ids in (logits.argmax(axis=1), truth))
    accuracy = classification.exact_match(truth, guess)
    macro_f1 = classification.label_scores(truth, guess).macro_f1
    score = {"accuracy": accuracy, "macro_f1": macro_f1, "loss": -float(nll)}[config.training.monitor]
    return {"val_accuracy": accuracy, "val_macro_f1": macro_f1, "val_loss": float(nll), "score": score}


def _write(config: Config, prepared: Prepared, fitted: Fitted[models.TextClassifier, Prepared], folder: Path) -> None:
    """The files that predict, once the graph is known to compute what the network does."""
    networks = networks_of(fitted.members)
    graph, scorer = _export(config, prepared, networks)
    if config.model.linear:
        scorer.linear = fit_linear(config, prepared.splits, prepared.labels, scorer)
    policy = fit_policy(config, prepared.splits, prepared.labels, scorer)
    if fitted.again:  # what was chosen stays
        prepared, networks, linear = fitted.again.prepared, fitted.networks, scorer.linear
        graph, scorer = _export(config, prepared, networks)
        scorer.linear = refit_linear(config, linear, prepared.splits, prepared.labels) if linear else None
        policy = replace(policy, centroids=fit_centroids(config.decision, prepared.splits, prepared.labels, scorer))
    artifact.write_text(folder / "config.yaml", configs.dump(config))
    artifact.write_bytes(folder / "model.onnx", graph)
    artifact.write_weights(folder / artifact.WEIGHTS, named_weights(networks))
    artifact.write_json(folder / "vocabulary.json", prepared.vocabulary)
    artifact.write_json(folder / DECISION, policy.to_json())
    artifact.write_text(folder / "history.csv", history_csv(fitted.history))
    for name in (CENTROIDS, LINEAR, LINEAR_ARRAYS):  # of a run that was killed while it wrote its report
        (folder / name).unlink(missing_ok=True)
    if scorer.linear:
        artifact.write_json(folder / LINEAR, scorer.linear.to_json())
        artifact.write_weights(folder / LINEAR_ARRAYS, scorer.linear.arrays())
    if policy.centroids is not None:
        buffer = io.BytesIO()
        np.save(buffer, policy.centroids, allow_pickle=False)
        artifact.write_bytes(folder / CENTROIDS, buffer.getvalue())


def _export(config: Config, prepared: Prepared, networks: list[models.TextClassifier]) -> tuple[bytes, Scorer]:
    """The networks' graph, and what scores with it."""
    graph = models.to_onnx(networks).SerializeToString()
    scorer = Scorer(graph, prepared.vocabulary)
    if config.training.mixed_precision == "none":
        _check_export(networks, scorer, prepared.splits.validation.texts)
    return graph, scorer


def _check_export(networks: list[models.TextClassifier], scorer: Scorer, texts: list[str]) -> None:
    """Compare what will predict with what was trained, on texts of all lengths."""
    exported, _ = scorer.score(texts)
    logits = models.logits(networks, scorer.encoder, scorer.encoder.encode(texts))
    difference = float(np.abs(exported - logits).max() / max(1.0, np.abs(logits).max()))
    if not difference <= TOLERANCE:
        raise SeqloomError(f"the exported graph differs from the network by {difference:.1e}, so it was not kept.")


def _fingerprint(config: Config, prepared: Prepared) -> str:
    """Of everything that the networks' weights depend on."""
    parts = (prepared.splits.train, prepared.splits.validation, prepared.vocabulary)
    model = config.model.model_copy(update={"linear": False})
    training = config.training.model_copy(update={"refit": False})
    fitted = config.model_copy(update={"decision": DecisionConfig(), "model": model, "training": training})
    digest = hashlib.sha256(configs.dump(fitted).encode())
    for part in parts:
        digest.update(repr(part).encode())
    digest.update(prepared.table.tobytes())
    return digest.hexdigest()


def _facts(config: Config, prepared: Prepared) -> dict[str, Any]:
    """What the manifest says beyond the files."""
    return {
        "text_column": config.data.text,
        "header": config.data.header,
        "data": {
            name: {"rows": len(examples), "sha256": hashlib.sha256(repr(examples).encode()).hexdigest()}
            for name, examples in vars(prepared.splits).items()
        },
    }
