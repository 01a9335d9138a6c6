"""The `gradients` command: how far back the gradient of the loss reaches, for each cell on the data of a config."""

import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from pipelines.catalogue import stage
from toolkit import config as configs
from toolkit.artifact import check_outputs, write_output
from toolkit.cells import CELLS
from toolkit.data.files import split_part
from toolkit.data.pairs import two_files
from toolkit.memory_plots import gradients_figure
from toolkit.report import Paragraph, Section, Table, picture, render_report
from toolkit.training.checkpoints import Checkpoints
from toolkit.training.fit import Batch, Task, fit
from toolkit.training.gradients import Reach, reach_of
from toolkit.training.watch import Watch

ROWS = 128  # that are measured, at least
READING = (
    "For each step of a sequence, how much the loss would change with the hidden state there: the norm of the gradient,"
    " over all paths from that state on, as a mean over rows. Left is the end of the sequence, right its beginning."
    " Where the curve falls, the gradient vanishes: what was read there is hardly learned through the hidden state. Of"
    " an LSTM, what its cell state carries past the hidden state is not counted, so it reaches further than its curve."
    " The states are those of the first of two layers or more, which read forwards only. Where pooling or attention"
    " looks at every step, the gradient has a short way to each of them, and the curve stays up whatever the cell."
)


class Curve(NamedTuple):
    """What was measured on a network, before its training (step 0) or after so many steps of it."""

    cell: str
    residual: bool
    step: int
    reach: Reach


def measure(config: Any, steps: int) -> Iterator[Curve]:
    """Each cell with and without residual connections, as it starts and after so many training steps.

    The encoder reads in one direction, so that the end of a sequence is far from its beginning, and has two layers at
    least, since residual connections need one below them.

    Raises:
        SeqloomError: the config does not allow such an encoder, or the data cannot be used.
    """
    prepared = stage(config.pipeline, "prepare").prepare(config)
    layers = max(config.encoder.layers, 2)
    for cell, residual in itertools.product(CELLS, (False, True)):
        encoder = {"cell": cell, "layers": layers, "residual": residual, "bidirectional": False}
        changes = {f"encoder.{key}": value for key, value in encoder.items()} | {"training.mixed_precision": "none"}
        changed = configs.changed(config, changes, f"{config.pipeline} with a one-directional {cell}")
        network, task = stage(config.pipeline, "train").begin(changed, prepared)
        reach, batches = reach_of(network, task.loss), _some(task)
        yield Curve(cell, residual, 0, reach(batches))
        _train(network, task, changed.training, steps)
        yield Curve(cell, residual, steps, reach(batches))


def command(config: Any, path: Path, *, steps: int, out: Path | None, as_json: bool) -> None:
    """Measure, print a line a network, and write a page if asked for; it may be none of the files that are read."""
    check_outputs([path, *_files(config)], out)
    curves = []
    for curve in measure(config, steps):
        curves.append(curve)
        if not as_json:
            print(_line(curve), flush=True)
    if as_json:
        print(json.dumps([_facts(curve) for curve in curves]))
    else:
        print(verdict(curves))
    if out:
        write_output(out, page(curves, config.pipeline))


def verdict(curves: Sequence[Curve]) -> str:
    """One sentence on the trained networks without residual connections."""
    last = {each.cell: each.reach for each in curves if each.step and not each.residual}
    told = ", ".join(f"{CELLS[cell].title} {_steps(reach)}" for cell, reach in last.items())
    return f"After training the gradient reaches back: {told}."


def page(curves: Sequence[Curve], pipeline: str) -> str:
    """One self-contained HTML page."""
    figure = gradients_figure({(_name(each), each.step): each.reach.norms for each in curves})
    columns = ("network", "training steps", "reaches back, steps", "of", "a step multiplies it by")
    rows = [(_name(each), each.step, each.reach.steps, len(each.reach.norms) - 1, each.reach.factor) for each in curves]
    caption = "It reaches back to the last step whose gradient is at least a hundredth of the largest."
    sections = [
        Section(
            "Gradients by distance from the end",
            [Paragraph(READING), picture(figure, "Gradient norms by steps back from the end of the sequence")],
        ),
        Section("In numbers", [Table(columns, rows, caption)]),
    ]
    title = "How far back the gradient reaches"
    return render_report(title=title, subtitle=pipeline, verdict=verdict(curves), sections=sections)


def _files(config: Any) -> Iterator[str]:
    """The files that a config names, wherever it does."""
    texts = [each for each in keras.tree.flatten(config.model_dump()) if isinstance(each, str)]
    for file in itertools.chain.from_iterable(two_files(text) or [text] for text in texts):
        if os.path.exists(split_part(file)[0]):
            yield file


def _some(task: Task) -> list[Batch]:
    """The first batches of training."""
    batches, rows = [], 0
    for batch in task.batches(0):
        batches.append(batch)
        rows += len(batch[1])
        if rows >= ROWS:
            break
    return batches


def _train(network: Any, task: Task, training: Any, steps: int) -> None:
    def batches(_: int) -> Iterator[Batch]:
        return itertools.islice(itertools.chain.from_iterable(map(task.batches, itertools.count())), steps)

    short = replace(task, batches=batches, steps=steps, evaluate=None, tuned_later=None, average=1)
    once = training.model_copy(update={"epochs": 1, "seconds": None})
    with tempfile.TemporaryDirectory() as folder, Watch(once, steps) as watch:
        fit(network, short, once, Checkpoints(Path(folder)), "", watch)


def _name(curve: Curve) -> str:
    return CELLS[curve.cell].title + (", residual" if curve.residual else "")


def _steps(reach: Reach) -> str:
    most = len(reach.norms) - 1
    return f"all {most} steps" if reach.steps == most else f"{reach.steps} of {most} steps"


def _line(curve: Curve) -> str:
    when = f"after {curve.step} steps" if curve.step else "at the start"
    return f"{_name(curve):<24}{when:<18}reaches {_steps(curve.reach):<18}x {curve.reach.factor:.3f} a step"


def _facts(curve: Curve) -> dict[str, Any]:
    return {
        **curve._asdict(),
        "reach": curve.reach.steps,
        "factor": curve.reach.factor,
        "norms": curve.reach.norms.tolist(),
        "rows": curve.reach.rows.tolist(),
    }
