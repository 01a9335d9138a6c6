"""Decisions against a twin that decides row by row, and fitted thresholds against what they promise."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logsumexp, softmax

from toolkit.errors import ArtifactError, ConfigError
from toolkit.evaluation import calibration, decisions, thresholds
from toolkit.evaluation.classification import as_flags, nll, reliability
from toolkit.evaluation.decisions import NoneRule, Policy

SEEDS = st.integers(0, 10_000)
LABELS = ("a", "b", "c", "d")
SHARES = st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95, 1.0])


def policies() -> st.SearchStrategy[Policy]:
    """Policies of all kinds over four labels and three features."""
    share = st.none() | st.floats(0, 1)
    centroids = np.random.default_rng(0).normal(size=(4, 3))
    rule = st.none() | st.one_of(
        st.builds(NoneRule, st.just("max_probability"), st.floats(0, 0.99)),
        st.builds(NoneRule, st.just("energy"), st.floats(-2, 12)),
        st.builds(NoneRule, st.just("centroid"), st.floats(-1, 1)),
    )
    shared = {"labels": st.just(LABELS), "temperature": st.floats(0.1, 10), "none": rule}
    shared["centroids"] = st.just(centroids)
    shared["shift"] = st.just(()) | st.tuples(*[st.floats(-2, 2)] * 4)
    single = st.builds(Policy, many=st.just(False), cutoff=share, margin=share, **shared)
    thresholds = st.tuples(*[st.floats(0, 1)] * 4)
    return single | st.builds(Policy, many=st.just(True), thresholds=thresholds, **shared)


def decide_row(policy: Policy, logits: np.ndarray, features: np.ndarray) -> tuple[int, ...]:
    """What `Policy.decide` says of one row, by the definitions."""
    scaled = logits / policy.temperature + (policy.shift or 0)
    probabilities, alike = expit(scaled) if policy.many else softmax(scaled), softmax(logits / policy.temperature)
    best = max(range(4), key=lambda label: logits[label])
    if policy.many:
        given = {label for label in range(4) if probabilities[label] >= policy.thresholds[label]}
    else:
        cutoff = 1.1 if policy.cutoff is None else policy.cutoff
        second = max(set(range(4)) - {best}, key=lambda label: logits[label])
        near = policy.margin is not None and alike[second] >= alike[best] - policy.margin
        given = {best} | {label for label in range(4) if probabilities[label] >= cutoff} | ({second} if near else set())
    if policy.none is not None:
        cosines = [c @ features / np.linalg.norm(c) / np.linalg.norm(features) for c in policy.centroids]
        free = np.log1p(np.exp(scaled)).sum() if policy.many else logsumexp(scaled)
        scores = {"max_probability": probabilities.max(), "energy": policy.temperature * free, "centroid": max(cosines)}
        given = given if scores[policy.none.score] >= policy.none.threshold else set()
    return tuple(sorted(given, key=lambda label: (label != best or policy.many, -scaled[label])))


@settings(max_examples=100)
@given(policies(), SEEDS)
def test_deciding_many_rows_equals_deciding_one_by_one(policy, seed):
    random = np.random.default_rng(seed)
    logits, features = random.normal(size=(20, 4), scale=3), random.normal(size=(20, 3))
    if (
        policy.many
    ):  # what is as good as at its threshold, such as next to 1, is above it by one formula and not by another
        assume(np.abs(expit(logits / policy.temperature) - policy.thresholds).min() > 1e-12)
    expected = [decide_row(policy, *row) for row in zip(logits, features, strict=True)]
    assert policy.decide(logits, features) == expected


@given(st.floats(1e-3, 1e3), SEEDS)
def test_temperature_never_changes_the_best_label(temperature, seed):
    logits = np.random.default_rng(seed).normal(size=(50, 4), scale=20)
    logits[0] = [5, np.nextafter(5, 6), 5, 5]
    policy = Policy(LABELS, many=False, temperature=temperature)
    assert policy.decide(logits) == [(label,) for label in logits.argmax(axis=1)]


def test_what_is_just_enough_is_enough():
    logits = np.log([[0.5, 0.25, 0.125, 0.125]])
    single = Policy(LABELS, many=False)
    assert replace(single, cutoff=0.25).decide(logits) == [(0, 1)]
    assert replace(single, margin=0.25).decide(logits) == [(0, 1)]
    assert replace(single, none=NoneRule("max_probability", 0.5)).decide(logits) == [(0,)]
    assert replace(single, none=NoneRule("max_probability", 0.501)).decide(logits) == [()]
    assert Policy(LABELS, many=True, thresholds=(0.5,) * 4).decide(np.array([[0.0, -0.1, 0.1, -9]])) == [(2, 0)]


def test_a_margin_gives_two_labels_at_most_however_many_are_improbable_alike():
    labels = tuple(map(str, range(150)))
    logits = np.random.default_rng(0).normal(0, 0.1, (20, 150))
    decided = Policy(labels, many=False, margin=0.1).decide(logits)
    assert decided == [tuple(row.tolist()) for row in np.argsort(-logits, axis=1)[:, :2]]


def test_no_rows_and_extreme_logits_can_be_decided():
    for policy in (Policy(LABELS, many=False), Policy(LABELS, many=True, thresholds=(0.5,) * 4)):
        assert policy.decide(np.zeros((0, 4))) == []
        probabilities = policy.probabilities(np.array([[1e4, -1e4, 0, 0]]))
        np.testing.assert_allclose(probabilities[0, :2], [1, 0])


def test_a_hundred_thousand_rows_take_less_than_a_second():
    logits = np.random.default_rng(0).normal(size=(100_000, 6)).astype(np.float32)
    labels = tuple("abcdef")
    for policy in (
        Policy(labels, many=False, cutoff=0.3, margin=0.1, none=NoneRule("energy", 1.0)),
        Policy(labels, many=True, thresholds=(0.5,) * 6, none=NoneRule("energy", 1.0)),
    ):
        start = time.process_time()
        policy.decide(logits)
        assert time.process_time() - start < 1


def test_decisions_become_ids_and_flags():
    given_labels = [(2, 0), (), (1,)]
    assert decisions.first_ids(given_labels).tolist() == [2, -1, 1]
    expected = [[True, False, True], [False, False, False], [False, True, False]]
    assert decisions.decision_flags(given_labels, 3).tolist() == expected


@given(policies())
def test_a_policy_survives_json(policy):
    stored = json.loads(json.dumps(policy.to_json()))
    assert Policy.from_json(stored, policy.centroids, "decision.json") == policy


@pytest.mark.parametrize(
    "damage",
    [
        {"temperature": float("nan")},
        {"temperature": 0},
        {"temperature": True},
        {"temperature": 10**400},
        {"thresholds": [0.5, 0.5]},
        {"thresholds": [0.5, 0.5, float("inf")]},
        {"thresholds": "000"},
        {"labels": "abc"},
        {"labels": ["a", "a", "b"]},
        {"labels": ["a", "b", ["c"]]},
        {"labels": []},
        {"many": 1},
        {"many": False},
        {"cutoff": 0.5},
        {"margin": "0.5"},
        {"none": {"score": "vibes", "threshold": 0}},
        {"none": {"score": "energy", "threshold": float("inf")}},
        {"none": {"score": "energy"}},
        {"none": {"score": "centroid", "threshold": 0.5}},
        {"none": []},
        {"none": {"score": "entropy", "threshold": 0}},
        {"shift": [0.5]},
        {"shift": "000"},
        {"shift": [float("nan")] * 3},
        {"extra": 1},
    ],
)
def test_a_damaged_policy_is_refused(damage):
    whole = Policy(("a", "b", "c"), many=True, thresholds=(0.5,) * 3).to_json()
    with pytest.raises(ArtifactError, match=r"policy is damaged.*train again"):
        Policy.from_json({**whole, **damage}, None, "decision.json")


def test_a_policy_with_missing_keys_or_foreign_centroids_is_refused():
    whole = Policy(("a", "b"), many=False).to_json()
    for data in (None, [], {}, {name: whole[name] for name in list(whole)[1:]}):
        with pytest.raises(ArtifactError):
            Policy.from_json(data, None, "decision.json")
    for centroids in (np.zeros((3, 5)), np.zeros(2), np.full((2, 5), np.nan)):
        with pytest.raises(ArtifactError):
            Policy.from_json(whole, centroids, "decision.json")


@pytest.mark.parametrize("many", [False, True])
def test_temperature_repairs_logits_that_were_made_too_sure(many):
    random = np.random.default_rng(0)
    honest = random.normal(size=(4000, 4), scale=2)
    if many:
        targets = random.random(honest.shape) < expit(honest)
    else:
        targets = np.array([random.choice(4, p=row) for row in softmax(honest, axis=1)])
    temperature = calibration.fit_temperature(3 * honest, targets)
    assert temperature == pytest.approx(3, rel=0.1)
    policy = Policy(LABELS, many, temperature, thresholds=(0.5,) * 4 * many)
    grid = [replace(policy, temperature=each).probabilities(3 * honest) for each in np.geomspace(0.5, 20, 200)]
    probabilities = policy.probabilities(3 * honest)
    assert nll(targets, probabilities) <= min(nll(targets, each) for each in grid) + 1e-5
    if not many:
        assert reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets).ece < 0.03


def test_a_model_without_mistakes_on_few_rows_is_not_made_certain():
    targets = np.array([0, 1, 2, 3, 0])
    logits = 5.0 * np.eye(4)[targets]
    temperature = calibration.fit_temperature(logits, targets)
    assert Policy(LABELS, False, temperature).probabilities(logits).max() < 0.97


def test_temperature_leaves_rows_out_of_scope_out():
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(50, 4)), random.integers(0, 4, 50)
    with_strangers = calibration.fit_temperature(np.vstack([logits, 9 * logits]), np.append(targets, [-1] * 50))
    assert with_strangers == pytest.approx(calibration.fit_temperature(logits, targets))
    assert calibration.fit_temperature(logits, np.full(50, -1)) == 1.0


def test_the_temperature_is_that_of_the_differences_between_logits():
    """Whatever is added to all logits of a row, and whichever of two answers is called yes."""
    random = np.random.default_rng(0)
    logits, targets = random.normal(1, 3, size=(20, 4)), random.integers(4, size=20)
    moved = logits + random.normal(2, 5, size=(20, 1))
    expected = calibration.fit_temperature(logits, targets)
    assert calibration.fit_temperature(moved, targets) == pytest.approx(expected, rel=1e-3)
    flags = random.random((20, 4)) < expit(logits)
    expected = calibration.fit_temperature(logits, flags)
    assert calibration.fit_temperature(-logits, ~flags) == pytest.approx(expected, rel=1e-3)


def f1(targets: np.ndarray, given_labels: np.ndarray) -> float:
    return 2 * (targets & given_labels).sum() / max(targets.sum() + given_labels.sum(), 1)


@given(SEEDS)
def test_the_cutoff_has_the_best_f1_of_all_cutoffs(seed):
    random = np.random.default_rng(seed)
    targets = random.random((40, 3)) < 0.3
    probabilities = np.round(np.clip(0.4 * targets + random.random((40, 3)) * 0.6, 0, 1), 1)
    cutoff = thresholds.fit_cutoff(probabilities, targets)
    best = max(f1(targets, probabilities >= each) for each in np.unique(probabilities))
    assert f1(targets, probabilities >= cutoff) == pytest.approx(best)


@given(SEEDS)
def test_a_common_label_gets_its_own_best_threshold(seed):
    random = np.random.default_rng(seed)
    targets = random.random((600, 2)) < [0.5, 0.2]
    probabilities = expit(2 * targets + random.normal(size=(600, 2)) - [0, 3])
    cuts = thresholds.fit_thresholds_per_label(probabilities, targets)
    for label in range(2):
        column, flags = probabilities[:, label], targets[:, label]
        best = max(f1(flags, column >= each) for each in np.unique(column))
        assert f1(flags, column >= cuts[label]) > best - 0.005


def test_a_rare_label_leans_on_the_others():
    random = np.random.default_rng(0)
    targets = random.random((2000, 4)) < 0.3
    targets[:, 3] = np.arange(2000) == 7
    probabilities = expit(3 * targets + random.normal(size=targets.shape) - 1.5)
    probabilities[7, 3] = 1e-6  # its only positive: alone, it would ask for a threshold that everything reaches
    cuts = thresholds.fit_thresholds_per_label(probabilities, targets)
    assert cuts[3] > cuts[:3].min()


def test_a_label_without_positives_gets_a_cautious_threshold():
    random = np.random.default_rng(0)
    targets = random.random((500, 3)) < [0.3, 0.3, 0.0]
    probabilities = expit(3 * targets + random.normal(size=targets.shape) - 1.5)
    cuts = thresholds.fit_thresholds_per_label(probabilities, targets)
    assert (probabilities[:, 2] >= cuts[2]).mean() < 0.02
    unseen = thresholds.fit_thresholds_per_label(probabilities, np.zeros_like(targets))
    assert ((unseen > 0) & (unseen <= 1)).all()


def scores(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of rows in and out of scope; few levels make ties."""
    random = np.random.default_rng(seed)
    spread = [random.normal(2, 1, 30), random.normal(0, 1, 20)]
    return tuple(np.round(each * levels) / levels for each in spread)


@given(SEEDS, st.sampled_from([1, 3, 1000]), SHARES)
def test_none_thresholds_hold_what_they_promise_and_no_less_would_do(seed, levels, share):
    inside, outside = scores(seed, levels)
    every = np.unique(np.concatenate([inside, outside, [inside.max() + 9]]))

    def rejections(threshold: float) -> tuple[int, int]:
        return int((inside < threshold).sum()), int((outside < threshold).sum())

    def holds(target: str, threshold: float) -> bool:
        wrong, right = rejections(threshold)
        if target == "precision":
            rows, part = wrong + right, right / max(wrong + right, 1)
            # Wilson's interval, one standard error wide, from its usual form.
            middle, width = (
                part + 0.5 / max(rows, 1),
                (part * (1 - part) / max(rows, 1) + 0.25 / max(rows, 1) ** 2) ** 0.5,
            )
            return not rows or (middle - width) / (1 + 1 / rows) >= min(share, len(outside) / (len(outside) + 1)) - 1e-9
        done, rows = (len(inside) - wrong, len(inside)) if target == "keep" else (right, len(outside))
        return done >= min(share * (rows + 1), rows) - 1e-9

    for target, extreme in (("recall", min), ("precision", max), ("keep", max)):
        threshold = thresholds.fit_none_threshold(inside, outside, target, share)
        assert holds(target, threshold)
        expected = extreme(each for each in every if holds(target, each))
        assert rejections(threshold) == rejections(expected)


def test_keep_needs_no_rows_out_of_scope_and_the_others_say_so():
    inside, nothing = np.linspace(0, 1, 100), np.array([])
    threshold = thresholds.fit_none_threshold(inside, nothing, "keep", 0.95)
    assert (inside >= threshold).mean() == pytest.approx(0.96)  # 95 of 100 would be too few of 101
    for target in ("recall", "precision"):
        with pytest.raises(ConfigError, match=r"out of scope, and there are none.*ask for keep"):
            thresholds.fit_none_threshold(inside, nothing, target, 0.5)


@pytest.mark.parametrize(("target", "value"), [("precision", 0.9), ("precision", 0.7), ("keep", 0.95), ("recall", 0.6)])
def test_none_thresholds_hold_on_new_rows(target, value):
    random = np.random.default_rng(0)
    inside, outside = np.sort(random.normal(1.5, 1, 20_000)), np.sort(random.normal(0, 1, 20_000))
    found = []
    for _ in range(200):
        few = random.normal(1.5, 1, 100), random.normal(0, 1, 20)
        threshold = thresholds.fit_none_threshold(*few, target, value)
        wrong, right = (np.searchsorted(each, threshold) / 20_000 for each in (inside, outside))
        rejected = 20 * right + 100 * wrong
        found.append(
            {"precision": 20 * right / rejected if rejected else 1, "keep": 1 - wrong, "recall": right}[target]
        )
    assert np.mean(found) >= value


@pytest.mark.parametrize(("count", "value"), [(1, 0.95), (18, 0.95), (60, 0.99), (500, 1.0)])
def test_rows_that_are_told_apart_are_rejected_however_precise_that_must_be(count, value):
    inside, outside = np.linspace(2, 3, 100), np.linspace(0, 1, count)
    assert (outside < thresholds.fit_none_threshold(inside, outside, "precision", value)).all()


def test_a_label_without_validation_rows_stays_as_frequent_as_in_training():
    random, share = np.random.default_rng(0), np.array([0.6, 0.37, 0.03])
    targets = random.choice(2, p=share[:2] / share[:2].sum(), size=100)
    logits = 3 * np.eye(3)[targets] + random.normal(0, 1.5, (100, 3))
    _, shift = calibration.fit_calibration(logits, targets, np.log(share))
    assert abs((shift[2] - shift[1]) - np.log(share[2] / share[1])) < 1.2


def test_rows_without_a_label_anyway_count_as_rejected():
    inside = np.array([-np.inf] * 4 + list(np.linspace(0, 1, 96)))
    threshold = thresholds.fit_none_threshold(inside, np.array([]), "keep", 0.9)
    assert (inside >= threshold).sum() == 91
    with pytest.warns(UserWarning, match="no threshold has a keep of 0.97 .* It rejects no others"):
        threshold = thresholds.fit_none_threshold(inside, np.array([]), "keep", 0.97)
    assert (inside >= threshold).sum() == 96
    with pytest.warns(UserWarning, match="no threshold"):
        assert np.isfinite(thresholds.fit_none_threshold(np.full(9, -np.inf), np.array([]), "keep", 0.9))


def test_entropy_is_refused_with_many_labels_where_it_is_least_for_rows_that_surely_have_none():
    with pytest.raises(ValueError, match="entropy does not go with many"):
        Policy(("a", "b"), many=True, thresholds=(0.5, 0.5), none=NoneRule("entropy", 0.0))
    policy, sure = Policy(("a", "b"), many=True, thresholds=(0.5, 0.5)), np.array([[-9.0, -9.0], [9.0, -9.0]])
    for score in ("energy", "max_probability"):
        without, labelled = policy.scope_scores(score, sure)
        assert without < labelled


@pytest.mark.parametrize("many", [False, True])
def test_calibration_gives_labels_that_weighed_alike_the_share_that_they_have(many):
    random, share = np.random.default_rng(0), np.array([0.9, 0.07, 0.03])
    if many:
        targets = random.random((4000, 3)) < share
        logits = 4 * targets - 2 + random.normal(0, 1.5, (4000, 3))
    else:
        targets = random.choice(3, p=share, size=4000)
        logits = 3 * np.eye(3)[targets] + random.normal(0, 1.5, (4000, 3))
    temperature, shift = calibration.fit_calibration(logits, targets, np.log(share))
    policy = Policy(("a", "b", "c"), many, temperature, (0.5,) * 3 * many, shift=shift)
    plain = Policy(("a", "b", "c"), many, calibration.fit_temperature(logits, targets), (0.5,) * 3 * many)
    truth = as_flags(targets, 3)
    np.testing.assert_allclose(policy.probabilities(logits).mean(axis=0), truth.mean(axis=0), atol=5e-3)
    assert np.abs(plain.probabilities(logits).mean(axis=0) - truth.mean(axis=0)).max() > 0.03
    assert nll(targets, policy.probabilities(logits)) < 0.95 * nll(targets, plain.probabilities(logits))
    # What is best goes by the logits, in which labels weigh alike.
    if not many:
        np.testing.assert_array_equal(decisions.first_ids(policy.decide(logits)), logits.argmax(axis=1))
        margin = replace(policy, margin=0.1).decide(logits)
        assert list(map(set, margin)) == list(map(set, replace(policy, shift=(), margin=0.1).decide(logits)))


@pytest.mark.parametrize("many", [False, True])
def test_a_model_that_weights_did_not_move_is_not_moved_back(many):
    random, share = np.random.default_rng(0), np.array([0.9, 0.07, 0.03])
    targets = random.random((5000, 3)) < share if many else random.choice(3, p=share, size=5000)
    prior = np.log(share / (1 - share)) if many else np.log(share)
    logits = 3 * as_flags(targets, 3) + random.normal(0, 1.5, (5000, 3)) + prior  # as probable as they are already
    few, rest = slice(0, 100), slice(100, None)
    temperature, shift = calibration.fit_calibration(logits[few], targets[few], prior)
    policy = Policy(("a", "b", "c"), many, temperature, (0.5,) * 3 * many, shift=shift)
    plain = Policy(("a", "b", "c"), many, thresholds=(0.5,) * 3 * many)
    losses = [nll(targets[rest], each.probabilities(logits[rest])) for each in (policy, plain)]
    assert losses[0] < 1.1 * losses[1]


def test_what_few_rows_say_of_the_temperature_is_not_taken_at_its_word():
    random = np.random.default_rng(0)
    targets = random.integers(4, size=2000)
    logits = 3.0 * (targets[:, None] == np.arange(4)) + random.normal(0, 3, (2000, 4))
    best = calibration.fit_temperature(logits, targets)
    few = [calibration.fit_temperature(logits[i : i + 10], targets[i : i + 10]) for i in range(0, 2000, 10)]
    assert best / 3 < min(few) and max(few) < 3 * best


def test_calibration_survives_rows_that_do_not_tell():
    assert calibration.fit_calibration(np.zeros((0, 2)), np.zeros(0, int), np.zeros(2)) == (1.0, (0.0, 0.0))
    temperature, shift = calibration.fit_calibration(np.array([[50.0, -50.0]] * 5), np.zeros(5, int), np.zeros(2))
    assert np.isfinite([temperature, *shift]).all()


def test_policies_of_runs_before_there_was_a_shift_are_read():
    stored = Policy(("a", "b"), many=False).to_json()
    del stored["shift"]
    assert Policy.from_json(stored, None, "decision.json") == Policy(("a", "b"), many=False)


def test_thresholds_lie_between_scores_so_that_rounding_moves_no_row():
    inside, outside = np.array([0.8, 0.9]), np.array([0.1, 0.2])
    assert thresholds.fit_none_threshold(inside, outside, "recall", 1.0) == pytest.approx(0.5)
    neighbours = np.array([1.0, np.nextafter(1.0, 2)])
    assert (neighbours >= thresholds.fit_none_threshold(neighbours, neighbours[:1], "recall", 1.0)).tolist() == [
        False,
        True,
    ]


def test_class_centroids_are_means_and_zero_without_rows():
    features = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    expected = [[2, 0], [0, 2], [0, 0]]
    np.testing.assert_allclose(decisions.class_centroids(features, np.array([0, 0, 1]), 3), expected)
    flags = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    np.testing.assert_allclose(decisions.class_centroids(features, flags, 3), [[2, 0], [1.5, 1], [0, 0]])


def test_deciding_loads_nothing_heavy():
    code = "import sys, toolkit.evaluation.decisions; print({'scipy', 'sklearn', 'keras', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
