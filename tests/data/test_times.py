"""Texts to times: every way of writing them, what is told about the open ones, and what is refused with its place."""

import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import months
from toolkit.data.times import parse_times
from toolkit.errors import DataError


def parse(*texts: str, **options):
    return parse_times(texts, lambda row: f"a.csv:{row + 2}", **options)


def shown(*texts: str, **options) -> list[str]:
    return [
        str(time).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")
        for time in parse(*texts, **options).values
    ]


def refusal(*texts: str, **options) -> str:
    with pytest.raises(DataError) as error:
        parse(*texts, **options)
    return str(error.value)


def test_ten_digits_are_hours_where_all_are_dates_and_else_seconds():
    """As in the files of Germany's weather service."""
    assert shown("2023010100", "2023123123") == ["2023-01-01", "2023-12-31 23:00:00"]
    assert parse("2023010100").note == "numbers such as 2023010100 were read as year, month, day and hour."
    assert "seconds since 1970" in parse("2023010100", "2023019900").note
    assert shown("1701010101")[0].startswith("2023-11-26")  # and not a year in which nobody counted hours


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2010-01-05", "2010-01-05"),
        ("2010/1/5", "2010-01-05"),
        ("2010.01.05", "2010-01-05"),
        ("20100105", "2010-01-05"),
        ("2010-02", "2010-02-01"),
        ("2010/02", "2010-02-01"),
        ("02/2010", "2010-02-01"),
        ("02.2010", "2010-02-01"),
        ("201002", "2010-02-01"),
        ("2010", "2010-01-01"),
        ("2010M02", "2010-02-01"),
        ("2010-m2", "2010-02-01"),
        ("2010Q2", "2010-04-01"),
        ("2010-Q4", "2010-10-01"),
        ("Q3 2011", "2011-07-01"),
        ("2024-W05", "2024-01-29"),
        ("2020W53", "2020-12-28"),
        ("2015 W53", "2015-12-28"),
        ("2010M2", "2010-02-01"),
        ("2010-M12", "2010-12-01"),
        ("2024 W05", "2024-01-29"),
        ("2024-W01-3", "2024-01-03"),
        ("2010-01-05 07:08", "2010-01-05 07:08:00"),
        ("2010-01-05T07:08:09.25", "2010-01-05 07:08:09.250000"),
        ("2010-01-05 07:08:09.123456789", "2010-01-05 07:08:09.123456"),
        ("2010/01/05 7:08", "2010-01-05 07:08:00"),
        ("05.01.2010 07.08", "2010-01-05 07:08:00"),
        ("2010-01-05 07.08.09", "2010-01-05 07:08:09"),
        ("2010-01-05 07:08 - 2010-01-05 08:08", "2010-01-05 07:08:00"),
        ("2010-01-05 – 2010-01-11", "2010-01-05"),
        ("Jan 5, 2010 - Jan 11, 2010", "2010-01-05"),
        ("2010-01-05 24:00", "2010-01-06"),
        ("20100105T0708", "2010-01-05 07:08:00"),
        ("20100105070809", "2010-01-05 07:08:09"),
        ("1/25/2010 1:05 PM", "2010-01-25 13:05:00"),
        ("1/25/2010 12:05:07 am", "2010-01-25 00:05:07"),
        ("25.1.2010", "2010-01-25"),
        ("25/01/10", "2010-01-25"),
        ("25/01/69", "1969-01-25"),
        ("Jan 5, 2010", "2010-01-05"),
        ("5 February 2010", "2010-02-05"),
        ("05-Mar-10", "2010-03-05"),
        ("Dec 2010", "2010-12-01"),
        ("1262304000", "2010-01-01"),
        ("1262304000000", "2010-01-01"),
    ],
)
def test_every_way_of_writing_a_time_is_read(text, time):
    assert shown(text) == [time]


@given(st.lists(st.datetimes(min_value=datetime(1600, 1, 1), max_value=datetime(2200, 1, 1)), min_size=1))
def test_iso_times_equal_those_of_the_standard_library(times):
    texts = [time.isoformat(sep=" ") for time in times]
    np.testing.assert_array_equal(parse(*texts).values, np.array(times, "datetime64[us]"))


def test_a_column_may_hold_several_ways():
    assert shown("2010-01-05", "2010/01/06 12:00", "Jan 7, 2010") == ["2010-01-05", "2010-01-06 12:00:00", "2010-01-07"]


# Day or month first


def test_a_part_over_12_anywhere_decides_the_order_of_the_column():
    assert shown("01/02/2024", "13/02/2024") == ["2024-02-01", "2024-02-13"]
    assert shown("01/02/2024", "02/13/2024") == ["2024-01-02", "2024-02-13"]
    assert shown("01.02.2024", "02.13.2024") == ["2024-01-02", "2024-02-13"]
    assert parse("01/02/2024", "13/02/2024").note == ""


def test_where_nothing_decides_the_rule_is_told_with_its_mend():
    times = parse("01/02/2024", "03/04/2024")
    assert str(times.values[0])[:10] == "2024-01-02"
    assert "'01/02/2024'" in times.note and "month was read first" in times.note and "day_first: true" in times.note
    times = parse("01.02.2024")
    assert str(times.values[0])[:10] == "2024-02-01" and "day_first: false" in times.note


def test_a_given_order_is_kept_to():
    assert shown("01/02/2024", day_first=True) == ["2024-02-01"]
    assert parse("01/02/2024", day_first=True).note == ""
    assert refusal("01/02/2024", "02/13/2024", day_first=True).startswith("a.csv:3: found '02/13/2024'")


@pytest.mark.parametrize("usual", [True, False])
def test_what_is_usual_decides_where_nothing_else_does(usual):
    for text in ("01/02/2024", "01.02.2024"):
        assert shown(text, usual=usual) == ["2024-02-01" if usual else "2024-01-02"]
        assert parse(text, usual=usual)[2:] == ("", usual)
    assert shown("01/02/2024", "13/02/2024", usual=False) == ["2024-02-01", "2024-02-13"]
    assert shown("01/02/2024", day_first=True, usual=False) == ["2024-02-01"]
    assert parse("2024-02-01", usual=usual).day_first is None


def test_rows_that_contradict_each_other_are_both_named():
    told = refusal("01/02/2024", "13/02/2024", "02/13/2024")
    assert told.startswith("a.csv:3: '13/02/2024'") and "'02/13/2024' (a.csv:4)" in told


# Offsets and numbers


def test_offsets_are_read_and_may_differ():
    times = parse("2010-01-01T00:00:00Z", "2010-01-01 01:00+01:00", "2010-01-01 01:00:00 -0530", "2010-01-01 02:00 UTC")
    assert times.offsets.tolist() == [0, 3600, -19800, 0]
    assert str(times.values[1]) == "2010-01-01T01:00:00.000000"
    assert parse("2010-01-01").offsets is None


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("Mon Jan 04 2010 13:05:00 GMT+0100 (CET)", 3600),
        ("Mon Jan 04 2010 13:05:00 GMT-0330", -12600),
        ("Mon, 04 Jan 2010 13:05:00 +0100", 3600),
        ("Mon Jan 4 13:05:00 +0000 2010", 0),
        ("4 Jan 2010 1:05 PM UTC", 0),
        ("4 Jan 2010 13:05", None),
    ],
)
def test_dates_with_names_of_months_keep_their_offset_too(text, offset):
    times = parse(text)
    assert shown(text) == ["2010-01-04 13:05:00"]
    assert (times.offsets is None) if offset is None else (times.offsets.tolist() == [offset])


def test_some_times_without_an_offset_are_refused():
    told = refusal("2010-01-01T00:00:00Z", "2010-01-01T01:00:00")
    assert told.startswith("a.csv:3: '2010-01-01T01:00:00' has no offset") and "(a.csv:2)" in told


def test_numbers_are_dates_only_when_all_can_be():
    assert parse("1", "2", "30").values.tolist() == [1, 2, 30]
    assert parse("-3", "2.0").values.tolist() == [-3, 2]
    assert parse("1998", "1999").values.dtype.kind == "M"
    assert parse("9998", "9999").values.tolist() == [9998, 9999]
    assert parse("201012", "201013").values.tolist() == [201012, 201013]
    assert parse("20101231", "20101232").values.tolist() == [20101231, 20101232]
    assert "years" in parse("1998").note


def test_numbers_stay_numbers_where_integers_are_expected():
    assert parse("1998", "1999", integers=True).values.tolist() == [1998, 1999]
    assert refusal("1998", "2010-01-01", integers=True).startswith("a.csv:3: found the time '2010-01-01', expected an")


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "2010-02-30",
        "2010-13-01",
        "2021-W53",
        "2010-01-01 25:00",
        "2010Q5",
        "Jan 5",
        "12:30",
        "x" * 500,
        "1" * 30,
    ],
)
def test_what_is_no_time_is_named_with_its_place(text):
    told = refusal("2010-01-01", text)
    assert told.startswith("a.csv:3: found '") and "no time" in told and len(told) < 250


def test_a_word_among_numbers_is_what_is_named():
    assert refusal("1", "2", "x").startswith("a.csv:4: found 'x'")


def test_a_year_and_the_next_are_a_year_and_never_a_month():
    alone = ("1998-99", "1999/00", "2010/2011", "1999/2000")
    for texts in (("1998/99", "1999/00"), ("2010/11", "2011/12"), *((text,) for text in alone)):
        assert shown(*texts) == [f"{text[:4]}-01-01" for text in texts]
        assert texts[0] in parse(*texts).note
    assert shown("2011/12") == ["2011-12-01"] and shown("2010/11", "2010/12") == ["2010-11-01", "2010-12-01"]
    assert "which is no time" in refusal("1998/99", "1999/01")


@pytest.mark.parametrize("digits", [2, 3, 11])
def test_years_with_decimals_are_their_months_or_quarters_as_in_r(digits):
    months = [f"{1949 + month / 12:.{digits}f}" for month in range(14)]
    assert shown(*months) == [str(np.datetime64("1949-01") + month) + "-01" for month in range(14)]
    assert shown("1949", "1949.25", "1949.5", "1949.75")[1:] == ["1949-04-01", "1949-07-01", "1949-10-01"]
    assert "years with their quarters" in parse("1949", "1949.25", "1949.5", "1949.75").note
    for texts in (["1949.5"], ["1949", "1949.5", "1950"], [f"2012.{month:02d}" for month in range(1, 13)]):
        assert "which is no time" in refusal(*texts)


def test_both_ends_of_a_period_are_times_and_in_all_of_a_column():
    assert "05.02.2010" in parse("05.02.2010 - 11.02.2010", "12.02.2010 - 18.02.2010").note
    assert shown("05.02.2010 - 11.02.2010", "12.02.2010 - 18.02.2010") == ["2010-02-05", "2010-02-12"]
    for texts in (
        ("2010-01-05 - 2010-13-05",),
        ("2010-01-05 - room 7",),
        ("2010-01-05 - 2010-01-06", "2010-01-07"),
        ("2010-01-05", "2010-01-05 - 2010-01-06"),
        ("10 - 19",),
    ):
        assert "which is no time" in refusal(*texts)


def test_an_empty_time_is_named():
    assert refusal("2010-01-01", "").startswith("a.csv:3: there is no time here")


def test_dates_need_no_pandas():
    code = "import sys; from toolkit.data.times import parse_times as p; p(['2010-01-05', '1/2/2010'], str); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('pandas' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("unit", "many"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_numbers_as_large_as_those_since_1970_are_times(unit, many):
    seconds = [1_000_000_000 + 60 * k for k in (0, 1, 2)]
    found = parse_times([str(each * many) for each in seconds], str)
    assert found.values.astype("datetime64[s]").astype(int).tolist() == seconds
    assert f"read as {unit} since 1970 in UTC" in found.note and (found.offsets == 0).all()


def test_nanoseconds_keep_all_digits_of_their_microseconds():
    micros = [1_700_000_000_000_000 + 999 * k for k in range(1, 50)]
    found = parse_times([str(each * 1000) for each in micros], str)
    assert found.values.astype(np.int64).tolist() == micros


def test_seconds_before_and_after_they_had_ten_digits_are_times():
    found = parse_times(["946684800", "1262304000"], str)
    assert [str(each)[:10] for each in found.values] == ["2000-01-01", "2010-01-01"]


@pytest.mark.parametrize(
    "texts", [["638000000000000000", "638000864000000000"], ["5", "1700000000"], ["99999999", "9"]]
)
def test_other_large_numbers_stay_numbers(texts):
    assert parse_times(texts, str).values.tolist() == [int(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("enero 2019", "2019-01-01"),
        ("5 de enero de 2019", "2019-01-05"),
        ("6 feb. 2019", "2019-02-06"),
        ("3. März 2024", "2024-03-03"),
        ("Dezember 2023", "2023-12-01"),
        ("1er janvier 2019", "2019-01-01"),
        ("févr. 2019", "2019-02-01"),
        ("5 जनवरी 2024", "2024-01-05"),
        ("Jan-19", "2019-01-01"),
        ("dic-20", "2020-12-01"),
        ("May '99", "1999-05-01"),
        ("Dec-68", "2068-12-01"),
        ("Jan-69", "1969-01-01"),
    ],
)
def test_months_have_names_in_many_languages(text, expected):
    assert parse_times([text], str).values[0] == np.datetime64(expected)


@pytest.mark.parametrize("text", ["mayor 2019", "Paris 2019", "Jan 5", "Total"])
def test_words_that_are_no_months_are_no_times(text):
    with pytest.raises(DataError, match="totals" if text == "Total" else "which is no time"):
        parse_times([text], str)


@pytest.mark.parametrize("text", ["date", "January", "janvier"])
def test_words_without_a_digit_are_no_times_and_no_names_are_read_for_that(text, monkeypatch):
    monkeypatch.setattr(months, "_names", lambda: pytest.fail("names of months were read, which takes long"))
    with pytest.raises(DataError, match="which is no time"):
        parse_times([text], str)


def test_no_two_months_share_a_name():
    for language in months.LANGUAGES:
        for width in ("wide", "abbreviated"):
            for number, name in Locale(language).months["stand-alone"][width].items():
                assert months._names()[name.lower().rstrip(".")] == months.ENGLISH[number - 1]
