"""Compiles the kernel for the installed TensorFlow: `python -m toolkit.kernels.build`.

It needs a C++ compiler, g++ or what CXX names. Without one, or where it fails, one sentence says so and nothing else
happens: the kernel is an option.
"""

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolkit.kernels import FOLDER, library

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512"
SETS = {"portable": ("kPortable", "")}  # the kernel's name in C++ and the compiler's flags for each instruction set
if platform.machine() in ("x86_64", "AMD64"):
    SETS |= {"avx2": ("kAvx2", "-mavx2 -mfma"), "avx512": ("kAvx512", AVX512)}


def main() -> None:
    try:
        print(build(shlex.split(os.environ.get("CXX") or "g++")))
    except OSError as error:
        print(f"The recurrent kernel is not built, layers run as Keras runs them: {error}")


def build(compiler: Sequence[str]) -> str:
    """Compile what is not there yet; returns one sentence about it."""
    path = library()
    if path.exists():
        return f"The recurrent kernel is built: {path.name}."
    if not shutil.which(compiler[0]):
        return f"The recurrent kernel is not built, layers run as Keras runs them: there is no {compiler[0]}."
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / path.name
        for command in _commands(compiler, Path(folder), built):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
                return f"The recurrent kernel is not built, layers run as Keras runs them: {compiler[0]} said: {said}"
        unfinished = path.with_suffix(".tmp")
        shutil.copyfile(built, unfinished)
        unfinished.replace(path)
    for other in set(FOLDER.glob("recurrent-*.so")) - {path}:
        other.unlink()
    return f"Built the recurrent kernel: {path.name}."


def _commands(compiler: Sequence[str], folder: Path, built: Path) -> list[list[str]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    common = [*compiler, "-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-w"]
    commands, objects = [], []
    for name, (symbol, flags) in SETS.items():
        objects.append(str(folder / f"{name}.o"))
        named = [f"-DSEQLOOM_KERNEL_NAME={symbol}", f'-DSEQLOOM_KERNEL_LABEL="{name}"']
        source = str(FOLDER / "recurrent_kernel.cpp")
        commands.append([*common, *flags.split(), *named, "-c", source, "-o", objects[-1]])
    operations = str(folder / "operations.o")
    source = str(FOLDER / "tensorflow_ops.cc")
    commands.append([*common, *tf.sysconfig.get_compile_flags(), "-c", source, "-o", operations])
    links = tf.sysconfig.get_link_flags()
    return [*commands, [*compiler, "-shared", operations, *objects, *links, "-o", str(built)]]


if __name__ == "__main__":
    main()
