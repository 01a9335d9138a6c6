"""Malloc keeps what large arrays give back."""

from toolkit import memory


def test_memory_is_kept_unless_users_have_their_own_wishes(monkeypatch):
    told = []

    class Library:
        def __init__(self, _):
            pass

        def mallopt(self, option, value):
            told.append(option)
            return value < 2**26  # as older versions of glibc do

    monkeypatch.setattr(memory.ctypes, "CDLL", Library)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    for name in memory.WISHES:
        monkeypatch.delenv(name, raising=False)
    memory.keep_memory()
    assert told == [-1, -3, -3, -8]
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    memory.keep_memory()
    assert len(told) == 4
