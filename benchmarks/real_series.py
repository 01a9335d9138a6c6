"""What is chosen for single real series, beside each simple method always, without a network.

    python benchmarks/real_series.py [ORIGINS]

Series of the data sets that come with statsmodels, and some of ../shared/data where it is there: yearly, quarterly and
monthly ones of 25 to 730 values. Each is cut at up to 6 origins, a horizon apart, and forecast from all before.
Printed are MASE and the share inside of 80 % intervals of each series, and how the MASE of what is served compares with
that of each method always: the geometric mean over series, with its standard error.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels import datasets

from pipelines.forecasting.automatic import own_config
from pipelines.forecasting.choose import choose
from pipelines.forecasting.inspect import inspect
from pipelines.forecasting.predict import looked_at
from pipelines.forecasting.prepare import fit_ridge_before, prepare
from toolkit.data import windows
from toolkit.evaluation.companions import COMPANIONS
from toolkit.evaluation.forecasting import naive_scale

SHARED = Path(__file__).parents[2] / "shared" / "data" / "series"
SEASONS = {"YS": 1, "QS": 4, "MS": 12}


def series() -> Iterator[tuple[str, np.ndarray, str, str, int]]:
    """Name, values, first time, frequency and horizon."""
    yield "sunspots, yearly", datasets.sunspots.load_pandas().data.SUNACTIVITY.to_numpy(), "1700", "YS", 6
    yield "Nile", datasets.nile.load_pandas().data.volume.to_numpy(), "1871", "YS", 6
    copper = datasets.copper.load_pandas().data
    for name in ("WORLDCONSUMPTION", "COPPERPRICE"):
        yield f"copper, {name.lower()}", copper[name].to_numpy(), "1951", "YS", 4
    macro = datasets.macrodata.load_pandas().data
    for name in ("realgdp", "realcons", "realinv", "realgovt", "cpi", "m1", "tbilrate", "unemp", "pop", "infl"):
        yield name, macro[name].to_numpy(), "1959", "QS", 8
    danish = datasets.danish_data.load_pandas().data
    for name in ("lrm", "ibo"):
        yield f"Danish {name}", danish[name].to_numpy(), "1974", "QS", 6
    yield "El Nino", datasets.elnino.load_pandas().data.iloc[:, 1:].to_numpy().ravel(), "1950", "MS", 12
    yield "CO2", datasets.co2.load_pandas().data.co2.resample("MS").mean().to_numpy(), "1958-03", "MS", 12
    if SHARED.is_dir():
        airline = pd.read_csv(SHARED / "airline-passengers.csv").Passengers.to_numpy()
        yield "airline passengers", airline, "1949", "MS", 12
        yield "airline passengers, five years", airline[:60], "1949", "MS", 12
        sunspots = pd.read_csv(SHARED / "monthly-sunspots.csv").Sunspots.to_numpy()
        yield "sunspots, monthly", sunspots[-600:], "1934", "MS", 12


def origins(count: int, horizon: int, most: int) -> list[int]:
    """The last ones a horizon apart that leave half of a series, and four horizons, before them."""
    places = (count - horizon * (number + 1) for number in range(most))
    return [place for place in places if place >= max(count // 2, 4 * horizon)]


def errors(known: np.ndarray, future: np.ndarray, times: pd.Index, path: Path, season: int) -> dict[str, float]:
    """MASE of what is served and of each simple method always, and the share inside of what is served."""
    pd.DataFrame({"ds": times, "y": known}).to_csv(path, index=False)
    config = own_config(inspect(path), str(len(future)), seconds=60)
    prepared = prepare(config)
    forecaster, plan = choose(config, prepared, None), prepared.plan
    quantiles = forecaster.forecast(prepared.panel)[0]
    history = windows.whole_past(prepared.panel, windows.at_ends(prepared.panel), looked_at(plan.season))
    forecasts = {name: method(history, plan.horizon, plan.season)[0] for name, method in COMPANIONS.items()}
    forecasts["ridge"] = fit_ridge_before(prepared.panel, prepared.splits.test_starts, plan).forecast(history)[0]
    forecasts["served"] = quantiles[:, plan.median]
    scale = naive_scale(known[None], season)[0]
    found = {name: float(np.nanmean(abs(future - forecast)) / scale) for name, forecast in forecasts.items()}
    inside = (quantiles[:, 0] <= future) & (future <= quantiles[:, -1])
    return {**found, "inside": float(inside[np.isfinite(future)].mean())}


def main(most: int) -> None:
    warnings.simplefilter("ignore")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, values, first, frequency, horizon in series():
            times = pd.date_range(first, periods=len(values), freq=frequency).strftime("%Y-%m-%d")
            cuts = ((place, slice(place, place + horizon)) for place in origins(len(values), horizon, most))
            path = Path(folder, "series.csv")
            found = pd.DataFrame(
                [errors(values[:cut], values[ahead], times[:cut], path, SEASONS[frequency]) for cut, ahead in cuts]
            ).mean()
            rows[name] = found
            print(f"{name:<32}{len(values):>5}  MASE {found.served:6.3f}  inside {found.inside:.2f}", flush=True)
    table = pd.DataFrame(rows).T
    ratios = np.log((1 / table.drop(columns=["inside", "served"])).mul(table.served, axis=0))
    print(f"\ninside of 80 % intervals: {table.inside.mean():.3f}; MASE of what is served, over that of")
    for name in ratios:
        ratio = ratios[name]
        print(f"{name:<18}{np.exp(ratio.mean()):.3f} ± {ratio.std() / len(ratio) ** 0.5:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
