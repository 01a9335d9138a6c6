"""The `ladder` command: the history of the field on the data of a config, each rung trained with the same budget."""

import contextlib
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from scipy import stats

from pipelines.catalogue import stage
from toolkit import artifact
from toolkit import config as configs
from toolkit.artifact import WEIGHTS
from toolkit.errors import ConfigError
from toolkit.memory_plots import ladder_figure
from toolkit.report import METRICS, Paragraph, Section, Table, picture, render_report
from toolkit.training.fit import whole_trainings

WORDS = re.compile("embedding|subwords|vectors")  # in the names of weights that are the same on every rung
BARE = {"layers": 1, "bidirectional": False, "residual": False, "normalization": "none"}
BOTH = {**BARE, "cell": "lstm", "bidirectional": True}
STACKED = {**BOTH, "layers": 2}
GNMT = {"cell": "lstm", "layers": 4, "bidirectional": "first", "residual": True, "normalization": "layer"}
SELF_ATTENTION = {**BARE, "cell": "transformer", "bidirectional": True, "layers": 2}


class Rung(NamedTuple):
    """A step of the ladder: its encoder, and which settings of the pipeline's `ladder` module it takes besides."""

    name: str
    told: str
    encoder: dict[str, Any]
    others: tuple[str, ...]


RUNGS = (
    Rung("vanilla RNN", "Elman 1990", {**BARE, "cell": "rnn"}, ("PLAIN",)),
    Rung("LSTM", "Hochreiter & Schmidhuber 1997", {**BARE, "cell": "lstm"}, ("PLAIN",)),
    Rung("GRU", "Cho et al. 2014", {**BARE, "cell": "gru"}, ("PLAIN",)),
    Rung("bidirectional", "LSTM from both ends, Graves & Schmidhuber 2005", BOTH, ("PLAIN",)),
    Rung("stacked", "two such layers, Graves et al. 2013", STACKED, ("PLAIN",)),
    Rung("attention", "over these, Bahdanau 2015, Luong 2015 or Yang 2016", STACKED, ("ATTENTION",)),
    Rung("GNMT", "four layers, residual as in Wu et al. 2016, and normalised", GNMT, ("ATTENTION", "GNMT")),
    Rung("Transformer", "two blocks of self-attention, Vaswani et al. 2017", SELF_ATTENTION, ("ATTENTION",)),
)


class Result(NamedTuple):
    """What a rung's run came to: weights but those of words and pieces, and `test`, the metrics of its report."""

    rung: str
    seed: int
    parameters: int
    seconds: float
    test: dict[str, float]


def climb(config: Any, folder: Path, seeds: int) -> Iterator[Result]:
    """Train every rung from several seeds; runs that are there already are read, and one that was stopped goes on.

    Raises:
        SeqloomError: the folder holds runs of another config or of other data, or a rung cannot be trained on this
            config.
    """
    data = dict[int, Any]()  # by seed, which may have drawn the rows of each part
    for rung in RUNGS:
        for seed in range(config.seed, config.seed + seeds):
            changed = rung_config(config, rung, seed)
            run = folder / f"{rung.name.replace(' ', '-')}-{seed}"
            if (run / artifact.MANIFEST).exists() and not (run / "checkpoints").exists():
                _refuse_other(run, changed)
            else:
                with whole_trainings():  # a rung of fewer epochs would be compared with others
                    stage(config.pipeline, "train").train(changed, run, resume=run.exists())
            read = artifact.read_manifest(run).get("data")
            if data.setdefault(seed, read) != read:
                told = f"this run has read other data than that of the rung {RUNGS[0].name}, as if files had changed."
                raise ConfigError(told, where=str(run), mend="Choose another --out to begin a new ladder.")
            yield _result(rung, seed, run)


def rung_config(config: Any, rung: Rung, seed: int) -> Any:
    """The config with what the rung changes; its data, budget and sizes stay."""
    settings = stage(config.pipeline, "ladder")
    changes = {"seed": seed, **{f"encoder.{key}": value for key, value in rung.encoder.items()}, **settings.ALWAYS}
    for name in rung.others:
        changes |= getattr(settings, name)
    return configs.changed(config, changes, f"the rung {rung.name}")


def command(config: Any, folder: Path, *, seeds: int, as_json: bool) -> None:
    """Climb, print a line a run and then the table, and write the page."""
    found = []
    for result in climb(config, folder, seeds):
        found.append(result)
        if not as_json:
            scores = "  ".join(f"{name} {value:.4g}" for name, value in result.test.items())
            print(f"{result.rung}, seed {result.seed}: {scores}", flush=True)
    metric = stage(config.pipeline, "ladder").metric(config)
    artifact.write_json(folder / "ladder.json", [each._asdict() for each in found])
    artifact.write_text(folder / "ladder.html", page(found, metric, config.pipeline))
    if as_json:
        print(json.dumps([each._asdict() for each in found]))
        return
    columns, rows = table(found, metric)
    widths = [max(len(str(row[at])) for row in [columns, *rows]) + 2 for at in range(len(columns))]
    for row in [columns, *rows]:
        print("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{verdict(found, metric)}\nreport: {folder / 'ladder.html'}")


def table(found: list[Result], metric: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns, and a row a rung."""
    rows: list[tuple[str, ...]] = []
    for name, results in _by_rung(found).items():
        scores = [each.test[metric] for each in results]
        seconds = statistics.mean(each.seconds for each in results)
        rows.append((name, _spread(scores), f"{results[0].parameters:,}", f"{seconds:,.0f}"))
    return ("", METRICS[metric].title, "parameters", "training, s"), rows


def verdict(found: list[Result], metric: str) -> str:
    """Which rung is best on the mean, and which others its seeds do not tell from it."""
    scores = {name: [each.test[metric] for each in rows] for name, rows in _by_rung(found).items()}
    best = min(scores, key=lambda name: METRICS[metric].cost(statistics.mean(scores[name])))
    least, own = _least_difference(list(scores.values())), statistics.mean(scores[best])
    near = [name for name in scores if name != best and abs(statistics.mean(scores[name]) - own) <= least]
    seeds = len(scores[best])
    told = f" Not told from it by {seeds} seeds: {', '.join(near)}." if near and seeds > 1 else ""
    told = " One seed does not tell whether it is luck." if seeds == 1 else told
    return f"{best} is best: {METRICS[metric].title} {_spread(scores[best])}.{told}"


def _least_difference(scores: Sequence[Sequence[float]]) -> float:
    """How far two means (rungs, seeds) must be apart for 95 of 100 ladders of equal rungs to tell none from another.

    Pairs taken one at a time would tell some from the best in four of ten: it is the best because it was lucky.

    Reference: Tukey's range test, in blocks, which the seeds are
    """
    values = np.array(scores)
    rungs, seeds = values.shape
    if min(rungs, seeds) < 2:
        return math.inf
    rest, freedom = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True), (rungs - 1) * (seeds - 1)
    error = math.sqrt(float(((rest + values.mean()) ** 2).sum()) / freedom / seeds)
    return float(stats.studentized_range.ppf(0.95, rungs, freedom)) * error


def page(found: list[Result], metric: str, pipeline: str) -> str:
    """One self-contained HTML page."""
    columns, rows = table(found, metric)
    told = {rung.name: rung.told for rung in RUNGS}
    named = [(*row, told[row[0]]) for row in rows]
    scores = {name: [each.test[metric] for each in results] for name, results in _by_rung(found).items()}
    reading = (
        "Every rung reads the same data with the same budget of epochs and the sizes of the config, and is scored on"
        " the same test rows. A point is a seed, a line the mean. The budget suits some better than others: what is"
        " deeper or slower to learn may want more of it."
    ) + stage(pipeline, "ladder").NOTE
    drawing = picture(ladder_figure(scores, METRICS[metric].title), "Scores of the rungs", METRICS[metric].meaning)
    sections = [
        Section("The rungs", [Paragraph(reading), drawing]),
        Section("In numbers", [Table((*columns, ""), named, "Mean and standard deviation over seeds.")]),
    ]
    return render_report(title="The ladder", subtitle=pipeline, verdict=verdict(found, metric), sections=sections)


def _result(rung: Rung, seed: int, run: Path) -> Result:
    report = json.loads((run / "report.json").read_bytes())
    with safe_open(run / WEIGHTS, "numpy") as weights:
        names = [name for name in weights.keys() if not WORDS.search(name)]  # noqa: SIM118
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    return Result(rung.name, seed, parameters, report["seconds"]["train"], report["test"])


def _refuse_other(run: Path, config: Any) -> None:
    place = run / "config.yaml"
    stored = None
    with contextlib.suppress(ConfigError):  # of another pipeline
        stored = configs.validate(configs.parse(place.read_text(encoding="utf-8"), str(place)), type(config))
    if stored != config:
        raise ConfigError(
            "this run is of another config.", where=str(run), mend="Choose another --out, or the config it began with."
        )


def _by_rung(found: list[Result]) -> Mapping[str, list[Result]]:
    rungs: dict[str, list[Result]] = {}
    for each in found:
        rungs.setdefault(each.rung, []).append(each)
    return rungs


def _spread(scores: list[float]) -> str:
    deviation = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.3f}{deviation}"
