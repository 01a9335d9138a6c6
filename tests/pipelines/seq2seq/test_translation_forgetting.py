"""`forgetting` of translation runs: quality by length, runs that differ in their seed together."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from keywords import seqloom

from pipelines.forgetting import probe_runs
from toolkit import artifact


def test_quality_by_length_of_the_source(tiny_run: Path, tiny_pairs: Path) -> None:
    probe = probe_runs([tiny_run, tiny_run], tiny_pairs)
    (curve,) = probe.curves
    assert curve.name == "bahdanau attention"
    assert curve.places.tolist() == [1, 2, 3, 4]  # words of the sources
    assert curve.quality.shape == (2, 4)
    assert (curve.quality[0] == curve.quality[1]).all()
    assert 50 < curve.quality[0, 0] <= 100  # BLEU


def test_letters_may_be_written_apart_from_their_accents(tiny_run: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "apart.csv").write_text(unicodedata.normalize("NFD", tiny_pairs.read_text()))
    (first,), (second,) = (probe_runs([tiny_run], data).curves for data in (tiny_pairs, tmp_path / "apart.csv"))
    assert (first.quality == second.quality).all()


@pytest.mark.parametrize(("old", "new", "alike"), [("seed: 1", "seed: 2", True), ("epochs: 8", "epochs: 9", False)])
def test_only_runs_that_differ_in_their_seed_make_one_curve(
    old: str, new: str, alike: bool, tiny_run: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(tiny_run, tmp_path / "other"))
    text = (other / "config.yaml").read_text()
    assert old in text
    (other / "config.yaml").write_text(text.replace(old, new))
    artifact.seal(other, "translation", {})
    names = [curve.name for curve in probe_runs([tiny_run, other], tiny_pairs).curves]
    assert names == ["bahdanau attention" + ("" if alike else f", {each.name}") for each in (tiny_run, other)[alike:]]


def test_the_command_writes_a_page(tiny_run: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = seqloom("forgetting", "--model", tiny_run, "--data", tiny_pairs, "--out", page)
    assert result.code == 0, result.err
    assert "Quality by length of the source: BLEU by pieces of the source" in result.out
    assert "this run has learned from this file" in result.err
    assert "bahdanau attention" in page.read_text() and "<svg" in page.read_text()
    (probe,) = json.loads(seqloom("forgetting", "--model", tiny_run, "--data", tiny_pairs, "--json").out)
    assert len(probe["curves"]["bahdanau attention"]["quality"][0]) == 4


def test_an_empty_file_is_told(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("source,target\n")
    result = seqloom("forgetting", "--model", tiny_run, "--data", tmp_path / "e.csv")
    assert result.code == 1 and "e.csv" in result.err
