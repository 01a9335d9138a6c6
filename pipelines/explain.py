"""The `explain` command: what a run looked at, as a few lines, a page and pictures. Starts without Keras."""

import io
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.catalogue import pipeline_of, stage
from toolkit.artifact import check_outputs, write_output
from toolkit.data.files import STANDARD_INPUT, read_text
from toolkit.errors import ConfigError
from toolkit.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READING = (
    "A gate is a number from 0, closed, to 1, open, for each unit at each step. An input gate lets in what is read, a"
    " forget gate near 1 keeps the memory, an output gate shows it. An update gate near 1 keeps the state as it is; a"
    " reset gate near 0 leaves the past out of what is proposed next. A gate below 0.1 or above 0.9 is saturated: it"
    " has all but decided, and learns slowly. These are of the first network, where there are several."
)


class Drawing(NamedTuple):
    """A picture, and where on the page it stands."""

    section: str
    name: str
    figure: "Figure"
    alt: str


def explain(model: str | Path, text: str, series: str | None = None) -> Explanation:
    """What a run answers to a text, or forecasts of a series in a file, and what it looked at.

    Raises:
        SeqloomError: the run, the text or the file cannot be used.
    """
    pipeline = pipeline_of(Path(model))
    if pipeline == "forecasting":
        return stage(pipeline, "explain").explain(model, text, series)
    if series:
        raise ConfigError(f"a run of {pipeline} reads no series.", where="--series")
    return stage(pipeline, "explain").explain(model, text)


def command(
    model: Path, text: str, *, series: str | None, out: Path | None, pictures: Path | None, as_json: bool
) -> None:
    """Explain, print a few lines, and write what was asked for."""
    series_given = pipeline_of(model) == "forecasting"
    check_outputs([text] if series_given else [], out, pictures and pictures / "a.svg")
    if text == STANDARD_INPUT and not series_given:
        text = read_text(sys.stdin.buffer, None, "standard input")
    elif not series_given and os.path.isfile(text):  # of what is too long for a name too
        warnings.warn(
            f"{text} is a file, and its name is what is explained. For the text in it: explain - < FILE.", stacklevel=2
        )
    explanation = explain(model, text, series)
    if out or pictures:
        found = list(drawings(explanation))
        if out:
            write_output(out, page(explanation, text, found))
        if pictures:
            save(found, pictures)
    facts = summary(explanation)
    print(json.dumps(facts, ensure_ascii=False) if as_json else "\n".join(_lines(facts)))


def summary(explanation: Explanation) -> dict[str, Any]:
    """The numbers in brief, ready for `json.dump`."""
    layers = {
        each.name: {
            name: dict(zip(("mean", "below_0.1", "above_0.9"), shares, strict=True))
            for name, shares in each.saturation().items()
        }
        for each in explanation.layers
    }
    return {
        "answer": explanation.answer,
        "effect": explanation.effect,
        "mattered": [{"part": part, "effect": effect} for part, effect in explanation.most()],
        "gates": layers,
        "notes": list(explanation.notes),
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield facts["answer"]
    yield f"\nWhat mattered most when it was hidden ({facts['effect']}):"
    for each in facts["mattered"]:
        part = "".join(sign if sign.isprintable() else " " for sign in each["part"])
        yield f"  {part:<24}{each['effect']:+.4g}"
    for layer, gates in facts["gates"].items():
        yield f"\n{layer}" + ("" if gates else ": a plain recurrent layer has no gates")
        for name, share in gates.items():
            saturated = f"{100 * share['below_0.1']:.0f} % closed, {100 * share['above_0.9']:.0f} % open"
            yield f"  {name + ' gate':<16}mean {share['mean']:.2f}   {saturated}"
    yield from (f"\nnote: {note}" for note in facts["notes"])


def drawings(explanation: Explanation) -> Iterator[Drawing]:
    """The pictures, in the order of the page."""
    from toolkit.gate_plots import effects_figure, gates_figure, saturation_figure
    from toolkit.translation_plots import attention_map

    row = None
    if explanation.attention is not None and not explanation.written:
        row = explanation.attention[0, : len(explanation.parts)]
    figure = effects_figure(explanation.parts, explanation.effects, explanation.effect, row)
    yield Drawing("What mattered", "effects", figure, explanation.effect)
    if explanation.attention is not None and explanation.written:
        figure = attention_map(explanation.steps, explanation.written, explanation.attention)
        yield Drawing("Attention", "attention", figure, "Attention of each written piece to each that was read")
    if any(each.trace.gates for each in explanation.layers):
        yield Drawing("Gates", "saturation", saturation_figure(explanation.layers), "Saturated gates")
    for each in explanation.layers:
        figure = gates_figure(each, explanation.steps)
        yield Drawing(each.name.capitalize(), each.name.replace(" ", "-"), figure, f"{each.name} at every step")


def page(explanation: Explanation, subtitle: str, found: list[Drawing]) -> str:
    """One self-contained HTML page."""
    from toolkit.report import Paragraph, Section, picture, render_report

    told = {"What mattered": explanation.hiding, "Gates": READING}
    sections = [
        Section(each.section, [*map(Paragraph, filter(None, [told.get(each.section)])), picture(each.figure, each.alt)])
        for each in found
    ]
    if explanation.notes:
        sections.insert(1, Section("To know", [Paragraph(note) for note in explanation.notes]))
    shown = subtitle if len(subtitle) <= 500 else f"{subtitle[:500]}…"
    return render_report(title="A look inside", subtitle=shown, verdict=explanation.answer, sections=sections)


def save(found: list[Drawing], folder: Path) -> None:
    """Each picture as SVG and as PNG."""
    from toolkit.report import styled

    for each in found:
        for kind in ("svg", "png"):
            buffer = io.BytesIO()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Glyph")  # a letter that the font lacks, such as an emoji
                styled(each.figure.savefig)(buffer, format=kind, dpi=200, facecolor="white")
            write_output(folder / f"{each.name}.{kind}", buffer.getvalue())
