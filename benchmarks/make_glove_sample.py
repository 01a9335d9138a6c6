"""Write the sample vectors of the worked examples: the 10,000 most frequent words of GloVe 6B 100d as float16, and
those of its 100,000 most frequent that occur in the sample's training messages.

    python benchmarks/make_glove_sample.py glove.6B.100d.txt

Pennington, Socher and Manning 2014; https://nlp.stanford.edu/projects/glove, public domain (PDDL 1.0).
"""

import io
import sys
from pathlib import Path

import numpy as np

from toolkit.data.rows import Source, read_rows
from toolkit.data.text import split_words
from toolkit.data.vectors import load_vectors

WORDS, KNOWN = 10_000, 100_000
SAMPLES = Path(__file__).parents[1] / "configs" / "samples"


def main(source: str) -> None:
    vectors = load_vectors(source, max_words=KNOWN)
    texts = (row.values["text"] for row in read_rows(Source(str(SAMPLES / "support_train.csv"))))
    wanted = {word for text in texts for word in split_words(text, lowercase=True, punctuation=True, limit=1000)}
    kept = [i for i, word in enumerate(vectors.words) if i < WORDS or word in wanted]
    words = np.frombuffer("\n".join(vectors.words[i] for i in kept).encode(), np.uint8)
    packed = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, words=words, vectors=vectors.matrix[kept].astype(np.float16))
        packed.append(buffer.getvalue())
    path = SAMPLES / "glove.6B.100d.10k.npz"
    path.write_bytes(min(packed, key=len))
    print(f"{path}: {len(kept)} words, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
