"""Frequencies: names, ordinals and their way back, spans, calendars, local time, and how a grid is found."""

from dataclasses import asdict

import numpy as np
import pandas
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolkit.data import zones
from toolkit.data.frequency import Frequency, parse_frequency
from toolkit.data.grids import aligned, infer_frequency
from toolkit.errors import ConfigError, DataError

ALIASES = ["s", "min", "15min", "h", "6h", "D", "2D", "W-SUN", "W-WED", "2W-MON", "B", "MS", "ME", "2MS", "QS-FEB"]
ALIASES += ["QE-DEC", "QE-NOV", "YS-JAN", "YE-JUN", "YE-DEC", "M-15", "1", "5"]


def infer(times, *more) -> Frequency:
    parts = [
        np.asarray(part, "datetime64[us]") if np.asarray(part).dtype.kind != "i" else part for part in (times, *more)
    ]
    return infer_frequency(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_comes_back(alias):
    assert parse_frequency(alias).alias == alias
    assert Frequency(**asdict(parse_frequency(alias))) == parse_frequency(alias)


@pytest.mark.parametrize(
    ("old", "new"),
    [("H", "h"), ("15T", "15min"), ("T", "min"), ("S", "s"), ("M", "ME"), ("Q", "QE-DEC"), ("QE", "QE-DEC"), ("d", "D")]
    + [
        ("A", "YE-DEC"),
        ("Y", "YE-DEC"),
        ("YS", "YS-JAN"),
        ("QS", "QS-JAN"),
        ("W", "W-SUN"),
        ("hourly", "h"),
        ("1h", "h"),
    ],
)
def test_old_and_short_aliases_mean_the_same_as_new_ones(old, new):
    assert parse_frequency(old).alias == new


@pytest.mark.parametrize("alias", ["", "x", "m", "0h", "W-FOO", "D-MON", "BME", "MS-JAN", "-5", "h h"])
def test_an_unknown_alias_is_refused(alias):
    with pytest.raises(ConfigError, match="there is no frequency"):
        parse_frequency(alias)


@given(st.sampled_from(ALIASES), st.integers(-2000, 2000), st.integers(1, 50))
def test_ordinals_are_the_way_back_from_times(alias, first, steps):
    frequency = parse_frequency(alias)
    ordinals = np.arange(first, first + steps)
    np.testing.assert_array_equal(frequency.floor(frequency.times(ordinals)), ordinals)


@pytest.mark.parametrize("alias", ["h", "15min", "D", "W-WED", "B", "MS", "ME", "QS-FEB", "QE-NOV", "YE-JUN"])
def test_times_equal_those_of_pandas(alias):
    expected = pandas.date_range("1965-03-03", periods=200, freq=alias).to_numpy().astype("datetime64[us]")
    frequency = parse_frequency(alias)
    first = frequency.floor(expected[:1])[0]
    np.testing.assert_array_equal(frequency.times(np.arange(first, first + 200)), expected)


@pytest.mark.parametrize(
    ("alias", "time", "step"),
    [
        ("h", "2024-01-01T13:59", "2024-01-01 13:00:00"),
        ("D", "2024-01-01T13:59", "2024-01-01"),
        ("W-SUN", "2024-01-06", "2023-12-31"),
        ("B", "2024-01-07", "2024-01-05"),
        ("MS", "2024-02-28", "2024-02-01"),
        ("ME", "2024-02-01", "2024-02-29"),
        ("QE-DEC", "2024-02-01", "2024-03-31"),
        ("QS-JAN", "2024-06-30", "2024-04-01"),
        ("D", "1969-12-31T23:00", "1969-12-31"),
    ],
)
def test_a_time_between_two_points_belongs_to_the_step_around_it(alias, time, step):
    frequency = parse_frequency(alias)
    assert frequency.text(frequency.floor(np.array([time], "datetime64[us]"))) == [step]


def test_seasons_suit_the_step():
    seasons = {"h": (24, 168), "D": (7, 365), "W": (52,), "MS": (12,), "QS": (4,), "B": (5,), "15min": (96, 672)}
    for alias, expected in {**seasons, "1": (), "YS": (), "2h": (12, 84), "min": (60, 1440, 10080)}.items():
        assert parse_frequency(alias).seasons == expected


def test_titles_read_well():
    titles = {"h": "hourly", "15min": "every 15 minutes", "D": "daily", "W": "weekly (Sunday)", "MS": "month start"}
    for alias, title in {**titles, "B": "business daily", "2h": "every 2 hours", "1": "integer"}.items():
        assert parse_frequency(alias).title == title


@pytest.mark.parametrize(
    ("alias", "span", "steps"),
    [("h", "48", 48), ("h", "3d", 72), ("h", "2w", 336), ("h", "1y", 8760), ("D", "2 weeks", 14), ("W", "1y", 52)]
    + [
        ("MS", "6 months", 6),
        ("MS", "1y", 12),
        ("QS", "1y", 4),
        ("B", "2w", 10),
        ("15min", "1 hour", 4),
        ("1", "7", 7),
    ],
)
def test_spans_are_counted_in_steps(alias, span, steps):
    assert parse_frequency(alias).steps(span) == steps


@pytest.mark.parametrize(
    ("alias", "span"),
    [
        ("h", "30min"),
        ("D", "6h"),
        ("YS", "6 months"),
        ("D", "1 month"),
        ("1", "3d"),
        ("h", "0"),
        ("h", "-3"),
        ("h", "3x"),
    ],
)
def test_a_span_that_does_not_fit_is_refused(alias, span):
    with pytest.raises(ConfigError):
        parse_frequency(alias).steps(span)


# Calendar and zones


@pytest.mark.parametrize("alias", ["15min", "h", "D", "W", "B", "MS", "QS", "YS", "1"])
def test_calendar_features_are_bounded_and_repeat_where_the_calendar_does(alias):
    features = parse_frequency(alias).calendar(np.arange(3000))
    assert all(np.abs(each).max() <= 1 and each.shape == (3000,) for each in features.values())
    if alias == "h":
        np.testing.assert_allclose(features["hour_sin"][:24], np.sin(2 * np.pi * np.arange(24) / 24), atol=1e-12)
        np.testing.assert_allclose(features["weekday_cos"][168:], features["weekday_cos"][:-168])
    if alias == "MS":
        np.testing.assert_allclose(features["month_sin"][:12], np.sin(2 * np.pi * np.arange(12) / 12), atol=1e-12)


def test_the_place_in_a_month_and_in_a_year_is_a_share_of_its_own_length():
    daily = parse_frequency("D")
    days = np.array(["2024-02-15", "2024-03-01", "2023-07-02", "2024-07-01"], "datetime64[us]")
    found = daily.calendar(daily.floor(days))
    shares = {"monthday": [14 / 29, 0, 1 / 31, 0], "yearday": [45 / 366, 60 / 366, 182 / 365, 182 / 366]}
    for name, expected in shares.items():
        np.testing.assert_allclose(found[f"{name}_sin"], np.sin(2 * np.pi * np.array(expected)), atol=1e-12)
        np.testing.assert_allclose(found[f"{name}_cos"], np.cos(2 * np.pi * np.array(expected)), atol=1e-12)
    assert set(parse_frequency("W").calendar(np.arange(3))) == {"yearday_sin", "yearday_cos"}
    assert "hour_sin" not in found and "hour_sin" in parse_frequency("h").calendar(np.arange(3))


def test_the_last_week_of_a_year_holds_the_holidays_of_the_next():
    pytest.importorskip("holidays")
    weekly = parse_frequency("W-MON")
    weeks = weekly.floor(np.array(["2024-12-16", "2024-12-30"], "datetime64[us]"))
    assert weekly.calendar(weeks, "US")["holiday"].tolist() == [0, 1]
    assert weekly.calendar(weeks[:0], "US")["holiday"].tolist() == []


def test_holidays_are_marked_on_their_day():
    pytest.importorskip("holidays")
    daily = parse_frequency("D")
    days = daily.floor(np.array(["2024-07-03", "2024-07-04"], "datetime64[us]"))
    assert daily.calendar(days, "US")["holiday"].tolist() == [0, 1]
    weekly = parse_frequency("W-MON")
    assert weekly.calendar(weekly.floor(np.array(["2024-07-04"], "datetime64[us]")), "US")["holiday"].tolist() == [1]
    with pytest.raises(ConfigError, match="no holidays"):
        daily.calendar(days, "XX")


def test_calendar_and_text_go_by_local_time():
    frequency = Frequency("second", 3600, timezone="Europe/Berlin")
    ordinals = frequency.floor(np.array(["2024-01-31T23:00", "2024-07-31T22:00"], "datetime64[us]"))
    assert frequency.text(ordinals) == ["2024-02-01 00:00:00+01:00", "2024-08-01 00:00:00+02:00"]
    np.testing.assert_allclose(frequency.calendar(ordinals)["hour_cos"], 1)


@given(st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"]), st.integers(1975, 2030))
def test_zones_equal_pandas_at_every_clock_change(zone, year):
    local = np.arange(f"{year}-01-01", f"{year + 1}-01-01", np.timedelta64(30, "m"), dtype="datetime64[us]")
    index = pandas.DatetimeIndex(local)
    for again in (False, True):
        marks = np.full(len(local), not again)
        expected = index.tz_localize(zone, ambiguous=marks, nonexistent="NaT").tz_convert("UTC").tz_localize(None)
        utc = zones.to_utc(local, zone, again)
        there = ~expected.isna()
        np.testing.assert_array_equal(utc[there], expected.to_numpy().astype("datetime64[us]")[there])
        np.testing.assert_array_equal(zones.skipped(local, zone), ~there)
        np.testing.assert_array_equal(zones.to_local(utc, zone)[there], local[there])


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_of_many_decades_are_each_read_by_the_clocks_of_their_own(zone):
    local = np.arange("1930-06-15", "2040-01-01", np.timedelta64(53, "D"), dtype="datetime64[us]")[::-1]
    expected = pandas.DatetimeIndex(local).tz_localize(zone).tz_convert("UTC").tz_localize(None)
    np.testing.assert_array_equal(zones.to_utc(local, zone), expected.to_numpy())
    np.testing.assert_array_equal(zones.to_local(zones.to_utc(local, zone), zone), local)


def test_an_unknown_zone_is_refused():
    for zone in ("Mars/Olympus", "Europe", "", "../etc"):
        with pytest.raises(ConfigError, match="there is no time zone"):
            zones.require_zone(zone)


# Inference


@given(st.sampled_from(ALIASES), st.integers(-1500, 1500), st.integers(14, 80), st.integers(0, 3))
def test_the_frequency_is_found_again_with_gaps(alias, first, steps, gap):
    frequency = parse_frequency(alias)
    ordinals = np.delete(np.arange(first, first + steps), [5] * bool(gap))
    times = frequency.times(ordinals)
    assume(alias != "B" or np.diff(times).max() == np.timedelta64(3, "D"))  # else a few days do not tell
    found = infer_frequency(times, np.array([0, len(times)]))
    np.testing.assert_array_equal(found.times(found.floor(times)), times)
    assert (found.unit, found.step) == (frequency.unit, frequency.step)


@pytest.mark.parametrize(("days", "alias"), [(14, "B"), (13, "D")])
def test_a_long_weekend_leaves_business_days_where_many_days_tell_them(days, alias):
    all_days = np.arange("2024-05-22", "2024-06-30", dtype="datetime64[D]")
    monday = np.datetime64("2024-05-27")
    assert infer([day for day in all_days if np.is_busday(day) and day != monday][:days]).alias == alias


def test_all_series_decide_together_and_series_of_one_row_follow():
    assert infer(["2024-01-05"], ["2024-01-01", "2024-01-02", "2024-01-03"], ["2024-01-09"]).alias == "D"
    assert infer(["2024-01-01", "2024-01-03"], ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]).alias == "D"


def test_the_gap_between_two_series_tells_nothing():
    assert (
        infer(["2024-01-01", "2024-01-08"], ["2024-01-09", "2024-01-16"], ["2024-01-17", "2024-01-24"]).step == 604800
    )


def test_months_are_told_from_steps_of_as_many_days():
    assert infer(np.arange("2020-01-01", "2023-01-01", 28, dtype="datetime64[D]")).step == 28 * 86400
    assert infer(np.arange("2020-01-01", "2023-01-01", 30, dtype="datetime64[D]")).step == 30 * 86400
    last_business_days = pandas.date_range("2020-01-01", periods=40, freq="BME").to_numpy()
    assert infer(last_business_days).alias == "ME"
    assert infer(pandas.date_range("2020-01-01", periods=40, freq="BMS").to_numpy()).alias == "MS"


def test_business_days_need_a_weekend_that_is_passed_over():
    assert infer(np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]")).alias == "D"
    assert infer(pandas.bdate_range("2024-01-01", periods=8).to_numpy()).alias == "B"
    assert infer(pandas.bdate_range("2024-01-01", periods=40).delete([7, 8]).to_numpy()).alias == "B"
    assert infer(["2024-02-01", "2024-02-02", "2024-02-13"]).alias == "D"


def test_a_common_step_that_holds_all_times_is_preferred():
    half_hours = ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00", "2024-01-01T02:30", "2024-01-01T03:00"]
    assert infer(half_hours).alias == "30min"


def test_integers_have_steps_and_a_phase():
    assert infer(np.array([3, 5, 7, 11])) == Frequency("integer", 2, 1)


@pytest.mark.parametrize("times", [["2024-01-01"], ["2024-01-01", "2024-01-01"]])
def test_where_nothing_tells_the_frequency_it_is_asked_for(times):
    with pytest.raises(DataError, match="Set the frequency"):
        infer(times)


def test_steps_under_a_second_are_refused():
    with pytest.raises(DataError, match=r"0\.5 seconds apart"):
        infer(np.arange(8) * np.timedelta64(500_000, "us") + np.datetime64("2024-01-01"))


def test_a_frequency_takes_the_phase_that_all_times_share():
    mondays = np.array(["2024-01-01", "2024-01-08"], "datetime64[us]")
    assert aligned(parse_frequency("W"), mondays).alias == "W-MON"
    assert aligned(parse_frequency("W"), mondays + np.array([0, 1], "timedelta64[D]")) is None
    assert aligned(parse_frequency("M"), np.array(["2024-01-01", "2024-02-01"], "datetime64[us]")).alias == "MS"


@pytest.mark.parametrize("step", [1, 3])
def test_business_days_before_1970_are_those_after(step):
    frequency = Frequency("business_day", step)
    ordinals = np.arange(-3000, 3000)
    times = frequency.times(ordinals)
    assert (frequency.floor(times) == ordinals).all() and frequency.on_grid(times).all()
    days = np.arange("1960-01-01", "1980-01-01", dtype="datetime64[D]")
    floors = Frequency("business_day", 1).floor(days.astype("datetime64[us]"))
    assert set(np.diff(floors)) == {0, 1} and floors[-1] - floors[0] == np.busday_count(days[0], days[-1])


def test_clocks_show_the_points_in_their_timezone():
    hourly = Frequency("second", 3600, timezone="America/Los_Angeles")
    assert str(hourly.clock_times(np.array([0]))[0]) == "1969-12-31T16:00:00.000000"
    assert str(Frequency("second", 3600).clock_times(np.array([0]))[0]) == "1970-01-01T00:00:00.000000"
