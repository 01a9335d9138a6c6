"""Code of several lines is learned, written and scored with its line breaks and its indentation."""

import itertools
import json
from pathlib import Path

import pytest
from keywords import seqloom
from translators import changed, write_pairs

from pipelines.translation.answers import score
from pipelines.translation.config import Config
from pipelines.translation.train import train

NAMES = ("a", "b", "c", "d", "e", "f")
FORMS = (
    ("if {} do {} and {}", "if {}:\n  {}\n  {}"),
    ("if {} do {} then {}", "if {}:\n  {}\n{}"),
    ("if {} and {} do {}", "if {}:\n  if {}:\n\n    {}"),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [*itertools.permutations(NAMES, 3)]
    rows = [(said.format(*three), code.format(*three)) for three in names for said, code in FORMS]
    return write_pairs(tmp_path_factory.mktemp("layout") / "code.csv", rows)


@pytest.fixture(scope="module")
def coder(tiny_config: Config, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that writes code of several lines."""
    folder = tmp_path_factory.mktemp("coder") / "run"
    config = changed(
        tiny_config, data={"train": str(pairs), "layout": True}, tokens={"max_source": 16, "max_target": 16}
    )
    train(config, folder, resume=False)
    return folder


def test_layout_is_learned_and_scored(coder: Path) -> None:
    report = json.loads((coder / "report.json").read_text())
    assert report["test"]["exact_match"] > 0.9
    page = (coder / "report.html").read_text()
    assert "⇥" in page.split("<h2>Sentences</h2>")[1]


def test_a_text_is_written_as_it_is_with_a_blank_line_after_it(coder: Path) -> None:
    result = seqloom("translate", "-", "--model", coder, stdin=b"if a do b and c\nif a and b do c\n")
    assert result.code == 0, result.err
    assert result.out == "if a:\n  b\n  c\n\nif a:\n  if b:\n\n    c\n\n"


def test_tables_keep_translations_of_several_lines_apart(coder: Path) -> None:
    result = seqloom(
        "translate", "-", "--model", coder, "--format", "jsonl", stdin=b"if a do b then c\nif e do a and d\n"
    )
    assert [record["translation"] for record in result.records] == ["if a:\n  b\nc", "if e:\n  a\n  d"]


def test_code_whose_layout_differs_is_no_match_whatever_the_width_of_its_levels() -> None:
    reference = [["if a:\n    b\n    c"]]
    assert score(["if a:\n  b\n  c"], reference)["exact_match"] == 1
    assert score(["if a:\n  b\nc"], reference)["exact_match"] == 0
    assert score(["if a: b c"], reference)["exact_match"] == 0


def test_layout_of_texts_that_are_cut_is_refused(tiny_config: Config) -> None:
    with pytest.raises(ValueError, match=r"data\.layout is of whole texts"):
        changed(tiny_config, data={"layout": True}, tokens={"long_sources": "split"})


def test_a_first_config_keeps_the_layout_of_code_alone(pairs: Path, tmp_path: Path) -> None:
    assert "layout: true" in seqloom("init", "translate", pairs).out
    queries = [(f"what of {name}", f"SELECT {name}\nFROM t WHERE x = '{name}'") for name in "abcdefghijk"]
    flat = [(said, code.replace("\n", " ")) for said, code in [("if a do b", "if (a): b()")] * 9]
    for rows in (queries, flat):
        assert "layout" not in seqloom("init", "translate", write_pairs(tmp_path / "other.csv", rows)).out
