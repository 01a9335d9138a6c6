"""Write the pairs of published sets that are not tables into benchmarks/data, which git ignores.

    python benchmarks/make_pairs.py

GeoQuery and Advising: questions to SQL with their values filled in, the first listed query, split by question, and for
GeoQuery by query too. Django: English to Python, 16,000 / 1,000 / 1,805 lines in file order. SCAN: commands to actions.
Reversal: sequences of 20 symbols, and of 1 to 30, and the same backwards, drawn here.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

SHARED, OUT = Path("../shared/data"), Path("benchmarks/data")
PARTS = {"train": "train", "dev": "validation", "test": "test"}
SYMBOLS, LENGTH, LONGEST = "abcdefghijklmnopqrstuvwxyz", 20, 30
SHORT = 12  # actions; the test of SCAN by length has twice as many as its training


def write(name: str, rows: list[tuple[str, str]]) -> None:
    OUT.mkdir(exist_ok=True)
    lines = [json.dumps({"source": source, "target": target}, ensure_ascii=False) for source, target in rows]
    (OUT / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(rows):,}")


def questions(file: str, split: str) -> Iterator[tuple[str, str, str]]:
    """The part, the question and the query of every row, with values in the place of variables."""
    for entry in json.loads((SHARED / "text2sql" / file).read_text()):
        defaults = {each["name"]: each["example"] for each in entry["variables"]}
        for sentence in entry["sentences"]:
            text, query = sentence["text"], entry["sql"][0]
            # Longest names first: state_name10 is not state_name1 and a 0.
            for name, value in sorted({**defaults, **sentence["variables"]}.items(), key=lambda item: -len(item[0])):
                text, query = text.replace(name, value), query.replace(name, value or defaults.get(name, ""))
            yield (sentence if split == "question-split" else entry)[split], text, query


def text_to_sql() -> None:
    for name, file, split in (
        ("geoquery", "geography.json", "question-split"),
        ("geoquery_query_split", "geography.json", "query-split"),
        ("advising", "advising.json", "question-split"),
    ):
        rows = list(questions(file, split))
        for part, ours in PARTS.items():
            write(f"{name}-{ours}", [(text, query) for found, text, query in rows if found == part])


def django() -> None:
    sides = [(SHARED / "django_pseudocode" / f"all.{side}").read_text("utf-8").split("\n") for side in ("anno", "code")]
    rows = [(source.strip(), target.strip()) for source, target in zip(*sides, strict=True)][:18_805]
    for part, start, stop in (("train", 0, 16_000), ("validation", 16_000, 17_000), ("test", 17_000, 18_805)):
        write(f"django-{part}", rows[start:stop])


def scan() -> None:
    for split in ("simple", "length"):
        for part in ("train", "test"):
            write(f"scan_{split}-{part}", commands(split, part))
    # Of what may be learned from the shorter and some of the longer, to choose how to learn what is longer still.
    pairs = commands("length", "train")
    longer = [pair for pair in pairs if len(pair[1].split()) > SHORT]
    random.Random(3).shuffle(longer)
    write("scan_short-train", [pair for pair in pairs if len(pair[1].split()) <= SHORT])
    write("scan_short-test", longer[:2000])


def commands(split: str, part: str) -> list[tuple[str, str]]:
    lines = (SHARED / "scan" / f"tasks_{part}_{split}.txt").read_text().splitlines()
    pairs = (line.removeprefix("IN: ").split(" OUT: ") for line in lines)
    return [(source, target) for source, target in pairs]


def reversal() -> None:
    draws = random.Random(1)
    rows = [draws.choices(SYMBOLS, k=LENGTH) for _ in range(12_000)]
    write("reversal", [(" ".join(row), " ".join(reversed(row))) for row in rows])
    for part, count in {"train": 12_000, "validation": 1_000, "test": 3_000}.items():
        rows = [draws.choices(SYMBOLS, k=draws.randint(1, LONGEST)) for _ in range(count)]
        write(f"reversal_lengths-{part}", [(" ".join(row), " ".join(reversed(row))) for row in rows])


if __name__ == "__main__":
    text_to_sql()
    django()
    scan()
    reversal()
