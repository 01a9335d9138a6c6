"""`explain` and `encode` with a text classifier: what they show is what predicts, and nothing breaks them."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keywords import Result, keyword_rows, seqloom, write_config, write_table
from safetensors.numpy import save

from pipelines.encode import map_of, nearest, plane
from pipelines.explain import drawings, explain, page, summary
from pipelines.text_classification.predict import Classifier
from toolkit import artifact
from toolkit.explanation import Explanation, Vectors
from toolkit.gate_plots import map_figure
from toolkit.gates import Direction, Trace

HOSTILE = "<script>alert(1)</script> $x_{ & '\" parcel 🎉 नमस्ते"


@pytest.fixture(scope="session")
def segmented(trained: Any) -> Path:
    """A run that reads pieces of eight words, with stacked layers of every kind and two networks."""
    base = trained.folder.parent
    config = write_config(
        base / "segmented.yaml",
        trained.data,
        model={"segment": 8, "members": 2, "pooling": ["attention", "max"], "word_skip": False},
        encoder={"cell": "gru", "units": 6, "layers": 2, "bidirectional": True, "residual": True},
        vectors={"units": 12, "ngram_buckets": 0},
        training={"epochs": 1},
    )
    result = seqloom("run", config, "--out", base / "segmented")
    assert result.code == 0, result.err
    return base / "segmented"


@pytest.fixture
def copied(trained: Any) -> Path:
    shutil.copytree(trained.folder, "run")
    return Path("run")


def reseal(folder: Path) -> None:
    """A manifest that fits whatever the files are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = {name: value for name, value in manifest.items() if name not in ("schema_version", "pipeline", "files")}
    artifact.seal(folder, manifest["pipeline"], facts)


def refused(result: Result, *words: str) -> None:
    assert result.code in (1, 2) and result.out == ""
    assert "should not happen" not in result.err and "Traceback" not in result.err
    assert all(word in result.err for word in words), result.err


def test_states_and_attention_are_those_that_the_graph_pools(trained: Any, texts: list[str]) -> None:
    classifier = Classifier(trained.folder)
    for text in [*texts[:3], "zzz courierly parcel"]:  # one with words that are composed of n-grams
        found, (features,) = explain(trained.folder, text), classifier.scorer.score([text])[1]
        (layer,) = found.layers
        assert found.attention is not None
        np.testing.assert_allclose(layer.trace.hidden.max(axis=0), features[:8], atol=1e-5)
        np.testing.assert_allclose((found.attention @ layer.trace.hidden)[0], features[24:32], atol=1e-5)


def test_states_are_those_of_stacked_layers_that_read_pieces(segmented: Path) -> None:
    text = " ".join(text for text, _ in keyword_rows(3, seed=5))
    found, (features,) = explain(segmented, text), Classifier(segmented).scorer.score([text])[1]
    assert [each.name for each in found.layers] == [f"layer {i} {way}" for i in "12" for way in ("forward", "backward")]
    first, second = (np.concatenate([each.trace.hidden for each in found.layers[at : at + 2]], axis=1) for at in (0, 2))
    outputs = first + second
    assert found.attention is not None and len(outputs) == 21
    np.testing.assert_allclose(np.hstack([found.attention[0] @ outputs, outputs.max(axis=0)]), features[:24], atol=1e-5)


@pytest.mark.parametrize("run", ["trained", "linear"])
def test_the_answer_is_that_of_classify_and_rests_on_the_keyword(run: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(run).folder
    result = seqloom("explain", "the parcel is really for you", "--model", folder, "--json")
    facts = json.loads(result.out)
    (record,) = seqloom("classify", "-", "--model", folder, stdin=b"the parcel is really for you").records
    label = record["labels"][0]
    assert facts["answer"].startswith(f"{label} ({record['probabilities'][label]:.2f})")
    assert facts["mattered"][0]["part"] == "parcel" and facts["mattered"][0]["effect"] > 0.1
    assert set(facts["gates"]["layer 1 forward"]) == {"input", "forget", "output"}


def test_hiding_is_the_unknown_word_in_its_place(segmented: Path) -> None:
    """Without n-grams a word that the run does not know is that word already."""
    found, classifier = explain(segmented, "my parcel is lost"), Classifier(segmented)
    label = classifier.policy.labels.index(found.answer.split(" (")[0])
    hidden = ["qqq parcel is lost", "my qqq is lost", "my parcel qqq lost", "my parcel is qqq"]
    whole, *others = [
        prediction.probabilities[label] for prediction in classifier.classify(["my parcel is lost", *hidden])
    ]
    np.testing.assert_allclose(found.effects, whole - np.array(others), atol=1e-6)


def test_a_page_and_pictures_are_written_and_texts_stay_text(trained: Any) -> None:
    result = seqloom("explain", HOSTILE, "--model", trained.folder, "-o", "a.html", "--pictures", "pictures")
    assert result.code == 0 and "Glyph" not in result.err
    written = Path("a.html").read_text(encoding="utf-8")
    assert "<script" not in written and "🎉" in written
    names = {path.name for path in Path("pictures").iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("effects", "saturation", "layer-1-forward") for kind in ("svg", "png")
    }


def test_a_plain_recurrent_layer_has_no_gates_but_is_drawn() -> None:
    layer = Direction("layer 1 forward", Trace(np.ones((2, 3)), {}))
    found = Explanation("x (0.50).", ["my", "parcel"], [layer], ["my", "parcel"], np.array([0.1, -0.2]), "fall", "how")
    assert [each.section for each in drawings(found)] == ["What mattered", "Layer 1 forward"]
    assert summary(found)["mattered"][0] == {"part": "parcel", "effect": -0.2}
    assert "length of the hidden state" in page(found, "my parcel", list(drawings(found)))


def test_a_long_text_is_cut_and_said(trained: Any) -> None:
    found = explain(trained.folder, "parcel " * 10_000)
    assert len(found.steps) == len(found.effects) == 256
    assert any("reads its first 256 words" in note for note in found.notes)


@pytest.mark.parametrize("text", ["qqq zzz", "🎉", "\ud83c", "?!", "—", "\x00", "-5"])
def test_unknown_words_and_signs_are_explained(text: str, trained: Any) -> None:
    found = explain(trained.folder, text)
    assert len(found.steps) == len(found.effects) and np.isfinite(found.effects).all()
    assert any("not in the vocabulary" in note for note in found.notes)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_blank_text_is_refused(text: str, trained: Any) -> None:
    refused(seqloom("explain", text, "--model", trained.folder), "blank")


@pytest.mark.parametrize("text", [b"my parcel", b"my parcel\xed", "my parcel".encode("utf-16")])
def test_standard_input_is_a_text(text: bytes, trained: Any) -> None:
    result = seqloom("explain", "-", "--model", trained.folder, stdin=text)
    assert result.out.startswith("delivery")


def test_series_are_not_for_texts(trained: Any) -> None:
    refused(seqloom("explain", "my parcel", "--model", trained.folder, "--series", "a"), "--series")


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, None])
def test_damaged_weights_are_named(damage: bytes | None, copied: Path) -> None:
    if damage is None:
        (copied / "weights.safetensors").unlink()
    else:
        (copied / "weights.safetensors").write_bytes(damage)
    refused(seqloom("explain", "my parcel", "--model", copied), "weights.safetensors")
    if damage is not None:
        reseal(copied)
        refused(seqloom("explain", "my parcel", "--model", copied), "weights.safetensors", "cannot be read")


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"member0/embedding/tuned": np.ones((3, 2), np.float32)},
        {"member0/encoder/layer0_forward/lstm_cell/kernel": np.ones((3, 2), np.float32)},
    ],
)
def test_weights_of_another_network_are_refused(weights: dict[str, np.ndarray], copied: Path) -> None:
    old = artifact.read_weights(copied / "weights.safetensors") if weights else {}
    (copied / "weights.safetensors").write_bytes(save({**old, **weights}))
    reseal(copied)
    refused(seqloom("explain", "my parcel", "--model", copied), "weights.safetensors", "config")


@pytest.mark.parametrize("command", [("explain", "a parcel"), ("encode", "a.txt", "-o", "v.npy")])
def test_a_foreign_folder_is_refused(command: tuple[str, ...], copied: Path) -> None:
    Path("a.txt").write_text("a parcel")
    refused(seqloom(*command, "--model", "nowhere"), "no such run folder")
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "pipeline": "painting"}))
    refused(seqloom(*command, "--model", copied), "painting")
    assert not Path("v.npy").exists()


def test_both_start_without_keras(trained: Any) -> None:
    Path("a.txt").write_text("my parcel\nmy money\n")
    code = (
        "import sys; from pipelines.explain import explain; from pipelines.encode import encode;"
        f"explain({str(trained.folder)!r}, 'my parcel'); encode({str(trained.folder)!r}, 'a.txt');"
        "print({'keras', 'tensorflow', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "set()"


def test_vectors_are_the_pooled_features_of_each_line(trained: Any, texts: list[str]) -> None:
    Path("a.txt").write_text("\n".join(texts))
    result = seqloom("encode", "a.txt", "--model", trained.folder, "-o", "v.npy", "--neighbours", 2, "--map", "m.html")
    vectors = np.load("v.npy")
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, Classifier(trained.folder).scorer.score(texts)[1], atol=1e-5)
    assert [record["source"] for record in result.records] == [f"a.txt:{i}" for i in range(1, len(texts) + 1)]
    near = result.records[0]["neighbours"]
    assert len(near) == 2 and near[0]["cosine"] >= near[1]["cosine"]
    assert "Vectors as points" in Path("m.html").read_text()


def test_the_vector_of_a_blank_text_is_zero(trained: Any) -> None:
    Path("a.txt").write_text("my parcel\n \n")
    result = seqloom("encode", "a.txt", "--model", trained.folder, "-o", "v.npy", "--neighbours", 2)
    assert np.load("v.npy").any(axis=1).tolist() == [True, False]
    assert [record["neighbours"] for record in result.records] == [[], []]


def test_vectors_of_a_table_go_to_parquet(trained: Any) -> None:
    write_table(Path("a.csv"), [("my parcel", "x"), ("", "y")], header=("message", "label"))
    refused(seqloom("encode", "a.csv", "--model", trained.folder, "-o", "v.parquet"), "message")
    assert seqloom("encode", "a.csv", "--model", trained.folder, "-o", "v.parquet", "--column", "message").code == 0
    frame = pd.read_parquet("v.parquet")
    assert list(frame["source"]) == ["a.csv:2", "a.csv:3"] and len(frame["vector"][0]) == 48
    Path("b.csv.gz").write_bytes(gzip.compress(Path("a.csv").read_bytes()))
    seqloom("encode", "b.csv.gz", "--model", trained.folder, "-o", "v.parquet", "--column", "message")
    assert list(pd.read_parquet("v.parquet")["source"]) == ["b.csv.gz:2", "b.csv.gz:3"]


def test_what_cannot_be_encoded_is_told_before_anything_is_written(trained: Any) -> None:
    Path("empty.txt").write_text("")
    Path("v.npy").write_text("precious")
    for arguments in (("empty.txt", "-o", "w.npy"), ("nothing.txt", "-o", "w.npy"), ("v.npy", "-o", "v.npy")):
        refused(seqloom("encode", *arguments, "--model", trained.folder), arguments[0])
    refused(seqloom("encode", "empty.txt", "--model", trained.folder, "-o", "w.txt"), ".parquet")
    refused(
        seqloom("encode", "empty.txt", "--model", trained.folder, "-o", "w.npy", "--map", "w.npy"), "w.npy", "twice"
    )
    assert not Path("w.npy").exists() and Path("v.npy").read_text() == "precious"


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(-2, 2)))
def test_neighbours_are_those_of_the_greatest_cosine(vectors: np.ndarray) -> None:
    for row, near in enumerate(nearest(vectors, 3)):
        # A row of zeros, such as a blank text's, is like none.
        others = [
            other for other in range(len(vectors)) if other != row and vectors[other].any() and vectors[row].any()
        ]
        cosines = {}
        for other in others:
            product = np.linalg.norm(vectors[row]) * np.linalg.norm(vectors[other])
            cosines[other] = vectors[row] @ vectors[other] / product
        assert [cosine for _, cosine in near] == pytest.approx(sorted(cosines.values(), reverse=True)[:3])
        assert all(cosine == pytest.approx(cosines[other]) for other, cosine in near)


@pytest.mark.parametrize(("rows", "features"), [(1, 5), (2, 1), (5, 3), (50, 2)])
def test_a_map_keeps_most_of_the_variance_of_few_rows_and_features(rows: int, features: int) -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (rows, features))
    points, share = plane(vectors)
    assert points.shape == (rows, 2) and 0 <= share <= 1 + 1e-9
    if features <= 2 and rows > 1:
        assert share == pytest.approx(1)
    names = [HOSTILE] * rows
    assert "<script" not in map_of(Vectors(names, names, vectors, [HOSTILE] * rows))


@pytest.mark.parametrize(("labels", "others"), [(["refund", "_spam", "$x$"], []), ([*"abcdefghi"], ["others"])])
def test_the_legend_of_a_map_names_the_groups_that_there_are(labels: list[str], others: list[str]) -> None:
    with warnings.catch_warnings(action="error"):
        (legend,) = map_figure(np.zeros((len(labels), 2)), labels, labels, 1.0).legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*dict.fromkeys(labels)][:8] + others


def test_a_text_may_be_longer_than_a_name_and_the_name_of_a_file_is_told(trained: Any) -> None:
    assert seqloom("explain", "where is my parcel " * 60, "--model", trained.folder).code == 0
    Path("a.txt").write_text("where is my parcel")
    result = seqloom("explain", "a.txt", "--model", trained.folder)
    assert result.code == 0 and "a.txt is a file, and its name is what is explained" in result.err
