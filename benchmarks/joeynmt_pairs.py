"""Training and decoding on Multi30k, English to German, against JoeyNMT with a network of the same size.

PEER_PYTHON=.../python python benchmarks/joeynmt_pairs.py [SECONDS [ROUNDS [THREADS]]]

PEER_PYTHON is a Python with `joeynmt==2.3.0` and `torch==2.13.0`, in an environment of its own. Both have 8,000 joint
sub-words, learned from the same files by their own tools, a bidirectional GRU of 256 units, an LSTM of 256 with
Bahdanau attention and input feeding, dropout 0.3, label smoothing 0.1, Adam at 1e-3 and batches of about 80 sentences.
A training round is SECONDS (120) of each one's own loop, one round that does not count included in the weights, and
gives target sub-words, END among them, a second; the tracing of our steps comes before. Then both decode the 1,000
test sentences with the weights that they came to, beam of 5, text in and text out. How much they wrote is printed, for
little-trained networks need not write equally much.
"""

import gzip
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from workers import Worker, in_turn, listen, show

DATA = Path("../shared/data/multi30k_en_de")
FILES = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
PARTS = {"train": "train", "validation": "dev", "test": "test"}


def work(folder: Path, threads: int) -> None:
    """Our side: questions are seconds to train for, then null, then any number of times to decode."""
    import tensorflow as tf

    from pipelines.translation import model as models
    from pipelines.translation import train as training
    from pipelines.translation.config import Config
    from pipelines.translation.predict import Member, Searcher
    from pipelines.translation.prepare import prepare
    from toolkit.threads import Pool
    from toolkit.training.checkpoints import Checkpoints
    from toolkit.training.fit import Batch, fit
    from toolkit.training.runs import set_seed

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    questions, answer = listen()
    config = Config.model_validate(
        {
            "pipeline": "translation",
            "data": {part: str(folder / f"{name}.{{en,de}}") for part, name in PARTS.items()},
            "decoder": {"dropout": 0.3},
            "training": {"schedule": "constant", "batch_tokens": 1280, "epochs": 1},
        }
    )
    prepared, size = prepare(config), config.tokens.vocabulary
    set_seed(config.seed)
    network = models.build(config, source_size=size, target_size=prepared.codec.target_size)
    task = training._task(config, prepared, network)

    def batches(_: int) -> Iterator[Batch]:
        shapes = {each[1].shape: each for each in task.batches(0)}
        yield from shapes.values()  # which are traced now
        answer(float(np.mean(prepared.train.lengths[1])))
        epochs = (each for epoch in range(1000) for each in task.batches(epoch))
        for seconds in iter(questions.__next__, None):
            started, count = time.perf_counter(), 0
            while time.perf_counter() < started + seconds:
                each = next(epochs)
                yield each
                count += int(np.count_nonzero(each[2]))
            answer(count / (time.perf_counter() - started))

    fit(
        network,
        replace(task, batches=batches, evaluate=None),
        config.training,
        Checkpoints(folder / "ours"),
        "",
        lambda *_: None,
    )
    graphs = (graph.SerializeToString() for graph in models.to_onnx(network))
    searcher = Searcher(prepared.codec, [Member.load(*graphs)])
    searcher.pool = Pool(threads)
    sources, settings = prepared.splits.test.sources, training.settings_of(config.search)
    written = searcher.translate(sources, settings)
    answer(float(np.mean([len(each.pieces) for each in written])))
    for _ in questions:
        started = time.perf_counter()
        searcher.translate(sources, settings)
        answer(time.perf_counter() - started)


def main() -> None:
    seconds, rounds, threads = [int(value) for value in (sys.argv[1:] + ["120", "2", "2"][len(sys.argv) - 1 :])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, file in FILES.items():
            for side in ("en", "de"):
                (folder / f"{name}.{side}").write_bytes(gzip.decompress((DATA / f"{file}.{side}.gz").read_bytes()))
        arguments = ["work", str(folder), str(threads)]
        peer = [os.environ["PEER_PYTHON"], str(Path(__file__).with_name("joeynmt_peer.py"))]
        workers = {"seqloom": Worker([sys.executable, __file__, *arguments]), "JoeyNMT": Worker([*peer, *arguments])}
        for name, worker in workers.items():
            print(f"{name}: {worker.ready:.1f} target sub-words a training sentence", flush=True)
        show("target sub-words a second in training", in_turn(workers, seconds, rounds), "JoeyNMT", "/s")
        for name, worker in workers.items():
            print(f"{name}: {worker.ask(None):.1f} sub-words written a test sentence", flush=True)
        show("1,000 test sentences, beam of 5", in_turn(workers, 1, rounds), "JoeyNMT", "s")
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    match sys.argv[1:]:
        case ["work", folder, threads]:
            work(Path(folder), int(threads))
        case _:
            main()
