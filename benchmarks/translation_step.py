"""A training step and a beam search of a translator, against the same network written plainly in PyTorch.

PEER_PYTHON=.../python python benchmarks/translation_step.py [ROUNDS [THREADS]]

PEER_PYTHON is a Python with `torch==2.13.0` and numpy, in an environment of its own. Bidirectional GRU of 256 units,
LSTM of 256 with Bahdanau attention and input feeding, 8,000 pieces on both sides, 20 of them in each text, no dropout.
Both sides start from the same weights and must agree before they are timed: on the loss of a batch, and on the
translations, for which the output layer is made sharper; where rounding decides who stays in a beam, few may differ.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from workers import Worker, in_turn, listen, show

BATCH, SENTENCES, LENGTH, PIECES, BEAM = 64, 256, 20, 8000, 5
STEPS, SHARPER = 5, 6.0


def config(compiled: bool):
    from pipelines.translation.config import Config

    return Config(
        pipeline="translation",
        data={"train": "none.tsv"},
        model={"dropout": 0.0},
        decoder={"dropout": 0.0},
        training={"compile": compiled, "schedule": "constant", "epochs": 1},
    )


def train(folder: Path, threads: int, compiled: bool) -> None:
    """Training as a run does it: a round is so many steps of `fit`."""
    import tensorflow as tf

    from pipelines.translation import model as models
    from pipelines.translation.train import parts
    from toolkit.training.checkpoints import Checkpoints
    from toolkit.training.fit import Batch, Task, fit
    from toolkit.training.runs import set_seed

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    questions, answer = listen()
    settings = config(compiled)
    set_seed(settings.seed)
    network = models.build(settings, source_size=PIECES, target_size=PIECES)
    weights = {variable.path.split("/", 1)[1]: np.asarray(variable) for variable in network.weights}
    inputs = dict(np.load(folder / "batch.npz"))
    if not compiled:
        np.savez(folder / "weights.npz", **{name: array for name, array in weights.items() if "seed" not in name})
    mask = np.ones((BATCH, LENGTH), np.float32)
    answer(float(np.mean(network(inputs, training=True)[..., 0])))

    def batches(_: int) -> Iterator[Batch]:
        for steps in questions:
            started = time.perf_counter()
            for _ in range(steps):
                yield inputs, np.zeros_like(mask), mask
            answer(time.perf_counter() - started)

    task = Task(batches, 1, models.loss, evaluate=None, compiled=parts(settings, network) if compiled else None)
    with tempfile.TemporaryDirectory() as checkpoints:
        fit(network, task, settings.training, Checkpoints(Path(checkpoints)), "", lambda *_: None)


def search(folder: Path, threads: int) -> None:
    """Beam search as `seqloom translate` does it: a round is all sentences."""
    from pipelines.translation.pieces import PairCodec, Source
    from pipelines.translation.predict import Member, Searcher
    from toolkit.data.codec import RESERVED, TextCodec
    from toolkit.search import SearchSettings

    questions, answer = listen()
    codec = TextCodec("words", False, [*RESERVED, *(f"w{i}" for i in range(len(RESERVED), PIECES))])
    pairs = PairCodec(codec, codec, False, (LENGTH, LENGTH - 1), 1.0)
    graphs = [(folder / name).read_bytes() for name in ("encoder.onnx", "decoder.onnx")]
    searcher = Searcher(pairs, [Member.load(*graphs)])
    searcher.pool = ThreadPoolExecutor(threads)
    sources = [Source(ids.tolist(), [""] * LENGTH, [], []) for ids in np.load(folder / "sources.npy")]
    settings = SearchSettings(beam=BEAM, length_penalty=0.0, coverage_penalty=0.0, block_ngrams=0, best=1)
    found = [best for (best,) in searcher.search(sources, settings)]
    answer([[best.tokens for best in found], [best.log_probability for best in found]])
    for _ in questions:
        started = time.perf_counter()
        searcher.search(sources, settings)
        answer(time.perf_counter() - started)


def export(folder: Path) -> None:
    """Graphs and weights for the search: END impossible, all else sharper."""
    from pipelines.translation import model as models
    from toolkit.data.codec import END

    network = models.build(config(False), source_size=PIECES, target_size=PIECES)
    weights = dict(np.load(folder / "weights.npz"))
    weights["output/kernel"] *= SHARPER
    weights["output/bias"][END] = -1e9
    for variable in network.weights:
        if "seed" not in variable.path:
            variable.assign(weights[variable.path.split("/", 1)[1]])
    np.savez(folder / "sharper.npz", **weights)
    for name, graph in zip(("encoder.onnx", "decoder.onnx"), models.to_onnx(network), strict=True):
        (folder / name).write_bytes(graph.SerializeToString())


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:] + ["9", "2"][len(sys.argv) - 1 :])]
    peer = os.environ["PEER_PYTHON"], str(Path(__file__).with_name("translation_step_peer.py"))
    with tempfile.TemporaryDirectory() as temporary:
        folder, random = Path(temporary), np.random.default_rng(1)
        ours = [sys.executable, __file__, str(folder), str(threads)]
        names = ("source", "before", "after")
        batch = {name: random.integers(4, PIECES, (BATCH, LENGTH)).astype(np.int32) for name in names}
        np.savez(folder / "batch.npz", **batch, lengths=np.full(BATCH, LENGTH, np.int32))
        np.save(folder / "sources.npy", random.integers(4, PIECES, (SENTENCES, LENGTH)).astype(np.int32))
        workers = {"seqloom": Worker([*ours, "train"]), "seqloom, compile": Worker([*ours, "compiled"])}
        workers["PyTorch"] = Worker([*peer, str(folder), str(threads), "train"])
        losses = {name: worker.ready for name, worker in workers.items()}
        assert np.ptp(list(losses.values())) < 1e-4, losses
        print(f"losses agree to {np.ptp(list(losses.values())):.1e}", flush=True)
        show(f"{STEPS} training steps", in_turn(workers, STEPS, rounds), "PyTorch", "s")
        for worker in workers.values():
            worker.close()
        export(folder)
        workers = {"seqloom": Worker([*ours, "search"])}
        workers["PyTorch"] = Worker([*peer, str(folder), str(threads), "search"])
        (texts, scores), (peer_texts, peer_scores) = (worker.ready for worker in workers.values())
        same = np.array([a == b for a, b in zip(texts, peer_texts, strict=True)])
        difference = np.abs(np.subtract(scores, peer_scores))[same].max()
        assert same.mean() > 0.98 and difference < 1e-3, (same.mean(), difference)
        print(f"{same.mean():.1%} of the translations agree, their scores to {difference:.1e}", flush=True)
        show(f"{SENTENCES} sentences, beam of {BEAM}", in_turn(workers, None, rounds), "PyTorch", "s")
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    match sys.argv[1:]:
        case [folder, threads, "train" | "compiled" as role]:
            train(Path(folder), int(threads), role == "compiled")
        case [folder, threads, "search"]:
            search(Path(folder), int(threads))
        case _:
            main()
