"""What every training run does around its model."""

import csv
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from toolkit import artifact
from toolkit.errors import SeqloomError

PACKAGES = ("seqloom", "keras", "tensorflow", "numpy", "onnxruntime")


def refuse_foreign(folder: Path, resume: bool) -> None:
    """Raise unless the folder is new, empty, or that of a run to go on with."""
    if folder.exists() and not folder.is_dir():
        raise SeqloomError("this is a file, expected a folder.", where=str(folder), mend="Choose another --out.")
    if not folder.exists() or (resume and (folder / "checkpoints").is_dir()):
        return
    names = {path.name for path in folder.iterdir()} - {".lock"}
    if artifact.MANIFEST in names:
        raise SeqloomError("this folder holds a finished run.", where=str(folder), mend="Choose another --out.")
    if names and resume:
        raise SeqloomError("this folder holds no run to go on with.", where=str(folder), mend="Choose another --out.")
    if names:
        raise SeqloomError("this folder is not empty.", where=str(folder), mend="Choose another --out, or --resume.")


def set_seed(seed: int) -> None:
    """Make all that follows in this process depend on nothing but the seed."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def named_weights(networks: Sequence[keras.Model]) -> dict[str, np.ndarray]:
    """All weights of some networks, by network and name."""
    return {
        f"member{i}/{weight.path.removeprefix(f'{network.name}/')}": keras.ops.convert_to_numpy(weight)
        for i, network in enumerate(networks)
        for weight in network.weights
    }


def history_csv(rows: Sequence[dict[str, float]]) -> str:
    """One line an epoch."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}
