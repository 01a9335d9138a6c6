"""Runs that are trained on with new rows."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom
from sales import HORIZON, Sales, day, make_sales, read_table, rows_of, write_config, write_sales, write_table

from pipelines.forecasting.config import Config
from pipelines.forecasting.data import read_splits
from toolkit import config as configs
from toolkit.artifact import read_weights, seal
from toolkit.data import windows


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.usefixtures("plain_report")
def test_a_new_run_goes_on_from_the_old_one_which_stays_as_it_was(plain: Path) -> None:
    before = hashes(plain)
    longer = write_sales(Path("longer.csv"), make_sales(4, 240))
    result = seqloom("update", longer, "--model", plain, "--out", "new", "--epochs", 1)
    assert result.code == 0, result.err
    assert hashes(plain) == before
    old, new = (read_weights(folder / "weights.safetensors") for folder in (plain, Path("new")))
    moved = max(float(np.abs(new[name] - old[name]).max()) for name in old)
    assert old.keys() == new.keys() and 0 < moved < 0.3  # a fresh network would be further away
    manifest = json.loads(Path("new/manifest.json").read_text())
    assert manifest["files"].keys() == before.keys() - {"manifest.json"}
    assert manifest["data"]["steps"] == 4 * 240
    found = read_table(seqloom("forecast", longer, "--model", "new").out)
    assert len(found) == 4 * HORIZON and found[0]["ds"] == day(240)
    before, after = (json.loads((folder / "plan.json").read_text()) for folder in (plain, Path("new")))
    moved_on = after.pop("trained_until") - before.pop("trained_until")
    assert moved_on > 20  # so that recent intervals are calibrated on nothing that was trained on now
    assert after == before


def test_what_cannot_be_updated_is_refused(plain: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_sales(Path("a.csv"), make_sales(2, 100))
    assert run(table, data={"known": []}, model={"kind": "naive"}).code == 0
    result = seqloom("update", table, "--model", "run", "--out", "new")
    assert result.code == 1 and "no network to train on with. Train anew with `run`." in result.err
    result = seqloom("update", table, "--model", plain, "--out", "run")
    assert result.code == 1 and "this folder holds a finished run" in result.err
    result = seqloom("update", table, "--model", "nowhere", "--out", "new")
    assert result.code == 1 and "there is no such run folder" in result.err
    shutil.copytree(plain, "copy")
    Path("copy/weights.safetensors").write_bytes(b"")
    result = seqloom("update", table, "--model", "copy", "--out", "new")
    assert result.code == 1 and "weights.safetensors: damaged" in result.err
    short = write_sales(Path("short.csv"), make_sales(2, 20))
    result = seqloom("update", short, "--model", plain, "--out", "new")
    assert result.code == 1 and "no row is later than those that the run has learned from" in result.err
    assert not Path("new").exists()


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("split", [{"train": 120, "validation": 28, "test": 28}, {"test": "later.csv"}])
def test_what_was_held_back_once_does_not_hold_new_rows_back(split: dict[str, Any], run: Any) -> None:
    sales = make_sales(2, 240)
    table = write_sales(Path("a.csv"), sales.days(176))
    later = rows_of(Sales(sales.values[:, 176:204], sales.promotions[:, 176:204]))
    write_table(Path("later.csv"), [[name, day(176 + t % 28), *cells] for t, (name, _, *cells) in enumerate(later)])
    options = {"data": {"known": []}, "model": {"kind": "network"}, "training": {"epochs": 1}}
    assert run(table, split=split, **options).code == 0
    result = seqloom("update", write_sales(Path("b.csv"), sales), "--model", "run", "--out", "new", "--epochs", 1)
    assert result.code == 0, result.err
    assert json.loads(Path("new/manifest.json").read_text())["data"]["steps"] == 2 * 240
    old, new = (json.loads((Path(name) / "learned.json").read_text()) for name in ("run", "new"))
    assert all(new[name] > old[name] for name in old)


@pytest.mark.usefixtures("plain_report")
def test_what_chooses_and_scores_is_new_to_the_run(run: Any) -> None:
    """The old weights have learned from all but the last horizons: nothing before those may validate the new ones."""
    sales = make_sales(2, 210)
    options = {"data": {"known": []}, "model": {"kind": "network"}, "training": {"epochs": 1}}
    assert run(write_sales(Path("a.csv"), sales.days(200)), **options).code == 0
    seen = json.loads(Path("run/learned.json").read_text())
    new = write_config(Path("b.yaml"), write_sales(Path("b.csv"), sales), **options)
    config = configs.validate(configs.read_document(new), Config)
    splits, horizon = read_splits(config, learned=seen)
    panel = splits.panel
    firsts = windows.cutoff_ordinals(panel, splits.validation)
    assert (firsts >= [seen[panel.ids[k]] for k in splits.validation.series]).all()
    assert len(splits.validation) and len(splits.test)
    assert (splits.validation.ends + horizon <= splits.test_starts[splits.validation.series]).all()


@pytest.mark.usefixtures("plain_report")
def test_a_run_that_does_not_say_what_it_has_learned_from_is_updated_with_a_warning(plain: Path) -> None:
    shutil.copytree(plain, "early")
    Path("early/learned.json").unlink()
    seal(Path("early"), "forecasting", {})
    longer = write_sales(Path("longer.csv"), make_sales(4, 240))
    result = seqloom("update", longer, "--model", "early", "--out", "new", "--epochs", 1)
    assert result.code == 0 and "early is a run of an early version: it does not say" in result.err
    assert Path("new/learned.json").exists()
