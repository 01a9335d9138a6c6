"""Training steps on JAX without a GPU: in the kernel, on TensorFlow in its kernel, and on JAX as Keras runs them there.

    PYTHONPATH=. python benchmarks/jax_step.py [ROUNDS [CASE...]]

Cases and steps are those of accelerator_step.py, in float32; losses must agree there too.
"""

import os
import sys

from accelerator_step import CASES, compare

PROGRAMS = {
    "JAX": ([sys.executable], "jax"),
    "TensorFlow": ([sys.executable], "tensorflow"),
    "JAX, stock": (["env", "SEQLOOM_KERNEL=off", sys.executable], "jax"),
}

if __name__ == "__main__":
    os.environ.update(JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
    for case in sys.argv[2:] or CASES:
        compare(case, "float32", int(sys.argv[1]) if len(sys.argv) > 1 else 5, PROGRAMS)
