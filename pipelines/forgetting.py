"""The `forgetting` command: what is remembered of a sequence, by each cell in two probes, or by translation runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.catalogue import stage
from toolkit.artifact import Artifact, check_outputs, write_output
from toolkit.cells import CELLS
from toolkit.data.files import tell_learned
from toolkit.errors import ConfigError
from toolkit.memory_plots import memory_figure
from toolkit.report import Paragraph, Section, Table, picture, render_report

UNITS, TIME, LONGEST = 64, 30, 100
AFTER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # symbols behind the one to keep; in training at most 100
HALF = 0.5
LEARNED = 0.05  # beyond chance, of a share that is measured on some hundred rows


class Curve(NamedTuple):
    """Quality of some networks over what `Probe.across` says. Shapes: places (n,), quality (networks, n).

    Args:
        chance: the quality of guesses.
    """

    name: str
    places: np.ndarray
    quality: np.ndarray
    chance: float = 0.0

    @property
    def forgets_at(self) -> list[float]:
        """For each network, where after its best its quality first has lost half of what that has beyond chance;
        infinite where it does not, NaN for a network whose best is no better than chance."""
        found = []
        for row in self.quality:
            best = int(row.argmax())
            learned = row[best] - self.chance > (LEARNED if self.chance else 0.0)
            enough = self.chance + HALF * (row[best] - self.chance)
            found.append(_falls_below(self.places[best:], row[best:], enough) if learned else float("nan"))
        return found


class Probe(NamedTuple):
    """Curves that belong on one picture, with the titles of its axes and how to read it."""

    title: str
    across: str
    up: str
    told: str
    curves: list[Curve]
    logarithmic: bool = False


def probe_cells(*, steps: int, seeds: int) -> Iterator[Probe]:
    """Train each cell on both tasks of `toolkit.training.recall`, from several seeds."""
    from toolkit.training.recall import SYMBOLS, copy_curve, keep_curve

    def curves(places: Sequence[int], measure: Any) -> list[Curve]:
        rows = {cell.title: [measure(kind, seed=seed) for seed in range(1, seeds + 1)] for kind, cell in CELLS.items()}
        return [Curve(name, np.array(places), np.array(found), 1 / SYMBOLS) for name, found in rows.items()]

    yield Probe(
        "A sequence to keep whole",
        "symbols read since",
        "named rightly (share)",
        f"A layer of {UNITS} units reads {TIME} random symbols of eight, and from its last state alone each of them is"
        f" named: how often rightly, by the time since. A guess is right for 1 in 8. {steps:,} training steps.",
        curves(range(TIME), lambda cell, seed: copy_curve(cell, units=UNITS, time=TIME, steps=steps, seed=seed)),
    )
    yield Probe(
        "A symbol to keep while others pass by",
        "symbols read since",
        "named rightly (share)",
        f"A layer of {UNITS} units reads a symbol and then others of the same eight, and only the first is asked for."
        f" In training up to {LONGEST} follow, in the test up to {AFTER[-1]:,}. {steps:,} training steps.",
        curves(
            AFTER,
            lambda cell, seed: keep_curve(cell, units=UNITS, longest=LONGEST, after=AFTER, steps=steps, seed=seed),
        ),
        logarithmic=True,
    )


def probe_runs(folders: Sequence[Path], data: Path) -> Probe:
    """Quality of translators by the length of what they read; runs whose configs are equal but for the seed make one
    curve.

    Raises:
        SeqloomError: a run is no translator or is damaged, or the pairs cannot be read.
    """
    from toolkit.evaluation.translation import length_edges, scores_by_length

    config, predict, answers = (stage("translation", name) for name in ("config", "predict", "answers"))
    settings = [Artifact(folder, predict.NAME).read_config(config.Config) for folder in folders]
    sources, references = stage("translation", "data").read_files(settings[0].data, str(data)).references()
    for each in settings:
        tell_learned(str(data), each.data.train, each.data.validation)
    metric = "exact_match" if settings[0].training.monitor == "exact_match" else "bleu"
    lengths, edges = list[int](), list[int]()
    kinds: dict[str, tuple[str, Path, list[list[Any]]]] = {}  # by config: name, a folder, scores of each run
    for folder, each in zip(folders, settings, strict=True):
        found = list(predict.Translator(folder).translate(sources))
        lengths = lengths or [len(row.source_pieces) for row in found]
        edges = edges or length_edges(lengths, bins=10)
        texts, lines = answers.as_lines([row.text for row in found], references)
        bins = scores_by_length(lengths, texts, lines, edges)
        kind = each.decoder.attention
        name = "thought vector" if kind == "none" else f"{kind} attention"
        alike = each.model_copy(update={"seed": 0}).model_dump_json()
        kinds.setdefault(alike, (name, folder, []))[-1].append(bins)
    curves, names = [], [name for name, _, _ in kinds.values()]
    for name, folder, runs in kinds.values():
        name = f"{name}, {folder.name}" if names.count(name) > 1 else name
        places = np.array([np.mean([n for n in lengths if each.low <= n <= each.high]) for each in runs[0]])
        curves.append(Curve(name, places, np.array([[getattr(each, metric) for each in bins] for bins in runs])))
    told = f"{len(sources):,} sources in up to ten groups of like length, at the mean of each."
    up = "exact match (share)" if metric == "exact_match" else "BLEU"
    return Probe("Quality by length of the source", "pieces of the source", up, told, curves)


def command(
    models: Sequence[Path], data: Path | None, *, steps: int, seeds: int, out: Path | None, as_json: bool
) -> None:
    """Measure, print a line a curve, and write a page if asked for."""
    if bool(models) != bool(data):
        raise ConfigError("runs are measured on a file of pairs: give both or neither.", where="--model, --data")
    check_outputs([str(data)] if data else [], out)
    found = []
    for probe in [probe_runs(models, data)] if data else probe_cells(steps=steps, seeds=seeds):
        found.append(probe)
        if not as_json:
            print(f"{probe.title}: {probe.up} by {probe.across}")
            print("\n".join(map(_line, probe.curves)), flush=True)
    if as_json:
        print(json.dumps([_facts(probe) for probe in found]))
    if out:
        write_output(out, page(found))


def page(probes: Sequence[Probe]) -> str:
    """One self-contained HTML page."""
    sections, verdict = [], []
    for probe in probes:
        lines = {each.name: (each.places, each.quality) for each in probe.curves}
        figure = memory_figure(lines, probe.across, probe.up, logarithmic=probe.logarithmic)
        columns = ("", f"half of its best, beyond guesses, is lost at, {probe.across}", "mean of the curve", "networks")
        rows = [
            (each.name, _spread(each.forgets_at), _spread(each.quality.mean(axis=1)), len(each.quality))
            for each in probe.curves
        ]
        caption = (
            "Mean and standard deviation over networks. Lines are means, bands go from the worst network to the best."
        )
        sections.append(
            Section(probe.title, [Paragraph(probe.told), picture(figure, probe.title), Table(columns, rows, caption)])
        )
        told = "; ".join(f"{each.name} {_spread(each.forgets_at)}" for each in probe.curves)
        verdict.append(f"{probe.title}, half of the best is lost at: {told} ({probe.across}).")
    return render_report(title="What is forgotten", subtitle="", verdict=" ".join(verdict), sections=sections)


def _falls_below(places: np.ndarray, quality: np.ndarray, enough: float) -> float:
    """Where a curve first falls below `enough`, on the straight line between its points."""
    below = np.flatnonzero(quality < enough)
    if not len(below):
        return float("inf")
    at = below[0]
    if not at:
        return float(places[0])
    return float(np.interp(enough, quality[[at, at - 1]], places[[at, at - 1]]))


def _spread(values: Sequence[float] | np.ndarray) -> str:
    finite, told = np.asarray(values)[np.isfinite(values)], []
    if len(finite):
        told.append(f"{finite.mean():.3g}" + (f" ± {finite.std(ddof=1):.2g}" if len(finite) > 1 else ""))
    for count, what in ((np.isinf(values).sum(), "never"), (np.isnan(values).sum(), "nothing was learned")):
        if count:
            told.append(what if count == len(values) else f"{count} {what}")
    return ", ".join(told)


def _line(curve: Curve) -> str:
    mean = curve.quality.mean()
    return f"  {curve.name:<22} mean {mean:<8.3g}half of its best is lost at {_spread(curve.forgets_at)}"


def _facts(probe: Probe) -> dict[str, Any]:
    curves: Mapping[str, Any] = {
        each.name: {
            "places": each.places.tolist(),
            "quality": each.quality.tolist(),
            "forgets_at": [at if np.isfinite(at) else None for at in each.forgets_at],
            "learned": [not np.isnan(at) for at in each.forgets_at],
        }
        for each in probe.curves
    }
    return {"title": probe.title, "across": probe.across, "up": probe.up, "curves": curves}
