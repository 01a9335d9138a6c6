"""How the settings of threads and of memory change a training step, each beside Seqloom's own choice.

    python benchmarks/settings.py [ROUNDS [THREADS]]

Text classifiers of one direction, with and without the kernel, and of two, and a translator (see recurrent_step.py and
translation_step.py): with malloc's thresholds raised; with one thread between operations, where Seqloom takes as many
as within them; and in a control group that is given one core's time, where this may make one, with one thread
(Seqloom's choice), two and eight.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import recurrent_step
import translation_step
from workers import TUNED, Worker, in_turn, show

FOLDER = Path(__file__).parent
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'  # a shell that becomes the command that it puts into a group


@contextmanager
def one_core() -> Iterator[Path | None]:
    """A control group that is given one core's time, of version 2 or 1; None where this user may not make one."""
    root, period = Path("/sys/fs/cgroup"), 100_000
    version_2 = (root / "cgroup.controllers").exists()
    group = (root if version_2 else root / "cpu") / f"seqloom-{os.getpid()}"
    name, limit = ("cpu.max", f"{period} {period}") if version_2 else ("cpu.cfs_quota_us", str(period))
    try:
        group.mkdir()
        (group / name).write_text(limit)
    except OSError as error:
        print(f"no control group: {error}")
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()


def classifier(case: str, folder: Path) -> list[str]:
    recurrent_step.prepare(folder, recurrent_step.CASES[case])
    return [str(FOLDER / "recurrent_step.py"), str(folder)]


def translator(folder: Path) -> list[str]:
    translation_step.write_batch(folder)
    return [str(FOLDER / "translation_step.py"), str(folder)]


@dataclass(frozen=True)
class Kind:
    """What is trained: how its script is called, and asked to begin if it must be."""

    title: str
    prepare: Callable[[Path], list[str]]
    role: tuple[str, ...]
    begin: str = ""


KINDS = (
    Kind("text classifier", partial(classifier, "lstm60"), ("kernel",), "lstm60"),
    Kind("text classifier without the kernel", partial(classifier, "lstm60"), ("stock",), "lstm60"),
    Kind("bidirectional text classifier", partial(classifier, "bilstm60"), ("kernel",), "bilstm60"),
    Kind("translator", translator, ("bahdanau", "train")),
)


def compare(kind: Kind, script: list[str], rounds: int, threads: int, group: Path | None) -> None:
    def start(threads: int, *prefix: str) -> Worker:
        switch = ["SEQLOOM_KERNEL=off"] if "stock" in kind.role else []
        worker = Worker(["env", *switch, *prefix, sys.executable, *script, str(threads), *kind.role])
        if kind.begin:
            worker.ask(kind.begin)
        return worker

    as_it_is = "as it is"
    workers = {
        as_it_is: start(threads),
        "malloc's thresholds": start(threads, *TUNED),
        "one between operations": start(threads, "BETWEEN=1"),
    }
    show(f"{kind.title}: {threads} threads", in_turn(workers, 15, rounds), as_it_is, "s")
    for worker in workers.values():
        worker.close()
    if group:
        enter = ("sh", "-c", ENTER, str(group))
        workers = {f"{count} threads": start(count, *enter) for count in (1, 2, 8)}
        for name, worker in workers.items():
            if name != "1 threads":
                both = {"1 threads": workers["1 threads"], name: worker}
                show(f"{kind.title}: a core's time, {name}", in_turn(both, 3, rounds), "1 threads", "s")
        for worker in workers.values():
            worker.close()


def main() -> None:
    rounds, threads = [int(value) for value in (sys.argv[1:3] + ["5", "2"][len(sys.argv[1:3]) :])]
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    with tempfile.TemporaryDirectory() as temporary, one_core() as group:
        for number, kind in enumerate(KINDS):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            compare(kind, kind.prepare(folder), rounds, threads, group)


if __name__ == "__main__":
    main()
