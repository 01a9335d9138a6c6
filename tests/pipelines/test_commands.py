"""`init`, `check`, `schema`, `doctor` and `vectors`, and what all commands share."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from keywords import Row, keyword_rows, seqloom, write_config, write_splits, write_table

from pipelines.text_classification import init as starter
from toolkit.kernels import prediction

QUICK = ("--set", "encoder.units=4", "--set", "training.epochs=1", "--set", "vectors.ngram_buckets=50")


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs from `init` train without vectors here."""
    monkeypatch.setattr(starter, "_vectors", lambda: "word2vec")


def numbered(rows: list[Row]) -> list[Row]:
    return [(f"{text} {i}", label) for i, (text, label) in enumerate(rows)]


def init(data: str) -> str:
    result = seqloom("init", "classify", data)
    assert result.code == 0, result.err
    Path("my.yaml").write_text(result.out)
    return result.out


def checked() -> dict[str, str]:
    result = seqloom("check", "my.yaml", "--json", *QUICK)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_version_is_that_of_the_package() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    result = seqloom("--version")
    assert (result.code, result.out.split()) == (0, ["seqloom", project["version"]])


def test_init_fits_a_csv_and_its_config_runs(here: Path) -> None:
    write_table(Path("d.csv"), numbered(keyword_rows(90)), ("Message", "Topic"))
    config = init("d.csv")
    assert "text: Message" in config and "label: Topic" in config
    assert "monitor: accuracy" in config
    assert checked()["rows"] == "train 72  validation 9  test 9"
    result = seqloom("run", "my.yaml", "--out", "run", *QUICK)
    assert result.code == 0, result.err
    assert "report: run/report.html" in result.out


def test_init_finds_many_labels_and_the_one_for_none(here: Path) -> None:
    write_table(Path("d.csv"), numbered(keyword_rows(160, many=True, other=True)))
    config = init("d.csv")
    assert 'label_separator: ";"' in config
    assert "out_of_scope: other" in config
    assert "monitor: macro_f1" in config
    assert checked()["labels"].startswith("3: ")
    assert seqloom("run", "my.yaml", "--out", "run", *QUICK).code == 0


def test_init_has_a_threshold_for_none_of_the_above_where_a_label_means_it(here: Path) -> None:
    write_table(Path("d.csv"), numbered(keyword_rows(160, other=True)))
    assert "score: entropy" in init("d.csv")
    assert seqloom("run", "my.yaml", "--out", "run", *QUICK).code == 0
    assert json.loads(Path("run/decision.json").read_text())["none"]["score"] == "entropy"


def test_init_accepts_rows_without_a_label_where_there_may_be_many(here: Path) -> None:
    write_table(Path("d.csv"), numbered([*keyword_rows(160, many=True), ("hello", "")]))
    assert 'label_separator: ";"' in init("d.csv")
    assert "none of them 1" in checked()["labels"]


def test_init_fits_a_folder(here: Path) -> None:
    for number, (text, label) in enumerate(keyword_rows(60)):
        Path("docs", label).mkdir(parents=True, exist_ok=True)
        Path("docs", label, f"{number}.txt").write_text(f"{text} {number}")
    init("docs")
    assert checked()["labels"] == "3: account 16, delivery 16, refund 16"


def test_init_finds_lists_of_labels_in_jsonl(here: Path) -> None:
    rows = [
        {"id": i, "text": text, "tags": label.split(";")} for i, (text, label) in enumerate(keyword_rows(60, many=True))
    ]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"text": "no tags"}\n')
    config = init("d.jsonl")
    assert "label: tags" in config and "separator" not in config
    assert "monitor: macro_f1" in config


def test_init_finds_columns_of_0_and_1(here: Path) -> None:
    labels = ("account", "delivery", "refund")
    rows = [
        (text, *(str(int(name in label.split(";"))) for name in labels)) for text, label in keyword_rows(60, many=True)
    ]
    write_table(Path("d.csv"), rows, ("comment", *labels))
    config = init("d.csv")
    assert "# columns of 0 and 1, one for each label\n    - account\n    - delivery\n    - refund\n" in config
    assert "monitor: macro_f1" in config and checked()["labels"].startswith("3: ")


def test_init_finds_lists_that_pandas_wrote(here: Path) -> None:
    rows = [(text, str(label.split(";"))) for text, label in keyword_rows(60, many=True)]
    write_table(Path("d.csv"), rows, ("text", "tags"))
    config = init("d.csv")
    assert "label: tags" in config and "separator" not in config
    assert checked()["labels"].startswith("3: ")


def test_init_sees_that_there_is_no_header(here: Path) -> None:
    Path("d.csv").write_text("".join(f"{text},{label}\n" for text, label in numbered(keyword_rows(60))))
    config = init("d.csv")
    assert "header: false" in config and 'text: "0"' in config and 'label: "1"' in config
    assert checked()["rows"] == "train 48  validation 6  test 6"


def test_init_takes_numbers_of_columns_for_names(here: Path) -> None:
    rows = [(text, str(i % 2)) for i, (text, _) in enumerate(numbered(keyword_rows(60)))]
    write_table(Path("d.csv"), rows, ("0", "1"))
    config = init("d.csv")
    assert "header" not in config and 'text: "0"' in config and 'label: "1"' in config


def test_init_sees_all_labels_of_a_file_that_is_sorted_by_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "ROWS", 40)
    rows = sorted(numbered(keyword_rows(160, other=True)), key=lambda row: row[1])
    write_table(Path("d.csv"), [(str(i), *row) for i, row in enumerate(rows)], ("id", "body", "kind"))  # type: ignore
    config = init("d.csv")
    assert "label: kind" in config and "out_of_scope: other" in config and "class_weights" not in config


def test_init_weighs_rare_labels(here: Path) -> None:
    rows = numbered([*keyword_rows(90), *[("rare words", "rare")] * 5])
    write_table(Path("d.csv"), rows)
    assert "class_weights: balanced" in init("d.csv")


def test_init_does_not_take_rows_without_a_label_for_a_rare_one(here: Path) -> None:
    write_table(Path("d.csv"), [*numbered(keyword_rows(90)), ("no label yet", ""), ("nor here", " ")])
    assert "rare" not in init("d.csv")


@pytest.mark.parametrize("names", [("we: ird #text", 'the "label"'), ("null", "true"), ("a\\b", "1e5"), ("- x", "&y")])
def test_init_quotes_odd_names(names: tuple[str, str]) -> None:
    write_table(Path("my d#ta's.csv"), numbered(keyword_rows(60)), names)
    init("my d#ta's.csv")
    assert checked()["labels"] == "3: account 16, delivery 16, refund 16"


def test_init_says_that_a_label_is_a_guess_and_names_others(here: Path) -> None:
    names = ("Verbatim", "customer_satisfaction_level", "branch")
    rows = [(f"words that are long {i}", str(i % 3), f"b{i % 4}") for i in range(90)]
    write_table(Path("d.csv"), rows, names)  # type: ignore[arg-type]
    config = init("d.csv")
    assert "  label: customer_satisfaction_level # a guess; or branch\n" in config
    assert checked()["labels"].startswith("3: ")


@pytest.mark.parametrize("name", ["d.txt", "d"])
@pytest.mark.parametrize("header", [True, False])
def test_init_sees_a_table_in_a_file_whose_name_does_not_tell(name: str, header: bool, here: Path) -> None:
    rows = [("text", "label")] * header + numbered(keyword_rows(60))
    Path(name).write_text("".join(f"{text}\t{label}\n" for text, label in rows), "utf-16")
    config = init(name)
    assert "  format: tsv " in config and ("header: false" in config) != header
    assert checked()["labels"] == "3: account 16, delivery 16, refund 16"


@pytest.mark.parametrize("mark", ["", "__label__"])
def test_init_reads_lines_that_begin_with_a_label(mark: str, here: Path) -> None:
    lines = "".join(f"{mark}{label}\t{text}\n" for text, label in numbered(keyword_rows(60)))
    for name in ("d.txt", "d"):
        Path(name).write_text(lines)
        assert ("  format: lines " in init(name)) == (name == "d")
        assert checked()["labels"] == "3: account 16, delivery 16, refund 16"
    Path("d.log").write_text(lines.replace("\t", " "))
    told = seqloom("init", "classify", "d.log").err
    assert told.startswith("seqloom: d.log: the name does not tell the format. Let it end in .csv")


def test_init_names_other_columns_of_texts(here: Path) -> None:
    texts = [(f"a title of some length {i}", f"words that are a good deal longer {i}") for i in range(60)]
    rows = [(i, *both, "ab"[i % 2]) for i, both in enumerate(texts)]
    write_table(Path("d.csv"), rows, ("id", "Title", "Description", "label"))  # type: ignore[arg-type]
    assert "  text: Description              # a guess; or Title\n  label: label\n" in init("d.csv")


def test_init_says_that_a_usual_label_is_a_guess_where_few_rows_have_one(here: Path) -> None:
    rows = [(f"some words {i}", "a" * (i % 3 == 0), "xyz"[i % 3], "") for i in range(60)]
    write_table(Path("d.csv"), rows, ("text", "tags", "kind", "label"))  # type: ignore[arg-type]
    assert "  label: tags                    # a guess; or kind\n" in init("d.csv")  # and no row has a label


def test_init_passes_over_lists_of_objects(here: Path) -> None:
    rows = [{"marks": [{"value": "long" * 20}], "data": {"text": f"words {i}"}, "kind": "ab"[i % 2]} for i in range(60)]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = seqloom("init", "classify", "d.jsonl")
    assert "  text: data.text\n  label: kind\n" in result.out
    assert result.err == "note: d.jsonl: What is inside lists of objects is not read (marks).\n"
    Path("d.jsonl").write_text(Path("d.jsonl").read_text().replace("kind", "label"))
    assert not seqloom("init", "classify", "d.jsonl").err


def test_init_tells_of_labels_that_are_probably_none(here: Path) -> None:
    write_table(Path("d.csv"), [(f"words {i}", f"file {i}") for i in range(30)], ("text", "name"))
    assert "note: d.csv: 30 different labels in 30 rows (name)" in seqloom("init", "classify", "d.csv").err
    for part in ("test", "training"):
        Path("docs", part).mkdir(parents=True)
        for i in range(30):
            Path("docs", part, f"{i}.txt").write_text(f"words {i}")
    told = "the labels are test, training, which are parts of a data set; name each of them by itself in data."
    assert f"note: docs: {told}" in seqloom("init", "classify", "docs").err
    write_table(Path("d.csv"), [(f"words {i}", ("pos", "neg", "unsup")[i % 3]) for i in range(30)])
    told = "unsup is learned like any other label; take its texts away if they have no label."
    assert seqloom("init", "classify", "d.csv").err == f"note: d.csv: {told}\n"
    write_table(Path("d.csv"), numbered(keyword_rows(60)))
    assert not seqloom("init", "classify", "d.csv").err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.csv", "", "nothing to read"),
        ("d.csv", "text,label\n", "nothing to read"),
        ("d.csv", "text\nhello\n", "one column (text), expected a text and a label"),
        ("d.csv", "text,label\nhello,\n", "no row has anything in the column 'label', expected labels"),
        ("d.json", "[{}]", "no column, expected a text and a label"),
    ],
)
def test_init_tells_what_is_wrong_with_data(name: str, content: str, told: str) -> None:
    Path(name).write_text(content)
    result = seqloom("init", "classify", name)
    if result.code == 0:
        Path("my.yaml").write_text(result.out)
        result = seqloom("check", "my.yaml")
    assert result.code == 1
    assert name in result.err and told in result.err and "should not happen" not in result.err


def test_check_tells_what_a_run_would_do(here: Path) -> None:
    data = write_splits(here)
    long_row = ("parcel " * 20, "delivery")
    rows = [*keyword_rows(95), long_row]
    write_table(Path("train.csv"), rows)
    write_table(Path("test.csv"), [rows[0], ("entirely unseen vocabulary", "refund")])
    config = write_config(Path("c.yaml"), {**data, "train": "train.csv", "test": "test.csv"}, tokens={"max_tokens": 10})
    result = seqloom("check", config, "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert facts["rows"] == "train 96  validation 36  test 2"
    assert facts["labels"] == "3: delivery 33, account 32, refund 31"
    assert "1 of test in train or validation" in facts["shared texts"]
    assert "1 of 2 test texts stand in the training or validation rows too" in result.err
    assert facts["truncated"].startswith("1.0% ")
    assert facts["words read"] == "median 7, longest 10"
    assert facts["steps an epoch"] == "6 of 16 rows, 30 in all at most"
    assert re.match(r"\d+\.\d+% of the computed steps", facts["padding"])
    assert re.match(r"1 x [\d,]+, of which [\d,]+ train", facts["parameters"])
    assert re.match(r"about \d+ MB to train, beside the data and some 1,000 MB for libraries", facts["memory"])
    assert facts["unknown words"].endswith("of the words in the validation texts")
    assert not Path("runs").exists()


@pytest.mark.parametrize(("training", "told"), [("frozen", "random, and stay so"), ("tuned", "random, learned")])
def test_check_tells_what_becomes_of_random_vectors(training: str, told: str, here: Path) -> None:
    config = write_config(Path("c.yaml"), write_splits(here), vectors={"training": training})
    result = seqloom("check", config, "--json")
    assert json.loads(result.out)["vectors"].startswith(told)


def test_check_names_every_broken_file_at_once(here: Path) -> None:
    Path("test.csv").write_text("text,lable\nhello,a\n")
    data = {"train": "nowhere.csv", "validation": "there.csv", "test": "test.csv"}
    result = seqloom("check", write_config(Path("c.yaml"), data))
    assert result.code == 1
    assert [line.split(":")[0] for line in result.err.splitlines()] == ["nowhere.csv", "there.csv", "test.csv"]
    assert "Did you mean lable?" in result.err


def test_check_notes_each_oddity_once(here: Path) -> None:
    write_table(Path("d.csv"), [*numbered(keyword_rows(60)), ("", "refund")])
    result = seqloom("check", write_config(Path("c.yaml"), {"train": "d.csv"}))
    assert result.err.count("rows without text") == 1


def test_schema_is_a_json_schema_that_knows_every_stanza() -> None:
    from pipelines.text_classification.config import Config

    schema = json.loads(seqloom("schema").out)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == Config.model_fields.keys()
    assert {"pipeline", "data"} <= set(schema["required"])
    for definition in schema["$defs"].values():
        for name, field in definition["properties"].items():
            assert "description" in field or "$ref" in field, name


def test_set_replaces_values_and_is_checked_like_the_file(trained: Any) -> None:
    facts = json.loads(seqloom("check", trained.config, "--json", "--set", "training.batch_size=32").out)
    assert facts["steps an epoch"].startswith("6 of 32 rows")
    result = seqloom("check", trained.config, "--set", "encoder.cel=gru", "--set", "training.epochs=many")
    assert result.code == 2
    assert "--set encoder.cel=gru: encoder.cel is not a key here. Did you mean encoder.cell?" in result.err
    assert "--set training.epochs=many: training.epochs is 'many', expected a whole number" in result.err


def test_doctor_prints_versions_devices_and_kernels() -> None:
    facts = json.loads(seqloom("doctor", "--json").out)
    assert {"system", "keras", "tensorflow", "onnxruntime", "backend", "devices", "training"} <= facts.keys()
    library, name = prediction.load()
    named = "avx512 and amx" if name == "amx" else name
    told = f"kernel with {named} instructions" if library else f"of Seqloom's own: {name}"
    assert told in facts["prediction"]
    shown = seqloom("doctor")
    assert shown.code == 0
    assert all(value in shown.out for value in facts.values())


def test_doctor_says_how_many_threads_it_was_told_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLOOM_THREADS", "3")
    assert json.loads(seqloom("doctor", "--json").out)["threads"].startswith("3, as asked;")
    monkeypatch.setenv("SEQLOOM_THREADS", "many")
    result = seqloom("doctor")
    assert (result.code, "SEQLOOM_THREADS is 'many'" in result.err) == (2, True)


def test_neighbours_are_the_nearest_by_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLOOM_CACHE", "cache")
    Path("v.txt").write_text("king 1 0\nqueen 2 0.1\nman 0 1\nwoman 0.1 3\ncar -1 0\n")
    result = seqloom("vectors", "neighbours", "king", "--vectors", "v.txt", "-k", 2, "--json")
    assert list(json.loads(result.out)) == ["queen", "woman"]
    assert seqloom("vectors", "neighbours", "king", "--vectors", "v.txt").out.splitlines()[0] == "0.999  queen"
    result = seqloom("vectors", "neighbours", "kign", "--vectors", "v.txt")
    assert result.code == 1
    assert "'kign' has no vector. Did you mean king?" in result.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["clasify"], "No such command 'clasify'. Did you mean 'classify'?"),
        (["classify", "a.txt"], "Missing option '--model'"),
        (["run", "c.yaml", "--otu", "x"], "No such option: --otu"),
        (["run", "nowhere.yaml"], "nowhere.yaml: this config cannot be read: No such file"),
        (["run", "."], "this config cannot be read: Is a directory"),
        (["init", "summarize", "d.csv"], "expected classify"),
        (["schema", "forecast"], "expected text_classification"),
    ],
)
def test_wrong_usage_has_code_2_and_a_sentence(arguments: list[str], told: str) -> None:
    result = seqloom(*arguments)
    assert result.code == 2
    assert told in result.err
    assert "should not happen" not in result.err


def test_no_command_prints_the_help() -> None:
    result = seqloom()
    assert result.code == 2
    assert "classify" in result.out + result.err
    assert "should not happen" not in result.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"pipeline": "text_clasification"},
            "c.yaml:2: pipeline is 'text_clasification', expected text_classification",
        ),
        ({"pipeline": None}, "pipeline is missing"),
        ({"pipeline": ["text_classification"]}, "pipeline is ['text_classification'], expected text_classification"),
        ({"encoder": {"cel": "gru"}}, "encoder.cel is not a key here. Did you mean encoder.cell?"),
        ({"extra": 1}, "extra is not a key here"),
        ({"training": {"epochs": -3}}, "training.epochs is -3, expected at least 1"),
        ({"encoder": {"units": 1e9}}, "encoder.units is 1000000000.0, expected"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"model": {"pooling": []}}, "model.pooling is [], expected at least 1 item. It is"),
        ({"model": {"pooling": ["last"], "segment": 8}}, "last needs texts in one piece"),
        ({"data": {"train": "d.csv", "validation": 1.5}}, "data.validation: 1.5 is not a share between 0 and 1"),
        ({"data": {"train": "d.csv", "test": 0}}, "data.test: 0 is not a share between 0 and 1"),
        ({"data": {"train": "d.csv", "validation": -0.1}}, "data.validation: -0.1 is not a share"),
        ({"data": {"train": "d.csv", "validation": 0.6, "test": 0.5}}, "leave no rows to train on"),
        ({"data": {"train": "d.csv", "label": "text"}}, "are the same column, 'text'"),
        ({"data": {"train": []}}, "data.train is [], expected a string or at least 1 item. It is"),
        ({"data": {}}, "data.train is missing"),
    ],
)
def test_config_mistakes_are_told_with_their_place(change: dict[str, Any], told: str) -> None:
    data = {"data": {"train": "d.csv"}} | change
    write_config(Path("c.yaml"), data.pop("data"), **data)
    for command in ("check", "run"):
        result = seqloom(command, "c.yaml")
        assert result.code == 2
        assert told in result.err
        assert re.match(r"(seqloom: )?c\.yaml:\d+: ", result.err)
    assert not Path("runs").exists()
