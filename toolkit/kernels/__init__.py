"""Kernels for a CPU, compiled by `build.py`: a library for training, for the TensorFlow that is there, which is loaded
here; one for JAX (`jax_recurrence.py`); and one for what predicts, which needs neither (`prediction.py`).

They are an option: without them layers run as Keras runs them, and predictions as ONNX Runtime, and give the same
numbers.
"""

import ctypes
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

from toolkit.kernels import libraries
from toolkit.kernels.libraries import BUILD, CHOICES, SWITCH

__all__ = ["BUILD", "CHOICES", "SWITCH", "in_xla", "library", "load"]
_loading = Lock()  # TensorFlow takes an operation's gradient once


def library() -> Path:
    """Where the library is that fits the installed TensorFlow and these sources, if it was built."""
    from importlib.metadata import version  # what predicts starts without it

    return libraries.library("recurrent", version("tensorflow"))


def load() -> tuple[Any, str]:
    """TensorFlow's operations of the kernel and the instruction set that it uses; or None, and why there is none.

    Raises:
        ConfigError: SEQLOOM_KERNEL is none of the choices.
    """
    with _loading:
        return _load()


@cache
def _load() -> tuple[Any, str]:
    import keras

    if libraries.asked() == "off":
        return None, f"{SWITCH} is off"
    if keras.backend.backend() != "tensorflow":
        return None, "it is for the TensorFlow backend"
    from importlib.metadata import PackageNotFoundError

    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return None, "there is a GPU"
    try:
        path = library()
    except PackageNotFoundError as error:
        return None, str(error)
    if not path.exists():
        return None, libraries.missing("recurrent", "another TensorFlow or other sources")
    try:
        operations = tf.load_op_library(str(path))
    except tf.errors.OpError as error:
        return None, f"{path.name} cannot be loaded: {error.message}; delete it and build it with `{BUILD}`"
    from toolkit.kernels import gradients

    tf.RegisterGradient("SeqloomRecurrence")(partial(gradients.recurrence, operations))
    tf.RegisterGradient("SeqloomDecoder")(partial(gradients.decoder, operations))
    tf.RegisterGradient("SeqloomSoftmax")(partial(gradients.softmax, operations))
    for kind in ("Recurrence", "Decoder", "Softmax"):
        tf.RegisterGradient(f"Seqloom{kind}Grad")(gradients.refuse)
    name = ctypes.CDLL(str(path)).seqloom_kernel_name
    name.restype = ctypes.c_char_p
    return operations, name().decode()


def in_xla() -> bool:
    """Whether this is being traced for XLA, as `jit_compile` asks, which has no place for operations of one's own."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
