"""The same tests with fewer instructions of the processor, in a process of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from inspect import getfile
from pathlib import Path

import numpy as np

from toolkit.kernels import libraries

CODE = """
import sys
from importlib import import_module
import numpy as np
module = import_module(sys.argv[1])
assert module.used == sys.argv[2], module.used
np.savez(sys.argv[4], *getattr(module, sys.argv[3])())
"""


def lower(used: str) -> list[str]:
    """The sets of instructions below the one that is used, or none where there is no kernel."""
    choices = libraries.CHOICES[:-1]
    return list(choices[choices.index(used) + 1 :]) if used in choices else []


def arrays_with(name: str, function: Callable, folder: Path) -> Iterable[np.ndarray]:
    """What a function of a test module, which gives arrays, gives with these instructions and one thread."""
    path, module = folder / "found.npz", Path(getfile(function))
    places = os.pathsep.join(map(str, (module.parent, *Path(__file__).parents[:2])))
    environment = {**os.environ, "PYTHONPATH": places, libraries.SWITCH: name, "TF_NUM_INTRAOP_THREADS": "1"}
    command = [sys.executable, "-c", CODE, module.stem, name, function.__name__, str(path)]
    subprocess.run(command, env=environment, check=True)
    return np.load(path).values()
