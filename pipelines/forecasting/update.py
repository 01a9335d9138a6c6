"""The `update` command: a run trained on with new rows."""

import warnings
from pathlib import Path
from typing import Any

from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import Plan
from pipelines.forecasting.predict import NAME
from toolkit.artifact import WEIGHTS, Artifact
from toolkit.errors import ArtifactError

COOLER = 0.3  # times the learning rate that the run began with


def update(data: str, model: Path, folder: Path, *, epochs: int) -> dict[str, Any]:
    """Train on from a run's weights with the series of a file, weigh and calibrate anew; returns the report's numbers.

    The old run stays as it is. The plan (season, history, scales) stays that of the old run. What chooses, calibrates
    and scores is new to it: its own test part, and what the file has beyond that.

    Raises:
        SeqloomError: the run has no network, the file cannot be used, or the new folder is not empty.
    """
    from pipelines.forecasting.evaluate import read_learned
    from pipelines.forecasting.fitting import Start
    from pipelines.forecasting.train import train

    artifact = Artifact(model, NAME)
    if WEIGHTS not in artifact.manifest["files"]:
        raise ArtifactError(
            "this run has no network to train on with.", where=str(model), mend="Train anew with `run`."
        )
    start = Start(artifact.read_stored("plan.json", Plan), artifact.read_weights(), read_learned(artifact))
    if not start.learned:
        told = "it does not say what it has learned from, so that scores and intervals of the new run may be too good."
        warnings.warn(f"{model} is a run of an early version: {told}", stacklevel=2)
    old: Config = artifact.read_config(Config)
    training = old.training.model_copy(
        update={"epochs": epochs, "learning_rate": COOLER * old.training.learning_rate, "warmup": 0.0}
    )
    # What is held back is counted from the new file's end: its rows may hold what a test file held before.
    test = None if isinstance(old.split.test, str) else old.split.test
    split = old.split.model_copy(update={"train": None, "test": test})
    series = old.data.model_copy(update={"path": data})
    config = old.model_copy(update={"data": series, "split": split, "training": training})
    return train(config, folder, resume=False, start=start)
