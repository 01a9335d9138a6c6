"""Lines a second and memory of `seqloom classify --lines`, on TREC questions repeated to 10^5 and 10^6 lines.

    python benchmarks/classify_lines.py RUN_FOLDER

RUN_FOLDER is a run with one bidirectional LSTM layer of 128 units, such as
    seqloom run benchmarks/trec6.yaml --set training.epochs=1 --set model.members=1 --out RUN_FOLDER
"""

import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from pairs import peak_memory, seconds

QUESTIONS = Path("../shared/data/trec_sst/TREC.train.all")


def main() -> None:
    folder = sys.argv[1]
    questions = [line.split(" ", 1)[1] for line in QUESTIONS.read_text("latin-1").splitlines()]
    seqloom = str(Path(sys.executable).with_name("seqloom"))
    with tempfile.TemporaryDirectory() as temporary:
        for count in (1, 10**5, 10**6):
            lines, out = Path(temporary) / "lines.txt", Path(temporary) / "out.jsonl"
            lines.write_text("\n".join(islice(cycle(questions), count)) + "\n")
            elapsed = seconds([seqloom, "classify", str(lines), "--lines", "--model", folder, "-o", str(out)])
            with out.open() as stream:
                assert sum(1 for _ in stream) == count
            rate = f"{count / elapsed:,.0f} lines/s" if count > 1 else "start-up"
            print(f"{count:>9,} lines  {elapsed:7.2f} s  {rate:>15}  peak {peak_memory():,} MB", flush=True)


if __name__ == "__main__":
    main()
