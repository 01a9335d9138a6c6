"""How many threads to compute with, and a pool of them."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError

SWITCH = "SEQLOOM_THREADS"
LIBRARIES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# After 2 ** 20 clock cycles NumPy's idle threads sleep. By default one spins for 35 ms when NumPy has been imported, on
# the core that meanwhile reads what is to predict.
IDLE = ("OPENBLAS_THREAD_TIMEOUT", "20")


def thread_count() -> int:
    """What SEQLOOM_THREADS says, or as many cores as this process may use.

    Libraries start a thread for each of the machine's cores. In a container that is given fewer they take turns, and
    all wait for the slowest.

    Raises:
        ConfigError: SEQLOOM_THREADS is not a whole number from 1 on.
    """
    asked = os.environ.get(SWITCH)
    if asked is None:
        return cores()
    if not asked.isdecimal() or int(asked) < 1:
        raise ConfigError(f"{SWITCH} is {asked!r}, expected a whole number from 1 on.")
    return int(asked)


def cores(root: Path = Path("/")) -> int:
    """The cores that this process is bound to, or fewer where its control group is given less time than they have."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *map(math.ceil, _quotas(root))]))


class Pool:
    """Threads for calls side by side, by default `thread_count`. A forked process, which has none of its parent's, gets
    its own."""

    def __init__(self, threads: int | None = None):
        self._threads = threads or thread_count()
        self._started: tuple[int, ThreadPoolExecutor] | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._executor().submit(function, *arguments)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self._executor().map(function, items)

    def _executor(self) -> ThreadPoolExecutor:
        if not self._started or self._started[0] != os.getpid():
            self._started = os.getpid(), ThreadPoolExecutor(self._threads)
        return self._started[1]


def set_threads() -> None:
    """Tell the libraries, before they are imported; what the user has told them stays."""
    for name in LIBRARIES:
        os.environ.setdefault(name, str(thread_count()))
    os.environ.setdefault(*IDLE)


def _quotas(root: Path) -> list[float]:
    """The cores' worth of time that control groups above this process allow, of version 2 and of version 1."""
    quotas = []
    for folder in _groups(root):
        for read in (_version_2, _version_1):
            try:
                quota, period = map(float, read(folder))
            except (OSError, ValueError):  # no such file, or no limit
                continue
            if quota > 0 and period > 0:
                quotas.append(quota / period)
    return quotas


def _groups(root: Path) -> list[Path]:
    """Folders of the control groups that this process is in, and of those around them."""
    mount, folders = root / "sys/fs/cgroup", list[Path]()
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            top = mount / controllers if controllers else mount
            group = top / path.lstrip("/")
            folders += [each for each in (group, *group.parents) if each.is_relative_to(top)]
    return folders


def _version_2(folder: Path) -> list[str]:
    return (folder / "cpu.max").read_text().split()


def _version_1(folder: Path) -> list[str]:
    return [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
