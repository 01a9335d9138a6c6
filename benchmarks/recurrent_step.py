"""Training steps of a text classifier and of a forecaster, with and without the kernel, plain Keras and PyTorch.

PEER_PYTHON=.../python python benchmarks/recurrent_step.py [ROUNDS [THREADS [CASE...]]]

PEER_PYTHON is a Python with `torch==2.13.0` and numpy, in an environment of its own. A step is the forward pass, the
gradient and Adam. Texts: 20,000 words with vectors of 100, 128 units, the last state, 2 classes, 64 rows a batch.
Series: windows of 8 features, LSTM of 64 units, 24 steps ahead, 256 rows a batch. Where lengths differ, from 10 to 200
words, PyTorch reads packed rows, or batches of rows of like length.

All start from the same weights and must agree on the loss and on the norms of its gradients before they are timed.
A share of the GEMM peak counts a step as three times the products of its forward pass, over those of square matrices.
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from workers import TUNED, Worker, gemm_peak, in_turn, listen, show

WORDS, VECTOR, CLASSES, FEATURES, HORIZON = 20_000, 100, 2, 8, 24
GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Case:
    """What is trained; `shortest` is 0 where all rows are `time` long."""

    cell: str
    time: int
    directions: int = 1
    shortest: int = 0
    series: bool = False

    @property
    def units(self) -> int:
        return 64 if self.series else 128


CASES = {
    "lstm60": Case("lstm", 60),
    "lstm200": Case("lstm", 200),
    "bilstm60": Case("lstm", 60, directions=2),
    "gru60": Case("gru", 60),
    "lengths": Case("lstm", 200, shortest=10),
    "series96": Case("lstm", 96, series=True),
    "series168": Case("lstm", 168, series=True),
}


def prepare(folder: Path, case: Case) -> float:
    """Store weights in Keras' layout and order, and batches; returns the products' operations of a step in billions."""
    random = np.random.default_rng(1)
    features, outputs = (FEATURES, HORIZON) if case.series else (VECTOR, CLASSES)
    width = GATES[case.cell] * case.units
    shapes = [(features, width), (case.units, width), (2, width) if case.cell == "gru" else (width,)] * case.directions
    shapes = [*([] if case.series else [(WORDS, VECTOR)]), *shapes, (case.units * case.directions, outputs), (outputs,)]
    np.savez(folder / "weights.npz", *[random.normal(0, 0.08, shape).astype(np.float32) for shape in shapes])
    rows, batch = (256, 256) if case.series else (256 if case.shortest else 64, 64)
    lengths = random.integers(case.shortest or case.time, case.time + 1, rows).astype(np.int32)
    if case.series:
        inputs = random.normal(size=(rows, case.time, FEATURES)).astype(np.float32)
        targets = random.normal(size=(rows, HORIZON)).astype(np.float32)
    else:
        inputs = random.integers(1, WORDS, (rows, case.time)).astype(np.int32)
        inputs[np.arange(case.time) >= lengths[:, None]] = 0
        targets = random.integers(0, CLASSES, rows).astype(np.int32)
    np.savez(folder / "batches.npz", inputs=inputs, targets=targets, lengths=lengths, batch=batch)
    return 6e-9 * lengths.sum() * (features + case.units) * width * case.directions


def network(case: Case, plain: bool):
    """With Seqloom's encoder, or plain Keras."""
    import keras

    from toolkit.layers import RecurrentEncoder

    kinds = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    shape, dtype = ((None, FEATURES), "float32") if case.series else ((None,), "int32")
    inputs = {"inputs": keras.Input(shape, dtype=dtype, name="inputs")}
    inputs["lengths"] = keras.Input((), dtype="int32", name="lengths")
    steps = inputs["inputs"]
    if not case.series:
        steps = keras.layers.Embedding(WORDS, VECTOR, mask_zero=plain and case.shortest > 0)(steps)
    if plain:
        layer = kinds[case.cell](case.units)
        final = (keras.layers.Bidirectional(layer) if case.directions == 2 else layer)(steps)
    else:
        encoder = RecurrentEncoder(
            cell=case.cell,
            units=case.units,
            layers=1,
            bidirectional=case.directions == 2,
            residual=False,
            normalization="none",
            dropout=0.0,
            variational=False,
        )
        final = encoder(steps, inputs["lengths"])[1]
    return keras.Model(inputs, keras.layers.Dense(HORIZON if case.series else CLASSES)(final))


def train(folder: Path, threads: int, role: str) -> None:
    """Answers a case with its loss and norms, a number with the seconds of a step, "peak" with GFLOP/s."""
    import keras
    import tensorflow as tf

    from toolkit.training.adam import Adam
    from toolkit.training.step import training_step

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(int(os.environ.get("BETWEEN", threads)))  # operations
    questions, answer = listen()
    answer("ready")
    for question in questions:
        if question == "peak":
            answer(gemm_peak())
        elif isinstance(question, str):
            keras.backend.clear_session()
            case, stored = CASES[question], np.load(folder / "batches.npz")
            inputs, targets, lengths, size = (stored[name] for name in ("inputs", "targets", "lengths", "batch"))
            batches = [
                ({"inputs": inputs[at : at + size], "lengths": lengths[at : at + size]}, targets[at : at + size], None)
                for at in range(0, len(inputs), int(size))
            ]
            model = network(case, role == "keras")
            model.set_weights(list(np.load(folder / "weights.npz").values()))
            entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            loss = keras.losses.MeanSquaredError() if case.series else entropy
            if role == "keras":
                model.compile("adam", loss, jit_compile=False)
                step = model.train_on_batch
            else:
                step = training_step(model, Adam(lazy=role == "lazy"), loss)
            answer(norms(model, loss, batches))
        else:
            started = time.perf_counter()
            for _ in range(question):
                for batch in batches:
                    step(*batch)
            answer((time.perf_counter() - started) / question / len(batches))


def norms(model, loss, batches) -> list[float]:
    """The mean loss, and the norms of the mean gradients of all weights but biases, as PyTorch splits them."""
    import tensorflow as tf

    losses, sums = [], [np.zeros(weight.shape) for weight in model.weights]
    weights = [weight.value for weight in model.weights]
    for inputs, targets, _ in batches:
        with tf.GradientTape() as tape:
            value = loss(targets, model(inputs))
        losses.append(float(value))
        gradients = [tf.convert_to_tensor(each).numpy() for each in tape.gradient(value, weights)]
        sums = [a + b for a, b in zip(sums, gradients, strict=True)]
    matrices = [array for array, weight in zip(sums, model.weights, strict=True) if "bias" not in weight.path]
    return [float(np.mean(losses)), *(float(np.linalg.norm(array)) / len(batches) for array in matrices)]


def compare(case: str, workers: dict[str, Worker], gflop: float, rounds: int) -> None:
    answers = {name: worker.ask(case) for name, worker in workers.items()}
    for name, values in answers.items():
        np.testing.assert_allclose(values, answers["PyTorch"], rtol=1e-3, err_msg=f"{case}: {name}")
    peak = max(workers["seqloom"].ask("peak") for _ in range(9))
    seconds = in_turn(workers, 4 if "lengths" in case else 16, rounds)  # so many steps that caches are warm for most
    peak = max(peak, *(workers["seqloom"].ask("peak") for _ in range(9)))
    show(f"{case}: a training step; peak {peak:.0f} GFLOP/s", seconds, "PyTorch", "s")
    share = gflop / np.median(seconds["seqloom"]) / peak
    others = [name for name in workers if name not in ("seqloom", "PyTorch")]
    ratios = {name: np.median(np.divide(seconds["seqloom"], seconds[name])) for name in others}
    print(f"  seqloom: {share:.2f} of the peak; " + ", ".join(f"{ratio:.2f} of {n}" for n, ratio in ratios.items()))


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:3] + ["9", "2"][len(sys.argv[1:3]) :])]
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", OMP_NUM_THREADS=str(threads))
    peer = os.environ["PEER_PYTHON"], str(Path(__file__).with_name("recurrent_step_peer.py"))
    for case in sys.argv[3:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            gflop = prepare(Path(folder), CASES[case])
            gflop /= 4 if CASES[case].shortest else 1
            ours, theirs = [sys.executable, __file__, folder, str(threads)], [*peer, folder, str(threads)]
            workers = {"seqloom": Worker([*ours, "kernel"]), "seqloom, lazy Adam": Worker([*ours, "lazy"])}
            workers["seqloom, stock"] = Worker(["env", "SEQLOOM_KERNEL=off", *ours, "stock"])
            workers["plain Keras"] = Worker([*ours, "keras"])
            if CASES[case].series:
                del workers["seqloom, lazy Adam"]
            workers["PyTorch"] = Worker([*theirs, "plain"])
            workers["PyTorch, malloc"] = Worker(["env", *TUNED, *theirs, "plain"])
            if CASES[case].shortest:
                workers |= {f"PyTorch, {role}": Worker([*theirs, role]) for role in ("packed", "bucketed")}
            compare(case, workers, gflop, rounds)
            for worker in workers.values():
                worker.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, threads, "kernel" | "lazy" | "stock" | "keras" as role]:
            train(Path(folder), int(threads), role)
        case _:
            main()
