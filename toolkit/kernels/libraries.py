"""Where the compiled kernels are and what was asked of them. Imports neither Keras nor TensorFlow."""

import os
from hashlib import sha256
from pathlib import Path

from toolkit.errors import ConfigError

FOLDER = Path(__file__).parent
SHARED = (
    *("recurrent.h", "recurrent_gates.h", "recurrent_tiles.h", "recurrent_kernel.cpp"),
    *("product_tiles.h", "tiles.h", "vectors.h", "processor.h", "build.py"),
)
DECODER = ("decoder.h", "decoder_kernel.cpp")
SOURCES = {  # of each library: a .cpp is compiled once for each instruction set, a .cc once
    "recurrent": (
        *SHARED,
        *DECODER,
        *("shares.h", "recurrent_ops.cc", "decoder_ops.cc"),
        *("softmax.h", "softmax_kernel.cpp", "softmax_ops.cc"),
        *("adam.h", "adam_kernel.cpp", "adam_ops.cc", "operation.h"),
    ),
    "prediction": (
        *SHARED,
        *DECODER,
        *("output.h", "output_kernel.cpp", "product_registers.h", "memory.h", "prediction.cc"),
    ),
    "jax": (*SHARED, "shares.h", "memory.h", "recurrent_jax.cc"),
}
SWITCH = "SEQLOOM_KERNEL"
CHOICES = ("amx", "avx512", "avx2", "portable", "off")
BUILD = "python -m toolkit.kernels.build"


def library(name: str, version: str = "") -> Path:
    """Where the library is that fits these sources and, if it is for another package, its version, if it was built."""
    sources = sha256(b"".join((FOLDER / source).read_bytes() for source in SOURCES[name])).hexdigest()
    return FOLDER / "-".join([name, *([version] if version else []), f"{sources[:8]}.so"])


def asked() -> str:
    """The choice that SEQLOOM_KERNEL makes.

    Raises:
        ConfigError: it is none of the choices.
    """
    switch = os.environ.get(SWITCH, CHOICES[0])
    if switch not in CHOICES:
        raise ConfigError(f"{SWITCH} is {switch!r}, expected one of {', '.join(CHOICES)}.")
    return switch


def missing(name: str, misfit: str) -> str:
    """Why there is no library of this name, where there is none; `misfit`: what those that are there are for."""
    others = ", ".join(sorted(other.name for other in FOLDER.glob(f"{name}-*.so")))
    found = f"{others} is for {misfit}" if others else "it is not built"
    return f"{found}; build it with `{BUILD}`"
