"""Whether a series comes back to a level: tests for unit roots and for random walks. Pure functions of plain arrays.

A series is an array (time,) of float64 with NaN where a value is missing; missing values are left out. Where there are
too few values, or all are equal, the answer is None.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

STEPS = 2000  # the tests of statsmodels look at the last so many values
FEWEST = 30  # values that they need
WALK_LAGS = (2, 4, 8, 16)
WALK_BOUND = 2.49  # the 95 % point of the largest of four |z| (studentised maximum modulus), from Chow & Denning 1993
DRIFT_BOUND = 1.96
WALK_CHANGES = 60  # the fewest changes from which a random walk is judged


@dataclass(frozen=True)
class Stationarity:
    """What two tests with opposite null hypotheses say at 5 %.

    Attributes:
        adf: p-value of the augmented Dickey-Fuller test; small: there is no unit root.
        kpss: p-value of the KPSS test, cut to 0.01 to 0.1 by its table; small: the level does not stay.
    """

    adf: float
    kpss: float

    @property
    def comes_back(self) -> bool:
        """Whether there surely is no unit root."""
        return self.adf < 0.05

    @property
    def verdict(self) -> Literal["stationary", "unit root", "level shifts", "unclear"]:
        """`level shifts` when both reject: no unit root, and still no constant level; `unclear` when neither does."""
        if self.comes_back:
            return "stationary" if self.kpss >= 0.05 else "level shifts"
        return "unit root" if self.kpss < 0.05 else "unclear"


def stationarity(values: np.ndarray) -> Stationarity | None:
    """Augmented Dickey-Fuller and KPSS tests around a constant, on the last 2,000 values; None for less than 30.

    Reference: Said & Dickey 1984; Kwiatkowski, Phillips, Schmidt & Shin 1992; both as in statsmodels.
    """
    known = _known(values)[-STEPS:]
    if len(known) < FEWEST or _is_flat(known):
        return None
    from statsmodels.tsa.stattools import adfuller, kpss

    # In units of their spread: the regressions of huge or tiny values would lose digits.
    scaled = (known - known.mean()) / known.std()
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):  # above all, p-values outside the table
        try:
            root, level = adfuller(scaled, autolag="AIC")[1], kpss(scaled, nlags="auto")[1]
        except (ValueError, np.linalg.LinAlgError):  # a straight line leaves nothing to regress on
            return None
    return Stationarity(float(root), float(level)) if math.isfinite(root) and math.isfinite(level) else None


@dataclass(frozen=True)
class RandomWalk:
    """How near a series is to a random walk.

    Attributes:
        ratios: variance of the changes over 2, 4, 8 and 16 steps, each over so many times that of the changes over one
            step; 1 for a random walk. The first is 1 + the autocorrelation of the changes at lag 1.
        largest: the largest |z| of these ratios, robust to a variance that changes.
        drift: the mean change, over its standard error.
    """

    ratios: tuple[float, ...]
    largest: float
    drift: float

    @property
    def alike(self) -> bool:
        """Whether the changes cannot be told from noise around their mean at 5 %: then little beats repeating the last
        value, or going on with the drift."""
        return self.largest < WALK_BOUND

    @property
    def drifts(self) -> bool:
        """Whether the mean change can be told from 0 at 5 %."""
        return abs(self.drift) > DRIFT_BOUND


def random_walk(values: np.ndarray) -> RandomWalk | None:
    """Variance ratio test for a random walk with drift, for series without a season; None for less than 60 changes.

        VR(q) = 1 + 2 sum over j < q of (1 - j/q) r[j];  z(q) = (VR(q) - 1) / sqrt(sum of (2 (1 - j/q))^2 delta[j])
        r[j] = sum of d[t] d[t - j] / sum of d[t]^2;  delta[j] = sum of d[t]^2 d[t - j]^2 / (sum of d[t]^2)^2

    with d the changes without their mean. As values that are missing are left out, a change runs from one known value
    to the next, as it should over days without trade.

    Reference: Lo & MacKinlay 1988, Stock market prices do not follow random walks, 1.2 (heteroscedastic increments);
        Chow & Denning 1993 for the joint test.
    """
    changes = np.diff(_known(values))
    if len(changes) < WALK_CHANGES or _is_flat(changes):
        return None
    d = (changes - changes.mean()) / changes.std()
    squares = (d**2).sum()
    lags = np.arange(1, max(WALK_LAGS))
    r = np.array([(d[j:] * d[:-j]).sum() for j in lags]) / squares
    delta = np.array([(d[j:] ** 2 * d[:-j] ** 2).sum() for j in lags]) / squares**2
    ratios, scores = [], []
    for q in WALK_LAGS:
        weights = 2 * (1 - lags[: q - 1] / q)
        ratios.append(float(1 + weights @ r[: q - 1]))
        scores.append(abs(ratios[-1] - 1) / math.sqrt(max(weights**2 @ delta[: q - 1], 1e-12)))
    return RandomWalk(tuple(ratios), max(scores), float(changes.mean() / changes.std() * math.sqrt(len(changes))))


def _known(values: np.ndarray) -> np.ndarray:
    """Known values over the greatest of their sizes: differences of very large ones would be too large to write."""
    known = values[~np.isnan(values)]
    return known / max(np.abs(known).max(initial=0.0), 1e-300)


def _is_flat(known: np.ndarray) -> bool:
    return bool(np.ptp(known) <= 1e-12 * np.abs(known).max())
