"""Prediction as `classify` and `forecast --model` compute it, beside ONNX Runtime used as it comes.

    python benchmarks/predict_step.py [ROUNDS [THREADS [CASE...]]]

Batches of encoded texts or of windows, the same for both, of the sizes of recurrent_step.py. The peer is a session with
all threads and a graph of Gather, LSTM or GRU, and a dense layer, which gets one padded batch after the other, and
lengths where they differ. Seqloom gets all rows, and orders, cuts and runs them as its commands do; both run them a few
times before they are timed, so that Seqloom, as in a large job, has its recurrent layers in the kernel. Both must
agree.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from recurrent_step import CLASSES, FEATURES, HORIZON, WORDS, Case, network
from workers import Worker, in_turn, listen, show

from toolkit.kernels import prediction
from toolkit.runtime import Runtime
from toolkit.threads import SWITCH

BATCHES = 64  # as many texts as `classify` reads ahead
WARM = 3  # runs before those that are timed, enough to multiply for the kernel to take over
ROLES = ("seqloom", "ONNX Runtime")
Run = Callable[[], np.ndarray]
CASES = {
    **{
        name + label: Case(cell, time, directions, shortest)
        for name, cell, directions in (("lstm", "lstm", 1), ("bilstm", "lstm", 2), ("gru", "gru", 1))
        for label, time, shortest in (("60", 60, 0), ("200", 200, 0), ("10-200", 200, 10))
    },
    "series96": Case("lstm", 96, series=True),
    "series168": Case("lstm", 168, series=True),
}


def write_inputs(folder: Path, case: Case) -> None:
    random = np.random.default_rng(1)
    batch = 256 if case.series else 64
    lengths = random.integers(case.shortest or case.time, case.time + 1, (BATCHES, batch)).astype(np.int32)
    shape = (BATCHES, batch, case.time)
    inputs = random.normal(size=(*shape, FEATURES)) if case.series else random.integers(1, WORDS, shape)
    np.savez(folder / "inputs.npz", inputs=inputs.astype(np.float32 if case.series else np.int32), lengths=lengths)


def write_graphs(folder: Path, case: Case) -> None:
    """The graph that Seqloom's blocks are exported to, and one of ONNX' operators alone, with the same weights."""
    import keras

    from toolkit import export
    from toolkit.layers import RecurrentEncoder

    layers = {type(layer): layer for layer in network(case, plain=False).layers}
    encoder, head = layers[RecurrentEncoder], layers[keras.layers.Dense]
    name = "segments" if case.series else "tokens"
    shape: list[str | int] = ["batch", "time", *([FEATURES] if case.series else [])]
    for role in ROLES:
        graph = export.Graph()
        steps = graph.add("Transpose", name, perm=[1, 0, *([2] if case.series else [])])
        if not case.series:
            steps = graph.add("Gather", graph.constant(layers[keras.layers.Embedding].embeddings), steps)
        if role == "seqloom":
            _, features = export.encoder(graph, encoder, steps, "lengths")
            logits = export.dense(graph, head, features)
        else:
            cells = [layer.cell for layer in (*encoder.forward_layers, *encoder.backward_layers)]
            _, features = export.recurrence(graph, cells, steps, "lengths" if case.shortest else "")
            logits = graph.add("MatMul", features, graph.constant(head.kernel))  # which ONNX Runtime makes one with
            logits = graph.add("Add", logits, graph.constant(head.bias))
        graph.name(features, "features")
        graph.name(logits, "logits")
        outputs: dict[str, list[str | int]] = {
            "logits": ["batch", HORIZON if case.series else CLASSES],
            "features": ["batch", encoder.width],
        }
        model = graph.model({name: shape, "lengths": ["batch"]}, outputs, floats=("segments",))
        (folder / f"{role}.onnx").write_bytes(model.SerializeToString())


def classify(graph: bytes, inputs: np.ndarray, lengths: np.ndarray) -> tuple[Run, Runtime]:
    from pipelines.text_classification.predict import Scorer
    from toolkit.data.text import EncodedTexts

    settings = {"lowercase": True, "punctuation": True, "max_tokens": 400, "multiple": 1, "buckets": 0}
    scorer = Scorer(graph, {"words": list(map(str, range(WORDS))), **settings})
    rows = zip(inputs.reshape(-1, inputs.shape[-1]).tolist(), lengths.ravel().tolist(), strict=True)
    texts = EncodedTexts([row[:length] for row, length in rows], [])
    vars(scorer.encoder)["encode"] = lambda _: texts  # encoded before, as the peer's are
    return lambda: scorer.score([])[0], scorer.runtime


def forecast(graph: bytes, inputs: np.ndarray, lengths: np.ndarray) -> tuple[Run, Runtime]:
    from toolkit.data.windows import BLOCK

    runtime = Runtime(graph)
    inputs, lengths = np.concatenate(inputs), np.concatenate(lengths)
    cuts = range(0, len(lengths), BLOCK)
    blocks = [{"segments": inputs[at : at + BLOCK], "lengths": lengths[at : at + BLOCK]} for at in cuts]
    return lambda: np.concatenate([runtime.run_pieces(block, "logits") for block in blocks]), runtime


def peer(graph: bytes, inputs: np.ndarray, lengths: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    batches = [
        dict(zip(names, (np.ascontiguousarray(rows[:, : ends.max()]), ends), strict=True))
        for rows, ends in zip(inputs, lengths, strict=True)
    ]
    return lambda: np.concatenate([session.run(["logits"], batch)[0] for batch in batches])


def predict(folder: Path, threads: int, role: str, series: bool) -> None:
    """Answers a number with the seconds of a batch."""
    os.environ[SWITCH] = str(threads)
    stored = np.load(folder / "inputs.npz")
    graph, inputs, lengths = (folder / f"{role}.onnx").read_bytes(), stored["inputs"], stored["lengths"]
    runtime = None
    if role == "seqloom":
        run, runtime = (forecast if series else classify)(graph, inputs, lengths)
    else:
        run = peer(graph, inputs, lengths, threads)
    questions, answer = listen()
    for _ in range(WARM):
        found = run()
    assert not runtime or runtime.fused == bool(prediction.load()[0]), "it is timed without its kernel"
    np.save(folder / f"{role}.npy", found)
    answer("ready")
    for question in questions:
        started = time.perf_counter()
        for _ in range(question):
            run()
        answer((time.perf_counter() - started) / question / BATCHES)


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:3] + ["9", "2"][len(sys.argv[1:3]) :])]
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    for name in sys.argv[3:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            case = CASES[name]
            write_inputs(Path(folder), case)
            write_graphs(Path(folder), case)
            ours = [sys.executable, __file__, folder, str(threads)]
            workers = {role: Worker([*ours, role, str(int(case.series))]) for role in ROLES}
            found, expected = (np.load(Path(folder) / f"{role}.npy") for role in ROLES)
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)
            show(f"{name}: a batch, {threads} threads", in_turn(workers, 1, rounds), ROLES[1], "s")
            for worker in workers.values():
                worker.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, threads, "seqloom" | "ONNX Runtime" as role, series]:
            predict(Path(folder), int(threads), role, series == "1")
        case _:
            main()
