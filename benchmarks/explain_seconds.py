"""Seconds of `seqloom explain`, whole process, with and without its page, each in turn.

python benchmarks/explain_seconds.py RUN_FOLDER TEXT [RUNS]
"""

import sys
import tempfile
from pathlib import Path

from pairs import pair


def main() -> None:
    folder, text, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 7
    alone = [str(Path(sys.executable).with_name("seqloom")), "explain", text, "--model", folder]
    with tempfile.TemporaryDirectory() as temporary:
        first, second, _ = pair(alone, [*alone, "--out", str(Path(temporary) / "page.html")], runs)
    print(f"printed        {first:.2f} s\nwith its page  {second:.2f} s")


if __name__ == "__main__":
    main()
