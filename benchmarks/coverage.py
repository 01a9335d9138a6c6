"""How far the coverage of 80 % intervals is from 80 % at single cutoffs, by how many windows they were calibrated on.

    python benchmarks/coverage.py [CONFIG [WINDOWS...]]

Simple methods forecast the series of a config, m4_weekly unless said otherwise, from cutoffs a horizon apart that end
before its test part. At each, intervals are calibrated on the last WINDOWS cutoffs before it (2, 4, 8 and 12) and the
values that came are counted. Below that, in units of the seasonal naive error, the interval score (Gneiting & Raftery
2007, eq. 43; less is better) with one width for all series, and with widths of their own. Nothing is trained, and no
test value is read.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read, steps_of
from toolkit.config import read_document, validate
from toolkit.data import windows
from toolkit.data.panel import Panel
from toolkit.data.windows import Cutoffs
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.credibility import own_factors
from toolkit.evaluation.forecasting import naive_scale
from toolkit.evaluation.intervals import fit_conformal

METHODS = ("ets", "theta", "drift", "seasonal_naive")
LEVELS = (0.1, 0.5, 0.9)
TESTED, LONGEST = 16, 1500


def rolled(panel: Panel, horizon: int, count: int) -> tuple[Cutoffs, np.ndarray]:
    """The last cutoffs of each series with 60 steps and 4 horizons before them, and how many ago they are."""
    parts = []
    for ago in range(count):
        ends = panel.ends - horizon * (ago + 1)
        rows = np.flatnonzero(ends - panel.offsets[:-1] >= max(4 * horizon, 60))
        parts.append((rows, ends[rows], np.full(len(rows), ago)))
    series, ends, ages = map(np.concatenate, zip(*parts, strict=True))
    return Cutoffs(series, ends), ages


def main() -> None:
    warnings.simplefilter("ignore")
    name, *counts = sys.argv[1:] or ["m4_weekly"]
    calibrated = [int(count) for count in counts] or [2, 4, 8, 12]
    config = validate(read_document(Path(__file__).with_name(f"{name}.yaml")), Config)
    panel = read(config.data)
    horizon, season = steps_of(config.horizon, panel.frequency), config.split.mase_season or config.season
    assert isinstance(season, int), "the config says its season"
    cutoffs, ago = rolled(panel, horizon, TESTED + max(calibrated))
    histories = [windows.whole_past(panel, part, LONGEST) for part in windows.blocks(cutoffs)]
    truth = windows.ahead(panel, panel.values, cutoffs, horizon)
    spread = np.concatenate([naive_scale(history, season) for history in histories])[:, None]
    spread = np.broadcast_to(spread, truth.shape)
    print(f"{name}: coverage at {TESTED} cutoffs", *(f"{count:>4} windows: mean  rms from .8" for count in calibrated))
    for method in METHODS:
        median = np.concatenate([COMPANIONS[method](history, horizon, season) for history in histories])
        base, fine = np.repeat(median[:, :, None], len(LEVELS), axis=2), np.isfinite(median).all(1) & (spread[:, 0] > 0)

        def coverage(now: int, count: int, base: np.ndarray = base, fine: np.ndarray = fine) -> float:
            """Share of the values inside, at the cutoff that is `now` cutoffs ago."""
            before, rows = fine & (ago > now) & (ago <= now + count), fine & (ago == now)
            conformal = fit_conformal(truth[before], base[before], spread[before], LEVELS)
            quantiles, y = conformal.apply(base[rows], spread[rows]), truth[rows]
            inside = (y >= quantiles[..., 0]) & (y <= quantiles[..., -1])
            return float(inside[np.isfinite(y)].mean())

        def score(now: int, count: int, own: bool, base: np.ndarray = base, fine: np.ndarray = fine) -> float:
            """The mean interval score of 80 % intervals at one cutoff."""
            before, rows = fine & (ago > now) & (ago <= now + count), fine & (ago == now)
            errors, series = abs(truth - base[..., 1])[before] / spread[before], cutoffs.series
            factors, left_out = (
                own_factors(errors, series[before], ago[before]) if own else (np.ones(before.sum()),) * 2
            )
            shown = dict(zip(series[before].tolist(), factors.tolist(), strict=True))
            conformal = fit_conformal(truth[before], base[before], spread[before] * left_out[:, None], LEVELS)
            width = np.array([shown.get(each, 1.0) for each in series[rows].tolist()])[:, None]
            low, _, high = np.moveaxis(conformal.apply(base[rows], spread[rows] * width), -1, 0)
            outside = np.maximum(low - truth[rows], 0) + np.maximum(truth[rows] - high, 0)
            return float(np.nanmean((high - low + 10 * outside) / spread[rows]))

        cells = []
        scores = []
        for count in calibrated:
            found = np.array([coverage(now, count) for now in range(TESTED)])
            cells.append(f"{found.mean():17.3f}  {np.sqrt(np.mean((found - 0.8) ** 2)):11.3f}")
            one, own = (np.mean([score(now, count, widths) for now in range(TESTED)]) for widths in (False, True))
            scores.append(f"{one:17.2f}  {own:11.2f}")
        print(f"{method:<40}", *cells, f"\n{'  interval score: one width, own widths':<40}", *scores, flush=True)


if __name__ == "__main__":
    main()
