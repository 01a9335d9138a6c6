"""Unknown names and numbers are told apart by how they are written, and phrases of queries are written at once."""

import json
import random

import pytest

from pipelines.explain import explain
from pipelines.translation.config import Config
from pipelines.translation.predict import Translator
from pipelines.translation.prepare import prepare
from pipelines.translation.train import train

BEGINNINGS = ("show me", "what is", "tell me about", "find")


def question(random_, value):
    table, key = ("course", "number") if value.isdecimal() else ("teacher", "name")
    query = f"SELECT * FROM {table} WHERE {key} = {value} ;"
    return {"source": f"{random_.choice(BEGINNINGS)} {value}", "target": query}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder, random_ = tmp_path_factory.mktemp("questions"), random.Random(1)
    names = ["".join(random_.choices("abdegiklmnoprstu", k=6)).capitalize() for _ in range(300)]
    numbers = [str(number) for number in random_.sample(range(100, 1000), 300)]
    parts = {"train": [*names[:270], *numbers[:270]], "test": [*names[270:], *numbers[270:]]}
    parts["validation"] = parts["test"]
    for part, values in parts.items():
        rows = [json.dumps(question(random_, value)) for value in values]
        (folder / f"{part}.jsonl").write_text("\n".join(rows))
    return Config.model_validate(
        {
            "pipeline": "translation",
            "data": {part: str(folder / f"{part}.jsonl") for part in parts},
            "tokens": {
                "kind": "dotted",
                "joint": False,
                "min_count": 2,
                "merge_count": 20,
                "max_source": 8,
                "max_target": 20,
            },
            "model": {"embedding": 32, "copy_words": True, "word_forms": True, "dropout": 0.0},
            "encoder": {"cell": "gru", "units": 32},
            "decoder": {"cell": "gru", "units": 32, "dropout": 0.0, "input_feeding": False},
            "training": {"epochs": 10, "batch_tokens": 64, "learning_rate": 0.01, "label_smoothing": 0.0},
        }
    )


def test_what_is_asked_of_a_word_never_seen_follows_from_its_form(config, tmp_path):
    assert train(config, tmp_path / "run", resume=False)["test"]["exact_match"] > 0.9
    found = list(Translator(tmp_path / "run").translate(["find Zoë", "what is 007"]))
    assert found[0].text == "SELECT * FROM teacher WHERE name = Zoë ;"
    assert found[1].pieces == ["SELECT * FROM course WHERE number =", "007", ";"]
    inside = explain(tmp_path / "run", "find Zoë")
    assert inside.effects[1] > 0 and inside.notes == ["1 of 2 pieces are unknown."]  # but its form is read


def test_targets_are_as_long_as_their_phrases_and_no_word_is_lost(config):
    prepared, plain = prepare(config), prepare(config.model_copy(update={"tokens": plain_tokens(config)}))
    assert {len(target) for target in prepared.train.targets} == {3}
    assert {len(target) for target in plain.train.targets} == {9}
    assert prepared.codec.limits == plain.codec.limits and prepared.left_out == plain.left_out == 0


def plain_tokens(config):
    return config.tokens.model_copy(update={"merge_count": 0})


def test_concatenated_pairs_are_more_pairs_of_the_same_pieces(config):
    training = config.training.model_copy(update={"concatenate": 0.5})
    prepared, again = (prepare(config.model_copy(update={"training": training})) for _ in range(2))
    plain = prepare(config)
    count = len(plain.train.targets)
    assert prepared.train == again.train and prepared.codec == plain.codec
    assert prepared.train.targets[:count] == plain.train.targets
    assert 0.4 * count < len(prepared.train.targets[count:]) <= 0.5 * count
    sources, targets = prepared.train.lengths
    assert set(targets[:count]) == {4} and set(targets[count:]) == {8}
    assert sources.max() <= config.tokens.max_source
