"""Cross-validation of a translator on its training and validation pairs, to choose a recipe without the test pairs.

    python benchmarks/pair_folds.py OUT_FOLDER NAME [KEY=VALUE...]

NAME is a config of this folder without .yaml, whose pairs are JSON lines; a KEY=VALUE changes it as --set does. Pairs
of one source are in one of three folds, for which one network is trained on the other two for all epochs. Prints the
exact match, in %, of the greedy translations of the pairs held back, a mean of the last eight epochs, so that no epoch
is chosen and fewer pairs count by luck; and of the beam's translations by the weights that a run would keep, whose
epoch was chosen on these pairs.
"""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import mean

from pipelines.translation.config import Config
from toolkit import config as configs

FOLDS, SEED, LAST = 3, 11, 8


def fold_files(config: Config, out: Path) -> list[tuple[Path, Path]]:
    """For each fold the file of the others and its own."""
    lines: dict[str, list[str]] = {}
    for given in (config.data.train, config.data.validation):
        with Path(str(given)).open(encoding="utf-8") as stream:
            for line in stream:
                lines.setdefault(json.loads(line)[config.data.source], []).append(line)
    sources = sorted(lines)
    random.Random(SEED).shuffle(sources)
    files = []
    for fold in range(FOLDS):
        pair = out / f"train-{fold}.jsonl", out / f"held-{fold}.jsonl"
        for path, held in zip(pair, (False, True), strict=True):
            some = [source for place, source in enumerate(sources) if (place % FOLDS == fold) == held]
            path.write_text("".join(line for source in some for line in lines[source]), encoding="utf-8")
        files.append(pair)
    return files


def scores(name: str, changes: list[str], train: Path, held: Path, run: Path) -> tuple[float, float]:
    """Exact match of greedy translations, and of a beam."""
    own = [f"data.train={train}", f"data.validation={held}", f"data.test={held}"]
    settings = [*own, "model.members=1", "training.refit=false", *changes]
    seqloom = str(Path(sys.executable).with_name("seqloom"))
    command = [seqloom, "run", f"benchmarks/{name}.yaml", "--out", str(run), *(f"--set={each}" for each in settings)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with (run / "history.csv").open(encoding="utf-8", newline="") as stream:
        epochs = [float(row["val_exact_match"]) for row in csv.DictReader(stream)]
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return 100 * mean(epochs[-LAST:]), 100 * report["test"]["exact_match"]


def main() -> None:
    out, name, *changes = sys.argv[1:]
    config = configs.validate(configs.read_document(f"benchmarks/{name}.yaml", changes), Config)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for fold, (train, held) in enumerate(fold_files(config, folder)):
        found.append(scores(name, changes, train, held, folder / f"run-{fold}"))
        print(f"fold {fold}   greedy {found[-1][0]:.1f}   beam {found[-1][1]:.1f}", flush=True)
    greedy, beam = map(mean, zip(*found, strict=True))
    print(f"mean     greedy {greedy:.1f}   beam {beam:.1f}")


if __name__ == "__main__":
    main()
