"""Trainings that stop and go on, that copy, that are averaged, and configs that contradict themselves."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from translators import WORDS, changed, make_config, write_pairs

from pipelines.translation import model as models
from pipelines.translation import report as pages
from pipelines.translation import train as training
from pipelines.translation.predict import GREEDY, Member, Searcher, Translator
from pipelines.translation.prepare import prepare
from pipelines.translation.train import train
from toolkit import kernels
from toolkit.artifact import read_weights
from toolkit.data.pairs import Grouped
from toolkit.errors import ConfigError, DataError, SeqloomError
from toolkit.training.step import training_step
from toolkit.training.watch import Watch

RESULTS = ("weights.safetensors", "encoder.onnx", "decoder.onnx", "pieces.json", "translation.json", "history.csv")


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))


# Going on


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Break off after so many steps and epochs of training."""

    def patch(number: int) -> None:
        tell, calls = Watch.__call__, []

        def count(self: Watch, progress: Any, step: int) -> None:
            tell(self, progress, step)
            calls.append(step)
            if len(calls) == number:
                monkeypatch.setattr(Watch, "__call__", tell)
                raise RuntimeError("crash")

        monkeypatch.setattr(Watch, "__call__", count)

    return patch


def test_a_run_that_was_broken_off_ends_with_bitwise_the_same_network(tiny_run, tiny_config, tmp_path, crash_at):
    """In the middle of the third epoch."""
    steps = training._task(tiny_config, prepare(tiny_config), None).steps
    crash_at(2 * (steps + 1) + steps // 2)
    with pytest.raises(RuntimeError, match="crash"):
        train(tiny_config, tmp_path / "run", resume=False)
    assert not (tmp_path / "run" / "manifest.json").exists()
    report = train(tiny_config, tmp_path / "run", resume=True)
    for name in RESULTS:
        assert (tmp_path / "run" / name).read_bytes() == (tiny_run / name).read_bytes(), name
    assert report["test"] == json.loads((tiny_run / "report.json").read_text())["test"]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_another_config_cannot_go_on_with_a_run_but_another_search_can(tiny_config, tmp_path, crash_at):
    """A run with all that only happens while training."""
    config = changed(
        tiny_config,
        model={"tie": "output", "dropout": 0.1, "word_dropout": 0.1},
        decoder={"dropout": 0.1, "input_feeding": False},
        training={"epochs": 1, "monitor": "loss", "scheduled_sampling": 0.2, "label_smoothing": 0.1, "average": 2},
    )
    crash_at(training._task(config, prepare(config), None).steps + 1)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path / "run", resume=False)
    with pytest.raises(SeqloomError, match="another config or other data"):
        train(
            changed(config, model={"tie": "none"}),
            tmp_path / "run",
            resume=True,
        )
    with pytest.raises(SeqloomError, match="another config or other data"):  # which validation scores depend on
        train(changed(config, search={"replace_unknown": False}), tmp_path / "run", resume=True)
    search = {"beam": 2, "length_penalty": "auto", "coverage_penalty": 0.1, "block_ngrams": 2}
    train(changed(config, search=search), tmp_path / "run", resume=True)
    settings = Translator(tmp_path / "run").settings
    assert (settings.beam, settings.block_ngrams, settings.coverage_penalty) == (2, 2, 0.1)
    assert settings.length_penalty in training.LENGTH_PENALTIES


def test_other_word_vectors_of_the_same_name_cannot_go_on_with_a_run(tiny_config, tmp_path, crash_at):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("one 1 0 0\ntwo 0 1 0\n")
    config = changed(tiny_config, vectors={"target": str(vectors)}, model={"embedding": 3}, training={"epochs": 1})
    crash_at(training._task(config, prepare(config), None).steps + 1)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path / "run", resume=False)
    vectors.write_text("one 1 0 0\ntwo 0 0 1\n")
    with pytest.raises(SeqloomError, match="another config or other data"):
        train(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize("metric", ["bleu", "exact_match"])
@pytest.mark.parametrize(("better", "chosen"), [(0, 1.0), (1, 1.0), (40, 2.0)])
def test_another_length_penalty_is_chosen_where_more_than_chance_speaks_for_it(
    metric, better, chosen, tiny_config, monkeypatch
):
    sources = [f"{number} is a source that is translated" for number in range(60)]
    held = Grouped(sources, [(source,) for source in sources])

    def translations(searcher, sources, settings, config):
        rows = enumerate(sources)
        gain = better if settings.length_penalty == 2.0 else 0
        return [source if row < gain else source.removesuffix(" translated") for row, source in rows]

    monkeypatch.setattr(training, "_translations", translations)
    config = changed(tiny_config, search={"length_penalty": "auto", "beam": 5}, training={"monitor": metric})
    assert training._fit_search(config, None, held)["length_penalty"] == chosen


def test_a_finished_run_is_left_alone(tiny_run, tiny_config):
    for resume in (True, False):
        with pytest.raises(SeqloomError, match="this folder holds a finished run"):
            train(tiny_config, tiny_run, resume=resume)


# Copying


def names(random: np.random.Generator, count: int) -> list[str]:
    return ["".join(random.choice(list("abdegiklmnoprstu"), 6)) for _ in range(count)]


@pytest.fixture(scope="module")
def copier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two averaged networks, trained to swap two words of which each stands in one pair alone, around a known one."""
    folder, random = tmp_path_factory.mktemp("copier"), np.random.default_rng(0)
    pairs = []
    for left, right in zip(names(random, 400), names(random, 400), strict=True):
        word = random.choice(WORDS)
        pairs.append((f"{left} {word} {right}", f"{right} {word} {left}"))
    config = make_config(
        data={"train": str(write_pairs(folder / "pairs.csv", pairs))},
        tokens={"min_count": 3, "joint": True},
        model={"copy_words": True, "embedding": 32, "tie": "all", "members": 2},
        encoder={"units": 24},
        decoder={"units": 32},
        training={"epochs": 8, "batch_tokens": 96, "learning_rate": 0.02, "monitor": "loss", "average": 2},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda *_, **__: ("<html></html>", "verdict"))
        train(config, folder / "run", resume=False)
    return folder / "run"


def test_words_never_seen_in_training_are_copied(copier):
    translator = Translator(copier)
    unseen = ["Zoë three Jürgen", "Q7 six Łódź", "北京 one 🙂"]
    found = [translation.text for translation in translator.translate(unseen)]
    assert found == ["Jürgen three Zoë", "Łódź six Q7", "🙂 one 北京"]
    assert json.loads((copier / "report.json").read_text())["test"]["exact_match"] > 0.9
    rows = list(csv.DictReader((copier / "history.csv").open()))
    assert {row["member"] for row in rows} == {"1", "2"}
    assert float(rows[7]["val_token_accuracy"]) > 0.9


def test_the_networks_of_a_run_are_averaged(copier):
    together = Translator(copier)
    assert len(together.searcher.ensemble.members) == 2
    alone = [Translator(copier), Translator(copier)]
    for member, translator in enumerate(alone):
        translator.searcher.ensemble.members = together.searcher.ensemble.members[member : member + 1]
    source = together.searcher.codec.read(["Zoë three Jürgen"])
    logs = [each.searcher.search(source, GREEDY)[0][0] for each in (together, *alone)]
    assert logs[0].tokens == logs[1].tokens == logs[2].tokens
    assert logs[1].log_probability != logs[2].log_probability
    assert min(logs[1:]).log_probability - 1e-6 < logs[0].log_probability < 0
    weights = read_weights(copier / "weights.safetensors")
    assert {name.split("/")[0] for name in weights} == {"member0", "member1"}


def test_a_run_of_several_networks_is_damaged_without_one_of_them(copier, tmp_path):
    shutil.copytree(copier, tmp_path / "run")
    (tmp_path / "run" / "decoder2.onnx").unlink()
    with pytest.raises(SeqloomError, match=r"decoder2\.onnx"):
        Translator(tmp_path / "run")


# Other ways to train


def test_word_vectors_are_where_training_begins(tiny_config, tmp_path):
    codec, vectors = prepare(tiny_config).codec, tmp_path / "vectors.txt"
    vectors.write_text("one 1 0 0\ntwo 0 1 0\nthree 0 0 5\n")
    sizes = dict(source_size=len(codec.source.pieces), target_size=codec.target_size)
    config = changed(tiny_config, vectors={"source": str(vectors)}, model={"embedding": 3})
    network = models.build(config, **sizes)
    untouched = network.target_embedding.get_weights()[0]
    training._set_vectors(config, codec, network)
    table, ids = network.source_embedding.get_weights()[0], codec.source.ids
    assert table[ids["one"]][1] == table[ids["one"]][2] == 0
    assert table[ids["three"]][2] == pytest.approx(5 * table[ids["one"]][0])
    assert table.std() == pytest.approx(3**-0.5, rel=1e-4)
    np.testing.assert_array_equal(network.target_embedding.get_weights()[0], untouched)
    config = changed(config, model={"embedding": 4})
    with pytest.raises(ConfigError, match=r"vectors\.source has 3 units, and model\.embedding is 4.*embedding: 3"):
        training._set_vectors(config, codec, models.build(config, **sizes))


def test_a_sign_has_its_vector_wherever_it_touches_a_word(tiny_config, tmp_path):
    table, vectors = tmp_path / "pairs.csv", tmp_path / "vectors.txt"
    table.write_text("source,target\n" + "".join(f'"one, two , {i}",eins\n' for i in range(9)))
    vectors.write_text("one 1 0 0\n, 0 1 0\n")
    changes = dict(data={"train": str(table)}, vectors={"source": str(vectors)}, model={"embedding": 3})
    config = changed(tiny_config, **changes)
    codec = prepare(config).codec
    network = models.build(config, **codec.sizes)
    training._set_vectors(config, codec, network)
    rows, ids = network.source_embedding.get_weights()[0], codec.source.ids
    assert rows[ids[","]][0] == rows[ids[","]][2] == 0
    np.testing.assert_array_equal(rows[ids["￭,"]], rows[ids[","]])


def test_words_that_training_lacks_are_known_by_their_vectors(tiny_config, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("one 1 0 0\nuno 1 0 0\ntwo 0 1 0\ndue 0 1 0\n")
    config = changed(tiny_config, vectors={"source": str(vectors), "extra_words": 3}, model={"embedding": 3})
    codec = prepare(config).codec
    pieces = prepare(tiny_config).codec.source.pieces
    assert codec.source.pieces == [*pieces, "uno"]  # the third of the file is known, and the fourth is too many
    network = models.build(config, **codec.sizes)
    training._set_vectors(config, codec, network)
    table, ids = network.source_embedding.get_weights()[0], codec.source.ids
    np.testing.assert_array_equal(table[ids["uno"]], table[ids["one"]])
    assert codec.target.pieces == prepare(tiny_config).codec.target.pieces


def test_validation_scores_are_of_what_is_served_where_long_sources_are_split(tiny_run, tiny_config):
    config = changed(tiny_config, tokens={"long_sources": "split"})
    long = " ".join(["one two three . four five"] * 4)
    searcher = Translator(tiny_run).searcher
    (whole,) = searcher.translate([long], GREEDY, split=True)
    assert training._translations(searcher, [long], GREEDY, config) == [whole.text]
    assert training._translations(searcher, [long], GREEDY, tiny_config) != [whole.text]


def test_an_export_that_differs_from_the_network_is_not_kept(tiny_config):
    prepared = prepare(tiny_config)
    sizes = dict(source_size=len(prepared.codec.source.pieces), target_size=prepared.codec.target_size)
    network = models.build(tiny_config, **sizes)
    searcher = Searcher(prepared.codec, [Member.load(*training._graphs(network))])
    training._check_export(prepared, network, searcher)
    network.decoder.bridge.bias.assign(network.decoder.bridge.bias + 1.0)
    with pytest.raises(SeqloomError, match=r"the exported graphs differ from the network by .*, so they were not kept"):
        training._check_export(prepared, network, searcher)


def test_targets_that_are_all_too_long_leave_nothing_to_train_on(tiny_config):
    with pytest.raises(DataError, match=r"every target has more than 1 pieces.*Raise tokens.max_target"):
        prepare(changed(tiny_config, tokens={"max_target": 1, "kind": "characters"}))


def test_targets_that_are_too_long_are_left_out_aloud(tiny_config):
    with pytest.warns(UserWarning, match="training pairs were left out: targets longer than tokens.max_target"):
        prepared = prepare(changed(tiny_config, tokens={"max_target": 2}))
    assert prepared.left_out == len(prepared.splits.train) - len(prepared.train.targets) > 0
    assert max(map(len, prepared.train.targets)) == 2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA compiles parts on TensorFlow alone")
@pytest.mark.parametrize("tie", ["none", "all"])
def test_a_step_in_parts_has_the_loss_and_the_gradients_of_a_whole_one(tie):
    random = np.random.default_rng(0)
    inputs = {name: random.integers(4, 20, (3, 4)).astype(np.int32) for name in ("source", "before", "after")}
    inputs["lengths"] = np.array([4, 0, 2], np.int32)
    weights = random.random((3, 4)).astype(np.float32)
    decoder = {"units": 6, "layers": 2}
    config = make_config(model={"tie": tie, "embedding": 6}, decoder=decoder, tokens={"joint": True})
    whole, apart = (models.build(config, source_size=20, target_size=20) for _ in range(2))
    apart.set_weights(whole.get_weights())
    losses = []
    for network, parts in ((whole, None), (apart, training.parts(config, apart))):
        optimizer = keras.optimizers.SGD(1.0)  # moves weights by their gradients
        step = training_step(network, optimizer, models.loss, parts)
        losses.append(step(inputs, np.zeros_like(weights), weights))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    for one, other in zip(whole.get_weights(), apart.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.skipif(not kernels.load()[0], reason="there is no kernel")
@pytest.mark.parametrize(
    ("decoder", "compiled"),
    [({}, False), ({"input_feeding": False, "layers": 2}, False), ({"layers": 2}, True), ({"attention": "none"}, True)],
)
def test_only_a_decoder_that_loops_is_compiled_where_kernels_do_the_rest(decoder, compiled):
    config = make_config(decoder={"units": 6, **decoder})
    assert bool(training.parts(config, models.build(config, source_size=9, target_size=9))) == compiled


@pytest.mark.parametrize("lazy", [False, True])
def test_a_compiled_run_that_was_broken_off_ends_with_bitwise_the_same_network(tiny_config, tmp_path, crash_at, lazy):
    pairs = [(f"{one} {two}", f"{two} {one}") for one in WORDS for two in WORDS]  # of one shape, compiled once
    data = {"train": str(write_pairs(tmp_path / "pairs.csv", pairs))}
    settings = {"epochs": 2, "compile": True, "monitor": "loss", "lazy_embeddings": lazy}
    stanzas = {"model": {"dropout": 0.1}, "decoder": {"dropout": 0.1, "layers": 2}, "training": settings}
    config = changed(tiny_config, data=data, **stanzas)
    train(config, tmp_path / "whole", resume=False)
    crash_at(training._task(config, prepare(config), models.build(config, **prepare(config).codec.sizes)).steps + 2)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path / "broken", resume=False)
    train(config, tmp_path / "broken", resume=True)
    one, other = (read_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "broken"))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


# Configs


@pytest.mark.parametrize(
    ("stanzas", "told"),
    [
        ({"model": {"copy_words": True}, "decoder": {"attention": "none"}}, "model.copy_words needs attention"),
        ({"search": {"coverage_penalty": 0.1}, "decoder": {"attention": "none"}}, "coverage_penalty needs attention"),
        ({"decoder": {"attention": "none", "attend_from": "bottom"}}, "attend_from: bottom needs attention"),
        ({"decoder": {"attention": "dot", "units": 5}}, r"decoder.units \(5\) to be the width of the encoder \(6\)"),
        (
            {"decoder": {"attention": "dot"}, "encoder": {"bidirectional": "first", "layers": 2}},
            r"decoder.units \(6\) to be the width of the encoder \(3\)",
        ),
        ({"model": {"tie": "output", "embedding": 5}}, "to be the same number"),
        ({"model": {"tie": "all"}}, "needs one vocabulary for both sides"),
        ({"vectors": {"source": "glove"}, "tokens": {"kind": "bpe"}}, "vectors are of words"),
        ({"tokens": {"joint": True, "lowercase_source": True}}, "needs a vocabulary for each side"),
        ({"tokens": {"kind": "bpe", "merge_count": 5}}, "merge_count joins words"),
        ({"tokens": {"joint": True, "merge_count": 5}}, "merge_count needs a vocabulary for each side"),
        ({"vectors": {"extra_words": 9}}, "extra_words needs vectors.source"),
        ({"vectors": {"extra_words": 9, "source": "v"}, "tokens": {"kind": "words", "joint": True}}, "joint: false"),
        ({"model": {"value_columns": True}}, "value_columns needs data.database"),
        (
            {
                "model": {"value_columns": True, "copy_words": True},
                "data": {"database": "d"},
                "tokens": {"kind": "bpe"},
            },
            "are of words. Set tokens.kind: words",
        ),
        ({"model": {"word_forms": True}, "tokens": {"kind": "characters"}}, "are of words. Set tokens.kind: words"),
        (
            {"model": {"tie": "all"}, "tokens": {"joint": True}, "vectors": {"source": "a", "target": "b"}},
            "has one table of vectors",
        ),
        ({"data": {"source": "text", "target": "text"}}, "are the same column, 'text'"),
        ({"data": {"train": None}}, "name the training pairs"),
        ({"data": {"phrases": {}}}, "name the training pairs"),
        ({"data": {"validation": 0.5, "test": 0.5}}, "leave no pairs to train on"),
        ({"data": {"validation": 0.0}}, "is not a share between 0 and 1"),
        ({"data": {"test": 1}}, "is not a share between 0 and 1"),
        ({"data": {"train": []}}, "at least 1 item"),
        ({"search": {"length_penalty": -1}}, "greater than or equal to 0"),
        ({"search": {"length_penalty": float("nan")}}, "length_penalty"),
        ({"search": {"beam": 0}}, "greater than or equal to 1"),
        ({"training": {"label_smoothing": 1.0}}, "less than 1"),
        ({"training": {"average": 0}}, "greater than or equal to 1"),
        ({"encoder": {"bidirectional": "last"}}, "first"),
        ({"encoder": {"cell": "transformer", "bidirectional": "first"}}, "Leave bidirectional out"),
        ({"encoder": {"cell": "transformer"}, "decoder": {"attention": "dot"}}, r"width of the encoder \(3\)"),
        ({"decoder": {"cell": "transformer"}}, "'rnn', 'lstm' or 'gru'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_config_that_contradicts_itself_is_refused(stanzas, told):
    with pytest.raises(ValidationError, match=told):
        make_config(**stanzas)


def test_dot_attention_fits_a_wide_enough_decoder():
    assert make_config(decoder={"attention": "dot"}).encoder.width == 6
    assert make_config(encoder={"bidirectional": "first", "layers": 2}).encoder.width == 3
    assert make_config(encoder={"bidirectional": "first"}).encoder.width == 6
    assert make_config(encoder={"bidirectional": False}).encoder.width == 3
