"""Time and memory of `seqloom forecast --model` on 10^3, 10^4 and 10^5 series of 200 daily points, 14 days ahead.

    python benchmarks/forecast_scale.py [RUN_FOLDER]

Without RUN_FOLDER a run is trained first, on 500 of the series. Reading, forecasting and writing are one command.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pairs import peak_memory, seconds

STEPS, HORIZON = 200, 14
CONFIG = """
pipeline: forecasting
horizon: {horizon}
season: 7
data:
  path: {path}
model:
  kind: {kind}
training:
  epochs: 3
"""


def write_series(path: Path, series: int, seed: int) -> None:
    """Daily sales with a week, a trend and noise, in long format."""
    random = np.random.default_rng(seed)
    days = np.datetime_as_string(np.datetime64("2024-01-01") + np.arange(STEPS), unit="D")
    week = 1 + 0.4 * np.sin(2 * np.pi * np.arange(STEPS) / 7)
    with path.open("w") as stream:
        stream.write("unique_id,ds,y\n")
        for number in range(series):
            trend = 1 + random.normal(0, 0.002) * np.arange(STEPS)
            values = random.lognormal(3, 1) * week * trend * random.lognormal(0, 0.2, STEPS)
            stream.writelines(f"item{number},{day},{value:.2f}\n" for day, value in zip(days, values, strict=True))


def main() -> None:
    seqloom = str(Path(sys.executable).with_name("seqloom"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "run"
        data, out = folder / "series.csv", folder / "forecast.csv"
        if not run.exists():
            write_series(folder / "train.csv", 500, seed=1)
            config = folder / "scale.yaml"
            config.write_text(CONFIG.format(horizon=HORIZON, path=folder / "train.csv", kind="auto"))
            subprocess.run([seqloom, "run", str(config), "--out", str(run)], check=True, stderr=subprocess.DEVNULL)
        for series in (1, 10**3, 10**4, 10**5):
            write_series(data, series, seed=2)
            elapsed = seconds([seqloom, "forecast", str(data), "--model", str(run), "-h", str(HORIZON), "-o", str(out)])
            with out.open() as stream:
                assert sum(1 for _ in stream) == series * HORIZON + 1
            print(f"{series:>8,} series  {elapsed:7.2f} s  peak {peak_memory():,} MB", flush=True)


if __name__ == "__main__":
    main()
