"""What a forecast rests on: the gates of the network, and the past and the columns that move it. Without Keras."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipelines.forecasting.config import Config
from pipelines.forecasting.inputs import make_inputs
from pipelines.forecasting.predict import NAME, NETWORK, Forecaster
from toolkit.artifact import Artifact
from toolkit.data.panel import Panel
from toolkit.data.windows import at_ends, ordinals
from toolkit.errors import ConfigError, DataError
from toolkit.explanation import NO_GATES, Explanation, Vectors, fitting, read_network
from toolkit.gates import Direction, trace_encoder

MOST_PARTS = 26  # stretches of the past that are hidden, one after the other
HIDING = (
    "Each bar is how far the forecast moves, on average over its steps, where the values of one stretch, from that time"
    " on, are put on a straight line between their neighbours. At the end of the series, the value before goes on. This"
    " keeps the level, and hides a single step too."
)
HIDING_COLUMNS = " The last bars are of the other columns, each put at its average in training, past and future alike."


def explain(folder: str | Path, path: str, series: str | None = None) -> Explanation:
    """Forecast a series, the first unless named, look into the first network, and hide each stretch of its past.

    Raises:
        DataError: there is no such series, or it has too few values.
        ArtifactError: the folder is damaged, unfinished or of another pipeline.
    """
    forecaster = Forecaster.load(folder)
    panel = _one(forecaster.read(path), series, path)
    plan, name = forecaster.plan, panel.ids[0]
    point = forecaster.forecast(panel)[0, :, plan.median]
    parts, effects = _effects(forecaster, panel)
    steps, layers = [], list[Direction]()
    if _has_encoder(forecaster):
        (inputs,), read = _inputs(forecaster, panel), plan.segment
        layers = _traces(folder, [inputs])[0][0]
        steps = _times(panel, len(inputs) * read)[::read]
    last = f" to {point[-1]:,.4g}" if len(point) > 1 else ""
    return Explanation(
        answer=f"The {plan.point} forecast of {name} for the next {len(point):,} steps: {point[0]:,.4g}{last}.",
        steps=steps,
        layers=layers,
        parts=parts,
        effects=effects,
        effect=f"mean change of the {plan.point} forecast, in the units of the data",
        hiding=HIDING + (HIDING_COLUMNS if plan.scales else ""),
        notes=_notes(forecaster, bool(layers)),
    )


def encode(folder: str | Path, path: str, column: str | None = None) -> Vectors:
    """The first network's final state, of a transformer the mean of its outputs, after the last window of each series.
    That of a series without a value is zero.

    Raises:
        ConfigError: the run has no encoder of the shared kind, or a column was named.
        SeqloomError: the run folder or the file cannot be used.
    """
    if column:
        raise ConfigError("series are read as those that the run was trained on.", where="--column")
    forecaster = Forecaster.load(folder)
    if not _has_encoder(forecaster):
        mend = "Train with another model.network, or another model.kind."
        raise ConfigError("this run has no encoder that gives vectors.", where=str(folder), mend=mend)
    panel = forecaster.read(path)
    finals = [_final(*traced) for traced in _traces(folder, _inputs(forecaster, panel))]
    known = [np.isfinite(panel.history(series)).any() for series in range(len(panel))]
    vectors = np.where(np.array(known)[:, None], finals, 0).astype(np.float32)
    return Vectors(list(panel.ids), _times(panel, 1), vectors, [""] * len(panel))


def _one(panel: Panel, series: str | None, path: str) -> Panel:
    """The panel of one series, which has values enough."""
    if series is not None and series not in panel.ids:
        shown = ", ".join(panel.ids[:5]) + (", ..." if len(panel) > 5 else "")
        raise DataError(f"there is no series {series!r}.", where=path, mend=f"Name one of {shown}")
    one = panel.take(np.array([panel.ids.index(series) if series else 0]))
    if np.isfinite(one.history(0)).sum() < 2:
        mend = "Give at least two values, or another --series."
        raise DataError(f"series {one.ids[0]!r} is too short to see what matters in it.", where=path, mend=mend)
    return one


def _effects(forecaster: Forecaster, panel: Panel) -> tuple[list[str], np.ndarray]:
    """The times from which on each stretch was hidden, then the columns, and how far that moves the forecast."""
    plan, values = forecaster.plan, panel.history(0)
    reach = min(len(values), max(plan.history, 2 * plan.season))
    edges = len(values) - reach + np.unique(np.linspace(0, reach, MOST_PARTS + 1).astype(int))
    scales, columns = plan.scales or {}, defaultdict[str, list[str]](list)
    for name in scales:
        of_words = (column for column in plan.categories or {} if name.startswith(f"{column}="))
        columns[next(of_words, name)].append(name)  # the words of a column are hidden together
    rows = panel.take(np.zeros(len(edges) + len(columns), np.int64))  # the first row is left as it is
    for row, (start, stop) in enumerate(pairwise(edges), 1):
        rows.values[rows.offsets[row] : rows.ends[row]] = _bridged(values, start, stop)
    for row, names in enumerate(columns.values(), len(edges)):
        for name in names:
            if name in plan.static:
                rows.statics[name][row] = scales[name][0]
            else:
                rows.covariates[name][rows.offsets[row] : rows.offsets[row + 1]] = scales[name][0]
    points = forecaster.fitted.combine(forecaster.parts(rows, at_ends(rows), forecaster.used).forecasts)
    times = _times(panel, len(values))
    return [*(times[start] for start in edges[:-1]), *columns], np.abs(points[1:] - points[0]).mean(axis=1)


def _bridged(values: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Values with the known ones from `start` to `stop` on a straight line between what is known beside them, as the
    first and the last value of a series are."""
    known = np.isfinite(values)
    outside = known.copy()
    outside[start:stop] = False
    inside = np.flatnonzero(known & ~outside)
    bridged = values.copy()
    bridged[inside] = np.interp(inside, np.flatnonzero(outside), values[outside])
    return bridged


def _notes(forecaster: Forecaster, layers: bool) -> list[str]:
    plan, combination, notes = forecaster.plan, forecaster.fitted, []
    if NETWORK in combination.names:
        share = combination.weights[:, combination.names.index(NETWORK)].mean()
        part = f"{100 * share:.0f} % of the weight" if share else "no part"
        network = "The network, whose layers these are," if layers else "The network"
        notes.append(f"{network} has {part} in this forecast; the bars are of all of it.")
    if forecaster.runtime and not layers:
        notes.append("Gates are not shown of a smoothing network." if plan.network == "smoothing" else NO_GATES)
    if plan.network == "attention" and forecaster.runtime:
        notes.append("Its attention over the past is not shown.")
    if plan.known:
        notes.append(f"{', '.join(plan.known)}: taken to be as on average where the file does not know them ahead.")
    return notes


def _has_encoder(forecaster: Forecaster) -> bool:
    return forecaster.runtime is not None and forecaster.plan.network != "smoothing"


def _inputs(forecaster: Forecaster, panel: Panel) -> list[np.ndarray]:
    """The segments that the network reads at the end of each series. Shapes: (segments, features) each"""
    cutoffs = at_ends(panel)
    arrays = make_inputs(forecaster.plan, panel, cutoffs, forecaster.sizes_of(panel, cutoffs)).arrays
    return [segments[:length] for segments, length in zip(arrays["segments"], arrays["lengths"], strict=True)]


def _traces(folder: str | Path, inputs: list[np.ndarray]) -> list[tuple[list[Direction], np.ndarray]]:
    """What the first network's encoder does with each series."""
    config, weights = read_network(Artifact(folder, NAME), Config)
    settings = config.encoder.model_dump()
    with fitting(folder):
        if "projection/kernel" in weights:
            kernel, bias = weights["projection/kernel"], weights["projection/bias"]
            inputs = [np.maximum(segments @ kernel + bias, 0) for segments in inputs]
        return [trace_encoder(weights, settings, segments) for segments in inputs]


def _final(layers: list[Direction], outputs: np.ndarray) -> np.ndarray:
    """The last layer's states at the ends that they run to. Shapes: outputs (time, width) -> (width,)"""
    if not layers:  # of a transformer
        return outputs.mean(axis=0)
    if len(layers) == 1 or not layers[-1].name.endswith("backward"):
        return outputs[-1]
    half = outputs.shape[1] // 2
    return np.concatenate([outputs[-1, :half], outputs[0, half:]])


def _times(panel: Panel, steps: int) -> list[str]:
    """Times of the last steps of each series, one series after the other."""
    return panel.frequency.text(ordinals(panel, at_ends(panel), -steps, 0).ravel())
