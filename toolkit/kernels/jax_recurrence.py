"""Recurrent layers in the kernel, for JAX on a CPU: called from compiled programs, with no Python in between."""

import ctypes
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from toolkit.cells import CELLS
from toolkit.kernels import libraries
from toolkit.kernels.prediction import KINDS, LARGEST

FUNCTIONS = FORWARD, BACKWARD = "seqloom_recurrence", "seqloom_recurrence_grad"


@cache
def load() -> tuple[Any, str]:
    """`recurrence` and the instruction set that it uses; or None, and why there is none.

    Raises:
        ConfigError: SEQLOOM_KERNEL is none of the choices.
    """
    if libraries.asked() == "off":
        return None, f"{libraries.SWITCH} is off"
    if jax.default_backend() != "cpu":
        return None, "there is an accelerator"
    path = library()
    if not path.exists():
        return None, libraries.missing("jax", "another JAX or other sources")
    try:
        compiled = ctypes.CDLL(str(path))
        for name in FUNCTIONS:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(compiled, name)), platform="cpu")
    except Exception as error:  # XLA raises several unrelated classes
        return None, f"{path.name} cannot be loaded: {error}; delete it and build it with `{libraries.BUILD}`"
    compiled.seqloom_name.restype = ctypes.c_char_p
    return recurrence, compiled.seqloom_name().decode()


def library() -> Path:
    """Where the library is that fits the installed JAX and these sources, if it was built."""
    return libraries.library("jax", version("jaxlib"))


def recurrence(
    inputs: jax.Array,
    lengths: jax.Array,
    kernel: jax.Array,
    recurrent: jax.Array,
    bias: jax.Array,
    initial: jax.Array,
    *,
    cell: str,
    reverse: bool,
) -> tuple[jax.Array, jax.Array]:
    """A layer of recurrent.h in one direction, float32 but for the lengths, which are int32.

    Shapes: inputs (batch, time, features); lengths (batch,), each from 0 to time; kernel (features, gates * units);
        recurrent (units, gates * units); bias as Keras has it; initial (states, batch, units) or (0, 0, 0) for zeros ->
        outputs (batch, time, units), zeros past the length; final (states, batch, units)

    Raises: ValueError for shapes that do not fit one another, and for too large sizes; an error of JAX where it runs,
        for a length that is out of range.
    """
    (batch, _, features), units, known = inputs.shape, len(recurrent), CELLS[cell]
    width = len(known.blocks) * units
    found = [each.shape for each in (lengths, kernel, recurrent, bias, initial)]
    expected = [(batch,), (features, width), (units, width), (2, width) if cell == "gru" else (width,)]
    expected += [(known.states, batch, units) if initial.size else initial.shape]
    if found != expected:  # the library takes them as they are
        raise ValueError(f"inputs are {inputs.shape}, the other arrays {found}, expected {expected}")
    if max(*inputs.shape, kernel.size + recurrent.size) >= LARGEST:
        raise ValueError(f"inputs {inputs.shape} or kernels {kernel.shape}, {recurrent.shape} are too large")
    return _recurrence(KINDS.index(cell), reverse, inputs, lengths, kernel, recurrent, bias, initial)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recurrence(cell: int, reverse: bool, *arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
    outputs, final, _ = _forward(cell, reverse, 0, arrays)
    return outputs, final


def _forward(cell: int, reverse: bool, saved: int, arrays: tuple[jax.Array, ...]) -> list[jax.Array]:
    """Outputs, final and `saved` numbers a step of each row for the gradients."""
    (batch, time, _), units = arrays[0].shape, len(arrays[3])
    shapes = [(batch, time, units), (CELLS[KINDS[cell]].states, batch, units), (time, batch, saved)]
    return _call(FORWARD, shapes, arrays, cell, reverse)


def _with_saved(cell: int, reverse: bool, *arrays: jax.Array) -> tuple[Any, Any]:
    units = len(arrays[3])
    saved = {"rnn": 0, "lstm": 5, "gru": 4}[KINDS[cell]] * (-(-units // 16) * 16)  # `saved_size` of recurrent.h
    outputs, final, kept = _forward(cell, reverse, saved, arrays)
    return (outputs, final), (arrays, outputs, kept)


def _gradients(cell: int, reverse: bool, residuals: Any, gradients: tuple[jax.Array, ...]) -> tuple[Any, ...]:
    arrays, outputs, kept = residuals
    inputs, _, *others = (each.shape for each in arrays)
    found = _call(BACKWARD, [inputs, *others], (*arrays, outputs, kept, *gradients), cell, reverse)
    return found[0], None, *found[1:]


_recurrence.defvjp(_with_saved, _gradients)


def _call(name: str, shapes: Sequence[tuple[int, ...]], arrays: tuple[jax.Array, ...], cell: int, reverse: bool) -> Any:
    results = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    return jax.ffi.ffi_call(name, results, vmap_method="sequential")(*arrays, cell=np.int64(cell), reverse=reverse)
