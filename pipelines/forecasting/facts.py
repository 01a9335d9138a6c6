"""Sentences about series: what was found and what would be done about it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from toolkit.data.frequency import DAY, HOUR, WEEK, YEAR, Frequency
from toolkit.data.panel import Finding, Panel
from toolkit.evaluation.diagnostics import SEASONS, choose_season, outliers, seasonal_strength, trend_strength
from toolkit.evaluation.unit_roots import Stationarity, random_walk, stationarity

TESTED = 20  # series tested for unit roots: that takes longest
NAMES = 3
YEARS = 4  # from which on a network learns more than it gets by heart of the place in the month and the year
VERDICTS = {
    "stationary": "stationary: it comes back to one level",
    "unit root": "not stationary: there is no level that it comes back to",
    "level shifts": "not stationary: it comes back to a level that moves",
    "unclear": "unclear: neither test is sure",
}
# Kinds of findings that always have a line, and what it says where there is nothing to find.
ORDERLY = {"gaps": "no time is missing.", "duplicates": "no time is there twice.", "disorder": "sorted by time."}
COUNTED = ("missing", "constant", "all_missing", "short")  # told by sentences of their own
TITLES = {"disorder": "order", "dst": "clock changes"}


@dataclass(frozen=True)
class Sizes:
    """Of every series up to its cutoff, each (series,): steps, known values, and the least and greatest of these.

    `sparse` is whether it changes and most of its known values are 0.
    """

    steps: np.ndarray
    known: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sparse: np.ndarray


def measure(panel: Panel) -> Sizes:
    """Sizes of all series at once; the least and greatest of no values are inf and -inf."""
    steps = panel.lengths
    past = np.arange(len(panel.values)) < np.repeat(panel.ends, np.diff(panel.offsets))
    seen = past & ~np.isnan(panel.values)
    low, high = np.full(len(panel), np.inf), np.full(len(panel), -np.inf)
    filled = np.flatnonzero(np.diff(panel.offsets) > 0)  # an empty one would take the first value of the next
    begins = panel.offsets[:-1][filled]
    low[filled] = np.minimum.reduceat(np.where(seen, panel.values, np.inf), begins)
    high[filled] = np.maximum.reduceat(np.where(seen, panel.values, -np.inf), begins)
    known, zeros = (_counts(panel, which) for which in (seen, seen & (panel.values == 0)))
    return Sizes(steps, known, low, high, (2 * zeros > known) & (low < high))


def years_of(panel: Panel, lengths: np.ndarray) -> float:
    """From the first time of any series to the last of their first `lengths` (series,) steps; 0 without dates."""
    if panel.frequency.unit == "integer":
        return 0.0
    begin, end = panel.frequency.times(np.array([panel.starts.min(), (panel.starts + lengths).max()]))
    return float((end - begin) / np.timedelta64(YEAR, "s"))


def _counts(panel: Panel, which: np.ndarray) -> np.ndarray:
    """Of every series, how many of these steps it has. Shapes: (steps,) -> (series,)"""
    totals = np.concatenate([[0], np.cumsum(which)])
    return np.asarray(totals[panel.ends] - totals[panel.offsets[:-1]])


def mostly_sparse(sizes: Sizes) -> bool:
    """Whether at least a tenth of the series are, so that medians would be far from means."""
    return bool(10 * sizes.sparse.sum() >= len(sizes.sparse) > 0)


def of_sizes(panel: Panel, sizes: Sizes) -> dict[str, str]:
    """How many series and steps, on which grid, from when to when."""
    frequency, several = panel.frequency, len(panel) > 1
    rows = f"{count(int(sizes.steps.sum()), 'step')}, {int(sizes.known.sum()):,} of them with a value"
    if several:
        least, most = int(sizes.steps.min()), int(sizes.steps.max())
        each = f"{least:,} to {most:,} in a series, median {np.median(sizes.steps):,.0f}"
        rows += f"; {each if least < most else f'{least:,} in each series'}"
    last = panel.starts + np.maximum(sizes.steps, 1) - 1
    begin, end = frequency.text(np.array([panel.starts.min(), last.max()]))
    span = f"{begin} to {end}"
    early = np.flatnonzero(last < last.max())
    if several and len(early):
        verb = "ends" if len(early) == 1 else "end"
        span += f"; {count(len(early), 'series')} of {len(panel):,} {verb} earlier, such as "
        span += f"{printable(panel.ids[early[0]])} at {frequency.text(last[early[:1]])[0]}"
    return {
        "series": f"{count(len(panel), 'series')}: {named(panel, np.arange(len(panel)))}.",
        "rows": f"{rows}.",
        "frequency": f"{frequency.title} ({frequency.alias}).",
        "span": f"{span}.",
    }


def of_findings(findings: list[Finding], path: str) -> dict[str, str]:
    """What the reader of the file at `path` has found, by kind."""
    told: dict[str, str] = {}
    for kind in [*(each.kind for each in findings if each.kind not in ORDERLY), *ORDERLY]:
        if kind not in COUNTED:
            told[TITLES.get(kind, kind)] = messages(findings, kind, path) or ORDERLY[kind]
    return told


def of_values(panel: Panel, sizes: Sizes, needed: int, first: str) -> dict[str, str]:
    """Missing values, the `first` of which was told, and series that are empty, constant or short of `needed` steps."""
    missing = sizes.steps - sizes.known
    found = {"missing": first or "no value is missing."}  # at the ends of series, rows without one are no steps
    if missing.any():
        share = missing / np.maximum(sizes.steps, 1)
        worst = int(np.argmax(share))
        where = f", most in {printable(panel.ids[worst])} ({_percent(share[worst])})" if len(panel) > 1 else ""
        total = f"{_percent(missing.sum() / sizes.steps.sum())} of the steps have no value ({missing.sum():,})"
        told = f"{total}{where}.{' ' * bool(first)}{first}"
        found["missing"] = f"{told} They are masked in what the network reads and in its loss."
    for name, rows, what, then in (
        ("empty", sizes.known == 0, "without any value", "No forecast can be made."),
        ("constant", (sizes.known > 1) & (sizes.low == sizes.high), "of one value throughout", "It is repeated."),
        (
            "short",
            (sizes.known > 0) & (sizes.steps < needed),
            f"of fewer than {needed:,} steps",
            "A season and a horizon need so many; what lacks is padded and masked.",
        ),
        (
            "sparse",
            sizes.sparse,
            "whose values are mostly 0",
            "So is their median; model.point: mean forecasts the mean, whose sums are right.",
        ),
    ):
        which = np.flatnonzero(rows)
        text = f"{count(len(which), 'series')} {what}: {named(panel, which)}. {then}" if len(which) else "none."
        found[f"{name} series"] = text
    return found


def of_nature(panel: Panel, examined: np.ndarray, season: int) -> dict[str, str]:
    """Season, trend, stationarity, likeness to a random walk and outliers of the series at these positions."""
    if not len(examined):
        return {"season": "there are no values to find one in."}
    series = [panel.history(k) for k in examined.tolist()]
    roots = {k: stationarity(panel.history(k)) for k in evenly(examined, TESTED).tolist()}
    trends = np.array([trend_strength(each, season) for each in series])
    some = f"{len(series):,} of {len(panel):,} series, evenly spread, for what follows."
    return {
        **({"examined": some} if len(series) < len(panel) else {}),
        "season": _season(panel, examined, series, season),
        "trend": _share(panel, examined, trends, "of what varies beside the season"),
        "stationarity": _stationarity(roots),
        "random walk": _random_walk(panel, roots, season),
        "outliers": _outliers(panel, examined, season),
    }


def of_horizon(frequency: Frequency, horizon: int) -> dict[str, str]:
    """The suggested horizon."""
    span = span_of(frequency, horizon)
    days = horizon * frequency.step / DAY if frequency.unit == "second" and frequency.step < DAY else 0
    words = f", a {span}," if span else f", {days:.0f} days," if days > 1 and days == int(days) else ""
    return {"horizon": f"{count(horizon, 'step')}{words} would do for a start; ask for as many as are needed."}


def span_of(frequency: Frequency, steps: int) -> str:
    """What so many steps are: hour, day, week or year; empty for anything else."""
    match frequency.unit:
        case "month":
            return "year" if steps * frequency.step == 12 else ""
        case "business_day":
            return "week" if steps * frequency.step == 5 else ""
        case "integer":
            return ""
    seconds = steps * frequency.step
    year = abs(seconds - 365.25 * DAY) <= max(frequency.step, 1.5 * DAY)
    return "year" if year else {HOUR: "hour", DAY: "day", WEEK: "week"}.get(seconds, "")


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, max(len(rows) - 1, 0), most).astype(int))[: len(rows)]]


def count(number: int, word: str) -> str:
    """`1 step`, `2,000 steps`, `3 series`."""
    return f"{number:,} {word}{'' if number == 1 or word == 'series' else 's'}"


def printable(name: str) -> str:
    """At most 40 characters of a name, none of which does anything to a terminal."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
    return clean if len(clean) <= 40 else f"{clean[:39]}…"


def named(panel: Panel, rows: np.ndarray) -> str:
    """The names of a few series, and how many others there are."""
    names = [printable(panel.ids[row]) for row in rows[: NAMES + 1].tolist()]
    if len(rows) > NAMES + 1:
        names[NAMES:] = [f"{len(rows) - NAMES:,} others"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def messages(findings: list[Finding], kind: str, path: str) -> str:
    """What was told about one kind, without the path, as sentences."""
    told = (each.message.removeprefix(f"{path}: ") for each in findings if each.kind == kind)
    return " ".join(dict.fromkeys(told))


def _percent(share: float) -> str:
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def _season(panel: Panel, examined: np.ndarray, series: list[np.ndarray], season: int) -> str:
    if season > 1:
        strengths = np.array([seasonal_strength(each, season) for each in series])
        share = _share(panel, examined, strengths, "of what varies around the trend")
        span = span_of(panel.frequency, season)
        return f"{count(season, 'step')}{', a ' + span if span else ''}; {share}"
    tried = panel.frequency.seasons
    longest = max(len(each) for each in series)
    short = [each for each in tried if longest < SEASONS * each]
    why = f"; of {short[0]:,} steps it could only be seen in {SEASONS * short[0]:,}" if short else ""
    names = " or ".join(f"{each:,}" for each in tried if each not in short)
    return f"none{f' of {names} steps' if names else ''} is there{why}. The last value stands in for the season before."


def _share(panel: Panel, examined: np.ndarray, shares: np.ndarray, of_what: str) -> str:
    if len(shares) == 1:
        return f"it explains {100 * shares[0]:.0f} % {of_what}."
    least, most = int(np.argmin(shares)), int(np.argmax(shares))
    low, high = (f"{100 * shares[i]:.0f} % in {printable(panel.ids[examined[i]])}" for i in (least, most))
    return f"it explains {100 * np.median(shares):.0f} % {of_what} in the median series, from {low} to {high}."


def _stationarity(roots: dict[int, Stationarity | None]) -> str:
    results = [found for found in roots.values() if found]
    if not results:
        return "there are too few values to tell."
    then = " Every window is read relative to its own level, so that this is no obstacle."
    if len(roots) == 1:
        verdict = results[0].verdict
        numbers = f" (ADF p = {results[0].adf:.2f}, KPSS p = {results[0].kpss:.2f})."
        return VERDICTS[verdict] + numbers + (then if verdict in ("unit root", "level shifts") else "")
    counts = Counter(VERDICTS[each.verdict].partition(":")[0] for each in results)
    parts = ", ".join(f"{number:,} {verdict}" for verdict, number in counts.most_common())
    return f"of {count(len(results), 'series')} tested, {parts}." + (then if counts["not stationary"] else "")


def _random_walk(panel: Panel, roots: dict[int, Stationarity | None], season: int) -> str:
    """Of series that are tested: what surely comes back to a level is no walk, whatever its changes are like."""
    free = [k for k in roots if season == 1 or choose_season(panel.history(k), (season,)) == 1]
    if not free:
        return f"no: there {'is a season' if len(panel) == 1 else 'are seasons'}."
    results = {k: found for k in free if (found := random_walk(panel.history(k)))}
    walks = [k for k, found in results.items() if found.alike and not ((root := roots[k]) and root.comes_back)]
    if not results:
        return "there are too few values to tell."
    then = "changes cannot be told from noise: hardly anything will beat repeating the last value."
    if any(results[k].drifts for k in walks):
        some = "" if len(walks) == 1 else " where there is one"
        then = f"changes cannot be told from noise around a drift: hardly anything will beat going on with that{some}."
    if len(panel) == 1:
        (found,) = results.values()
        ratios = f"variance ratios {min(found.ratios):.2f} to {max(found.ratios):.2f}"
        numbers = f"({ratios}, largest |z| {found.largest:.1f})"
        return f"not to be told from one {numbers}. Its {then}" if walks else f"no {numbers}."
    many = f"{count(len(results), 'series')} {'without a season' if season > 1 else 'tested'}"
    if not walks:
        return f"none of {many} looks like one."
    look = "looks" if len(walks) == 1 else "look"
    return f"{len(walks):,} of {many} {look} like one: {named(panel, np.array(walks))}. Their {then}"


def _outliers(panel: Panel, examined: np.ndarray, season: int) -> str:
    places = {k: np.flatnonzero(outliers(panel.history(k), season)) for k in examined.tolist()}
    total = sum(len(each) for each in places.values())
    if not total:
        return "no value stands alone far from those around it."
    k = max(places, key=lambda each: len(places[each]))
    values = panel.history(k)
    furthest = int(max(places[k], key=lambda place: abs(values[place] - np.nanmedian(values))))
    time = panel.frequency.text(panel.starts[k : k + 1] + furthest)[0]
    name = f" in {printable(panel.ids[k])}, which has {len(places[k]):,} of them" if len(panel) > 1 else ""
    value = f"{values[furthest]:g} at {time}{name}"
    one = f"1 value stands alone far from those around it: {value}. It is kept."
    many = f"{total:,} values stand alone far from those around them, such as {value}. They are kept."
    return one if total == 1 else many
