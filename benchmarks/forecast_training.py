"""Seconds of training on ETTh1, 96 hours ahead: Seqloom's network beside NeuralForecast's at their best score.

    NEURALFORECAST_PYTHON=.../python python benchmarks/forecast_training.py OUT [THREADS [STEPS [MODEL:RATE...]]]

NEURALFORECAST_PYTHON is a Python with `neuralforecast` and `torch==2.13.0`, in an environment of its own. Seqloom is
trained before and after the others, in OUT, and each MODEL, LSTM or GRU of NeuralForecast (two layers of 128 units that
read 336 hours), once for at most STEPS steps with a learning RATE: 1e-3, which is its default, and 3e-4 unless given.
The best has the least validation error. Validations, which all have, are not counted on the other side.
"""

import json
import os
import sys
from pathlib import Path

from pairs import seconds
from workers import Worker

MODELS = ("LSTM:1e-3", "GRU:1e-3", "LSTM:3e-4", "GRU:3e-4")
SCRIPT = Path(__file__).with_name("forecast_training_peer.py")


def seqloom(folder: Path, threads: str) -> dict[str, float]:
    """Seconds of training and test scores of one run, of what it serves and of the network in it alone."""
    program = str(Path(sys.executable).with_name("seqloom"))
    seconds(["env", f"SEQLOOM_THREADS={threads}", program, "run", "benchmarks/etth1_96.yaml", "--out", str(folder)])
    report = json.loads((folder / "report.json").read_text())
    alone = report["baselines"]["network"]
    return {
        "seconds": report["seconds"]["train"],
        **{name: report["test"][name] for name in ("mse", "mae")},
        **{f"network_{name}": alone[name] for name in ("mse", "mae")},
    }


def main() -> None:
    out, threads = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "2"
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    peer = Worker([os.environ["NEURALFORECAST_PYTHON"], str(SCRIPT), threads])
    ours = [_told("Seqloom", seqloom(out / "etth1_96-before", threads))]
    theirs = {}
    for model in sys.argv[4:] or MODELS:
        name, _, rate = model.partition(":")
        theirs[model] = _told(model, peer.ask([name, float(rate), steps]))
    ours.append(_told("Seqloom", seqloom(out / "etth1_96-after", threads)))
    peer.close()
    best = min(theirs, key=lambda model: theirs[model]["validation"])
    mean = sum(run["seconds"] for run in ours) / len(ours)
    print(f"Seqloom / {best} at its best score: ratio {mean / theirs[best]['seconds']:.3f}")


def _told(name: str, answer: dict[str, float]) -> dict[str, float]:
    print(f"{name:<10}", *(f"{key} {value:.4g}" for key, value in answer.items()), flush=True)
    return answer


if __name__ == "__main__":
    main()
