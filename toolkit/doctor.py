"""What this machine offers and which kernels recurrent layers will use on it."""

import os
import platform
from importlib.metadata import version
from typing import Any

import keras

from toolkit import kernels
from toolkit.kernels import prediction
from toolkit.memory import WISHES
from toolkit.runtime import MANY
from toolkit.threads import IDLE, SWITCH, thread_count

PACKAGES = ("seqloom", "keras", "tensorflow", "onnxruntime", "numpy", "pandas", "scikit-learn")


def examine() -> dict[str, str]:
    """Facts by name, for people to read and to put into a bug report."""
    backend = keras.backend.backend()
    gpus = _gpus(backend)
    why = "as asked" if SWITCH in os.environ else "one for each core that this process may use"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return {
        "system": f"{machine}, Python {platform.python_version()}",
        **{name: version(name) for name in PACKAGES},
        "backend": f"{backend} (change it with KERAS_BACKEND)",
        "devices": ", ".join(gpus) or "CPU only",
        "threads": f"{thread_count()}, {why}; {SWITCH} changes it, {IDLE[0]} how soon NumPy's idle ones sleep",
        "training": _kernel(backend, bool(gpus)),
        "prediction": f"ONNX Runtime on the CPU, one fused operator per layer, with exact lengths; {_prediction()}",
        "memory": _memory(backend),
    }


def _gpus(backend: str) -> list[str]:
    match backend:
        case "tensorflow":
            import tensorflow

            return [device.name for device in tensorflow.config.list_physical_devices("GPU")]
        case "jax":
            import jax

            return [str(device) for device in jax.devices() if device.platform != "cpu"]
        case "torch":
            import torch

            return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return []


def _kernel(backend: str, gpu: bool) -> str:
    if gpu:
        return "cuDNN for LSTM and GRU, because lengths are used and no mask is passed; a loop for the vanilla RNN"
    run, name = _jax() if backend == "jax" else kernels.load()
    if run:
        without = "in decoders with input feeding" if backend == "jax" else "inside XLA"
        return f"{_own(name)}; not in mixed precision or {without}"
    loop = {"tensorflow": "a while loop", "jax": "a compiled scan", "torch": "a Python loop"}.get(backend, "a loop")
    return f"{loop} over time steps, one matrix product for all gates; no kernel of Seqloom's own: {name}"


def _jax() -> tuple[Any, str]:
    from toolkit.kernels import jax_recurrence

    return jax_recurrence.load()


def _memory(backend: str) -> str:
    if backend == "jax":
        return f"malloc keeps large arrays' memory for the next training step, unless {' or '.join(WISHES)} is set"
    return "the system's malloc, unchanged: other thresholds gain nothing here"


def _prediction() -> str:
    library, name = prediction.load()
    if library:
        layers = f"recurrent layers of large jobs ({MANY // 10**9} billion multiplications and more)"
        return f"{_own(name)}: for {layers}, and for the search of a single translator that copies no words"
    return f"no kernel of Seqloom's own: {name}"


def _own(instructions: str) -> str:
    reason = f"as {kernels.SWITCH} asks" if kernels.SWITCH in os.environ else "the best that this processor has"
    named = "avx512 and amx" if instructions == "amx" else instructions
    return f"Seqloom's own kernel with {named} instructions, {reason}"
