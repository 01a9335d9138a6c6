"""How far back in a sequence the gradient of the loss reaches."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from toolkit.errors import SeqloomError
from toolkit.layers import RecurrentEncoder
from toolkit.training.fit import Batch

VANISHED = 0.01  # of the largest gradient


@dataclass(frozen=True)
class Reach:
    """Norms of the gradient at a layer's hidden states, by the steps from there to the end of the sequence.

    Attributes:
        norms: (steps,), means over the rows that are so long; the first is that at the last step.
        rows: (steps,), how many they are.
    """

    norms: np.ndarray
    rows: np.ndarray

    @property
    def steps(self) -> int:
        """From the end back to the last state whose gradient is at least a hundredth of the largest."""
        return int(np.flatnonzero(self.norms >= VANISHED * self.norms.max())[-1]) if self.norms.any() else 0

    @property
    def factor(self) -> float:
        """What the norm is multiplied by from one step to the one before it, as far as the gradient reaches.

        The slope of a straight line through the logarithms. Below 1 it vanishes, above 1 it explodes.
        """
        norms = self.norms[: max(self.steps, 1) + 1]
        places = np.flatnonzero(norms)
        if len(places) < 2:
            return 0.0
        return float(np.exp(np.polyfit(places, np.log(norms[places]), 1)[0]))


def reach_of(network: keras.Model, loss: Callable) -> Callable[[Iterable[Batch]], Reach]:
    """A function that measures the network as it is: each row's gradient at the encoder's first layer, read forwards.

        g[b,t] = || d loss[b] / d h[b,t] ||      over all paths from h[b,t] on, through later states too

    Nothing is dropped out. Further back than half of the rows are long, nothing is measured.

    Args:
        network: has its RecurrentEncoder as `encoder`.

    Raises:
        SeqloomError: there is no such encoder, or Keras does not run on TensorFlow.

    Reference: Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult;
        Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, eq. 3-5
    """
    if not isinstance(getattr(network, "encoder", None), RecurrentEncoder):
        raise SeqloomError("this network has no recurrent encoder of the shared kind.")
    if keras.backend.backend() != "tensorflow":
        raise SeqloomError("gradients are looked at with TensorFlow. Unset KERAS_BACKEND.")
    norms_of = _norms_of(network, loss)

    def measure(batches: Iterable[Batch]) -> Reach:
        total, rows = np.zeros(0), np.zeros(0)
        for batch in batches:
            for norms, lengths in norms_of(batch):
                back = np.asarray(lengths)[:, None] - 1 - np.arange(norms.shape[1])
                real = back >= 0
                size = max(len(total), norms.shape[1])
                total = np.pad(total, (0, size - len(total))) + np.bincount(back[real], np.asarray(norms)[real], size)
                rows = np.pad(rows, (0, size - len(rows))) + np.bincount(back[real], minlength=size)
        known = np.flatnonzero((rows > 0) & (rows * 2 >= rows[:1].sum()))  # further back are a few long rows only
        return Reach(total[known] / rows[known], rows[known].astype(int))

    return measure


def _norms_of(network: keras.Model, loss: Callable) -> Callable[[Batch], list[tuple[Any, Any]]]:
    """Shapes: norms (rows, time) and lengths (rows,) of each time that the encoder runs in a batch."""
    import tensorflow as tf

    encoder = network.encoder
    units = encoder.forward_layers[0].units

    @tf.function(reduce_retracing=True)
    def measure(batch):
        inputs, targets, weights = batch
        runs = []
        with tf.GradientTape() as tape:

            def nudge(inputs, lengths):
                zeros = tf.zeros((*tf.unstack(tf.shape(inputs)[:2]), units), inputs.dtype)
                tape.watch(zeros)
                runs.append((zeros, lengths))
                return zeros

            encoder.nudge = nudge
            try:
                losses = loss(targets, network(inputs, training=False))
            finally:
                encoder.nudge = None
            if weights is not None:
                losses = losses * tf.cast(weights, losses.dtype)
            total = tf.reduce_sum(losses) * tf.cast(tf.shape(losses)[0] / tf.size(losses), losses.dtype)
        gradients = tape.gradient(total, [nudges for nudges, _ in runs], unconnected_gradients="zero")
        return [(tf.norm(each, axis=-1), lengths) for each, (_, lengths) in zip(gradients, runs, strict=True)]

    return measure
