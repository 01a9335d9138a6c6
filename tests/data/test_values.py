"""Values of a database are found in texts, the longest first, and nothing hostile comes of a file or of stored ones."""

import sqlite3

import pytest

from toolkit.data import values
from toolkit.data.alphabet import Alphabet
from toolkit.data.codec import RESERVED, TextCodec
from toolkit.data.values import ColumnValues, read_values
from toolkit.errors import DataError
from toolkit.stored import from_json, to_json


@pytest.fixture
def places(tmp_path):
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE city ("City_Name" TEXT, state_name TEXT, people INT, height TEXT)')
        connection.execute("CREATE TABLE state (state_name TEXT, capital TEXT)")
        rows = [("New York", "New York", 8, "10"), ("Salem", "Oregon", 1, "47.5"), ("", None, None, None)]
        connection.executemany("INSERT INTO city VALUES (?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO state VALUES ('oregon', 'salem')")
    connection.close()
    return path


def cities(path, *names):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE city (name TEXT)")
        connection.executemany("INSERT INTO city VALUES (?)", [(name,) for name in names])
    connection.close()
    return path


def read(path):
    return read_values(path, lambda texts: [text.split() for text in texts])


def columns_of(found, text):
    pairs = zip(*found.group(text.split()), strict=True)
    return {word: [found.columns[i] for i in columns] for word, columns in pairs}


def test_words_are_known_by_the_columns_that_hold_them_whatever_their_case(places):
    found = read(places)
    assert found.columns == ["capital", "city_name", "state_name"]
    assert columns_of(found, "is SALEM in Oregon") == {
        "is": [],
        "SALEM": ["capital", "city_name"],
        "in": [],
        "Oregon": ["state_name"],
    }


def test_a_cell_that_is_not_utf_8_hides_no_other(places):
    with sqlite3.connect(places) as connection:
        connection.execute("INSERT INTO state VALUES (CAST(x'ff41' AS TEXT), 'columbus')")
    connection.close()
    assert columns_of(read(places), "Columbus and Salem")["columbus"] == ["capital"]


def test_a_value_of_several_words_is_found_whole_or_not_at_all(places):
    found = read(places)
    both = ["city_name", "state_name"]
    assert columns_of(found, "the New york river") == {"the": [], "New York": both, "river": []}
    assert columns_of(found, "a new york-er") == {"a": [], "new": [], "york-er": []}


def test_a_value_is_written_as_it_is_stored_unless_it_is_stored_in_several_ways(places):
    """Salem and Oregon stand in the database with and without their capital."""
    assert read(places).group(["NEW", "YORK", "SALEM"])[0] == ["New York", "SALEM"]


@pytest.mark.parametrize(("target", "written"), [("x = New York", "New York"), ("x = new york", "new york")])
def test_values_are_spelled_as_the_targets_of_training_have_them(places, target, written):
    found = read(places).written([["new", "york"]], [target.split()])
    assert found.group(["new", "york"])[0] == [written]


def test_values_with_signs_are_cut_as_texts_are(tmp_path):
    path = cities(tmp_path / "a.sqlite", "St. Louis", "Winston-Salem", "Caf\u0065\u0301", "a b c d - e f")
    codec = TextCodec("words", False, [*RESERVED])
    found = read_values(path, lambda texts: codec.split(texts, 100))
    (words,) = codec.split(["from st. louis to Winston-Salem: CAFÉ a b c d - e f"], 100)
    grouped, columns = found.group(words)
    assert [value for value, places in zip(grouped, columns, strict=True) if places] == [
        "St ￭. Louis",
        "Winston ￭-￭ Salem",
        "Café",
        "a b c d - e f",
    ]
    assert codec.join([grouped[1]]) == "St. Louis"


def test_values_are_looked_for_as_texts_are_read_and_written_as_they_are_stored(tmp_path):
    path = cities(tmp_path / "a.sqlite", "St. Louis", "St Paul", "St. Paul", "?")
    codec, cleaned = TextCodec("words", False, [*RESERVED]), Alphabet(capitals=False, marks="")
    found = read_values(path, lambda texts: codec.split(texts, 100), cleaned.read)
    (words,) = codec.split([cleaned.read("From St. Louis to St. Paul?")], 100)
    assert found.group(words) == (["from", "St ￭. Louis", "to", "st paul"], [[], [0], [], [0]])
    assert from_json(ColumnValues, to_json(found)) == found


def test_the_longest_of_values_that_overlap_counts():
    found = ColumnValues(["short", "long"], {"york": [0], "new york": [1], "york city": [0]})
    assert found.group(["new", "york", "city"]) == (["new york", "city"], [[1], []])
    assert found.group([]) == ([], [])


def test_columns_whose_values_targets_do_not_write_are_left_out():
    """Queries write "ohio" for the Ohio River, which is a lowest point too."""
    rivers = {"ohio": [0, 1], "ohio river": [2], "red river": [2], "salem": [3], "usa": [4]}
    found = ColumnValues(["river", "state", "lowest", "capital", "country"], rivers)
    sources = ["the Ohio river", "the red river", "the ohio river in the usa"]
    targets = ['NAME = " ohio " ;', 'LOWEST = " RED RIVER " ;', 'NAME = " ohio " ;']
    kept = found.written([text.split() for text in sources], [text.split() for text in targets])
    assert kept.values == {"ohio": [0, 1], "salem": [3]}
    assert columns_of(kept, "the Ohio river") == {"the": [], "Ohio": ["river", "state"], "river": []}
    half = found.written([["red", "river"], ["ohio", "river"]], [["red", "river"], ["ohio"]])
    assert half.values["red river"] == half.values["ohio river"] == [2]


def test_numbers_are_no_values_even_when_they_are_stored_as_texts(places):
    assert columns_of(read(places), "8 10 47.5") == {"8": [], "10": [], "47.5": []}


def test_values_survive_being_stored(places):
    found = read(places)
    assert from_json(ColumnValues, to_json(found)) == found


def test_the_database_is_not_changed(places):
    before = places.read_bytes()
    read(places)
    assert places.read_bytes() == before
    assert [path.name for path in places.parent.iterdir()] == [places.name]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"columns": ["a"], "values": {"x": [1]}},
        {"columns": ["a"], "values": {"x": [-1]}},
        {"columns": ["a"], "values": {"x": [0.5]}},
        {"columns": ["a"], "values": {"x": [True]}},
        {"columns": ["a"], "values": {"x": 0}},
        {"columns": ["a"], "values": {"x " * 1000: [0]}},
        {"columns": ["a"] * 501, "values": {}},
        {"columns": ["a"], "values": {"x": [0]}, "spellings": {"x": "y"}},
        {"columns": ["a"], "values": {"x": [0]}, "spellings": {"y": "Y"}},
        {"columns": ["a"], "values": {"x": [0]}, "spellings": {"x": 1}},
    ],
)
def test_what_cannot_have_been_stored_is_refused(stored):
    with pytest.raises(ValueError, match=r"found|missing|reason|stands|more|spelled"):
        from_json(ColumnValues, stored)


def test_what_is_no_database_is_told(tmp_path):
    (tmp_path / "no.sqlite").write_text("SELECT 1")
    with pytest.raises(DataError, match=r"no\.sqlite: cannot be read as an SQLite database"):
        read(tmp_path / "no.sqlite")
    with pytest.raises(DataError, match="there is no such file; expected an SQLite database"):
        read(tmp_path / "nowhere.sqlite")


def test_a_database_of_more_texts_than_can_be_stored_is_told(places, monkeypatch):
    monkeypatch.setattr(values, "MOST_VALUES", 2)
    with pytest.raises(DataError, match="more than 2 texts"):
        read(places)


def test_an_empty_database_and_hostile_names_are_read(tmp_path):
    path = tmp_path / "odd.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "a""; DROP TABLE x; --" ("b""c" TEXT)')
    connection.close()
    assert read(path).values == {}
