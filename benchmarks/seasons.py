"""How often a season is found that is there, and one that is not.

    python benchmarks/seasons.py [SERIES]

Of each process so many series of each length; a share of them for each length. Of months the calendar tells to look for
12 steps; "searched" is where no calendar tells.
"""

import sys
from collections.abc import Callable

import numpy as np

from toolkit.evaluation.diagnostics import choose_season, search_season

Random = np.random.Generator
LENGTHS = {12: (36, 48, 72, 144), 0: (60, 300, 1000)}


def autoregression(coefficient: float) -> Callable[[Random, int], np.ndarray]:
    def make(random: Random, steps: int) -> np.ndarray:
        values = random.normal(size=steps + 100)
        for step in range(1, len(values)):
            values[step] += coefficient * values[step - 1]
        return values[100:]

    return make


def wave(size: float) -> Callable[[Random, int], np.ndarray]:
    """A sine of 12 steps in noise of deviation 1."""
    return lambda random, steps: size * np.sin(2 * np.pi * np.arange(steps) / 12) + random.normal(size=steps)


PROCESSES: dict[str, Callable[[Random, int], np.ndarray]] = {
    "white noise": lambda random, steps: random.normal(size=steps),
    "autoregression, 0.9": autoregression(0.9),
    "autoregression, -0.6": autoregression(-0.6),
    "random walk": lambda random, steps: np.cumsum(random.normal(size=steps)),
    "counts, nine of ten 0": lambda random, steps: (random.random(steps) < 0.1) * random.poisson(4.0, steps),
    "a season of a third of the variance": wave(1.0),
    "a season of half of the variance": wave(1.4),
    "a season of two thirds of the variance": wave(2.0),
}


def main(count: int) -> None:
    for season, lengths in LENGTHS.items():
        print(f"{f'season {season}' if season else 'searched':<40}", *(f"{length:>6}" for length in lengths))
        for name, make in PROCESSES.items():
            shares = []
            for length in lengths:
                random = np.random.default_rng(length)
                series = [make(random, length).astype(float) for _ in range(count)]
                found = [choose_season(each, (season,)) if season else search_season(each) for each in series]
                shares.append(float(np.mean([each > 1 for each in found])))
            print(f"{name:<40}", *(f"{share:6.2f}" for share in shares), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
