"""Trainings that are broken off."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.training.watch import Watch


def at_call(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Do something after so many steps and epochs of training."""
    tell, calls = Watch.__call__, []

    def count(self: Watch, progress: Any, step: int) -> None:
        tell(self, progress, step)
        calls.append(step)
        if len(calls) == number:
            action()

    monkeypatch.setattr(Watch, "__call__", count)


def interrupt() -> None:
    """What Ctrl-C does, also where it is ignored, as in a shell's background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
