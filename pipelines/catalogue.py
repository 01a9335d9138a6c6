"""The one table from a pipeline's name to its package."""

import importlib
from types import ModuleType

PIPELINES = {
    "text_classification": "pipelines.text_classification",
    "translation": "pipelines.translation",
    "forecasting": "pipelines.forecasting",
}


def stage(pipeline: str, name: str) -> ModuleType:
    """A pipeline's module of that name: config, data, model, train, predict or evaluate."""
    return importlib.import_module(f"{PIPELINES[pipeline]}.{name}")
