"""A translator given what people type: with capitals and marks where its sources have none, without where they have.

    python benchmarks/as_people_write.py RUN TEST [SOURCE TARGET]

TEST is a table or JSON lines with the columns SOURCE and TARGET, source and target unless given. A question begins with
one of the words below; what stands in quotes in the target, as in SQL, is a name. Scores are in %.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from sacrebleu.metrics import BLEU

from pipelines.translation.predict import Translator
from toolkit.data.alphabet import Alphabet
from toolkit.data.rows import Source, read_rows

ASKS = {"what", "which", "who", "where", "when", "why", "how", "is", "are", "do", "does", "did", "can", "could", "will"}
AT_ONCE = 3


def typed(text: str, target: str) -> str:
    names = {name for _, quoted in re.findall(r"(['\"])(.+?)\1", target) for name in quoted.split()}
    words = [word.capitalize() if word in names or word == "i" else word for word in text.split()]
    return f"{words[0][:1].upper()}{' '.join(words)[1:]}{'?' if words[0].lower() in ASKS else '.'}"


def bleu(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    most = max(map(len, references))
    columns = [[each[min(i, len(each) - 1)] for each in references] for i in range(most)]
    return float(BLEU().corpus_score(written, columns).score)


def main(run: str, test: str, source: str = "source", target: str = "target") -> None:
    rows = [(str(row[source]), str(row[target])) for _, row in read_rows(Source(test))]
    grouped = [(text, [each[1] for each in same]) for text, same in groupby(sorted(rows), key=lambda row: row[0])]
    translator = Translator(run)
    codec = translator.searcher.codec
    as_stored, as_typed = [text for text, _ in grouped], [typed(text, targets[0]) for text, targets in grouped]
    sentences = as_typed
    if codec.alphabet.capitals:
        as_typed, sentences = [text.lower().rstrip(" .!?") for text in as_stored], as_stored
    for name, texts, alphabet in (
        ("as stored", as_stored, codec.alphabet),
        ("as people type", as_typed, codec.alphabet),
        ("the same, read as typed", as_typed, Alphabet()),
    ):
        translator.searcher.codec = replace(codec, alphabet=alphabet)
        written = [each.text for each in translator.translate(texts)]
        exact = sum(text in targets for text, (_, targets) in zip(written, grouped, strict=True)) / len(grouped)
        print(f"{name:26} BLEU {bleu(written, [targets for _, targets in grouped]):.1f}  exact {100 * exact:.1f}")
    print(f"the first: {as_typed[0]!r}, of {len(grouped):,} sources")
    joined = [" ".join(sentences[i : i + AT_ONCE]) for i in range(0, len(sentences), AT_ONCE)]
    first = [targets[0] for _, targets in grouped]
    references = [[" ".join(first[i : i + AT_ONCE])] for i in range(0, len(first), AT_ONCE)]
    translator.searcher.codec = codec
    for name, split in (("three in a line, one by one", True), ("three in a line, at once", False)):
        translator.facts = translator.facts._replace(split=split)
        written = [each.text for each in translator.translate(joined)]
        print(f"{name:26} BLEU {bleu(written, references):.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
