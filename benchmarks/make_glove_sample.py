"""Write the sample vectors of the worked examples: the 10,000 most frequent words of GloVe 6B 100d as float16.

    python benchmarks/make_glove_sample.py glove.6B.100d.txt

Pennington, Socher and Manning 2014; https://nlp.stanford.edu/projects/glove, public domain (PDDL 1.0).
"""

import io
import sys
from pathlib import Path

import numpy as np

from toolkit.data.vectors import load_vectors

WORDS = 10_000
SAMPLE = Path(__file__).parents[1] / "configs" / "samples" / "glove.6B.100d.10k.npz"


def main(source: str) -> None:
    vectors = load_vectors(source, max_words=WORDS)
    arrays = {
        "words": np.frombuffer("\n".join(vectors.words).encode(), np.uint8),
        "vectors": vectors.matrix.astype(np.float16),
    }
    packed = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        packed.append(buffer.getvalue())
    SAMPLE.write_bytes(min(packed, key=len))
    print(f"{SAMPLE}: {len(vectors.words)} words, {SAMPLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
