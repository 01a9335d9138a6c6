"""Everything that the next epoch depends on, on disk after each epoch."""

import json
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from toolkit import artifact
from toolkit.errors import SeqloomError

Arrays = dict[str, np.ndarray]


@dataclass
class Progress:
    """Where a training stands. `fingerprint` ties it to its config and data."""

    fingerprint: str
    epoch: int = 0
    best_epoch: int = -1
    seconds: float = 0.0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_score(self) -> float:
        return self.history[self.best_epoch]["score"] if self.best_epoch >= 0 else -np.inf

    @property
    def waited(self) -> int:
        """Epochs since the best one, or since that of the lowest validation loss if it came later: scores such as BLEU
        say nothing while hardly anything is learned."""
        losses = [epoch.get("val_loss", np.inf) for epoch in self.history]
        return self.epoch - 1 - max(self.best_epoch, int(np.argmin(losses))) if self.best_epoch >= 0 else 0


def variables_of(model: keras.Model) -> Arrays:
    """All state of a compiled model: weights, random seeds, optimizer moments and step.

    By their places: Keras numbers names by what the process has made before, and another process may go on.
    """
    named = {f"model/{i}": variable for i, variable in enumerate(model.variables)}
    named |= {f"optimizer/{i}": variable for i, variable in enumerate(model.optimizer.variables)}
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named.items()}


def restore_variables(model: keras.Model, arrays: Arrays) -> None:
    """The reverse of `variables_of`, on a model built and compiled the same way."""
    for i, variable in enumerate(model.variables):
        variable.assign(arrays[f"model/{i}"])
    for i, variable in enumerate(model.optimizer.variables):
        variable.assign(arrays[f"optimizer/{i}"])


def other_training(folder: Path) -> SeqloomError:
    return SeqloomError(
        "this folder holds a training of another config or other data.",
        where=str(folder),
        mend="Resume with the config that it was started with, or choose another folder.",
    )


class Checkpoints:
    """The folder of the last two epochs' states. A state counts once its JSON, written last, is there and fits."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, progress: Progress, groups: dict[str, Arrays]) -> None:
        """Store named groups of arrays as the state after `progress.epoch` epochs."""
        name = f"epoch{progress.epoch:05d}"
        weights = self.folder / f"{name}.safetensors"
        flat = {f"{group}|{key}": array for group, arrays in groups.items() for key, array in arrays.items()}
        artifact.write_weights(weights, flat)
        state = {"progress": asdict(progress), "sha256": artifact.sha256(weights)}
        artifact.write_json(self.folder / f"{name}.json", state)
        for old in sorted(self.folder.glob("epoch*.json"))[:-2]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def load(self, fingerprint: str) -> tuple[Progress, dict[str, Arrays]] | None:
        """The latest whole state, or None where there is none, with a warning where there were some.

        Raises:
            SeqloomError: it belongs to another config or other data.
        """
        states = sorted(self.folder.glob("epoch*.json"), reverse=True)
        for path in states:
            progress = self._read(path)
            if progress is None:
                continue
            if progress.fingerprint != fingerprint:
                raise other_training(self.folder.parent)
            groups: dict[str, Arrays] = {}
            for key, array in artifact.read_weights(path.with_suffix(".safetensors")).items():
                group, _, name = key.partition("|")
                groups.setdefault(group, {})[name] = array
            return progress, groups
        if states:
            warnings.warn(f"all checkpoints in {self.folder} are damaged: this training begins anew.", stacklevel=2)
        return None

    def _read(self, path: Path) -> Progress | None:
        """A state whose arrays are as they were written; None when it was cut short."""
        try:
            state = json.loads(path.read_bytes())
            whole = artifact.sha256(path.with_suffix(".safetensors")) == state["sha256"]
            return Progress(**state["progress"]) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
