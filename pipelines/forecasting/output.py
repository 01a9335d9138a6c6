"""Forecasts as rows of a table: CSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from toolkit.artifact import opened, write_output
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs, ordinals
from toolkit.errors import ConfigError

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
LEAST_DIGITS, MOST_DIGITS = 6, 15  # significant ones of a forecast
USUAL = 80  # percent of the interval that is written when nobody asks for one


class Forecasts(NamedTuple):
    """Forecasts of some rows. Shapes: quantiles (rows, horizon, levels); truth (rows, horizon), in a backtest."""

    panel: Panel
    cutoffs: Cutoffs
    levels: tuple[float, ...]
    quantiles: np.ndarray
    truth: np.ndarray | None = None


def format_of(out: Path | None) -> str:
    """csv, jsonl or parquet, by the name of the file.

    Raises:
        ConfigError: the name ends otherwise.
    """
    if out is None or (out.exists() and not out.is_file()):
        return "csv"
    if out.suffix.lower() not in FORMATS:
        raise ConfigError("its name should end in .csv, .jsonl or .parquet.", where=str(out))
    return FORMATS[out.suffix.lower()]


def write(forecasts: Forecasts, out: Path | None, intervals: Sequence[float] | None) -> None:
    """Write one row a series and step: unique_id, ds, seqloom, seqloom-lo-80, seqloom-hi-80.

    Where several columns together name a series, these follow unique_id.

    Args:
        out: the file; None is standard output, as CSV.
        intervals: percents of the intervals to write; none for the run's own that is nearest to USUAL.

    Raises:
        ConfigError: the run has no such interval.
    """
    columns = columns_of(forecasts.levels, intervals)
    truth = ["cutoff", "y"] if forecasts.truth is not None else []
    names = ["unique_id", *_id_columns(forecasts.panel), "ds", *truth, *columns]
    kind = format_of(out)
    if kind == "parquet":
        assert out is not None
        _write_parquet(forecasts, out, names, columns)
        return
    with opened(out) as stream:
        if kind == "csv":
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(_rows(forecasts, columns))
        else:
            for row in _rows(forecasts, columns):
                stream.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")


def _id_columns(panel: Panel) -> tuple[str, ...]:
    """Those that follow unique_id: none where one has the name of another column."""
    taken = any(name in ("unique_id", "ds", "cutoff", "y") or name.startswith("seqloom") for name in panel.id_columns)
    return () if taken else panel.id_columns


def nearest_interval(levels: tuple[float, ...]) -> tuple[int, int]:
    """The places of the levels whose interval is nearest to USUAL, which pictures show."""
    low = int(np.argmin(np.abs(np.array(levels) - (0.5 - USUAL / 200))))
    return low, len(levels) - 1 - low


def columns_of(levels: tuple[float, ...], intervals: Sequence[float] | None) -> dict[str, int]:
    """Column names and the places of their levels.

    Raises:
        ConfigError: the run has no such interval.
    """
    places = {round(level, 6): place for place, level in enumerate(levels)}
    columns = {"seqloom": places[0.5]}
    own = [round(100 * (1 - 2 * level), 6) for level in levels if level < 0.5]
    for percent in intervals or sorted(own, key=lambda percent: abs(percent - USUAL))[:1]:
        low, high = (places.get(round(0.5 + sign * percent / 200, 6)) for sign in (-1, 1))
        if low is None or high is None:
            known = ", ".join(f"{each:g}" for each in own)
            raise ConfigError(f"there is no {percent:g} % interval in this run, which has {known}.", where="--level")
        columns |= {f"seqloom-lo-{percent:g}": low, f"seqloom-hi-{percent:g}": high}
    return columns


def _rows(forecasts: Forecasts, columns: dict[str, int]) -> Iterator[tuple]:
    """Rows in the order of the series, cutoffs and steps."""
    panel, horizon = forecasts.panel, forecasts.quantiles.shape[1]
    for start in range(0, len(forecasts.cutoffs), 1024):
        part = forecasts.cutoffs.take(slice(start, start + 1024))
        quantiles = forecasts.quantiles[start : start + 1024]
        digits, values = _digits(quantiles).tolist(), quantiles[:, :, list(columns.values())]
        steps, cutoffs = (_times(panel, ordinals(panel, part, *ends)) for ends in ((0, horizon), (-1, 0)))
        for i, series in enumerate(part.series.tolist()):
            names = (panel.ids[series], *(panel.named(series) if _id_columns(panel) else ()))
            for step, numbers in enumerate(values[i].tolist()):
                middle: tuple = ()
                if forecasts.truth is not None:
                    middle = (cutoffs[i][0], _shown(forecasts.truth[start + i, step]))
                yield (*names, steps[i][step], *middle, *(_shown(x, digits[i][step]) for x in numbers))


def _times(panel: Panel, numbers: np.ndarray) -> list[list[str]]:
    """Ordinals as text; rows share most of theirs, so each is written once."""
    steps, places = np.unique(numbers, return_inverse=True)
    return np.array(panel.frequency.text(steps), object)[places].reshape(numbers.shape).tolist()


def _digits(quantiles: np.ndarray) -> np.ndarray:
    """Significant digits of forecasts: a thousandth of the distance between their outer levels is still to be seen.

    Shapes: quantiles (rows, horizon, levels) -> (rows, horizon)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.log10(abs(quantiles).max(axis=2) / np.ptp(quantiles, axis=2)) + 3
    return np.clip(np.ceil(np.nan_to_num(digits)), LEAST_DIGITS, MOST_DIGITS).astype(int)


def _shown(number: float, digits: int = 17) -> float | None:
    return float(f"{number:.{digits}g}") if np.isfinite(number) else None


def _write_parquet(forecasts: Forecasts, out: Path, names: list[str], columns: dict[str, int]) -> None:
    import io

    import pyarrow
    import pyarrow.parquet

    rows = list(zip(*_rows(forecasts, columns), strict=True)) or [()] * len(names)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(names, map(list, rows), strict=True))), buffer)
    write_output(out, buffer.getvalue())
