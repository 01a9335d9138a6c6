"""Two probes of memory: a symbol to keep while others pass by, and a sequence to keep whole."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from toolkit.layers import RecurrentEncoder
from toolkit.training.runs import set_seed
from toolkit.training.schedules import learning_rate
from toolkit.training.step import training_step

SYMBOLS = 8
BATCH, TESTED = 64, 512  # sequences
PEAK, CLIP = 4e-3, 1.0  # learning rate, norm of the gradient


class Recaller(keras.Model):
    """Symbols, a recurrent layer that reads them, and scores for some of them from its last state alone.

    Shapes: tokens (batch, time), lengths (batch,) -> logits (batch, asked, 8)
    """

    def __init__(self, cell: str, units: int, asked: int):
        super().__init__()
        self.embedding = keras.layers.Embedding(SYMBOLS, units)
        self.encoder = RecurrentEncoder(
            cell=cell,
            units=units,
            layers=1,
            bidirectional=False,
            residual=False,
            normalization="none",
            dropout=0.0,
            variational=False,
        )
        self.scores = keras.layers.Dense(asked * SYMBOLS)
        self.asked = asked

    def call(self, inputs):
        _, final = self.encoder(self.embedding(inputs["tokens"]), inputs["lengths"])
        return keras.ops.reshape(self.scores(final), (-1, self.asked, SYMBOLS))


def keep_curve(cell: str, *, units: int, longest: int, after: Sequence[int], steps: int, seed: int) -> np.ndarray:
    """How often the first symbol of a sequence is named rightly, by the number of symbols read after it.

    It is followed by 0 to `longest` others in training, and by as many as `after` says in the test. All are drawn alike
    from eight, so that only its place tells the first one from the others, and a guess is right for 1 in 8.

    Returns: accuracies, (len(after),), each over 512 sequences that are drawn anew.

    Reference: after the latching problem of Bengio, Simard & Frasconi 1994, and Hochreiter & Schmidhuber 1997, 5.2
    """
    random = np.random.default_rng(seed)
    most = np.minimum(1 + np.arange(steps) * 2 * longest // steps, longest)  # short ones first, or none is learned
    follow = (random.integers(0, each + 1, BATCH) for each in most)
    batches = ((_sequences(random, each, longest + 1)) for each in follow)
    network = _fit(Recaller(cell, units, 1), ((batch, batch["tokens"][:, :1]) for batch in batches), steps, seed)
    found = []
    for many in after:
        batch = _sequences(random, np.full(TESTED, many), many + 1)
        found.append((_guess(network, batch)[:, 0] == batch["tokens"][:, 0]).mean())
    return np.array(found)


def copy_curve(cell: str, *, units: int, time: int, steps: int, seed: int) -> np.ndarray:
    """How often each symbol of a sequence is named rightly from the state after its end, the last one first.

    All are drawn independently from eight, so that nothing but memory helps and a guess is right for 1 in 8.

    Returns: accuracies by lag, (time,), over 512 sequences that are drawn anew; lag 0 is what was read last.

    Reference: Jaeger 2001, Short term memory in echo state networks: what of a past input a readout of the present
        state can restore; here the network is trained too
    """
    random = np.random.default_rng(seed)
    batches = (_sequences(random, np.full(BATCH, time - 1), time) for _ in range(steps))
    network = _fit(Recaller(cell, units, time), ((batch, batch["tokens"][:, ::-1]) for batch in batches), steps, seed)
    batch = _sequences(random, np.full(TESTED, time - 1), time)
    return (_guess(network, batch) == batch["tokens"][:, ::-1]).mean(axis=0)


def _sequences(random: np.random.Generator, after: np.ndarray, time: int) -> dict[str, np.ndarray]:
    """Symbols, `after` of them behind the first. Shapes: after (rows,) -> tokens (rows, time), lengths (rows,)."""
    tokens = random.integers(0, SYMBOLS, (len(after), time))
    return {"tokens": tokens.astype(np.int32), "lengths": (after + 1).astype(np.int32)}


def _fit(network: Recaller, batches: Iterable, steps: int, seed: int) -> Recaller:
    set_seed(seed)
    network({"tokens": np.zeros((1, 1), np.int32), "lengths": np.ones(1, np.int32)})  # builds it
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(PEAK, global_clipnorm=CLIP)
    step = training_step(network, optimizer, loss)
    for number, (inputs, symbols) in enumerate(batches):
        optimizer.learning_rate = learning_rate(number, peak=PEAK, schedule="cosine", warmup=0.05, total=steps)
        step(inputs, symbols, None)
    return network


def _guess(network: Recaller, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Shapes: -> (rows, asked)"""
    return network.predict_on_batch(inputs).argmax(axis=-1)
