"""Without a compiler, or with one that fails, one sentence says so and nothing else happens."""

import sys
from pathlib import Path

import pytest

from toolkit import kernels
from toolkit.errors import ConfigError
from toolkit.kernels import build


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The sources in a folder of their own, with nothing built."""
    for name in kernels.SOURCES:
        (tmp_path / name).write_bytes((kernels.FOLDER / name).read_bytes())
    monkeypatch.setattr(kernels, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.delenv(kernels.SWITCH, raising=False)
    return tmp_path


def _found():
    return kernels.load.__wrapped__()


def test_a_missing_compiler_is_one_sentence(folder, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    build.main()
    assert capsys.readouterr().out.strip().endswith("there is no no-such-compiler.")
    assert _found() == (None, f"it is not built; build it with `{kernels.BUILD}`")


def test_a_compiler_that_fails_is_one_sentence_and_leaves_nothing(folder):
    failing = [sys.executable, "-c", "import sys; sys.exit('an error of the compiler')"]
    assert build.build(failing).endswith("said: an error of the compiler")
    assert sorted(path.name for path in folder.iterdir()) == sorted(kernels.SOURCES)


def test_a_library_for_another_tensorflow_or_of_other_sources_is_named_and_not_loaded(folder):
    (folder / "recurrent-2.0.0-12345678.so").touch()
    operations, why = _found()
    assert operations is None and "recurrent-2.0.0-12345678.so is for another TensorFlow or other sources" in why


def test_a_change_of_the_sources_asks_for_another_library(folder):
    before = kernels.library()
    (folder / kernels.SOURCES[0]).write_text("// changed")
    assert kernels.library() != before


def test_a_damaged_library_is_named_and_not_used(folder):
    kernels.library().write_bytes(b"not a library")
    operations, why = _found()
    assert operations is None and kernels.library().name in why and kernels.BUILD in why


def test_what_is_built_already_is_not_built_again(folder):
    kernels.library().touch()
    assert build.build(["no-such-compiler"]) == f"The recurrent kernel is built: {kernels.library().name}."


@pytest.mark.parametrize(("value", "why"), [("off", "SEQLOOM_KERNEL is off"), ("", None), ("sse", None)])
def test_the_switch_is_off_or_one_of_the_instruction_sets(monkeypatch, value, why):
    monkeypatch.setenv(kernels.SWITCH, value)
    if why:
        assert _found() == (None, why)
    else:
        with pytest.raises(ConfigError, match=f"SEQLOOM_KERNEL is '{value}', expected one of avx512, avx2"):
            _found()


def test_all_sources_are_package_data():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert all(f'"kernels/*{Path(name).suffix}"' in text for name in kernels.SOURCES)
