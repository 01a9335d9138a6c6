"""Networks fitted to windows of series."""

import hashlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from pipelines.forecasting import model as models
from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan, make_inputs
from pipelines.forecasting.predict import NETWORK
from pipelines.forecasting.prepare import Prepared
from toolkit import config as configs
from toolkit.data import windows
from toolkit.data.windows import Cutoffs
from toolkit.errors import DataError, SeqloomError
from toolkit.training.checkpoints import Arrays
from toolkit.training.fit import Batch, Task
from toolkit.training.members import Fitted, Trained, fit_members, fit_network, refit_members
from toolkit.training.runs import in_precision, set_seed

STEPS = 40  # an epoch, roughly: with large batches a short series has so few that a network learns little
SMALLEST, LARGEST = 8, 64  # batches of them
LEAST_WINDOWS = 64  # for a network that is one of several forecasters; with fewer it is not tried
VALIDATED = 8_192  # validation windows that the epoch is chosen on
HEAVIEST = 20.0  # of a window that moves much more than its series does otherwise
HIDDEN = 0.05  # share of training windows that have a stretch hidden, so that gaps mean something

Networks = Fitted[models.Network, Cutoffs]


class Start(NamedTuple):
    """A run to train on from."""

    plan: Plan
    weights: Arrays  # as `named_weights` gives them
    learned: dict[str, int]  # by series name, the ordinal from which on it knows nothing


def fit_all(config: Config, prepared: Prepared, folder: Path, start: Start | None) -> Networks:
    """All members; after Ctrl-C those that there are. None where a companion alone is asked for, or where there is too
    little for `auto` to learn one from.

    Raises:
        DataError: a network alone is asked for, and no series is long enough to learn from.
    """
    if config.model.kind not in ("auto", NETWORK):
        return Fitted([])
    cutoffs = training_cutoffs(prepared, prepared.splits.training_ends)
    if config.model.kind == "auto" and len(cutoffs) < LEAST_WINDOWS:
        warnings.warn(f"{len(cutoffs)} windows to learn from are too few for a network; it is left out.", stacklevel=2)
        return Fitted([])

    def fit_one(member: int) -> Trained[models.Network]:
        return _fit(config, prepared, cutoffs, folder / f"member{member}", (member, start))

    return Fitted(fit_members(config.model.members, fit_one))


def refit_all(config: Config, prepared: Prepared, folder: Path, fitted: Networks, start: Start | None) -> Networks:
    """The same members, from the start, with the validation part and for the epochs that were best without it.

    After Ctrl-C those that were fitted before.
    """

    def fit_again(config: Config, cutoffs: Cutoffs, member: int) -> Trained[models.Network]:
        return _fit(config, prepared, cutoffs, folder / f"refit{member}", (member, start), choose=False)

    whole = partial(training_cutoffs, prepared, prepared.splits.test_starts)
    again = refit_members(config, fitted.members, whole, fit_again)
    return replace(fitted, again=again)


def begin_network(config: Config, prepared: Prepared, cutoffs: Cutoffs, member: int) -> tuple[models.Network, Task]:
    """A network from a seed of its own, and what it is to be fitted to.

    Raises:
        DataError: no series is long enough to learn from.
    """
    if not len(cutoffs):
        plan, room = prepared.plan, prepared.splits.training_ends - prepared.panel.offsets[:-1]
        raise DataError(
            f"no series is long enough to learn from: the longest has {int(room.max(initial=0)):,} training steps, and"
            f" a window takes {plan.segment:,} to read and {plan.horizon:,} to forecast.",
            mend="Give more history, or lower horizon or model.segment.",
        )
    set_seed(config.seed + member)
    with in_precision(config.training):
        network = models.build(config, prepared.plan)
    return network, _task(config, prepared, network, cutoffs, config.seed + member)


def training_cutoffs(prepared: Prepared, ends: np.ndarray) -> Cutoffs:
    """Every cutoff whose horizon ends before the given place.

    A window may reach back before its series began where the series is short, but there is at least a segment to read.
    """
    return windows.rolling(prepared.panel, _firsts(prepared, ends), ends, horizon=prepared.plan.horizon, step=1)


def batches_of(config: Config, prepared: Prepared) -> int:
    """Windows in a batch: so many as the config says, or as suit what there is before the validation part."""
    training, ends = config.training, prepared.splits.training_ends
    if training.batch_size:
        return training.batch_size
    counts = np.maximum(ends - prepared.plan.horizon - _firsts(prepared, ends) + 1, 0)
    seen = min(max(int(counts.sum()), 1), training.windows)
    return int(np.clip(2 ** round(math.log2(seen / STEPS)), SMALLEST, LARGEST))


def units_of(config: Config, prepared: Prepared) -> np.ndarray:
    """What an error of 1 is in each series. Shapes: -> (series,)"""
    return prepared.deviations if config.split.standardized else prepared.units


def _firsts(prepared: Prepared, ends: np.ndarray) -> np.ndarray:
    """The first cutoff of each series, where it is long enough. Shapes: (series,) -> (series,)"""
    plan, begins = prepared.plan, prepared.panel.offsets[:-1]
    room = ends - begins - plan.horizon
    return begins + np.where(room >= plan.history, plan.history, np.maximum(plan.segment, room // 2))


def _fit(
    config: Config,
    prepared: Prepared,
    cutoffs: Cutoffs,
    folder: Path,
    origin: tuple[int, Start | None],
    *,
    choose: bool = True,
) -> Trained[models.Network]:
    """Train one network, from a seed of its own or from the weights of a run."""
    member, start = origin
    network, task = begin_network(config, prepared, cutoffs, member)
    if start:
        _load(network, start.weights, member)
    return fit_network(network, task, config.training, folder, _fingerprint(config, prepared), choose=choose)


def _load(network: models.Network, weights: Arrays, member: int) -> None:
    for weight in network.weights:
        name = f"member{member}/{weight.path.partition('/')[2]}"
        if name not in weights or weights[name].shape != tuple(weight.shape):
            raise SeqloomError(f"the run to train on from has no weight {name} of shape {tuple(weight.shape)}.")
        weight.assign(weights[name])


def _task(config: Config, prepared: Prepared, network: models.Network, cutoffs: Cutoffs, seed: int) -> Task:
    training, size = config.training, batches_of(config, prepared)
    seen = min(len(cutoffs), training.windows)
    steps = max(seen // size, 1)
    units = units_of(config, prepared)

    def batches(epoch: int) -> Iterator[Batch]:
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(cutoffs))[:seen]
        for step in range(steps):  # what is left over has another shape; another epoch has it in a batch
            rows = cutoffs.take(order[step * size : (step + 1) * size])
            yield _batch(prepared, rows, units, partial(_hide, random))

    return Task(
        batches=batches,
        steps=steps,
        loss=models.loss_of(prepared.plan),
        evaluate=partial(_validate, prepared, network, prepared.splits.validation.sample(VALIDATED), units),
        average=training.average,
    )


def _batch(prepared: Prepared, cutoffs: Cutoffs, units: np.ndarray, hide: Any = None) -> Batch:
    """Inputs, targets (rows, horizon, 1), and weights (rows, horizon) that bring each error to the series' unit.

    The squares of a mean take weights twice, so these stand beside the targets too.
    """
    panel, plan = prepared.panel, prepared.plan
    inputs = make_inputs(plan, panel, cutoffs, prepared.sizes[cutoffs.series], hide)
    targets = inputs.targets(windows.ahead(panel, panel.values, cutoffs, plan.horizon))
    known = np.isfinite(targets)
    weights = np.minimum(inputs.unit / units[cutoffs.series][:, None], HEAVIEST) * known
    beside = [weights] if plan.point == "mean" else []
    targets = np.stack([np.where(known, targets, 0), *beside], axis=-1)
    return inputs.arrays, targets.astype(np.float32), weights.astype(np.float32)


def _hide(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """A stretch of up to a quarter in a few of the windows. Shapes: (rows, steps) -> booleans"""
    rows, steps = values.shape
    begin = random.integers(0, steps, (rows, 1))
    length = random.integers(1, max(steps // 4, 2), (rows, 1)) * (random.random((rows, 1)) < HIDDEN)
    position = np.arange(steps)
    return (position >= begin) & (position < begin + length)


def _validate(prepared: Prepared, network: models.Network, cutoffs: Cutoffs, units: np.ndarray) -> dict[str, float]:
    """Validation scores of the network as it is; `score` is the one that chooses."""
    losses, errors, weighed = 0.0, 0.0, 0.0
    for rows in windows.blocks(cutoffs):
        inputs, targets, weights = _batch(prepared, rows, units)
        outputs = network.predict_on_batch(inputs)
        loss = keras.ops.convert_to_numpy(models.loss_of(prepared.plan)(targets, outputs))
        error = np.abs(targets[:, :, 0] - outputs[:, :, prepared.plan.median])
        losses, errors = losses + float((loss * weights).sum()), errors + float((error * weights).sum())
        weighed += float((weights > 0).sum())
    return {"val_loss": losses / weighed, "val_mase": errors / weighed, "score": -losses / weighed}


def _fingerprint(config: Config, prepared: Prepared) -> str:
    """Of everything that weights depend on."""
    digest = hashlib.sha256((configs.dump(config) + repr(prepared.plan)).encode())
    splits, panel = prepared.splits, prepared.panel
    columns = (*panel.covariates.values(), *panel.statics.values())
    places = (panel.offsets, panel.starts, splits.training_ends, splits.test_starts)
    for array in (panel.values, *columns, *places):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
