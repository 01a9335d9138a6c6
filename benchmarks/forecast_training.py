"""Seconds of training on ETTh1, 96 hours ahead: Seqloom's network beside NeuralForecast's at their best score.

    NEURALFORECAST_PYTHON=.../python python benchmarks/forecast_training.py OUT [THREADS [STEPS [MODEL:RATE...]]]

NEURALFORECAST_PYTHON is a Python with `neuralforecast` and `torch==2.13.0`, in an environment of its own. Seqloom is
trained before and after the others, in OUT, for all epochs of its config and for three, after which it has the score
that was asked for (MSE .362, MAE .390; two give .363, .388). Each MODEL, LSTM or GRU of NeuralForecast (two layers of
128 units that read 336 hours), is trained once for at most STEPS steps with a learning RATE: 1e-3, which is its
default, and 3e-4 unless given. The best has the least validation error. Validations, which all have, are not counted on
the other side.

Gradients that vanish over 336 steps become denormal numbers, which processors handle slowly: PyTorch's first steps take
seven times as long as with `torch.set_flush_denormal`, which nobody sets unasked. The models are compared with it set
(tuned), and the best then trains for as many steps once more without (default).
"""

import json
import os
import sys
from pathlib import Path

from pairs import seconds
from workers import Worker

EPOCHS = (5, 3)
CHECKED = 50  # steps between two validations
MODELS = ("LSTM:1e-3", "GRU:1e-3", "LSTM:3e-4", "GRU:3e-4")
SCRIPT = Path(__file__).with_name("forecast_training_peer.py")


def seqloom(folder: Path, threads: str, epochs: int) -> dict[str, float]:
    """Seconds of training and test scores of one run, of what it serves and of the network in it alone."""
    folder = folder.with_name(f"{folder.name}-{epochs}")
    program = str(Path(sys.executable).with_name("seqloom"))
    changed = ["--set", f"training.epochs={epochs}", "--out", str(folder)]
    seconds(["env", f"SEQLOOM_THREADS={threads}", program, "run", "benchmarks/etth1_96.yaml", *changed])
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
    ours = {epochs: [_told(f"Seqloom {epochs}", seqloom(out / "before", threads, epochs))] for epochs in EPOCHS}
    theirs = {}
    for model in sys.argv[4:] or MODELS:
        name, _, rate = model.partition(":")
        theirs[model] = _told(model, peer.ask([name, float(rate), steps, CHECKED, True]))
    best = min(theirs, key=lambda model: theirs[model]["validation"])
    name, _, rate = best.partition(":")
    reached = theirs[best]["steps"]
    default = _told(f"{best} default", peer.ask([name, float(rate), reached, reached, False]))
    peer.close()
    for epochs, runs in ours.items():
        runs.append(_told(f"Seqloom {epochs}", seqloom(out / "after", threads, epochs)))
        mean = sum(run["seconds"] for run in runs) / len(runs)
        for title, answer in (("default", default), ("tuned", theirs[best])):
            ratio = mean / answer["seconds"]
            print(f"Seqloom, {epochs} epochs / {best} at its best score, {title}: ratio {ratio:.3f}")


def _told(name: str, answer: dict[str, float]) -> dict[str, float]:
    print(f"{name:<16}", *(f"{key} {value:.4g}" for key, value in answer.items()), flush=True)
    return answer


if __name__ == "__main__":
    main()
