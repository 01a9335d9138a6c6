"""A fused kernel for recurrent layers on a CPU, compiled for the TensorFlow that is there: see `build.py`.

It is an option: without it layers run as Keras runs them, and give the same numbers.
"""

import ctypes
import os
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError

FOLDER = Path(__file__).parent
SOURCES = ("recurrent.h", "recurrent_kernel.cpp", "tensorflow_ops.cc")
SWITCH = "SEQLOOM_KERNEL"
CHOICES = ("avx512", "avx2", "portable", "off")
BUILD = "python -m toolkit.kernels.build"


def library() -> Path:
    """Where the library is that fits the installed TensorFlow and these sources, if it was built."""
    sources = sha256(b"".join((FOLDER / name).read_bytes() for name in SOURCES)).hexdigest()
    return FOLDER / f"recurrent-{version('tensorflow')}-{sources[:8]}.so"


@cache
def load() -> tuple[Any, str]:
    """TensorFlow's operations of the kernel and the instruction set that it uses; or None, and why there is none.

    Raises:
        ConfigError: SEQLOOM_KERNEL is none of the choices.
    """
    import keras

    switch = os.environ.get(SWITCH, CHOICES[0])
    if switch not in CHOICES:
        raise ConfigError(f"{SWITCH} is {switch!r}, expected one of {', '.join(CHOICES)}.")
    if switch == "off":
        return None, f"{SWITCH} is off"
    if keras.backend.backend() != "tensorflow":
        return None, "it is for the TensorFlow backend"
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return None, "there is a GPU"
    path = library()
    if not path.exists():
        others = ", ".join(other.name for other in FOLDER.glob("recurrent-*.so"))
        found = f"{others} is for another TensorFlow or other sources" if others else "it is not built"
        return None, f"{found}; build it with `{BUILD}`"
    try:
        operations = tf.load_op_library(str(path))
    except tf.errors.OpError as error:
        return None, f"{path.name} cannot be loaded: {error.message}; build it with `{BUILD}`"
    tf.RegisterGradient("SeqloomRecurrence")(_gradient)
    name = ctypes.CDLL(str(path)).seqloom_kernel_name
    name.restype = ctypes.c_char_p
    return operations, name().decode()


def _gradient(operation: Any, d_outputs: Any, d_final: Any, _: Any) -> list[Any]:
    import tensorflow as tf

    outputs, _, saved = operation.outputs
    if not tf.executing_eagerly() and d_outputs.op.type == "Fill":  # only the final state is used
        d_outputs = tf.zeros((0, 0, 0)) if tf.get_static_value(d_outputs.op.inputs[1]) == 0 else d_outputs
    d_inputs, d_kernel, d_recurrent, d_bias, d_initial = load()[0].seqloom_recurrence_grad(
        *operation.inputs,
        outputs,
        saved,
        d_outputs,
        d_final,
        cell=operation.get_attr("cell"),
        reverse=operation.get_attr("reverse"),
    )
    return [d_inputs, None, d_kernel, d_recurrent, d_bias, d_initial]
