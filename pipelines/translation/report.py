"""What the report page of a translator shows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipelines.translation.answers import as_lines, difference_interval
from pipelines.translation.config import Config
from pipelines.translation.predict import NAME, Translation, Translator
from toolkit import report as pages
from toolkit.artifact import Artifact
from toolkit.data.layout import to_line
from toolkit.data.pairs import Grouped
from toolkit.evaluation import translation as metrics
from toolkit.report import Paragraph, Picture, Section, Table, picture
from toolkit.translation_plots import MOST_DRAWN, attention_map, length_curves

MAPS = 4
WORST, TYPICAL = 20, 10
PERFECT = 99.95  # chrF that is shown as 100.0
OFF_SCALE = ("val_perplexity", "val_chrf")  # columns of history.csv that are not drawn


def render(
    report: Mapping[str, Any],
    found: Sequence[Translation],
    baselines: Mapping[str, Sequence[str]],
    history: Sequence[Mapping[str, float]],
    test: Grouped,
    config: Config,
    shown: Callable[[str], str],
) -> tuple[str, str]:
    """The page as HTML, and its verdict. `report` holds the numbers that report.json has.

    Args:
        found, baselines: translations of the test sources, in their order.
        shown: writes a piece as people read it.

    Raises:
        ArtifactError: a run of `config.compare` is missing or damaged.
    """
    wanted = "execution_accuracy" if config.data.database else _metric(config)
    metric = _telling(wanted, report)
    rivals = sorted(report["baselines"].items(), key=lambda item: -item[1]["chrf"])  # of equal ones, the better first
    scores = {name: each[metric] for name, each in rivals}
    own = [each.text for each in found]

    def interval(name: str) -> tuple[float, float]:
        return difference_interval(metric, own, baselines[name], test.references, config.data.database)

    verdict = pages.verdict(metric, report["test"][metric], scores, interval)
    if metric != wanted:
        verdict = f"Nothing is right by {pages.METRICS[wanted].title}, whoever translates. {verdict}"
    rival = max(scores, key=lambda name: scores[name])
    sections = [
        Section("Scores on the test pairs", _score_blocks(report, history)),
        Section("Does it forget long sentences?", _length_blocks(found, {rival: baselines[rival]}, test, config)),
        *_attention_sections(found, shown),
        Section("Sentences", _sentence_tables(found, test, config.seed)),
        Section("Training", [_curves(history)]),
    ]
    subtitle = f"{len(test.sources):,} test sources, {report['seconds']['train']:,.0f} s of training"
    page = pages.render_report(title="Translation", subtitle=subtitle, verdict=verdict, sections=sections)
    return page, verdict


def _metric(config: Config) -> Literal["bleu", "exact_match"]:
    return "exact_match" if config.training.monitor == "exact_match" else "bleu"


def _telling(metric: str, report: Mapping[str, Any]) -> str:
    """The metric, or another where nobody has anything by it."""
    scored = [report["test"], *report["baselines"].values()]
    return next((each for each in (metric, "bleu", "chrf") if any(one[each] > 0 for one in scored)), metric)


def _score_blocks(report: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> list[Table | Paragraph]:
    best = pages.best_epoch(history)
    told = (
        f"Given the right pieces before, it guesses {best['val_token_accuracy']:.1%} of the pieces of the validation "
        f"targets rightly (token accuracy), with a perplexity of {best['val_perplexity']:,.2f}. "
        f"BLEU is sacreBLEU's, {report['signature']}; only scores with the same signature compare."
    )
    return [pages.metrics_table(report["test"], report["baselines"]), Paragraph(told)]


def _length_blocks(
    found: Sequence[Translation], rival: Mapping[str, Sequence[str]], test: Grouped, config: Config
) -> list[Paragraph | Picture]:
    """Scores by length of the source, of this model, the best baseline and the runs to compare with."""
    lengths = [len(each.source_pieces) for each in found]
    edges = metrics.length_edges(lengths)
    own = f"this model ({_attention(config)})"
    others, notes = _other_runs(test, config)
    curves = {
        name: metrics.scores_by_length(lengths, *as_lines(texts, test.references), edges)
        for name, texts in {own: [each.text for each in found], **rival, **others}.items()
    }
    if truncated := sum(each.truncated for each in found):
        notes.append(f"{truncated:,} sources are longer than tokens.max_source; their ends were not read.")
    drawing = picture(length_curves(curves, _metric(config)), "Scores by length of the source")
    return [drawing, *map(Paragraph, notes)]


def _other_runs(test: Grouped, config: Config) -> tuple[dict[str, list[str]], list[str]]:
    """What the runs of `config.compare` write for the test sources, and what speaks against comparing them."""
    texts, notes = {}, []
    for number, folder in enumerate(config.compare, start=1):
        other = Artifact(folder, NAME).read_config(Config)
        name = f"{Path(folder).resolve().name} ({_attention(other)})"
        name = f"{number}: {name}" if name in texts else name
        texts[name] = [each.text for each in Translator(folder).translate(test.sources)]
        if not _same_split(config, other):
            notes.append(f"{name} has other data or another seed: it may have seen some of these pairs in training.")
    return texts, notes


def _attention(config: Config) -> str:
    kind = config.decoder.attention
    return "no attention" if kind == "none" else f"{kind} attention"


def _same_split(one: Config, other: Config) -> bool:
    drawn = one.data.phrases is not None or isinstance(one.data.test, float)
    return one.data == other.data and (one.seed == other.seed or not drawn)


def _attention_sections(found: Sequence[Translation], shown: Callable[[str], str]) -> list[Section]:
    """Where the decoder looked, in sentences from the shortest, of two pieces or more, to the longest."""
    written = [each for each in found if each.pieces and len(each.source_pieces) > 1]
    rows = {len(each.source_pieces): (each, each.weights) for each in written if each.weights is not None}
    if not rows:
        return []
    lengths = sorted(rows)
    drawings = []
    for place in np.unique(np.linspace(0, len(lengths) - 1, MAPS).round().astype(int)):
        row, weights = rows[lengths[place]]
        source, target = ([shown(piece) for piece in side] for side in (row.source_pieces, row.pieces))
        cut = f"The first {MOST_DRAWN} pieces of a side." if max(len(source), len(target)) > MOST_DRAWN else ""
        figure = attention_map(source, target, weights)
        drawings.append(picture(figure, f"Attention in a source of {len(source)} pieces", cut))
    told = "For each piece that was written, a row, how much it drew on each piece of the source. A row adds up to 1."
    return [Section("What it looked at", [Paragraph(told), *drawings])]


def _sentence_tables(found: Sequence[Translation], test: Grouped, seed: int) -> list[Table]:
    texts, references = as_lines([each.text for each in found], test.references)
    scores = metrics.sentence_chrf(texts, references)
    worst = [i for i in np.argsort(scores, kind="stable")[:WORST].tolist() if scores[i] < PERFECT]
    typical = sorted(np.random.default_rng(seed).permutation(len(found))[:TYPICAL].tolist())

    def table(rows: Sequence[int], caption: str) -> Table:
        cells = [(to_line(test.sources[i]), " / ".join(references[i]), texts[i], float(scores[i])) for i in rows]
        return Table(("source", "reference", "translation", "chrF"), cells, caption)

    drawn = table(typical, f"{len(typical)} drawn at random, to see what is typical.")
    return [table(worst, f"The worst {len(worst)} of {len(found):,} by chrF."), drawn] if worst else [drawn]


def _curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Learning curves, of the scores those that an axis from 0 to 1 can hold."""
    rows = [
        {
            "val_BLEU / 100" if name == "val_bleu" else name: value / 100 if name == "val_bleu" else value
            for name, value in row.items()
            if name not in OFF_SCALE
        }
        for row in history
    ]
    return picture(pages.learning_curves(rows), "Learning curves by epoch")
