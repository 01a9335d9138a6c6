"""A training step and a search of a translator, against the same network written plainly in PyTorch.

PEER_PYTHON=.../python python benchmarks/translation_step.py [ROUNDS [THREADS [ATTENTION...]]]

PEER_PYTHON is a Python with `torch==2.13.0` and numpy, in an environment of its own. Bidirectional GRU of 256 units,
LSTM of 256 with attention (bahdanau, or Luong's general) and input feeding, 8,000 pieces on both sides, 20 of them in
each text, no dropout. Both sides start from the same weights and must agree before they are timed: on the loss of a
batch, and on the translations, for which the output layer is made sharper; where rounding decides who stays in a beam,
few may differ. The share of the GEMM peak is that of recurrent_step.py.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from workers import TUNED, Worker, gemm_peak, in_turn, listen, show

BATCH, SENTENCES, LENGTH, PIECES, BEAMS = 64, 256, 20, 8000, (5, 1)
UNITS, STEPS, SHARPER = 256, 5, 6.0


def config(attention: str):
    from pipelines.translation.config import Config

    return Config.model_validate(
        {
            "pipeline": "translation",
            "data": {"train": "none.tsv"},
            "model": {"embedding": UNITS, "dropout": 0.0},
            "encoder": {"cell": "gru", "units": UNITS},
            "decoder": {"cell": "lstm", "units": UNITS, "attention": attention, "dropout": 0.0},
            "training": {"schedule": "constant", "epochs": 1},
        }
    )


def write_batch(folder: Path) -> None:
    """A batch to train on, and sentences to translate."""
    random, names = np.random.default_rng(1), ("source", "before", "after")
    batch = {name: random.integers(4, PIECES, (BATCH, LENGTH)).astype(np.int32) for name in names}
    np.savez(folder / "batch.npz", allow_pickle=False, **batch, lengths=np.full(BATCH, LENGTH, np.int32))
    np.save(folder / "sources.npy", random.integers(4, PIECES, (SENTENCES, LENGTH)).astype(np.int32))


def gigaflops() -> float:
    """The products of a training step, three times those of its forward pass."""
    encoder = 2 * (UNITS + UNITS) * 3 * UNITS
    decoder = 3 * UNITS * 4 * UNITS + 3 * UNITS * UNITS + UNITS * PIECES
    attention = 2 * UNITS * UNITS + UNITS * UNITS  # keys and queries
    return 6e-9 * BATCH * LENGTH * (encoder + decoder + attention + 3 * UNITS * LENGTH)


def train(folder: Path, threads: int, attention: str) -> None:
    """Training as a run does it: a round is so many steps of `fit`."""
    import tensorflow as tf

    from pipelines.translation import model as models
    from toolkit.training.checkpoints import Checkpoints
    from toolkit.training.fit import Batch, Task, fit
    from toolkit.training.runs import set_seed

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(int(os.environ.get("BETWEEN", threads)))  # operations
    questions, answer = listen()
    settings = config(attention)
    set_seed(settings.seed)
    network = models.build(settings, source_size=PIECES, target_size=PIECES)
    weights = {variable.path.split("/", 1)[1]: np.asarray(variable) for variable in network.weights}
    inputs = dict(np.load(folder / "batch.npz"))
    stored = {name: array for name, array in weights.items() if "seed" not in name}
    np.savez(folder / "weights.npz", allow_pickle=False, **stored)
    mask = np.ones((BATCH, LENGTH), np.float32)
    answer(float(np.mean(network(inputs, training=True)[..., 0])))

    def batches(_: int) -> Iterator[Batch]:
        for steps in questions:
            if steps == "peak":
                answer(gemm_peak())
                continue
            started = time.perf_counter()
            for _ in range(steps):
                yield inputs, np.zeros_like(mask), mask
            answer((time.perf_counter() - started) / steps)

    task = Task(batches, 1, models.loss, evaluate=None)
    with tempfile.TemporaryDirectory() as checkpoints:
        fit(network, task, settings.training, Checkpoints(Path(checkpoints)), "", lambda *_: None)


def search(folder: Path, threads: int, beam: int) -> None:
    """The search of `seqloom translate`: a round is all sentences, with nothing known of their words yet."""
    from pipelines.translation.pieces import PairCodec, Source
    from pipelines.translation.predict import Member, Searcher
    from toolkit.data.codec import RESERVED, TextCodec
    from toolkit.search import SearchSettings
    from toolkit.threads import Pool

    questions, answer = listen()
    codec = TextCodec("words", False, [*RESERVED, *(f"w{i}" for i in range(len(RESERVED), PIECES))])
    pairs = PairCodec(codec, codec, False, (LENGTH, LENGTH - 1), 1.0)
    graphs = [(folder / name).read_bytes() for name in ("encoder.onnx", "decoder.onnx")]

    def load() -> Searcher:
        searcher = Searcher(pairs, [Member.load(*graphs)])
        searcher.pool = Pool(threads)
        return searcher

    sources = [Source(ids.tolist(), [""] * LENGTH, [], []) for ids in np.load(folder / "sources.npy")]
    settings = SearchSettings(beam=beam, length_penalty=0.0, coverage_penalty=0.0, block_ngrams=0, best=1)
    found = [best for (best,) in load().search(sources, settings)]
    answer([[best.tokens for best in found], [best.log_probability for best in found]])
    for _ in questions:
        searcher = load()
        started = time.perf_counter()
        searcher.search(sources, settings)
        answer(time.perf_counter() - started)


def export(folder: Path, attention: str) -> None:
    """Graphs and weights for the search: END impossible, all else sharper."""
    from pipelines.translation import model as models
    from toolkit.data.codec import END

    network = models.build(config(attention), source_size=PIECES, target_size=PIECES)
    weights = dict(np.load(folder / "weights.npz"))
    weights["output/kernel"] *= SHARPER
    weights["output/bias"][END] = -1e9
    for variable in network.weights:
        if "seed" not in variable.path:
            variable.assign(weights[variable.path.split("/", 1)[1]])
    np.savez(folder / "sharper.npz", **weights)
    for name, graph in zip(("encoder.onnx", "decoder.onnx"), models.to_onnx(network), strict=True):
        (folder / name).write_bytes(graph.SerializeToString())


def compare(attention: str, folder: Path, rounds: int, threads: int) -> None:
    peer = os.environ["PEER_PYTHON"], str(Path(__file__).with_name("translation_step_peer.py"))
    ours, theirs = ([*each, str(folder), str(threads), attention] for each in ([sys.executable, __file__], peer))
    workers = {"seqloom": Worker([*ours, "train"]), "PyTorch": Worker([*theirs, "train"])}
    workers["PyTorch, malloc"] = Worker(["env", *TUNED, *theirs, "train"])
    losses = {name: worker.ready for name, worker in workers.items()}
    assert np.ptp(list(losses.values())) < 1e-4, losses
    peak = max(workers["seqloom"].ask("peak") for _ in range(9))
    seconds = in_turn(workers, STEPS, rounds)
    show(f"{attention}: a training step; peak {peak:.0f} GFLOP/s", seconds, "PyTorch", "s")
    tuned = np.median(np.divide(seconds["seqloom"], seconds["PyTorch, malloc"]))
    share = gigaflops() / np.median(seconds["seqloom"]) / peak
    print(f"  seqloom: {share:.2f} of the peak; {tuned:.2f} of PyTorch, malloc", flush=True)
    for worker in workers.values():
        worker.close()
    export(folder, attention)
    for beam in BEAMS:
        workers = {"seqloom": Worker([*ours, str(beam)]), "PyTorch": Worker([*theirs, str(beam)])}
        (texts, scores), (peer_texts, peer_scores) = (worker.ready for worker in workers.values())
        same = np.array([a == b for a, b in zip(texts, peer_texts, strict=True)])
        difference = np.abs(np.subtract(scores, peer_scores))[same].max()
        assert same.mean() > 0.98 and difference < 1e-3, (same.mean(), difference)
        print(f"{same.mean():.1%} of the translations agree, their scores to {difference:.1e}", flush=True)
        show(f"{attention}: {SENTENCES} sentences, beam of {beam}", in_turn(workers, None, rounds), "PyTorch", "s")
        for worker in workers.values():
            worker.close()


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:3] + ["9", "2"][len(sys.argv[1:3]) :])]
    for attention in sys.argv[3:] or ("bahdanau", "general"):
        with tempfile.TemporaryDirectory() as temporary:
            write_batch(Path(temporary))
            compare(attention, Path(temporary), rounds, threads)


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    match sys.argv[1:]:
        case [folder, threads, attention, "train"]:
            train(Path(folder), int(threads), attention)
        case [folder, threads, _, beam]:
            search(Path(folder), int(threads), int(beam))
        case _:
            main()
