"""Whole jobs: the worked examples trained with and without the kernel, and a million messages beside fastText.

    FASTTEXT_PYTHON=.../python python benchmarks/whole_jobs.py OUT [ROUNDS [JOB...]]

FASTTEXT_PYTHON is a Python with `fasttext-numpy2`, in an environment of its own. JOB is `train`, which leaves
its runs in OUT, such as OUT/forecasting-kernel-0, or `classify`, which takes the text classifier there; both unless
given. fastText learns from the same messages and writes the best label of each; Seqloom writes all labels that hold and
the most probable three.
"""

import csv
import json
import os
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from pairs import seconds
from workers import show

CONFIGS = ("text_classification", "forecasting", "translation")
MESSAGES, LINES = Path("configs/samples/support_train.csv"), 10**6
TRAIN = """
import sys, fasttext
model = fasttext.train_supervised(sys.argv[1], dim=100, epoch=50, loss="ova", minn=2, maxn=5, verbose=0)
model.save_model(sys.argv[2])
"""
PREDICT = """
import sys, fasttext
from itertools import islice
model = fasttext.load_model(sys.argv[1])
with open(sys.argv[2]) as lines, open(sys.argv[3], "w") as out:
    while texts := [line.rstrip("\\n") for line in islice(lines, 4096)]:
        labels, probabilities = model.predict(texts)
        out.writelines(f"{a[0]} {b[0]:.4f}\\n" for a, b in zip(labels, probabilities))
"""


def train(out: Path, rounds: int) -> None:
    """Seconds of training alone, and of the whole command with its report."""
    for config in CONFIGS:
        alone: dict[str, list[float]] = {"kernel": [], "off": []}
        whole: dict[str, list[float]] = {"kernel": [], "off": []}
        for number in range(rounds):
            for name in sorted(alone, reverse=number % 2 == 1):
                folder = out / f"{config}-{name}-{number}"
                command = [*seqloom("run"), f"configs/{config}.yaml", "--out", str(folder)]
                setting = ["SEQLOOM_KERNEL=off"] if name == "off" else []
                whole[name].append(seconds(["env", *setting, *command]))
                alone[name].append(json.loads((folder / "report.json").read_text())["seconds"]["train"])
        show(f"{config}: training", alone, "off", "s")
        show(f"{config}: the whole command", whole, "off", "s")


def classify(out: Path, rounds: int) -> None:
    peer = os.environ["FASTTEXT_PYTHON"], "-c"
    with MESSAGES.open(newline="") as stream:
        rows = [(" ".join(row["text"].split()), row["labels"].split(";")) for row in csv.DictReader(stream)]
    with tempfile.TemporaryDirectory() as temporary:
        labelled, model, lines, answers = (f"{temporary}/{name}" for name in ("train", "model", "lines", "answers"))
        marked = (" ".join([*(f"__label__{label}" for label in labels), text]) for text, labels in rows)
        Path(labelled).write_text("\n".join(marked) + "\n")
        Path(lines).write_text("\n".join(islice(cycle(text for text, _ in rows), LINES)) + "\n")
        seconds([*peer, TRAIN, labelled, model])
        ours = [*seqloom("classify"), lines, "--lines", "--model", str(out / f"{CONFIGS[0]}-kernel-0")]
        commands = {"fastText": [*peer, PREDICT, model, lines, answers], "seqloom": [*ours, "-o", f"{answers}.jsonl"]}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds):
            for name in sorted(commands, reverse=number % 2 == 1):
                times[name].append(seconds(commands[name]))
        show(f"{LINES:,} lines", times, "fastText", "s")


def seqloom(command: str) -> list[str]:
    return [str(Path(sys.executable).with_name("seqloom")), command]


def main() -> None:
    out, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    jobs = {"train": train, "classify": classify}
    for job in sys.argv[3:] or jobs:
        jobs[job](out, rounds)


if __name__ == "__main__":
    main()
