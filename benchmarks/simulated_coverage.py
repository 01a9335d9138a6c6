"""How often 80 % intervals hold on processes that are known, of simple methods alone, so that it takes a minute.

    python benchmarks/simulated_coverage.py [DRAWS]

Each draw writes series of a process, fits what a run fits but for networks, and forecasts what follows. Printed are the
mean over draws and its standard error.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from pipelines.forecasting.choose import choose
from pipelines.forecasting.config import Config
from pipelines.forecasting.prepare import prepare

Random = np.random.Generator


class Process(NamedTuple):
    """Series (series, steps) from a random generator, the last `horizon` steps of which are to be forecast.

    Attributes:
        scored: of the series, those whose intervals are looked at.
    """

    make: Callable[[Random], np.ndarray]
    horizon: int = 12
    model: Mapping[str, object] = MappingProxyType({})
    scored: slice = slice(None)


def walks(random: Random, series: int, steps: int, size: float = 1.0) -> np.ndarray:
    return 100 + np.cumsum(size * random.normal(size=(series, steps)), axis=1)


def launched(random: Random) -> np.ndarray:
    """Counts of sales, the first six products of which are not sold for most of the time."""
    counts = random.poisson(20, (30, 312)).astype(float)
    counts[:6, :240] = 0
    return counts


def rare(random: Random, series: int, steps: int) -> np.ndarray:
    """Counts of sales, of products that sell more and less, with none on three of four days."""
    sizes = 3 * np.exp(0.7 * random.normal(size=(series, 1)))
    return (random.poisson(sizes, (series, steps)) * (random.random((series, steps)) < 0.25)).astype(float)


def growing(random: Random) -> np.ndarray:
    """Always positive, with steps in proportion to the level."""
    return np.exp(np.cumsum(0.15 * random.normal(size=(1, 132)), axis=1))


def mixed(random: Random) -> np.ndarray:
    """Fifteen random walks and as many series of noise, whose changes from step to step are as large."""
    return np.concatenate([walks(random, 15, 132), 100 + random.normal(size=(15, 132)) / 2**0.5])


RECENT = {"kind": "naive", "intervals": "recent"}
PROCESSES = {
    "one random walk": Process(lambda random: walks(random, 1, 132)),
    "30 random walks": Process(lambda random: walks(random, 30, 72)),
    "30 random walks with much in common": Process(
        lambda random: walks(random, 1, 72) + walks(random, 30, 72, 0.3) - 100
    ),
    "30 times white noise": Process(lambda random: 100 + random.normal(size=(30, 72))),
    "15 random walks beside as many of noise": Process(mixed, scored=slice(15)),
    "the noise": Process(mixed, scored=slice(15, None)),
    "products that were launched late": Process(launched, model={"lower": 0.0}, scored=slice(6)),
    "products that were not": Process(launched, model={"lower": 0.0}, scored=slice(6, None)),
    "rare sales of one product": Process(lambda random: rare(random, 1, 400), 14, {"lower": 0.0, "point": "mean"}),
    "rare sales of 8 products": Process(lambda random: rare(random, 8, 240), 14, {"lower": 0.0, "point": "mean"}),
    "a random walk, intervals: recent": Process(lambda random: walks(random, 1, 840), 40, RECENT),
    "30 with much in common, intervals: recent": Process(
        lambda random: walks(random, 1, 160) + walks(random, 30, 160, 0.3) - 100, 12, RECENT
    ),
    "a random walk of logarithms, log: true": Process(growing, model={"log": True}),
}


def inside(process: Process, random: Random, path: Path) -> tuple[float, bool]:
    """The share of the values inside the intervals of one draw, and whether any of these reach below 0."""
    values = process.make(random)
    days = np.datetime64("2000-01-01") + np.arange(values.shape[1])
    known = values[:, : -process.horizon]
    rows = (f"s{k},{day},{value}" for k, row in enumerate(known) for day, value in zip(days, row, strict=False))
    path.write_text("unique_id,ds,y\n" + "\n".join(rows))
    settings = {"pipeline": "forecasting", "horizon": process.horizon, "season": 1, "data": {"path": str(path)}}
    config = Config.model_validate({**settings, "model": dict(process.model)})
    prepared = prepare(config)
    quantiles = choose(config, prepared, None).forecast(prepared.panel)[process.scored]
    truth = values[process.scored, -process.horizon :]
    held = (quantiles[..., 0] <= truth) & (truth <= quantiles[..., -1])
    return float(held.mean()), bool((quantiles < 0).any())


def main(draws: int) -> None:
    warnings.simplefilter("ignore")
    for name, process in PROCESSES.items():
        with tempfile.TemporaryDirectory() as folder:
            found = [inside(process, np.random.default_rng(draw), Path(folder, "a.csv")) for draw in range(draws)]
        shares = np.array([share for share, _ in found])
        below = " some below 0" if any(negative for _, negative in found) else ""
        print(f"{name:<42}{shares.mean():.3f} ± {shares.std() / draws**0.5:.3f}{below}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
