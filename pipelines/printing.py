"""Facts and scores as lines of text, and how far a long command is."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

MOST_COLUMNS = 3  # baselines that stand beside one another; more stand below
T = TypeVar("T")
LEADERBOARD = ("mase", "owa", "smape", "rmsse", "mae", "mse", "coverage_80")


def fact_lines(facts: dict[str, str]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())


def score_lines(report: dict[str, Any]) -> str:
    """A line a metric, the baselines beside one another; of many of them a line each."""
    if len(report["baselines"]) > MOST_COLUMNS:
        return leaderboard(report)
    columns = {"seqloom": report["test"], **report["baselines"]}
    width = max(len(name) for name in report["test"]) + 2
    lines = [" " * width + "  ".join(f"{name:>10}" for name in columns)]
    for metric in report["test"]:
        cells = (f"{scores[metric]:.4f}" if metric in scores else "-" for scores in columns.values())
        aligned = (f"{cell:>{max(10, len(name))}}" for cell, name in zip(cells, columns, strict=True))
        lines.append(f"{metric:<{width}}" + "  ".join(aligned))
    return "\n".join(lines)


def leaderboard(report: dict[str, Any]) -> str:
    """A line a forecaster, the best first."""
    rows = {"seqloom": report["test"], **report["baselines"]}
    metrics = [name for name in LEADERBOARD if name in report["test"]]
    lines = [f"{'':<18}" + "".join(f"{metric:>13}" for metric in metrics)]
    for name, scores in sorted(rows.items(), key=lambda row: row[1][report["metric"]]):
        cells = (f"{scores[metric]:,.4g}" if metric in scores else "-" for metric in metrics)
        lines.append(f"{name:<18}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def watched(found: Iterable[T], what: str, out: Path | None) -> Iterable[T]:
    """The same, with a sign of life on a terminal that they do not go to themselves."""
    if out is None or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, what, console=Console(file=sys.stderr), transient=True)
