"""Compiles the kernels, for the installed TensorFlow and JAX and for neither: `python -m toolkit.kernels.build`.

It needs a C++ compiler, g++ or what CXX names. Without one, or where it fails, one sentence a kernel says so and
nothing else happens: the kernels are an option.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from toolkit.kernels.libraries import FOLDER, SOURCES, library
from toolkit.threads import cores

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512"
SETS = {"portable": ("Portable", "")}  # how its name ends in C++ and the compiler's flags for each instruction set
if platform.machine() in ("x86_64", "AMD64"):
    SETS |= {"avx2": ("Avx2", "-mavx2 -mfma"), "avx512": ("Avx512", AVX512)}
TILES = ("amx", ("Amx", f"{AVX512} -mavx512bf16 -mamx-tile -mamx-bf16"))  # one more, where the compiler knows it,
TILED = ("recurrent_kernel.cpp", "decoder_kernel.cpp", "output_kernel.cpp")  # for these sources
KINDS = {  # what is said of each, and the package that it is for; the longest compilations first
    "prediction": ("prediction kernel", "what it would compute ONNX Runtime computes", ""),
    "recurrent": ("training kernel", "layers run as Keras runs them", "tensorflow"),
    "jax": ("kernel for JAX", "layers run as Keras runs them", "jaxlib"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, _, package) in KINDS.items():
            if package == "jaxlib" and not find_spec(package):
                continue
            try:
                print(build(name, shlex.split(os.environ.get("CXX") or "g++"), Path(folder)))
            except (OSError, PackageNotFoundError) as error:
                print(f"{_not_built(name)}: {error}")


def build(name: str, compiler: Sequence[str], folder: Path) -> str:
    """Compile what is not there yet; returns one sentence about it.

    Args:
        folder: where object files are left, and taken from by other libraries.
    """
    noun, _, package = KINDS[name]
    path = library(name, version(package) if package else "")
    if path.exists():
        return f"The {noun} is built: {path.name}."
    if not shutil.which(compiler[0]):
        return f"{_not_built(name)}: there is no {compiler[0]}."
    built = folder / path.name
    *compilations, link = _commands(name, compiler, folder, built)
    with ThreadPoolExecutor(cores()) as pool:
        results = list(pool.map(_run, [each for each in compilations if not Path(each[-1]).exists()]))
    for done in [*results, *([_run(link)] if not any(each.returncode for each in results) else [])]:
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            return f"{_not_built(name)}: {compiler[0]} said: {said}"
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as unfinished:
        unfinished.write(built.read_bytes())  # under a name of its own, for others may build at the same time
    os.chmod(unfinished.name, built.stat().st_mode)
    os.replace(unfinished.name, path)
    for other in set(path.parent.glob(f"{name}-*.so")) - {path}:
        other.unlink(missing_ok=True)
    return f"Built the {noun}: {path.name}."


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def _not_built(name: str) -> str:
    noun, instead, _ = KINDS[name]
    return f"The {noun} is not built, {instead}"


def _commands(name: str, compiler: Sequence[str], folder: Path, built: Path) -> list[list[str]]:
    common = [*compiler, "-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-w"]
    includes, links = _tensorflow() if name == "recurrent" else (_jax(), []) if name == "jax" else ([], [])
    commands, objects = [], []
    tiles = [TILES] if name == "prediction" and _knows_tiles(common) else []

    def compile(source: str, ending: str, flags: Sequence[str]) -> None:
        objects.append(str(folder / f"{source}-{ending}.o"))
        commands.append([*common, *flags, "-c", str(FOLDER / source), "-o", objects[-1]])

    for source in SOURCES[name]:
        if source.endswith(".cc"):
            compile(source, "all", [*includes, *(["-DSEQLOOM_AMX"] if tiles else [])])
        elif source.endswith(".cpp"):
            for label, (ending, flags) in [*SETS.items(), *(tiles if source in TILED else [])]:
                compile(source, label, [*flags.split(), f"-DSEQLOOM_SET={ending}", f'-DSEQLOOM_LABEL="{label}"'])
    return [*commands, [*compiler, "-shared", *objects, *links, "-o", str(built)]]


def _knows_tiles(compiler: Sequence[str]) -> bool:
    _, (_, flags) = TILES
    check = [*compiler, *flags.split(), "-fsyntax-only", "-x", "c++", os.devnull]
    return "avx512" in SETS and _run(check).returncode == 0


def _tensorflow() -> tuple[list[str], list[str]]:
    """Flags to compile and to link with it, asked in a process whose log nobody sees."""
    asked = "import json, tensorflow.sysconfig as tf; print(json.dumps([tf.get_compile_flags(), tf.get_link_flags()]))"
    done = _run([sys.executable, "-c", asked])
    if done.returncode:
        raise OSError(f"TensorFlow said: {(done.stderr.splitlines() or ['nothing'])[-1]}")
    compile_flags, link_flags = json.loads(done.stdout)
    return compile_flags, link_flags


def _jax() -> list[str]:
    """Flags to compile with it, which is not imported."""
    spec = find_spec("jaxlib")
    return [f"-I{folder}/include" for folder in (spec and spec.submodule_search_locations) or ()]


if __name__ == "__main__":
    main()
