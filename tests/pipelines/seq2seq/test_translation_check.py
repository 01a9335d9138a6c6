"""What `check` tells about a translation config before it is trained."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from keywords import Result, seqloom

from pipelines.translation.config import Config
from pipelines.translation.data import grouped
from toolkit.config import dump
from toolkit.data.pairs import Pairs

PAIRS = [(f"show city {i} of ohio", f"SELECT a FROM city WHERE n = {i} ;") for i in range(40)]


def write(path: str, pairs: list[tuple[Any, Any]]) -> str:
    Path(path).write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in pairs))
    return path


def check(data: dict[str, Any], **stanzas: Any) -> Result:
    values = {
        "pipeline": "translation",
        "data": data,
        "tokens": {"kind": "words", "joint": False},
        "model": {"embedding": 8},
        "encoder": {"units": 8},
        "decoder": {"units": 8},
    }
    for name, stanza in stanzas.items():
        values[name] = {**values.get(name, {}), **stanza} if isinstance(stanza, dict) else stanza
    Path("c.yaml").write_text(json.dumps(values))
    return seqloom("check", "c.yaml", "--json")


def facts(data: dict[str, Any], **stanzas: Any) -> dict[str, str]:
    result = check(data, **stanzas)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_facts_come_in_reading_order(tiny_config: Config) -> None:
    Path("tiny.yaml").write_text(dump(tiny_config))
    result = seqloom("check", "tiny.yaml", "--json")
    assert result.code == 0, result.err
    assert result.err == ""
    found = json.loads(result.out)
    assert list(found) == [
        "pairs",
        "shared sources",
        "suspicious pairs",
        "pieces a source",
        "pieces a target",
        "truncated",
        "left out",
        "vocabulary",
        "unknown pieces",
        "sources have",
        "copying",
        "parameters",
        "memory",
        "steps an epoch",
        "batch shapes",
        "padding",
    ]
    assert found["pairs"] == "train 240  validation 30  test 30"
    assert found["shared sources"] == "0 of validation stand in train too, 0 of test in train or validation"
    assert found["suspicious pairs"] == "none in training"
    assert found["pieces a source"] == found["pieces a target"] == "median 3, longest 4"
    assert found["vocabulary"] == "10 pieces to read, 10 to write"
    assert found["unknown pieces"] == "0.00% of the validation sources, 0.00% of the targets"
    assert found["sources have"].startswith("no capitals and no marks such as . , ? ! ;")
    assert re.match(r"about [\d,]+ MB to train, beside the data and some 1,000 MB for libraries", found["memory"])
    steps = re.fullmatch(r"([\d,]+) of about 64 target pieces, ([\d,]+) in all at most", found["steps an epoch"])
    assert steps and int(steps[2]) == 8 * int(steps[1])
    assert re.fullmatch(r"\d+\.\d% of the computed steps", found["padding"])
    assert int(found["batch shapes"]) <= 12
    assert not Path("runs").exists()


def test_the_shown_facts_are_those_of_json(tiny_config: Config) -> None:
    Path("tiny.yaml").write_text(dump(tiny_config))
    found = json.loads(seqloom("check", "tiny.yaml", "--json").out)
    shown = seqloom("check", "tiny.yaml").out.splitlines()
    assert [re.split(r"  +", line, maxsplit=1) for line in shown] == [list(item) for item in found.items()]


def test_several_references_and_shared_sources_are_counted() -> None:
    train, test = (
        write("train.jsonl", PAIRS),
        write("test.jsonl", [(PAIRS[0][0].upper(), ["x y", "x z"]), ("new", "x")]),
    )
    found = facts({"train": train, "test": test})
    assert found["pairs"].endswith("test 3 (1 of 2 sources have several)")
    assert found["shared sources"].startswith("0 of validation stand in train too, 1 of test")


def test_long_sources_and_left_out_targets_are_counted() -> None:
    pairs = [*PAIRS[:38], ("w " * 12, "SELECT 1 ;"), ("v", "x " * 30)]
    test = write("test.jsonl", PAIRS[38:])
    data = {"train": write("train.jsonl", pairs), "validation": test, "test": test}
    result = check(data, tokens={"kind": "words", "joint": False, "max_source": 10, "max_target": 20})
    found = json.loads(result.out)
    assert found["truncated"] == "2.5% of the training sources are longer than tokens.max_source"
    assert found["left out"].startswith("1 training pairs")
    assert found["pieces a source"] == "median 5, longest 10"
    assert result.err.count("1 training pairs were left out") == 1


def test_lengths_are_those_of_the_pairs_that_were_given() -> None:
    """Not of those which training.concatenate makes of two of them; these count in the steps of an epoch."""
    longest = max(PAIRS, key=lambda pair: len(pair[1]))
    data = {"train": write("a.jsonl", [*PAIRS, (longest[0], f"{longest[1]} " * 10)])}
    tokens = {"kind": "words", "joint": False, "max_target": 25}
    alone = facts(data, tokens=tokens)
    more = facts(data, tokens=tokens, training={"concatenate": 1.0})
    assert alone["left out"].startswith("1 ")
    assert more["steps an epoch"] != alone["steps an epoch"]
    for name in ("pieces a source", "pieces a target"):
        assert more[name] == alone[name]


def test_concatenated_pairs_that_are_too_long_are_told() -> None:
    data = {"train": write("train.jsonl", PAIRS)}
    tokens, training = {"kind": "words", "joint": False}, {"concatenate": 1.0}
    assert check(data, tokens=tokens, training=training).err == ""
    told = "note: training.concatenate adds 0 pairs instead of 32, since the others would be longer"
    assert told in check(data, tokens={**tokens, "max_source": 10}, training=training).err


def test_what_only_copying_can_write_is_told_where_it_is_on() -> None:
    train = write("train.jsonl", PAIRS[:30])
    validation = write("validation.jsonl", [PAIRS[0], PAIRS[35]])  # of the second, the number is new
    data = {"train": train, "validation": validation, "test": validation}
    plain, copying = facts(data), facts(data, model={"embedding": 8, "copy_words": True})
    assert plain["copying"] == "off"
    assert plain["unknown pieces"] == "10.00% of the validation sources, 5.56% of the targets"
    assert copying["copying"] == "50.0% of the validation targets have pieces that can only be copied"
    assert copying["unknown pieces"] == "10.00% of the validation sources, 0.00% of the targets"


def test_a_joint_vocabulary_is_one_of_both_sides() -> None:
    data = {"train": write("train.jsonl", PAIRS)}
    assert facts(data, tokens={"kind": "characters", "joint": True})["vocabulary"].endswith(" pieces for both sides")


def test_suspicious_pairs_are_noted() -> None:
    result = check({"train": write("train.jsonl", [*PAIRS, PAIRS[0]])})
    assert json.loads(result.out)["suspicious pairs"] == "in training there are; the notes name them"
    assert result.err.count("repeat an earlier one") == 1


def test_larger_batches_take_more_memory() -> None:
    data = {"train": write("train.jsonl", PAIRS)}

    def megabytes(tokens: int) -> int:
        found = facts(data, training={"batch_tokens": tokens}, encoder={"units": 512}, decoder={"units": 512})
        return int(re.sub(r"\D", "", found["memory"]))

    assert megabytes(300) > megabytes(10)


def test_written_pairs_need_no_file() -> None:
    found = facts({"phrases": {"source": "en", "target": "es", "rows": 200}}, tokens={"kind": "characters"})
    assert found["pairs"].startswith("train ")


def test_queries_that_fail_are_counted() -> None:
    connection = sqlite3.connect("d.sqlite")
    connection.execute("CREATE TABLE city (n INTEGER)")
    connection.commit()
    connection.close()
    test = write("test.jsonl", [("how many", "SELECT COUNT(*) FROM city"), ("which", "SELECT b FROM nowhere")])
    found = facts({"train": write("train.jsonl", PAIRS), "test": test, "database": "d.sqlite"})
    assert found["failing queries"].startswith("1 of 2 test sources have no query that works; the first: ")


def test_all_that_cannot_be_used_is_named_at_once() -> None:
    Path("test.jsonl").write_text('{"source": "a", "traget": "b"}\n')
    data = {
        "train": "nowhere.jsonl",
        "validation": write("validation.jsonl", PAIRS),
        "test": "test.jsonl",
        "database": "d.sqlite",
    }
    result = check(data, compare=["runs/none"])
    assert result.code == 1
    assert [line.split(":")[0] for line in result.err.splitlines()] == [
        "nowhere.jsonl",
        "test.jsonl",
        "runs/none",
        "d.sqlite",
    ]
    assert "Did you mean traget?" in result.err


def test_word_vectors_of_another_size_than_the_embeddings_are_told() -> None:
    Path("vectors.txt").write_text("one 0.5 1\ntwo 1 0.5\n")
    data = {"train": write("train.jsonl", PAIRS), "database": "d.sqlite"}
    tokens, vectors = {"kind": "words", "joint": False}, {"target": "vectors.txt"}
    result = check(data, tokens=tokens, vectors=vectors, model={"embedding": 4})
    assert result.code == 2
    assert "vectors.target has 2 units, and model.embedding is 4. Set model.embedding: 2." in result.err
    assert "d.sqlite" in result.err  # all at once


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([], "nothing to read"),
        ([("a", "b")], "all pairs that are left have one source"),
        ([("", "b")], "no pair with a text on both sides"),
        ([("a", None)] * 3, "no pair with a text on both sides"),
    ],
)
def test_data_that_cannot_be_split_is_told(pairs: list[tuple[Any, Any]], told: str) -> None:
    result = check({"train": write("train.jsonl", pairs)})
    assert result.code == 1
    assert told in result.err and "should not happen" not in result.err


def test_repeated_pairs_are_scored_once_and_told(tmp_path):
    rows = [("a", "x"), ("b", "y"), ("a", "x"), ("a", "z")]
    with pytest.warns(UserWarning, match=r"test: 1 of 4 pairs repeat another one; each is scored once\."):
        sources = grouped(Pairs([a for a, _ in rows], [b for _, b in rows], "test"))
    assert sources == (["a", "b"], [("x", "z"), ("y",)])
