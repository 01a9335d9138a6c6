"""Adam equals Keras'; the lazy one does on the rows that occur, and leaves the others alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import tiny_config, tiny_task
from toolkit import kernels
from toolkit.training.adam import Adam
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import fit

ROWS, WIDTH = 6, 19
SETTINGS = dict(learning_rate=0.1, beta_1=0.8, beta_2=0.9)


@pytest.fixture(params=["kernel", "TensorFlow"], autouse=True)
def by(request, monkeypatch):
    """With the kernel's operations, and with TensorFlow's own."""
    if request.param == "TensorFlow":
        monkeypatch.setattr(kernels, "load", lambda: (None, "there is none"))
    elif not kernels.load()[0]:
        pytest.skip("there is no kernel")
    return request.param


def _steps(optimizer, gradients):
    """A table of ones after these gradients."""
    table = keras.Variable(np.ones((ROWS, WIDTH), np.float32))
    optimizer.build([table])
    for gradient in gradients:
        optimizer.apply([gradient])
    return table.numpy()


def _slices(rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(len(rows), WIDTH)).astype(np.float32)
    return tf.IndexedSlices(values, tf.constant(rows), (ROWS, WIDTH))


def test_rows_that_always_occur_are_updated_as_by_adam_even_if_they_occur_twice():
    gradients = [_slices([1, 4, 1], seed) for seed in range(4)]
    plain = _steps(keras.optimizers.Adam(**SETTINGS), [tf.convert_to_tensor(gradient) for gradient in gradients])
    np.testing.assert_allclose(_steps(Adam(lazy=True, **SETTINGS), gradients), plain, rtol=1e-5)


def test_rows_that_do_not_occur_keep_their_value_and_moments():
    lazy = _steps(Adam(lazy=True, **SETTINGS), [_slices([1, 2]), _slices([2])])
    np.testing.assert_array_equal(lazy[[0, 3, 4, 5]], 1)
    np.testing.assert_array_equal(lazy[1], _steps(Adam(lazy=True, **SETTINGS), [_slices([1, 2])])[1])
    assert (lazy[1] != _steps(keras.optimizers.Adam(**SETTINGS), [_slices([1, 2]), _slices([2])])[1]).all()


def test_rows_are_clipped_together_with_everything_else():
    gradients = [_slices([1, 4, 1], seed) for seed in range(4)]
    clipped = {**SETTINGS, "global_clipnorm": 0.1}
    plain = _steps(keras.optimizers.Adam(**clipped), [tf.convert_to_tensor(gradient) for gradient in gradients])
    np.testing.assert_allclose(_steps(Adam(lazy=True, **clipped), gradients), plain, rtol=1e-5)
    lazy = _steps(Adam(lazy=True, **clipped), [_slices([1, 2]), _slices([2])])
    np.testing.assert_array_equal(lazy[[0, 3, 4, 5]], 1)


@pytest.mark.parametrize("lazy", [False, True])
def test_gradients_of_rows_stay_so_where_their_step_can_be_taken(by, lazy):
    gradient = Adam(lazy=lazy)._each_once(_slices([1, 4, 1]))
    assert isinstance(gradient, tf.IndexedSlices) == (lazy or by == "kernel")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.1}, {"weight_decay": 0.1}])
def test_dense_gradients_are_those_of_keras(lazy, options):
    gradients = [tf.convert_to_tensor(_slices([1, 4], seed)) for seed in range(3)]
    plain = _steps(keras.optimizers.Adam(**SETTINGS, **options), gradients)
    np.testing.assert_allclose(_steps(Adam(lazy=lazy, **SETTINGS, **options), gradients), plain, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.1}])
def test_gradients_of_rows_are_those_of_the_whole_table_unless_it_is_lazy(options):
    gradients = [_slices([1, 4, 1], 1), _slices([2], 2)]
    plain = _steps(
        keras.optimizers.Adam(**SETTINGS, **options), [tf.convert_to_tensor(gradient) for gradient in gradients]
    )
    np.testing.assert_allclose(_steps(Adam(**SETTINGS, **options), gradients), plain, rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_training_moves_words_that_no_batch_holds_only_if_it_is_not_lazy(tmp_path, lazy):
    keras.utils.clear_session()
    inputs = keras.Input((3,), dtype="int32")
    words = keras.layers.Embedding(ROWS, 2, name="words")
    network = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(words(inputs))))
    before = words.get_weights()[0]
    batches = [(np.array([[1, 2, 2]]), np.ones((1, 1)), None), (np.array([[3, 2, 3]]), np.ones((1, 1)), None)]
    task = tiny_task(network, batches=lambda epoch: batches, steps=2, evaluate=None)
    fit(network, task, tiny_config(epochs=2, lazy_embeddings=lazy), Checkpoints(tmp_path), "f", lambda *_: None)
    moved = (words.get_weights()[0] != before).any(axis=1)
    assert moved.tolist() == [False, True, True, True, False, False]
    assert network.optimizer.lazy == lazy


@pytest.mark.parametrize("option", [{"clipnorm": 1.0}, {"clipvalue": 0.5}, {"amsgrad": True}], ids=str)
def test_what_is_not_computed_is_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        Adam(**option)
    assert Adam.from_config(Adam(lazy=True, global_clipnorm=2.0).get_config()).lazy


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_that_another_backend_is_never_lazy_is_told(backend, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    Adam()
    with pytest.warns(UserWarning, match=f"training.lazy_embeddings changes nothing on {backend}"):
        Adam(lazy=True)


def test_xla_compiles_its_step():
    network = keras.Sequential([keras.layers.Embedding(ROWS, WIDTH), keras.layers.Dense(1)])
    network.compile(Adam(**SETTINGS), "mse", jit_compile=True)
    rows = np.array([[1], [4], [1]])
    losses = [network.train_on_batch(rows, np.ones((3, 1, 1))) for _ in range(3)]
    assert losses[-1] < losses[0]
