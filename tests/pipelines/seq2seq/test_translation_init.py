"""Configs that `init translate` writes: fitted to the data, and accepted by `check`."""

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from keywords import seqloom

from pipelines.translation import init as starter
from pipelines.translation.config import Config
from toolkit.config import parse, validate

ENGLISH = ("the cat", "a dog", "my house", "this old tree", "every child", "the teacher")
VERBS = ("sleeps", "is here", "looks good", "never moves", "runs, doesn't it")
Pair = tuple[str, str]


def sentences(count: int, *, seed: int = 0) -> list[Pair]:
    """Sentences and their words with other endings."""
    random_ = random.Random(seed)
    sources = [f"{random_.choice(ENGLISH)} {random_.choice(VERBS)} {i}." for i in range(count)]
    return [(source, source.replace("e", "en").replace("a", "ar")) for source in sources]


def queries(count: int) -> list[Pair]:
    return [(f"show the city with number {i}", f"SELECT city.a FROM city WHERE n = {i} ;") for i in range(count)]


def write(path: str, rows: list[Any], header: list[str] | None = None) -> str:
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="," if ".csv" in path else "\t").writerows([*([header] if header else []), *rows])
    return path


def init(data: str) -> Config:
    """The config, once `check` has accepted it."""
    result = seqloom("init", "translate", data)
    assert result.code == 0, result.err
    Path("my.yaml").write_text(result.out)
    small = [f"--set={key}=4" for key in ("model.embedding", "encoder.units", "decoder.units")]
    checked = seqloom("check", "my.yaml", *small, "--json")
    assert checked.code == 0, checked.err
    return validate(parse(result.out, "my.yaml"), Config)


@pytest.mark.parametrize(
    ("header", "source", "target"),
    [
        (["source", "target"], 0, 1),
        (["tgt", "src"], 1, 0),
        (["english_text", "spanish_text"], 0, 1),
        (["de", "en"], 0, 1),
        (["English text", "German text"], 0, 1),
        (["one_side", "other_side"], 0, 1),
        (["text", "spanish"], 0, 1),
        (["Target text", "Source text"], 1, 0),
        (["Term (EN)", "Term (ES)"], 0, 1),
        (["Text EN", "Text ES"], 0, 1),
        (["User question", "SQL query"], 0, 1),
        (["Original sentence", "Translated sentence"], 0, 1),
    ],
)
def test_columns_are_found_by_their_names(header: list[str], source: int, target: int) -> None:
    config = init(write("d.csv", sentences(40), header))
    assert (config.data.source, config.data.target, config.data.header) == (header[source], header[target], True)


def test_numbers_of_columns_are_names() -> None:
    config = init(write("d.csv", [(i, *pair) for i, pair in enumerate(sentences(40))], ["", "0", "1"]))
    assert (config.data.source, config.data.target, config.data.header) == ("0", "1", True)


@pytest.mark.parametrize("header", [["prompt", "completion", "", ""], ["", "prompt", "completion"]])
def test_columns_without_a_name_are_passed_over(header: list[str]) -> None:
    cells = [{"prompt": source, "completion": target, "": ""} for source, target in sentences(40)]
    config = init(write("d.csv", [[row[name] for name in header] for row in cells], header))
    assert (config.data.source, config.data.target, config.data.header) == ("prompt", "completion", True)


def test_other_columns_are_passed_over() -> None:
    rows = [(i, a, "https://example.org/a/long/address", b, "note") for i, (a, b) in enumerate(sentences(40))]
    config = init(write("d.tsv", rows, ["id", "en", "url", "es", "note"]))
    assert (config.data.source, config.data.target) == ("en", "es")
    config = init(write("d.tsv", rows, ["id", "input", "url", "output", "note"]))
    assert (config.data.source, config.data.target) == ("input", "output")


def test_without_known_names_the_longest_texts_count_in_their_order() -> None:
    rows = [("ab", a, i, b, "x") for i, (a, b) in enumerate(sentences(40))]
    config = init(write("d.csv", rows, ["split", "erste_zeile", "number", "zweite_zeile", "mark"]))
    assert (config.data.source, config.data.target) == ("erste_zeile", "zweite_zeile")


@pytest.mark.parametrize("first", [("Go.", "Geh."), ("Is it?", "Es ist?"), ("go", "geh"), ("Hi", "Hi")])
def test_a_file_without_header_uses_its_first_texts(first: Pair) -> None:
    rows = [(*pair, "CC-BY 2.0 Attribution, a long one: tatoeba.org #52027") for pair in [first, ("a", "b")]]
    config = init(write("d.txt", [*rows, *((*pair, "CC-BY 2.0 Attribution") for pair in sentences(40))]))
    assert (config.data.header, config.data.source, config.data.target) == (False, "0", "1")
    assert (config.tokens.kind, config.tokens.long_sources) == ("bpe", "split")


@pytest.mark.parametrize(
    "first",
    [
        ("A Hindi man sits behind a table.", "Ein Hindi sitzt hinter einem Tisch."),
        ("a man with an EL shirt and a cap", "ein Mann mit EL auf dem Hemd und einer Mütze"),
        ("What is the question?", "Which query is it?"),
        ("it is", "es ist"),
        ("IT IS", "ES IST"),
    ],
)
def test_a_first_row_of_sentences_is_no_header(first: Pair) -> None:
    assert not init(write("d.csv", [first, *sentences(40)])).data.header


def test_a_word_above_numbers_is_the_name_of_a_column() -> None:
    rows = [(i, *pair) for i, pair in enumerate(sentences(40))]
    config = init(write("d.csv", rows, ["ID", "Natural language", "Bash command line"]))
    assert (config.data.source, config.data.target) == ("Natural language", "Bash command line")


@pytest.mark.parametrize("mark", [",", " ||| "])
def test_a_text_file_without_tabs_is_told_what_stands_between_columns(mark: str) -> None:
    Path("d.txt").write_text("".join(f"{a}{mark}{b}\n" for a, b in sentences(40)))
    result = seqloom("init", "translate", "d.txt")
    assert result.code == 1 and "tabs stand between columns; where commas do, let the name end in .csv." in result.err


def test_columns_that_say_the_same_in_all_rows_are_no_texts() -> None:
    config = init(write("d.tsv", [("eng", "deu", *pair) for pair in sentences(40)]))
    assert (config.data.header, config.data.source, config.data.target) == (False, "2", "3")
    config = init(write("d.tsv", [("a", "eng", a, "b", "deu", b) for a, b in sentences(40)]))
    assert (config.data.source, config.data.target) == ("2", "5")
    config = init(write("d.csv", [(a, "the same answer") for a, _ in sentences(40)], ["source", "target"]))
    assert (config.data.source, config.data.target) == ("source", "target")


def test_two_parallel_files_need_no_columns() -> None:
    for ending, side in zip(("en", "de"), zip(*sentences(40), strict=True), strict=True):
        Path(f"train.{ending}.gz").write_bytes(gzip.compress("\n".join(side).encode()))
    config = init("train.{en,de}.gz")
    assert config.data.train == "train.{en,de}.gz"
    assert "\n  source:" not in Path("my.yaml").read_text()


@pytest.mark.parametrize("name", ["d.jsonl", "d.json#rows", "d.parquet"])
def test_other_tables_are_read(name: str) -> None:
    rows = [{"id": i, "question": a, "sql": b} for i, (a, b) in enumerate(queries(40))]
    match name:
        case "d.jsonl":
            Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        case "d.json#rows":
            Path("d.json").write_text(json.dumps({"rows": rows}))
        case _:
            import pandas as pd

            pd.DataFrame(rows).to_parquet(name)
    config = init(name)
    assert (config.data.source, config.data.target) == ("question", "sql")


def test_lists_of_references_are_texts() -> None:
    rows = [{"input": a, "n": 1, "other": [b, b.upper()]} for a, b in sentences(40)]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = init("d.jsonl")
    assert (config.data.source, config.data.target) == ("input", "other")


def test_the_usual_objects_of_translations_are_read() -> None:
    rows = [{"id": str(i), "translation": {"en": a, "es": b}} for i, (a, b) in enumerate(sentences(40))]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = init("d.jsonl")
    assert (config.data.source, config.data.target) == ("translation.en", "translation.es")


def test_that_texts_inside_lists_of_objects_are_not_read_is_told() -> None:
    told = "What is inside lists of objects is not read (sentences): write a row with two texts for each pair."
    rows = [{"split": "ab"[i % 2], "sentences": [{"text": a}], "sql": [b]} for i, (a, b) in enumerate(queries(40))]
    Path("d.json").write_text(json.dumps(rows))
    assert f"note: d.json: {told}" in seqloom("init", "translate", "d.json").err
    Path("d.json").write_text(json.dumps([{"question": row["split"], **row} for row in rows]))
    assert told not in seqloom("init", "translate", "d.json").err
    Path("d.json").write_text(json.dumps([{"sentences": row["sentences"]} for row in rows]))
    assert told in seqloom("init", "translate", "d.json").err


def test_queries_are_dotted_words_that_may_be_copied() -> None:
    config = init(write("d.csv", queries(60), ["question", "query"]))
    assert (config.data.source, config.data.target) == ("question", "query")
    assert config.tokens.kind == "dotted" and not config.tokens.joint
    assert config.tokens.long_sources == "truncate"  # two parts would be two queries
    assert config.model.copy_words
    assert config.training.monitor == "exact_match"


def test_questions_without_blanks_between_words_are_read_in_sub_words() -> None:
    """As a word, a clause of them would be seen once."""
    pairs = [(f"请列出编号为{i}的城市", query) for i, (_, query) in enumerate(queries(60))]
    config = init(write("d.csv", pairs, ["question", "query"]))
    assert config.tokens.kind == "bpe" and not config.tokens.joint
    assert config.model.copy_words and config.training.monitor == "exact_match"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select count(*) from city", True),
        ("if x[0] == self.y(1):", True),
        ("I_TURN_LEFT I_WALK I_WALK", False),
        ("Well, select one of them -- please!", False),
        ("झुको! वाह!", False),
        ("", False),
    ],
)
def test_code_is_told_from_prose(text: str, code: bool) -> None:
    assert starter._is_code([text] * 3) is code


def test_alphabets_that_differ_have_vocabularies_of_their_own() -> None:
    greek = str.maketrans("abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρστυφχψωϊϋ")
    config = init(write("d.csv", [(a, b.translate(greek)) for a, b in sentences(40)], ["en", "el"]))
    assert not config.tokens.joint
    assert init(write("d.csv", sentences(40), ["en", "es"])).tokens.joint


def test_few_pairs_get_a_small_network_and_more_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("d.csv", sentences(60), ["en", "es"])
    few = init(path)
    monkeypatch.setattr(starter, "FEW", 50)
    more = init(path)
    assert few.encoder.units < more.encoder.units and few.model.embedding < more.model.embedding
    assert few.model.dropout > more.model.dropout
    monkeypatch.setattr(starter, "MANY", 55)
    many = init(path)
    assert many.data.validation == many.data.test == 0.02


def test_vocabularies_grow_with_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("d.csv", sentences(60), ["en", "es"])
    monkeypatch.setattr(starter, "PIECES", ((50, 300), (70, 500), (90, 700)))
    assert init(path).tokens.vocabulary == 500


def test_a_small_table_has_steps_enough_to_learn_something() -> None:
    rows = [(f"{source} {source}", target) for source, target in sentences(4_900)]
    steps = []
    for count in (300, 1_000, 4_900):
        path = write("d.csv", rows[:count], ["en", "es"])
        training = init(path).training
        found = json.loads(seqloom("check", "my.yaml", "--json").out)["steps an epoch"]
        steps.append(int(found.split()[0]))
        assert training.patience * 2 >= training.epochs  # the learning rate has decayed before training can end
    assert steps[0] > 15 and steps[1] > 50 and 90 < steps[2] < 250


@pytest.mark.parametrize("pairs", [20_000, 1_000_000])
def test_a_large_table_has_batches_of_few_pairs(pairs: int) -> None:
    assert 30 < starter._batch_tokens(pairs, 12.0) / 12 < 75


def test_languages_share_vectors_and_code_copies() -> None:
    assert init(write("d.csv", sentences(40), ["en", "es"])).model.tie == "all"
    greek = [(source, "".join(chr(ord("α") + ord(sign) % 20) for sign in target)) for source, target in sentences(40)]
    assert init(write("d.csv", greek, ["en", "el"])).model.tie == "output"
    code = init(write("d.csv", queries(60), ["question", "query"]))
    assert code.model.tie == "none" and code.model.copy_words


def test_limits_hold_the_lengths_of_files_that_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "ROWS", 30)
    rows = [("w " * (1 + i // 4) + str(i), "v " * (1 + i // 2)) for i in range(200)]
    config = init(write("d.csv", rows, ["source", "target"]))
    assert config.tokens.max_source > 50
    assert config.tokens.max_target > 100


@pytest.mark.parametrize(
    "header", [["null", "true"], ["we: ird #text", 'the "en" side'], ["a\\b", "1e5"], ["- x", "&y"]]
)
def test_odd_names_are_quoted(header: list[str]) -> None:
    config = init(write("my d#ta's.csv", sentences(40), header))
    if config.data.header:
        assert (config.data.source, config.data.target) == tuple(header)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "nothing to read"),
        ("source,target\n", "found the names 'source', 'target' and no row"),
        ("source\nhello you\n", "columns of texts: source; expected two"),
        ("source,target\nhello,1\nyou,2\n", "columns of texts: source; expected two"),
        ("source,target\nhello,\nyou,\n", "columns of texts: source; expected two"),
        ("source,target\nhello,you,there\n", "found 3 cells, expected 2"),
    ],
)
def test_data_that_cannot_be_used_is_told(content: str, told: str) -> None:
    Path("d.csv").write_text(content)
    result = seqloom("init", "translate", "d.csv")
    if result.code == 0:
        Path("my.yaml").write_text(result.out)
        result = seqloom("check", "my.yaml")
    assert result.code == 1
    assert "d.csv" in result.err and told in result.err and "should not happen" not in result.err


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.{en,de}", "folder", "d.xyz"])
def test_what_is_no_table_is_told(name: str) -> None:
    Path("folder").mkdir()
    Path("d.xyz").write_text("hello")
    result = seqloom("init", "translate", name)
    assert result.code in (1, 2)
    assert "should not happen" not in result.err


def test_hostile_texts_are_looked_at() -> None:
    rows = [(f"\x1b[31m \N{PILE OF POO} {i} नमस्ते \u202e", f"你好 {{0}} %s {i} \u2028") for i in range(30)]
    Path("d.jsonl").write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in rows))
    init("d.jsonl")
