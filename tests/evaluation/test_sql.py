"""Execution accuracy: what counts as the same result, and queries that must not do harm."""

import _thread
import hashlib
import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.evaluation import sql
from toolkit.evaluation.sql import Database, Failure, execution_accuracy

GEOGRAPHY = Path(__file__).parents[2].parent / "shared" / "data" / "text2sql"
TABLES = """
    CREATE TABLE city (name TEXT, state TEXT, people INT, area REAL);
    INSERT INTO city VALUES ('Reno', 'nevada', 264165, 286.8), ('Sparks', 'nevada', 108445, 93.2),
        ('Mesa', 'arizona', 504258, 359.7), ('Mesa', 'arizona', 504258, 359.7),
        ('Ñ \N{PARTY POPPER}', NULL, NULL, NULL);
    CREATE INDEX names ON city (name);
"""
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT "


def build(path: Path, script: str = TABLES) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sql") / "a?b#c %41 é.sqlite")


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database(path, seconds=20) as database:
        yield database


def reason(database: Database, query: str) -> str:
    result = database.run(query)
    assert isinstance(result, Failure), result
    return result.reason


def test_a_query_gives_its_rows(database: Database) -> None:
    assert database.run("SELECT name, people FROM city WHERE state = 'nevada' ORDER BY people ;").rows == [
        ("Sparks", 108445),
        ("Reno", 264165),
    ]
    assert database.run("SELECT name, area FROM city WHERE state IS NULL").rows == [("Ñ \N{PARTY POPPER}", None)]
    assert database.run("SELECT name FROM city WHERE people > 1e9 -- none").rows == []


SAME = [
    ("SELECT name FROM city", "SELECT NAME AS n FROM City c"),
    ("SELECT name FROM city ORDER BY name DESC", "SELECT name FROM city"),
    ("SELECT name, people FROM city ORDER BY people", "SELECT name, people FROM city ORDER BY people, name"),
    ("SELECT count(*) FROM city", "SELECT 5"),
    ("SELECT sum(area) / 3 FROM city", "SELECT sum(area / 3) FROM city"),
    ("SELECT 2.0", "SELECT 2"),
    ("SELECT 2.0000001, 'b' UNION ALL SELECT 2.0, 'a'", "SELECT 2.0, 'b' UNION ALL SELECT 2.0000001, 'a'"),
    ("SELECT 9e999", "SELECT 8e999"),
    ("SELECT NULL", "SELECT people FROM city WHERE state IS NULL"),
    ("SELECT name FROM city WHERE 0", "SELECT name FROM city WHERE 1 = 2"),
]
DIFFERENT = [
    ("SELECT DISTINCT name FROM city", "SELECT name FROM city"),
    ("SELECT name FROM city", "SELECT name FROM city ORDER BY name DESC"),
    ("SELECT people, name FROM city", "SELECT name, people FROM city"),
    ("SELECT name, name FROM city", "SELECT name FROM city"),
    ("SELECT name FROM city WHERE 0", "SELECT name FROM city"),
    ("SELECT 2.00001", "SELECT 2.0"),
    ("SELECT 29760021", "SELECT 29760022"),
    ("SELECT '2'", "SELECT 2"),
    ("SELECT 0", "SELECT NULL"),
    ("SELECT 'reno'", "SELECT 'Reno'"),
    ("SELECT 1 UNION ALL SELECT 1 UNION ALL SELECT 2", "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 2"),
]


@pytest.mark.parametrize(("predicted", "reference"), SAME)
def test_the_same_rows_match(predicted: str, reference: str, database: Database) -> None:
    assert database.same_result(predicted, [reference])


@pytest.mark.parametrize(("predicted", "reference"), DIFFERENT)
def test_other_rows_do_not_match(predicted: str, reference: str, database: Database) -> None:
    assert not database.same_result(predicted, [reference])


def test_any_reference_may_match(database: Database) -> None:
    assert database.same_result("SELECT 2", ["SELEC 2", "SELECT 1", "SELECT 2"])
    assert not database.same_result("SELECT 3", ["SELEC 2", "SELECT 1", "SELECT 2"])
    assert not database.same_result("SELECT 3", [])


def test_nothing_is_the_right_answer_only_with_as_many_columns(database: Database) -> None:
    nobody = "SELECT name, people FROM city WHERE people < 0"
    assert database.same_result("SELECT people, name FROM city WHERE 0", [nobody])
    assert not database.same_result("SELECT 1 WHERE 0", [nobody])


@pytest.mark.parametrize(
    ("reference", "ordered"),
    [
        ("SELECT name FROM city order\n by name", True),
        ("WITH c AS (SELECT name FROM city) SELECT name FROM c ORDER/* */BY name", True),
        ("SELECT name FROM city WHERE name <> ')' AND name <> '((' ORDER BY name", True),
        ("SELECT 'it''s (' AS [a(], \"(\" AS `(` ORDER BY 1 -- (", True),
        ("SELECT name FROM (SELECT name FROM city ORDER BY name)", False),
        ("SELECT row_number() OVER (ORDER BY name) FROM city", False),
        ("SELECT name AS 'order by', name AS \"x order by\" FROM city -- ORDER BY name", False),
        ("SELECT name AS my_order FROM city /* ORDER BY name", False),
    ],
)
def test_order_counts_where_the_reference_sorts_its_rows(reference: str, ordered: bool, database: Database) -> None:
    assert not isinstance(result := database.run(reference), Failure), result.reason
    assert sql._is_sorted(reference) is ordered


VALUES = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([0.5, 2.0, 1e300]), st.sampled_from(["", "a"]))
RESULTS = st.lists(st.tuples(VALUES, VALUES), max_size=6)


@given(RESULTS, RESULTS, st.randoms(use_true_random=False))
def test_rows_are_compared_as_multisets(first: list, second: list, random) -> None:
    assert sql._same_rows(first, second, ordered=False) is (Counter(first) == Counter(second))
    assert sql._same_rows(first, second, ordered=True) is (first == second)
    noisy = [tuple(v * (1 + 1e-9) if isinstance(v, float) else v for v in row) for row in first]
    assert sql._same_rows(first, noisy, ordered=True)
    random.shuffle(noisy)
    assert sql._same_rows(first, noisy, ordered=False)


def test_a_query_that_fails_matches_nothing_not_even_itself(database: Database) -> None:
    for broken in ("SELECT nowhere FROM city", "SELEC 1", "", "DROP TABLE city"):
        assert not database.same_result(broken, [broken])
    assert not database.same_result("SELECT 1", ["SELEC 1"])


def test_accuracy_is_told_row_by_row(database: Database) -> None:
    predicted = ["SELECT 1", "SELECT 2", "who?"]
    accuracy = execution_accuracy(database, predicted, [["SELECT 1"], ["SELECT 1"], ["SELECT 1"]])
    assert accuracy.dtype == bool and accuracy.tolist() == [True, False, False]
    assert execution_accuracy(database, [], []).shape == (0,)
    with pytest.raises(ValueError, match="zip"):
        execution_accuracy(database, predicted, [["SELECT 1"]])


def test_references_that_fail_are_counted_by_row(database: Database) -> None:
    failing = database.failing([["SELECT 1", "SELEC 1"], ["SELEC 1", "x"], ["SELECT nowhere FROM city"]])
    assert failing == ['near "SELEC": syntax error', "no such column: nowhere"]


HARM = [
    "DROP TABLE city",
    "DELETE FROM city",
    "UPDATE city SET people = 0",
    "INSERT INTO city VALUES (1, 2, 3, 4)",
    "WITH x AS (SELECT 1) INSERT INTO city SELECT 1, 2, 3, 4",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "ATTACH '{folder}/new.sqlite' AS x",
    "VACUUM",
    "VACUUM INTO '{folder}/new.sqlite'",
    "PRAGMA writable_schema = ON",
    "PRAGMA hard_heap_limit = 1",
    "SELECT * FROM pragma_table_info('city')",
    "BEGIN EXCLUSIVE",
    "ANALYZE",
    "REINDEX",
    "EXPLAIN DROP TABLE city",
    "SELECT load_extension('{folder}/x.so')",
    "SELECT LOAD_EXTENSION('{folder}/x.so', 'y')",
    "SELECT FTS3_Tokenizer('simple')",
]


@pytest.mark.parametrize("query", HARM)
def test_only_reading_is_allowed(query: str, database: Database, path: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(path.read_bytes()).digest()
    # Builds of SQLite differ in what functions there are at all.
    assert re.search("more than read tables|no such function", reason(database, query.format(folder=tmp_path)))
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert os.listdir(path.parent) == [path.name] and not os.listdir(tmp_path)
    assert database.run("SELECT count(*) FROM city").rows == [(5,)]


@pytest.mark.parametrize(
    "query",
    [
        ENDLESS + "max(x) FROM c",
        ENDLESS + "x FROM c ORDER BY -x",
        "SELECT count(*) FROM " + ", ".join(f"city c{i}" for i in range(40)),
        ENDLESS + "count(instr(replace(hex(zeroblob(49000)), '0', 'a'), replace(hex(zeroblob(x)), '0', 'a'))) FROM c",
    ],
)
def test_a_query_without_end_is_stopped(query: str, path: Path) -> None:
    started = time.monotonic()
    with Database(path, seconds=0.3) as database:
        assert reason(database, query) == "it takes longer than 0.3 seconds"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ENDLESS + "x FROM c", "more than 10,000 rows"),
        ("SELECT a.* FROM city a, city b, city c, city d, city e, city f", "more than 10,000 rows"),
        (ENDLESS + "zeroblob(90000) FROM c", "more than 10 MB"),
        ("SELECT randomblob(1e9)", "too big"),
        ("SELECT replace(hex(zeroblob(40000)), '00', 'abcdefgh')", "too big"),
        ("SELECT group_concat(hex(zeroblob(9000))) FROM city a, city b", "too big"),
    ],
)
def test_a_huge_result_is_not_gathered(query: str, expected: str, database: Database) -> None:
    assert expected in reason(database, query)


@pytest.mark.parametrize(
    "query",
    [
        ENDLESS + "randomblob(90000) AS y FROM c ORDER BY y",
        # Each name stands for two of the one before, all of which SQLite expands before it runs anything.
        "WITH c0 AS (SELECT 1 AS x), "
        + ", ".join(f"c{i} AS (SELECT a.x FROM c{i - 1} a, c{i - 1} b)" for i in range(1, 40))
        + " SELECT * FROM c39",
    ],
)
def test_memory_is_bounded(query: str, path: Path) -> None:
    with Database(path, seconds=5) as database:
        assert re.search("memory|longer", reason(database, query))
        assert database.run("SELECT 1").rows == [(1,)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELEC name FROM city", "syntax error"),
        ("SELECT nowhere FROM city", "no such column"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 1; DROP TABLE city", "one statement"),
        ("", "no query"),
        (" \n-- nothing", "no query"),
        ("SELECT '\0'", "null character"),
        ("SELECT '\ud800'", "surrogates"),
        ("SELECT ?", "bindings"),
        ("\N{PARTY POPPER}", "syntax error"),
        pytest.param("SELECT " + "1 + " * 300_000 + "1", "too large|too big", id="a megabyte"),
        pytest.param("SELECT 1" + " UNION SELECT 1" * 2000, "too many", id="many"),
    ],
)
def test_what_is_no_query_says_why(query: str, expected: str, database: Database) -> None:
    assert re.search(expected, reason(database, query))


def test_ctrl_c_stops_more_than_the_query(path: Path) -> None:
    ended = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

    def press() -> None:
        while not ended.wait(0.5):  # again, for Python drops one that comes while it runs a finalizer
            _thread.interrupt_main()

    with Database(path, seconds=20) as database:
        threading.Thread(target=press, daemon=True).start()
        try:
            with pytest.raises(KeyboardInterrupt):
                database.run(ENDLESS + "max(x) FROM c")
        finally:
            ended.set()
            signal.signal(signal.SIGINT, before)


def test_text_that_is_no_unicode_is_kept_apart(tmp_path: Path) -> None:
    with Database(build(tmp_path / "a.db", "CREATE TABLE t AS SELECT CAST(x'ff' AS TEXT) AS a")) as database:
        assert database.run("SELECT a FROM t").rows == [("\\xff",)]
        assert not database.same_result("SELECT CAST(x'fe' AS TEXT)", ["SELECT a FROM t"])


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    contents = {"text": b"name,people\n" * 999, "empty": b"", "half": b"SQLite format 3\0" + b"\xff" * 5000}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: cannot be read as an SQLite database"):
            Database(tmp_path / name)
    for name in ("missing.sqlite", "."):
        with pytest.raises(DataError, match="there is no such file; expected an SQLite database"):
            Database(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == sorted(contents)


def test_a_closed_database_is_not_taken_for_wrong_queries(path: Path) -> None:
    with Database(path) as database:
        assert database.run("SELECT 1").rows == [(1,)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        execution_accuracy(database, ["SELECT 1"], [["SELECT 1"]])


@pytest.mark.skipif(not GEOGRAPHY.is_dir(), reason="the shared data is not here")
def test_the_queries_of_geography_run() -> None:
    references = []
    for entry in json.loads((GEOGRAPHY / "geography.json").read_text()):
        examples = {each["name"]: each["example"] for each in entry["variables"]}
        for sentence in entry["sentences"]:
            values = {**examples, **sentence["variables"]}
            pattern = re.compile("|".join(map(re.escape, values)) or r"\Z")
            fill = [pattern.sub(lambda match, v=values: v.get(match.group(), ""), query) for query in entry["sql"]]
            references.append(fill)
    predicted = [each[0] for each in references]
    with Database(GEOGRAPHY / "geography-db.added-in-2020.sqlite") as database:
        reasons = Counter(result.reason for query in predicted if isinstance(result := database.run(query), Failure))
        # MySQL's ALL, and an alias that is one of an inner query
        assert reasons == {'near "ALL": syntax error': 1, "no such column: DERIVED_TABLEalias1.STATE_NAME": 4}
        assert len(database.failing(references)) == 1
        assert execution_accuracy(database, predicted, references).sum() == len(references) - 5
        other = [*predicted[400:], *predicted[:400]]
        assert execution_accuracy(database, other, references).mean() < 0.1
