"""The library of what predicts, compiled by `build.py`. Needs neither Keras nor TensorFlow.

It is called through ctypes, which lets other threads run meanwhile: a call takes one thread.
"""

import ctypes
from ctypes import c_char_p, c_int, c_int64, c_void_p
from functools import cache
from typing import Any

import numpy as np

from toolkit.kernels import libraries

KINDS = ("rnn", "lstm", "gru")  # of cells that the kernels know: `Cell` of recurrent.h
LARGEST = 1 << 30  # numbers in a matrix
ALIGNMENT = 64  # bytes, those of a vector
FUNCTIONS: dict[str, tuple[Any, ...]] = {  # what each returns and is given; structures by their address
    "name": (c_char_p,),
    "output_packed_size": (c_int64, c_int, c_int),
    "output_pack": (None, c_int, c_int, c_void_p, c_void_p, c_void_p),
    "output_best": (c_int, c_int, c_int, c_void_p, c_int64, c_void_p, c_int, c_void_p, c_void_p),
    "decoder_packed_size": (c_int64, c_void_p),
    "decoder_pack": (None, c_void_p, c_void_p),
    "decoder_step": (c_int, c_void_p, c_void_p),
    "decoder_give": (c_int, c_void_p, c_void_p, c_void_p, c_int),
    "recurrence_packed_size": (c_int64, c_void_p),
    "recurrence_pack": (None, c_void_p, c_void_p),
    "recurrence_run": (c_int, c_void_p, c_void_p),
}


@cache
def load() -> tuple[Any, str]:
    """The library and the instruction set that it uses; or None, and why there is none.

    Raises:
        ConfigError: SEQLOOM_KERNEL is none of the choices.
    """
    if libraries.asked() == "off":
        return None, f"{libraries.SWITCH} is off"
    path = libraries.library("prediction")
    if not path.exists():
        return None, libraries.missing("prediction", "other sources")
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, f"seqloom_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        return None, f"{path.name} cannot be loaded: {error}; delete it and build it with `{libraries.BUILD}`"
    return library, library.seqloom_name().decode()


def loaded() -> Any:
    """The library.

    Raises: RuntimeError where there is none.
    """
    library, why = load()
    if not library:
        raise RuntimeError(f"there is no kernel: {why}")
    return library


def aligned(size: int) -> np.ndarray:
    """So many floats, the first of them at a multiple of ALIGNMENT."""
    room = np.empty(size + ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % ALIGNMENT // 4
    return room[start : start + size]
