"""Runs that are trained on with new rows."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom
from sales import HORIZON, day, make_sales, read_table, write_sales

from toolkit.artifact import read_weights


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
    assert result.code == 1 and "0 values of a series at most are new to the run, too few" in result.err
    assert not Path("new").exists()
