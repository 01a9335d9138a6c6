"""On JAX the kernel gives what Keras' layers give there, in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from toolkit.kernels import libraries
from toolkit.kernels.prediction import KINDS

if not find_spec("jax"):
    pytest.skip("there is no JAX", allow_module_level=True)
from toolkit.kernels import jax_recurrence

pytestmark = pytest.mark.skipif(
    libraries.asked() == "off" or not jax_recurrence.library().exists(), reason="there is no kernel"
)
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What `jax_numbers` computes."""
    path = tmp_path_factory.mktemp("jax") / "numbers.npz"
    places = os.pathsep.join(map(str, HERE.parents[:2]))
    # Without optimizations XLA compiles what is around the kernel sooner.
    jax = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, **jax, "PYTHONPATH": places}
    subprocess.run([sys.executable, HERE / "jax_numbers.py", path], env=environment, check=True)
    return dict(np.load(path))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", KINDS)
def test_outputs_and_all_gradients_are_those_of_keras(numbers, cell, reverse):
    names = [name for name in numbers if name.startswith(f"{(cell, reverse)}/keras")]
    assert len(names) >= 6
    for name in names:
        expected = numbers[name]
        tolerance = 1e-5 * max(1, np.abs(expected).max())
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(numbers[name.replace("keras", "kernel")], expected, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_no_rows_or_no_steps_give_none_and_gradients_of_zero(numbers, shape):
    outputs, final, *gradients = (numbers[f"{shape}/{i}"] for i in range(6))
    assert outputs.shape == (*shape, 3) and final.shape == (shape[0], 3)
    assert not any(array.any() for array in (final, *gradients))


def test_groups_of_rows_may_be_mapped_over(numbers):
    np.testing.assert_array_equal(numbers["mapped"], numbers["at once"])


def test_lengths_that_do_not_fit_are_refused(numbers):
    for said, length in zip(numbers["refused"], (4, -1), strict=True):
        assert f"the length of row 1 is {length}, expected from 0 to 3" in said


def test_shapes_that_do_not_fit_are_refused():
    sizes = {"inputs": (2, 4, 5), "lengths": (2,), "kernel": (5, 9), "recurrent": (3, 9), "bias": (2, 9)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in sizes.items()} | {"initial": np.zeros((1, 2, 3))}
    for name, shape in (
        *(("inputs", (2, 4, 6)), ("inputs", (3, 4, 5)), ("lengths", (1,)), ("lengths", (2, 1)), ("kernel", (5, 12))),
        *(("recurrent", (3, 10)), ("bias", (18,)), ("initial", (1, 1, 3)), ("initial", (2, 2, 3))),
    ):
        with pytest.raises(ValueError, match="expected"):
            jax_recurrence.recurrence(**arrays | {name: np.zeros(shape)}, cell="gru", reverse=False)
