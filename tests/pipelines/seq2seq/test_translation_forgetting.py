"""`forgetting` of translation runs: quality by length, runs of one kind of attention together."""

import json
from pathlib import Path

from keywords import seqloom

from pipelines.forgetting import probe_runs


def test_quality_by_length_of_the_source(tiny_run: Path, tiny_pairs: Path) -> None:
    probe = probe_runs([tiny_run, tiny_run], tiny_pairs)
    (curve,) = probe.curves
    assert curve.name == "bahdanau attention"
    assert curve.places.tolist() == [1, 2, 3, 4]  # words of the sources
    assert curve.quality.shape == (2, 4)
    assert (curve.quality[0] == curve.quality[1]).all()
    assert 50 < curve.quality[0, 0] <= 100  # BLEU


def test_the_command_writes_a_page(tiny_run: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = seqloom("forgetting", "--model", tiny_run, "--data", tiny_pairs, "--out", page)
    assert result.code == 0, result.err
    assert "Quality by length of the source: BLEU by pieces of the source" in result.out
    assert "bahdanau attention" in page.read_text() and "<svg" in page.read_text()
    (probe,) = json.loads(seqloom("forgetting", "--model", tiny_run, "--data", tiny_pairs, "--json").out)
    assert len(probe["curves"]["bahdanau attention"]["quality"][0]) == 4


def test_an_empty_file_is_told(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("source,target\n")
    result = seqloom("forgetting", "--model", tiny_run, "--data", tmp_path / "e.csv")
    assert result.code == 1 and "e.csv" in result.err
