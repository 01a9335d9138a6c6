"""The baselines learn what they should and survive what data can hold."""

import numpy as np
import pytest

from toolkit.evaluation.baselines import STRENGTHS, fit_tfidf_logistic, majority, tune_tfidf_logistic
from toolkit.evaluation.calibration import calibrated_loss
from toolkit.evaluation.classification import score_many
from toolkit.evaluation.decisions import Policy, decision_flags
from toolkit.evaluation.thresholds import fit_thresholds_per_label

TEXTS = ["my parcel is late", "parcel lost?", "refund my money", "money back, refund !", "parcel late again", "refund"]
IDS = np.array([0, 0, 1, 1, 0, 1])


def test_majority_gives_the_most_frequent_label():
    logits = majority(np.array([2, 2, 1, -1]), labels=4)
    assert logits.shape == (4,)
    assert logits.argmax() == 2
    assert np.isfinite(logits).all()


def test_majority_of_many_labels_states_how_frequent_each_is():
    random = np.random.default_rng(0)
    flags = random.random((5000, 3)) < [0.7, 0.2, 0.01]
    policy = Policy(("a", "b", "c"), many=True, thresholds=(0.5,) * 3)
    expected = (flags.sum(axis=0) + 1) / (5000 + 2)
    np.testing.assert_allclose(policy.probabilities(majority(flags, 3)[None])[0], expected)


@pytest.mark.parametrize("many", [False, True])
def test_tfidf_learns_keywords_and_ignores_unknown_words(many):
    targets = IDS[:, None] == np.arange(2) if many else IDS
    model = fit_tfidf_logistic(TEXTS, targets, labels=2, strength=10.0)
    logits = model.logits(["parcel", "refund", "zzz", ""])
    assert logits.shape == (4, 2)
    assert logits[:2].argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(logits[2], logits[3])


def test_labels_that_training_never_or_always_has_stay_finite():
    flags = np.column_stack([IDS == 0, np.zeros(6, bool), np.ones(6, bool)])
    logits = fit_tfidf_logistic(TEXTS, flags, labels=3, strength=10.0).logits(["parcel", "refund"])
    assert np.isfinite(logits).all()
    assert (logits[:, 1] < 0).all()
    assert (logits[:, 2] > 0).all()
    np.testing.assert_array_equal(logits[0, 1:], logits[1, 1:])


def test_rows_out_of_scope_teach_that_no_label_fits():
    texts, ids = [*TEXTS, *["sing a song"] * 4], np.append(IDS, [-1] * 4)
    song, parcel = fit_tfidf_logistic(texts, ids, labels=2, strength=10.0).logits(["sing a song", "parcel is late"])
    assert song.max() < 0 < parcel.max()


def test_texts_without_letters_can_be_fitted():
    logits = fit_tfidf_logistic(["🎉 !", "?", "", "🎉"], np.array([0, 1, 1, 0]), labels=2, strength=10.0).logits(
        ["🎉", "?"]
    )
    assert logits.argmax(axis=1).tolist() == [0, 1]


def test_the_same_thresholds_serve_baseline_and_model():
    random = np.random.default_rng(0)
    words = np.array(["red", "green", "blue"])
    flags = random.random((300, 3)) < 0.4
    texts = [" ".join(words[row]) + f" noise{random.integers(50)}" for row in flags]
    model, policy = (
        fit_tfidf_logistic(texts[:200], flags[:200], 3, strength=10.0),
        Policy(("r", "g", "b"), True, thresholds=(0.5,) * 3),
    )
    validation, test = (policy.probabilities(model.logits(part)) for part in (texts[200:250], texts[250:]))
    thresholds = fit_thresholds_per_label(validation, flags[200:250])
    chosen = Policy(("r", "g", "b"), True, thresholds=tuple(thresholds.tolist())).decide(model.logits(texts[250:]))
    assert score_many(flags[250:], decision_flags(chosen, 3), test)["macro_f1"] > 0.95


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_how_strongly_weights_are_held_back_is_chosen_on_validation_texts(noise):
    random = np.random.default_rng(1)

    def rows(count: int) -> tuple[list[str], np.ndarray]:
        ids = random.integers(3, size=count)
        seen = np.where(random.random(count) < noise, random.integers(3, size=count), ids)
        words = [["red", "green", "blue"][i] for i in seen]
        return [f"{word} {' '.join(map(str, random.integers(40, size=6)))}" for word in words], ids

    train, validation = rows(300), rows(150)
    tuned = tune_tfidf_logistic(*train, 3, validation)
    losses = {
        strength: calibrated_loss(
            fit_tfidf_logistic(*train, 3, strength=strength).logits(validation[0]), validation[1], expected=None
        )
        for strength in STRENGTHS
    }
    assert tuned.strength == min(losses, key=losses.__getitem__)
    assert len(set(losses.values())) == len(STRENGTHS)


def test_labels_fitted_side_by_side_have_the_weights_of_those_fitted_one_by_one(monkeypatch):
    random = np.random.default_rng(3)
    texts = [" ".join(f"w{word}" for word in random.integers(300, size=12)) for _ in range(600)]
    flags, fitted = random.random((600, 40)) < 0.2, []
    for threads in ("1", "8"):
        monkeypatch.setenv("SEQLOOM_THREADS", threads)
        fitted.append(fit_tfidf_logistic(texts, flags, 40, strength=10.0))
    np.testing.assert_array_equal(fitted[0].weights, fitted[1].weights)
    np.testing.assert_array_equal(fitted[0].bias, fitted[1].bias)


def test_a_rare_label_that_weighs_as_much_as_the_others_is_given_more_often():
    random = np.random.default_rng(2)
    ids = (random.random(400) < 0.1).astype(int)
    texts = [f"{'odd' if i and random.random() < 0.6 else 'even'} {random.integers(9)}" for i in ids]
    given = [
        fit_tfidf_logistic(texts, ids, 2, strength=1.0, balanced=balanced).logits(texts).argmax(axis=1).sum()
        for balanced in (False, True)
    ]
    assert given[0] < given[1]
