"""The `forecast` command with a run folder. Starts without Keras and TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.forecasting.output import Forecasts, columns_of, format_of, write
from pipelines.forecasting.predict import Forecaster
from toolkit.artifact import check_outputs, opened, write_output
from toolkit.data.panel import Panel
from toolkit.data.windows import ahead, at_ends, ordinals
from toolkit.errors import ConfigError, DataError, SeqloomError

_NOTHING_KNOWN = "this run needs nothing that is known ahead."


def forecast_with(
    path: str,
    model: Path,
    horizon: str | None,
    *,
    future: str | None,
    out: Path | None,
    page: Path | None,
    intervals: list[float] | None,
    **options: Any,
) -> None:
    """Forecast the series of a file with a trained run, from the end of each of them.

    Args:
        page: where to write pictures of the forecasts.
        options: fields of `SeriesSource` that are other than in the file that the run was trained on.

    Raises:
        SeqloomError: the run or the file cannot be used, or what is known ahead does not reach far enough.
    """
    format_of(out)
    check_outputs(filter(None, (path, future)), out, page)
    forecaster = Forecaster.load(model)
    columns_of(forecaster.plan.levels, intervals)  # before the work, not after it
    if future and not forecaster.plan.known:
        raise SeqloomError(_NOTHING_KNOWN, where=str(model), mend="Leave --future out.")
    steps = _steps(horizon, forecaster)
    panel = forecaster.read(path, **options)
    if future:
        panel = panel.with_future(forecaster.read_future(future))
    _check_known(forecaster, panel, steps)
    forecasts = from_ends(forecaster, panel, steps)
    write(forecasts, out, intervals)
    if page:
        from pipelines.forecasting.page import render

        write_output(page, render(forecasts, forecaster.plan.season))


def skeleton(path: str, model: Path, horizon: str | None, out: Path | None) -> None:
    """Write the future rows of each series, with empty columns for what must be known ahead, to be filled in."""
    import csv

    check_outputs([path], out)
    if out and out.is_file() and out.stat().st_size:
        mend = "Choose another name, or delete it."
        raise ConfigError("this is there already, and may have been filled in.", where=str(out), mend=mend)
    forecaster = Forecaster.load(model)
    names = list(dict.fromkeys(name.partition("=")[0] for name in forecaster.plan.known))
    if not names:
        raise SeqloomError(_NOTHING_KNOWN, where=str(model), mend="Forecast without --future.")
    panel, steps = forecaster.read(path), _steps(horizon, forecaster)
    with opened(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*(forecaster.source.id_columns or ["unique_id"]), forecaster.source.time or "ds", *names])
        for k, row in enumerate(ordinals(panel, at_ends(panel), 0, steps)):
            for time in panel.frequency.text(row):
                writer.writerow([*panel.named(k), time, *[""] * len(names)])


def from_ends(forecaster: Forecaster, panel: Panel, steps: int) -> Forecasts:
    """Forecasts from the end of each series."""
    quantiles = forecaster.forecast(panel, horizon=steps)
    return Forecasts(panel, at_ends(panel), forecaster.plan.levels, quantiles)


def _steps(horizon: str | None, forecaster: Forecaster) -> int:
    """The horizon in steps; refuses one that is longer than what the run was trained for."""
    steps = forecaster.plan.horizon if horizon is None else forecaster.plan.frequency.steps(horizon)
    forecaster.refuse_longer(steps)
    return steps


def _check_known(forecaster: Forecaster, panel: Panel, steps: int) -> None:
    """Refuse to forecast where what must be known ahead is not; a series without any value gets no forecast."""
    cutoffs = at_ends(panel)
    for name in forecaster.plan.known:
        missing = np.isnan(ahead(panel, panel.covariates[name], cutoffs, steps)).any(axis=1)
        missing[[k for k in np.flatnonzero(missing).tolist() if np.isnan(panel.history(k)).all()]] = False
        if missing.any():
            raise DataError(
                f"column {name.partition('=')[0]!r} must be known for the {steps:,} steps to forecast, and is not for"
                f" {int(missing.sum()):,} of {len(panel):,} series, first {panel.ids[int(missing.argmax())]!r}.",
                mend="Write the rows to fill in with --skeleton FILE, and give them with --future FILE.",
            )
