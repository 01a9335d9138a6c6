"""Adam's step on a table of word vectors of which a batch has few, beside Keras' Adam.

    python benchmarks/adam_step.py [ROUNDS [THREADS]]

A batch has 64 rows of 60 words, no word twice, since Keras adds up squares where a word occurs several times. Tables
of 20,000 words of 100 numbers and of 100,000 of 300, with gradients clipped to a norm of 1, as `seqloom run` does, and
not. All must agree on the table after its first step, in which lazy Adam is not different yet.
"""

import os
import sys
import time

import numpy as np
from workers import Worker, in_turn, listen, show

BATCH, STEPS = 64 * 60, 20
TABLES = ((20_000, 100), (100_000, 300))
ROLES = {"Keras": "keras", "Seqloom": "kernel", "Seqloom, stock": "stock", "Seqloom, lazy": "lazy"}


def work(role: str, words: int, units: int, clip: float, threads: int) -> None:
    """Says the norm of the table's first move, then answers a number of steps with the milliseconds of one."""
    import keras
    import tensorflow as tf

    from toolkit.training.adam import Adam

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    random = np.random.default_rng(1)
    start = random.normal(0, 0.08, (words, units)).astype(np.float32)
    table = keras.Variable(start, name="table")
    gradients = tf.constant(random.normal(0, 1e-3, (BATCH, units)), tf.float32)
    batches = [tf.constant(random.permutation(words)[:BATCH], tf.int32) for _ in range(8)]
    options = {"global_clipnorm": clip or None}
    optimizer = keras.optimizers.Adam(**options) if role == "keras" else Adam(lazy=role == "lazy", **options)

    @tf.function
    def step(rows):
        optimizer.apply([tf.IndexedSlices(gradients, rows, (words, units))], [table])

    questions, answer = listen()
    step(batches[0])
    answer(float(np.linalg.norm(table.numpy() - start)))
    for steps in questions:
        started = time.perf_counter()
        for number in range(steps):
            step(batches[number % len(batches)])
        answer(1e3 * (time.perf_counter() - started) / steps)


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:3] + ["9", "2"][len(sys.argv[1:3]) :])]
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    for words, units in TABLES:
        for clip in (0.0, 1.0):
            rest = [sys.executable, __file__, str(words), str(units), str(clip), str(threads)]
            switch = {"stock": ["env", "SEQLOOM_KERNEL=off"]}
            workers = {name: Worker([*switch.get(role, []), *rest, role]) for name, role in ROLES.items()}
            for name, worker in workers.items():
                np.testing.assert_allclose(worker.ready, workers["Keras"].ready, rtol=1e-3, err_msg=name)
            title = f"{words:,} words of {units}, {'clipped' if clip else 'not clipped'}"
            show(title, in_turn(workers, STEPS, rounds), "Keras", "ms")
            for worker in workers.values():
                worker.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [words, units, clip, threads, role]:
            work(role, int(words), int(units), float(clip), int(threads))
        case _:
            main()
