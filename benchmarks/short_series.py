"""How often 80 % intervals of single short series hold, on made series whose future is known.

    python benchmarks/short_series.py [SERIES]

Prints a row for each kind and length: windows that intervals were calibrated on, of which how many do not overlap, and
the share of true values inside, with its standard error. No network: so few windows are too few for one.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.prepare import prepare
from toolkit.data import windows

CASES = ((60, 12), (144, 18), (144, 12), (300, 12))  # months of history, months ahead
KINDS = {
    "random walk": lambda t, noise: np.cumsum(noise[0]),
    "white noise": lambda t, noise: noise[0],
    "autoregression": lambda t, noise: np.convolve(noise[0], 0.7 ** np.arange(60))[: len(t)],
    "trend and season": lambda t, noise: 0.2 * t + 8 * np.sin(2 * np.pi * t / 12) + 2 * noise[0],
    "walk and season": lambda t, noise: 0.3 * np.cumsum(noise[0]) + 10 * np.sin(2 * np.pi * t / 12) + noise[1],
}


def covered(values: np.ndarray, horizon: int, path: Path) -> tuple[float, int, float]:
    """The share of the last values inside their intervals; the windows behind these, and how many do not overlap."""
    dates = pd.date_range("1990-01-01", periods=len(values) - horizon, freq="MS")
    pd.DataFrame({"ds": dates, "y": values[:-horizon]}).to_csv(path, index=False)
    settings = {"pipeline": "forecasting", "horizon": horizon, "season": 12, "data": {"path": str(path)}}
    config = Config.model_validate(settings)
    prepared = prepare(config)
    forecaster = choose(config, prepared, None)
    quantiles, truth, cutoffs = forecaster.forecast(prepared.panel)[0], values[-horizon:], prepared.splits.validation
    inside = (quantiles[:, 0] <= truth) & (truth <= quantiles[:, -1])
    return float(inside.mean()), len(cutoffs), windows.apart(cutoffs, horizon)


def main() -> None:
    warnings.simplefilter("ignore")
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("kind               months  ahead  windows  apart  inside")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in KINDS.items():
            for months, horizon in CASES:
                steps, found = np.arange(months + horizon), []
                for seed in range(series):
                    noise = np.random.default_rng(seed).normal(size=(2, len(steps)))
                    found.append(covered(100 + make(steps, noise), horizon, Path(folder, "series.csv")))
                shares, counts, apart = np.array(found).T
                error = shares.std() / series**0.5
                cells = f"{months:>6}  {horizon:>5}  {counts[0]:>7.0f}  {apart[0]:>5.1f}"
                print(f"{name:<18} {cells}  {shares.mean():.3f} ± {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
