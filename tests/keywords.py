"""A task that a tiny network learns in seconds, and the `seqloom` command run inside this process.

Every text is a few filler words and one word that gives its topic away.
"""

import contextlib
import csv
import io
import json
import random
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from pipelines.cli import app
from pipelines.process import run_app

TOPICS = {
    "account": ("password", "login", "username", "profile"),
    "delivery": ("parcel", "courier", "shipping", "arrived"),
    "refund": ("refund", "money", "repay", "cash"),
}
CHATTER = ("weather", "football", "poem", "holiday", "dinner")
FILLER = (
    "the",
    "a",
    "my",
    "is",
    "it",
    "was",
    "please",
    "about",
    "for",
    "today",
    "again",
    "really",
    "need",
    "you",
    "can",
)
WORDS = 7  # a text, so that all fit one padded length and one graph is traced

Row = tuple[str, str]


def keyword_rows(count: int, *, seed: int = 0, many: bool = False, other: bool = False) -> list[Row]:
    """Texts and labels, every label as often as the others.

    many: a text has one label or two, joined by a semicolon; other: one more label, for texts of no topic.
    """
    random_ = random.Random(seed)
    names = [*TOPICS, "other"] if other else list(TOPICS)
    return [_row(random_, names[i % len(names)], second=many and i % 2 == 1) for i in range(count)]


def _row(random_: random.Random, name: str, *, second: bool) -> Row:
    names = [name]
    if second and name in TOPICS:
        names.append(random_.choice([other for other in TOPICS if other != name]))
    words = [random_.choice(TOPICS.get(each, CHATTER)) for each in names]
    words += random_.choices(FILLER, k=WORDS - len(words))
    random_.shuffle(words)
    return " ".join(words), ";".join(names)


def write_table(path: Path, rows: Sequence[Row], header: Sequence[str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([header, *rows])
    return path


def write_config(path: Path, data: dict[str, Any], **stanzas: Any) -> Path:
    """A config of a tiny, fast network, as JSON, which is YAML; `stanzas` are merged into its own."""
    values: dict[str, Any] = {
        "pipeline": "text_classification",
        "data": data,
        "vectors": {"units": 16, "ngram_buckets": 500},
        "encoder": {"units": 8, "bidirectional": False},
        "training": {"epochs": 5, "batch_size": 16, "learning_rate": 0.05},
    }
    for name, stanza in stanzas.items():
        values[name] = {**values.get(name, {}), **stanza} if isinstance(stanza, dict) else stanza
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path


def write_splits(folder: Path, **options: Any) -> dict[str, Any]:
    """Training, validation and test files of keyword texts; returns the config's data stanza."""
    sizes = {"train": 192, "validation": 36, "test": 36}
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: str(write_table(folder / f"{name}.csv", keyword_rows(count, seed=seed, **options)))
        for seed, (name, count) in enumerate(sizes.items())
    }


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def seqloom(*arguments: Any, stdin: bytes = b"") -> Result:
    """Run the command in this process, where Keras is loaded already."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding="utf-8")
    with (
        mock.patch.object(sys, "argv", ["seqloom", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", given),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run_app(app)
    return Result(code, out.getvalue(), err.getvalue())
