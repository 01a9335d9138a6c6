"""What a search needs of a decoder: a step of it, and of its output layer the best tokens of each row.

Neither logits nor probabilities of all tokens go to memory.
"""

from ctypes import Structure, byref, c_bool, c_int, c_void_p

import numpy as np

from toolkit.cells import CELLS
from toolkit.kernels.prediction import KINDS, LARGEST, aligned, loaded

MOST = 512  # of the best that `best` finds at once: a longer list takes more time than all else
SIZES = ("features", "batch", "time", "source", "units", "width")
FLOATS = ("inputs", "recurrent", "mask", "initial", "memory", "keys", "query", "query_bias", "energy", "combine")
KEPT = ("combine_bias", "outputs", "weights", "before", "after", "gates", "queries")


class _Decoder(Structure):
    """`Decoder` of decoder.h."""

    _fields_ = (
        ("cell", c_int),
        ("additive", c_bool),
        *((name, c_int) for name in SIZES),
        ("lengths", c_void_p),
        *((name, c_void_p) for name in (*FLOATS, *KEPT)),
    )


class _SearchStep(Structure):
    """`SearchStep` of decoder.h."""

    _fields_ = (
        ("decoder", _Decoder),
        ("beams", c_int),
        *((name, c_void_p) for name in ("words", "bias", "given", "tokens", "state", "next", "weights")),
    )


class OutputLayer:
    """A dense layer and a softmax, of which only the best is wanted. Any number of threads may use it at once.

        log P[y] = logit[y] - log sum over all tokens of exp(logit),  logit = states kernel + bias

    Args:
        kernel: (features, vocab).
        bias: (vocab,).

    Raises: ValueError for other shapes, RuntimeError where there is no library.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray):
        library = loaded()
        if kernel.ndim != 2 or not 0 < kernel.size < LARGEST or bias.shape != kernel.shape[1:]:
            raise ValueError(
                f"kernel and bias are {kernel.shape} and {bias.shape}, expected (features, vocab), (vocab,)"
            )
        self.features, self.vocab = kernel.shape
        self._best = library.seqloom_output_best
        self._packed = aligned(library.seqloom_output_packed_size(self.features, self.vocab))
        kernel, bias = (np.ascontiguousarray(each, np.float32) for each in (kernel, bias))
        sizes = self.features, self.vocab
        library.seqloom_output_pack(*sizes, kernel.ctypes.data, bias.ctypes.data, self._packed.ctypes.data)

    def best(self, states: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best log-probabilities and their tokens, best first, of equal ones the lower token first.

        A row with a logit that is no number, or beyond all numbers, has no probabilities: its scores are no numbers
        either. A logit of minus infinity has probability 0.

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


class DecoderStep:
    """A step of a `RecurrentDecoder` of one layer that feeds back its attention. Any number of threads may use it.

        z = [words[token]; a; h] G + bias, the gates' sums; then as in toolkit/kernels/decoder.h

    What a token gives z is the same in each step: it is computed when the token first occurs, and kept, (vocab,
    columns) numbers in the end.

    Args:
        cell: rnn, lstm or gru.
        words: (vocab, features).
        gates, bias: (features + 2 units, columns), (columns,), as `toolkit.layers.fused_decoder` makes them.
        combine, combine_bias: (units + width, units), (units,).
        asks: of Bahdanau's attention the query's kernel, its bias and the energy, (units, units), (units,), (units,);
            none of Luong's.

    Raises: ValueError for other shapes, RuntimeError where there is no library.
    """

    def __init__(
        self,
        cell: str,
        words: np.ndarray,
        gates: np.ndarray,
        bias: np.ndarray,
        combine: np.ndarray,
        combine_bias: np.ndarray,
        *asks: np.ndarray,
    ):
        self._library = loaded()
        features, units = words.shape[-1], len(combine_bias)
        columns, arrays = units * (1 if cell == "rnn" else 4), [words, gates, bias, combine, combine_bias, *asks]
        shapes = [(len(words), features), (features + 2 * units, columns), (columns,), (len(combine), units), (units,)]
        shapes += [(units, units), (units,), (units,)] if asks else []
        if [each.shape for each in arrays] != shapes or len(combine) <= units or not units:
            raise ValueError(f"weights are {[each.shape for each in arrays]}, expected {shapes}")
        if len(words) * columns >= LARGEST:
            raise ValueError(f"what {len(words):,} words give {columns:,} sums is too large")
        self.vocab, self.units, self.width = len(words), units, len(combine) - units
        self.states = 1 + CELLS[cell].states  # of units numbers each, with what is fed back
        names = ("words", "gates", "bias", "combine", "combine_bias", "query", "query_bias", "energy")
        self._arrays = {name: np.ascontiguousarray(each, np.float32) for name, each in zip(names, arrays, strict=False)}
        places = {name: each.ctypes.data for name, each in self._arrays.items()}
        places["recurrent"] = places.pop("gates")
        self._given = np.empty((self.vocab, columns), np.float32)
        self._known = np.zeros(self.vocab, bool)
        self._tables = places.pop("words"), places.pop("bias"), self._given.ctypes.data
        sizes = {"features": features, "units": units, "width": self.width}
        self._fixed = {"cell": KINDS.index(cell), "additive": bool(asks), **sizes, **places}
        decoder = _Decoder(**self._fixed)
        self._packed = aligned(self._library.seqloom_decoder_packed_size(byref(decoder)))
        self._library.seqloom_decoder_pack(byref(decoder), self._packed.ctypes.data)

    def step(
        self, tokens: np.ndarray, state: np.ndarray, memory: np.ndarray, keys: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next state, and what was looked at.

        Shapes: tokens (rows,), rows = sentences * beams; state (rows, states * units), h, c of an lstm and a; memory
            (sentences, source, width); keys (sentences, source, units); lengths (sentences,) -> the same as state;
            weights (rows, source)
        """
        rows, (sentences, source, _) = len(tokens), memory.shape
        beams = rows // max(sentences, 1)
        shapes = [(sentences * beams,), (rows, self.states * self.units)]
        shapes += [(sentences, source, self.width), (sentences, source, self.units), (sentences,)]
        given, kinds = [tokens, state, memory, keys, lengths], [np.int32, *[np.float32] * 3, np.int32]
        if [each.shape for each in given] != shapes:
            raise ValueError(f"inputs are {[each.shape for each in given]}, expected {shapes}")
        for name, numbers, most in (("tokens", tokens, self.vocab - 1), ("lengths", lengths, source)):
            if rows and not 0 <= numbers.min() <= numbers.max() <= most:
                raise ValueError(f"{name} go from {numbers.min()} to {numbers.max()}, expected 0 to {most}")
        tokens, state, memory, keys, lengths = map(np.ascontiguousarray, given, kinds)
        after, weights = np.empty_like(state), np.empty((rows, source), np.float32)
        new = np.array(sorted({*tokens[~self._known[tokens]].tolist()}), np.int32)
        looked = {"memory": memory.ctypes.data, "keys": keys.ctypes.data, "lengths": lengths.ctypes.data}
        decoder = _Decoder(batch=sentences, source=source, time=1, **self._fixed, **looked)
        places = (each.ctypes.data for each in (tokens, state, after, weights))
        call, packed = _SearchStep(decoder, beams, *self._tables, *places), self._packed.ctypes.data
        known = not len(new) or self._library.seqloom_decoder_give(byref(call), packed, new.ctypes.data, len(new))
        if not known or not self._library.seqloom_decoder_step(byref(call), packed):
            raise MemoryError(f"no memory for a step of {rows} rows")
        self._known[new] = True  # other threads may have written the same numbers meanwhile
        return after, weights
