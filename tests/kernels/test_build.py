"""Without a compiler, or with one that fails, one sentence a kernel says so and nothing else happens."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest

from toolkit import kernels
from toolkit.errors import ConfigError
from toolkit.kernels import build, libraries, prediction

SOURCES = sorted({name for names in libraries.SOURCES.values() for name in names})
MISFITS = {"prediction": "other sources"} | {
    name: f"another {package} or other sources" for name, package in (("recurrent", "TensorFlow"), ("jax", "JAX"))
}
NAMES = [name for name in libraries.SOURCES if name != "jax" or find_spec("jax")]
every_kernel = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The sources in a folder of their own, with nothing built."""
    for name in SOURCES:
        (tmp_path / name).write_bytes((libraries.FOLDER / name).read_bytes())
    monkeypatch.setattr(libraries, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "_tensorflow", lambda: ([], []))  # which takes seconds to ask, and compiles nothing here
    monkeypatch.delenv(kernels.SWITCH, raising=False)
    return tmp_path


def _found(name="recurrent"):
    match name:
        case "jax":
            from toolkit.kernels import jax_recurrence

            return jax_recurrence.load.__wrapped__()
        case "recurrent":
            return kernels._load.__wrapped__()
    return prediction.load.__wrapped__()


def _library(name):
    package = build.KINDS[name][2]
    return libraries.library(name, version(package) if package else "")


def test_a_missing_compiler_is_one_sentence_a_kernel(folder, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    build.main()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(NAMES) and all(line.endswith("there is no no-such-compiler.") for line in said)
    for name in NAMES:
        assert _found(name) == (None, f"it is not built; build it with `{kernels.BUILD}`")


@every_kernel
def test_a_compiler_that_fails_is_one_sentence_and_leaves_nothing(name, folder, tmp_path_factory):
    failing = [sys.executable, "-c", "import sys; sys.exit('an error of the compiler')"]
    assert build.build(name, failing, tmp_path_factory.mktemp("objects")).endswith("said: an error of the compiler")
    assert sorted(path.name for path in folder.iterdir()) == SOURCES


@pytest.mark.parametrize("knows", [True, False])
def test_tiles_are_left_out_where_the_compiler_does_not_know_them(folder, knows):
    script = folder / "compiler.py"
    script.write_text("" if knows else "import sys; sys.exit('-mamx-tile' in sys.argv)")
    compiler = [sys.executable, str(script)]
    *compilations, _ = build._commands("prediction", compiler, folder, folder / "built.so")
    named = [argument for command in compilations for argument in command if "amx" in argument.lower()]
    assert bool(named) == (knows and "avx512" in build.SETS)
    *compilations, _ = build._commands("recurrent", compiler, folder, folder / "built.so")
    assert not any("amx" in argument.lower() for command in compilations for argument in command)


@every_kernel
def test_a_library_for_others_is_named_and_not_loaded(name, folder):
    (folder / f"{name}-2.0.0-12345678.so").touch()
    library, why = _found(name)
    assert library is None and f"{name}-2.0.0-12345678.so is for {MISFITS[name]}" in why


@every_kernel
def test_a_change_of_any_source_asks_for_another_library(name, folder):
    for source in libraries.SOURCES[name]:
        before = _library(name)
        (folder / source).write_text("// changed")
        assert _library(name) != before


@every_kernel
def test_a_damaged_library_is_named_and_not_used(name, folder):
    _library(name).write_bytes(b"not a library")
    library, why = _found(name)
    assert library is None and _library(name).name in why and kernels.BUILD in why


@every_kernel
def test_what_is_built_already_is_not_built_again(name, folder):
    _library(name).touch()
    assert build.build(name, ["no-such-compiler"], folder).endswith(f" is built: {_library(name).name}.")


@every_kernel
def test_several_may_build_at_the_same_time(name, folder, tmp_path_factory):
    script = folder / "compiler.py"
    script.write_text("import sys; open(sys.argv[sys.argv.index('-o') + 1], 'w').write('built')")
    others = [tmp_path_factory.mktemp("objects") for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda objects: build.build(name, [sys.executable, str(script)], objects), others))
    assert all(_library(name).name in each for each in said)
    assert _library(name).read_text() == "built" and not list(folder.glob("*.tmp"))


def test_an_environment_without_a_package_of_that_name_is_one_sentence_a_kernel(folder, capsys, monkeypatch):
    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(build, "version", version)
    build.main()
    prediction, training, *_ = capsys.readouterr().out.splitlines()
    assert training.startswith("The training kernel is not built") and "tensorflow" in training
    assert (
        prediction == "The prediction kernel is not built, what it would compute ONNX Runtime computes: there is no"
        " no-such-compiler."
    )


def test_libraries_share_what_is_compiled_for_several(folder, tmp_path_factory):
    script, log = folder / "compiler.py", folder / "log"
    script.write_text(f"""import sys
open({str(log)!r}, "a").write(sys.argv[-1] + "\\n")
open(sys.argv[sys.argv.index("-o") + 1], "w").write("built")
""")
    objects = tmp_path_factory.mktemp("objects")
    for name in NAMES:
        build.build(name, [sys.executable, str(script)], objects)
    compiled = [line for line in log.read_text().splitlines() if "recurrent_kernel.cpp-avx2" in line]
    assert len(compiled) == ("avx2" in build.SETS)


def test_threads_may_ask_for_the_kernel_at_the_same_time():
    code = """
from concurrent.futures import ThreadPoolExecutor
from toolkit import kernels
with ThreadPoolExecutor(4) as pool:
    print(len({name for _, name in pool.map(lambda _: kernels.load(), range(4))}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_the_kernel_of_what_predicts_is_loaded_without_tensorflow_and_keras():
    code = "import sys; from toolkit.kernels import prediction; prediction.load(); print('tensorflow' in sys.modules)"
    code += "; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("value", "why"), [("off", "SEQLOOM_KERNEL is off"), ("", None), ("sse", None)])
@every_kernel
def test_the_switch_is_off_or_one_of_the_instruction_sets(name, monkeypatch, value, why):
    monkeypatch.setenv(kernels.SWITCH, value)
    if why:
        assert _found(name) == (None, why)
    else:
        with pytest.raises(ConfigError, match=f"SEQLOOM_KERNEL is '{value}', expected one of amx, avx512, avx2"):
            _found(name)


def test_all_sources_are_package_data():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert all(f'"kernels/*{Path(name).suffix}"' in text for name in SOURCES if not name.endswith(".py"))
