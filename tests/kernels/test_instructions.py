"""With one thread and fewer of the processor's instructions all kernels give the same."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kernels import test_adam_kernel, test_decoder, test_recurrence, test_recurrent, test_search

from toolkit.kernels import libraries

KERNELS = (test_adam_kernel, test_decoder, test_recurrence, test_recurrent, test_search)
CODE = """
import sys
from importlib import import_module
import numpy as np
name, path, *modules = sys.argv[1:]
arrays = {}
for module in map(import_module, modules):
    assert module.used == name, module.used
    arrays |= {f"{module.__name__}/{i}": array for i, array in enumerate(module.many_rows())}
np.savez(path, **arrays)
"""


def kernels_above(name):
    """Those whose usual instructions are more than these."""
    more = libraries.CHOICES[: libraries.CHOICES.index(name)]
    return [kernel for kernel in KERNELS if kernel.used in more]


CASES = [(name, kernel) for name in libraries.CHOICES[:-1] for kernel in kernels_above(name)]


@pytest.fixture(scope="module")
def find(tmp_path_factory):
    """A function of a set of instructions: what the kernels give with it, in one process for all of them."""

    @cache
    def arrays(name):
        path, modules = tmp_path_factory.mktemp(name) / "found.npz", [each.__name__ for each in kernels_above(name)]
        places = os.pathsep.join(map(str, Path(__file__).parents[1:3]))
        environment = {**os.environ, "PYTHONPATH": places, libraries.SWITCH: name, "TF_NUM_INTRAOP_THREADS": "1"}
        subprocess.run([sys.executable, "-c", CODE, name, str(path), *modules], env=environment, check=True)
        return dict(np.load(path))

    return arrays


@pytest.mark.parametrize(("name", "kernel"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_a_lower_instruction_set_gives_the_same(name, kernel, find):
    kernel.check_many_rows([array for key, array in find(name).items() if key.startswith(f"{kernel.__name__}/")])
