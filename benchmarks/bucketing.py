"""Training with length-bucketed batches against padding every batch to the longest text, on the same data.

    python benchmarks/bucketing.py [CONFIG] [--set a.b=c ...]

Runs both in turn, twice, and prints seconds of training and test accuracy.
CONFIG is benchmarks/clinc150.yaml unless given.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def run(config: str, overrides: list[str], bucketing: bool, out: Path) -> dict:
    seqloom = str(Path(sys.executable).with_name("seqloom"))
    setting = f"training.bucketing={'true' if bucketing else 'false'}"
    subprocess.run(
        [seqloom, "run", config, "--set", setting, *overrides, "--out", str(out)], check=True, capture_output=True
    )
    return json.loads((out / "report.json").read_text())


def main() -> None:
    arguments = sys.argv[1:]
    config = arguments.pop(0) if arguments and not arguments[0].startswith("--") else "benchmarks/clinc150.yaml"
    times: dict[bool, list[float]] = {True: [], False: []}
    scores: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as temporary:
        for repeat in range(2):
            for bucketing in (True, False):
                report = run(config, arguments, bucketing, Path(temporary) / f"{repeat}{bucketing}")
                times[bucketing].append(report["seconds"]["train"])
                scores[bucketing].append(report["test"].get("in_scope_accuracy", report["test"]["accuracy"]))
    for bucketing, name in ((True, "bucketed"), (False, "padded to the longest")):
        seconds, accuracy = statistics.median(times[bucketing]), statistics.mean(scores[bucketing])
        print(f"{name:<22} {seconds:7.1f} s  accuracy {accuracy:.4f}")
    print(f"ratio {statistics.median(a / b for a, b in zip(times[True], times[False], strict=True)):.3f}")


if __name__ == "__main__":
    main()
