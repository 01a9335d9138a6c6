"""A tiny classifier learns labels that single words give away."""

import json
from pathlib import Path

from keywords import seqloom, write_config, write_splits


def test_keyword_labels_are_learned_and_beat_the_majority_class(tmp_path: Path) -> None:
    config = write_config(tmp_path / "keywords.yaml", write_splits(tmp_path), training={"epochs": 10})
    result = seqloom("run", config, "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["test"]["accuracy"] >= 0.9
    assert report["test"]["macro_f1"] >= 0.9
    assert report["test"]["accuracy"] >= report["baselines"]["majority class"]["accuracy"] + 0.4


def test_many_labels_a_text_are_learned(tmp_path: Path) -> None:
    data = write_splits(tmp_path, many=True) | {"label_separator": ";"}
    config = write_config(tmp_path / "keywords.yaml", data, training={"epochs": 14, "monitor": "macro_f1"})
    result = seqloom("run", config, "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["test"]["macro_f1"] >= 0.9
    assert report["test"]["exact_match"] >= report["baselines"]["majority class"]["exact_match"] + 0.4
