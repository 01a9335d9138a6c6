"""A recurrent layer of one or two directions over right-padded sequences, as ONNX' operators define it."""

from collections.abc import Sequence
from ctypes import Structure, byref, c_bool, c_int, c_void_p

import numpy as np

from toolkit.cells import CELLS
from toolkit.kernels.prediction import KINDS, LARGEST, aligned, loaded

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]  # kernel, recurrent kernel, bias
ARRAYS = ("lengths", "inputs", "kernel", "recurrent", "bias", "initial", "outputs", "final", "saved")


class _Apart(Structure):
    """`Apart` of recurrent.h."""

    _fields_ = (("row", c_int), ("step", c_int))


class _Layer(Structure):
    """`Layer` of recurrent.h."""

    _fields_ = (
        ("cell", c_int),
        ("reverse", c_bool),
        *((name, c_int) for name in ("batch", "time", "features", "units")),
        *((name, c_void_p) for name in ARRAYS),
        ("inwards", _Apart),  # `in` and `out` there
        ("outwards", _Apart),
    )


class Recurrence:
    """A layer's directions, the second of which reads each row from its end. Any number of threads may use it at once.

    The equations are those of toolkit/kernels/recurrent.h.

    Args:
        cell: rnn, lstm or gru.
        directions: of each the kernel (features, gates * units), the recurrent kernel (units, gates * units) and the
            bias (gates * units,), of a gru (2, gates * units), in Keras' order of gates.

    Raises: ValueError for other shapes, RuntimeError where there is no library.
    """

    def __init__(self, cell: str, directions: Sequence[Weights]):
        self._library = loaded()
        self.cell, (self.features, self.units) = cell, (len(each) for each in directions[0][:2])
        width = len(CELLS[cell].blocks) * self.units
        shapes = [(self.features, width), (self.units, width), (2, width) if cell == "gru" else (width,)]
        self._packed = []
        for reverse, weights in enumerate(directions):
            found = [each.shape for each in weights]
            if found != shapes or not 0 < (self.features + self.units) * width < LARGEST or reverse > 1:
                raise ValueError(f"weights of a direction are {found}, expected {shapes} of one or two directions")
            arrays = [np.ascontiguousarray(each, np.float32) for each in weights]
            places = {name: each.ctypes.data for name, each in zip(ARRAYS[2:], arrays, strict=False)}
            layer = self._layer(bool(reverse), **places)
            packed = aligned(self._library.seqloom_recurrence_packed_size(byref(layer)))
            self._library.seqloom_recurrence_pack(byref(layer), packed.ctypes.data)
            self._packed.append(packed)

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray, initial: np.ndarray | None = None, *, outputs: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """All states where `outputs` are asked for, zero past a row's length, and those after a row's last step.

        Shapes: inputs (time, batch, features) float32; lengths (batch,) int32, from 0 to time; initial (states,
            directions, batch, units) -> (time, directions, batch, units); final like initial, which is h, c of an lstm
        """
        (time, batch), directions = inputs.shape[:2], len(self._packed)
        states = (CELLS[self.cell].states, directions, batch, self.units)
        given = [inputs, lengths, *([] if initial is None else [initial])]
        found, shapes = [each.shape for each in given], [(time, batch, self.features), (batch,), states]
        if found != shapes[: len(given)]:
            raise ValueError(f"inputs are {found}, expected {shapes[: len(given)]}")
        if batch and not 0 <= lengths.min() <= lengths.max() <= time:
            raise ValueError(f"lengths go from {lengths.min()} to {lengths.max()}, expected 0 to {time}")
        kinds = (np.float32, np.int32, np.float32)
        inputs, lengths, *starts = (np.ascontiguousarray(each, kind) for each, kind in zip(given, kinds, strict=False))
        written = np.empty((time, directions, batch, self.units), np.float32) if outputs else None
        final = np.empty((directions, *states[:1], *states[2:]), np.float32)
        for direction, packed in enumerate(self._packed):
            start = np.ascontiguousarray(starts[0][:, direction]) if starts else None
            layer = self._layer(
                direction == 1,
                batch=batch,
                time=time,
                lengths=lengths.ctypes.data,
                inputs=inputs.ctypes.data,
                initial=None if start is None else start.ctypes.data,
                outputs=None if written is None else written[:, direction].ctypes.data,
                final=final[direction].ctypes.data,
                inwards=_Apart(1, batch),
                outwards=_Apart(1, directions * batch),
            )
            if not self._library.seqloom_recurrence_run(byref(layer), packed.ctypes.data):
                raise MemoryError(f"no memory for {batch} rows")
        return written, final.swapaxes(0, 1)

    def _layer(self, reverse: bool, **fields: object) -> _Layer:
        sizes = {"features": self.features, "units": self.units}
        return _Layer(cell=KINDS.index(self.cell), reverse=reverse, **sizes, **fields)
