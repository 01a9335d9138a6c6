"""The fused kernel equals Keras' own layers and the papers' equations, for rows of any length, in both directions."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import make_encoder, randomize, sequences, tiny_config, tiny_task
from toolkit import kernels
from toolkit.cells import CELLS
from toolkit.kernels.prediction import KINDS
from toolkit.layers.recurrent import LAYERS, recur
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import fit
from toolkit.training.step import whole

operations, why = kernels.load()
used = why if operations else "off"
pytestmark = pytest.mark.skipif(operations is None, reason=f"there is no kernel: {why}")

FEATURES = 3
SHAPES = [  # units, features and lengths: odd ones, whole vectors and several panels of each kind, one row, more rows
    (1, FEATURES, [4]),  # than go together
    (5, FEATURES, [3, 0, 6, 1, 6, 2, 5]),
    (16, 1, [6]),
    (33, FEATURES, [3, 0, 6, 1, 6, 2, 5]),
    (64, FEATURES, list(itertools.islice(itertools.cycle([3, 0, 6, 1, 5]), 100))),
    (130, 70, [3, 0, 6, 1, 6, 2, 5]),
]


def _layer(cell, units, features=FEATURES):
    layer = LAYERS[cell](units, return_sequences=True)
    layer.build((None, None, features))
    randomize(layer, scale=min(0.4, 2 / units**0.5))  # with larger weights an rnn magnifies how numbers are rounded
    return layer


def _case(cell, units, lengths, *, started, features=FEATURES):
    inputs, lengths = sequences(lengths, time=max(lengths), features=features)
    random = np.random.default_rng(3)
    count = CELLS[cell].states * started
    initial = [random.normal(size=(len(lengths), units)).astype(np.float32) for _ in range(count)]
    return inputs, lengths, initial


def _results(run, inputs, lengths, initial, weights):
    """Outputs, final, and the gradients of a sum in which each of them counts differently, all in NumPy."""
    tensors = [tf.constant(inputs), *map(tf.constant, initial)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs, final = run(tensors[0], tf.constant(lengths), tensors[1:])
        counts = tf.cos(tf.reshape(tf.range(tf.size(outputs), dtype=outputs.dtype), tf.shape(outputs)))
        loss = tf.reduce_sum(outputs * counts) + tf.reduce_sum(final * tf.sin(1 + final))
    gradients = tape.gradient(loss, [*tensors, *weights])
    return [np.asarray(tf.convert_to_tensor(each)) for each in (outputs, final, *gradients)]


def _by_kernel(layer, inputs, lengths, initial, *, reverse):
    def run(inputs, lengths, initial):
        return recur(layer, inputs, lengths, reverse=reverse, initial_state=initial)

    return _results(run, inputs, lengths, initial, [weight.value for weight in layer.weights])


def _by_equations(layer, cell, inputs, lengths, initial, *, reverse):
    """The same in double precision, a step at a time; rows that have ended keep their state."""
    weights = [tf.Variable(weight, dtype=tf.float64) for weight in layer.get_weights()]

    def run(inputs, lengths, initial):
        batch, time, _ = inputs.shape
        states = list(initial) or [tf.zeros((batch, layer.units), tf.float64)] * CELLS[cell].states
        outputs = [states[0]] * time
        for t in reversed(range(time)) if reverse else range(time):
            real = (t < lengths)[:, None]
            after = _step(cell, weights, inputs[:, t], states)
            states = [tf.where(real, new, old) for new, old in zip(after, states, strict=True)]
            outputs[t] = tf.where(real, states[0], 0)
        return tf.stack(outputs, axis=1), states[0]

    return _results(run, np.float64(inputs), lengths, [np.float64(state) for state in initial], weights)


def _step(cell, weights, x, states):
    """One step of all rows, written with TensorFlow so that it has gradients. See `reference.STEPS`."""
    kernel, recurrent, bias = weights
    h = states[0]
    if cell == "rnn":
        return [tf.tanh(x @ kernel + h @ recurrent + bias)]
    if cell == "lstm":
        i, f, g, o = tf.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = tf.sigmoid(f) * states[1] + tf.sigmoid(i) * tf.tanh(g)
        return [tf.sigmoid(o) * tf.tanh(c), c]
    z, r, g = tf.split(x @ kernel + bias[0], 3, axis=-1)
    z_back, r_back, g_back = tf.split(h @ recurrent + bias[1], 3, axis=-1)
    z, r = tf.sigmoid(z + z_back), tf.sigmoid(r + r_back)
    return [z * h + (1 - z) * tf.tanh(g + r * g_back)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}x{len(shape[2])}")
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_and_all_gradients_equal_the_equations_in_double_precision(cell, shape, reverse, started):
    units, features, lengths = shape
    layer = _layer(cell, units, features)
    case = _case(cell, units, lengths, started=started, features=features)
    found = _by_kernel(layer, *case, reverse=reverse)
    expected = _by_equations(layer, cell, *case, reverse=reverse)
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * max(1, np.abs(other).max()))


def many_rows():
    """Outputs and gradients of all cells over more rows than go together."""
    for cell, reverse in itertools.product(KINDS, [False, True]):
        inputs, lengths, initial = _case(cell, 37, [9, 3, 0, 7, 5] * 40, started=reverse, features=70)
        yield from _by_kernel(_layer(cell, 37, 70), inputs, lengths, initial, reverse=reverse)


def check_many_rows(found):
    for one, other in zip(found, many_rows(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", KINDS)
def test_what_stands_in_the_padding_changes_nothing_and_gets_no_gradient(cell, reverse):
    layer = _layer(cell, 9)
    inputs, lengths, initial = _case(cell, 9, [3, 0, 6, 1], started=True)
    padding = np.arange(6) >= lengths[:, None]
    one = _by_kernel(layer, inputs, lengths, initial, reverse=reverse)
    inputs[padding] = np.nan
    for array, other in zip(one, _by_kernel(layer, inputs, lengths, initial, reverse=reverse), strict=True):
        np.testing.assert_array_equal(array, other)
    outputs, _, to_inputs, *_ = one
    assert not outputs[padding].any() and not to_inputs[padding].any()


def test_a_row_that_is_not_a_number_spoils_no_other_row():
    layer = _layer("lstm", 9)
    inputs, lengths, _ = _case("lstm", 9, [6] * 8, started=False)
    expected, _ = recur(layer, tf.constant(inputs), tf.constant(lengths))
    inputs[2, 3] = np.nan
    outputs, _ = recur(layer, tf.constant(inputs), tf.constant(lengths))
    others = np.arange(8) != 2
    np.testing.assert_array_equal(outputs.numpy()[others], expected.numpy()[others])
    assert np.isnan(outputs.numpy()[2, 3:]).all() and np.isfinite(outputs.numpy()[2, :3]).all()


@pytest.mark.parametrize("value", [100.0, 1e30, np.inf])
def test_large_inputs_saturate(value):
    layer = _layer("lstm", 5)
    inputs = np.full((2, 3, FEATURES), value, np.float32) * np.array([[[1]], [[-1]]], np.float32)
    layer.set_weights([np.abs(weight) for weight in layer.get_weights()])
    found, _ = recur(layer, tf.constant(inputs))
    np.testing.assert_allclose(found, keras.layers.LSTM.call(layer, tf.constant(inputs)), atol=1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_second_derivatives_are_refused_with_what_to_do(traced):
    layer, inputs = _layer("lstm", 7), tf.constant(_case("lstm", 7, [3, 5], started=False)[0])

    def run():
        with tf.GradientTape() as second:
            second.watch(inputs)
            with tf.GradientTape() as first:
                first.watch(inputs)
                loss = tf.reduce_sum(recur(layer, inputs)[0] ** 2)
            loss = tf.reduce_sum(first.gradient(loss, inputs) ** 2)
        return second.gradient(loss, inputs)

    with pytest.raises(LookupError, match="second derivatives need SEQLOOM_KERNEL=off"):
        (tf.function(run, autograph=False) if traced else run)()


@pytest.mark.parametrize("cell", KINDS)
def test_a_layer_that_is_called_twice_keeps_both_calls_apart(cell):
    layer = _layer(cell, 7)
    (x, n, _), (y, m, _) = (_case(cell, 7, lengths, started=False) for lengths in ([3, 5], [4, 1, 2]))
    (x, y), weights = map(tf.constant, (x, y)), [weight.value for weight in layer.weights]
    with tf.GradientTape(persistent=True) as tape:
        first, second = (tf.reduce_sum(recur(layer, *rows)[0] ** 2) for rows in ((x, n), (y, m)))
        both = first + second
    summed = [a + b for a, b in zip(tape.gradient(first, weights), tape.gradient(second, weights), strict=True)]
    for one, other in zip(tape.gradient(both, weights), summed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_class_of_its_own_computes_what_it_says():
    class Rectified(keras.layers.SimpleRNN):
        def __init__(self, units):
            super().__init__(units, activation="relu", return_sequences=True)

    layer = Rectified(7)
    layer.build((None, None, FEATURES))
    inputs, lengths, _ = _case("rnn", 7, [4, 4], started=False)
    outputs, final = recur(layer, tf.constant(inputs), tf.constant(lengths))
    np.testing.assert_array_equal(outputs, layer(inputs))
    assert np.max(final) > 1


@pytest.mark.parametrize("outside", [False, True], ids=["tape_inside", "tape_outside"])
def test_one_trace_serves_all_sizes_with_the_same_gradients(outside):
    layer = _layer("gru", 6)
    weights = [weight.value for weight in layer.weights]

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None,), tf.int32)])
    def run(inputs, lengths):
        return recur(layer, inputs, lengths, reverse=True)[0]

    def gradients(function, inputs, lengths):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(inputs, lengths) ** 3)
        return tape.gradient(loss, weights)

    traced = gradients if outside else tf.function(gradients)
    for lengths in ([2, 0, 4], [1, 7]):
        inputs, lengths, _ = map(tf.constant, (*_case("gru", 6, lengths, started=False)[:2], 0))
        for one, other in zip(
            traced(run, inputs, lengths), gradients(run.python_function, inputs, lengths), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [[1, 4], [1, -1], [1], [1, 2, 3]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"length"):
        recur(_layer("rnn", 2), tf.zeros((2, 3, FEATURES)), tf.constant(lengths))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("cell", KINDS)
def test_no_rows_or_no_steps_give_none_and_gradients_of_zero(cell, shape):
    layer, weights = _layer(cell, 3), []
    inputs, lengths = tf.zeros((*shape, FEATURES)), tf.zeros(shape[:1], tf.int32)
    with tf.GradientTape() as tape:
        outputs, final = recur(layer, inputs, lengths)
        loss = tf.reduce_sum(outputs) + tf.reduce_sum(final)
    assert outputs.shape == (*shape, 3) and not final.numpy().any()
    weights = tape.gradient(loss, [weight.value for weight in layer.weights])
    assert not any(weight.numpy().any() for weight in weights)


ENCODERS = [
    dict(bidirectional=True, layers=2, residual=True, normalization="layer"),
    dict(bidirectional="first", layers=3, residual=True),
    dict(bidirectional=True, layers=1),
]


def _without_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "load", lambda: (None, "switched off"))


@pytest.mark.parametrize("stanza", ENCODERS, ids=str)
@pytest.mark.parametrize("cell", KINDS)
def test_an_encoder_gives_the_same_without_the_kernel(cell, stanza, monkeypatch):
    encoder = make_encoder(cell=cell, units=6, **stanza)
    encoder.build((None, None, FEATURES))
    randomize(encoder)
    inputs, lengths, _ = _case(cell, 6, [3, 0, 6, 1], started=False)

    def run():
        weights = [weight.value for weight in encoder.trainable_weights]
        return _results(lambda inputs, lengths, _: encoder(inputs, lengths), inputs, lengths, [], weights)

    with_kernel = run()
    _without_kernel(monkeypatch)
    for one, other in zip(with_kernel, run(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", KINDS)
def test_a_mask_of_keras_changes_nothing_without_the_kernel_either(cell, monkeypatch):
    layer, embedding = _layer(cell, 4), keras.layers.Embedding(3, FEATURES, mask_zero=True)
    words, lengths = embedding(tf.constant([[1, 0, 2, 1], [0, 1, 0, 0]])), tf.constant([4, 3])
    with_kernel = recur(layer, words, lengths)
    _without_kernel(monkeypatch)
    for one, other in zip(with_kernel, recur(layer, words, lengths), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("cell", KINDS)
def test_rows_without_padding_are_read_from_their_ends_without_the_kernel_too(cell, monkeypatch):
    layer, inputs = _layer(cell, 4), tf.constant(_case(cell, 4, [5, 5], started=False)[0])
    with_kernel = recur(layer, inputs, reverse=True)
    _without_kernel(monkeypatch)
    for one, other in zip(with_kernel, recur(layer, inputs, reverse=True), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def _trained(folder, *, compiled=False, epochs=2, watch=lambda *_: None):
    """The weights and losses of a small training from the same start each time."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    steps = {
        "inputs": keras.Input((6, FEATURES), name="inputs"),
        "lengths": keras.Input((), dtype="int32", name="lengths"),
    }
    final = make_encoder(cell="lstm", units=5, bidirectional=True)(steps["inputs"], steps["lengths"])[1]
    network = keras.Model(steps, keras.layers.Dense(1)(final))
    inputs, lengths, _ = _case("lstm", 5, [3, 5, 6, 1] * 4, started=False)
    batch = ({"inputs": inputs / 10, "lengths": lengths}, lengths[:, None] / 6, np.ones(16))
    parts = whole(network) if compiled else None
    task = tiny_task(network, batches=lambda _: [batch, batch], steps=2, evaluate=None, compiled=parts)
    progress = fit(network, task, tiny_config(epochs=epochs), Checkpoints(folder), "f", watch)
    return network.get_weights(), [row["loss"] for row in progress.history]


def _assert_close(one, other, **tolerance):
    for array, another in zip((*one[0], one[1]), (*other[0], other[1]), strict=True):
        np.testing.assert_allclose(array, another, **tolerance)


@pytest.mark.parametrize("compiled", [False, True])
def test_training_is_the_same_without_the_kernel_and_compiled_steps_leave_it_out(tmp_path, monkeypatch, compiled):
    with_kernel = _trained(tmp_path / "with", compiled=compiled)
    _without_kernel(monkeypatch)
    _assert_close(with_kernel, _trained(tmp_path / "without"), rtol=1e-3, atol=1e-5)


def test_training_ends_bitwise_the_same_in_every_run_and_after_a_resume(tmp_path):
    def watch(progress, step):
        if (progress.epoch, step) == (1, 1):
            raise KeyboardInterrupt

    unbroken = _trained(tmp_path / "unbroken")
    _trained(tmp_path / "stopped", watch=watch)
    _assert_close(unbroken, _trained(tmp_path / "stopped"), rtol=0, atol=0)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are bound to no cores here")
def test_threads_that_make_room_for_each_other_may_run_where_they_might_before():
    layer, (inputs, lengths, _) = _layer("lstm", 33), _case("lstm", 33, [6] * 12, started=False)
    allowed = os.sched_getaffinity(0)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(min(len(allowed), 4))]
    try:
        for _ in range(500):
            recur(layer, inputs, lengths)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert all(os.sched_getaffinity(int(thread)) == allowed for thread in os.listdir("/proc/self/task"))


def test_mixed_precision_runs_as_keras_runs_it():
    layer = keras.layers.LSTM(3, return_sequences=True, dtype="mixed_bfloat16")
    layer.build((None, None, FEATURES))
    outputs, _ = recur(layer, tf.zeros((2, 4, FEATURES), tf.bfloat16), tf.constant([4, 2]))
    assert outputs.dtype == tf.bfloat16
