"""What a finished run says about texts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import keyword_rows, seqloom, write_table

from pipelines.text_classification import predict
from pipelines.text_classification.predict import Classifier
from toolkit import runtime
from toolkit.kernels import prediction

ODD = ["", "   \n", "zzz qqq", "parcel " * 400, "\N{GRINNING FACE}\N{FACE WITH TEARS OF JOY}", "ﬀ", "...", "PARCEL!"]


def probabilities(classifier: Classifier, texts: list[str]) -> np.ndarray:
    return np.stack([each.probabilities for each in classifier.classify(texts)])


def test_new_texts_are_given_their_labels(classifier: Classifier) -> None:
    texts, labels = zip(*keyword_rows(60, seed=77), strict=True)
    found = [classifier.policy.labels[prediction.ids[0]] for prediction in classifier.classify(texts)]
    assert np.mean(np.array(found) == np.array(labels)) > 0.9


def test_order_is_kept_and_neighbours_change_nothing(classifier: Classifier, texts: list[str]) -> None:
    mixed = [text for pair in zip(texts, (ODD * 10)[: len(texts)], strict=True) for text in pair]
    alone = np.concatenate([probabilities(classifier, [text]) for text in mixed])
    np.testing.assert_allclose(probabilities(classifier, mixed), alone, atol=1e-6)


@pytest.mark.parametrize("window", [1, 2, 7])
def test_windows_change_nothing(
    window: int, classifier: Classifier, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = [*texts[:20], *ODD]
    whole = list(classifier.classify(mixed))
    monkeypatch.setattr(predict, "WINDOW", window)
    cut = list(classifier.classify(mixed))
    assert [prediction.ids for prediction in cut] == [prediction.ids for prediction in whole]
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_texts_are_read_no_further_ahead_than_two_windows(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "WINDOW", 4)
    read = 0

    def texts() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield "my parcel"

    next(classifier.classify(texts()))
    assert read <= 8


def test_blank_texts_get_no_label(classifier: Classifier) -> None:
    assert [prediction.ids for prediction in classifier.classify(["", " \t\n", "my parcel"])][:2] == [(), ()]


def test_texts_of_unknown_words_get_finite_probabilities(classifier: Classifier) -> None:
    found = probabilities(classifier, ["xylophone quixotic", "日本語", "\ud800 half a character"])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_unknown_words_are_told_apart_by_their_spelling(classifier: Classifier) -> None:
    one, other = probabilities(classifier, ["parcels", "passwordz"])
    assert classifier.policy.labels[int(one.argmax())] == "delivery"
    assert classifier.policy.labels[int(other.argmax())] == "account"


def test_one_text_alone_is_refused_lest_its_characters_be_texts(classifier: Classifier) -> None:
    with pytest.raises(TypeError, match="expected a list of texts"):
        list(classifier.classify("my parcel"))


def test_no_text_gives_no_prediction(classifier: Classifier) -> None:
    assert list(classifier.classify([])) == []


def test_evaluate_repeats_the_scores_of_the_report(trained: Any) -> None:
    result = seqloom("evaluate", "--model", trained.folder, "--data", trained.data["test"], "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out) == trained.report["test"]
    shown = seqloom("evaluate", "--model", trained.folder, "--data", trained.data["test"]).out
    assert f"{trained.report['test']['accuracy']:.4f}" in shown


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_evaluate_says_when_the_run_has_learned_from_the_file(part: str, trained: Any) -> None:
    result = seqloom("evaluate", "--model", trained.folder, "--data", trained.data[part])
    assert result.code == 0
    assert ("has learned from this file or was chosen by it" in result.err) == (part != "test")


def test_evaluate_names_labels_that_the_run_does_not_know(trained: Any) -> None:
    table = write_table(Path("other.csv"), [("hello there", "martian"), ("my parcel", "delivery")])
    result = seqloom("evaluate", "--model", trained.folder, "--data", table)
    assert result.code == 1
    assert "other.csv" in result.err and "martian" in result.err and "should not happen" not in result.err


def test_evaluate_refuses_lists_of_labels_where_the_run_gives_one(trained: Any) -> None:
    Path("lists.jsonl").write_text('{"text": "my parcel", "label": ["delivery", "refund"]}\n')
    result = seqloom("evaluate", "--model", trained.folder, "--data", "lists.jsonl")
    assert result.code == 1
    assert "one label a row" in result.err


def test_a_run_is_whole_wherever_it_is_copied(trained: Any, classifier: Classifier) -> None:
    shutil.copytree(trained.folder, "elsewhere")
    texts = [text for text, _ in keyword_rows(9, seed=5)]
    assert (probabilities(Classifier("elsewhere"), texts) == probabilities(classifier, texts)).all()


@pytest.mark.parametrize(
    ("length", "rows", "fused"),
    [(1, 100, 100), (40, 72, 72), (60, 48, 64), (200, 24, 64), (600, 24, 27), (1_000, 16, 16), (20_000, 1, 1)],
)
def test_calls_of_the_graph_are_small_enough_for_cache_and_memory(length: int, rows: int, fused: int) -> None:
    for kernel, most in ((False, rows), (True, fused)):
        batches = list(predict._batches(np.arange(100), np.full(100, length), predict.LEAST_ROWS[kernel]))
        assert [row for batch in batches for row in batch] == list(range(100))
        assert max(map(len, batches)) == most


def test_calls_of_texts_of_many_lengths_are_bounded_by_their_longest() -> None:
    lengths = np.array([*range(1, 400, 3), 9_000, 9_000])
    batches = list(predict._batches(np.arange(len(lengths)), lengths, 24))
    assert [row for batch in batches for row in batch] == list(range(len(lengths)))
    assert all(len(rows) * lengths[rows[-1]] <= predict.BATCH_WORDS for rows in batches)
    assert len(batches[0]) > 24 and len(batches[-1]) == 1
    assert list(predict._batches(np.arange(0), lengths[:0], 24)) == []


@pytest.mark.skipif(not prediction.load()[0], reason="there is no kernel")
def test_many_texts_get_the_answers_of_few(trained: Any, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = Classifier(trained.folder), Classifier(trained.folder)
    expected = probabilities(few, [*texts, *ODD])
    monkeypatch.setattr(runtime, "MANY", 1)
    np.testing.assert_allclose(probabilities(many, [*texts, *ODD]), expected, atol=1e-6)
    assert many.scorer.runtime.fused and not few.scorer.runtime.fused
