"""YAML says what it seems to say, and every problem is told with its place."""

import time
from typing import Annotated, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from toolkit.config import LARGEST_FILE, Stanza, closest, dump, parse, quoted, read_document, validate
from toolkit.errors import ConfigError
from toolkit.stanzas import EncoderConfig, TrainingConfig


class Inner(Stanza):
    """What stands inside."""

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The kind of cell."""
    units: int = Field(8, ge=1, le=99)
    """How many units."""
    share: float = 0.5
    """A share."""


class Sample(Stanza):
    """One field of every kind."""

    path: str | list[str]
    """One file or several."""
    name: str = "x"
    """A name."""
    flag: bool = True
    """Yes or no."""
    limit: int | None = None
    """A limit, or none."""
    steps: Annotated[int, Field(ge=1)] | str = 1
    """Steps or a time."""
    inner: Inner = Inner()
    """Nested."""
    many: list[Inner] = []
    """Nested in a list."""


@pytest.fixture
def read(tmp_path):
    """Writes text to my.yaml and reads it as a config; paths in errors are cut to the file name."""

    def read(text, *overrides, model=Sample):
        path = tmp_path / "my.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            return validate(read_document(path, overrides), model)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{tmp_path}/", "")) from error

    return read


def _problems(read, text, *overrides):
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    return str(caught.value).split("\n")


# Scalars


@pytest.mark.parametrize("text", ["no", "yes", "on", "off", "y", "n", "No", "tRue"])
def test_words_that_yaml_1_1_took_for_booleans_stay_words(text):
    assert parse(f"a: {text}", "f").values == {"a": text}


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01T10:00:00Z", "1:30", "1_000", "0b11", "-0x10", "+", "1.2.3"])
def test_what_is_no_yaml_1_2_number_stays_text(text):
    assert parse(f"a: {text}", "f").values == {"a": text}


@pytest.mark.parametrize("text", ["1_000.5", "1_.5", "._"])
def test_underscores_do_not_make_numbers(text):
    assert parse(f"a: {text}", "f").values == {"a": text}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("012", 12),
        ("+1", 1),
        ("-7", -7),
        ("0x10", 16),
        ("0o17", 15),
        ("-.INF", float("-inf")),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text, number):
    found = parse(f"a: {text}", "f").values["a"]
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("FALSE", False), ("~", None), ("null", None), ("", None)])
def test_booleans_and_nothing(text, value):
    assert parse(f"a: {text}", "f").values == {"a": value}


@pytest.mark.parametrize("text", ["'1'", '"1"', "!!str 1"])
def test_quoted_numbers_are_text(text):
    assert parse(f"a: {text}", "f").values == {"a": "1"}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "1e999"])
def test_numbers_that_are_not_finite_are_refused(read, text):
    (problem,) = _problems(read, f"path: a\ninner:\n  share: {text}")
    assert problem.startswith("my.yaml:3: inner.share is ")
    assert "number" in problem


@pytest.mark.parametrize("text", ["9" * 5000, "!!float abc", "!!int 0o9", "!!float 0x10"])
def test_numbers_that_cannot_be_read_are_an_error_with_a_line(read, text):
    with pytest.raises(ConfigError, match=r"my\.yaml:2"):
        read(f"path: a\nlimit: {text}")


# What a file may not be


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.yaml: the file is empty."),
        ("# nothing\n", "my.yaml: the file is empty."),
        ("- a\n- b", "my.yaml:1: expected `key: value` lines at the top level."),
        ("\n\njust words", "my.yaml:3: expected `key: value` lines at the top level."),
        ("path: a\n\tname: b", "my.yaml:2: this is not YAML: "),
        ("path: [a", "this is not YAML: "),
        ("path: a\n---\npath: b", "my.yaml:2: this is not YAML: "),
        ("path: &x a\nname: *x", "my.yaml:2: aliases (`*name`) are not read. Write the value out."),
        ("? [a, b]\n: c", "my.yaml:1: a key must be a word."),
        ("path: a\0b", "my.yaml: this is not YAML: "),
        (b"path: caf\xe9", "my.yaml: not UTF-8 at byte 9. Save it as UTF-8."),
        ("path: a".encode("utf-16"), "my.yaml: not UTF-8 at byte 0. Save it as UTF-8."),
        ("path: " + "[" * 16 + "]" * 16, "my.yaml:1: nested deeper than 16 levels."),
        ("path: a #" + "x" * LARGEST_FILE, "my.yaml: more than 262,144 bytes, too long for a config."),
    ],
)
def test_a_file_that_is_no_config_says_why_and_where(read, text, message):
    (problem,) = _problems(read, text)
    assert message in problem


def test_a_bomb_of_brackets_is_refused_without_being_built(read):
    (problem,) = _problems(read, "path: " + "[" * 250_000)
    assert "nested deeper than 16 levels" in problem


@pytest.mark.parametrize(
    "value",
    ["!!python/name:os.system x", "!!python/object:os.system {x: 1}", "!!python/object/apply:os.system [ls]", "!foo 1"],
)
def test_tags_are_refused(read, value):
    (problem,) = _problems(read, f"path: a\nname: {value}")
    assert problem.startswith("my.yaml:2: the tag ")
    assert problem.endswith("is not read here. Remove it.")


def test_a_directive_cannot_bring_the_booleans_of_yaml_1_1_back(read):
    with pytest.raises(ConfigError):
        read("%YAML 1.1\n---\npath: a\nflag: yes\n")


def test_a_byte_order_mark_and_windows_lines_are_accepted(read):
    assert read(b"\xef\xbb\xbfpath: caf\xc3\xa9\r\nname: b\r\n").path == "café"


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: this config cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="this config cannot be read: Is a directory"):
        read_document(tmp_path)


# fmt: off
_PIECES = st.sampled_from([
    "a: ", "- ", "? ", "\n", "\n  ", "!!int ", "!!float ", "!x ", "&a ", "*a", "'", '"', "|", ">-\n", "{", "}", "[",
    "]", ", ", "#\n", "---\n", "%YAML 1.1\n", "1", "1_0", "._", ".5", ".nan", "0x", "~", "<<", "=", "\\x", "\t",
])
# fmt: on


@settings(max_examples=150)
@given(st.one_of(st.lists(_PIECES, max_size=12).map("".join), st.text(max_size=20)))
@example("a: 1_.5")
@example("a: " + "1" * 5000)
@example("a: !!float x")
def test_no_text_raises_anything_but_a_config_error(text):
    try:
        document = parse(text, "f")
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(document.values, dict)


@settings(max_examples=50)
@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_a_config_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(data)
    try:
        validate(read_document(path), Sample)
    except ConfigError as error:
        assert str(path) in str(error)


# Problems


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(read):
    problems = _problems(
        read,
        "nam: b\ninner:\n  units: many\n  cel: gru\n  cell: lstmm\nlimit: 1.5\nflag: yes\nname: a\nname: b\nflag: 3\n",
    )
    places = [problem.split(": ")[0] for problem in problems]
    assert places == ["my.yaml", *(f"my.yaml:{line}" for line in (1, 3, 4, 5, 6, 9, 10, 10))]
    assert problems[0] == "my.yaml: path is missing. It is: One file or several."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nam: b", "my.yaml:2: nam is not a key here. Did you mean name?"),
        ("inner: {units: 3, unitz: 4}", "my.yaml:2: inner.unitz is not a key here. Did you mean inner.units?"),
        ("many:\n- units: 3\n- cel: gru", "my.yaml:4: many.1.cel is not a key here. Did you mean many.1.cell?"),
        ("zzz: 1", "my.yaml:2: zzz is not a key here. Known here: path, name, flag, limit, steps, inner, many."),
        ("name: a\nname: b", "my.yaml:3: name stands here twice. Remove one."),
        ("inner: {units: 1, units: 2}", "my.yaml:2: inner.units stands here twice. Remove one."),
        ("inner: {cell: gruu}", "my.yaml:2: inner.cell is 'gruu', expected 'rnn', 'lstm' or 'gru'. Did you mean gru?"),
        ("inner: {cell: 5}", "my.yaml:2: inner.cell is 5, expected 'rnn', 'lstm' or 'gru'."),
        ("inner: {units: big}", "my.yaml:2: inner.units is 'big', expected a whole number. It is: How many units."),
        ("inner: {units: 1.0}", "my.yaml:2: inner.units is 1.0, expected a whole number. It is: How many units."),
        ("inner: {units: 0}", "my.yaml:2: inner.units is 0, expected at least 1. It is: How many units."),
        ("inner: {units: 100}", "my.yaml:2: inner.units is 100, expected at most 99. It is: How many units."),
        ("inner: {share: '1'}", "my.yaml:2: inner.share is '1', expected a number. It is: A share."),
        ("flag: 1", "my.yaml:2: flag is 1, expected true or false. It is: Yes or no."),
        ("flag: yes", "my.yaml:2: flag is 'yes', expected true or false. It is: Yes or no."),
        ("name: 3", 'my.yaml:2: name is 3, expected a string such as "3". It is: A name.'),
        ("name: true", 'my.yaml:2: name is true, expected a string such as "true". It is: A name.'),
        ("name: 3.5", "my.yaml:2: name is 3.5, expected a string. It is: A name."),
        ("name: {a: 1}", "my.yaml:2: name is a mapping, expected a string. It is: A name."),
        ("many: 3", "my.yaml:2: many is 3, expected a list. It is: Nested in a list."),
    ],
)
def test_a_problem_says_where_what_was_found_and_what_was_expected(read, text, problem):
    assert _problems(read, f"path: a\n{text}") == [problem]


def test_a_value_of_two_kinds_names_both(read):
    (problem,) = _problems(read, "path: 3")
    assert problem == 'my.yaml:1: path is 3, expected a string such as "3" or a list. It is: One file or several.'


def test_a_number_out_of_bounds_is_no_string(read):
    (problem,) = _problems(read, "path: a\nsteps: 0")
    assert problem == "my.yaml:2: steps is 0, expected at least 1. It is: Steps or a time."


def test_a_wrong_item_of_a_list_is_told_once(read):
    (problem,) = _problems(read, "path:\n- a\n- 3\n")
    assert problem.startswith("my.yaml:3: path.1 is 3, expected a string")


@pytest.mark.parametrize("text", ["inner:", "inner: true", "inner: [1]"])
def test_problems_speak_yaml_and_not_python(read, text):
    (problem,) = _problems(read, f"path: a\n{text}")
    assert not any(word in problem for word in ("None", "True", "instance", "dict"))


def test_very_many_problems_are_told_in_part_and_soon(read):
    started = time.monotonic()
    problems = _problems(read, "path: [" + "{}, " * 4000 + "]")
    assert len(problems) == 51
    assert "is a mapping, expected a string" in problems[0]
    assert problems[-1] == "and 3,950 more."
    assert time.monotonic() - started < 20


def test_a_config_of_a_run_has_a_bound_too():
    with pytest.raises(ConfigError, match="too long for a config"):
        parse("a: 1\n" * LARGEST_FILE, "run/config.yaml")


def test_a_long_value_is_shortened(read):
    (problem,) = _problems(read, f"path: a\nlimit: {'x' * 5000}")
    assert len(problem) < 200


def test_whole_numbers_serve_as_shares(read):
    share = read("path: a\ninner: {share: 1}").inner.share
    assert (share, type(share)) == (1.0, float)


def test_a_mistyped_word_finds_its_neighbour_and_nonsense_finds_none():
    assert closest("encodr", ["encoder", "decoder"]) == "encoder"
    assert closest("qqq", ["encoder", "decoder"]) is None


# Overrides


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("limit=3", {"limit": 3}),
        ("limit=", {"limit": None}),
        ("flag=false", {"flag": False}),
        ("name=no", {"name": "no"}),
        ("name=a: b", {"name": "a: b"}),
        ("name=a=b", {"name": "a=b"}),
        ("name=#", {"name": "#"}),
        ("path=my #1.csv", {"path": "my #1.csv"}),
        ("name='#'", {"name": "#"}),
        ("path=[a, b]", {"path": ["a", "b"]}),
        ("inner.share=1e-3", {"inner": Inner(share=1e-3)}),
        ("inner={units: 4}", {"inner": Inner(units=4)}),
    ],
)
def test_an_override_takes_a_typed_value(read, override, found):
    assert read("path: a", override) == Sample(**{"path": "a", **found})


def test_an_override_leaves_its_neighbours_and_the_last_one_wins(read):
    config = read("path: a\ninner: {cell: gru, units: 3}", "inner.units=4", "inner.units=5")
    assert config.inner == Inner(cell="gru", units=5)


def test_an_override_may_fill_an_empty_stanza(read):
    assert read("path: a\ninner:\n", "inner.units=5").inner.units == 5


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("limit=x", "limit is 'x', expected a whole number. It is: A limit, or none."),
        ("inner.unitz=4", "inner.unitz is not a key here. Did you mean inner.units?"),
        ("iner.units=4", "iner is not a key here. Did you mean inner?"),
        ("inner.units.x=4", "inner.units is a mapping, expected a whole number. It is: How many units."),
        ("inner={unitz: 4}", "inner.unitz is not a key here. Did you mean inner.units?"),
        ("inner={units: 4, units: 5}", "inner.units stands here twice. Remove one."),
        ("limit", "expected key.key=value. For example --set training.epochs=3"),
        ("=3", "expected key.key=value. For example --set training.epochs=3"),
        ("inner..units=3", "expected key.key=value. For example --set training.epochs=3"),
        ("path.x=3", "path is a value and has no x inside."),
        ("path.x.y=3", "path is a value and has no x inside."),
        ("limit=" + "9" * 5000, ""),
    ],
    ids=lambda value: value[:30],
)
def test_a_problem_with_an_override_names_the_override(read, override, problem):
    assert [found[:300] for found in _problems(read, "path: a", override)] == [f"--set {override}: {problem}"[:300]]


def test_a_problem_inside_a_replaced_stanza_names_the_override_and_not_the_file(read):
    (problem,) = _problems(read, "path: a\ninner:\n  units: 3\n", "inner={units: 0}")
    assert problem.startswith("--set inner={units: 0}: inner.units is 0")


# Configs


def test_configs_cannot_be_changed(read):
    config = read("path: a")
    with pytest.raises(ValidationError, match="frozen"):
        config.name = "b"
    with pytest.raises(ValidationError, match="frozen"):
        config.inner.units = 9


_shares = st.floats(0, 1, exclude_max=True)
_encoders = st.builds(
    EncoderConfig,
    cell=st.sampled_from(["rnn", "lstm", "gru"]),
    units=st.integers(1, 4096),
    layers=st.integers(1, 16),
    bidirectional=st.booleans(),
    residual=st.booleans(),
    normalization=st.sampled_from(["none", "layer"]),
    dropout=_shares,
    variational=st.booleans(),
)
_trainings = st.builds(
    TrainingConfig,
    epochs=st.integers(1, 10_000),
    learning_rate=st.floats(0, 10, exclude_min=True),
    warmup=_shares,
    weight_decay=_shares,
    gradient_clip=st.floats(0, exclude_min=True, allow_infinity=False),
    patience=st.integers(1),
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
)


@settings(max_examples=60)
@given(st.one_of(_encoders, _trainings))
def test_a_written_config_is_read_as_the_same_config(config):
    assert validate(parse(dump(config), "f"), type(config)) == config


@settings(max_examples=50)
@given(st.text(max_size=12))
@example("no")
@example("1e-3")
@example("2024-01-01")
@example("%YAML 1.1")
@example("a: b\n- c")
@example("word " * 60)
@example("x" * 300)
@example(" ")
@example("\x85")
def test_written_text_is_read_as_the_same_text(text):
    config = Sample(path=[text], name=text)
    assert validate(parse(dump(config), "f"), Sample) == config


def test_a_written_config_names_every_default():
    assert parse(dump(Sample(path="a")), "f").values == Sample(path="a").model_dump()


@pytest.mark.parametrize("model", [EncoderConfig, TrainingConfig])
def test_every_field_is_documented_in_the_json_schema(model):
    schema = model.model_json_schema()
    assert schema["description"]
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("word", ["no", "Yes", "off", "n", "null", "True", "nan"])
def test_words_that_a_reader_of_yaml_may_take_for_others_are_quoted(word):
    assert quoted(word) == f'"{word}"' and quoted(f"{word}_") == f"{word}_"
