"""Pictures of series and forecasts: what they show, that dates do not collide, and that nothing breaks them."""

import warnings
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from toolkit import forecast_plots, series_plots
from toolkit.forecast_plots import Outlook, forecast_figure
from toolkit.report import picture
from toolkit.series_plots import History, history_figure

HOSTILE = "<script>alert(1)</script> $x_{ & '\" \x00\x1b\ud800 नमस्ते and a name that goes on and on and on"
HOUR, DAY = np.timedelta64(3600, "s"), np.timedelta64(1, "D")
# Steps from minutes to years, and integers.
GRIDS = {
    "minutes": np.datetime64("2024-02-28T23:50", "us") + np.arange(400) * np.timedelta64(60, "s"),
    "hours": np.datetime64("2010-12-25T07:00", "us") + np.arange(400) * HOUR,
    "days": np.datetime64("2019-11-30", "us") + np.arange(400) * DAY,
    "weeks": np.datetime64("1958-03-29", "us") + np.arange(400) * 7 * DAY,
    "months": (np.datetime64("1749-01") + np.arange(400)).astype("datetime64[us]"),
    "years": (np.datetime64("1600") + np.arange(400)).astype("datetime64[us]"),
    "integers": np.arange(-5, 395),
    "large integers": 10**12 + np.arange(400),
}


def outlook(times: np.ndarray, horizon: int = 24, name: str = "series") -> Outlook:
    steps = len(times)
    values = 100 + np.cumsum(np.random.default_rng(0).standard_normal(steps))
    history, truth = values[: steps - horizon], values[steps - horizon :]
    forecast = np.full(horizon, history[-1])
    return Outlook(name, times, history, forecast, forecast - 2, forecast + 2, truth, forecast + 1, "MASE 0.912")


def texts(figure: Figure) -> list[str]:
    """Every text in the picture, which must be drawable without a warning and well-formed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph")
        drawing = picture(figure, "picture").drawing
    if drawing.startswith("<img"):
        return []
    return [element.text for element in ElementTree.fromstring(drawing).iter() if element.text and element.text.strip()]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Neighbouring labels of a time axis that touch."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    found = []
    for axes in figure.axes:
        shown = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent(renderer) for label in shown]
        inside = [i for i, box in enumerate(boxes) if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1]
        for left, right in pairwise(inside):
            if boxes[left].x1 + 2 > boxes[right].x0:
                found.append((shown[left].get_text(), shown[right].get_text()))
    return found


@pytest.mark.parametrize("panels", [1, 2, 8])
@pytest.mark.filterwarnings("error")
def test_labels_of_times_do_not_touch(panels):
    grids = list(GRIDS.values())
    for first in range(0, len(grids), panels):
        figure = forecast_figure([outlook(times) for times in grids[first : first + panels]], season=24)
        assert not overlapping(figure)
        assert all(len(axes.get_xticks()) >= 2 for axes in figure.axes[:panels])


@pytest.mark.filterwarnings("error")
def test_labels_of_long_histories_do_not_touch():
    series = [History("a", times, np.arange(400.0)) for times in GRIDS.values()]
    assert not overlapping(history_figure(series[2:]))


@pytest.mark.parametrize(("first", "shown"), [("0001", "401"), ("0090", "401"), ("8000", "9600")])
def test_years_near_the_first_and_the_last_that_there_are_can_be_drawn(first, shown):
    times = (np.datetime64(first) + np.arange(2000)).astype("datetime64[s]")
    assert shown in texts(history_figure([History("a", times, np.arange(2000.0))]))


def test_a_forecast_shows_history_interval_truth_and_rival():
    figure = forecast_figure(
        [outlook(GRIDS["hours"])], time="time (hourly)", value="temp", interval="80 % interval", rival="seasonal naive"
    )
    shown = texts(figure)
    for text in ("history", "forecast", "80 % interval", "truth", "seasonal naive", "time (hourly)", "temp"):
        assert shown.count(text) == 1
    assert "series, MASE 0.912" in shown


def test_what_is_not_known_is_not_in_the_legend():
    bare = outlook(GRIDS["hours"])
    shown = texts(forecast_figure([Outlook("bare", bare.times, bare.history, bare.forecast)]))
    assert {"history", "forecast"} <= set(shown)
    assert not {"80 % interval", "truth", "baseline"} & set(shown)


@pytest.mark.parametrize(
    ("horizon", "season", "expected"), [(24, 1, 96), (24, 48, 144), (2, 365, 24), (1, 1, 20), (90, 7, 310)]
)
def test_the_history_shown_is_as_long_as_the_forecast_needs(horizon, season, expected):
    figure = forecast_figure([outlook(GRIDS["days"], horizon)], season=season)
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "history")
    assert len(line.get_xdata()) == expected


def test_truth_begins_where_history_ends():
    one = outlook(GRIDS["integers"])
    lines = {line.get_label(): line for line in forecast_figure([one]).axes[0].lines}
    assert lines["truth"].get_xdata()[0] == lines["history"].get_xdata()[-1] == one.times[-25]
    assert lines["truth"].get_ydata()[0] == one.history[-1]
    assert len(lines["truth"].get_xdata()) == 25
    np.testing.assert_array_equal(lines["forecast"].get_xdata(), one.times[-24:])


def test_more_than_twelve_forecasts_are_cut_to_twelve():
    assert len(forecast_figure([outlook(GRIDS["integers"], 7, f"s{i}") for i in range(15)]).axes) == 12


def test_thinning_keeps_every_peak_and_gap():
    values = np.zeros(50_000)
    values[[7, 33_333]] = 9.0, -9.0
    values[20_000:21_000] = np.nan
    drawn = history_figure([History("a", np.arange(50_000), values)]).axes[0].lines[0]
    assert len(drawn.get_xdata()) <= series_plots.MOST_POINTS
    assert {7: 9.0, 33_333: -9.0}.items() <= dict(zip(drawn.get_xdata(), drawn.get_ydata(), strict=True)).items()
    assert np.isnan(drawn.get_ydata()).any()
    assert (np.diff(drawn.get_xdata()) > 0).all()


def test_a_value_between_two_gaps_is_a_dot():
    values = np.array([1.0, 2.0, np.nan, 3.0, np.nan, 4.0, 5.0])
    dots = history_figure([History("a", np.arange(7), values)]).axes[0].lines[1]
    assert dots.get_xdata().tolist() == [3]


def every_figure(name: str, steps: int) -> list[Figure]:
    """One of each kind."""
    times, values = np.arange(max(steps, 2)), np.full(max(steps, 2), np.nan)
    random = np.random.default_rng(0)
    errors = {f"{name} {number}": random.random(steps) for number in range(8)}
    weights = random.dirichlet(np.ones(8), 3)
    return [
        history_figure([History(name, times, values), History(name, times, times * 1.0)], name, name),
        series_plots.season_figure(values, values - 1, values + 1, "hour of the day", name),
        series_plots.autocorrelation_figure(random.random(steps + 1), 100, 3),
        forecast_figure([Outlook(name, times, values[:1], values[1:], *[values[1:]] * 4)], time=name, rival=name),
        forecast_plots.error_by_step_figure(errors, "RMSSE"),
        forecast_plots.coverage_figure(np.array([0.5, 0.8]), np.array([0.4, 1.0]), random.random(steps)),
        forecast_plots.weights_figure(weights, list(errors), [name, "b", "c"]),
    ]


@pytest.mark.parametrize("steps", [1, 30])
def test_every_picture_can_be_drawn_of_little_and_of_hostile_names(steps):
    for figure in every_figure(HOSTILE, steps):
        assert not [text for text in texts(figure) if "\x1b" in text]


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    every_figure("a", 5)
    assert dict(matplotlib.rcParams) == before


def test_weights_of_every_block_fill_the_bar():
    weights = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0]])
    figure = forecast_plots.weights_figure(
        weights, ["network", "naive", "theta", "drift"], ["steps 1 to 6", "the rest"]
    )
    shown = texts(figure)
    assert [shown.count(text) for text in ("50", "25", "steps 1 to 6", "network", "drift")] == [1, 2, 1, 1, 0]
    ends = [patch.get_x() + patch.get_width() for patch in figure.axes[0].patches]
    assert max(ends) == pytest.approx(100)


def test_coverage_is_written_beside_its_points():
    shown = texts(forecast_plots.coverage_figure(np.array([0.5, 0.8]), np.array([0.47, 0.795]), np.full(6, 0.8)))
    assert {"47", "80", "values inside the 80 % interval (%)"} <= set(shown)
