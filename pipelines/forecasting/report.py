"""What the report page of a forecaster shows."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.forecasting.leaderboard import Leaderboard, difference_interval
from pipelines.forecasting.page import outlook
from pipelines.forecasting.predict import NETWORK, Forecaster
from toolkit import forecast_plots
from toolkit import report as pages
from toolkit.evaluation import forecasting
from toolkit.evaluation.combination import Combination
from toolkit.forecast_plots import Outlook
from toolkit.report import METRICS, Paragraph, Picture, Section, Table, picture

PICTURES = 12
WORST = 20
DRAWN = 6  # forecasters in one picture of errors
SEVERAL = 10  # series, of which a tenth can be told


def render(
    report: Mapping[str, Any], board: Leaderboard, forecaster: Forecaster, history: list[dict[str, float]]
) -> tuple[str, str]:
    """The page as HTML, and its verdict. `report` holds the numbers that report.json has."""
    combination = forecaster.fitted
    verdict = f"{_served(combination)} {_verdict(report, board, combination)}"
    sections = [
        Section("Scores on the test windows", [_leaderboard(report, board)]),
        _forecasts_section(board, forecaster),
        _errors_section(board),
        _intervals_section(board),
    ]
    if len(combination.used) > 1 or len(combination.names) > 1:
        sections.append(_weights_section(combination, board))
    if history:
        sections.append(_training_section(history))
    subtitle = (
        f"{len(board.cutoffs):,} test windows of {len(set(board.cutoffs.series.tolist())):,} series,"
        f" {board.truth.y.shape[1]:,} steps ahead, {report['seconds']['train']:,.0f} s of training"
    )
    page = pages.render_report(title="Forecasting", subtitle=subtitle, verdict=verdict, sections=sections)
    return page, verdict


def _served(combination: Combination) -> str:
    """What the forecasts of this run are made of."""
    if winner := combination.winner:
        why = " It was the best on validation windows." if len(combination.names) > 1 else ""
        return f"Forecasts come from {_name(winner)} alone.{why}"
    shares = dict(zip(combination.names, combination.weights.mean(axis=0), strict=True))
    parts = sorted(((share, name) for name, share in shares.items() if share > 0), reverse=True)
    return "Forecasts are " + ", ".join(f"{100 * share:.0f} % {_name(name)}" for share, name in parts) + "."


def _verdict(report: Mapping[str, Any], board: Leaderboard, combination: Combination) -> str:
    """Which won on the test windows. A companion that is served is compared with the network too."""
    metric = board.metric
    scores = {name: each[metric] for name, each in report["baselines"].items() if metric in each}
    winner, own = combination.winner, report["test"][metric]
    if winner is None or winner == NETWORK:
        rivals = {_name(name): name for name in scores if name != NETWORK}
        shown = {title: scores[name] for title, name in rivals.items()}
        return pages.verdict(metric, own, shown, lambda title: difference_interval(board, rivals[title]))
    best = min(scores, key=lambda name: scores[name])
    told = f"On the test windows it has {METRICS[metric].title} {own:.3f}"
    return f"{told}, the best of all." if best == winner else f"{told}; {_name(best)} has {scores[best]:.3f} there."


def _name(forecaster: str) -> str:
    return {"network": "the network", "ets": "ETS", "theta": "Theta"}.get(forecaster, forecaster.replace("_", " "))


def _leaderboard(report: Mapping[str, Any], board: Leaderboard) -> Table:
    """A row a forecaster, the best first; the best of each column in bold."""
    scores = {"this model": report["test"], **{_name(name): each for name, each in report["baselines"].items()}}
    metrics = list(report["test"])
    order = sorted(scores, key=lambda name: scores[name][board.metric])
    rows = [(name, *(scores[name].get(each) for each in metrics)) for name in order]
    best = set()
    for column, each in enumerate(metrics, 1):
        costs = {line: METRICS[each].cost(row[column]) for line, row in enumerate(rows) if row[column] is not None}
        best |= {(line, column) for line, cost in costs.items() if cost == min(costs.values()) and len(costs) > 1}
    unit = "In units of each series' standard deviation in training. " if board.standardized else ""
    meanings = "; ".join(f"{METRICS[each].title}: {METRICS[each].meaning}" for each in metrics if METRICS[each].meaning)
    return Table(("", *(METRICS[each].title for each in metrics)), rows, f"{unit}{meanings}.", frozenset(best))


def _forecasts_section(board: Leaderboard, forecaster: Forecaster) -> Section:
    """The last window of the series with the largest errors, worst first."""
    errors, season, title = _by_series(board, "seqloom"), forecaster.plan.season, METRICS[board.metric].title
    worst = np.argsort(-np.nan_to_num(errors, nan=-1), kind="stable")
    scored = [int(series) for series in worst if np.isfinite(errors[series])]
    drawing = forecast_plots.forecast_figure(
        [_outlook(board, season, series, f"{title} {errors[series]:.2f}") for series in scored[:PICTURES]],
        season=season,
        time=f"time ({forecaster.plan.frequency.title})",
        rival="seasonal naive",
    )
    blocks: list[Picture | Table | Paragraph] = [
        picture(drawing, "Forecasts beside what came", "The last test window of each series, the worst series first.")
    ]
    if len(scored) > PICTURES:
        own, naive = (_by_series(board, name) for name in ("seqloom", "seasonal_naive"))
        rows = [(board.panel.ids[series], float(own[series]), float(naive[series])) for series in scored[:WORST]]
        caption = f"The worst {len(rows)} of {len(scored):,} series by {title}."
        blocks.append(Table(("series", "this model", "seasonal naive"), rows, caption))
    return Section("Forecasts", blocks)


def _by_series(board: Leaderboard, name: str) -> np.ndarray:
    return forecasting.score_series(board.truth, board.rivals[name].forecasts, board.cutoffs.series)[board.metric]


def _outlook(board: Leaderboard, season: int, series: int, note: str) -> Outlook:
    """The last window of a series."""
    row = int(np.flatnonzero(board.cutoffs.series == series)[-1])
    rival, own = board.rivals["seasonal_naive"].forecasts[row] * board.units[row], board.forecasts
    assert own.truth is not None
    return outlook(own, row, season, truth=own.truth[row], rival=rival, note=note)


def _errors_section(board: Leaderboard) -> Section:
    best = sorted(board.rivals, key=lambda name: (name != "seqloom", board.scores[name][board.metric]))[:DRAWN]
    errors = {
        "this model" if name == "seqloom" else _name(name): forecasting.score_steps(
            board.truth, board.rivals[name].forecasts
        )[board.metric]
        for name in best
    }
    title = METRICS[board.metric].title
    drawing = forecast_plots.error_by_step_figure(errors, title)
    return Section("How far ahead?", [picture(drawing, f"{title} by step of the horizon")])


def _intervals_section(board: Leaderboard) -> Section:
    own, scores = board.rivals["seqloom"], board.scores["seqloom"]
    steps = forecasting.score_steps(board.truth, own.forecasts, own.quantiles, board.levels)
    names = (name.removeprefix("coverage_") for name in scores if name.startswith("coverage_"))
    stated = sorted(names, key=float)
    found = np.array([scores[f"coverage_{level}"] for level in stated])
    drawing = forecast_plots.coverage_figure(np.array(stated, float) / 100, found, steps[f"coverage_{stated[-1]}"])
    caption = _coverage_by_series(board, stated[-1])
    drawn = picture(drawing, "Values inside the intervals by their level", caption)
    return Section("Can its intervals be trusted?", [drawn])


def _coverage_by_series(board: Leaderboard, percent: str) -> str:
    """How far single series are from what all together have."""
    own = board.rivals["seqloom"]
    scores = forecasting.score_series(board.truth, own.forecasts, board.cutoffs.series, own.quantiles, board.levels)[
        f"coverage_{percent}"
    ]
    known = scores[np.isfinite(scores)]
    if len(known) < SEVERAL:
        return ""
    low, high = np.quantile(known, (0.1, 0.9))
    return (
        f"Of the {percent} % interval: a tenth of the {len(known):,} series has at most {low:.0%} of its values inside,"
        f" a tenth at least {high:.0%}. Few values of each are part of why these differ."
    )


def _weights_section(combination: Combination, board: Leaderboard) -> Section:
    horizon = board.truth.y.shape[1]
    names = [_name(name) for name in combination.names]
    edges = np.arange(len(combination.weights) + 1) * horizon // len(combination.weights)
    parts = [f"steps {start + 1:,} to {stop:,}" for start, stop in pairwise(edges.tolist())]
    drawing = forecast_plots.weights_figure(combination.weights, names, parts)
    rows = sorted(combination.validation.items(), key=lambda item: item[1])
    table = Table(("on validation windows", METRICS[board.metric].title), [(_name(name), cost) for name, cost in rows])
    return Section("What was weighed", [picture(drawing, "Weights by part of the horizon"), table])


def _training_section(history: list[dict[str, float]]) -> Section:
    first = [row for row in history if row["member"] == 1]
    members = int(history[-1]["member"])
    caption = f"The first of {members} networks." if members > 1 else ""
    return Section("Training", [picture(pages.learning_curves(first), "Learning curves by epoch", caption)])
