"""The same weights give the same numbers on every backend, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from contracts import backend_numbers

HERE = Path(__file__).parent
PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
INSTALLED = [backend for backend, package in PACKAGES.items() if importlib.util.find_spec(package)]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What each installed backend computes from the same weights, by backend."""
    folder = tmp_path_factory.mktemp("backends")
    random = np.random.default_rng(0)
    given = {"tokens": random.integers(0, 11, (4, 8)).astype(np.int32), "lengths": np.array([8, 1, 0, 5], np.int32)}
    for name in backend_numbers.NETWORKS:
        for i, weight in enumerate(backend_numbers.build(name).weights):
            given[f"{name}/{i}"] = random.normal(size=weight.shape, scale=0.5).astype(np.float32)
    np.savez(folder / "given.npz", **given)
    running = {backend: _start(backend, folder) for backend in INSTALLED}
    for backend, process in running.items():
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, f"{backend}: {errors[-2000:]}"
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in INSTALLED}


def _start(backend, folder):
    command = [sys.executable, HERE / "backend_numbers.py", folder / "given.npz", folder / f"{backend}.npz"]
    # Without optimizations XLA compiles sooner, and computes numbers anew that it then rounds otherwise.
    jax = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    places = os.pathsep.join(map(str, HERE.parents[:2]))
    environment = {**os.environ, **jax, "KERAS_BACKEND": backend, "PYTHONPATH": places}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", backend_numbers.NETWORKS)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_outputs_gradients_and_a_step_equal_those_of_tensorflow(numbers, backend, name):
    if backend not in INSTALLED:
        pytest.skip(f"{backend} is not installed")
    assert numbers[backend]["backend"] == backend
    expected = {key: array for key, array in numbers["tensorflow"].items() if key.startswith(f"{name}/")}
    assert len(expected) > 3
    for key, array in expected.items():
        assert np.abs(array).max() > 0, key
        largest = max(1, np.abs(array).max())
        np.testing.assert_allclose(numbers[backend][key], array, atol=1e-5 * largest, rtol=0, err_msg=key)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_training_goes_as_on_tensorflow(numbers, backend):
    if backend not in INSTALLED:
        pytest.skip(f"{backend} is not installed")
    expected = numbers["tensorflow"]["losses"]
    assert expected[-1] < expected[0] / 2
    np.testing.assert_allclose(numbers[backend]["losses"], expected, rtol=1e-4)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_steps_of_training_are_compiled(numbers, backend):
    assert 0 < numbers[backend]["calls"] < 5  # of twenty steps
