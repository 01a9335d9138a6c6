"""Questions to SQL over a real database: what is learned of some values holds for those that training never saw."""

import json
import random
import sqlite3

import pytest

from pipelines.translation import train as training
from pipelines.translation.config import Config
from pipelines.translation.predict import Translator
from pipelines.translation.train import train
from toolkit.errors import ArtifactError, DataError

CITIES = ["Aleppo", "Bergen", "Cork", "Dover", "Essen", "Fano", "Ghent", "Hanoi"]
STATES = ["Iowa", "Jura", "Kent", "Lagos", "Maine", "Navarra", "Oregon", "Punjab"]
KNOWN = 6  # of each; training knows no others


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("database") / "places.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE city (name TEXT, people INT)")
        connection.execute("CREATE TABLE state (title TEXT, area INT)")
        connection.executemany("INSERT INTO city VALUES (?, ?)", [(city, i) for i, city in enumerate(CITIES)])
        connection.executemany("INSERT INTO state VALUES (?, ?)", [(state, -i) for i, state in enumerate(STATES)])
    connection.close()
    return path


def question(random_, value):
    begin = random_.choice(["how large is", "the size of", "tell me the size of", "what size has"])
    of_city = value in CITIES
    column, table, key = ("people", "city", "name") if of_city else ("area", "state", "title")
    return {"source": f"{begin} {value}", "target": f'SELECT {column} FROM {table} WHERE {key} = "{value}" ;'}


@pytest.fixture(scope="module")
def config(database, tmp_path_factory):
    folder, random_ = tmp_path_factory.mktemp("questions"), random.Random(1)
    known, unseen = CITIES[:KNOWN] + STATES[:KNOWN], CITIES[KNOWN:] + STATES[KNOWN:]
    parts = {"train": [question(random_, value) for value in known * 25]}
    parts["test"] = parts["validation"] = [question(random_, value) for value in unseen * 4]
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = {name: str(folder / f"{name}.jsonl") for name in parts}
    return Config.model_validate(
        {
            "pipeline": "translation",
            "data": {**files, "database": str(database)},
            "tokens": {"kind": "dotted", "joint": False, "max_source": 12, "max_target": 20},
            "model": {"embedding": 32, "copy_words": True, "value_columns": True, "dropout": 0.0},
            "encoder": {"cell": "gru", "units": 32},
            "decoder": {"cell": "gru", "units": 32, "dropout": 0.0},
            "training": {"epochs": 12, "batch_tokens": 128, "learning_rate": 0.01, "label_smoothing": 0.0},
        }
    )


def test_values_that_training_never_saw_are_copied_into_the_right_query(config, tmp_path):
    report = train(config, tmp_path / "run", resume=False)
    assert report["test"]["exact_match"] > 0.9
    assert report["test"]["execution_accuracy"] > 0.9
    assert report["baselines"]["nearest training sentence"]["execution_accuracy"] == 0
    (found,) = Translator(tmp_path / "run").translate(["how large is Punjab"])
    assert found.text == 'SELECT area FROM state WHERE title = "Punjab" ;'


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"compare": ["runs/nowhere"]}, ArtifactError, r"runs/nowhere: there is no such run folder"),
        ({"data": {"database": "nowhere.sqlite"}}, DataError, r"nowhere\.sqlite: there is no such file"),
    ],
)
def test_what_only_the_report_needs_is_refused_before_training(config, tmp_path, monkeypatch, changes, error, told):
    monkeypatch.setattr(training, "fit_network", lambda *_: pytest.fail("it trained"))
    plain = config.model_dump()
    plain["data"].update(changes.pop("data", {}))
    plain["model"]["value_columns"] = False
    with pytest.raises(error, match=told):
        train(Config.model_validate({**plain, **changes}), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()
