"""What malloc does with the memory of large arrays."""

import ctypes
import os
import sys

WISHES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES")  # users' own


def keep_memory() -> None:
    """Let glibc keep it for the next step, unless users say what they want.

    XLA asks for it anew in each step of training, and each of its pages costs a fault. Threads that are there already
    keep arenas of their own, in which there is no place for more than 64 MB.
    """
    if sys.platform != "linux" or any(name in os.environ for name in WISHES):
        return
    libc, most = ctypes.CDLL(None), 2**31 - 1
    if not hasattr(libc, "mallopt"):
        return
    trim, mmap, arenas = -1, -3, -8  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX
    libc.mallopt(trim, most)
    libc.mallopt(mmap, most) or libc.mallopt(mmap, 2**25)  # the most that older versions take
    libc.mallopt(arenas, 1)
