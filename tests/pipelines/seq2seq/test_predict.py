"""Translations are those of the networks' probabilities, whatever the texts, their order and their neighbours."""

import dataclasses
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from translators import WORDS, make_codec, make_config, make_network, make_searcher, member_of, probabilities

from examples import randomize
from pipelines.translation import model as models
from pipelines.translation import predict
from pipelines.translation.predict import GREEDY, Ensemble, Member, Searcher, Translator
from toolkit import artifact, runtime
from toolkit.data.codec import END, START, UNKNOWN
from toolkit.errors import ArtifactError, SeqloomError
from toolkit.kernels import prediction, search
from toolkit.runtime import Runtime
from toolkit.search import Hypothesis, SearchSettings

GERMAN = ("eins", "zwei", "drei")
BEAM = SearchSettings(beam=4, length_penalty=1.0, coverage_penalty=0.0, block_ngrams=0, best=1)
HOSTILE = [
    "",
    " \t ",
    "\x00\x1b\x07",
    "🙂🙂 🚀",
    "nothing known here",
    "one\ttwo\r\nthree",
    "１２ ９",
    "￭ ▁ <s> </s>",
    "א ب",
]


def _network(codec: Any, *, seed: int = 0, **stanzas: Any) -> Any:
    config = make_config(**{"model": {"copy_words": codec.copies}, **stanzas})
    return make_network(config, source=len(codec.source.pieces), target=codec.target_size, seed=seed)


def _stepwise(codec: Any, networks: list[Any], text: str) -> tuple[list[int], float]:
    """The greedy translation by the mean of the equations' probabilities, and its log-probability."""
    sources = codec.read([text])
    tokens, total = [START], 0.0
    for _ in range(codec.longest(np.array([len(sources[0].ids)]))[0]):
        inputs = codec.inputs(sources, 1, len(sources[0].ids))
        inputs["before"] = np.array([tokens], np.int32)
        found = np.mean([probabilities(network, inputs)[0][0, -1] for network in networks], axis=0)
        if codec.copies:
            found[UNKNOWN] = 0
        tokens.append(int(found.argmax()))
        total += float(np.log(found.max()))
        if tokens[-1] == END:
            return tokens[1:-1], total
    return tokens[1:], total


CODECS = {False: make_codec(target=GERMAN), True: make_codec(target=GERMAN, copies=True)}


@pytest.fixture(scope="module", params=CODECS, ids=["plain", "copying"])
def random_networks(request: pytest.FixtureRequest) -> tuple[Any, list[Any]]:
    """Two networks of random weights that share their pieces, and the pieces."""
    codec = CODECS[request.param]
    return codec, [_network(codec, seed=1), _network(codec, seed=2, decoder={"cell": "lstm", "attention": "general"})]


TEXTS = ["one", "two three one", "six five four three two one", "Zoë one Oslo"]


@pytest.mark.parametrize("count", [1, 2])
def test_greedy_translations_are_the_best_of_the_mean_of_probabilities(random_networks, count):
    codec, networks = random_networks
    searcher = make_searcher(codec, *networks[:count])
    for text, (hypothesis,) in zip(TEXTS, searcher.search(codec.read(TEXTS), GREEDY), strict=True):
        tokens, total = _stepwise(codec, networks[:count], text)
        assert list(hypothesis.tokens) == tokens
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-4)


def test_an_ensemble_of_a_network_with_itself_is_that_network(random_networks):
    codec, (network, _) = random_networks
    alone, twice = (make_searcher(codec, *[network] * count).translate(TEXTS, BEAM) for count in (1, 2))
    for one, other in zip(alone, twice, strict=True):
        assert other.text == one.text
        assert other.score == pytest.approx(one.score, abs=1e-4)
        np.testing.assert_allclose(other.weights, one.weights, atol=1e-5)


def test_networks_with_and_without_attention_are_an_ensemble():
    codec = CODECS[False]
    networks = [_network(codec, decoder={"attention": kind}, seed=i) for i, kind in enumerate(("none", "bahdanau"))]
    for order in (networks, networks[::-1]):
        searcher = make_searcher(codec, *order)
        for text, (hypothesis,) in zip(TEXTS, searcher.search(codec.read(TEXTS), GREEDY), strict=True):
            assert list(hypothesis.tokens) == _stepwise(codec, order, text)[0]
            assert hypothesis.weights is not None  # of those that look


def test_the_best_of_a_mean_are_in_order_and_as_many_as_there_are():
    codec = CODECS[True]
    networks = [_network(codec, seed=seed) for seed in (1, 2)]
    ensemble = Ensemble([member_of(network) for network in networks])
    inputs = codec.inputs(codec.read(["one Zoë"]), 1, 2)
    candidates = ensemble.step(np.array([[START]]), ensemble.start(inputs), 1000)
    inputs["before"] = np.array([[START]], np.int32)
    expected = np.mean([probabilities(network, inputs)[0][0, 0] for network in networks], axis=0)
    expected[UNKNOWN] = 0
    assert sorted(candidates.tokens[0, 0]) == list(range(len(expected)))
    np.testing.assert_allclose(np.exp(candidates.scores[0, 0]), expected[candidates.tokens[0, 0]], atol=1e-6)
    assert (np.diff(candidates.scores[0, 0]) <= 0).all()


def _older(graph: bytes) -> bytes:
    """The decoder as runs had it before kernels computed parts of it."""
    model = onnx.load_from_string(graph)
    names = {"scores", "best", "next_state", "weights", "log_probabilities"}
    kept = [output for output in model.graph.output if output.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model.SerializeToString()


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
@pytest.mark.parametrize("settings", [GREEDY, BEAM], ids=["greedy", "beam"])
@pytest.mark.parametrize(
    ("stanzas", "steps"),
    [
        ({"decoder": {"cell": "gru", "attention": "dot", "units": 8}, "encoder": {"units": 4}}, True),
        ({"model": {"tie": "output"}, "decoder": {"attention": "bahdanau"}}, True),
        ({"decoder": {"cell": "rnn"}}, True),
        ({"decoder": {"input_feeding": False}}, False),
        ({"decoder": {"attention": "none"}}, False),
        ({"decoder": {"layers": 2}}, False),
    ],
    ids=str,
)
def test_the_kernel_of_the_search_gives_what_the_graph_gives(stanzas, steps, settings):
    codec = CODECS[False]
    encoder, decoder = (graph.SerializeToString() for graph in models.to_onnx(_network(codec, **stanzas)))
    member, older = Member.load(encoder, decoder), Member.load(encoder, _older(decoder))
    assert member.output and bool(member.stepper) == steps and not older.output
    results = [Searcher(codec, [each]).translate(TEXTS, settings) for each in (member, older)]
    for one, other in zip(*results, strict=True):
        assert one.text == other.text
        assert one.score == pytest.approx(other.score, abs=1e-4 if prediction.load()[1] == "amx" else 1e-5)


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
@pytest.mark.parametrize(("feeding", "numbers"), [(True, set()), (False, {0})], ids=["fed", "parallel"])
def test_with_kernels_the_graph_computes_no_probabilities_and_no_step_that_is_fed(monkeypatch, feeding, numbers):
    codec, asked, run = CODECS[False], [], Runtime.run
    searcher = make_searcher(codec, _network(codec, decoder={"input_feeding": feeding}))

    def spy(self: Runtime, inputs: Any, outputs: Any = ()) -> Any:
        asked.extend(inputs["k"].tolist() if "k" in inputs else [])
        return run(self, inputs, outputs)

    monkeypatch.setattr(Runtime, "run", spy)
    searcher.translate(TEXTS, BEAM)
    assert set(asked) == numbers


def test_without_a_kernel_or_with_copied_words_the_graph_finds_the_best(monkeypatch):
    assert member_of(_network(CODECS[True])).output is None
    monkeypatch.setattr(prediction, "load", lambda: (None, "there is none"))
    member = member_of(_network(CODECS[False]))
    assert member.output is None
    (hypothesis,) = Searcher(CODECS[False], [member]).search(CODECS[False].read(TEXTS[:1]), GREEDY)[0]
    assert list(hypothesis.tokens) == _stepwise(CODECS[False], [_network(CODECS[False])], TEXTS[0])[0]


def test_more_candidates_than_the_kernel_finds_at_once_come_from_the_graph(monkeypatch):
    member = member_of(_network(CODECS[False]))
    monkeypatch.setattr(search, "MOST", 3)
    inputs = CODECS[False].inputs(CODECS[False].read(["one two"]), 1, 2)
    ensemble = Ensemble([member])
    candidates = ensemble.step(np.array([[START]]), ensemble.start(inputs), 5)
    assert len(set(candidates.tokens[0, 0].tolist())) == 5
    assert (np.diff(candidates.scores) <= 0).all()


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
def test_many_texts_get_the_translations_of_few(monkeypatch):
    codec, network = CODECS[False], _network(CODECS[False])
    few, many = (make_searcher(codec, network) for _ in range(2))
    expected = few.translate(TEXTS, BEAM)
    monkeypatch.setattr(runtime, "MANY", 1)
    for one, other in zip(many.translate(TEXTS, BEAM), expected, strict=True):
        assert one.text == other.text
        assert one.score == pytest.approx(other.score, abs=1e-5)
    assert many.ensemble.members[0].encoder.fused and not few.ensemble.members[0].encoder.fused


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
def test_an_output_layer_that_does_not_fit_is_refused():
    encoder, decoder = models.to_onnx(_network(CODECS[False]))
    (size,) = [each for each in decoder.graph.output if each.name == "output_bias"]
    names = {node.output[0]: node.input[0] for node in decoder.graph.node if node.op_type == "Identity"}
    for tensor in decoder.graph.initializer:
        if tensor.name == names["output_bias"]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32), tensor.name))
    size.type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ArtifactError, match="its weights do not fit one another"):
        Member.load(encoder.SerializeToString(), decoder.SerializeToString())


def test_several_translations_are_different_and_come_best_first(random_networks):
    codec, networks = random_networks
    settings = SearchSettings(beam=5, length_penalty=1.0, coverage_penalty=0.0, block_ngrams=0, best=5)
    (hypotheses,) = make_searcher(codec, networks[0]).search(codec.read(TEXTS[1:2]), settings)
    assert len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses) == 5
    (found,) = make_searcher(codec, networks[0]).translate(TEXTS[1:2], settings)
    texts = {found.text, *(text for text, _ in found.others)}
    assert 1 < len(texts) == 1 + len(found.others) <= 5
    finished = [hypothesis.score for hypothesis in hypotheses if hypothesis.finished]
    assert finished == sorted(finished, reverse=True)
    assert found.score == hypotheses[0].score


def test_a_text_comes_once_however_many_ways_there_are_to_write_it(random_networks):
    codec, networks = random_networks
    searcher = make_searcher(codec, networks[0])
    (source,) = codec.read(["one"])
    ways = [
        Hypothesis(tokens, -score, -score, None, True) for score, tokens in enumerate([(4,), (START, 4), (5,), (4,)])
    ]
    found = searcher._translation(source, ways, False, True)
    assert (found.text, found.score, found.others) == ("eins", 0.0, [("zwei", -2)])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_of_one_is_greedy_whatever_the_length_penalty(random_networks, alpha):
    codec, networks = random_networks
    searcher = make_searcher(codec, networks[0])
    one = searcher.translate(TEXTS, replace(BEAM, beam=1, length_penalty=alpha))
    assert [each.pieces for each in one] == [each.pieces for each in searcher.translate(TEXTS, GREEDY)]


def test_translations_that_break_off_are_told_from_those_that_end(random_networks):
    codec, networks = random_networks
    searcher = make_searcher(dataclasses.replace(codec, limits=(8, 2)), networks[0])
    for text, found in zip(TEXTS, searcher.translate(TEXTS, GREEDY), strict=True):
        assert found.finished == (len(_stepwise(codec, networks[:1], text)[0]) <= 2)


@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_an_unknown_word_becomes_the_source_word_that_was_looked_at_most(attention):
    codec = CODECS[False]
    network = _network(codec, decoder={"attention": attention})
    network.output_layer.bias.assign(np.where(np.arange(codec.target_size) == UNKNOWN, 9.0, 0.0))
    searcher = make_searcher(codec, network)
    (plain,) = searcher.translate(["Zoë two"], GREEDY, replace_unknown=False)
    assert "<unk>" in plain.pieces
    (found,) = searcher.translate(["Zoë two"], GREEDY)
    if attention == "none":
        assert found.pieces == plain.pieces
        return
    looked = np.array(["Zoë", "two"])[found.weights.argmax(axis=1)]
    expected = [word if piece == "<unk>" else piece for piece, word in zip(plain.pieces, looked, strict=True)]
    assert found.pieces == expected
    assert found.text == " ".join(expected)


@given(texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=6))
def test_neighbours_and_batches_change_no_translation(random_networks, texts):
    codec, _ = random_networks
    searcher = _searcher(codec.copies)
    together = searcher.translate(texts, BEAM)
    assert len(together) == len(texts)
    for text, found in zip(texts, together, strict=True):
        (alone,) = searcher.translate([text], BEAM)
        assert alone.text == found.text
        assert alone.score == pytest.approx(found.score, abs=1e-4)


@cache
def _searcher(copies: bool) -> Any:
    return make_searcher(CODECS[copies], _network(CODECS[copies], seed=1))


def test_the_bounds_of_a_batch_change_no_translation_and_no_order(random_networks, monkeypatch):
    codec, networks = random_networks
    searcher = make_searcher(codec, networks[0])
    texts = [" ".join(WORDS[: i % 7]) for i in range(20)]
    expected = [found.text for found in searcher.translate(texts, BEAM)]
    monkeypatch.setattr(predict, "BATCH_ROWS", 3)
    monkeypatch.setattr(predict, "BATCH_PIECES", 8)
    assert [found.text for found in searcher.translate(texts, BEAM)] == expected
    assert expected[::7] == [""] * 3


@pytest.mark.parametrize("settings", [GREEDY, BEAM], ids=["greedy", "beam"])
def test_hostile_texts_are_translated_each_by_itself(random_networks, settings):
    codec, networks = random_networks
    found = make_searcher(codec, networks[0]).translate(HOSTILE, settings)
    for text, translation in zip(HOSTILE, found, strict=True):
        assert not translation.text.strip("\x00") or len(codec.read([text])[0].ids)
        assert "\n" not in translation.text
    assert [translation.pieces for translation in found[:3]] == [[], [], []]
    assert make_searcher(codec, networks[0]).translate([], settings) == []


def test_a_text_beyond_the_limit_is_cut_and_flagged(random_networks):
    codec, networks = random_networks
    searcher = make_searcher(codec, networks[0])
    texts = ["one two three four five six one two" + more for more in ("", " three", " three" * 9992)]
    found = searcher.translate(texts, GREEDY)
    assert [translation.truncated for translation in found] == [False, True, True]
    assert len({translation.text for translation in found}) == 1


# Run folders


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "copied"))


def reseal(folder: Path) -> None:
    """A manifest that fits whatever the files are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = {name: value for name, value in manifest.items() if name not in ("schema_version", "pipeline", "files")}
    artifact.seal(folder, manifest["pipeline"], facts)


def _write_graphs(folder: Path, network: Any) -> None:
    for name, graph in zip(("encoder.onnx", "decoder.onnx"), models.to_onnx(network), strict=True):
        (folder / name).write_bytes(graph.SerializeToString())
    reseal(folder)


def _random_like(tiny_config: Any, folder: Path, **changes: Any) -> Any:
    """A network of random weights for the pieces of a run."""
    pieces = json.loads((folder / "pieces.json").read_text())
    sizes = {"source_size": len(pieces["source"]["pieces"]), "target_size": len(pieces["target"]["pieces"])}
    network = models.build(tiny_config, **{**sizes, **changes})
    randomize(network)
    return network


def _texts(translator: Translator, texts: list[str]) -> list[str]:
    return [found.text for found in translator.translate(texts)]


def test_one_text_is_no_list_of_texts(tiny_run):
    with pytest.raises(TypeError, match="expected a list of texts"):
        list(Translator(tiny_run).translate("one two"))


def test_several_folders_are_an_ensemble(tiny_run, tiny_config, copied):
    network = _random_like(tiny_config, copied)
    _write_graphs(copied, network)
    both, once, twice = Translator(tiny_run, copied), Translator(tiny_run), Translator(tiny_run, tiny_run)
    texts = ["one two", "six", "three one five"]
    assert _texts(twice, texts) == _texts(once, texts)
    expected = make_searcher(once.searcher.codec)
    expected.ensemble.members = [*once.searcher.ensemble.members, member_of(network)]
    for found, wanted in zip(both.translate(texts), expected.translate(texts, both.settings), strict=True):
        assert (found.text, found.score) == (wanted.text, pytest.approx(wanted.score))


def test_folders_of_other_pieces_are_no_ensemble(tiny_run, copied):
    pieces = json.loads((copied / "pieces.json").read_text())
    pieces["target"]["pieces"][-1] = "neun"
    (copied / "pieces.json").write_text(json.dumps(pieces))
    reseal(copied)
    with pytest.raises(ArtifactError, match=r"its pieces are not those of .*cannot be averaged.*same pairs"):
        Translator(tiny_run, copied)


def test_folders_that_read_longer_texts_are_an_ensemble(tiny_run, copied):
    pieces = json.loads((copied / "pieces.json").read_text())
    (copied / "pieces.json").write_text(json.dumps({**pieces, "limits": [number + 5 for number in pieces["limits"]]}))
    reseal(copied)
    assert _texts(Translator(tiny_run, copied), ["one two"]) == ["zwei eins"]


def test_long_lines_are_translated_in_parts_in_their_place(copied):
    facts = json.loads((copied / "translation.json").read_text())
    (copied / "translation.json").write_text(json.dumps({**facts, "long_sources": "split"}))
    reseal(copied)
    translator = Translator(copied)
    line = "one two. " * 5000
    first, long, last = translator.translate(["one two", line, "six"])
    assert (first.text, last.text) == ("zwei eins", "sechs")
    assert not long.truncated
    assert len(long.source_pieces) == 10_000
    assert long.text.count("zwei") >= 2000
    (several,) = translator.translate(["one two. " * 20], SearchSettings(4, 1.0, 0.0, 0, best=3))
    (part,) = translator.translate(
        [translator.searcher.codec.cut("one two. " * 20)[0]], SearchSettings(4, 1.0, 0.0, 0, 3)
    )
    assert several.others and several.others[0][0].startswith(part.others[0][0])
    assert several.score > several.others[0][1]


@pytest.mark.parametrize(("side", "change"), [("source", 1), ("target", 1), ("target", -1)])
def test_a_vocabulary_that_does_not_fit_the_weights_is_refused(side, change, copied):
    pieces = json.loads((copied / "pieces.json").read_text())
    words = pieces[side]["pieces"]
    pieces[side]["pieces"] = [*words, "neun"] if change > 0 else words[:change]
    (copied / "pieces.json").write_text(json.dumps(pieces))
    reseal(copied)
    with pytest.raises(ArtifactError, match=r"writes .* pieces, expected|this graph cannot be run"):
        Translator(copied)


@pytest.mark.parametrize(
    ("part", "stanzas"),
    [
        ("encoder.onnx", {"decoder": {"attention": "none"}}),
        ("decoder.onnx", {"model": {"copy_words": True}}),
        ("encoder.onnx", {"decoder": {"layers": 2}}),
        ("decoder.onnx", {"decoder": {"layers": 2}}),
        ("decoder.onnx", {"encoder": {"units": 3}}),
    ],
    ids=["attention", "copying", "layers", "more_layers", "units"],
)
def test_graphs_of_different_runs_are_refused(part, stanzas, tiny_config, copied):
    values = tiny_config.model_dump()
    config = type(tiny_config).model_validate(
        {**values, **{name: {**values[name], **new} for name, new in stanzas.items()}}
    )
    other = dict(zip(("encoder.onnx", "decoder.onnx"), models.to_onnx(_random_like(config, copied)), strict=True))
    (copied / part).write_bytes(other[part].SerializeToString())
    reseal(copied)
    with pytest.raises(ArtifactError, match=r"Its files are of different runs|this graph cannot be run"):
        Translator(copied)


@pytest.mark.parametrize("part", ["encoder.onnx", "decoder.onnx", "pieces.json", "translation.json"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"[]", lambda data: b"{", lambda _: b"\xff"],
)
def test_a_damaged_part_is_one_sentence(part, damage, copied):
    path = copied / part
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match="damaged"):
        Translator(copied)
    reseal(copied)
    with pytest.raises(SeqloomError) as caught:
        Translator(copied)
    assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"search": None},
        {"search": {}},
        {"search": {"beam": 0}},
        {"search": {"beam": 10**9}},
        {"search": {"beam": "wide"}},
        {"search": {"beam": None}},
        {"search": {"length_penalty": -1}},
        {"search": {"length_penalty": float("nan")}},
        {"search": {"length_penalty": "auto"}},
        {"search": {"coverage_penalty": 10**6}},
        {"search": {"block_ngrams": [2]}},
        {"long_sources": "forget"},
        {"long_sources": ["split"]},
    ],
    ids=str,
)
def test_hostile_settings_are_refused(change, copied):
    facts = json.loads((copied / "translation.json").read_text())
    if isinstance(change.get("search"), dict) and change["search"]:
        change = {"search": {**facts["search"], **change["search"]}}
    (copied / "translation.json").write_text(json.dumps({**facts, **change}))
    reseal(copied)
    with pytest.raises(
        ArtifactError, match=r"translation.json: these settings are damaged: .*Copy the whole run folder again"
    ):
        Translator(copied)


@pytest.mark.parametrize("name", ["search", "long_sources", "source_column"])
def test_missing_settings_are_refused(name, copied):
    facts = json.loads((copied / "translation.json").read_text())
    del facts[name]
    (copied / "translation.json").write_text(json.dumps(facts))
    reseal(copied)
    with pytest.raises(ArtifactError, match="these settings are damaged"):
        Translator(copied)


def test_a_coverage_penalty_of_a_run_without_attention_is_refused(tiny_config, copied):
    values = tiny_config.model_dump()
    config = type(tiny_config).model_validate({**values, "decoder": {**values["decoder"], "attention": "none"}})
    _write_graphs(copied, _random_like(config, copied))
    facts = json.loads((copied / "translation.json").read_text())
    facts["search"]["coverage_penalty"] = 0.5
    (copied / "translation.json").write_text(json.dumps(facts))
    reseal(copied)
    with pytest.raises(ArtifactError, match="coverage penalty, which needs attention"):
        Translator(copied)
