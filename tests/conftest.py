"""What all tests share: one backend, quiet logs, and Hypothesis examples that are the same in every run."""

import gc
import os

# Before anything loads Keras.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hypothesis import HealthCheck, settings

settings.register_profile(
    "seqloom",
    max_examples=15,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("seqloom")

gc.disable()


def pytest_collection_finish() -> None:
    """What tests import stays: looking for garbage among it takes a third of the time of those that build networks."""
    gc.freeze()
    gc.enable()
