"""The output layer of a search: the best tokens of each row and their log-probabilities, computed at once.

Neither logits nor probabilities of all tokens go to memory. It is compiled by `build.py`, called through ctypes, which
lets other threads run meanwhile, and needs neither Keras nor TensorFlow.
"""

import ctypes
from ctypes import c_char_p, c_int, c_int64, c_void_p
from functools import cache
from typing import Any

import numpy as np

from toolkit.kernels import libraries

MOST = 512  # of the best that `best` finds at once: a longer list takes more time than all else
LARGEST = 1 << 30  # numbers in a matrix
ALIGNMENT = 64  # bytes, those of a vector


@cache
def load() -> tuple[Any, str]:
    """The library and the instruction set that it uses; or None, and why there is none.

    Raises:
        ConfigError: SEQLOOM_KERNEL is none of the choices.
    """
    if libraries.asked() == "off":
        return None, f"{libraries.SWITCH} is off"
    path = libraries.library("output")
    if not path.exists():
        return None, libraries.missing("output", "other sources")
    try:
        library = ctypes.CDLL(str(path))
        for name, result, *arguments in (
            ("name", c_char_p),
            ("packed_size", c_int64, c_int, c_int),
            ("pack", None, c_int, c_int, c_void_p, c_void_p, c_void_p),
            ("best", c_int, c_int, c_int, c_void_p, c_int64, c_void_p, c_int, c_void_p, c_void_p),
        ):
            function = getattr(library, f"seqloom_output_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        return None, f"{path.name} cannot be loaded: {error}; build it with `{libraries.BUILD}`"
    return library, library.seqloom_output_name().decode()


class OutputLayer:
    """A dense layer and a softmax, of which only the best is wanted. Any number of threads may use it at once.

        log P[y] = logit[y] - log sum over all tokens of exp(logit),  logit = states kernel + bias

    Args:
        kernel: (features, vocab).
        bias: (vocab,).

    Raises: ValueError for other shapes, RuntimeError where there is no library.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray):
        library, why = load()
        if not library:
            raise RuntimeError(f"there is no kernel: {why}")
        if kernel.ndim != 2 or not 0 < kernel.size < LARGEST or bias.shape != kernel.shape[1:]:
            raise ValueError(
                f"kernel and bias are {kernel.shape} and {bias.shape}, expected (features, vocab), (vocab,)"
            )
        self.features, self.vocab = kernel.shape
        self._best = library.seqloom_output_best
        self._packed = _aligned(library.seqloom_output_packed_size(self.features, self.vocab))
        kernel, bias = (np.ascontiguousarray(each, np.float32) for each in (kernel, bias))
        sizes = self.features, self.vocab
        library.seqloom_output_pack(*sizes, kernel.ctypes.data, bias.ctypes.data, self._packed.ctypes.data)

    def best(self, states: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best log-probabilities and their tokens, best first, of equal ones the lower token first.

        A row with a logit that is no number, or infinite, has no probabilities: its scores are no numbers either.

        Shapes: states (rows, features) -> scores, tokens (rows, k), k from 1 to MOST, and to the vocabulary
        """
        if states.ndim != 2 or states.shape[1] != self.features:
            raise ValueError(f"states are {states.shape}, expected (rows, {self.features})")
        if not 1 <= k <= min(MOST, self.vocab):
            raise ValueError(f"k is {k}, expected 1 to {min(MOST, self.vocab)}")
        states, rows = np.ascontiguousarray(states, np.float32), len(states)
        scores, tokens = np.empty((rows, k), np.float32), np.empty((rows, k), np.int64)
        pointers = (each.ctypes.data for each in (self._packed, states, scores, tokens))
        packed, read, first, second = pointers
        if not self._best(self.features, self.vocab, packed, rows, read, k, first, second):
            raise MemoryError(f"no memory to find the best of {rows} rows")
        return scores, tokens


def _aligned(size: int) -> np.ndarray:
    """So many floats, the first of them at a multiple of ALIGNMENT."""
    room = np.empty(size + ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % ALIGNMENT // 4
    return room[start : start + size]
