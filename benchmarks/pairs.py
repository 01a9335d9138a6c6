"""Time two commands as whole processes, in turn within one run, so that a noisy machine is noisy for both."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def seconds(command: Sequence[str], stdin: Path | None = None) -> float:
    """Wall-clock seconds of one run; a command that fails ends the benchmark with what it said."""
    started = time.perf_counter()
    with (stdin or Path("/dev/null")).open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True)
    elapsed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr.decode()}")
    return elapsed


def pair(first: Sequence[str], second: Sequence[str], runs: int) -> tuple[float, float, float]:
    """Median seconds of both and the median of their ratios, after one run of each that does not count."""
    seconds(first), seconds(second)
    times = [(seconds(first), seconds(second)) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(a / b for a, b in times),
    )


def peak_memory() -> int:
    """Megabytes of the largest finished child process."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
