"""From histories to forecasts with a run folder. Starts without Keras and TensorFlow."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from pipelines.forecasting.inputs import LARGEST_LOGARITHM, Plan, make_inputs, refuse_not_positive
from toolkit.artifact import Artifact
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.data.windows import Cutoffs
from toolkit.errors import COPY_AGAIN, ArtifactError, DataError, expect
from toolkit.evaluation.combination import Combination
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.forecasting import naive_scale, never_changed
from toolkit.evaluation.intervals import Conformal, fit_conformal
from toolkit.evaluation.ridge import Ridge
from toolkit.runtime import Runtime

NAME = "forecasting"
NETWORK = "network"
RIDGE = "ridge.npz"
OWN = "own_intervals.json"
# Intervals that follow the forecasts of late: how far back that is, how many cutoffs there are in a horizon, and how
# often in one the calibration is renewed.
RECENT_HORIZONS, RECENT_SEASONS, SPACED, REGROUPED = 2, 40, 16, 4
LEAST_RECENT, MOST_RECENT = 40, 20_000
FEW_RECENT = 5  # windows that do not err alike; of more, each counts in full, for what is late is renewed all the time
# Steps of the past that companions look at, or so many seasons where these are longer, as far as memory lasts: a season
# is told from three of them or more.
LONGEST, SEASONS, MOST_LOOKED_AT = 3_000, 5, windows.CELLS // windows.BLOCK
FLOOR = 1e-3  # of the least value of the past: nothing that is modelled in logarithms is forecast below
LARGEST_EXPONENT = 700.0
LARGEST_RIDGE = 2**30  # bytes


class Parts(NamedTuple):
    """What is combined into a forecast."""

    forecasts: dict[str, np.ndarray]  # (rows, horizon) by name; the network's is its median
    quantiles: np.ndarray | None  # (rows, horizon, levels) of the network, where there is one
    # (rows,) the error of the seasonal naive forecast in each row's past from its first change on, 0 where that never
    # changed; of logarithms where those are calibrated
    unit: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Parts"]) -> "Parts":
        """Rows of all, one after the other."""
        forecasts = {name: np.concatenate([part.forecasts[name] for part in parts]) for name in parts[0].forecasts}
        quantiles = [part.quantiles for part in parts if part.quantiles is not None]
        units = np.concatenate([part.unit for part in parts])
        return cls(forecasts, np.concatenate(quantiles) if quantiles else None, units)


@dataclass(frozen=True)
class Own:
    """Intervals of series that have shown on validation windows how wide theirs must be.

    Attributes:
        factors: by series name, how many times as wide as those of all series, see `own_factors`.
        conformal: what calibrates these, where others have that of the forecaster.
    """

    factors: dict[str, float]
    conformal: Conformal

    def __post_init__(self) -> None:
        expect(min(self.factors.values(), default=1.0) > 0, "a factor is not above 0")


@dataclass(frozen=True)
class Forecaster:
    """A network and its companions, weighed and calibrated.

    Attributes:
        sizes: by series name, what values are divided by with `scaling: series`; other series take their own deviation.
        source: how the file that it was trained on is written.
        combination, conformal: None while they are being fitted.
        own: None where no series has intervals of its own.
    """

    plan: Plan
    runtime: Runtime | None
    ridge: Ridge | None
    sizes: Mapping[str, float]
    source: SeriesSource
    combination: Combination | None = None
    conformal: Conformal | None = None
    own: Own | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "Forecaster":
        """Open a run folder.

        Raises:
            ArtifactError: the folder is damaged, unfinished or of another pipeline.
        """
        artifact = Artifact(folder, NAME)
        files, where = artifact.manifest["files"], str(artifact.folder)
        plan = artifact.read_stored("plan.json", Plan)
        source = artifact.read_stored("source.json", SeriesSource)
        sizes = artifact.read_stored("sizes.json", dict[str, float])
        combination = artifact.read_stored("combination.json", Combination)
        conformal = artifact.read_stored("intervals.json", Conformal)
        own = artifact.read_stored(OWN, Own) if OWN in files else None  # runs of early versions have none
        runtime = Runtime(artifact.read_bytes("model.onnx")) if "model.onnx" in files else None
        ridge = _read_ridge(artifact.read_bytes(RIDGE), where) if RIDGE in files else None
        forecaster = cls(plan, runtime, ridge, sizes, source, combination, conformal, own)
        forecaster._check(where)
        return forecaster

    def read(self, path: str, **options: Any) -> Panel:
        """Series of a file that is like the one the run was trained on, unless `options` of SeriesSource say otherwise;
        what is odd about them is told as warnings."""
        source = replace(self.source, path=path, **options)
        panel, findings = read_panel(source, **self.plan.trained)
        for finding in findings:
            warnings.warn(finding.message, stacklevel=2)
        return panel

    def read_future(self, path: str) -> Panel:
        """What is known ahead, of a file that may hold nothing else, or anything: see `Panel.with_future`."""
        known = tuple(dict.fromkeys(name.partition("=")[0] for name in self.plan.known))
        return self.read(path, layout="auto", value=None, statics=(), covariates=known, covariates_only=True)

    def forecast(self, panel: Panel, cutoffs: Cutoffs | None = None, horizon: int | None = None) -> np.ndarray:
        """Calibrated quantiles from each cutoff on; by default from the end of each series.

        Shapes: -> (rows, horizon, levels); NaN for a series without any value
        """
        steps = self.plan.horizon if horizon is None else horizon
        self.refuse_longer(steps)
        cutoffs = windows.at_ends(panel) if cutoffs is None else cutoffs
        forecasts = np.empty((len(cutoffs), steps, len(self.plan.levels)))
        factors = self._factors(panel, cutoffs)
        for rows, conformal in self._calibrations(panel, cutoffs, factors):
            for part in np.split(rows, range(windows.BLOCK, len(rows), windows.BLOCK)):
                parts = self.parts(panel, cutoffs.take(part), self.used)
                quantiles, spread = self.base(parts, np.nan_to_num(factors[part], nan=1.0))
                moved = conformal.apply(quantiles, spread)[:, :steps]
                forecasts[part] = np.exp(np.minimum(moved, LARGEST_EXPONENT)) if self._logarithms else moved
        return np.clip(forecasts, self.plan.lower, self.plan.upper)

    def refuse_longer(self, horizon: int) -> None:
        """Raises DataError for more steps than the run was trained for."""
        if horizon > self.plan.horizon:
            raise DataError(
                f"a horizon of {horizon:,} steps, but this run forecasts {self.plan.horizon:,} at most.",
                mend="Train one for a longer horizon.",
            )

    def _factors(self, panel: Panel, cutoffs: Cutoffs) -> np.ndarray:
        """Of each row's series, see `Own`; NaN where it has none. Shapes: -> (rows,)"""
        factors = self.own.factors if self.own else {}
        return np.array([factors.get(panel.ids[series], np.nan) for series in cutoffs.series.tolist()])

    def _calibrations(
        self, panel: Panel, cutoffs: Cutoffs, factors: np.ndarray
    ) -> Iterator[tuple[np.ndarray, Conformal]]:
        """Rows, and what their intervals are calibrated by: validation windows, or the forecasts of late.

        Reference: Xu & Xie 2021, arXiv:2010.09107, algorithm 1: residuals slide along with time
        """
        assert self.conformal is not None
        if self.plan.trained_until is None:
            yield np.flatnonzero(np.isnan(factors)), self.conformal
            if self.own:
                yield np.flatnonzero(~np.isnan(factors)), self.own.conformal
            return
        horizon, times = self.plan.horizon, windows.cutoff_ordinals(panel, cutoffs)
        past = self._past_cutoffs(panel, cutoffs, times)
        steps = windows.ordinals(panel, past, 0, horizon)
        truth = self.as_calibrated(windows.ahead(panel, panel.values, past, horizon))
        quantiles, spread = self.base(self.parts(panel, past, self.used))
        truth[~np.isfinite(spread) | (spread <= 0)] = np.nan
        group = (times - times.min(initial=0)) // max(horizon // REGROUPED, 1)
        for number in np.unique(group):
            rows = np.flatnonzero(group == number)
            now = times[rows].min()
            late = (steps[:, 0] >= now - self._memory) & (steps[:, 0] < now)
            known = np.where(steps[late] < now, truth[late], np.nan)  # nothing that had not come by then
            if np.isfinite(known).any(axis=1).sum() < LEAST_RECENT:
                yield rows, self.conformal
            else:
                scores = (known - quantiles[late, :, self.plan.median]) / spread[late]
                worth = windows.independent(panel, past.take(late), scores)
                yield rows, self.calibrate(known, quantiles[late], spread[late], worth if worth < FEW_RECENT else None)

    def calibrate(
        self,
        truth: np.ndarray,
        quantiles: np.ndarray,
        spread: np.ndarray,
        independent: float | None,
        weighed: float = 0,
    ) -> Conformal:
        """See `fit_conformal`."""
        bounds = (None, None) if self._logarithms else (self.plan.lower, self.plan.upper)
        return fit_conformal(
            truth, quantiles, spread, self.plan.levels, independent=independent, weighed=weighed, bounds=bounds
        )

    @property
    def _memory(self) -> int:
        """Steps back in time that count as of late."""
        return max(RECENT_HORIZONS * self.plan.horizon, RECENT_SEASONS * self.plan.season)

    def _past_cutoffs(self, panel: Panel, cutoffs: Cutoffs, times: np.ndarray) -> Cutoffs:
        """Earlier cutoffs that some row may learn from, none that the network was trained on."""
        horizon, begins = self.plan.horizon, panel.offsets[:-1]
        first = max(int(times.min(initial=0)) - self._memory, self.plan.trained_until or 0)
        lasts = begins.copy()
        np.maximum.at(lasts, cutoffs.series, cutoffs.ends)
        firsts = np.maximum(begins + self.plan.segment, begins + first - panel.starts)
        past = windows.rolling(panel, firsts, lasts, horizon=1, step=max(horizon // SPACED, 1))
        return past.sample(MOST_RECENT)

    @property
    def fitted(self) -> Combination:
        """The combination, once there is one."""
        assert self.combination is not None
        return self.combination

    @property
    def used(self) -> tuple[str, ...]:
        """The forecasters that are served."""
        return self.fitted.used

    def parts(self, panel: Panel, cutoffs: Cutoffs, names: Sequence[str]) -> Parts:
        """What each of the named forecasters says, before it is weighed and calibrated."""
        return Parts.joined([self._parts(panel, rows, names) for rows in windows.blocks(cutoffs)])

    def base(self, parts: Parts, factors: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles before calibration, and the spread in which calibration moves them.

        The combined forecast is the median; around it stand the network's quantiles as far as the network has weight.
        All of them as `as_calibrated` has values.

        Args:
            factors: (rows,) how many times as wide all of it is; None: once.

        Shapes: -> (rows, horizon, levels); (rows, horizon)
        """
        median = self.as_calibrated(self.fitted.combine(parts.forecasts))
        factors = np.ones(len(median)) if factors is None else factors
        unit = np.broadcast_to((factors * parts.unit)[:, None], median.shape)
        if parts.quantiles is None or NETWORK not in self.used:
            return np.repeat(median[:, :, None], len(self.plan.levels), axis=2), unit
        quantiles = self.as_calibrated(parts.quantiles)
        around = factors[:, None, None] * (quantiles - quantiles[:, :, self.plan.median, None])
        width = (around[:, :, -1] - around[:, :, 0]) / 2
        return median[:, :, None] + around, width + 1e-3 * unit

    def as_calibrated(self, values: np.ndarray) -> np.ndarray:
        """Values as intervals are calibrated: as they are, or with `log` as logarithms, so that no bound is below 0."""
        return np.log(np.where(values > 0, values, np.nan)) if self._logarithms else values

    @property
    def _logarithms(self) -> bool:
        return self.plan.calibrated == "logarithms"

    def _parts(self, panel: Panel, cutoffs: Cutoffs, names: Sequence[str]) -> Parts:
        plan = self.plan
        history = windows.whole_past(panel, cutoffs, looked_at(plan.season))
        if plan.log:
            refuse_not_positive(panel, history, cutoffs.series)
        forecasts: dict[str, np.ndarray] = {}
        quantiles = None
        for name in names:
            match name:
                case "network":
                    quantiles = self._network(panel, cutoffs)
                    forecasts[name] = quantiles[:, :, plan.median]
                case "ridge":
                    assert self.ridge is not None
                    forecasts[name] = self.ridge.forecast(history)
                case _:
                    forecasts[name] = COMPANIONS[name](history, plan.horizon, plan.season)
        if self._logarithms:
            floor = FLOOR * np.where(np.isfinite(history), history, np.inf).min(axis=1)[:, None]
            forecasts = {name: np.maximum(forecast, floor) for name, forecast in forecasts.items()}
        return Parts(forecasts, quantiles, self._unit(self.as_calibrated(history)))

    def _unit(self, history: np.ndarray) -> np.ndarray:
        """See `Parts`. Before its first change nothing says how large errors are: a product was not sold yet."""
        known = ~np.isnan(history)
        first = np.take_along_axis(history, known.argmax(axis=1)[:, None], axis=1)
        begun = np.maximum((known & (history != first)).argmax(axis=1) - 1, 0)
        moving = np.where(np.arange(history.shape[1]) >= begun[:, None], history, np.nan)
        return np.where(never_changed(history), 0.0, naive_scale(moving, self.plan.season))

    def _network(self, panel: Panel, cutoffs: Cutoffs) -> np.ndarray:
        assert self.runtime is not None
        inputs = make_inputs(self.plan, panel, cutoffs, self.sizes_of(panel, cutoffs))
        quantiles = inputs.forecasts(self.runtime.run_pieces(inputs.arrays, "quantiles"))
        if not inputs.seen.all():
            quantiles[~inputs.seen] = self._walk(windows.whole_past(panel, cutoffs.take(~inputs.seen), LONGEST))
        return quantiles

    def _walk(self, history: np.ndarray) -> np.ndarray:
        """Quantiles of a random walk, with `log` of logarithms, from the last known value; NaN for a row without any.

        Shapes: history (rows, time) -> (rows, horizon, levels)
        """
        history = np.log(history) if self.plan.log else history
        steps = np.sqrt(1 + np.arange(self.plan.horizon))[:, None]
        deviations = np.array([NormalDist().inv_cdf(level) for level in self.plan.levels])
        step = naive_scale(history, 1) * (np.pi / 2) ** 0.5  # the deviation of which that is the mean size
        last = COMPANIONS["naive"](history, self.plan.horizon, 1)[:, :, None]
        away = step[:, None, None] * steps * deviations
        return np.exp(last + np.clip(away, -LARGEST_LOGARITHM, LARGEST_LOGARITHM)) if self.plan.log else last + away

    def sizes_of(self, panel: Panel, cutoffs: Cutoffs) -> np.ndarray | None:
        """What to divide each row by, with `scaling: series`; nothing of it is past the cutoff. Shapes: -> (rows,)"""
        if self.plan.scaling != "series":
            return None
        sizes, begins = [], panel.offsets.tolist()
        for series, end in zip(cutoffs.series.tolist(), cutoffs.ends.tolist(), strict=True):
            known = self.sizes.get(panel.ids[series])
            sizes.append(known or _deviation(self.plan, panel.values[begins[series] : end]))
        return np.array(sizes)

    def _check(self, where: str) -> None:
        """Refuse parts of different runs, before they forecast nonsense."""
        assert self.conformal is not None
        horizon, levels, used = self.plan.horizon, self.plan.levels, self.used
        calibrations = [self.conformal, *([self.own.conformal] if self.own else [])]
        fits = (
            all(each.levels == levels and len(each.offsets) == horizon for each in calibrations)
            and {*used} <= {NETWORK, "ridge", *COMPANIONS}
            and (NETWORK not in used or self.runtime is not None)
            and ("ridge" not in used or (self.ridge is not None and self.ridge.weights.shape[1] == horizon))
            and (self.runtime is None or self.runtime.outputs.get("quantiles", [])[1:] == [horizon, len(levels)])
        )
        if not fits:
            raise ArtifactError("its files do not fit together.", where=where, mend=COPY_AGAIN)


def looked_at(season: int) -> int:
    """How many steps of the past companions look at."""
    return min(max(LONGEST, SEASONS * season), MOST_LOOKED_AT)


def _read_ridge(data: bytes, where: str) -> Ridge:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST_RIDGE:
                raise ValueError("it is too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            ridge = Ridge.from_arrays(dict(arrays))
        if ridge.weights.ndim != 2 or not np.isfinite(ridge.weights).all() or ridge.season < 1:
            raise ValueError("its weights are no matrix of numbers")
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{RIDGE} is not what was stored: {error}.", where=where, mend=COPY_AGAIN) from error
    return ridge


def _deviation(plan: Plan, values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    if plan.log:
        known = np.log(known[known > 0])
    peak = float(np.abs(known).max(initial=0.0))
    if not peak:
        return 1.0
    return float((known / peak).std()) * peak or 1.0  # squares of very large values would be infinite
