"""The training loop."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from toolkit.errors import SeqloomError
from toolkit.stanzas import TrainingConfig
from toolkit.training.adam import Adam
from toolkit.training.checkpoints import Arrays, Checkpoints, Progress, restore_variables, variables_of
from toolkit.training.schedules import learning_rate
from toolkit.training.step import Parts, Step, training_step

Batch = tuple[Any, Any, Any]  # inputs, targets, sample weights
Watch = Callable[[Progress, int], None]


_whole = ContextVar("whole", default=False)


class StoppedError(SeqloomError):
    """Ctrl-C came before there was a model to keep."""

    exit_code = 130  # as after any other Ctrl-C


@contextmanager
def whole_trainings() -> Iterator[None]:
    """Inside, Ctrl-C ends more than a training: no model of fewer epochs is kept, only the checkpoint."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


@dataclass(frozen=True)
class Task:
    """What to fit.

    Args:
        batches: gives the batches of an epoch, the same ones each time it is asked for the same epoch.
        steps: batches in an epoch.
        loss: as Keras takes it, of targets and outputs.
        evaluate: scores of the model as it is, on validation data; `score` is the one to be as high as possible. None
            keeps the last epoch.
        tuned_later: a layer that stays frozen for the first `frozen_epochs`, and trains from then on.
        average: evaluate and keep the mean of the weights after this many epochs in a row, while training goes on from
            the last of them (Vaswani et al. 2017, arXiv:1706.03762, 6.1).
        compiled: the network in two parts, of which XLA compiles the second (see `training_step`); worth it for loops
            over time, when batches have few different shapes.
    """

    batches: Callable[[int], Iterable[Batch]]
    steps: int
    loss: Callable
    evaluate: Callable[[], dict[str, float]] | None
    tuned_later: keras.layers.Layer | None = None
    frozen_epochs: int = 0
    average: int = 1
    compiled: Parts | None = None


def fit(
    model: keras.Model, task: Task, config: TrainingConfig, checkpoints: Checkpoints, fingerprint: str, watch: Watch
) -> Progress:
    """Train until the epochs are used up or patience is, then give the model its best weights.

    A checkpoint is written after each epoch; where one with this `fingerprint` is found, training goes on from it and
    ends with the same weights as if it had never stopped. Ctrl-C ends training early with the best weights so far, but
    inside `whole_trainings`.

    Args:
        watch: is told the progress and the step after each step, and with step 0 after each epoch.

    Raises:
        SeqloomError: the loss or a validation score is not finite; or a checkpoint is not this training's; or, as
            StoppedError, Ctrl-C came before the first epoch was over.

    Returns: the progress; it is `finished` unless Ctrl-C ended it.
    """
    progress, best, recent = Progress(fingerprint), {}, []
    stored = checkpoints.load(fingerprint)
    if stored:
        progress, groups = stored
        best = groups["best"]
        recent = [groups[name] for name in sorted(groups) if name.startswith("recent")]
    moving = _moving(model, task)
    step = _new_step(model, task, config, max(progress.epoch - 1, 0))  # as in the epoch that the state was stored after
    if stored:
        restore_variables(model, groups["state"])
    try:
        while not _finished(progress, config):
            started = time.monotonic()
            if task.tuned_later and progress.epoch == task.frozen_epochs:
                step = _new_step(model, task, config, progress.epoch)
            loss = _epoch(model, task, config, progress, watch, step)
            weights = _weights(model)
            recent = [*recent, {name: weights[name] for name in moving}][-task.average :]
            kept = {**weights, **_mean(recent)}
            if len(recent) > 1:
                _set_weights(model, kept)
            scores = task.evaluate() if task.evaluate else {"score": progress.epoch + 1.0}
            if len(recent) > 1:
                _set_weights(model, weights)
            if not np.isfinite(list(scores.values())).all():
                raise SeqloomError(
                    f"a validation score of epoch {progress.epoch + 1} is not a number: {scores}.",
                    mend="Lower training.learning_rate or training.gradient_clip.",
                )
            progress.epoch += 1
            progress.seconds += time.monotonic() - started
            progress.history.append({"epoch": progress.epoch, "loss": loss, **scores})
            if _is_better(progress.history[-1], progress):
                progress.best_epoch, best = progress.epoch - 1, kept
            older = {f"recent{i:02d}": arrays for i, arrays in enumerate(recent)} if task.average > 1 else {}
            checkpoints.save(progress, {"state": variables_of(model), "best": best, **older})
            watch(progress, 0)
        progress.finished = True
    except KeyboardInterrupt:
        if _whole.get():
            raise
        if not best:
            raise StoppedError("stopped before the first epoch was over: there is no model yet.") from None
    _set_weights(model, best)
    return progress


def _is_better(epoch: dict[str, float], progress: Progress) -> bool:
    """Whether it is better than the best so far. Of equal scores, such as no exact match yet, the lower loss counts."""
    if epoch["score"] != progress.best_score:
        return epoch["score"] > progress.best_score
    return epoch.get("val_loss", 0.0) < progress.history[progress.best_epoch].get("val_loss", 0.0)


def _new_step(model: keras.Model, task: Task, config: TrainingConfig, epoch: int) -> Step:
    """A step with a fresh optimizer, over the layers that train in this epoch."""
    if task.tuned_later:
        task.tuned_later.trainable = epoch >= task.frozen_epochs
    optimizer = Adam(
        config.learning_rate,
        lazy=config.lazy_embeddings,
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.gradient_clip,
    )
    if config.mixed_precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return training_step(model, optimizer, task.loss, task.compiled)


def _epoch(
    model: keras.Model, task: Task, config: TrainingConfig, progress: Progress, watch: Watch, step: Step
) -> float:
    """One pass over the training data; returns the mean loss."""
    losses, started, total = [], time.monotonic(), config.epochs * task.steps
    for number, batch in enumerate(task.batches(progress.epoch)):
        done = progress.epoch * task.steps + number
        if config.seconds:
            spent = (progress.seconds + time.monotonic() - started) / config.seconds
            done = max(done, min(int(spent * total), total - 1))
        model.optimizer.learning_rate = learning_rate(
            done, peak=config.learning_rate, schedule=config.schedule, warmup=config.warmup, total=total
        )
        loss = step(*batch)
        losses.append(loss)
        if not np.isfinite(loss):
            raise SeqloomError(
                f"the loss became {loss} in epoch {progress.epoch + 1}.",
                mend="Lower training.learning_rate or training.gradient_clip.",
            )
        watch(progress, number + 1)
    return float(np.mean(losses))


def _finished(progress: Progress, config: TrainingConfig) -> bool:
    late = config.seconds is not None and progress.epoch > 0 and progress.seconds >= config.seconds
    return late or progress.epoch >= config.epochs or progress.waited >= config.patience


def _weights(model: keras.Model) -> Arrays:
    return {str(i): keras.ops.convert_to_numpy(weight) for i, weight in enumerate(model.weights)}


def _moving(model: keras.Model, task: Task) -> list[str]:
    """The keys in `_weights` of what training changes; a table of words known from a file alone stays as it is."""
    later = set(map(id, task.tuned_later.weights)) if task.tuned_later else set()
    return [str(i) for i, weight in enumerate(model.weights) if weight.trainable or id(weight) in later]


def _mean(recent: list[Arrays]) -> Arrays:
    """The mean of each array."""
    if len(recent) == 1:
        return recent[0]
    groups = {name: [weights[name] for weights in recent] for name in recent[0]}
    return {name: np.mean(arrays, axis=0).astype(arrays[0].dtype) for name, arrays in groups.items()}


def _set_weights(model: keras.Model, arrays: Arrays) -> None:
    for i, weight in enumerate(model.weights):
        weight.assign(arrays[str(i)])
