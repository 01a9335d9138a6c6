"""Programs in environments of their own, timed in turn, round by round, so that a noisy machine is noisy for all.

A worker is a process that says one thing when it is ready and then answers questions, all of them a line of JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# Gets the memory of large arrays from the system once, for PyTorch, which asks for it anew at every step.
TUNED = ("MALLOC_MMAP_THRESHOLD_=2000000000", "MALLOC_TRIM_THRESHOLD_=8000000000", "MALLOC_ARENA_MAX=1")


def gemm_peak(size: int = 1536) -> float:
    """GFLOP/s of one product of square matrices, on TensorFlow's threads."""
    import tensorflow as tf

    square = tf.random.uniform((size, size))
    started = time.perf_counter()
    tf.linalg.matmul(square, square).numpy()
    return 2e-9 * size**3 / (time.perf_counter() - started)


def listen() -> tuple[Iterator[Any], Callable[[Any], None]]:
    """In a worker: the questions, and the function that answers. What is printed goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    return map(json.loads, sys.stdin), answer


class Worker:
    """A running worker.

    Attributes:
        ready: what it said first.
    """

    def __init__(self, command: Sequence[str]):
        self.command = " ".join(command)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self._read()

    def ask(self, question: Any) -> Any:
        assert self.process.stdin
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        self.process.communicate()  # which ends its questions

    def _read(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.command} ended without an answer.")
        return json.loads(line)


def in_turn(workers: Mapping[str, Worker], question: Any, rounds: int) -> dict[str, list[float]]:
    """What each worker answers in each round, after one that does not count; every other round goes backwards."""
    answers: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(rounds + 1):
        for name in sorted(workers, reverse=number % 2 == 1):
            answer = workers[name].ask(question)
            if number:
                answers[name].append(answer)
    return answers


def show(title: str, answers: Mapping[str, Sequence[float]], peer: str, unit: str) -> None:
    """A line for each worker: its median, and the median of its ratios to the peer."""
    print(title)
    for name, values in answers.items():
        ratio = statistics.median(a / b for a, b in zip(values, answers[peer], strict=True))
        print(f"  {name:<24}{statistics.median(values):>12,.4g} {unit}   ratio {ratio:.3f}", flush=True)
