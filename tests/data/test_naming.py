"""Names of series in several columns, and columns that tell the rows of a time apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.data import arrow_tables, naming
from toolkit.data.naming import find_naming
from toolkit.data.panel import Finding, Panel
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.errors import DataError

DAYS = [str(np.datetime64("2024-01-01") + day) for day in range(30)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(header: str, rows: list[str]) -> str:
        path = tmp_path / "a.csv"
        path.write_text("\n".join([header, *rows, ""]))
        return str(path)

    return write


@pytest.fixture
def shops(write: Any) -> str:
    """Two shops with two goods each, numbered rows, and a value that tells of shop, good and day."""
    of = [(day, shop, good) for day in range(30) for shop in (1, 2) for good in ("tea", "oil")]
    rows = [
        f"{row},{DAYS[day]},{shop},{good},{1000 * shop + 100 * len(good) * (good == 'tea') + day},{day % 2}"
        for row, (day, shop, good) in enumerate(of)
    ]
    return write("id,date,shop,good,sales,rain", rows)


def read(path: str, **options: Any) -> tuple[Panel, list[Finding]]:
    return read_panel(SeriesSource(path, **options))


@pytest.mark.parametrize("large", [False, True])
def test_several_columns_name_a_series_together(shops: str, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.setattr(arrow_tables, "LARGE", 0 if large else 1 << 40)
    panel, findings = read(shops, id=("shop", "good"), value="sales", statics=("shop",), covariates=("rain",))
    assert panel.ids == ("1|tea", "1|oil", "2|tea", "2|oil") and panel.id_columns == ("shop", "good")
    assert panel.named(2) == ["2", "tea"] and panel.take(np.array([3])).named(0) == ["2", "oil"]
    np.testing.assert_array_equal(panel.history(1), 1000 + np.arange(30))
    np.testing.assert_array_equal(panel.history(2), 2300 + np.arange(30))
    np.testing.assert_array_equal(panel.statics["shop=2"], [0, 0, 1, 1])
    np.testing.assert_array_equal(panel.covariates["rain"][:30], np.arange(30) % 2)
    assert not [finding for finding in findings if finding.kind == "duplicates"]


def test_one_of_the_columns_gives_totals(shops: str) -> None:
    panel, _ = read(shops, id="shop", value="sales", duplicates="sum")
    assert panel.ids == ("1", "2") and panel.id_columns == () and panel.named(1) == ["2"]
    np.testing.assert_array_equal(panel.history(1), 2300 + 2000 + 2 * np.arange(30))


def test_rows_that_are_series_may_have_their_names_in_several_columns(write: Any) -> None:
    path = write("shop,good,2020,2021,2022", ["1,tea,5,6,7", "1,oil,1,2,3", "2,tea,4,4,5"])
    panel, _ = read(path, id=("shop", "good"), layout="rows")
    assert panel.ids == ("1|tea", "1|oil", "2|tea") and panel.history(1).tolist() == [1, 2, 3]
    with pytest.raises(DataError, match=r"series '1' is there twice"):
        read(path, id="shop", layout="rows", statics=("good",))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",", "there is no name in column 'shop' or 'good'. Name the series of every row."),
        ("2,tea|oil", "joined by '|', which one of '2|tea|oil' holds itself. Write another sign there."),
    ],
)
def test_names_of_which_a_part_is_not_clear_are_refused(write: Any, row: str, told: str) -> None:
    path = write("date,shop,good,sales", ["2024-01-01,1,tea,5", f"2024-01-01,{row},5"])
    with pytest.raises(DataError) as error:
        read(path, id=("shop", "good"))
    assert "a.csv:3: " in str(error.value) and told in str(error.value)


def test_a_blank_part_of_a_name_is_a_name_and_told(write: Any) -> None:
    places = [("", "Chile"), ("Quebec", "Canada"), ("Yukon", "Canada"), ("", "Peru")]
    rows = [f"2024-01-{day:02d},{province},{country},{day}" for day in range(1, 31) for province, country in places]
    path = write("date,province,country,cases", rows)
    assert find_naming(SeriesSource(path), ("date",)) == ("province", "country")
    panel, findings = read(path, id=("province", "country"), value="cases")
    assert panel.ids == ("|Chile", "Quebec|Canada", "Yukon|Canada", "|Peru") and panel.named(0) == ["", "Chile"]
    assert any("a blank part: 2, first '|Chile'" in finding.message for finding in findings)


def test_rows_that_are_series_are_told_apart_by_the_fewest_columns_before_their_times(write: Any) -> None:
    days, ones = ",".join(f"1/{day}/20" for day in range(22, 32)), ",1" * 10
    places = [(",Chile", 1.5), ("Quebec,Canada", 2.5), ("Yukon,Canada", 3.5), (",Peru", 4.5)]
    path = write(f"province,country,latitude,{days}", [f"{place},{latitude}{ones}" for place, latitude in places])
    panel, findings = read(path)
    assert panel.ids == ("|Chile", "Quebec|Canada", "Yukon|Canada", "|Peru") and panel.frequency.alias == "D"
    assert panel.id_columns == ("province", "country")
    assert any("Left out: 'latitude'" in finding.message for finding in findings)
    panel, _ = read(path, statics=("latitude",))
    assert panel.statics["latitude"].tolist() == [1.5, 2.5, 3.5, 4.5]
    path = write(f"number,rank,place,{days}", [f"{10 - k},{k},{place}{ones}" for k, place in enumerate("abc")])
    assert read(path)[0].ids == ("a", "b", "c")
    path = write(f"number,kind,{days}", [f"{10 - k},a{ones}" for k in range(3)])
    assert read(path)[0].ids == ("10", "9", "8")
    path = write(f"latitude,kind,{days}", [f"{k}.5,a{ones}" for k in range(3)])
    with pytest.raises(DataError, match=r"Set data\.layout to rows"):
        read(path)


def test_a_name_with_the_sign_is_fine_in_one_column(write: Any) -> None:
    assert read(write("date,shop,sales", ["2024-01-01,a|b,5", "2024-01-02,a|b,6"]), id="shop")[0].named(0) == ["a|b"]


def test_columns_that_are_not_there_are_named(shops: str) -> None:
    with pytest.raises(DataError, match=r"there is no column 'goods'. Did you mean good\?"):
        read(shops, id=("shop", "goods"))


# What tells rows apart


def test_the_fewest_columns_that_tell_the_rows_of_a_time_apart_are_found(shops: str) -> None:
    assert find_naming(SeriesSource(shops), ("date",)) == ("shop", "good")
    with pytest.raises(
        DataError, match=r"If columns 'shop' and 'good' together name the series, set data.id to \[shop"
    ):
        read(shops, value="sales")


def test_text_goes_before_numbers_and_numbers_that_differ_by_chance_name_nothing(write: Any) -> None:
    values = np.random.default_rng(0).permutation(90).tolist()
    rows = [f"{day},{k},{'abc'[k]},{values.pop()}" for day in DAYS for k in range(3)]
    path = write("date,number,name,sales", rows)
    assert find_naming(SeriesSource(path), ("date",)) == ("name",)
    without = write("date,sales", [",".join(row.split(",")[::3]) for row in rows])
    assert find_naming(SeriesSource(without), ("date",)) == ()


def test_a_column_that_is_blank_in_places_names_nothing(write: Any) -> None:
    rows = [f"{day},{k},{'x' if k else ''},{k}" for day in DAYS for k in range(2)]
    assert find_naming(SeriesSource(write("date,number,mark,sales", rows)), ("date",)) == ("number",)


def test_integers_may_be_written_with_a_decimal(write: Any) -> None:
    rows = [f"{day},{shop}.0,{good},{day[-2:]}.5" for day in DAYS for shop in range(2) for good in "ab"]
    assert find_naming(SeriesSource(write("date,shop,good,sales", rows)), ("date",)) == ("shop", "good")


def test_values_and_covariates_name_nothing_and_a_column_of_values_is_left(write: Any) -> None:
    path = write("date,y,shop", [f"{day},{number},{number}" for day in DAYS for number in range(3)])
    assert find_naming(SeriesSource(path), ("date",), ("y",)) == ("shop",)
    assert find_naming(SeriesSource(path), ("date",), ("y", "shop")) == ("y",)
    assert find_naming(SeriesSource(path, covariates=("shop",)), ("date",), ("y",)) == ()
    path = write("date,shop,good", [f"{day},{shop},{good}" for day in DAYS for shop in range(2) for good in range(2)])
    assert find_naming(SeriesSource(path), ("date",), ("shop", "good")) == ()


def test_columns_of_too_many_names_or_too_few_take_no_time(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "codes_of", None)
    rows = [f"{DAYS[n // 40]},{n},{n * 7},{n % 2},{n % 3},{n % 5}" for n in range(1200)]
    assert find_naming(SeriesSource(write("date,row,amount,a,b,c", rows)), ("date",)) == ()


def test_series_that_begin_late_and_rows_that_are_twice_there_change_nothing(write: Any) -> None:
    rows = [f"{day},s{k},{k}" for place, day in enumerate(DAYS) for k in range(4) if place >= 6 * k]
    path = write("date,shop,sales", [*rows, rows[-1]])
    assert find_naming(SeriesSource(path), ("date",)) == ("shop",)
