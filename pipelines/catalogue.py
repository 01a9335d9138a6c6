"""The one table from a pipeline's name to its package."""

import importlib
from pathlib import Path
from types import ModuleType

from toolkit.errors import ConfigError

PIPELINES = {
    "text_classification": "pipelines.text_classification",
    "translation": "pipelines.translation",
    "forecasting": "pipelines.forecasting",
}


def pipeline_of(model: Path) -> str:
    """The pipeline of a run folder.

    Raises:
        SeqloomError: it is no run, or of a pipeline that there is not.
    """
    from toolkit.artifact import read_manifest

    pipeline = read_manifest(model)["pipeline"]
    if pipeline not in PIPELINES:
        raise ConfigError(f"a run of {pipeline!r}, expected {' or '.join(PIPELINES)}.", where=str(model))
    return pipeline


def stage(pipeline: str, name: str) -> ModuleType:
    """A pipeline's module of that name, such as config, check, train, predict, evaluate or explain."""
    return importlib.import_module(f"{PIPELINES[pipeline]}.{name}")
