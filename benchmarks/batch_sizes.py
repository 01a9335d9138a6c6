"""Networks for single real series: batches by how many windows there are, beside batches of 64.

    python benchmarks/batch_sizes.py [SEEDS]

The series of real_series.py, in whole. Printed are the best validation losses (pinball, mean of seeds 1 to SEEDS, by
default 2) of networks that are trained as `run` trains them, and in the end the geometric mean of their ratios, with
its standard error. Test values are not looked at.
"""

import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_series import series

from pipelines.forecasting.config import Config
from pipelines.forecasting.fitting import batches_of, fit_all
from pipelines.forecasting.prepare import prepare
from toolkit.errors import SeqloomError

USUAL = 64


def train(path: Path, horizon: int, seed: int, training: Mapping[str, Any]) -> tuple[float, int]:
    """The best validation loss of a network, and how many windows a batch had."""
    config = Config.model_validate(
        {
            "pipeline": "forecasting",
            "horizon": horizon,
            "seed": seed,
            "data": {"path": str(path)},
            "model": {"kind": "network"},
            "training": {"refit": False, **training},
        }
    )
    prepared = prepare(config)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        history = fit_all(config, prepared, Path(folder), None).history
    return min(row["val_loss"] for row in history), batches_of(config, prepared)


def main(seeds: int) -> None:
    warnings.simplefilter("ignore")
    ratios = []
    print(f"{'':<32}{'batch':>6}{'loss':>8}{f'of {USUAL}':>8}{'ratio':>7}", flush=True)
    for name, values, start, frequency, horizon in series():
        with tempfile.TemporaryDirectory() as folder:
            times = pd.date_range(start, periods=len(values), freq=frequency)
            path = Path(folder) / "series.csv"
            pd.DataFrame({"ds": times, "y": values}).to_csv(path, index=False)
            try:
                own, usual = (
                    [train(path, horizon, seed, training) for seed in range(1, seeds + 1)]
                    for training in ({}, {"batch_size": USUAL})
                )
            except SeqloomError as error:
                print(f"{name:<32}{error}", flush=True)
                continue
        losses = [float(np.mean([loss for loss, _ in each])) for each in (own, usual)]
        ratios.append(losses[0] / losses[1])
        print(f"{name:<32}{own[0][1]:>6}{losses[0]:>8.3f}{losses[1]:>8.3f}{ratios[-1]:>7.2f}", flush=True)
    logs = np.log(ratios)
    mean, deviation = np.exp(logs.mean()), logs.std(ddof=1)
    print(f"geometric mean of {len(ratios)} ratios: {mean:.3f} ± {mean * deviation / len(logs) ** 0.5:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
