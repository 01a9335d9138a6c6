"""What `init` and `run` give for small tables of texts, beside TF-IDF with logistic regression in scikit-learn.

    python benchmarks/real_texts.py [TASK...]

Eight tasks of 70 to 800 rows, drawn from public data in ../shared/data; what is left of the data, at most 2,000 rows,
is the test part. The peer reads words, pairs and pieces of 2 to 4 letters, with a regularisation that five-fold
cross-validation of the same rows chooses by their likelihood.
"""

import csv
import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import make_pipeline, make_union

DATA, SEQLOOM = Path("../shared/data"), Path(sys.executable).with_name("seqloom")
BANKING = ("bill_due", "pay_bill", "account_blocked", "interest_rate", "balance", "transfer", "transactions")
TRAVEL = ("book_flight", "book_hotel", "car_rental", "travel_alert", "carry_on", "timezone", "vaccines")
SCORES = ("accuracy", "macro_f1", "nll", "ece")
MOST_TESTED = 2_000
Rows = list[tuple[str, str]]  # text and label


def intents(kept: Collection[str]) -> Rows:
    parts = json.loads((DATA / "clinc150/data_full.json").read_text())
    return [(text, label) for part in ("train", "val", "test") for text, label in parts[part] if label in kept]


def labelled(file: str) -> Rows:
    lines = (DATA / f"trec_sst/{file}").read_text(encoding="latin-1").splitlines()
    return [(text, f"kind {label}") for label, text in (line.split(" ", 1) for line in lines)]


def languages() -> Rows:
    rows = []
    for name in ("en", "de"):
        with gzip.open(DATA / f"multi30k_en_de/train.{name}.gz", "rt") as lines:
            rows += [(line.strip(), name) for line in list(lines)[:5_000]]
    return rows


def tables() -> Rows:
    """Questions about geography, by the table that they ask of."""
    rows = []
    for query in json.loads((DATA / "text2sql/geography.json").read_text()):
        found = re.search(r"FROM\s+(\w+)", query["sql"][0])
        for sentence in query["sentences"]:
            text = sentence["text"]
            for name, value in sentence["variables"].items():
                text = text.replace(name, str(value))
            rows += [(text, found[1].lower())] if found else []
    return rows


TASKS = {  # rows, and how many of each label or of all to learn from
    "banking, 10 rows a label": (lambda: intents(BANKING), 10, None),
    "travel, 10 rows a label": (lambda: intents(TRAVEL), 10, None),
    "TREC, 150 questions": (lambda: labelled("TREC.train.all"), None, 150),
    "TREC, 600 questions": (lambda: labelled("TREC.train.all"), None, 600),
    "SST-2, 200 reviews": (lambda: labelled("stsa.binary.train"), None, 200),
    "SST-5, 800 reviews": (lambda: labelled("stsa.fine.train"), None, 800),
    "German or English, 100 lines": (languages, None, 100),
    "tables of GeoQuery, 300 questions": (tables, None, 300),
}


def split(rows: Rows, each: int | None, most: int | None) -> tuple[Rows, Rows]:
    """Rows to learn from, and others; equal texts are there once, and a label has five rows at least."""
    rows = list(dict(rows).items())
    order = [rows[k] for k in np.random.default_rng(0).permutation(len(rows))]
    train: Rows = []
    taken: dict[str, int] = defaultdict(int)
    for text, label in order:
        if taken[label] < (each or most or 0) and (each or len(train) < (most or 0)):
            taken[label] += 1
            train.append((text, label))
    known = {label for label, count in taken.items() if count >= 5}
    train = [row for row in train if row[1] in known]
    texts = {text for text, _ in train}
    return train, [row for row in order if row[1] in known and row[0] not in texts][:MOST_TESTED]


def write(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def own(train: Rows, test: Rows, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Scores of what `init` and `run` give, and of the baseline in its report."""
    table, held = write(folder / "train.csv", train), write(folder / "test.csv", test)
    config = subprocess.run([SEQLOOM, "init", "classify", table], check=True, capture_output=True, text=True).stdout
    (folder / "my.yaml").write_text(config)
    command = [str(SEQLOOM), "run", str(folder / "my.yaml"), "--set", f"data.test={held}"]
    command += ["--out", str(folder / "run"), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return report["test"], report["baselines"]["TF-IDF + logistic regression"]


def peer(train: Rows, test: Rows) -> dict[str, float]:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    search = LogisticRegressionCV(Cs=[0.3, 1, 3, 10, 30, 100], cv=5, scoring="neg_log_loss", max_iter=2_000)
    model = make_pipeline(make_union(words, pieces), search).fit(*map(list, zip(*train, strict=True)))
    texts, truth = map(list, zip(*test, strict=True))
    found = model.predict_proba(texts)
    labels = model.classes_[found.argmax(axis=1)]
    right, sure = labels == np.array(truth), found.max(axis=1)
    bins = np.minimum((sure * 15).astype(int), 14)
    gaps = [abs((right[bins == k] - sure[bins == k]).sum()) for k in range(15)]
    return {
        "accuracy": float(right.mean()),
        "macro_f1": float(f1_score(truth, labels, average="macro")),
        "nll": float(log_loss(truth, found, labels=list(model.classes_))),
        "ece": float(sum(gaps) / len(test)),
    }


def main(names: list[str]) -> None:
    print(f"{'':<36}{'rows':>6}" + "".join(f"{name:>24}" for name in SCORES), flush=True)
    for name in names or TASKS:
        make, each, most = TASKS[name]
        train, test = split(make(), each, most)
        with tempfile.TemporaryDirectory() as folder:
            found = [*own(train, test, Path(folder)), peer(train, test)]
        cells = (" ".join(f"{scores.get(score, float('nan')):7.3f}" for scores in found) for score in SCORES)
        print(f"{name:<36}{len(train):>6} " + " ".join(cells), flush=True)
    print("Each: Seqloom, the baseline of its report, scikit-learn with pieces of words.")


if __name__ == "__main__":
    main(sys.argv[1:])
