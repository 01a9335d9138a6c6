"""The tests of the kernels with instructions that this processor lacks, which are emulated: for one with AVX2.

python tests/kernels/emulate.py [avx512 | amx ...]

It takes some minutes, in a copy of the sources, whose kernels are compiled with `emulated.h`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
TESTS = {  # of the libraries for training, and of what predicts, which alone has tiles
    "avx512": [
        "test_recurrent.py",
        "test_decoder.py",
        "test_softmax.py",
        "test_adam_kernel.py",
        "test_jax_recurrence.py",
        "test_instructions.py",
    ],
    "amx": ["test_recurrence.py", "test_search.py", "test_instructions.py"],
}
BUILD = """
from toolkit.kernels import build
flags = "-mavx2 -mfma -O1 -DEMULATE_AVX512"
build.SETS["avx512"] = ("Avx512", flags)
build.TILES = ("amx", ("Amx", f"{flags} -DEMULATE_AMX"))
build.main()
"""
CHECK = "import sys; from toolkit.kernels import prediction; used = prediction.load()[1]; sys.exit(used != sys.argv[1])"


def main(names: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for part in ("toolkit", "pipelines", "tests"):
            shutil.copytree(ROOT / part, Path(folder, part), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        header = Path(folder, "tests/kernels/emulated.h")
        environment = {**os.environ, "PYTHONPATH": folder, "CXX": f"g++ -include {header}"}
        subprocess.run([sys.executable, "-c", BUILD], cwd=folder, env=environment, check=True)
        for name in names or TESTS:
            environment["SEQLOOM_KERNEL"] = name
            subprocess.run([sys.executable, "-c", CHECK, name], cwd=folder, env=environment, check=True)
            tests = [f"tests/kernels/{test}" for test in TESTS[name]]
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
            subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
