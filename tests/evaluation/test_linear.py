"""The linear model predicts what scikit-learn does, and weighs beside networks what validation rows say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

from toolkit.errors import ArtifactError
from toolkit.evaluation import classification
from toolkit.evaluation.baselines import fit_tfidf_logistic
from toolkit.evaluation.calibration import fit_weight
from toolkit.evaluation.decisions import Policy
from toolkit.evaluation.linear import LinearMember, TfidfLogistic, fit_linear_member, text_pieces, text_terms

TEXTS = [
    "My parcel is late, late!",
    "parcel LOST?",
    "refund my money -- $5 back",
    "money back, refund !",
    "Wo ist das Päckchen? ÇA ne va pas",
    "रिफंड कब मिलेगा",
    "refund",
    "\N{PARTY POPPER}\N{PARTY POPPER} thanks",
]
IDS = np.array([0, 0, 1, 1, 0, 1, 1, -1])
ODD = ["", "  ", "zzz", "İstanbul parcel", "a_b c-d", "late " * 500, "\0\x1f", "half \ud800 late", "ﬀ ß ﬁ"]


@pytest.fixture(scope="module")
def model() -> TfidfLogistic:
    return fit_tfidf_logistic(TEXTS, IDS, labels=2, strength=10.0)


@pytest.fixture(scope="module")
def reference() -> Any:
    """The logits of a pipeline of scikit-learn's own."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    values = vectorizer.fit_transform(TEXTS)
    regressions = [LogisticRegression(C=10, solver="liblinear").fit(values, label == IDS) for label in range(2)]
    return lambda texts: np.column_stack([each.decision_function(vectorizer.transform(texts)) for each in regressions])


def test_it_equals_scikit_learn(model: TfidfLogistic, reference: Any) -> None:
    texts = [*TEXTS, *ODD, " ".join(TEXTS)]
    np.testing.assert_allclose(model.logits(texts), reference(texts), atol=1e-6)


@given(st.text(), st.lists(st.sampled_from(" ".join(TEXTS).split())))
def test_it_equals_scikit_learn_on_any_text(model: TfidfLogistic, reference: Any, text: str, words: list[str]) -> None:
    texts = [text, " ".join([*words, text])]
    np.testing.assert_allclose(model.logits(texts), reference(texts), atol=1e-6)


def test_no_text_has_no_logits(model: TfidfLogistic) -> None:
    assert model.logits([]).shape == (0, 2)


def nll(targets: np.ndarray, logits: np.ndarray) -> float:
    policy = Policy(tuple("abcd"), targets.ndim == 2, thresholds=(0.5,) * 4 * (targets.ndim == 2))
    return classification.nll(targets, policy.probabilities(logits))


def noisy(targets: np.ndarray, labels: int, noise: float, seed: int) -> np.ndarray:
    """Logits that know the truth but for noise; those of rows out of scope are nothing but noise."""
    truth = targets if targets.ndim == 2 else targets[:, None] == np.arange(labels)
    return 3 * truth + np.random.default_rng(seed).normal(0, noise, truth.shape)


@pytest.fixture(scope="module", params=["one", "many"])
def targets(request: pytest.FixtureRequest) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(-1, 4, 3000) if request.param == "one" else random.random((1000, 4)) < 0.3


def test_models_that_err_apart_share_the_weight(model: TfidfLogistic, targets: np.ndarray) -> None:
    networks, linear = noisy(targets, 4, 2, seed=1), noisy(targets, 4, 2, seed=2)
    member = fit_linear_member(model, networks, 7 * linear, targets)  # how it is scaled does not matter
    assert member is not None and 0.4 <= member.weight <= 0.6
    combined = member.combine(7 * linear, networks)
    losses = [nll(targets, each) for each in (networks / member.temperatures[0], combined)]
    assert losses[1] < losses[0]


def test_the_weaker_model_weighs_less(model: TfidfLogistic, targets: np.ndarray) -> None:
    member = fit_linear_member(model, noisy(targets, 4, 2, seed=1), noisy(targets, 4, 4, seed=2), targets)
    assert member is not None and 0.1 <= member.weight <= 0.4


def test_what_weighted_training_rows_took_from_a_label_counts_against_no_model(
    model: TfidfLogistic, targets: np.ndarray
) -> None:
    networks, linear = (noisy(targets, 4, 2, seed) - 2 * (targets.ndim == 2) for seed in (1, 2))
    taken = np.array([4.0, 2, -2, -4])
    fair = fit_linear_member(model, networks, linear, targets)
    told = fit_linear_member(model, networks - taken, linear, targets, (taken, None))
    untold = fit_linear_member(model, networks - taken, linear, targets)
    assert fair and told and untold
    assert told.weight == fair.weight < untold.weight
    np.testing.assert_allclose(told.temperatures, fair.temperatures, rtol=0.1)


def test_a_useless_model_gets_no_weight(model: TfidfLogistic, targets: np.ndarray) -> None:
    noise = np.random.default_rng(3).normal(size=(len(targets), 4))
    networks = noisy(targets, 4, 2, seed=1)
    for useless in (noise, np.zeros_like(noise), -networks):
        assert fit_linear_member(model, networks, useless, targets) is None


def test_of_equal_models_none_weighs_more(targets: np.ndarray) -> None:
    logits = noisy(targets, 4, 2, seed=1)
    assert fit_weight(logits, logits, targets) == 0.5


def test_few_rows_move_the_weight_less_than_many(targets: np.ndarray) -> None:
    some = targets[targets.reshape(len(targets), -1).max(axis=1) >= 0]
    networks, linear = noisy(some, 4, 0, seed=1), np.zeros((len(some), 4))
    few, more = (fit_weight(networks[:n], linear[:n], some[:n]) for n in (2, 100))
    assert more == 0 < few < 0.5


def test_pieces_of_words_are_read_where_words_are_new() -> None:
    model = fit_tfidf_logistic(TEXTS, IDS, 2, strength=10.0, pieces=True)
    known, typed, new = model.logits(["refund", "refnd refunding", "zzz"])
    assert known.argmax() == typed.argmax() == 1 and typed[1] > new[1]
    np.testing.assert_allclose(model.logits(["x" * 5000]), model.logits(["x" * 40]))


def test_words_and_their_pieces_are_scaled_apart_as_two_vectorizers_are() -> None:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    pieces = TfidfVectorizer(analyzer=text_pieces, sublinear_tf=True)
    union = make_union(words, pieces)
    values, model = union.fit_transform(TEXTS), fit_tfidf_logistic(TEXTS, IDS, 2, strength=10.0, pieces=True)
    texts = [*TEXTS, *ODD]
    for label in range(2):
        regression = LogisticRegression(C=10, solver="liblinear").fit(values, label == IDS)
        expected = regression.decision_function(union.transform(texts))
        np.testing.assert_allclose(model.logits(texts)[:, label], expected, atol=1e-5)


def test_no_piece_is_a_word_or_a_pair() -> None:
    texts = [*TEXTS, *ODD, "< a > # <a <<"]
    assert not {p for text in texts for p in text_pieces(text)} & {t for text in texts for t in text_terms(text, True)}
    assert text_pieces("A <") == [" <a", " a>", " <a>", " <<", " <>", " <<>"]


def test_rows_out_of_scope_do_not_weigh() -> None:
    targets = np.array([0, 1, 2, 3] * 20)
    networks, linear = noisy(targets, 4, 2, seed=1), noisy(targets, 4, 2, seed=2)
    more = np.append(targets, [-1] * 50)
    extended = [np.concatenate([logits, np.full((50, 4), 9.0)]) for logits in (networks, linear)]
    assert fit_weight(*extended, more) == fit_weight(networks, linear, targets)
    assert fit_weight(networks[:5], linear[:5], np.full(5, -1)) == 0


@pytest.fixture
def member(model: TfidfLogistic) -> LinearMember:
    return LinearMember(model, 0.3, (1.5, 0.7))


def test_it_is_the_same_after_storing(member: LinearMember) -> None:
    again = LinearMember.from_json(member.to_json(), member.arrays(), labels=2, where="linear.json")
    np.testing.assert_array_equal(again.model.logits(TEXTS), member.model.logits(TEXTS))
    assert (again.weight, again.temperatures) == (member.weight, member.temperatures)


def test_capitals_are_stored_and_older_runs_have_none(member: LinearMember) -> None:
    texts = ["My PARCEL is Late", *TEXTS]
    reading = LinearMember(
        fit_tfidf_logistic(texts, np.array([0, *IDS]), 2, strength=10.0, capitals=True), 0.3, (1.5, 0.7)
    )
    again = LinearMember.from_json(reading.to_json(), reading.arrays(), labels=2, where="linear.json")
    np.testing.assert_array_equal(again.model.logits(texts), reading.model.logits(texts))
    assert not np.allclose(*again.model.logits(["parcel", "a PARCEL"]))
    old = {name: value for name, value in member.to_json().items() if name != "capitals"}
    assert not LinearMember.from_json(old, member.arrays(), labels=2, where="linear.json").model.capitals


def test_pieces_are_stored_and_older_runs_have_none(member: LinearMember) -> None:
    reading = LinearMember(fit_tfidf_logistic(TEXTS, IDS, 2, strength=10.0, pieces=True), 0.3, (1.5, 0.7))
    again = LinearMember.from_json(reading.to_json(), reading.arrays(), labels=2, where="linear.json")
    np.testing.assert_array_equal(again.model.logits(TEXTS), reading.model.logits(TEXTS))
    old = {name: value for name, value in member.to_json().items() if name != "pieces"}
    assert not LinearMember.from_json(old, member.arrays(), labels=2, where="linear.json").model.pieces


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 0),
        ("weight", 1.5),
        ("weight", "half"),
        ("weight", float("nan")),
        ("temperatures", [1.0]),
        ("temperatures", [1.0, 0.0]),
        ("temperatures", 1.0),
        ("terms", []),
        ("terms", ["a"] * 3),
        ("terms", "parcel"),
        ("terms", {"parcel": 0}),
        ("capitals", 1),
        ("capitals", "yes"),
        ("pieces", "yes"),
        ("surplus", 1),
    ],
)
def test_hostile_numbers_are_refused(name: str, value: Any, member: LinearMember) -> None:
    with pytest.raises(ArtifactError, match="the linear model is damaged"):
        LinearMember.from_json({**member.to_json(), name: value}, member.arrays(), labels=2, where="linear.json")


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: [*t[:-1], 5], lambda t: [*t[:-1], t[0]], lambda t: [[]] * len(t)]
)
def test_hostile_terms_are_refused(change: Any, member: LinearMember) -> None:
    data = member.to_json()
    with pytest.raises(ArtifactError, match="the linear model is damaged"):
        LinearMember.from_json({**data, "terms": change(data["terms"])}, member.arrays(), labels=2, where="linear.json")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("idf", lambda array: array[:-1]),
        ("idf", lambda array: array * 0),
        ("idf", lambda array: array * np.nan),
        ("weights", lambda array: array.T),
        ("weights", lambda array: array[:, :1]),
        ("weights", lambda array: array * np.inf),
        ("weights", lambda array: array.astype(np.int64)),
        ("bias", lambda array: np.zeros(3)),
        ("bias", lambda array: array + 1e9),
        ("surplus", lambda array: np.zeros(1)),
    ],
)
def test_hostile_arrays_are_refused(name: str, change: Any, member: LinearMember) -> None:
    arrays = member.arrays()
    with np.errstate(invalid="ignore"), pytest.raises(ArtifactError, match="the linear model is damaged"):
        LinearMember.from_json(
            member.to_json(), {**arrays, name: change(arrays.get(name))}, labels=2, where="linear.json"
        )


@pytest.mark.parametrize("data", [None, [], 3, {}])
def test_other_json_is_refused(data: Any, member: LinearMember) -> None:
    with pytest.raises(ArtifactError, match="the linear model is damaged"):
        LinearMember.from_json(data, member.arrays(), labels=2, where="linear.json")
