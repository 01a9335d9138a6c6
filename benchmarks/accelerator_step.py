"""Training steps on a GPU: Seqloom's blocks on JAX and on PyTorch, beside plain PyTorch.

    PYTHONPATH=. python benchmarks/accelerator_step.py [ROUNDS [CASE...]]

It needs a Python with keras, jax, torch and numpy, and for `translator` with pydantic and ruamel.yaml; without a GPU
all run on the CPU. Other cases are those of recurrent_step.py. Each is run in float32 and in bfloat16, with Keras'
mixed policy and PyTorch's autocast. Batches start in the host's memory. Seqloom's loss comes back after each step, as
in a run; plain PyTorch waits for the device at the end of a round only.

All start from the same weights and must agree on the losses of their first steps before they are timed.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import recurrent_step
import translation_step
from workers import Worker, in_turn, listen, show

FIRST, STEPS = 3, 30  # steps that must agree, steps of a round
EPSILON = 1e-12  # of Adam: the smaller, the less it matters that Keras adds it before it corrects the bias
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
ROLES = {"Seqloom on JAX": "jax", "Seqloom on PyTorch": "torch", "PyTorch": "plain"}
CASES = (*recurrent_step.CASES, "translator")
PIECES = translation_step.PIECES


def seqloom(folder: Path, case: str, precision: str, backend: str) -> tuple[Callable[[], float], Callable[[], None]]:
    """A step that returns its loss, and a function that waits for the device, which the loss has done."""
    from toolkit.memory import keep_memory

    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax":
        keep_memory()  # as the command line does, before there are threads
    import keras

    from toolkit.training.adam import Adam
    from toolkit.training.step import training_step

    keras.config.set_dtype_policy("float32" if precision == "float32" else "mixed_bfloat16")
    if case == "translator":
        from pipelines.translation import model as models

        settings = translation_step.config("bahdanau")
        model = models.build(settings, source_size=PIECES, target_size=PIECES)
        optimizer = Adam(global_clipnorm=settings.training.gradient_clip, epsilon=EPSILON)
        take = training_step(model, optimizer, models.loss)
        stored = dict(np.load(folder / "batch.npz"))
        mask = np.ones(stored["before"].shape, np.float32)
        batches: list[tuple[dict, np.ndarray, np.ndarray | None]] = [(stored, np.zeros_like(mask), mask)]
        _share(folder / "weights.npz", {each.path.split("/", 1)[1]: each for each in model.weights})
    else:
        kind = recurrent_step.CASES[case]
        model = recurrent_step.network(kind, plain=False)
        model.set_weights(list(np.load(folder / "weights.npz").values()))
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss = keras.losses.MeanSquaredError() if kind.series else entropy
        take = training_step(model, Adam(epsilon=EPSILON), loss)
        batches = [({"inputs": x, "lengths": lengths}, y, None) for x, lengths, y in _batches(folder)]
    left = cycle(batches)

    return lambda: take(*next(left)), lambda: None


def plain(folder: Path, case: str, precision: str) -> tuple[Callable[[], Any], Callable[[], None]]:
    """The same of PyTorch's own layers."""
    import recurrent_step_peer
    import torch
    import torch.nn.functional as F
    import translation_step_peer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if case == "translator":
        model = translation_step_peer.load(folder, "weights.npz", "bahdanau").to(device)
        stored = np.load(folder / "batch.npz")
        batches = [tuple(torch.from_numpy(stored[name]).long() for name in ("source", "before", "after"))]

        def loss(source, before, after):
            return F.cross_entropy(model(source, before).flatten(0, 1), after.flatten(), label_smoothing=0.1)
    else:
        cell = recurrent_step.CASES[case].cell
        model = recurrent_step_peer.Network(list(np.load(folder / "weights.npz").values()), cell).to(device)
        batches = [tuple(map(torch.from_numpy, each)) for each in _batches(folder)]

        def loss(inputs, lengths, targets):
            outputs = model(inputs, lengths.long(), "plain")
            series = targets.is_floating_point()
            return F.mse_loss(outputs, targets) if series else F.cross_entropy(outputs, targets.long())

    optimizer, left = torch.optim.Adam(model.parameters(), 1e-3, eps=EPSILON), cycle(batches)

    def step():
        batch = [array.to(device) for array in next(left)]
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            value = loss(*batch)
        value.backward()
        if case == "translator":
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value.detach()

    return step, torch.cuda.synchronize if device.type == "cuda" else lambda: None


def _batches(folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    stored = np.load(folder / "batches.npz")
    size, names = int(stored["batch"]), ("inputs", "lengths", "targets")
    cuts = range(0, len(stored["lengths"]), size)
    return [tuple(stored[name][at : at + size] for name in names) for at in cuts]


def _share(path: Path, variables: dict[str, Any]) -> None:
    """Write the weights if nobody has, else take those that are there."""
    import keras

    variables = {name: variable for name, variable in variables.items() if "seed" not in name}
    if not path.exists():
        np.savez(path, **{name: keras.ops.convert_to_numpy(variable) for name, variable in variables.items()})
    stored = np.load(path)
    for name, variable in variables.items():
        variable.assign(stored[name])


def work(folder: Path, case: str, role: str, precision: str) -> None:
    """Answers the first losses, then a number of steps with the seconds of one."""
    questions, answer = listen()
    step, wait = plain(folder, case, precision) if role == "plain" else seqloom(folder, case, precision, role)
    answer([float(step()) for _ in range(FIRST)])
    for steps in questions:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        answer((time.perf_counter() - started) / steps)


def compare(case: str, precision: str, rounds: int, programs: Mapping[str, tuple[Sequence[str], str]]) -> None:
    """Programs by name, each the command of a Python and a role; the last one is what the others are compared with."""
    with tempfile.TemporaryDirectory() as folder:
        if case == "translator":
            translation_step.write_batch(Path(folder))
        else:
            recurrent_step.prepare(Path(folder), recurrent_step.CASES[case])
        workers, peer = {}, list(programs)[-1]
        for name, (python, role) in programs.items():  # one after the other: the first may write the weights
            workers[name] = Worker([*python, __file__, folder, case, role, precision])
        losses = {name: worker.ready for name, worker in workers.items()}
        for name, values in losses.items():
            np.testing.assert_allclose(values, losses[peer], rtol=TOLERANCE[precision], err_msg=name)
        show(f"{case}, {precision}: a training step", in_turn(workers, STEPS, rounds), peer, "s")
        for worker in workers.values():
            worker.close()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # JAX would take three quarters of the device's memory
    pythons = [sys.executable], [sys.executable], [os.environ.get("PEER_PYTHON", sys.executable)]
    programs = dict(zip(ROLES, zip(pythons, ROLES.values(), strict=True), strict=True))
    for case in sys.argv[2:] or CASES:
        for precision in TOLERANCE:
            compare(case, precision, rounds, programs)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, case, role, precision]:
            work(Path(folder), case, role, precision)
        case _:
            main()
