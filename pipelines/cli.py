"""The `seqloom` command. Imports nothing heavy until a command needs it."""

import itertools
import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from pipelines.catalogue import PIPELINES, pipeline_of, stage
from pipelines.printing import fact_lines, leaderboard, score_lines
from pipelines.process import leave, run_app, use_keras
from toolkit.errors import ConfigError
from toolkit.memory import keep_memory
from toolkit.threads import set_threads

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
vectors_app = typer.Typer(no_args_is_help=True, help="Look up words in word vectors.")
app.add_typer(vectors_app, name="vectors")

ConfigPath = Annotated[Path, typer.Argument(help="A YAML config.")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="a.b=c", help="Set a value of the config; repeatable.")]
Model = Annotated[Path, typer.Option("--model", metavar="DIR", help="A run folder.")]
ModelOrNone = Annotated[Path | None, typer.Option("--model", metavar="DIR", help="A run folder; without one, train.")]
Column = Annotated[str | None, typer.Option(help="Column of the text in a table; its number where there is no header.")]
Encoding = Annotated[str | None, typer.Option(help="Text encoding; detected when not given.")]
Page = Annotated[Path | None, typer.Option("--out", "-o", help="Write a page with pictures here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Series = Annotated[
    Path, typer.Argument(help="A CSV, TSV, JSONL or Parquet file of series, or - for CSV on standard input.")
]
Horizon = Annotated[str | None, typer.Option("--horizon", "-h", help="How far ahead: steps, or a time such as 3d.")]
Time = Annotated[
    str | None, typer.Option(help="Without --model: about how long to train, such as 5m; by default 120s.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"seqloom {version('seqloom')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sequence models from short YAML files: text classification, translation and forecasting."""
    if debug:
        os.environ["SEQLOOM_DEBUG"] = "1"
    set_threads()
    if os.environ.get("KERAS_BACKEND") == "jax":
        keep_memory()  # before JAX has threads


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder of the run; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train, test and write everything into one folder."""
    from toolkit.artifact import refuse_foreign

    pipeline, settings = _load(config, overrides)
    folder = out or _default_folder(config.stem, resume)
    refuse_foreign(folder, resume)  # before seconds go by
    use_keras()
    try:
        report = stage(pipeline, "train").train(settings, folder, resume=resume)
    except KeyboardInterrupt:
        if (folder / "checkpoints").is_dir():
            warnings.warn("the same command with --resume goes on after the last whole epoch.", stacklevel=2)
        raise
    if as_json:
        print(json.dumps({"folder": str(folder), **report}))
    else:
        print(f"{score_lines(report)}\n{report['verdict']}\nreport: {folder / 'report.html'}")


@app.command()
def check(config: ConfigPath, overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Report what a config would do, and every problem with it, before training."""
    pipeline, settings = _load(config, overrides)
    use_keras()
    facts = stage(pipeline, "check").check(settings)
    print(json.dumps(facts) if as_json else fact_lines(facts))


@app.command()
def init(
    task: Annotated[str, typer.Argument(help="classify, translate or forecast")],
    data: Annotated[
        Path,
        typer.Argument(
            help="A CSV, TSV, JSONL or Parquet file. Classify also takes a folder per label, translate 'train.{en,de}'."
        ),
    ],
) -> None:
    """Print a commented config fitted to some data."""
    pipeline = {"classify": "text_classification", "translate": "translation", "forecast": "forecasting"}.get(task)
    if pipeline is None:
        raise ConfigError(f"{task!r}, expected classify, translate or forecast.", where="seqloom init")
    print(stage(pipeline, "init").init(data), end="")


@app.command()
def schema(
    pipeline: Annotated[
        str, typer.Argument(help="text_classification, translation or forecasting.")
    ] = "text_classification",
) -> None:
    """Print the JSON schema of a pipeline's config, for editors."""
    print(json.dumps(_config_class(pipeline, "seqloom schema").model_json_schema(), indent=1))


@app.command()
def classify(
    paths: Annotated[list[str], typer.Argument(help="Text files, tables, folders, or - for standard input.")],
    model: Model,
    lines: Annotated[bool, typer.Option("--lines", help="Treat every line of a file as a text.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here: .jsonl, .csv or .txt.")] = None,
    output: Annotated[str | None, typer.Option("--format", help="jsonl, csv or table, which a terminal gets.")] = None,
    column: Column = None,
    encoding: Encoding = None,
    keep: Annotated[
        list[str], typer.Option(help="Table column to copy to the output, such as an id; repeatable.")
    ] = [],  # noqa: B006
    top: Annotated[int, typer.Option(min=1, help="How many labels to show with their probabilities.")] = 3,
) -> None:
    """Classify texts with a trained run."""
    from pipelines.text_classification.classify import classify as command

    command(paths, model, lines=lines, out=out, output=output, column=column, encoding=encoding, keep=keep, top=top)


@app.command()
def translate(
    paths: Annotated[list[str], typer.Argument(help="Text files (a text per line), tables, or - for standard input.")],
    models: Annotated[list[Path], typer.Option("--model", metavar="DIR", help="A run folder; several: an ensemble.")],
    beam: Annotated[int | None, typer.Option(min=1, max=100, help="Beam size; 1 is greedy, and fastest.")] = None,
    best: Annotated[int, typer.Option(min=1, max=100, help="Translations per text; several need jsonl.")] = 1,
    length_penalty: Annotated[float | None, typer.Option(help="0 to 10; more favours longer translations.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here: .jsonl, .csv, or else text.")] = None,
    output: Annotated[str | None, typer.Option("--format", help="text, jsonl or csv.")] = None,
    column: Column = None,
    encoding: Encoding = None,
) -> None:
    """Translate texts with a trained run, or with several together."""
    from pipelines.translation.translate import translate as command

    command(
        paths,
        models,
        beam=beam,
        best=best,
        length_penalty=length_penalty,
        out=out,
        output=output,
        column=column,
        encoding=encoding,
    )


@app.command()
def inspect(data: Series, out: Page = None, as_json: AsJson = False) -> None:
    """Describe series: frequency, gaps, seasons, and what would be done about each problem."""
    from pipelines.forecasting.init import suggest
    from pipelines.forecasting.inspect import inspect as look_at
    from toolkit.artifact import check_outputs, write_output

    check_outputs([data], out)
    look = look_at(data)
    if out:
        from pipelines.forecasting.inspect_page import render

        write_output(out, render(look))
    if as_json:
        print(json.dumps(look.facts))
    else:
        print(f"{fact_lines(look.facts)}\n\nA config for these series:\n\n{suggest(look)}", end="")


@app.command()
def forecast(
    data: Series,
    horizon: Horizon = None,
    model: ModelOrNone = None,
    future: Annotated[str | None, typer.Option(help="File with the future values of columns known ahead.")] = None,
    skeleton: Annotated[Path | None, typer.Option(help="Write a file for --future, to be filled in, and stop.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here: .csv, .jsonl or .parquet.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page with pictures of the forecasts here.")] = None,
    level: Annotated[
        list[float] | None,
        typer.Option(help="Prediction interval to write, in percent; repeatable; by default 80 or the nearest."),
    ] = None,
    duplicates: Annotated[
        Literal["error", "last", "mean", "sum"] | None,
        typer.Option(help="With --model: what to do with several values at one time."),
    ] = None,
    time: Time = None,
    save: Annotated[Path | None, typer.Option(help="Without --model: folder of the run; by default runs/NAME.")] = None,
) -> None:
    """Forecast series with a trained run, or train one on the data first."""
    from pipelines.forecasting import forecast as command

    if model:
        _refuse({"--time": time, "--save": save}, "these are to train a run, and --model is one.")
    if model and skeleton:
        others = {"--future": future, "--out": out, "--page": page, "--level": level, "--duplicates": duplicates}
        _refuse(others, "--skeleton forecasts nothing.")
        command.skeleton(str(data), model, horizon, skeleton)
        return
    if model:
        options = {"duplicates": duplicates} if duplicates else {}
        command.forecast_with(str(data), model, horizon, future=future, out=out, page=page, intervals=level, **options)
        return
    _refuse({"--future": future, "--skeleton": skeleton}, "what is known ahead needs a run that was trained on it.")
    mend = "Without one, pictures are in the run folder, and of several values at one time the last counts."
    _refuse({"--page": page, "--duplicates": duplicates}, "these are for a trained run (--model).", mend)
    folder = save or _default_folder(data.stem, resume=False)
    use_keras()
    from pipelines.forecasting.automatic import forecast_anew, seconds_of

    report = forecast_anew(str(data), horizon, seconds=seconds_of(time), folder=folder, out=out, intervals=level)
    print(f"{leaderboard(report)}\n{report['verdict']}", file=sys.stderr)
    print(f"forecasts: {folder / 'forecast.csv'} {folder / 'forecast.html'}", file=sys.stderr)
    print(f"report: {folder / 'report.html'}", file=sys.stderr)


@app.command()
def backtest(
    data: Series,
    horizon: Horizon = None,
    model: ModelOrNone = None,
    windows: Annotated[int, typer.Option(min=1, help="How many cutoffs per series.")] = 5,
    step: Annotated[int | None, typer.Option(min=1, help="Steps between cutoffs; by default the horizon.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Retrain for every cutoff.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write forecasts, cutoffs and actual values here.")
    ] = None,
    level: Annotated[list[float] | None, typer.Option(help="Prediction interval to write, in percent.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Forecast from past cutoffs and compare with the actual values and with simple methods."""
    from pipelines.forecasting import backtest as command
    from pipelines.forecasting.output import format_of, write
    from toolkit.artifact import check_outputs

    format_of(out)
    check_outputs([str(data)], out)
    if model:
        _refuse({"--time": time, "--refit": refit}, "these are to train runs, and --model is one.")
        board = command.backtest_with(str(data), model, horizon, count=windows, step=step, intervals=level)
    else:
        use_keras()
        board = command.backtest_anew(str(data), horizon, time, count=windows, step=step, refit=refit, intervals=level)
    if out:  # first, for who reads the leaderboard may have seen enough of it, as in `seqloom backtest ... | head`
        write(board.forecasts, out, level)
    baselines = {name: scores for name, scores in board.scores.items() if name != "seqloom"}
    scores = {"metric": board.metric, "test": board.scores["seqloom"], "baselines": baselines}
    print(json.dumps(board.scores) if as_json else leaderboard(scores))


@app.command()
def update(
    data: Series,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training windows.")] = 3,
) -> None:
    """Continue training a forecasting run on new rows; the old run stays as it is."""
    use_keras()
    from pipelines.forecasting.update import update as command

    report = command(str(data), model, out, epochs=epochs)
    print(f"{leaderboard(report)}\n{report['verdict']}\nreport: {out / 'report.html'}")


@app.command()
def evaluate(model: Model, data: Annotated[Path, typer.Option(help="Labelled data.")], as_json: AsJson = False) -> None:
    """Score a trained run on other labelled data."""
    scores = stage(pipeline_of(model), "evaluate").evaluate(model, data)
    lines = (f"{name:<20}{value if isinstance(value, str) else f'{value:.4f}'}" for name, value in scores.items())
    print(json.dumps(scores) if as_json else "\n".join(lines))


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="A text, or - for standard input; for a forecaster, a file of series.")],
    model: Model,
    series: Annotated[str | None, typer.Option(help="Which series of the file; by default the first.")] = None,
    out: Page = None,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures here, as SVG and PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run looked at: its gates, its attention, and the words or times that moved the answer."""
    from pipelines.explain import command

    command(model, text, series=series, out=out, pictures=pictures, as_json=as_json)


@app.command()
def gradients(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006
    steps: Annotated[int, typer.Option(min=1, help="Training steps between the two measurements.")] = 100,
    out: Page = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far back in time the gradient reaches with each cell, on the data of a config."""
    _, settings = _load(config, overrides)
    use_keras()
    from pipelines.gradients import command

    command(settings, config, steps=steps, out=out, as_json=as_json)


@app.command()
def forgetting(
    models: Annotated[
        list[Path], typer.Option("--model", metavar="DIR", help="A translation run; several are compared.")
    ] = [],  # noqa: B006
    data: Annotated[Path | None, typer.Option(help="With --model: the pairs to score.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Without --model: training steps per network; by default 2,000.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Without --model: networks per cell; by default 3.")] = None,
    out: Page = None,
    as_json: AsJson = False,
) -> None:
    """Measure what each cell forgets in two memory tasks, or how translators degrade as sources grow longer."""
    from pipelines.forgetting import command

    if models:
        _refuse({"--steps": steps, "--seeds": seeds}, "these are to train probes, and runs are trained.")
    else:
        use_keras()
    command(models, data, steps=steps or 2000, seeds=seeds or 3, out=out, as_json=as_json)


@app.command()
def ladder(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=1, help="Runs per architecture.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; by default runs/NAME-ladder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train and compare eight architectures, vanilla RNN to Transformer; a stopped ladder continues."""
    _, settings = _load(config, overrides)
    use_keras()
    from pipelines.ladder import command

    command(settings, out or Path("runs") / f"{config.stem}-ladder", seeds=seeds, as_json=as_json)


@app.command()
def encode(
    path: Annotated[str, typer.Argument(help="A text file (a text per line) or a table; for a forecaster, series.")],
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write vectors here: .npy or .parquet.")],
    column: Column = None,
    neighbours: Annotated[
        int | None, typer.Option(min=1, help="Print this many nearest neighbours of each, as JSON lines.")
    ] = None,
    map_page: Annotated[Path | None, typer.Option("--map", help="Write a page with a 2-D map here.")] = None,
) -> None:
    """Write the vectors into which a run encodes texts or series."""
    from pipelines.encode import command

    command(model, path, out=out, column=column, neighbours=neighbours, map_page=map_page)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print versions, devices and the kernels that recurrent layers will use here."""
    use_keras()
    from toolkit.doctor import examine

    facts = examine()
    print(json.dumps(facts) if as_json else "\n".join(f"{name:<14}{value}" for name, value in facts.items()))


@vectors_app.command()
def neighbours(
    word: Annotated[str, typer.Argument(help='A word, or a sum such as "king - man + woman".')],
    vectors: Annotated[str, typer.Option(help="A file of word vectors, or a gensim-data name.")],
    count: Annotated[int, typer.Option("-k", min=1, help="How many words.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print the words nearest to a word, by cosine similarity."""
    from toolkit.data.vectors import load_vectors
    from toolkit.data.vectors import neighbours as nearest

    found = nearest(load_vectors(vectors), word, count)
    print(json.dumps(dict(found)) if as_json else "\n".join(f"{score:.3f}  {name}" for name, score in found))


def main() -> NoReturn:
    """Run the command, and end the process."""
    leave(run_app(app))


def _load(path: Path, overrides: list[str]) -> tuple[str, Any]:
    """A config and the name of its pipeline."""
    from toolkit.config import read_document, validate

    document = read_document(path, overrides)
    pipeline = document.values.get("pipeline")
    where = document.place(("pipeline",))
    return str(pipeline), validate(document, _config_class(pipeline, where))


def _config_class(pipeline: object, where: str) -> Any:
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        found = f"pipeline is {pipeline!r}" if pipeline else "pipeline is missing"
        raise ConfigError(f"{found}, expected {' or '.join(PIPELINES)}.", where=where)
    return stage(pipeline, "config").Config


def _refuse(options: Mapping[str, object], why: str, mend: str = "Leave them out.") -> None:
    """Refuse those of these options that were given.

    Raises: ConfigError.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(why, where=", ".join(given), mend=mend)


def _default_folder(name: str, resume: bool) -> Path:
    """runs/NAME, or the first of runs/NAME-2, ... that is not there yet; to resume, the last that is."""

    def folder(number: int) -> Path:
        return Path("runs", name if number == 1 else f"{name}-{number}")

    free = next(number for number in itertools.count(1) if not folder(number).exists())
    return folder(max(free - resume, 1))


if __name__ == "__main__":
    main()
