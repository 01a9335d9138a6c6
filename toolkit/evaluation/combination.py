"""Several forecasters as one: weights for each part of the horizon, found on validation windows.

The weights are not negative, sum to 1 and minimise MASE, or scaled squared errors. Because of the sum, the error of the
combination is the same combination of the models' errors, so that all of this works on errors alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.errors import expect

_WINDOWS = 2_000  # enough for a few weights, and few enough that fitting takes a second
_LEAST = 0.02  # a smaller weight costs a forecast and changes nothing
_ITERATIONS = 100


@dataclass(frozen=True)
class Combination:
    """Weights of forecasters, and what they were chosen by; see `fit_weights`.

    Attributes:
        names: of the forecasters.
        weights: (blocks, names), one set for each part of the horizon.
        validation: MASE, or the root of the mean squared scaled error, of every forecaster alone and of the
            "combination" on windows that its weights did not see.

    Raises: ValueError when these contradict each other.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    validation: dict[str, float]

    def __post_init__(self) -> None:
        names, weights = {*self.names, "combination"}, self.weights
        differ = len(names) == len(self.names) + 1 and bool(self.names)
        expect(differ, "names must be given and differ, and none may be 'combination'")
        fits = weights.ndim == 2 and weights.shape[1] == len(self.names) and len(weights) > 0
        expect(fits, "there must be one weight a name in every block")
        shares = bool((weights >= 0).all()) and np.allclose(weights.sum(axis=1), 1)
        expect(shares, "weights must not be negative and must sum to 1")
        expect(self.validation.keys() == names, "validation must have every name and 'combination'")

    @property
    def used(self) -> tuple[str, ...]:
        """The forecasters that have any weight; only these are needed to forecast."""
        return tuple(name for name, weights in zip(self.names, self.weights.T, strict=True) if weights.any())

    @property
    def winner(self) -> str | None:
        """The forecaster that is served alone, if one is."""
        return self.used[0] if len(self.used) == 1 else None

    def combine(self, forecasts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Forecasts (rows, horizon) from those of every used forecaster by name, each (rows, horizon)."""
        places = [self.names.index(name) for name in self.used]
        return combine(self.weights[:, places], np.stack([forecasts[name] for name in self.used]))


def fit_weights(
    y: np.ndarray, forecasts: Mapping[str, np.ndarray], scale: np.ndarray, blocks: int, *, squared: bool = False
) -> Combination:
    """Weights w that minimise the mean absolute error in units of `scale`, one set for each part of the horizon.

        minimise  mean |y - sum_m w[m] forecast[m]| / scale + best * models / windows * sum_m w[m]^2
        over      w >= 0, sum_m w[m] = 1

    With `squared` it is the mean squared error, for forecasts of means and not of medians.

    - The second term, with `best` the error of the best model alone, pulls towards equal weights among models that are
      about as good, and fades as windows become many: few windows cannot tell such models apart.
    - A weight below 0.02 becomes 0.
    - The best model alone gets all the weight unless the combination is better by more than one standard error of the
      difference over windows. Both are judged where they were not chosen: weights and best model of the earlier half
      of the windows on the later half, and the reverse, since the best of many models looks better than it is where it
      was found to be the best. (With a single window there is nothing to hold out.)
    - Of more than 2,000 windows, the same random 2,000 are taken every time.

    Args:
        y: (windows, horizon), in the order of time; NaN where it is not known.
        forecasts: (windows, horizon) by name.
        scale: (windows,), above 0; see `forecasting.naive_scale`.
        blocks: parts of the horizon of equal length, 1 or more; with fewer steps than that, every step is one.

    Raises: ValueError when no value is known, or a forecast is missing or infinite where one is.
    """
    windows = np.flatnonzero(~np.isnan(y).all(axis=1))
    if len(windows) > _WINDOWS:  # at random: an even stride could meet one series of several each time
        windows = np.sort(np.random.default_rng(0).choice(windows, _WINDOWS, replace=False))
    if not len(windows):
        raise ValueError("no value is known to weigh forecasters by")
    truth, names = y[windows], tuple(forecasts)
    errors = np.stack([(truth - forecasts[name][windows]) / scale[windows, None] for name in names])
    if not np.isfinite(errors[:, ~np.isnan(truth)]).all():
        raise ValueError("a forecast is missing or infinite where the truth is known")
    blocks = min(blocks, y.shape[1])
    power = 2 if squared else 1
    losses = [_loss(each, power) for each in errors]
    halves = _halves(errors)
    judged = np.concatenate([combine(_weights(seen, blocks, power), held_out) for seen, held_out in halves])
    alone = np.concatenate([_best(seen, held_out, power) for seen, held_out in halves])
    gains = _window_losses(alone, power) - _window_losses(judged, power)
    if gains.mean() > gains.std() / len(gains) ** 0.5:
        weights = _weights(errors, blocks, power)
    else:
        weights = np.tile(np.arange(len(names)) == np.argmin(losses), (blocks, 1)).astype(np.float64)
    scores = dict(zip((*names, "combination"), [*losses, _loss(judged, power)], strict=True))
    return Combination(names, weights, {name: loss ** (1 / power) for name, loss in scores.items()})


def combine(weights: np.ndarray, forecasts: np.ndarray) -> np.ndarray:
    """Forecasts (rows, horizon) from `weights` (blocks, models) and `forecasts` (models, rows, horizon).

    A model without weight is not read, so that its forecast may be missing.
    """
    result = np.empty(forecasts.shape[1:])
    for part, share in zip(_parts(forecasts.shape[2], len(weights)), weights, strict=True):
        used = share > 0
        result[:, part] = np.tensordot(share[used], forecasts[used, :, part], axes=1)
    return result


def _parts(horizon: int, blocks: int) -> list[slice]:
    edges = np.arange(blocks + 1) * horizon // blocks
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _window_losses(errors: np.ndarray, power: int) -> np.ndarray:
    """Mean (windows,) over known steps of the size of `errors` (windows, horizon), or of its square."""
    return np.asarray(np.nanmean(abs(errors) ** power, axis=1))


def _loss(errors: np.ndarray, power: int) -> float:
    return float(_window_losses(errors, power).mean())


def _halves(errors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is seen and what is held out: each half of the windows once; a single window is both."""
    earlier, later = np.split(errors, [errors.shape[1] // 2], axis=1)
    return [(later, earlier), (earlier, later)] if earlier.size else [(errors, errors)]


def _best(seen: np.ndarray, held_out: np.ndarray, power: int) -> np.ndarray:
    """Of the errors (models, windows, horizon) that are held out those of the model that is best in `seen`."""
    return np.asarray(held_out[np.argmin([_loss(each, power) for each in seen])])


def _weights(errors: np.ndarray, blocks: int, power: int) -> np.ndarray:
    """Weights (blocks, models) for `errors` (models, windows, horizon); a part without values is weighed by all."""
    models, windows, horizon = errors.shape
    weights = np.empty((blocks, models))
    for block, part in enumerate(_parts(horizon, blocks)):
        values = errors[:, :, part] if not np.isnan(errors[0, :, part]).all() else errors
        solved = _least(values[:, ~np.isnan(values[0])], models / windows, power)
        weights[block] = np.where(solved < _LEAST, 0, solved)
    return weights / weights.sum(axis=1, keepdims=True)


def _least(errors: np.ndarray, pull: float, power: int) -> np.ndarray:
    """argmin over w >= 0, sum w = 1 of mean |w . errors|^power + pull * best * |w|^2, for `errors` (models, values).

    Squares are one quadratic problem. Absolute errors are several, by iteratively reweighted least squares:
    |r| <= r^2 / 2d + d / 2 with equality at d = |r|, so that each lowers the objective. The minimum q of one over
    w >= 0 with sum 1 comes from least squares without the sum: min over c of c^2 q + (c - 1)^2 is q / (q + 1), which is
    least where q is, so the direction is the same.

    Reference: Hunter & Lange 2004, doi:10.1198/0003130042836 (MM algorithms)
    """
    from scipy.optimize import nnls

    models, values = errors.shape
    sizes = abs(errors) ** power
    best = max(sizes.mean(axis=1).min(), 1e-9 * sizes.mean()) or 1.0  # 0 when no model ever errs
    weights = np.full(models, 1 / models)
    for _ in range(_ITERATIONS):
        weighed = errors / np.maximum(2 * abs(weights @ errors), 2e-4 * best) if power == 1 else errors
        curvature = weighed @ errors.T / (values * best) + pull * np.eye(models)
        roots, axes = np.linalg.eigh(curvature)
        root = np.sqrt(np.maximum(roots, 0))[:, None] * axes.T
        solved, _ = nnls(np.vstack([root, np.ones(models)]), np.append(np.zeros(models), 1.0))
        solved /= solved.sum()
        if abs(solved - weights).max() < 1e-4:
            return solved
        weights = solved
    return weights
