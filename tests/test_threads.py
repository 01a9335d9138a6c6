"""Threads are the cores that a process may use, unless it is told otherwise."""

import os
import subprocess
import sys

import pytest

from toolkit.errors import ConfigError
from toolkit.threads import IDLE, LIBRARIES, SWITCH, cores, set_threads, thread_count

BOUND = 8


@pytest.fixture(autouse=True)
def bound(monkeypatch):
    """A process that is bound to so many cores and has been told nothing."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(BOUND), raising=False)
    monkeypatch.setattr(os, "environ", {})


def _machine(root, groups, files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, BOUND),
        ("0::/\n", {"cpu.max": "max 100000\n"}, BOUND),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, BOUND),
        ("0::/\n", {"cpu.max": "damaged"}, BOUND),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "100000 100000\n"}, 1),
        ("0::/../x\n", {"cpu.max": "400000 100000\n"}, 4),
        (
            "4:memory:/m\n3:cpu,cpuacct:/a\n0::/\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, BOUND),
        ("damaged\n", {}, BOUND),
    ],
)
def test_a_container_counts_the_cores_that_it_is_given(tmp_path, groups, files, expected):
    assert cores(_machine(tmp_path, groups, files)) == expected


def test_a_machine_without_control_groups_counts_those_it_is_bound_to(tmp_path):
    assert cores(tmp_path) == BOUND


def test_the_user_decides(monkeypatch):
    monkeypatch.setenv(SWITCH, "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert thread_count() == 3
    set_threads()
    told = {name: os.environ[name] for name in LIBRARIES}
    assert told == {**dict.fromkeys(LIBRARIES, "3"), "OMP_NUM_THREADS": "5"}


@pytest.mark.parametrize("asked", [None, "26"])
def test_idle_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch, asked):
    name, soon = IDLE
    monkeypatch.setenv(name, asked or "")
    if not asked:
        monkeypatch.delenv(name)
    set_threads()
    assert os.environ[name] == (asked or soon)


@pytest.mark.parametrize("asked", ["0", "-1", "two", "", "1.5"])
def test_a_number_that_is_none_is_refused(monkeypatch, asked):
    monkeypatch.setenv(SWITCH, asked)
    with pytest.raises(ConfigError, match=SWITCH):
        thread_count()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_pool_works_in_a_process_that_was_forked_after_its_use(monkeypatch):
    monkeypatch.undo()
    code = """
import os
from toolkit.threads import Pool
pool = Pool()
double = lambda number: 2 * number
assert list(pool.map(double, range(4))) == [0, 2, 4, 6]
child = os.fork()
if not child:
    os._exit(list(pool.map(double, range(4)))[-1])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pool.submit(double, 5).result())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["6", "10"]
