"""What `init` and `run` give for tables of pairs, beside the translation of the most similar training sentence.

    python benchmarks/real_pairs.py [TASK...]

Eight tasks of 377 to 6,000 pairs, drawn from public data in ../shared/data: sentences of two languages, some backwards,
questions and queries, code. 500 other sources, with all their translations, are the test part.
"""

import bz2
import csv
import gzip
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA, SEQLOOM = Path("../shared/data"), Path(sys.executable).with_name("seqloom")
SCORES = ("bleu", "chrf", "exact_match")
NEAREST = "nearest training sentence"
TESTED = 500  # sources
Pairs = list[tuple[str, str]]


def multi30k() -> Pairs:
    """English and German."""
    sides = []
    for name in ("en", "de"):
        with gzip.open(DATA / f"multi30k_en_de/train.{name}.gz", "rt", encoding="utf-8") as lines:
            sides.append([line.strip() for line in lines])
    return list(zip(*sides, strict=True))


def tatoeba_spanish() -> Pairs:
    with (DATA / "tatoeba_en_es/english_spanish.csv").open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1]) for row in list(csv.reader(file))[1:]]


def tatoeba_hindi() -> Pairs:
    lines = (DATA / "tatoeba_en_hi/hin.txt").read_text("utf-8").splitlines()
    return [(english, hindi) for english, hindi, _ in (line.split("\t") for line in lines)]


def django() -> Pairs:
    """English and Python."""
    sides = [(DATA / f"django_pseudocode/all.{name}").read_text("utf-8").split("\n") for name in ("anno", "code")]
    return [(source.strip(), target.strip()) for source, target in zip(*sides, strict=True) if source.strip()]


def filled(text: str, values: dict[str, str]) -> str:
    """Longest names first: state_name10 is not state_name1 and a 0."""
    names = "|".join(map(re.escape, sorted(values, key=len, reverse=True)))
    return re.sub(names, lambda name: values[name[0]], text) if names else text


def questions(file: str) -> Pairs:
    """Questions and queries with their values filled in."""
    path = DATA / "text2sql" / file
    text = bz2.decompress(path.read_bytes()).decode("utf-8") if path.suffix == ".bz2" else path.read_text("utf-8")
    pairs = []
    for query in json.loads(text):
        defaults = {each["name"]: each["example"] for each in query["variables"]}
        for sentence in query["sentences"]:
            given = {**defaults, **{name: value for name, value in sentence["variables"].items() if value}}
            pairs.append((filled(sentence["text"], given), filled(query["sql"][0], given)))
    return pairs


TASKS: dict[str, tuple[Callable[[], Pairs], int, bool]] = {  # pairs, how many to learn from, and whether backwards
    "Multi30k, English to German, 500": (multi30k, 500, False),
    "Multi30k, German to English, 2,000": (multi30k, 2000, True),
    "Tatoeba, English to Spanish, 1,000": (tatoeba_spanish, 1000, False),
    "Tatoeba, Spanish to English, 6,000": (tatoeba_spanish, 6000, True),
    "Tatoeba, Hindi to English, 2,500": (tatoeba_hindi, 2500, True),
    "GeoQuery, question to query, 377": (lambda: questions("geography.json"), 377, False),
    "WikiSQL, question to query, 2,000": (lambda: questions("wikisql.json.bz2"), 2000, False),
    "Django, English to Python, 6,000": (django, 6000, False),
}


def split(pairs: Pairs, count: int, backwards: bool) -> tuple[Pairs, Pairs]:
    """Pairs to learn from and to test with, which share no source."""
    found: dict[str, Pairs] = {}
    for source, target in dict.fromkeys((pair[::-1] if backwards else pair) for pair in pairs):
        found.setdefault(source, []).append((source, target))
    groups = list(found.values())
    random.Random(0).shuffle(groups)
    train: Pairs = []
    while len(train) < count:
        train += groups.pop()
    return train, [pair for group in groups[:TESTED] for pair in group]


def write(path: Path, pairs: Pairs) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("source", "target"), *pairs])
    return path


def run(train: Pairs, test: Pairs, folder: Path) -> dict[str, Any]:
    """The report of what `init` and `run` give."""
    table, held = write(folder / "train.csv", train), write(folder / "test.csv", test)
    config = subprocess.run([SEQLOOM, "init", "translate", table], check=True, capture_output=True, text=True).stdout
    (folder / "my.yaml").write_text(config, encoding="utf-8")
    command = [str(SEQLOOM), "run", str(folder / "my.yaml"), "--set", f"data.test={held}"]
    command += ["--out", str(folder / "run"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(done.splitlines()[-1]))


def main(names: list[str]) -> None:
    print(f"{'':<38}{'seconds':>8}" + "".join(f"{name:>15}" for name in SCORES), flush=True)
    for name in names or TASKS:
        make, count, backwards = TASKS[name]
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            report = run(*split(make(), count, backwards), Path(folder))
        both = report["test"], report["baselines"][NEAREST]
        cells = (" ".join(f"{scores[score]:7.3f}" for scores in both) for score in SCORES)
        print(f"{name:<38}{time.monotonic() - started:>8.0f}" + " ".join(cells), flush=True)
    print(f"Each: Seqloom, {NEAREST}.")


if __name__ == "__main__":
    main(sys.argv[1:])
