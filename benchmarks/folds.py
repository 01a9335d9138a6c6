"""Cross-validation of a text classifier on its training rows alone, to choose a recipe without the test rows.

    python benchmarks/folds.py NAME [FOLDS [MEMBERS [KEY=VALUE...]]]

NAME is a config of this folder without .yaml, whose labels exclude each other; a KEY=VALUE changes it as --set does.
Texts that are equal are in one of five folds, of which so many are tried: networks train on the other four for all
epochs, without choosing one. Prints accuracy in % and cross entropy, after a temperature, of each network, of their
mean, of the linear model of `model.linear`, and of both together at the best weight, all on the rows of the folds.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.text_classification import model as models
from pipelines.text_classification import train
from pipelines.text_classification.config import Config
from pipelines.text_classification.data import Examples, Splits, read_splits, targets
from pipelines.text_classification.prepare import learn
from toolkit import config as configs
from toolkit.evaluation import baselines, calibration
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import fit

FOLDS, SEED = 5, 7
STRENGTH = 10.0  # of the linear model, fixed: a fold that is held back chooses nothing


def fold_logits(config: Config, rows: Examples, held: Examples, members: int) -> tuple[np.ndarray, ...]:
    """Shapes: -> networks (members, rows, labels); linear (rows, labels); truth (rows,)."""
    prepared = learn(config, Splits(rows, held, held))
    encoded, found = prepared.encoder.encode(held.texts), []
    for member in range(members):
        network, task = train.begin(config, prepared, member)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder))
            fit(network, replace(task, evaluate=None), config.training, checkpoints, "", lambda *_: None)
        found.append(models.logits([network], prepared.encoder, encoded))
    truth = targets(rows, prepared.labels)
    linear = baselines.fit_tfidf_logistic(
        rows.texts, truth, len(prepared.labels), strength=STRENGTH, capitals=config.tokens.capitals
    )
    return np.array(found), linear.logits(held.texts), targets(held, prepared.labels)


def calibrated(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return logits / calibration.fit_temperature(logits, truth)


def scores(logits: np.ndarray, truth: np.ndarray) -> str:
    nll = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(truth)), truth]
    return f"{100 * (logits.argmax(axis=1) == truth).mean():6.2f}  {nll.mean():.4f}"


def main() -> None:
    count, members = [int(value) for value in (sys.argv[2:4] + ["3", "2"][len(sys.argv[2:4]) :])]
    config = configs.validate(configs.read_document(f"benchmarks/{sys.argv[1]}.yaml", sys.argv[4:]), Config)
    rows = read_splits(config.data, config.seed).joined().train
    different, places = np.unique(rows.texts, return_inverse=True)
    folds = np.random.default_rng(SEED).integers(0, FOLDS, len(different))[places]
    parts = [
        fold_logits(
            config,
            rows.take(np.flatnonzero(folds != k).tolist()),
            rows.take(np.flatnonzero(folds == k).tolist()),
            members,
        )
        for k in range(count)
    ]
    networks = np.concatenate([part[0] for part in parts], axis=1)
    linear, truth = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    for number, logits in enumerate(networks, 1):
        print(f"network {number}       ", scores(calibrated(logits, truth), truth))
    mean, linear = calibrated(networks.mean(axis=0), truth), calibrated(linear, truth)
    weight = calibration.fit_weight(mean, linear, truth)
    print("their mean      ", scores(mean, truth))
    print("linear          ", scores(linear, truth))
    print(f"both, {weight:.1f} linear", scores((1 - weight) * mean + weight * linear, truth))


if __name__ == "__main__":
    main()
