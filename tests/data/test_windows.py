"""Windows end at their cutoffs, scales can be undone, and cutoffs are neither lost nor taken twice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import windows
from toolkit.data.frequency import Frequency
from toolkit.data.panel import Panel
from toolkit.data.windows import BLOCK, LARGEST, Cutoffs, Scale, apart, fit_scale, last_known, rolling, to_segments

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=4)
SEEDS = st.integers(0, 1000)


def _panel(lengths, seed=0, gaps=0.2):
    """Series with gaps, that begin at different times and are known to their ends."""
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = random.normal(size=offsets[-1])
    values[random.random(len(values)) < gaps] = np.nan
    names = tuple(f"s{i}" for i in range(len(lengths)))
    starts = random.integers(-50, 50, len(lengths))
    return Panel(names, Frequency("integer", 1), starts, offsets, offsets[1:], values, {}, {}, {})


def _every_cutoff(panel):
    """Each cutoff of each series, before its first step and after its last too."""
    lengths = np.diff(panel.offsets) + 1
    series = np.repeat(np.arange(len(panel)), lengths)
    steps = np.concatenate([np.arange(length) for length in lengths])
    return Cutoffs(series, panel.offsets[series] + steps)


def _naive(panel, k, end, first, stop):
    """Steps from `first` to `stop`, counted from a cutoff; NaN outside the series."""
    inside = range(panel.offsets[k], panel.offsets[k + 1])
    return [panel.values[at] if at in inside else np.nan for at in range(end + first, end + stop)]


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), most=st.integers(1, 60), each=st.integers(1, 8))
def test_a_sample_of_series_is_of_few_series_with_all_that_is_asked_of_each(lengths, most, each):
    whole = _every_cutoff(_panel(lengths))
    shuffled = whole.take(np.random.default_rng(1).permutation(len(whole)))
    found = shuffled.sample_series(most, each)
    assert len(found) <= most
    if len(whole) <= most:
        assert found is shuffled
        return
    for series in np.unique(found.series):
        own, all_ends = found.ends[found.series == series], np.sort(whole.ends[whole.series == series])
        assert min(len(all_ends), each) / 2 <= len(own) <= each
        assert set(own) <= set(all_ends) and own[0] == all_ends[0]
        assert len(set(np.diff(own))) <= 1
    fewest = min(min(length + 1, each) for length in lengths)
    assert most < max(min(length + 1, each) for length in lengths) or len(found) >= min(fewest / 2, most)


def test_windows_that_overlap_count_by_how_alike_they_err():
    """Errors of each window anew are as many as there are windows; errors of all alike as many as do not overlap."""
    random, horizon = np.random.default_rng(0), 10
    panel = _panel([400, 400], gaps=0)
    cutoffs = rolling(panel, panel.offsets[:-1] + 100, panel.ends, horizon=horizon, step=1)
    fresh = random.normal(size=(len(cutoffs), horizon))
    assert windows.independent(panel, cutoffs, fresh) == pytest.approx(len(cutoffs), rel=0.1)
    walk = np.repeat(random.normal(size=(len(cutoffs) // 97 + 1, 1)), 97, axis=0)[: len(cutoffs)] + np.zeros(
        (1, horizon)
    )
    assert windows.independent(panel, cutoffs, walk) == pytest.approx(apart(cutoffs, horizon), rel=0.05)
    order = random.permutation(len(cutoffs))
    shuffled = windows.independent(panel, cutoffs.take(order), walk[order])
    assert shuffled == pytest.approx(windows.independent(panel, cutoffs, walk))


# Cutting


@given(lengths=LENGTHS, steps=st.integers(1, 9), seed=SEEDS)
def test_the_past_ends_before_its_cutoff_and_what_is_ahead_begins_there(lengths, steps, seed):
    panel = _panel(lengths, seed)
    cutoffs = _every_cutoff(panel)
    past = windows.past(panel, panel.values, cutoffs, steps)
    ahead = windows.ahead(panel, panel.values, cutoffs, steps)
    rows = list(zip(*cutoffs, strict=True))
    np.testing.assert_array_equal(past, [_naive(panel, k, end, -steps, 0) for k, end in rows])
    np.testing.assert_array_equal(ahead, [_naive(panel, k, end, 0, steps) for k, end in rows])


@given(lengths=LENGTHS, steps=st.integers(1, 9), seed=SEEDS, center=st.sampled_from(["last", "mean"]))
def test_nothing_after_a_cutoff_nor_of_another_series_changes_its_window(lengths, steps, seed, center):
    panel = _panel(lengths, seed)
    cutoffs = _every_cutoff(panel)
    row = seed % len(cutoffs)
    one = cutoffs.take(slice(row, row + 1))
    begin, end = panel.offsets[one.series[0]], one.ends[0]
    others = np.full(len(panel.values), 1e9)
    others[begin:end] = panel.values[begin:end]
    changed = replace(panel, values=others)

    def all_of(panel):
        past = windows.past(panel, panel.values, one, steps)
        scale = fit_scale(past, center=center, sizes=None)
        return past, windows.whole_past(panel, one, 100), scale.center, scale.size, scale.apply(past)

    for before, after in zip(all_of(panel), all_of(changed), strict=True):
        np.testing.assert_array_equal(after, before)


@given(lengths=LENGTHS, most=st.integers(1, 20), seed=SEEDS)
def test_the_whole_past_is_as_long_as_the_longest_row_and_no_longer_than_allowed(lengths, most, seed):
    panel = _panel(lengths, seed)
    found = windows.whole_past(panel, Cutoffs(np.arange(len(panel)), panel.ends), most)
    assert found.shape == (len(lengths), min(max(lengths), most))
    for k, row in enumerate(found):
        known = panel.history(k)[-most:]
        np.testing.assert_array_equal(row[len(row) - len(known) :], known)
        assert np.isnan(row[: len(row) - len(known)]).all()


def test_the_whole_past_of_series_that_have_not_begun_is_one_unknown_step():
    panel = _panel([3, 4])
    found = windows.whole_past(panel, Cutoffs(np.arange(2), panel.offsets[:-1]), 10)
    np.testing.assert_array_equal(found, [[np.nan], [np.nan]])


def test_ordinals_count_from_the_cutoff_on_the_grid_of_the_series():
    panel = replace(_panel([5, 4]), starts=np.array([100, -7]))
    found = windows.ordinals(panel, Cutoffs(np.array([0, 1, 1]), np.array([3, 5, 9])), -2, 1)
    assert found.tolist() == [[101, 102, 103], [-9, -8, -7], [-5, -4, -3]]


@pytest.mark.parametrize("rows", [0, 1, BLOCK, 2 * BLOCK + 1])
def test_blocks_hold_every_cutoff_once_in_order_and_there_is_always_one(rows):
    cutoffs = Cutoffs(np.arange(rows) % 3, np.arange(rows))
    blocks = list(windows.blocks(cutoffs))
    assert len(blocks) == max(1, -(-rows // BLOCK))
    assert max(map(len, blocks)) <= BLOCK
    for whole, parts in zip(cutoffs, zip(*blocks, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_no_cutoffs_give_windows_without_rows():
    panel, none = _panel([5, 4]), Cutoffs(np.array([], np.int64), np.array([], np.int64))
    past = windows.past(panel, panel.values, none, 6)
    scale = fit_scale(past, center="last", sizes=None)
    assert past.shape == scale.apply(past).shape == windows.ahead(panel, panel.values, none, 6).shape == (0, 6)
    assert windows.whole_past(panel, none, 6).shape == (0, 1)
    assert windows.ordinals(panel, none, -2, 1).shape == (0, 3)
    segments, lengths = to_segments(past[:, :, None], np.array([], np.int64), 2)
    assert (segments.shape, lengths.shape) == ((0, 3, 2), (0,))


# Rolling


@given(
    lengths=LENGTHS,
    horizon=st.integers(1, 4),
    step=st.integers(1, 5),
    begin=st.integers(0, 6),
    cut=st.integers(0, 3),
)
def test_rolling_gives_every_step_th_cutoff_once_and_always_the_last(lengths, horizon, step, begin, cut):
    panel = _panel(lengths)
    firsts, stops = panel.offsets[:-1] + begin, panel.offsets[1:] - cut
    found = rolling(panel, firsts, stops, horizon=horizon, step=step)
    expected = []
    for k in range(len(panel)):
        possible = [end for end in range(firsts[k], stops[k] + 1) if end + horizon <= stops[k]]
        expected += [(k, end) for end in possible if (possible[-1] - end) % step == 0]
    assert list(zip(found.series.tolist(), found.ends.tolist(), strict=True)) == expected


def test_some_of_the_cutoffs_keep_their_series():
    cutoffs = rolling(_panel([4, 3]), np.array([2, 5]), np.array([4, 7]), horizon=1, step=1)
    assert [tuple(map(int, row)) for row in zip(*cutoffs, strict=True)] == [(0, 2), (0, 3), (1, 5), (1, 6)]
    taken = cutoffs.take(np.array([3, 0]))
    assert len(taken) == 2 and taken.series.tolist() == [1, 0] and taken.ends.tolist() == [6, 2]


# Scales


@given(
    level=st.sampled_from([0.0, 1.0, -1e6, 1e-9, 1e12]),
    spread=st.sampled_from([1e-3, 1.0, 1e6]),
    center=st.sampled_from(["last", "mean"]),
    given_sizes=st.booleans(),
    seed=SEEDS,
)
def test_to_scale_and_to_invert_is_to_do_nothing(level, spread, center, given_sizes, seed):
    random = np.random.default_rng(seed)
    rows = level + spread * random.normal(size=(3, 8))
    rows[random.random(rows.shape) < 0.2] = np.nan
    scale = fit_scale(rows, center=center, sizes=spread * np.array([1, 2, 0.1]) if given_sizes else None)
    assert scale.center.shape == scale.size.shape == (3, 1)
    for values in (rows, level + spread * random.normal(size=(3, 5))):
        np.testing.assert_allclose(scale.invert(scale.apply(values)), values, rtol=1e-9, atol=1e-9 * spread)


def test_quantiles_are_inverted_like_values():
    scale = Scale(np.array([[1.0], [2.0]]), np.array([[10.0], [100.0]]))
    quantiles = np.arange(12.0).reshape(2, 3, 2)
    expected = np.stack([scale.invert(quantiles[:, :, level]) for level in range(2)], axis=-1)
    np.testing.assert_array_equal(scale.invert(quantiles), expected)
    assert scale.invert(quantiles)[1, 0, 0] == 2 + 100 * 6


@given(level=st.floats(-1e3, 1e3), size=st.floats(1e-2, 1e3), seed=SEEDS, center=st.sampled_from(["last", "mean"]))
def test_normalised_windows_depend_on_the_shape_of_a_series_alone(level, size, seed, center):
    shape = np.random.default_rng(seed).normal(size=(1, 8))
    sizes = np.array([size])
    scale, plain = (
        fit_scale(rows, center=center, sizes=each)
        for rows, each in ((level + size * shape, sizes), (shape, np.ones(1)))
    )
    np.testing.assert_allclose(scale.apply(level + size * shape), plain.apply(shape), atol=1e-6)
    np.testing.assert_allclose(scale.size, sizes[:, None])


def test_the_size_of_a_window_is_its_mean_absolute_deviation_and_a_thousandth_of_its_level():
    rows = np.array([[1.0, np.nan, 5.0, 6.0], [-8.0, -8.0, -8.0, np.nan]])
    scale = fit_scale(rows, center="mean", sizes=None)
    np.testing.assert_allclose(scale.center[:, 0], [4, -8])
    np.testing.assert_allclose(scale.size[:, 0], [(3 + 1 + 2) / 3 + 1e-3 * 4, 1e-3 * 8])
    np.testing.assert_array_equal(fit_scale(rows, center="last", sizes=None).center[:, 0], [6, -8])


@pytest.mark.parametrize("center", ["last", "mean"])
@pytest.mark.parametrize(
    "row", [[np.nan] * 4, [0.0] * 4, [7.0] * 4, [np.nan, np.nan, np.nan, 3.0], [5.0, np.nan, np.nan, np.nan]]
)
def test_windows_that_are_constant_or_nearly_empty_are_normalised_to_finite_numbers(row, center):
    rows = np.array([row])
    scale = fit_scale(rows, center=center, sizes=None)
    assert (scale.size > 0).all() and np.isfinite(scale.size).all() and np.isfinite(scale.center).all()
    np.testing.assert_allclose(scale.apply(np.nan_to_num(rows, nan=scale.center[0, 0])), 0, atol=1e-9)
    assert np.isfinite(scale.invert(np.ones((1, 2)))).all()


def test_a_series_without_a_size_is_not_divided():
    scale = fit_scale(np.arange(12.0).reshape(3, 4), center="last", sizes=np.array([0.0, np.nan, 2.0]))
    assert scale.size[:, 0].tolist() == [1, 1, 2]


def test_a_jump_after_a_constant_window_does_not_explode():
    scale = fit_scale(np.full((1, 4), 1e-9), center="last", sizes=None)
    assert scale.apply(np.array([[1e9, -1e9, 1e-9]])).tolist() == [[LARGEST, -LARGEST, 0.0]]


@given(seed=SEEDS, rows=st.integers(1, 4), steps=st.integers(1, 6))
def test_the_last_known_value_is_the_last_that_is_a_number(seed, rows, steps):
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, steps))
    values[random.random(values.shape) < 0.5] = np.nan
    expected = [next((value for value in reversed(row) if not np.isnan(value)), np.nan) for row in values.tolist()]
    np.testing.assert_array_equal(last_known(values), expected)


# Segments


@given(begun=st.lists(st.integers(0, 20), min_size=1, max_size=5), size=st.integers(1, 4), count=st.integers(1, 4))
def test_segments_end_at_the_cutoff_and_padding_comes_after_them(begun, size, count):
    steps, known = size * count, np.array(begun)
    channels = np.random.default_rng(0).normal(size=(len(begun), steps, 2))
    channels[np.arange(steps) < steps - known[:, None]] = 0
    segments, lengths = to_segments(channels, known, size)
    assert (segments.dtype, lengths.dtype) == (np.float32, np.int32)
    assert segments.shape == (len(begun), count, size * 2)
    for row, since in enumerate(begun):
        expected = min(count, -(-since // size))
        assert lengths[row] == expected
        whole = channels[row, steps - expected * size :].astype(np.float32)
        np.testing.assert_array_equal(segments[row, :expected].reshape(-1, 2), whole)
        assert not segments[row, expected:].any()


def test_a_segment_holds_all_channels_of_a_step_before_those_of_the_next():
    segments, _ = to_segments(np.arange(8.0).reshape(1, 4, 2), np.array([4]), 2)
    assert segments.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7]]]


def test_what_stands_before_a_series_began_is_never_left_in_its_padding():
    segments, lengths = to_segments(np.ones((2, 6, 1)), np.array([2, 6]), 2)
    assert segments[:, :, 0].tolist() == [[1, 0, 0], [1, 1, 1]] and lengths.tolist() == [1, 3]


def test_windows_that_do_not_overlap_are_counted_in_all_series():
    series = np.array([0, 0, 1, 0, 2])
    ends = np.array([10, 22, 50, 16, 90])
    assert apart(Cutoffs(series, ends), 12) == 4  # two in the first series, one in each other
    assert apart(Cutoffs(series[:4], np.array([10, 13, 50, 11])), 12) == 2.25
    assert apart(Cutoffs(series[:2], np.array([10, 130])), 12) == 2  # never more than there are
    assert apart(Cutoffs(series[:0], ends[:0]), 12) == 0


def test_whole_pasts_are_all_of_each_series_in_pieces_of_bounded_size(monkeypatch):
    monkeypatch.setattr(windows, "CELLS", 64)
    panel = _panel([5, 40, 1, 9, 30, 7, 33, 70])
    ends = panel.ends - np.array([0, 0, 1, 0, 0, 0, 0, 0])
    found, pieces = {}, 0
    for series, past in windows.whole_pasts(panel, ends):
        assert past.size <= 64 or len(series) == 1
        found |= dict(zip(series.tolist(), past, strict=True))
        pieces += 1
    assert sorted(found) == list(range(8)) and pieces < 8
    for k, row in found.items():
        history = panel.values[panel.offsets[k] : ends[k]]
        np.testing.assert_array_equal(row[len(row) - len(history) :], history)
        assert np.isnan(row[: len(row) - len(history)]).all()
