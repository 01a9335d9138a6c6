"""What every training run does around its model."""

import csv
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from toolkit import artifact
from toolkit.stanzas import TrainingConfig

PACKAGES = ("seqloom", "keras", "tensorflow", "numpy", "onnxruntime")


def set_seed(seed: int) -> None:
    """Make all that follows in this process depend on nothing but the seed."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


@contextmanager
def in_precision(training: TrainingConfig) -> Iterator[None]:
    """Within it, layers are made to compute in the precision that a config asks for."""
    half = training.mixed_precision
    keras.config.set_dtype_policy("float32" if half == "none" else f"mixed_{half}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def finish(
    folder: Path,
    pipeline: str,
    facts: Mapping[str, Any],
    write: Callable[[], None],
    score: Callable[[], tuple[dict[str, Any], str]],
) -> dict[str, Any]:
    """Make a run of a folder: write what predicts, seal it, score what was sealed, and seal it with its report.

    Until it is sealed, it is a training that can go on from its checkpoints. Returns the report that `score` gives
    beside its page.
    """
    facts = {"versions": versions(), **facts}
    (folder / "checkpoints").mkdir(exist_ok=True)  # without a network there are none, but it can go on too
    (folder / artifact.MANIFEST).unlink(missing_ok=True)  # of a run that was killed while it wrote its report
    write()
    artifact.seal(folder, pipeline, facts)
    report, page = score()
    artifact.write_json(folder / "report.json", report)
    artifact.write_text(folder / "report.html", page)
    artifact.seal(folder, pipeline, facts)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return report


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
