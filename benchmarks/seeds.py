"""Run benchmark configs over several seeds and print the table of BENCHMARKS.md.

    python benchmarks/seeds.py OUT_FOLDER NAME... [--seeds 1,2,3]

NAME is a config of this folder without .yaml. A run that OUT_FOLDER already holds is not repeated.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

# For each pipeline: what to show, times what, with how many decimals, and beside which baseline.
SHOWN = {
    "text_classification": (
        ("accuracy", "in_scope_accuracy", "oos_recall", "macro_f1", "ece"),
        100,
        1,
        "TF-IDF + logistic regression",
    ),
    "translation": (("bleu", "chrf", "exact_match", "execution_accuracy"), 1, 3, "nearest training sentence"),
    "forecasting": (("mse", "mae", "mase", "owa", "coverage_80"), 1, 3, "seasonal_naive"),
}


def run(name: str, seed: int, folder: Path) -> dict:
    """The report of one seed, with the wall-clock seconds of the whole command."""
    report = folder / "report.json"
    if not report.exists():
        seqloom = str(Path(sys.executable).with_name("seqloom"))
        started = time.monotonic()
        command = [seqloom, "run", f"benchmarks/{name}.yaml", "--set", f"seed={seed}", "--out", str(folder), "--resume"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (folder.with_suffix(".seconds")).write_text(f"{time.monotonic() - started:.0f}")
    return {**json.loads(report.read_text()), "whole": float(folder.with_suffix(".seconds").read_text())}


def row(name: str, reports: list[dict]) -> str:
    """One line of the table: mean and, over several seeds, standard deviation of each metric, beside the baseline."""
    metrics, factor, digits, peer = SHOWN[reports[0]["pipeline"]]
    cells = []
    for metric in metrics:
        scores = [factor * report["test"][metric] for report in reports if metric in report["test"]]
        if scores:
            spread = f" ± {shown(statistics.stdev(scores), digits)}" if len(scores) > 1 else ""
            beside = reports[0]["baselines"][peer].get(metric)
            rival = f" ({shown(factor * beside, digits)})" if beside is not None else ""
            cells.append(f"{metric} {shown(statistics.mean(scores), digits)}{spread}{rival}")
    seconds = statistics.mean(report["whole"] for report in reports)
    train = statistics.mean(report["seconds"]["train"] for report in reports)
    return f"| {name} | {len(reports)} | {'; '.join(cells)} | {train:.0f} | {seconds:.0f} |"


def shown(number: float, digits: int) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.{digits}f}"


def main() -> None:
    arguments, seeds = sys.argv[1:], [1, 2, 3]
    if "--seeds" in arguments:
        place = arguments.index("--seeds")
        seeds = [int(seed) for seed in arguments[place + 1].split(",")]
        del arguments[place : place + 2]
    out, *names = arguments
    print("| config | seeds | test metrics, of a text classifier in % (baseline) | training, s | whole run, s |")
    print("|---|---|---|---|---|")
    for name in names:
        print(row(name, [run(name, seed, Path(out) / f"{name}-{seed}") for seed in seeds]), flush=True)


if __name__ == "__main__":
    main()
