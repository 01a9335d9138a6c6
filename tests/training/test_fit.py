"""Training learns, stops when it should, and goes on after any stop as if there had been none."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from examples import BATCH, ROWS, frozen_then_tuned, tiny_config, tiny_data, tiny_network, tiny_task
from toolkit.errors import SeqloomError
from toolkit.kernels import in_xla
from toolkit.training.checkpoints import Checkpoints, Progress
from toolkit.training.fit import StoppedError, fit, whole_trainings
from toolkit.training.schedules import learning_rate
from toolkit.training.step import whole
from toolkit.training.watch import Watch

STEPS = ROWS // BATCH


def _nobody(progress, step):
    """Watches nothing."""


def _fit(folder, *, make_task=tiny_task, network=None, watch=_nobody, fingerprint="f", **settings):
    """Train a new tiny network, or go on where `folder` holds a checkpoint."""
    network = network or tiny_network()
    progress = fit(network, make_task(network), tiny_config(**settings), Checkpoints(folder), fingerprint, watch)
    return network, progress


def _scripted(scores):
    """A task whose validation gives these scores one after the other."""
    remaining = iter(scores)
    return lambda network: tiny_task(network, evaluate=lambda: {"score": next(remaining)})


def _assert_same_run(one, other):
    (network, progress), (other_network, other_progress) = one, other
    for weight, other_weight in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other_weight)
    assert progress.history == other_progress.history
    assert (progress.epoch, progress.best_epoch) == (other_progress.epoch, other_progress.best_epoch)


# Learning


def test_training_learns_a_line(tmp_path):
    network, progress = _fit(tmp_path, network=tiny_network(dropout=0.0), epochs=30)
    inputs, targets = tiny_data()
    error = np.mean((np.asarray(network(inputs)) - targets) ** 2)
    assert error < 0.1 * np.var(targets)
    assert error == pytest.approx(progress.history[progress.best_epoch]["val_loss"])
    assert progress.finished
    assert [row["epoch"] for row in progress.history] == list(range(1, 31))


def test_the_rate_of_each_step_is_that_of_the_schedule(tmp_path):
    network, seen = tiny_network(), []

    def watch(progress, step):
        if step:
            seen.append(float(network.optimizer.learning_rate.numpy()))

    _fit(tmp_path, network=network, watch=watch, epochs=3)
    expected = [
        learning_rate(step, peak=0.05, schedule="cosine", warmup=0.2, total=3 * STEPS) for step in range(3 * STEPS)
    ]
    assert seen == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches(tmp_path):
    inputs, targets = tiny_data()
    network = tiny_network(dropout=0.0)
    errors = (np.asarray(network(inputs)) - targets) ** 2
    _, progress = _fit(tmp_path, network=network, learning_rate=1e-12, epochs=2)
    assert [row["loss"] for row in progress.history] == pytest.approx([errors.mean()] * 2, rel=1e-5)


def test_rows_of_no_weight_teach_nothing(tmp_path):
    def make_task(network):
        task = tiny_task(network)
        return tiny_task(network, batches=lambda epoch: ((x, y, np.zeros(len(x))) for x, y, _ in task.batches(epoch)))

    network = tiny_network()
    before = network.get_weights()
    _fit(tmp_path, network=network, make_task=make_task, epochs=1)
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_gradients_are_clipped_and_weights_decay(tmp_path):
    def moved(**settings):
        network = tiny_network(dropout=0.0)
        before = network.get_weights()
        folder = tmp_path / str(settings)
        _fit(folder, network=network, epochs=1, schedule="constant", warmup=0.0, **settings)
        return np.concatenate([(new - old).ravel() for new, old in zip(network.get_weights(), before, strict=True)])

    plain = moved()
    # Adam does not see how long gradients are until they are as short as its epsilon, 1e-7.
    assert np.abs(moved(gradient_clip=1e-9)).max() < 0.1 * np.abs(plain).max()
    assert np.abs(moved(weight_decay=0.5) - plain).max() > 1e-3


def test_a_layer_tuned_later_stays_as_it_was_until_then(tmp_path):
    network, seen = tiny_network(), []

    def watch(progress, step):
        if not step:
            seen.append(network.get_layer("hidden").get_weights()[0])

    before = network.get_layer("hidden").get_weights()[0]
    _fit(tmp_path, network=network, make_task=frozen_then_tuned, watch=watch, epochs=4)
    assert [np.array_equal(kernel, before) for kernel in seen] == [True, True, False, False]


def test_float16_training_scales_the_loss_and_learns_the_same(tmp_path):
    plain, _ = _fit(tmp_path / "plain", epochs=2)
    scaled, _ = _fit(tmp_path / "scaled", epochs=2, mixed_precision="float16")
    assert isinstance(scaled.optimizer, keras.optimizers.LossScaleOptimizer)
    for weight, other in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-5)


# Stopping


def test_of_equal_scores_the_epoch_with_the_lower_loss_is_better(tmp_path):
    rows = iter([(0.0, 5.0), (0.0, 4.0), (0.0, 4.5), (0.0, 3.0), (1.0, 9.0), (1.0, 9.0), (0.0, 3.5)])

    def make_task(network):
        return tiny_task(network, evaluate=lambda: dict(zip(("score", "val_loss"), next(rows), strict=True)))

    best = []
    _fit(tmp_path, make_task=make_task, watch=lambda p, step: step or best.append(p.best_epoch), patience=2, epochs=9)
    assert best == [0, 1, 1, 3, 4, 4, 4]


def test_patience_stops_and_the_best_weights_come_back(tmp_path):
    network, after = tiny_network(), []

    def watch(progress, step):
        if not step:
            after.append(network.get_weights())

    scores = [1.0, 3.0, 2.0, 3.0, 2.5]
    _, progress = _fit(tmp_path, network=network, make_task=_scripted(scores), watch=watch, patience=3, epochs=9)
    assert progress.epoch == 5
    assert progress.best_epoch == 1
    for weight, best, last in zip(network.get_weights(), after[1], after[-1], strict=True):
        np.testing.assert_array_equal(weight, best)
        assert (weight != last).any()


def test_patience_waits_while_the_validation_loss_falls(tmp_path):
    """Of scores that are noise the first is the best; the third epoch has the lowest loss."""
    rows = iter([(0.2, 9.0), (0.1, 8.0), (0.1, 7.0), (0.1, 7.5), (0.1, 7.2), (0.1, 7.1)])

    def make_task(network):
        return tiny_task(network, evaluate=lambda: dict(zip(("score", "val_loss"), next(rows), strict=True)))

    _, progress = _fit(tmp_path, make_task=make_task, patience=2, epochs=9)
    assert (progress.epoch, progress.best_epoch) == (5, 0)


def test_used_up_seconds_end_training_after_the_epoch_with_the_best_weights(tmp_path):
    _, progress = _fit(tmp_path, make_task=_scripted([1.0]), epochs=9, seconds=1e-9)
    assert (progress.epoch, progress.best_epoch, progress.finished) == (1, 0, True)


def _never_evaluated(network):
    return tiny_task(network, evaluate=None)


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    settings = dict(make_task=_never_evaluated, epochs=4, patience=1)
    network, after = tiny_network(), []

    def watch(progress, step):
        if not step:
            after.append(network.get_weights())

    _, progress = _fit(tmp_path, network=network, watch=watch, **settings)
    assert (progress.epoch, progress.best_epoch, progress.finished) == (4, 3, True)
    assert all(np.isfinite(row["loss"]) for row in progress.history)
    for weight, last, before in zip(network.get_weights(), after[-1], after[-2], strict=True):
        np.testing.assert_array_equal(weight, last)
        assert (weight != before).any()


@pytest.mark.parametrize("place", [(1, 0), (2, 3)], ids=["after_an_epoch", "inside_an_epoch"])
def test_without_validation_the_last_epoch_is_kept_after_a_resume_too(tmp_path, place):
    def watch(progress, step):
        if (progress.epoch, step) == place:
            raise KeyboardInterrupt

    settings = dict(make_task=_never_evaluated, epochs=4)
    whole = _fit(tmp_path / "whole", **settings)
    _, progress = _fit(tmp_path / "stopped", watch=watch, **settings)
    assert (progress.epoch, progress.best_epoch, progress.finished) == (place[0], place[0] - 1, False)
    _assert_same_run(whole, _fit(tmp_path / "stopped", **settings))


def test_ctrl_c_keeps_the_best_weights_so_far(tmp_path):
    network, after = tiny_network(), []

    def watch(progress, step):
        if not step:
            after.append(network.get_weights())
        if progress.epoch == 3 and step == 2:
            raise KeyboardInterrupt

    _, progress = _fit(tmp_path, network=network, make_task=_scripted([1.0, 5.0, 2.0]), watch=watch, epochs=9)
    assert not progress.finished
    assert (progress.epoch, progress.best_epoch) == (3, 1)
    for weight, best in zip(network.get_weights(), after[1], strict=True):
        np.testing.assert_array_equal(weight, best)


def test_ctrl_c_keeps_nothing_of_a_training_that_must_be_whole_and_it_goes_on_from_there(tmp_path):
    def watch(progress, step):
        if (progress.epoch, step) == (2, 1):
            raise KeyboardInterrupt

    with whole_trainings(), pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "stopped", watch=watch)
    with whole_trainings():
        _assert_same_run(_fit(tmp_path / "whole"), _fit(tmp_path / "stopped"))


def test_an_end_before_the_last_epoch_is_told(tmp_path, capsys):
    config = tiny_config(patience=2, epochs=9)
    network = tiny_network()
    with Watch(config, STEPS) as watch:
        fit(network, _scripted([1.0, 0.5, 0.25, 2.0])(network), config, Checkpoints(tmp_path), "f", watch)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and lines[-1] == "training ends: no better epoch for 2 (training.patience)"


def test_ctrl_c_in_the_first_epoch_says_that_there_is_no_model(tmp_path):
    def watch(progress, step):
        raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="stopped before the first epoch was over: there is no model yet"):
        _fit(tmp_path, watch=watch)


def test_a_loss_that_is_not_a_number_is_an_error_with_advice(tmp_path):
    def make_task(network):
        task = tiny_task(network)
        return tiny_task(network, batches=lambda epoch: ((x, y * np.nan**epoch, w) for x, y, w in task.batches(epoch)))

    with pytest.raises(SeqloomError, match=r"the loss became nan in epoch 2\. Lower training\.learning_rate"):
        _fit(tmp_path, make_task=make_task)


@pytest.mark.parametrize("score", [float("nan"), float("-inf")])
def test_a_score_that_is_not_finite_is_no_traceback_and_never_the_best(tmp_path, score):
    try:
        _, progress = _fit(tmp_path, make_task=_scripted([1.0, score, 0.5]), epochs=3)
    except SeqloomError:
        return
    assert progress.best_epoch == 0


# Averages of epochs


def _watched(folder, **changes):
    """The network, its progress, its weights after each epoch, and those that each evaluation saw."""
    network, after, seen = tiny_network(), [], []

    def make_task(network):
        evaluate = tiny_task(network).evaluate
        return tiny_task(network, evaluate=lambda: (seen.append(network.get_weights()), evaluate())[1], **changes)

    def watch(progress, step):
        if not step:
            after.append(network.get_weights())

    _, progress = _fit(folder, make_task=make_task, network=network, watch=watch)
    return network, progress, after, seen


def _assert_equal(weights, other, **tolerance):
    for one, another in zip(weights, other, strict=True):
        np.testing.assert_allclose(one, another, **{"rtol": 0, "atol": 0, **tolerance})


def test_an_average_is_of_the_weights_after_the_last_epochs(tmp_path):
    network, progress, after, seen = _watched(tmp_path, average=3)
    for epoch, averaged in enumerate(seen):
        recent = after[max(0, epoch - 2) : epoch + 1]
        _assert_equal(averaged, [np.mean(arrays, axis=0) for arrays in zip(*recent, strict=True)], atol=1e-6)
    _assert_equal(network.get_weights(), seen[progress.best_epoch])
    assert np.abs(network.get_weights()[0] - after[progress.best_epoch][0]).max() > 1e-4


def test_training_goes_on_from_the_last_weights_and_not_from_their_average(tmp_path):
    _, _, averaged, _ = _watched(tmp_path / "averaged", average=3)
    _, _, plain, _ = _watched(tmp_path / "plain")
    for one, other in zip(averaged, plain, strict=True):
        _assert_equal(one, other)


def test_an_average_of_one_epoch_is_that_epoch(tmp_path):
    _, _, after, seen = _watched(tmp_path)
    for one, other in zip(after, seen, strict=True):
        _assert_equal(one, other)


# Compiled steps


def _named_network():
    """The tiny network with its inputs by name, as compiled steps want them."""
    network = tiny_network(dropout=0.0)
    return keras.Model({"inputs": network.input}, network.output)


def _named_task(network, *, sizes, **changes):
    """The tiny task in batches of these sizes."""
    inputs, targets = tiny_data()
    parts = np.split(np.arange(ROWS), np.cumsum(sizes)[:-1])

    def batches(epoch):
        return (({"inputs": inputs[rows]}, targets[rows], np.ones(len(rows), np.float32)) for rows in parts)

    def evaluate():
        return {"score": -float(np.mean((np.asarray(network({"inputs": inputs})) - targets) ** 2))}

    return tiny_task(network, batches=batches, steps=len(sizes), evaluate=evaluate, **changes)


def test_compiled_steps_learn_the_same_from_batches_of_several_shapes(tmp_path):
    networks = []
    for compiled in (True, False):
        network = _named_network()
        make_task = partial(_named_task, sizes=(16, 32, 16), compiled=whole(network) if compiled else None)
        _, progress = _fit(tmp_path / str(compiled), network=network, make_task=make_task, epochs=2)
        assert progress.history[-1]["loss"] < progress.history[0]["loss"]
        networks.append(network)
    _assert_equal(networks[0].get_weights(), networks[1].get_weights(), atol=1e-4)


def test_only_the_second_part_is_compiled(tmp_path):
    network, seen = _named_network(), []

    def first(inputs, training):
        seen.append(("first", in_xla()))
        return (2.0 * inputs["inputs"],)

    def second(inputs, doubled, training):
        seen.append(("second", in_xla()))
        return network({"inputs": doubled / 2.0}, training=training)

    _fit(tmp_path, network=network, make_task=partial(_named_task, sizes=(32, 32), compiled=(first, second)), epochs=1)
    assert set(seen) == {("first", False), ("second", True)}


def test_a_compiled_training_that_was_stopped_ends_as_if_it_had_not(tmp_path):
    def watch(progress, step):
        if (progress.epoch, step) == (1, 1):
            raise KeyboardInterrupt

    def run(folder, **changes):
        network = _named_network()
        make_task = partial(_named_task, sizes=(32, 32), compiled=whole(network))
        return _fit(tmp_path / folder, network=network, make_task=make_task, epochs=2, **changes)

    unbroken = run("unbroken")
    run("stopped", watch=watch)
    _assert_same_run(unbroken, run("stopped"))


# Going on


def _averaged(network):
    return tiny_task(network, average=3)


@pytest.fixture(
    scope="module", params=[tiny_task, frozen_then_tuned, _averaged], ids=["plain", "frozen_then_tuned", "averaged"]
)
def unbroken(request, tmp_path_factory):
    """A whole run with dropout and a falling rate, with the checkpoints as they were after each epoch."""
    folder = tmp_path_factory.mktemp("unbroken")

    def watch(progress, step):
        if not step:
            shutil.copytree(folder / "run", folder / f"after{progress.epoch}")

    return folder, request.param, _fit(folder / "run", make_task=request.param, watch=watch)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5])
def test_training_stopped_after_any_epoch_ends_as_if_it_had_not(unbroken, tmp_path, epoch):
    folder, make_task, whole = unbroken
    shutil.copytree(folder / f"after{epoch}", tmp_path / "run")
    trained = []
    resumed = _fit(tmp_path / "run", make_task=make_task, watch=lambda progress, step: trained.append(step))
    assert trained.count(0) == 5 - epoch
    _assert_same_run(whole, resumed)


def test_training_goes_on_from_the_state_before_a_damaged_one(unbroken, tmp_path):
    folder, make_task, whole = unbroken
    shutil.copytree(folder / "after4", tmp_path / "run")
    newest = tmp_path / "run" / "epoch00004.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    trained = []
    resumed = _fit(tmp_path / "run", make_task=make_task, watch=lambda progress, step: trained.append(step))
    assert trained.count(0) == 2
    _assert_same_run(whole, resumed)


def test_training_stopped_by_ctrl_c_inside_an_epoch_ends_as_if_it_had_not(tmp_path):
    def watch(progress, step):
        if (progress.epoch, step) == (1, 3):
            raise KeyboardInterrupt

    whole = _fit(tmp_path / "whole", epochs=3)
    _fit(tmp_path / "stopped", watch=watch, epochs=3)
    _assert_same_run(whole, _fit(tmp_path / "stopped", epochs=3))


def test_float16_training_with_a_layer_tuned_later_goes_on(tmp_path):
    settings = dict(make_task=frozen_then_tuned, mixed_precision="float16", epochs=4)

    def watch(progress, step):
        if not step and progress.epoch == 3:
            shutil.copytree(tmp_path / "whole", tmp_path / "resumed")

    whole = _fit(tmp_path / "whole", watch=watch, **settings)
    _assert_same_run(whole, _fit(tmp_path / "resumed", **settings))


def test_training_goes_on_in_the_same_process_where_keras_counts_names_on(tmp_path):
    def network():
        layers = keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.Dense(1)
        return keras.Sequential([keras.Input((4,)), *layers])

    def watch(progress, step):
        if progress.epoch == 1:
            raise KeyboardInterrupt

    _fit(tmp_path, network=network(), watch=watch, epochs=2)
    _, progress = _fit(tmp_path, network=network(), epochs=2)
    assert progress.epoch == 2


def test_a_finished_training_gives_its_best_weights_without_training(tmp_path):
    whole = _fit(tmp_path, make_task=_scripted([2.0, 1.0]), epochs=2)

    def watch(progress, step):
        pytest.fail("it trained")

    _assert_same_run(whole, _fit(tmp_path, make_task=_scripted([]), watch=watch, epochs=2))


def test_a_training_with_another_fingerprint_is_refused(tmp_path):
    _fit(tmp_path / "run" / "checkpoints", epochs=1)
    with pytest.raises(SeqloomError, match="this folder holds a training of another config or other data"):
        _fit(tmp_path / "run" / "checkpoints", fingerprint="g", epochs=1)


KILLED = """
import os, signal, sys
from pathlib import Path
from examples import frozen_then_tuned, tiny_config, tiny_network
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import StoppedError, fit
from toolkit.training.step import whole

def watch(progress, step):
    if (progress.epoch, step) == (3, 2):
        os.kill(os.getpid(), signal.SIGKILL)

network = tiny_network()
fit(network, frozen_then_tuned(network), tiny_config(), Checkpoints(Path(sys.argv[1])), "f", watch)
"""


@pytest.mark.parametrize("unbroken", [frozen_then_tuned], indirect=True, ids=["frozen_then_tuned"])
def test_training_killed_in_the_middle_of_an_epoch_ends_as_if_it_had_not(unbroken, tmp_path):
    _, make_task, whole = unbroken
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert Checkpoints(tmp_path).load("f")[0].epoch == 3
    _assert_same_run(whole, _fit(tmp_path, make_task=make_task))


def test_progress_without_an_epoch_is_worse_than_any_score():
    assert Progress("f").best_score == -np.inf
