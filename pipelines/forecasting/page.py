"""A page with pictures of forecasts: history, forecast and interval of each series."""

from typing import Any

import numpy as np

from pipelines.forecasting.output import Forecasts, nearest_interval
from toolkit.data.windows import ordinals, whole_past
from toolkit.forecast_plots import MOST_PANELS, Outlook, forecast_figure
from toolkit.report import Section, picture, render_report

MOST_SERIES = 60  # a picture each, twelve to a figure; more would make a page that no one reads


def render(forecasts: Forecasts, season: int) -> str:
    """HTML with a picture of each series, those whose interval is the widest for their size first."""
    panel, cutoffs, levels = forecasts.panel, forecasts.cutoffs, forecasts.levels
    low, high = nearest_interval(levels)
    median, horizon = levels.index(0.5), forecasts.quantiles.shape[1]
    spread = (forecasts.quantiles[:, :, high] - forecasts.quantiles[:, :, low]).mean(axis=1)
    size = np.abs(forecasts.quantiles[:, :, median]).mean(axis=1)
    order = np.argsort(-np.nan_to_num(spread / np.maximum(size, 1e-12), nan=-1), kind="stable")
    rows = [int(row) for row in order[:MOST_SERIES] if np.isfinite(spread[row])]
    outlooks = [outlook(forecasts, row, season) for row in rows]
    interval = f"{round(100 * (levels[high] - levels[low]), 6):g} % interval"
    figures = [
        forecast_figure(
            outlooks[start : start + MOST_PANELS],
            season=season,
            time=f"time ({panel.frequency.title})",
            interval=interval,
        )
        for start in range(0, len(outlooks), MOST_PANELS)
    ]
    pictures = [picture(figure, "Forecasts after their history") for figure in figures]
    widest = f"The {len(rows)} with the widest intervals for their size. " if len(rows) < len(cutoffs) else ""
    return render_report(
        title="Forecasts",
        subtitle=f"{len(cutoffs):,} series, {horizon:,} steps ahead, {panel.frequency.title}",
        verdict=f"{widest}The shaded {interval} is meant to hold what comes that often; the report of the run tells how"
        " often it did on test windows.",
        sections=[Section("The surest come last", pictures)],
    )


def outlook(forecasts: Forecasts, row: int, season: int, **others: Any) -> Outlook:
    """A forecast after its history, to draw, with more fields of an Outlook."""
    panel, cutoff, quantiles = forecasts.panel, forecasts.cutoffs.take(np.array([row])), forecasts.quantiles[row]
    low, high = nearest_interval(forecasts.levels)
    history = whole_past(panel, cutoff, max(4 * len(quantiles), 3 * season))[0]
    return Outlook(
        name=panel.ids[int(cutoff.series[0])],
        times=panel.frequency.clock_times(ordinals(panel, cutoff, -len(history), len(quantiles))[0]),
        history=history,
        forecast=quantiles[:, forecasts.levels.index(0.5)],
        lower=quantiles[:, low],
        upper=quantiles[:, high],
        **others,
    )
