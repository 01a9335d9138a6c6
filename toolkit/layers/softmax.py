"""What a loss needs of a softmax."""

import keras
from keras import ops

from toolkit.layers.recurrent import kernel_for
from toolkit.layers.sequence import Tensor


def softmax_parts(layer: keras.layers.Layer, logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers from which log-probabilities are made, without an array of all of them.

        normalizer[r] = log sum over y of exp(logits[r,y])
        mean[r]       = mean over y of logits[r,y]
        picked[r]     = logits[r,ids[r]]

    In the kernel of a CPU, where there is one, logits are read twice, and once for their gradient, which takes their
    place.

    Shapes: logits (rows, vocab); ids (rows,) from 0 to vocab - 1 -> (rows,) each
    """
    operations = kernel_for(layer, logits)
    if operations:
        return operations.seqloom_softmax(logits, ops.cast(ids, "int32"))
    picked = ops.take_along_axis(logits, ops.expand_dims(ids, -1), axis=-1)[:, 0]
    return ops.logsumexp(logits, axis=-1), ops.mean(logits, axis=-1), picked
