"""The `forecast` command: with a run folder at once, or from nothing but the data within a time budget."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.forecasting.output import Forecasts, format_of, write
from pipelines.forecasting.predict import Forecaster
from toolkit.data.series import Panel
from toolkit.data.windows import Cutoffs, ahead
from toolkit.errors import ConfigError, DataError, SeqloomError

if TYPE_CHECKING:
    from pipelines.forecasting.config import Config
    from pipelines.forecasting.inspect import Look

SHARE_OF_TIME = 0.4  # of the budget goes to choosing the epoch, and as much to training again with all rows
OWN_TRAINING = """
training:
  epochs: 30
  windows: 20000
  patience: 6
"""


def forecast_with(
    path: str, model: Path, horizon: str | None, *, future: str | None, out: Path | None, intervals: list[int]
) -> None:
    """Forecast the series of a file with a trained run, from the end of each of them.

    Raises:
        SeqloomError: the run or the file cannot be used, or what is known ahead does not reach far enough.
    """
    format_of(out)
    _keep_input(path, out)
    forecaster = Forecaster.load(model)
    steps = _steps(horizon, forecaster)
    panel = forecaster.read(path)
    if future:
        panel = panel.with_future(forecaster.read(future))
    _check_known(forecaster, panel, steps)
    write(_forecast(forecaster, panel, steps), out, intervals)


def forecast_anew(
    path: str, horizon: str | None, *, seconds: float, folder: Path, out: Path | None, intervals: list[int]
) -> dict[str, Any]:
    """Look at the series, train and test on them, and forecast; returns the report's numbers.

    Everything stays in the run folder: config, model, report and the forecasts themselves.
    """
    from pipelines.forecasting.inspect import inspect
    from pipelines.forecasting.train import train

    format_of(out)
    _keep_input(path, out)
    look = inspect(Path(path))
    for name, fact in look.facts.items():
        print(f"{name:<18}{fact}", file=sys.stderr)
    report = train(own_config(look, horizon, seconds), folder, resume=False)
    forecaster = Forecaster.load(folder)
    forecasts = _forecast(forecaster, look.panel, forecaster.plan.horizon)
    write(forecasts, folder / "forecast.csv", intervals)
    if out is not None or not sys.stdout.isatty():
        write(forecasts, out, intervals)
    return report


def own_config(look: "Look", horizon: str | None, seconds: float, **split: int) -> "Config":
    """What `init` would write for these series, with a horizon, a time to train in and some keys of `split`."""
    from pipelines.forecasting.config import Config
    from pipelines.forecasting.init import suggest
    from toolkit.config import apply_override, parse, validate

    document = parse(suggest(look) + OWN_TRAINING, look.source.path)
    apply_override(document, f"training.seconds={SHARE_OF_TIME * seconds:g}")
    for name, value in split.items():
        apply_override(document, f"split.{name}={value}")
    if horizon:
        apply_override(document, f"horizon={horizon}")
    return validate(document, Config)


def skeleton(path: str, model: Path, horizon: str | None, out: Path | None) -> None:
    """Write the future rows of each series, with empty columns for what must be known ahead, to be filled in."""
    import csv

    from toolkit.artifact import opened

    forecaster = Forecaster.load(model)
    names = list(dict.fromkeys(name.partition("=")[0] for name in forecaster.plan.known))
    if not names:
        raise SeqloomError("this run needs nothing that is known ahead.", where=str(model))
    panel, steps = forecaster.read(path), _steps(horizon, forecaster)
    with opened(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["unique_id", "ds", *names])
        for k, name in enumerate(panel.ids):
            first = int(panel.starts[k] + panel.ends[k] - panel.offsets[k])
            for time in panel.frequency.text(np.arange(first, first + steps)):
                writer.writerow([name, time, *[""] * len(names)])


def seconds_of(text: str) -> float:
    """Seconds from `120s`, `5m`, `1h` or a bare number."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not found or not float(found[1]):
        raise ConfigError(f"{text!r} is no time, such as 120s or 5m.", where="--time")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _forecast(forecaster: Forecaster, panel: Panel, steps: int) -> Forecasts:
    quantiles = forecaster.forecast(panel, horizon=steps)
    return Forecasts(panel, Cutoffs(np.arange(len(panel)), panel.ends), forecaster.plan.levels, quantiles)


def _steps(horizon: str | None, forecaster: Forecaster) -> int:
    if horizon is None:
        return forecaster.plan.horizon
    return int(horizon) if horizon.isdigit() else forecaster.plan.frequency.steps(horizon)


def _check_known(forecaster: Forecaster, panel: Panel, steps: int) -> None:
    """Refuse to forecast where what must be known ahead is not."""
    cutoffs = Cutoffs(np.arange(len(panel)), panel.ends)
    for name in forecaster.plan.known:
        missing = np.isnan(ahead(panel, panel.covariates[name], cutoffs, steps)).any(axis=1)
        if missing.any():
            raise DataError(
                f"column {name!r} must be known for the {steps:,} steps to forecast, and is not for"
                f" {int(missing.sum()):,} of {len(panel):,} series, first {panel.ids[int(missing.argmax())]!r}.",
                mend="Write the rows to fill in with --skeleton FILE, and give them with --future FILE.",
            )


def _keep_input(path: str, out: Path | None) -> None:
    if out is not None and out.exists() and Path(path).exists() and out.samefile(path):
        raise ConfigError("this is the input too, and would be lost.", where=str(out), mend="Choose another --out.")
