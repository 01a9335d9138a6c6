"""BLEU of generated code as papers on Django state it: the mean over lines, and not of all lines together.

    python benchmarks/code_bleu.py RUN benchmarks/data/django-test.jsonl

Names are split at small letters before capitals, all other signs stand alone, and quotes are alike, as in the
evaluation of Yin & Neubig 2017, arXiv:1704.01696, where 84.5 and the 77.6 of Ling et al. 2016 stand.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from sacrebleu.metrics import BLEU

from pipelines.translation.predict import Translator


def words(code: str) -> str:
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", re.sub(r"([^A-Za-z0-9_])", r" \1 ", code))
    return " ".join(re.sub("[\"']", "`", apart).split())


def main(run: str, test: str) -> None:
    rows = [json.loads(line) for line in Path(test).read_text(encoding="utf-8").splitlines()]
    written = [each.text for each in Translator(run).translate(row["source"] for row in rows)]
    pairs = [(words(text), words(row["target"])) for text, row in zip(written, rows, strict=True)]
    line, whole = BLEU(tokenize="none", effective_order=True), BLEU(tokenize="none")
    scores = [line.sentence_score(text, [reference]).score for text, reference in pairs]
    together = whole.corpus_score([text for text, _ in pairs], [[reference for _, reference in pairs]])
    exact = np.mean([text == reference for text, reference in pairs])
    print(f"{len(rows):,} lines: BLEU of lines {np.mean(scores):.1f}, of all together {together.score:.1f}")
    print(f"exact match {100 * exact:.1f} %; {together.sys_len:,} words written of {together.ref_len:,}")


if __name__ == "__main__":
    main(*sys.argv[1:])
