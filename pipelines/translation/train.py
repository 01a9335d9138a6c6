"""From a config to a sealed run folder."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.translation import model as models
from pipelines.translation.answers import difference_interval, score
from pipelines.translation.config import Config, SearchConfig
from pipelines.translation.evaluate import evaluate_run
from pipelines.translation.pieces import PairCodec
from pipelines.translation.predict import FACTS, GREEDY, NAME, PIECES, SETTINGS, Member, Searcher, graph_names
from pipelines.translation.prepare import Encoded, Prepared, learn, prepare, word_vectors
from toolkit import artifact, kernels
from toolkit import config as configs
from toolkit.artifact import Artifact
from toolkit.data.codec import END, START
from toolkit.data.pair_batches import Shape, pad_rows, plan_batches
from toolkit.data.pairs import Grouped
from toolkit.data.vectors import build_matrix, scaled
from toolkit.errors import SeqloomError
from toolkit.evaluation.sql import Database
from toolkit.kernels.prediction import KINDS
from toolkit.search import SearchSettings
from toolkit.training.fit import Batch, Task
from toolkit.training.members import Fitted, Trained, fit_members, fit_network, networks_of, refit_members
from toolkit.training.runs import finish, history_csv, in_precision, named_weights, set_seed
from toolkit.training.step import Parts, whole

TOLERANCE = 1e-4  # between the log-probabilities of whole texts by the exported graphs and by the Keras model
LENGTH_PENALTIES = (0.0, 0.4, 0.7, 1.0, 1.4, 2.0)  # that auto chooses from
USUAL_PENALTY = 1.0  # which another must beat by more than chance
COMPILED_STEP, STEP = 4, 2  # padded lengths are multiples of this; each compiled shape costs seconds


def train(config: Config, folder: Path, *, resume: bool) -> dict[str, Any]:
    """Train, export, seal and evaluate; returns the report's numbers.

    Raises:
        SeqloomError: the folder holds a run already, or a step failed; what was on disk before is still there.
    """
    checkpoints = folder / "checkpoints"
    artifact.refuse_foreign(folder, resume)
    _check_scoring(config)
    with artifact.locked(folder):
        prepared = prepare(config)
        members = fit_members(config.model.members, partial(_fit, config, prepared, folder=checkpoints))
        fitted = Fitted[models.Translator, Prepared](members)
        if config.training.refit:
            learn_all = partial(learn, config, prepared.splits.joined())
            fit_again = partial(_fit, folder=checkpoints / "refit", choose=False)
            fitted = replace(fitted, again=refit_members(config, members, learn_all, fit_again))
        splits = prepared.splits.joined() if fitted.again else prepared.splits
        return finish(
            folder,
            NAME,
            _facts(prepared),
            write=lambda: _write(config, prepared, fitted, folder),
            score=lambda: evaluate_run(folder, splits, config, members[0][1].history, fitted.seconds),
        )


def _check_scoring(config: Config) -> None:
    """Open what only the report needs, lest a training end without one."""
    for run in config.compare:
        Artifact(run, NAME)
    if config.data.database:
        Database(config.data.database).close()


def _fit(
    config: Config, prepared: Prepared, member: int, *, folder: Path, choose: bool = True
) -> Trained[models.Translator]:
    """Train one network; without `choose` there are no pairs left to choose its epoch by."""
    config = config.model_copy(update={"seed": config.seed + member})
    network, task = begin(config, prepared)
    fingerprint = _fingerprint(config, prepared, network)
    return fit_network(network, task, config.training, folder / f"member{member}", fingerprint, choose=choose)


def begin(config: Config, prepared: Prepared) -> tuple[models.Translator, Task]:
    """A network as it starts, and what it is to be fitted to."""
    set_seed(config.seed)
    with in_precision(config.training):
        network = models.build(config, **prepared.codec.sizes)
    _set_vectors(config, prepared.codec, network)
    return network, _task(config, prepared, network)


def _set_vectors(config: Config, codec: PairCodec, network: models.Translator) -> None:
    """Start from pre-trained word vectors, scaled as random ones are."""
    for side, pieces, layer in (
        ("source", codec.source, network.source_embedding),
        ("target", codec.target, network.target_embedding),
    ):
        if vectors := word_vectors(config, side):
            words = [*map(pieces.shown, pieces.pieces)]  # a sign without what tells whether it touches a word
            matrix, _ = build_matrix(words, vectors, seed=config.seed)
            layer.embeddings.assign(scaled(matrix, f"vectors.{side}") / config.model.embedding**0.5)


def _task(config: Config, prepared: Prepared, network: models.Translator) -> Task:
    training, codec = config.training, prepared.codec
    plan = partial(
        plan_batches,
        *prepared.train.lengths,
        tokens=training.batch_tokens,
        multiple=COMPILED_STEP if training.compile else STEP,
        seed=config.seed,
    )

    def batches(epoch: int) -> Iterator[Batch]:
        for rows, shape in plan(epoch=epoch):
            inputs = batch(codec, prepared.train, rows, shape)
            # Weights of mean 1, so that the loss is the mean over real pieces.
            mask = (np.arange(shape.target) < inputs.pop("steps")[:, None]).astype(np.float32)
            yield inputs, np.zeros_like(mask), mask * (mask.size / mask.sum())

    return Task(
        batches=batches,
        steps=len(plan(epoch=0)),
        loss=models.loss,
        evaluate=partial(_validate, config, prepared, network),
        average=training.average,
        compiled=parts(config, network) if training.compile else None,
    )


def parts(config: Config, network: models.Translator) -> Parts | None:
    """The network for a compiled step, with the encoder apart where it has a kernel of its own.

    None where kernels do everything: there is no loop for XLA to compile.
    """
    fused = config.encoder.cell in KINDS and config.training.mixed_precision == "none" and kernels.load()[0]
    if not fused:
        return whole(network)
    if not network.decoder.loops:
        return None

    def rest(inputs: Any, memory: Any, final: Any, training: bool) -> Any:
        return network.score(inputs, *network.read(inputs, memory, final, training), training)

    return network.encode, rest


def batch(codec: PairCodec, pairs: Encoded, rows: np.ndarray, shape: Shape) -> dict[str, np.ndarray]:
    """Inputs of the network. Shapes: before, after (batch, target); steps (batch,), how many are real."""
    inputs = codec.inputs([pairs.sources[row] for row in rows], shape.rows, shape.source)
    targets = [pairs.targets[row] for row in rows]
    inputs["before"], _ = pad_rows([[START, *target] for target in targets], shape.rows, shape.target)
    inputs["after"], inputs["steps"] = pad_rows([[*target, END] for target in targets], shape.rows, shape.target)
    return inputs


def _validate(config: Config, prepared: Prepared, network: models.Translator) -> dict[str, float]:
    """Validation scores of the network as it is; `score` is the one that chooses."""
    nll, right = teacher_forced(config, prepared, network)
    scores = {"val_loss": nll, "val_perplexity": float(np.exp(min(nll, 50.0))), "val_token_accuracy": right}
    if config.training.monitor == "loss":
        return {**scores, "score": -nll}
    searcher, validation = Searcher(prepared.codec, [Member.load(*_graphs(network))]), prepared.splits.validation
    found = score(_translations(searcher, validation.sources, GREEDY, config), validation.references)
    translated = {f"val_{name}": value for name, value in found.items()}
    return {**scores, **translated, "score": found[config.training.monitor]}


def teacher_forced(config: Config, prepared: Prepared, network: models.Translator) -> tuple[float, float]:
    """The mean negative log-likelihood of a validation piece in nats, and the share of pieces guessed rightly."""
    total, hits, count = 0.0, 0.0, 0
    pairs, tokens = prepared.validation, 4 * config.training.batch_tokens
    for rows, shape in plan_batches(*pairs.lengths, tokens=tokens, multiple=COMPILED_STEP, seed=0, epoch=0):
        inputs = batch(prepared.codec, pairs, rows, shape)
        mask = np.arange(shape.target) < inputs.pop("steps")[:, None]
        _, nll, right = np.moveaxis(np.asarray(network.predict_on_batch(inputs), np.float64), -1, 0)
        total, hits, count = total + nll[mask].sum(), hits + right[mask].sum(), count + mask.sum()
    return total / count, hits / count


def _graphs(network: models.Translator) -> tuple[bytes, bytes]:
    encoder, decoder = models.to_onnx(network)
    return encoder.SerializeToString(), decoder.SerializeToString()


def _translations(searcher: Searcher, sources: list[str], settings: SearchSettings, config: Config) -> list[str]:
    split = config.tokens.long_sources == "split"
    found = searcher.translate(sources, settings, replace_unknown=config.search.replace_unknown, split=split)
    return [each.text for each in found]


def _write(config: Config, prepared: Prepared, fitted: Fitted[models.Translator, Prepared], folder: Path) -> None:
    """The files that predict, once the graphs are known to compute what the networks do."""
    graphs, loaded = _export(config, prepared, networks_of(fitted.members))
    search = _fit_search(config, Searcher(prepared.codec, loaded), prepared.splits.validation)
    if fitted.again:  # what was chosen stays
        prepared = fitted.again.prepared
        graphs, _ = _export(config, prepared, fitted.networks)
    facts = {
        "search": search,
        "long_sources": config.tokens.long_sources,
        "source_column": config.data.source,
        "header": config.data.header,
    }
    artifact.write_text(folder / "config.yaml", configs.dump(config))
    for number, each in enumerate(graphs, 1):
        for name, graph in zip(graph_names(number), each, strict=True):
            artifact.write_bytes(folder / name, graph)
    artifact.write_weights(folder / artifact.WEIGHTS, named_weights(fitted.networks))
    artifact.write_json(folder / PIECES, prepared.codec.to_json())
    artifact.write_json(folder / FACTS, facts)
    artifact.write_text(folder / "history.csv", history_csv(fitted.history))


def _export(
    config: Config, prepared: Prepared, networks: list[models.Translator]
) -> tuple[list[tuple[bytes, bytes]], list[Member]]:
    """The networks' graphs, and what searches with them."""
    graphs = [_graphs(network) for network in networks]
    loaded = [Member.load(*each) for each in graphs]
    if config.training.mixed_precision == "none":
        for network, member in zip(networks, loaded, strict=True):
            _check_export(prepared, network, Searcher(prepared.codec, [member]))
    return graphs, loaded


def _fit_search(config: Config, searcher: Searcher, validation: Grouped) -> dict[str, Any]:
    """How the run searches.

    A length penalty of auto is the one with which validation sources score best, if that is more than chance. A gain
    within chance tells how long their references happen to be, and test references may be shorter.
    """
    search = config.search.model_dump()
    if config.search.length_penalty != "auto":
        return search
    usual = {**search, "length_penalty": USUAL_PENALTY}
    if config.search.beam == 1:  # which it does not matter to
        return usual
    settings = settings_of(config.search.model_copy(update=usual))
    metric = "bleu" if config.training.monitor == "loss" else config.training.monitor
    written = {
        penalty: _translations(searcher, validation.sources, replace(settings, length_penalty=penalty), config)
        for penalty in LENGTH_PENALTIES
    }
    best = max(written, key=lambda penalty: score(written[penalty], validation.references)[metric])
    texts, usual_texts = written[best], written[USUAL_PENALTY]
    low, _ = difference_interval(metric, texts, usual_texts, validation.references, None)
    return {**search, "length_penalty": best} if low > 0 else usual


def settings_of(search: SearchConfig) -> SearchSettings:
    return SearchSettings(best=1, **{name: getattr(search, name) for name in SETTINGS})


def _check_export(prepared: Prepared, network: models.Translator, searcher: Searcher) -> None:
    """Compare what will predict with what was trained: the log-probabilities of some greedy translations."""
    order = np.argsort(prepared.validation.lengths[0])
    sources = [prepared.validation.sources[row] for row in order[:: max(1, len(order) // 50)]]
    found = [hypotheses[0] for hypotheses in searcher.search(sources, GREEDY)]
    pairs = Encoded(sources, [list(each.tokens) for each in found])
    lengths = pairs.lengths
    shape = Shape(len(sources), int(lengths[0].max()), int(lengths[1].max()))
    inputs = batch(prepared.codec, pairs, np.arange(len(sources)), shape)
    steps = inputs.pop("steps") - [not each.finished for each in found]
    nll = np.asarray(network.predict_on_batch(inputs), np.float64)[..., 1] * (np.arange(shape.target) < steps[:, None])
    exported = np.array([each.log_probability for each in found])
    difference = float(np.abs(exported + nll.sum(axis=1)).max() / max(1.0, np.abs(exported).max()))
    if not difference <= TOLERANCE:
        raise SeqloomError(f"the exported graphs differ from the network by {difference:.1e}, so they were not kept.")


def _fingerprint(config: Config, prepared: Prepared, network: models.Translator) -> str:
    """Of everything that the weights of a network depend on, which has not begun to train."""
    training = config.training.model_copy(update={"refit": False})
    search = SearchConfig(replace_unknown=config.search.replace_unknown)  # validation translates as this says
    fitted = config.model_copy(update={"search": search, "compare": [], "training": training})
    digest = hashlib.sha256(configs.dump(fitted).encode())
    for part in (prepared.splits.train, prepared.splits.validation, prepared.codec):
        digest.update(repr(part).encode())
    for source, layer in (
        (config.vectors.source, network.source_embedding),
        (config.vectors.target, network.target_embedding),
    ):
        if source:
            digest.update(layer.get_weights()[0].tobytes())
    return digest.hexdigest()


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What the manifest says beyond the files."""
    splits = prepared.splits
    rows = {"train": len(splits.train), "validation": len(splits.validation.sources), "test": len(splits.test.sources)}
    return {
        "data": {
            name: {"rows": rows[name], "sha256": hashlib.sha256(repr(part).encode()).hexdigest()}
            for name, part in vars(splits).items()
        }
    }
