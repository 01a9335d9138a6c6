"""Small layers, inputs and trainings that several tests use."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from toolkit.data.batches import epoch_order
from toolkit.kernels import prediction
from toolkit.layers import RecurrentDecoder, RecurrentEncoder, TransformerEncoder
from toolkit.runtime import Runtime
from toolkit.stanzas import TrainingConfig
from toolkit.training.fit import Task


def make_encoder(**changes: Any) -> RecurrentEncoder:
    """A small encoder; its settings are those of one plain LSTM layer but for `changes`."""
    settings = dict(
        cell="lstm",
        units=3,
        layers=1,
        bidirectional=False,
        residual=False,
        normalization="none",
        dropout=0.0,
        variational=False,
    )
    return RecurrentEncoder(**{**settings, **changes})


def make_transformer(**changes: Any) -> TransformerEncoder:
    """A small Transformer; its settings are those of one block without dropout but for `changes`."""
    return TransformerEncoder(**{**dict(units=6, layers=1, dropout=0.0, variational=False), **changes})


def make_decoder(**changes: Any) -> RecurrentDecoder:
    """A small decoder; its settings are those of one LSTM layer with general attention but for `changes`."""
    settings = dict(
        cell="lstm",
        units=3,
        layers=1,
        attention="general",
        attend_from="top",
        input_feeding=True,
        residual=False,
        normalization="none",
        dropout=0.0,
    )
    return RecurrentDecoder(**{**settings, **changes})


def randomize(layer: keras.layers.Layer, *, seed: int = 0, scale: float = 0.5) -> None:
    """Give a built layer weights without zeros, so that no bias and no gate hides behind its initial value."""
    random = np.random.default_rng(seed)
    layer.set_weights(
        [
            random.integers(0, 3, weight.shape) if weight.dtype.kind == "i" else random.normal(0, scale, weight.shape)
            for weight in layer.get_weights()
        ]
    )


def sequences(lengths: list[int], *, time: int, features: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random rows with large numbers where padding is. Shapes: -> (batch, time, features); (batch,)."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(len(lengths), time, features))
    inputs[np.arange(time) >= np.array(lengths)[:, None]] *= 50
    return inputs.astype(np.float32), np.array(lengths, np.int32)


ROWS = 64
BATCH = 16


def tiny_network(*, dropout: float = 0.3) -> keras.Model:
    """Two dense layers with dropout between; the same weights and names each time, as in a process of its own."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(5)
    inputs = keras.Input((4,), name="inputs")
    hidden = keras.layers.Dense(8, activation="tanh", name="hidden")(inputs)
    hidden = keras.layers.Dropout(dropout, name="dropout")(hidden)
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))


def tiny_data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    inputs = random.normal(size=(ROWS, 4)).astype(np.float32)
    return inputs, inputs @ np.array([[1.0], [-2.0], [0.5], [0.0]], np.float32)


def tiny_task(network: keras.Model, **changes: Any) -> Task:
    """Regression on 64 rows in an order that changes from epoch to epoch, scored by minus the mean squared error."""
    inputs, targets = tiny_data()

    def batches(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray, None]]:
        for rows in epoch_order(np.ones(ROWS, int), batch_size=BATCH, seed=1, epoch=epoch, bucketing=False):
            yield inputs[rows], targets[rows], None

    def evaluate() -> dict[str, float]:
        loss = float(np.mean((np.asarray(network(inputs, training=False)) - targets) ** 2))
        return {"val_loss": loss, "score": -loss}

    settings = dict(batches=batches, steps=ROWS // BATCH, loss=keras.losses.MeanSquaredError(), evaluate=evaluate)
    return Task(**{**settings, **changes})


def frozen_then_tuned(network: keras.Model) -> Task:
    """The same, with the first layer frozen for two epochs."""
    return tiny_task(network, tuned_later=network.get_layer("hidden"), frozen_epochs=2)


def tiny_config(**changes: Any) -> TrainingConfig:
    settings = dict(epochs=5, learning_rate=0.05, schedule="cosine", warmup=0.2, patience=50)
    return TrainingConfig(**{**settings, **changes})


def closeness(runtime: Runtime, usual: float = 1e-5) -> float:
    """How far what it gives may be from the network's numbers. The tiles of AMX, in whose sums of two bfloat16 numbers
    the kernel multiplies, round more, which shows with random weights."""
    return 5e-5 if runtime.fused and prediction.load()[1] == "amx" else usual
