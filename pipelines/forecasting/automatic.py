"""The `forecast` command without a run folder: from nothing but the data, within a time budget."""

import re
import sys
from pathlib import Path
from typing import Any

from pipelines.forecasting.config import Config
from pipelines.forecasting.forecast import from_ends
from pipelines.forecasting.init import suggest
from pipelines.forecasting.inspect import Look, inspect
from pipelines.forecasting.output import columns_of, format_of, write
from pipelines.forecasting.page import render
from pipelines.forecasting.predict import Forecaster
from pipelines.forecasting.train import train
from toolkit.artifact import check_outputs, write_text
from toolkit.config import apply_override, parse, validate
from toolkit.data.files import STANDARD_INPUT
from toolkit.errors import ConfigError, DataError

SHARE_OF_TIME = 0.4  # of the budget goes to choosing the epoch, and as much to training again with all rows
OWN_TRAINING = ("training.epochs=40", "training.windows=6400", "training.patience=8")


def forecast_anew(
    path: str, horizon: str | None, *, seconds: float, folder: Path, out: Path | None, intervals: list[float] | None
) -> dict[str, Any]:
    """Look at the series, train and test on them, and forecast; returns the report's numbers.

    Everything stays in the run folder: config, model, report and the forecasts themselves.
    """
    format_of(out)
    check_outputs([path], out)
    look = inspect(Path(path))
    for name, fact in look.facts.items():
        print(f"{name:<18}{fact}", file=sys.stderr)
    config = own_config(look, horizon, seconds)
    columns_of(tuple(config.model.quantiles), intervals)  # before the work, not after it
    report = train(config, folder, resume=False)
    forecaster = Forecaster.load(folder)
    forecasts = from_ends(forecaster, look.panel, forecaster.plan.horizon)
    write(forecasts, folder / "forecast.csv", intervals)
    write_text(folder / "forecast.html", render(forecasts, forecaster.plan.season))
    if out is not None or not sys.stdout.isatty():
        write(forecasts, out, intervals)
    return report


def own_config(look: Look, horizon: str | None, seconds: float, **split: int) -> Config:
    """What `init` would write for these series, with a horizon, a time to train in and some keys of `split`.

    Raises:
        ConfigError: they came through standard input.
        DataError: most times are shared by several rows of a series, which seems to be several.
    """
    path = look.source.path
    if path == STANDARD_INPUT:
        mend = "Write the series to a file, or name a trained run with --model."
        raise ConfigError("standard input is read once, and to train is to read again.", where=path, mend=mend)
    if 2 * sum(finding.rows for finding in look.findings) >= len(look.panel.values):
        raise DataError(
            "most times stand there several times in a series, as if it were several.",
            where=path,
            mend="Name the columns that tell them apart, data.id in the config that `seqloom init forecast` prints;"
            " without it, that config keeps the last of each time.",
        )
    overrides = [*OWN_TRAINING, f"training.seconds={SHARE_OF_TIME * seconds:g}"]
    overrides += ["season=auto"]  # what was looked at holds the test part, too
    overrides += [f"split.{name}={value}" for name, value in split.items()]
    overrides += [f"horizon={horizon}"] if horizon else []
    document = parse(suggest(look), path)
    for each in overrides:
        apply_override(document, each)
    return validate(document, Config)


def seconds_of(text: str | None) -> float:
    """Seconds from `120s`, `5m`, `1h` or a bare number; two minutes where nobody says."""
    if text is None:
        return 120
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not found or not float(found[1]):
        raise ConfigError(f"{text!r} is no time, such as 120s or 5m.", where="--time")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]
