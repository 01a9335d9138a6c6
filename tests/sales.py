"""Daily sales of a few kiosks with a week in them, which a tiny network learns in seconds, and configs to do so."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HORIZON, WEEK = 7, 7
FIRST_DAY = np.datetime64("2023-01-02")
HEADER = ("unique_id", "ds", "y", "promotion")


class Sales(NamedTuple):
    """Shapes: values, promotions (series, days)."""

    values: np.ndarray
    promotions: np.ndarray

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.values)

    def days(self, stop: int) -> "Sales":
        """What had come by then."""
        return Sales(self.values[:, :stop], self.promotions[:, :stop])


def make_sales(series: int = 4, days: int = 200, *, seed: int = 0) -> Sales:
    """A level, a week, noise, and twice as much on the days of a promotion."""
    random = np.random.default_rng(seed)
    level = random.uniform(20, 200, (series, 1))
    week = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(days) + 3 * np.arange(series)[:, None]) / WEEK)
    promotions = (random.random((series, days)) < 0.15).astype(np.float64)
    noise = 1 + 0.05 * random.standard_normal((series, days))
    return Sales(np.round(level * week * noise * (1 + promotions), 2), promotions)


def day(number: int) -> str:
    return str(FIRST_DAY + number)


def rows_of(sales: Sales, names: Sequence[str] | None = None) -> list[list[Any]]:
    """Rows of a long table; NaN as an empty cell."""
    names = names or [f"kiosk{k}" for k in range(len(sales))]
    return [
        [names[k], day(t), "" if np.isnan(value) else value, int(sales.promotions[k, t])]
        for k in range(len(sales))
        for t, value in enumerate(sales.values[k].tolist())
    ]


def write_table(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return path


def write_sales(path: Path, sales: Sales, names: Sequence[str] | None = None) -> Path:
    return write_table(path, rows_of(sales, names))


def write_config(path: Path, table: Path, /, **stanzas: Any) -> Path:
    """A config of a tiny, fast network, as JSON, which is YAML; `stanzas` are merged into its own."""
    values: dict[str, Any] = {
        "pipeline": "forecasting",
        "horizon": HORIZON,
        "season": WEEK,
        "data": {"path": str(table), "known": ["promotion"]},
        "model": {"history": 14, "segment": 1, "lower": 0},
        "encoder": {"units": 8},
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.03},
    }
    for name, stanza in stanzas.items():
        values[name] = {**values.get(name, {}), **stanza} if isinstance(stanza, dict) else stanza
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path


def read_table(text: str) -> list[dict[str, str]]:
    """Rows of CSV text by column."""
    return list(csv.DictReader(text.splitlines()))
