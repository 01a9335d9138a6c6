"""Runs that read capitals (tokens.capitals)."""

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from keywords import FILLER, seqloom, write_config, write_table

from pipelines.text_classification import evaluate
from pipelines.text_classification.explain import explain
from pipelines.text_classification.predict import Classifier

NAMES = ("mark", "rose", "will", "art", "bill", "hope", "grace", "frank")


class Trained(NamedTuple):
    folder: Path
    data: dict[str, str]
    report: dict[str, Any]


def rows(count: int, seed: int) -> list[tuple[str, str]]:
    """The same words are things, names or short for something by their capitals alone."""
    random_, writings = random.Random(seed), {"thing": str, "name": str.title, "short": str.upper}
    return [_row(random_, label, writings[label]) for label in random_.choices(list(writings), k=count)]


def _row(random_: random.Random, label: str, write: Any) -> tuple[str, str]:
    words = random_.choices(FILLER, k=6)
    words.insert(random_.randint(1, 6), write(random_.choice(NAMES)))
    return " ".join(words), label


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base = tmp_path_factory.mktemp("capitals")
    sizes = {"train": 192, "validation": 48, "test": 48}
    data = {
        name: str(write_table(base / f"{name}.csv", rows(count, seed)))
        for seed, (name, count) in enumerate(sizes.items())
    }
    config = write_config(base / "c.yaml", data, tokens={"capitals": True}, model={"linear": True})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluate, "render", lambda *_: ("<html></html>", "verdict"))
        result = seqloom("run", config, "--out", base / "run", "--json")
    assert result.code == 0, result.err
    return Trained(base / "run", data, json.loads(result.out))


def test_they_tell_apart_what_the_same_words_do_not(run: Trained) -> None:
    assert run.report["test"]["accuracy"] > 0.9
    assert run.report["baselines"]["TF-IDF + logistic regression"]["accuracy"] < 0.6
    result = seqloom("evaluate", "--model", run.folder, "--data", run.data["test"], "--json")
    assert json.loads(result.out) == run.report["test"]


def test_the_linear_model_reads_them_too(run: Trained) -> None:
    stored = json.loads((run.folder / "linear.json").read_text())
    assert stored["capitals"] is True and "<AA>" in stored["terms"]


def test_the_answer_rests_on_the_sign(run: Trained) -> None:
    found = explain(run.folder, "you need ROSE again")
    assert list(found.steps) == ["you", "need", "<AA>", "rose", "again"]
    assert found.answer.startswith("short")
    assert found.most(1)[0][0] == "<AA>"


def test_hiding_a_word_hides_it_from_the_linear_model(run: Trained) -> None:
    linear = Classifier(run.folder).scorer.linear
    assert linear
    seen: list[str] = []
    score = type(linear.model).logits
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(linear.model), "logits", lambda model, texts: seen.extend(texts) or score(model, texts))
        explain(run.folder, "my ROSE is here")
    assert seen == [
        "my ROSE is here",
        " ROSE is here",
        "my rose is here",
        "my  is here",
        "my ROSE  here",
        "my ROSE is ",
    ]


def test_a_text_without_a_word_is_explained(run: Trained) -> None:
    found = explain(run.folder, "___")
    assert list(found.steps) == ["(no word)"] and len(found.effects) == 1


def test_a_run_from_before_there_were_such_still_answers(trained: Any, texts: list[str], here: Path) -> None:
    vocabulary = json.loads((trained.folder / "vocabulary.json").read_text())
    old = {name: value for name, value in vocabulary.items() if name != "capitals"}
    assert len(old) == len(vocabulary) - 1
    scorer = Classifier(trained.folder).scorer
    assert type(scorer.encoder)(**old).encode(texts) == scorer.encoder.encode(texts)
