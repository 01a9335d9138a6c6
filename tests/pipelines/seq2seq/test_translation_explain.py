"""`explain` and `encode` with a translator: what they show is what translates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom

from pipelines.explain import explain
from pipelines.translation.explain import encode
from pipelines.translation.predict import Ensemble, Translator
from toolkit.data.codec import END
from toolkit.search import Candidates


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def memory(folder: Path, text: str) -> np.ndarray:
    """What the graph of the encoder gives. Shapes: -> (pieces, width)"""
    searcher = Translator(folder).searcher
    (source,) = searcher.codec.read([text])
    inputs = searcher.codec.inputs([source], 1, len(source.ids))
    return searcher.ensemble.members[0].encoder.run(inputs, ["memory"])["memory"][0]


def test_states_are_those_that_the_decoder_reads(tiny_run: Path) -> None:
    found = explain(tiny_run, "three one zzz four")
    states = np.concatenate([each.trace.hidden for each in found.layers], axis=1)
    np.testing.assert_allclose(states, memory(tiny_run, "three one zzz four"), atol=1e-5)
    assert all(set(each.trace.gates) == {"update", "reset"} for each in found.layers)


def test_the_answer_and_the_attention_are_those_of_translate(tiny_run: Path) -> None:
    found, (translation,) = explain(tiny_run, "one two"), Translator(tiny_run).translate(["one two"])
    assert found.answer == translation.text and list(found.steps) == ["one", "two"]
    assert found.attention is not None and translation.weights is not None
    np.testing.assert_array_equal(found.attention, translation.weights)
    assert len(found.written) == len(found.attention)


def test_hiding_what_is_unknown_changes_nothing_and_what_is_read_does(tiny_run: Path) -> None:
    found = explain(tiny_run, "one two zzz")
    assert found.effects[2] == 0 and np.abs(found.effects[:2]).max() > 0.05
    assert any("1 of 3 pieces are unknown" in note for note in found.notes)


def test_a_long_text_is_cut_and_said(tiny_run: Path) -> None:
    found = explain(tiny_run, "one two three " * 4000)
    assert len(found.steps) == len(found.effects) == 8
    assert any("its first 8 pieces" in note and "tokens.max_source" in note for note in found.notes)


def test_what_is_not_read_is_said(tiny_run: Path) -> None:
    told = "Some capitals or marks are not read: the sources of training have no capitals"
    found, plain = explain(tiny_run, "One two!"), explain(tiny_run, "one two")
    assert found.steps == plain.steps == ["one", "two"]
    assert any(note.startswith(told) for note in found.notes)
    assert not any(note.startswith(told) for note in plain.notes)


@pytest.mark.parametrize("text", ["", " \n", "\x00"])
def test_a_text_without_pieces_is_refused(text: str, tiny_run: Path) -> None:
    result = seqloom("explain", text, "--model", tiny_run)
    assert result.code == 1 and "nothing to translate" in result.err


def test_a_page_shows_attention_and_unknown_signs(tiny_run: Path) -> None:
    result = seqloom("explain", "🎉 <b>", "--model", tiny_run, "-o", "a.html", "--json")
    assert json.loads(result.out)["notes"]
    page = Path("a.html").read_text(encoding="utf-8")
    assert "Attention" in page and "<b>" not in page


def test_a_page_of_a_text_for_which_nothing_was_written_has_no_attention(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Ensemble.step

    def end(*given: Any) -> Candidates:
        found = step(*given)
        return found._replace(tokens=np.full_like(found.tokens, END))

    monkeypatch.setattr(Ensemble, "step", end)
    result = seqloom("explain", "one two", "--model", tiny_run, "-o", "a.html")
    assert result.code == 0, result.err
    assert "Nothing was written." in result.out and "Attention" not in Path("a.html").read_text(encoding="utf-8")


def test_vectors_are_means_over_real_pieces(tiny_run: Path) -> None:
    lines = ["one two three", "", "four"]
    Path("a.txt").write_text("\n".join(lines))
    found = encode(tiny_run, "a.txt")
    assert found.sources == ["a.txt:1", "a.txt:2", "a.txt:3"]
    expected = [memory(tiny_run, line).mean(axis=0) for line in lines if line]
    np.testing.assert_allclose(found.vectors[::2], expected, atol=1e-5)
    assert not found.vectors[1].any()


def test_vectors_are_those_of_what_a_run_reads_and_what_is_longer_is_said(tiny_run: Path) -> None:
    Path("a.txt").write_text("one two three four " * 4)
    with pytest.warns(UserWarning, match="than 8 pieces, the first at a.txt:1.*tokens.max_source reads more"):
        (vector,) = encode(tiny_run, "a.txt").vectors
    np.testing.assert_allclose(vector, memory(tiny_run, "one two three four " * 2).mean(axis=0), atol=1e-5)
