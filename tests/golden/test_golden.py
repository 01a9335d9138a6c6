"""Runs that were stored once predict what they did then, through the commands that users type."""

import csv
import json
import math
from typing import Any

import pytest
from golden.make import COMMANDS, HERE
from keywords import seqloom


def rows_of(text: str, name: str) -> list[Any]:
    if name.endswith(".csv"):
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(text.splitlines())]
    return [json.loads(line) for line in text.splitlines()]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def alike(found: Any, stored: Any) -> bool:
    """The same, but for the last digits of numbers."""
    if isinstance(stored, dict):
        return found.keys() == stored.keys() and all(alike(found[key], stored[key]) for key in stored)
    if isinstance(stored, list):
        return len(found) == len(stored) and all(map(alike, found, stored))
    if isinstance(stored, float):
        return math.isclose(found, stored, rel_tol=1e-4, abs_tol=2e-4)
    return bool(found == stored)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stored_run_predicts_what_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    result = seqloom(*COMMANDS[name])
    assert result.code == 0, result.err
    found, stored = (rows_of(text, name) for text in (result.out, (HERE / name).read_text(encoding="utf-8")))
    assert stored and alike(found, stored), result.out
