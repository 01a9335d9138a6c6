"""Runs a graph with ONNX Runtime, its recurrent layers in the kernel where there is much to do. Imports no Keras."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from toolkit import graph_tables
from toolkit.errors import COPY_AGAIN, ArtifactError
from toolkit.threads import Pool

MANY = 60_000_000_000  # multiplications from which on it pays to prepare the kernel, which takes a tenth of a second
PIECE = 64  # rows of one call: with more a recurrent operator is no faster, and cores idle while the last calls end

# Else ONNX Runtime keeps a number of this machine in the user's cache and tells Microsoft of each graph that it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

KINDS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}

Execute = Callable[[Sequence[str], Mapping[str, np.ndarray]], list[np.ndarray]]


class Runtime:
    """A loaded graph. A call takes one thread: recurrent operators gain little from more, so calls run side by side.

    Args:
        model: the bytes of an ONNX file.
        name: stands in error messages.

    Attributes:
        pool: for calls side by side.
        fused: whether recurrent layers run in the kernel.
    """

    def __init__(self, model: bytes, *, name: str = "model.onnx"):
        import onnxruntime

        self.name = name
        try:
            graph_tables.check_operators(model)
        except (ValueError, OverflowError) as error:
            raise ArtifactError(f"this graph cannot be loaded: {error}.", where=name) from error
        self._graph, self._tables = graph_tables.split(model)
        session = self._load(self._graph)
        inputs = [value for value in session.get_inputs() if value.name not in self._tables]
        self.axes = {value.name: value.shape for value in inputs}
        self.kinds = {value.name: KINDS.get(value.type, np.float32) for value in inputs}
        self.inputs = list(self.axes)
        self.outputs = {value.name: value.shape for value in session.get_outputs()}
        self.options = onnxruntime.RunOptions()
        self.options.only_execute_path_to_fetches = True
        self.pool = Pool()
        self.fused = False
        self._multiplications, self._prepared = 0, False
        # Without self: what refers to itself keeps its memory until Python looks for such.
        tables, options = self._tables, self.options
        self._execute: Execute = lambda outputs, inputs: session.run(outputs, {**inputs, **tables}, options)

    def expect(self, steps: int) -> None:
        """Say that rows of so many steps follow; from MANY on recurrent layers run in the kernel, if there is one.

        A step is taken to multiply each of the graph's weights once, as nearly all steps do.
        """
        self._multiplications += steps * (len(self._graph) // 4)
        if self._prepared or self._multiplications < MANY:
            return
        self._prepared = True
        from toolkit.kernels import prediction  # what starts a small job waits for neither
        from toolkit.stages import Stages

        if not prediction.load()[0]:
            return
        try:
            stages = Stages(self._graph, self._tables, self._load, self.options)
        except ArtifactError:
            raise
        except Exception as error:  # ONNX too raises several unrelated classes
            told = f"this graph cannot be cut at its recurrent layers: {_first_line(error)}"
            raise ArtifactError(told, where=self.name, mend=COPY_AGAIN) from error
        if stages.layers:
            self._execute, self.fused = stages.run, True

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Outputs by name, all or only these, with no more computed than they need; no rows give none."""
        try:
            found = ((self.axes.get(name, ()), array.shape) for name, array in inputs.items())
            sizes = {axis: size for axes, shape in found for axis, size in zip(axes, shape, strict=False)}
            shapes = {name: [sizes.get(axis, axis) for axis in shape] for name, shape in self.outputs.items()}
            if all(0 in shape for shape in shapes.values()):
                # A recurrent operator of ONNX Runtime ends the process when its batch is empty.
                return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
            names = list(outputs or self.outputs)
            return dict(zip(names, self._execute(names, inputs), strict=True))
        except Exception as error:
            raise ArtifactError(f"this graph cannot be run: {_first_line(error)}", where=self.name) from error

    def constants(self, *names: str) -> list[np.ndarray]:
        """Outputs that depend on no input."""
        sizes = {name: [size if isinstance(size, int) else 1 for size in shape] for name, shape in self.axes.items()}
        found = self.run({name: np.ones(size, self.kinds[name]) for name, size in sizes.items()}, names)
        return [found[name] for name in names]

    def run_pieces(self, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        """One output of any number of rows, which stand first in all inputs: a piece a call, and a call a core."""
        rows = len(next(iter(inputs.values())))
        self.expect(max(array.shape[0] * array.shape[1] for array in inputs.values() if array.ndim > 1))
        split = [np.split(array, range(PIECE, rows, PIECE)) for array in inputs.values()]
        pieces = [dict(zip(inputs, arrays, strict=True)) for arrays in zip(*split, strict=True)]
        return np.concatenate(list(self.pool.map(lambda piece: self.run(piece, [output])[output], pieces)))

    def _load(self, model: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised too
        try:
            # With a fallback, it would write to standard output what went wrong.
            return onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
        except Exception as error:  # ONNX Runtime raises several unrelated classes
            raise ArtifactError(f"this graph cannot be loaded: {_first_line(error)}", where=self.name) from error


def _first_line(error: Exception) -> str:
    """What it says, or its kind where it says nothing, as when there is no memory."""
    return (str(error) or type(error).__name__).splitlines()[0]
