"""Panels: every layout and oddity of files, what is told about each, and the fast path against the plain one."""

import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import arrow_tables, series_tables
from toolkit.data.frequency import Frequency, parse_frequency
from toolkit.data.panel import Panel
from toolkit.data.series import read_panel
from toolkit.data.sources import SeriesSource
from toolkit.errors import ConfigError, DataError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
NAN = float("nan")


@pytest.fixture
def read(tmp_path):
    """Read the panel of a text, by default a CSV file."""

    def read(text: str | bytes, name: str = "a.csv", *, trained=None, categories=None, **options):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_panel(SeriesSource(str(path), **options), frequency=trained, categories=categories)

    return read


def daily(*values, name: str | None = None, first: str = "2024-01-01") -> list[str]:
    days = np.datetime64(first) + np.arange(len(values))
    return [
        ",".join([*([name] if name else []), str(day), str(value)]) for day, value in zip(days, values, strict=True)
    ]


def table(*rows: str, header: str = "ds,y") -> str:
    return "\n".join([header, *rows]) + "\n"


def refusal(read, text, *args, kind=DataError, **options) -> str:
    with pytest.raises(kind) as error:
        read(text, *args, **options)
    return str(error.value)


@pytest.mark.parametrize("text", ["a,2024-01-01,1\n,,\na,2024-01-02,2\na,2024-01-03,3\n,,\n,,\n"])
@pytest.mark.parametrize("fast", [False, True])
def test_rows_with_nothing_in_them_are_left_out_aloud(read, monkeypatch, text, fast):
    monkeypatch.setattr(arrow_tables, "LARGE", 0 if fast else 1 << 30)
    panel, findings = read("unique_id,ds,y\n" + text)
    assert panel.ids == ("a",) and panel.values.tolist() == [1, 2, 3]
    assert "rows with nothing in them: 3, the first at" in message(findings, "layout")
    assert "a.csv:3; they were left out" in message(findings, "layout")
    with pytest.raises(DataError, match=r"a\.csv:6: .*'x'"):  # places count the rows that were left out
        read("unique_id,ds,y\na,2024-01-01,1\n,,\na,2024-01-02,2\n,,\na,x,3\n")


def test_blank_rows_of_a_file_without_times_are_steps_without_a_value(read):
    panel, _ = read("y,note\n1,a\n,\n3,b\n")
    np.testing.assert_array_equal(panel.values, [1, NAN, 3])


def kinds(findings) -> list[str]:
    return [finding.kind for finding in findings]


def message(findings, kind: str) -> str:
    return next(finding.message for finding in findings if finding.kind == kind)


def histories(panel: Panel) -> dict[str, list[float]]:
    return {name: panel.history(k).tolist() for k, name in enumerate(panel.ids)}


def first_times(panel: Panel) -> list[str]:
    return panel.frequency.text(panel.starts)


# Layouts


@pytest.mark.parametrize(
    "header", ["unique_id,ds,y", "item_id,timestamp,target", "Series,Date,Value", "ticker,time,close"]
)
def test_long_files_are_known_by_the_names_of_their_columns(read, header):
    panel, findings = read(table(*daily(1, 2, name="b"), *daily(3, 4, 5, name="a"), header=header))
    assert histories(panel) == {"b": [1, 2], "a": [3, 4, 5]} and panel.ids == ("b", "a")
    assert panel.frequency == parse_frequency("D") and first_times(panel) == ["2024-01-01"] * 2
    assert kinds(findings) == ["short"]


def test_one_column_of_numbers_beside_the_time_is_one_series(read):
    panel, findings = read(
        table("47.8,2010/01/01 00:00:00", "47.4,2010/01/01 01:00:00", "47,2010/01/01 02:00:00", header="temp,date")
    )
    assert histories(panel) == {"temp": [47.8, 47.4, 47]} and panel.frequency.alias == "h" and findings == []


def test_several_columns_of_numbers_are_several_series_and_that_is_told(read):
    panel, findings = read(table("2024-01-01,1,,x", "2024-01-02,2,5,y", "2024-01-03,3,6,y", header="date,a,b,sky"))
    assert histories(panel) == {"a": [1, 2, 3], "b": [5, 6]}
    assert first_times(panel) == ["2024-01-01", "2024-01-02"]
    assert "'a', 'b' were read as 2 series" in message(findings, "layout") and "'sky'" in message(findings, "layout")
    assert histories(read(table(*daily("1,2", "3,4", "5,6"), header="date,a,b"), value="b")[0]) == {"b": [2, 4, 6]}


@pytest.mark.parametrize("plain", [1, 3])
def test_rows_that_are_series_are_not_read_down_a_column_where_others_have_flags(read, plain):
    """As in the .tsv files of Eurostat."""
    months, cells = (f"2024-{month:02d} " for month in range(1, 9)), ("1.5 p", *["2"] * plain, *["3 e"] * (7 - plain))
    rows = [["unit,geo\\TIME_PERIOD", *months], ["I15,AT", *cells], ["I15,DE", *cells]]
    text = "".join("\t".join(row) + "\n" for row in rows)
    told = refusal(read, text, "a.tsv")
    assert "a.tsv:2: " in told and "such as '2024-01'" in told and "'1.5 p' is no number. Write 1.5 there" in told


def test_a_first_row_of_a_name_a_date_and_a_number_is_no_header(read):
    panel, findings = read(table(*daily(6, 8, name="a", first="2024-01-02"), header="a,2024-01-01,5"))
    assert histories(panel) == {"2": [5, 6, 8]} and "the first row holds data" in findings[0].message
    panel, _ = read("region,2022,2023-06-30\nnorth,5,6\nsouth,7,8\n")
    assert histories(panel) == {"north": [5, 6], "south": [7, 8]}


def test_a_column_of_numbers_alone_counts_its_rows(read):
    for text in ("sales\n5\n6\n8\n", "5\n6\n8\n"):
        panel, findings = read(text)
        assert panel.history(0).tolist() == [5, 6, 8] and panel.frequency == Frequency("integer", 1)
        assert first_times(panel) == ["0"] and any("rows are counted" in finding.message for finding in findings)
    assert panel.ids == ("0",) and "first row holds data" in findings[0].message


def test_rows_without_times_are_counted_in_every_series(read):
    panel, _ = read(table("a,1", "b,5", "a,2", "b,6", "a,3", "b,7", header="id,y"))
    assert histories(panel) == {"a": [1, 2, 3], "b": [5, 6, 7]} and panel.starts.tolist() == [0, 0]


@pytest.mark.parametrize("header", ['"V1","V2","V3","V4"\n', "name,1,2,3\n", ""])
def test_a_series_a_row_ends_where_its_cells_are_empty(read, header):
    panel, findings = read(header + '"H1","1","2.5","7"\n"H2","3","",""\n"H3","4","","9"\n')
    assert panel.ids == ("H1", "H2", "H3") and panel.frequency.unit == "integer"
    np.testing.assert_array_equal(panel.values, [1, 2.5, 7, 3, 4, NAN, 9])
    assert "every row was read as a series" in findings[-3].message


@pytest.mark.parametrize(
    ("times", "alias", "first"),
    [
        (("1990", "1991", "1992"), "YS-JAN", "1990-01-01"),
        (("Jan 2019", "Feb 2019", "Mar 2019"), "MS", "2019-01-01"),
        (("2024-01-01", "2024-01-02", "2024-01-03"), "D", "2024-01-01"),
    ],
)
def test_the_names_of_columns_are_the_times_of_a_series_a_row(read, times, alias, first):
    panel, findings = read(f"product,{','.join(times)}\nbread,1,2,3\nmilk,,5,6\ntea,7,8,\n")
    assert panel.frequency.alias == alias and first_times(panel)[0] == first
    assert histories(panel) == {"bread": [1, 2, 3], "milk": [5, 6], "tea": [7, 8]}
    assert f"the names of their columns, {times[0]} to {times[-1]}" in message(findings, "layout")


def test_commas_mean_the_same_in_every_row_that_is_a_series(read):
    panel, findings = read("name;1;2;3\na;1;2;3\nb;1,5;2;\nc;;1,125;2,5\n")
    np.testing.assert_array_equal(panel.values, [1, 2, 3, 1.5, 2, 1.125, 2.5])
    assert message(findings, "decimals").startswith("3 numbers of column 'values' have decimal commas")
    told = refusal(read, "name;1;2;3\na;1,5;2,5;3,5\nb;1,234,567;2;3\n")
    assert "'1,5' (" in told and "'1,234,567' (" in told


def test_a_series_a_row_may_have_a_number_for_a_name(read):
    panel, _ = read("sku,2024-01,2024-02,2024-03\n0001,1,2,3\n0002,4,5,6\n0003,7,8,9\n")
    assert histories(panel) == {"0001": [1, 2, 3], "0002": [4, 5, 6], "0003": [7, 8, 9]}
    assert panel.frequency.alias == "MS"


@pytest.mark.parametrize("times", [("2019", "2020", "2021"), ("Jan 2019", "Feb 2019", "Mar 2019")])
def test_columns_among_those_called_times_are_refused_and_not_read_as_values(read, times):
    text = f"product,{','.join(times)},Total\nbread,1,2,3,6\nmilk,4,5,6,15\ntea,7,8,9,24\n"
    assert "column 'Total' stands among columns whose names are times" in refusal(read, text)
    panel, _ = read(text, statics=("Total",))
    assert panel.values.tolist() == [*range(1, 10)] and panel.statics["Total"].tolist() == [6, 15, 24]


@pytest.mark.parametrize("times", [("2019", "2020", "2021"), ("Jan 2019", "Feb 2019", "Mar 2019")])
def test_columns_called_times_are_no_series(read, times):
    text = f"product,kind,{','.join(times)}\nbread,food,1,2,3\nmilk,drink,4,5,6\ntea,drink,7,8,9\n"
    assert "Set data.layout to rows" in refusal(read, text)
    panel, _ = read(text, layout="rows", statics=("kind",))
    assert panel.ids == ("bread", "milk", "tea") and panel.values.tolist() == [*range(1, 10)]
    assert read(text, layout="wide")[0].ids == times


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ([f"d_{n}" for n in range(1, 9)], "0"),
        ([str(year) for year in range(1960, 1968)], "1960-01-01"),
        ([f"2024-0{month}" for month in range(1, 9)], "2024-01-01"),
    ],
)
def test_columns_of_words_may_stand_between_names_and_steps(read, steps, first):
    """As in the M5 competition's files, and in those of the World Bank."""
    text = f"id,item,shop,{','.join(steps)}\na,tea,north,{'1,2,3,4,5,6,7,8'}\nb,oil,north,{',,3,4,5,6,7,8'}\n"
    panel, findings = read(text)
    assert histories(panel) == {"a": [*range(1, 9)], "b": [*range(3, 9)]} and first_times(panel)[0] == first
    assert "Left out: 'item', 'shop'; data.static in a config" in message(findings, "layout")
    panel, findings = read(text, statics=("item", "shop"))
    assert panel.ids == ("a", "b") and panel.statics["item=tea"].tolist() == [1, 0]
    assert "Left out" not in message(findings, "layout")
    assert read(text, id=("item", "shop"), layout="rows", statics=("id",))[0].ids == ("tea|north", "oil|north")


@pytest.mark.parametrize(
    "header", ["id,item,d_1,d_2,d_3,d_4,d_5,d_7", "id,item,a_1,b_2,c_3,d_4,e_5,f_6", "id,item,a,b,c,d,e,f"]
)
def test_columns_that_are_not_counted_are_no_steps_beside_words(read, header):
    assert "all hold numbers" in refusal(read, f"{header}\na,tea,1,2,3,4,5,6\nb,oil,1,2,3,4,5,6\n")


def test_times_are_put_together_from_their_parts(read):
    panel, findings = read("No,year,month,day,hour,pm\n1,2010,1,1,22,5\n2,2010,1,1,23,6\n3,2010,1,2,0,7\n")
    assert histories(panel) == {"pm": [5, 6, 7]} and first_times(panel) == ["2010-01-01 22:00:00"]
    assert "put together" in message(findings, "layout")
    panel, _ = read("Date;Time;y\n16/12/2006;17:24:00;1\n16/12/2006;17:25:00;2\n16/12/2006;17:26:00;4\n")
    assert panel.frequency.alias == "min" and first_times(panel) == ["2006-12-16 17:24:00"]


def test_of_a_date_and_a_timestamp_the_finer_one_is_the_time(read):
    panel, findings = read(
        "date,ts,n\n2010-09-20,2010-09-20 12:00,1\n2010-09-20,2010-09-20 13:00,2\n2010-09-20,2010-09-20 14:00,3\n"
    )
    assert panel.frequency.alias == "h" and panel.ids == ("n",) and "'ts' was read as the time" in findings[0].message


def test_a_time_of_another_name_is_known_by_its_dates(read):
    panel, _ = read(table(*daily(1, 2, 3), header="Period,Sales"))
    assert panel.ids == ("Sales",) and panel.frequency.alias == "D"


@pytest.mark.parametrize("times", [(1990, 1991, 1992), ("1990-01", "1990-02", "1990-03")])
def test_the_date_of_the_file_itself_is_no_time_beside_others(read, times):
    """As in the SDMX files of Eurostat, in months and in years."""
    rows = [f"23/02/21 11:00:00,AT,{time},{n}" for n, time in enumerate(times)]
    panel, _ = read(table(*rows, header="LAST UPDATE,geo,TIME_PERIOD,OBS_VALUE"))
    assert panel.ids == ("OBS_VALUE",) and first_times(panel) == ["1990-01-01"] and len(panel.values) == 3


def test_an_id_that_counts_the_rows_names_no_series(read):
    rows = [f"{row},{line}" for row, line in enumerate(daily(5, 6, 8, 9))]
    panel, findings = read(table(*rows, header="id,date,sales"))
    assert histories(panel) == {"sales": [5, 6, 8, 9]} and "only counts the rows" in findings[0].message


def test_a_column_without_a_cell_names_no_series(read):
    """As SYMBOL in the files of Statistics Canada."""
    rows = [f"{row.rpartition(',')[0]},{n},," for n, row in enumerate(daily(*range(5)))]
    assert read(table(*rows, header="REF_DATE,VALUE,STATUS,SYMBOL"))[0].ids == ("VALUE",)


def test_rows_are_not_counted_beside_a_column_of_times_with_a_stray_word(read):
    """As the codes of transformations in FRED-MD."""
    text = table("Transform:,5", *daily(*range(12)), header="sasdate,RPI")
    assert "a.csv:2: found 'Transform:' in column 'sasdate', where most cells are times." in refusal(read, text)


def test_names_of_series_are_kept_as_they_are(read):
    names = ["1", "2.0", "ä/b c", "=x", "nan", "7"]
    rows = [row for name in names for row in daily(1, 2, 3, name=name)]
    assert read(table(*rows, header="unique_id,ds,y"))[0].ids == tuple(names)
    assert refusal(read, table("a,2024-01-01,1", " ,2024-01-01,1", header="id,ds,y")).endswith(
        "Name the series of every row."
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.csv.gz"])
def test_every_format_of_rows_is_read(tmp_path, name):
    frame = pandas.DataFrame(
        {
            "unique_id": [1, 1, 1, 2, 2],
            "ds": pandas.date_range("2024-01-31", periods=5, freq="ME"),
            "y": [1, 2.5, None, 4, 5],
        }
    )
    text = frame.assign(ds=frame.ds.dt.strftime("%Y-%m-%d"))
    path = tmp_path / name
    match path.suffixes:
        case [".parquet"]:
            frame.to_parquet(path)
        case [".json"]:
            path.write_text(text.to_json(orient="records"))
        case [".jsonl"]:
            path.write_text(text.to_json(orient="records", lines=True))
        case [".tsv"]:
            text.to_csv(path, index=False, sep="\t")
        case _:
            path.write_bytes((gzip.compress if name.endswith("gz") else bytes)(text.to_csv(index=False).encode()))
    panel, _ = read_panel(SeriesSource(str(path)))
    assert panel.ids == ("1", "2") and panel.frequency.alias == "ME"
    np.testing.assert_array_equal(panel.values, [1, 2.5, 4, 5])
    assert panel.frequency.text(panel.starts) == ["2024-01-31", "2024-04-30"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_whose_values_begin_late_is_a_series_too(tmp_path, kind):
    values = np.arange(1500.0)
    frame = pandas.DataFrame({"time": pandas.date_range("2024-01-01", periods=1500, freq="h").astype(str), "a": values})
    frame = frame.assign(b=np.where(values < 1100, NAN, values), note=None)
    path = tmp_path / f"a.{kind}"
    match kind:
        case "csv":
            frame.to_csv(path, index=False)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case _:
            frame.to_parquet(path)
    panel, _ = read_panel(SeriesSource(str(path)))
    assert panel.ids == ("a", "b") and panel.history(1).tolist() == list(range(1100, 1500))


def test_decimals_of_databases_are_numbers(tmp_path):
    prices = [Decimal("1.50"), Decimal("2.50"), None, Decimal("4.00")]
    frame = pandas.DataFrame({"date": pandas.date_range("2024-01-01", periods=4), "sales": prices, "price": prices})
    frame.to_parquet(path := tmp_path / "a.parquet")
    panel, _ = read_panel(SeriesSource(str(path), value="sales", covariates=("price",)))
    assert list(panel.covariates) == ["price"] and not panel.categories
    np.testing.assert_array_equal(panel.covariates["price"], [1.5, 2.5, NAN, 4])
    assert read_panel(SeriesSource(str(path)))[0].ids == ("sales", "price")


@pytest.mark.parametrize("mark", ["\t", ";", ","])
def test_a_text_file_is_a_table(read, mark):
    text = "ds\ty\n2024-01-01\t1\n2024-01-02\t2\n".replace("\t", mark)
    assert read(text, "a.txt")[0].values.tolist() == [1, 2]


@pytest.mark.parametrize("fast", [False, True])
def test_a_title_is_left_out_of_large_and_small_files(read, monkeypatch, fast):
    monkeypatch.setattr(arrow_tables, "LARGE", 0 if fast else 1 << 30)
    with pytest.warns(UserWarning, match="line 3, below 'Visits', a title"):
        panel, _ = read("Visits\n\n" + table(*daily(5, 6, 7, 8), header="day,visits"))
    assert panel.ids == ("visits",) and panel.history(0).tolist() == [5, 6, 7, 8]


def test_hours_of_ten_digits_are_times_whatever_their_column_is_called(read):
    rows = [f"44;20230101{hour:02d};{hour}.5\n" for hour in range(24)]
    panel, _ = read("STATION;MESS_DATUM;TT\n" + "".join(rows), value="TT")
    assert panel.frequency.title == "hourly" and panel.frequency.text(panel.starts)[0] == "2023-01-01 00:00:00"
    ids = [f"{2000000000 + row};{row}.5\n" for row in range(24)]  # which could be seconds, but hardly are
    assert read("SENSOR;TT\n" + "".join(ids), value="TT")[0].frequency.unit == "integer"


def test_milliseconds_are_times_in_a_file_without_names_of_columns(read):
    """As exchanges write them, with the end of each step in another column."""
    rows = [f"{1609459200000 + 3600000 * n},{n % 5}.5,{1609462799999 + 3600000 * n},{n % 7}\n" for n in range(24)]
    panel, _ = read("".join(rows), value="1")
    assert panel.frequency.title == "hourly" and panel.frequency.text(panel.starts)[0].startswith("2021-01-01 00:00:00")
    assert len(panel.values) == 24
    counted = [f"{1609459200000 + n},{n % 5}.5,{n % 7}\n" for n in range(24)]
    assert read("".join(counted), value="1")[0].frequency.unit == "integer"


def test_of_several_columns_of_dates_the_one_that_all_rows_have_is_the_time(read):
    text = "paid,made,y\n" + "".join(
        f"{'' if day == 12 else f'2024-02-{day}'},2024-01-{day},1\n" for day in range(10, 20)
    )
    panel, _ = read(text)
    assert panel.frequency.text(panel.starts)[0] == "2024-01-10" and len(panel.values) == 10


def test_a_column_of_clocks_is_part_of_the_time_whatever_it_is_called_where_it_tells_rows_apart(read):
    quarters = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in (0, 15, 30, 45)]
    rows = [
        f"0{day}.01.2024;{at};{end};1,5\n"
        for day in (1, 2, 3)
        for at, end in zip(quarters, quarters[1:] + quarters[:1], strict=True)
    ]
    panel, findings = read("Datum;Anfang;Ende;y\n" + "".join(rows))
    assert panel.frequency.title == "every 15 minutes" and len(panel.values) == 288
    assert "put together from the columns 'Datum', 'Anfang'" in message(findings, "layout")
    shops = "".join(f"2024-01-{day},{shop},0{shop}:00,{day}\n" for day in range(10, 20) for shop in (7, 7, 8))
    panel, _ = read("date,shop,opens,y\n" + shops, value="y", duplicates="last")  # several rows at 07:00
    assert panel.frequency.title == "daily"


def test_a_clock_may_have_points_in_a_column_of_its_own(read):
    text = "Date;Time;y\n" + "".join(f"0{day}/03/2004;{hour:02d}.00.00;1,5\n" for day in "12" for hour in range(24))
    panel, _ = read(text, day_first=True)
    assert (panel.frequency.alias, panel.ids) == ("h", ("y",)) and first_times(panel) == ["2004-03-01 00:00:00"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_marks_and_encodings_are_those_of_rows(read, encoding, recwarn):
    text = table(*daily(1, 2, 3, name="Zoë"), header="id,ds,y")
    assert read(text.encode(encoding))[0].ids == ("Zoë",)
    assert len(recwarn) == (encoding == "latin-1")


@pytest.mark.parametrize(
    ("rows", "frequency", "last"),
    [
        (["year,Quarter,y", "2023,3,1", "2023,4,2", "2024,1,3"], "Q", "2024-01-01"),
        (["Year,quarter,y", "2023,Q3,1", "2023,q4,2", "2024,Q1,3"], "Q", "2024-01-01"),
        (["year,week,y", "2020,52,1", "2020,53,2", "2021,1,3", "2021,2,4"], "W", "2021-01-11"),
    ],
)
def test_times_are_put_together_from_a_year_and_a_quarter_or_a_week(read, rows, frequency, last):
    panel, findings = read("\n".join(rows) + "\n")
    assert panel.frequency.title.lower().startswith({"Q": "quarter", "W": "week"}[frequency])
    (moment,) = panel.frequency.times(panel.starts + len(panel.values) - 1)
    assert str(moment)[:10] == last and panel.values.tolist() == list(range(1, len(rows)))
    assert "put together" in message(findings, "layout")


@pytest.mark.parametrize(
    ("names", "months"),
    [("Year,Month", ["October", "November", "December"]), ("year,period", ["M10", "M11", "M12"])],
)
def test_times_are_put_together_from_a_year_and_a_month_that_is_no_number(read, names, months):
    rows = [f"{year},{month},{n}" for year in (2022, 2023) for n, month in enumerate(months)]
    panel, findings = read(table(*rows, header=f"{names},Sales"))
    assert panel.ids == ("Sales",) and panel.frequency.alias == "MS" and first_times(panel) == ["2022-10-01"]
    assert "put together" in message(findings, "layout")


@pytest.mark.parametrize("weeks", [("2024-W01", "2024-W02", "2024-W03"), ("2024-01-01", "2024-01-08", "2024-01-15")])
def test_a_week_that_tells_its_year_is_the_time_beside_a_year(read, weeks):
    panel, _ = read("year,week,y\n" + "".join(f"2024,{week},{n}\n" for n, week in enumerate(weeks)))
    assert panel.frequency.title.startswith("weekly") and first_times(panel) == ["2024-01-01"]


@pytest.mark.parametrize(
    ("name", "day"), [("hour", "01.03.2024"), ("HR", "2024-03-01"), ("Hr_End", "2024-03-01"), ("Hour", "20240301")]
)
def test_times_are_put_together_from_a_date_and_the_number_of_an_hour(read, name, day):
    text = f"day,{name},y\n" + "".join(f"{day},{hour},{hour * hour}\n" for hour in range(24)) + ",,\n"
    panel, findings = read(text)
    assert panel.frequency.title == "hourly" and panel.history(0).tolist() == [hour * hour for hour in range(24)]
    assert "times were put together from the columns 'day'" in message(findings, "layout")
    assert "a.csv:7: found " in refusal(read, text.replace(",5,25\n", ",,25\n"))  # an hour that is missing is not 0


@pytest.mark.parametrize(("name", "written"), [("Hour", "{}"), ("HE", "{}"), ("HourEnding", "{:02d}:00")])
def test_the_last_of_hours_from_1_to_24_is_the_midnight_after(read, name, written):
    days, hours = ("12/31/2023", "01/01/2024"), range(1, 25)
    text = f"Date,{name},y\n" + "".join(f"{day},{written.format(hour)},{hour}\n" for day in days for hour in hours)
    panel, findings = read(text)
    assert panel.frequency.title == "hourly" and panel.history(0).tolist() == [*hours, *hours]
    assert first_times(panel) == ["2023-12-31 01:00:00"]
    assert "Hour 24 was read as the midnight after." in message(findings, "layout")


def test_an_hour_beside_days_that_stand_once_is_no_part_of_the_time(read):
    panel, _ = read("day,hour,y\n" + "".join(f"2024-03-{n},{n % 3},{n}\n" for n in range(10, 20)), value="y")
    assert panel.frequency.title == "daily"


# Numbers


def test_decimal_commas_are_read_and_told(read):
    for text in (
        "ds;y\n2024-01-01;1,5\n2024-01-02;1.234,75\n2024-01-03;3\n",
        'ds,y\n2024-01-01,"1,5"\n2024-01-02,"1234,75"\n2024-01-03,3\n',
    ):
        panel, findings = read(text)
        assert panel.values.tolist() == [1.5, 1234.75, 3]
        assert "'1,5'" in message(findings, "decimals") and ":2)" in message(findings, "decimals")


def test_commas_between_thousands_are_read_where_they_can_be_nothing_else(read):
    panel, findings = read('ds,y\n2024-01-01,"1,234"\n2024-01-02,"1,234.5"\n2024-01-03,7.5\n')
    assert panel.values.tolist() == [1234, 1234.5, 7.5] and "thousands" in message(findings, "decimals")


@pytest.mark.parametrize("blank", " \u00a0\u2009\u202f'’")
def test_blanks_and_apostrophes_between_thousands_are_read(read, blank):
    cells = (f"1{blank}392", f"-12{blank}345{blank}678,5", "7,25")
    text = "ds;y\n" + "".join(f"2024-01-0{day};{cell}\n" for day, cell in enumerate(cells, 1))
    assert read(text)[0].values.tolist() == [1392, -12345678.5, 7.25]
    assert read(table(*daily(f"1{blank}392", "7.25")))[0].values.tolist() == [1392, 7.25]


@pytest.mark.parametrize(
    ("cells", "doubtful"),
    [
        (["987", "1.234", "-1.002"], True),
        (["987", "1.234", "1.5"], False),
        (["987", "1.234", "1002"], False),
        (["987", "1.234", "0.125"], False),
        (["1.234", "1.500"], False),
        (["987", "1002"], False),
    ],
)
def test_points_that_may_stand_between_thousands_are_told(read, cells, doubtful):
    panel, findings = read(table(*daily(*cells)))
    assert panel.values.tolist() == [float(cell) for cell in cells]
    told = [finding.message for finding in findings if finding.kind == "decimals"]
    assert bool(told) == doubtful and all("'1.234' (" in each and "a.csv:3)" in each for each in told)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (['"1,234"', '"5,678"'], "a.csv:2: '1,234' in column 'y' could be 1234 or 1.234."),
        (['"1,5"', '"1,234.5"'], "decimal commas, '1,5'"),
        (['"1,5"', "1.5"], "decimal points, '1.5'"),
        (["1", "abc"], "a.csv:3: found 'abc' in column 'y', expected a number."),
        (["1", "1_000"], "a.csv:3: found '1_000'"),
        (["1", "12 kg"], "a.csv:3: found '12 kg'"),
        (["12 $", "12 €"], "which are in different units"),
        (["1", "12 %"], "which are in different units"),
        (["$1", "2"], "which are in different units"),
        (["$1", "$$2"], "a.csv:3: found '$$2'"),
        (["$1", "($2)"], "a.csv:3: found '($2)'"),
    ],
)
def test_what_is_no_plain_number_is_named(read, cells, told):
    assert told in refusal(read, table(*daily(*cells)))


def test_words_for_nothing_are_missing_and_counted(read):
    cells = [1, "", "NA", "n/a", "NaN", "null", "-", "None", "?", 3]
    panel, findings = read(table(*daily(*cells)))
    assert np.isnan(panel.values).tolist() == [False] + [True] * 8 + [False]
    assert message(findings, "missing") == "values missing: 8, in 1 of 1 series, first 2024-01-02 of series 'y'."


def test_infinite_values_are_missing_and_told(read):
    for great, small in (("inf", "-Infinity"), ("2e305", "-1e308")):
        panel, findings = read(table(*daily(1, great, small, 3)))
        assert np.isnan(panel.values).tolist() == [False, True, True, False]
        told = "infinite values, or beyond 1e+305: 2, first 2024-01-02 of series 'y'"
        assert message(findings, "infinite").startswith(told)


# Grids


def test_a_column_with_the_name_of_a_counter_is_forecast_where_it_does_not_count(read):
    panel, _ = read(table(*daily(5, 7, 3, 9), header="ds,index"))
    assert panel.ids == ("index",) and panel.values.tolist() == [5, 7, 3, 9]


def test_missing_timestamps_become_missing_values(read):
    rows = [*daily(1, 2, name="a"), *daily(4, 5, name="a", first="2024-01-05"), *daily(7, 8, 9, name="b")]
    rows += [*daily(1, 2, name="c"), *daily(4, name="c", first="2024-01-04")]
    panel, findings = read(table(*rows, header="id,ds,y"))
    np.testing.assert_array_equal(panel.history(0), [1, 2, NAN, NAN, 4, 5])
    np.testing.assert_array_equal(panel.history(2), [1, 2, NAN, 4])
    assert message(findings, "gaps").startswith(
        "steps without a row: 3, in 2 of 3 series, first 2024-01-03 of series 'a'"
    )
    assert kinds(findings) == ["gaps"]


@pytest.mark.parametrize("stray", ["9999-12-31 00:00", "0001-01-01 00:00"])
@pytest.mark.parametrize("unit", ["h", "s"])
def test_a_stray_date_is_named_before_it_fills_the_memory(read, stray, unit):
    times = [
        str(time).replace("T", " ")
        for time in np.datetime64("2024-01-01T00:00:00") + np.arange(50) * np.timedelta64(1, unit)
    ]
    text = table(*(f"{time},1" for time in [*times[:20], stray, *times[20:]]))
    told = refusal(read, text)
    assert "a.csv:22: " in told and stray[:10] in told and "almost empty" in told


@pytest.mark.parametrize(("rule", "value"), [("last", 7), ("mean", 5), ("sum", 10)])
def test_duplicates_fall_under_their_rule_and_are_told(read, rule, value):
    rows = [*daily(1, 3, 9), "2024-01-02,7", "2024-01-03,"]
    panel, findings = read(table(*rows), duplicates=rule)
    expected = [1, value] if rule == "last" else [1, value, 9]
    np.testing.assert_array_equal(panel.history(0), expected)
    assert message(findings, "duplicates").startswith(
        "rows of a time that their series has already: 2, first 2024-01-02"
    )


def test_duplicates_are_refused_by_default_with_both_places(read):
    told = refusal(read, table(*daily(1, 2, 3), "2024-01-02,7"))
    assert "a.csv:3: rows of a time that their series has already: 1, first 2024-01-02" in told and "a.csv:5" in told
    told = refusal(
        read, table("x,2024-01-01,1", "z,2024-01-01,2", "x,2024-01-02,1", "z,2024-01-02,1", header="shop,ds,y")
    )
    assert "If column 'shop' names the series, set data.id to it in a config." in told


def test_duplicates_in_a_file_without_names_of_series_ask_for_them(read):
    twice = table(*daily(5, 6), *daily(7, 8), header="date,sales")
    assert "If a column names the series, set data.id to it in a config." in refusal(read, twice)
    text = table(*daily("1,5", "1,6"), *daily("2,5", "2,6"), header="date,store,sales")
    assert "If column 'store' names the series, set data.id to it in a config." in refusal(read, text)
    assert histories(read(text, id="store")[0]) == {"1": [5, 6], "2": [5, 6]}


@pytest.mark.parametrize(("many", "told"), [(3, True), (30, False)])
def test_where_many_rows_share_a_time_they_may_be_events(read, many, told):
    _, findings = read(table(*daily(*range(many)), "2024-01-01,9"), duplicates="last")
    assert ("data.duplicates: sum adds them up" in message(findings, "duplicates")) == told


def test_sums_of_nothing_but_missing_values_are_missing(read):
    times = [f"2024-01-0{day} {hour}:00," for day in (1, 2, 3) for hour in ("00", "06", "12")]
    panel, findings = read(table(*times), frequency="D", duplicates="sum")
    assert np.isnan(panel.values).all() and "all_missing" in kinds(findings)


def test_covariates_are_averaged_where_values_are_summed(read):
    text = table("2024-01-01,1,10", "2024-01-02,1,10", "2024-01-02,2,20", "2024-01-03,1,0", header="ds,y,t")
    panel, _ = read(text, duplicates="sum", covariates=("t",))
    assert panel.values.tolist() == [1, 3, 1] and panel.covariates["t"].tolist() == [10, 15, 0]


def test_rows_are_sorted_and_only_disorder_inside_a_series_is_told(read):
    a, b = daily(1, 2, 3, name="a"), daily(4, 5, 6, name="b")
    panel, findings = read(table(*(row for pair in zip(a, b, strict=True) for row in pair), header="id,ds,y"))
    assert histories(panel) == {"a": [1, 2, 3], "b": [4, 5, 6]} and findings == []
    panel, findings = read(table(a[2], *b, a[0], a[1], header="id,ds,y"))
    assert histories(panel) == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert message(findings, "disorder").startswith("rows behind a later one of their series: 1")


def test_a_longer_frequency_pools_rows_by_the_rule_for_duplicates(read):
    hours = [f"2024-01-0{day} {hour:02d}:10,{day}" for day in (1, 2) for hour in (0, 8, 16)]
    assert "Set duplicates" in refusal(read, table(*hours), frequency="D")
    panel, findings = read(table(*hours), frequency="D", duplicates="sum")
    assert panel.values.tolist() == [3, 6] and first_times(panel) == ["2024-01-01"]
    assert message(findings, "frequency").startswith("times between the steps of D (daily): 6")


def test_a_given_frequency_begins_where_the_times_do(read):
    text = table("2024-01-01,1", "2024-01-08,2", "2024-01-22,3")
    panel, findings = read(text, frequency="W")
    assert panel.frequency.alias == "W-MON" and kinds(findings) == ["gaps"]
    panel, findings = read(text, frequency="W-SUN")
    assert first_times(panel) == ["2023-12-31"] and "frequency" in kinds(findings)
    assert refusal(read, text, frequency="fortnightly", kind=ConfigError).startswith("there is no frequency")


def test_a_time_between_the_steps_is_named(read):
    text = table(*(f"2024-01-01 0{hour}:00,1" for hour in range(6)), "2024-01-01 06:17,1")
    assert "a.csv:8: 2024-01-01 06:17:00 is between the steps that most times lie on (hourly)." in refusal(read, text)
    orders = table(
        *(f"2024-01-{day:02d} {7 * day % 24:02d}:{17 * day % 60:02d}:{13 * day % 60:02d},1" for day in range(1, 30))
    )
    assert "data.frequency: D with data.duplicates: sum adds up days" in refusal(read, orders)


def test_a_file_that_does_not_tell_the_frequency_asks_for_it(read):
    text = table("a,2024-01-01,1", "b,2024-01-01,2", header="id,ds,y")
    assert "a.csv: no series has two different times" in refusal(read, text)
    panel, findings = read(text, frequency="D")
    assert histories(panel) == {"a": [1], "b": [2]} and kinds(findings) == ["short"]


def test_a_series_of_one_row_stands_among_long_ones(read):
    panel, findings = read(table(*daily(1, 2, 3, 4, name="a"), "b,2024-01-09,5", header="id,ds,y"))
    assert histories(panel) == {"a": [1, 2, 3, 4], "b": [5]} and "1 of 2, first 'b'" in message(findings, "short")


def test_constant_and_empty_series_are_told(read):
    rows = [*daily(2, 2, 2, name="a"), *daily("", "NA", name="b"), *daily(1, 2, 3, name="c")]
    panel, findings = read(table(*rows, header="id,ds,y"))
    assert "1 of 3, first 'a'" in message(findings, "constant") and "1 of 3, first 'b'" in message(
        findings, "all_missing"
    )
    np.testing.assert_array_equal(panel.history(1), [NAN, NAN])


@pytest.mark.parametrize("text", ["", "\n", "ds,y\n"])
def test_a_file_without_rows_is_refused(read, text):
    assert "expected at least one row" in refusal(read, text)


def test_rows_of_another_width_are_named(read):
    assert ":3: found 3 cells, expected 2 (ds, y)." in refusal(read, "ds,y\n2024-01-01,1\n2024-01-02,1,5\n")


def test_ambiguous_dates_are_told_and_bad_ones_named(read):
    assert "month was read first" in message(read(table("01/02/2024,1", "01/03/2024,2"))[1], "dates")
    assert "a.csv:3: found 'soon', which is no time" in refusal(read, table("2024-01-01,1", "soon,2"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("2.5 -200 3 -200 1.5 -200", "3, in 1 of 1 series, first -200 in 'y', where the next is 1.5"),
        ("-3 4 -999 1 -999 -999 7", "3, in 1 of 1 series, first -999 in 'y', where the next is -3"),
        ("100 900 -99.99 500 -99.99 -99.99", "first -99.99 in 'y', where the next is 100"),
        ("2.5 -200 3 -200 1.5", ""),  # too few
        ("-40 -20 30 -40 5 -40", ""),  # cold days
        ("0 1 -1 -1 -1 2", ""),  # sales that came back
        ("-999 -999 -999 -999", ""),  # nothing else
    ],
)
def test_numbers_that_may_mean_that_nothing_was_measured_are_told(read, values, told):
    """As -200 in the air quality of the UCI, -999 of weather services and -99.99 of the CO2 of Mauna Loa."""
    panel, findings = read(table(*daily(*values.split())))
    marks = [finding.message for finding in findings if finding.kind == "marks"]
    assert len(marks) == bool(told) and all(told in message for message in marks)
    assert panel.values.tolist() == list(map(float, values.split()))  # they are read as they are


def test_numbers_of_several_units_are_not_told_to_be_written_without_them(read):
    assert "Write all numbers in one unit" in refusal(read, table(*daily("1.2 GiB", "980 MiB"), header="ds,x"))
    assert "Write 1.2, without" in refusal(read, table(*daily("1.2 GiB", "3 GiB"), header="ds,x"))


# Columns


def test_a_column_that_is_not_there_is_named_with_its_like(read):
    text = table(*daily("1,2", "1,2"), header="ds,price,sales")
    assert "there is no column 'prize'. Did you mean price?" in refusal(read, text, value="prize")
    assert "there is no column 'x'. The columns are 'ds', 'price', 'sales'." in refusal(read, text, covariates=("x",))


def test_where_it_is_open_which_column_holds_the_values_it_is_asked_for(read):
    text = table(*daily("1,2", "1,2", name="a"), header="id,ds,price,sales")
    assert "'price', 'sales' all hold numbers" in refusal(read, text) and read(text, value="sales")[
        0
    ].values.tolist() == [2, 2]
    assert "nothing to forecast" in refusal(read, table("2024-01-01,a", header="ds,name"))
    assert "nothing to forecast" in refusal(read, table(*daily(1, 2), header="ds,price"), covariates=("price",))


def test_covariates_of_text_become_flags(read):
    rows = daily("1,rain,5,true", "2,sun,,false", "3,rain,7,true", "4,,8,")
    panel, findings = read(table(*rows, header="ds,y,sky,wind,open"), covariates=("sky", "wind", "open"))
    assert panel.categories == {"sky": ("rain", "sun"), "open": ()} and findings == []
    np.testing.assert_array_equal(panel.covariates["sky=rain"], [1, 0, 1, NAN])
    np.testing.assert_array_equal(panel.covariates["wind"], [5, NAN, 7, 8])
    np.testing.assert_array_equal(panel.covariates["open"], [1, 0, 1, NAN])
    panel, findings = read(
        table(*rows, header="ds,y,sky,wind,x"), covariates=("sky",), categories={"sky": ("sun", "hail")}
    )
    np.testing.assert_array_equal(panel.covariates["sky=hail"], [0, 0, 0, NAN])
    flags, _ = read(table(*rows, header="ds,y,sky,wind,open"), covariates=("open",), categories={"open": ()})
    np.testing.assert_array_equal(flags.covariates["open"], [1, 0, 1, NAN])
    assert list(panel.covariates) == ["sky=sun", "sky=hail"] and "'rain'" in message(findings, "categories")
    assert "expected a number" in refusal(read, table(*rows, header="ds,y,sky,w,x"), covariates=("sky",), categories={})


def test_none_is_a_word_among_words(read):
    rows = daily("1,none,true,3", "2,tv,none,none", "3,none,false,4", "4,,,5")
    panel, _ = read(table(*rows, header="ds,y,promo,open,heat"), covariates=("promo", "open", "heat"))
    assert panel.categories == {"promo": ("none", "tv"), "open": ()}
    np.testing.assert_array_equal(panel.covariates["promo=none"], [1, 0, 1, NAN])
    np.testing.assert_array_equal(panel.covariates["promo=tv"], [0, 1, 0, NAN])
    np.testing.assert_array_equal(panel.covariates["open"], [1, NAN, 0, NAN])
    np.testing.assert_array_equal(panel.covariates["heat"], [3, NAN, 4, 5])


def test_a_covariate_that_begins_behind_the_first_thousand_rows_may_hold_words(read):
    values = [f"1,{'tv' if row > 1100 else ''},{row if row > 1100 else ''}" for row in range(1200)]
    panel, _ = read(table(*daily(*values), header="ds,y,promo,price"), covariates=("promo", "price"))
    assert panel.categories == {"promo": ("tv",)} and panel.covariates["price"][-1] == 1199


def test_only_the_most_frequent_words_get_a_flag(read):
    rows = daily(*(f"1,w{row % 25:02d}" for row in range(60)))
    panel, findings = read(table(*rows, header="ds,y,word"), covariates=("word",))
    assert panel.categories["word"] == tuple(
        f"w{number:02d}" for number in [*range(20)]
    ) and "have no flag: 5" in message(findings, "categories")


def test_covariates_of_a_wide_file_are_those_of_every_series(read):
    panel, _ = read(table(*daily("1,5,9", "2,6,8", "3,7,7"), header="ds,a,b,heat"), covariates=("heat",))
    assert panel.ids == ("a", "b") and panel.covariates["heat"].tolist() == [9, 8, 7] * 2


def test_statics_have_one_value_a_series(read):
    rows = ["a,2024-01-01,1,5,big", "a,2024-01-02,2,,big", "b,2024-01-01,1,6,small", "b,2024-01-02,1,6,small"]
    panel, _ = read(table(*rows, header="id,ds,y,area,size"), statics=("area", "size"))
    assert panel.statics["area"].tolist() == [5, 6] and panel.statics["size=big"].tolist() == [1, 0]
    told = refusal(read, table(*rows, "b,2024-01-03,1,7,small", header="id,ds,y,area,size"), statics=("area",))
    assert told.startswith(str(Path(told.split(":")[0]))) and ":6: column 'area' of series 'b' is not the same" in told


def test_rows_with_covariates_behind_the_last_value_are_the_future(read):
    rows = daily("1,5", "2,6", ",7", "3,8", ",9", ",10", ",")
    panel, findings = read(table(*rows, header="ds,y,heat"), covariates=("heat",))
    np.testing.assert_array_equal(panel.history(0), [1, 2, NAN, 3])
    assert panel.covariates["heat"].tolist() == [5, 6, 7, 8, 9, 10] and panel.ends.tolist() == [4]
    assert "up to 2 steps" in message(findings, "future")


def test_rows_at_the_end_without_a_value_are_told(read):
    panel, findings = read(table(*daily("", 1, 2, "", 3, "", "")))
    assert panel.ends.tolist() == [4] and len(panel.values) == 4
    told = [each.message for each in findings if each.kind == "missing"]
    assert any("at the end: 2, in 1 of 1 series, first 2024-01-06" in each for each in told), told
    assert not read(table(*daily("", 1, 2, 3)))[1]


def test_dates_on_other_days_of_their_months_are_told(read):
    panel, findings = read(table("2024-01-31,1", "2024-02-29,2", "2024-03-29,3", "2024-04-30,4", "2024-05-31,5"))
    assert panel.frequency.alias == "ME"
    assert (
        "month end: 1; each counts" in message(findings, "dates") and "2024-03-29 as 2024-03-31" in findings[0].message
    )
    assert not read(table("2024-01-31,1", "2024-02-29,2", "2024-03-31,3", "2024-04-30,4", "2024-05-31,5"))[1]


# Trained models


def test_new_rows_must_fit_the_grid_of_a_model(read):
    hourly = parse_frequency("h")
    times = np.datetime64("2024-01-01T00:30") + np.arange(6) * np.timedelta64(1, "h")
    panel, _ = read(table(*(f"{time},1" for time in times)), trained=hourly)
    assert panel.frequency == Frequency("second", 3600, 1800)
    assert "trained on hourly steps" in refusal(read, table(*daily(1, 2, 3, 4, 5)), trained=hourly)
    quarters = np.datetime64("2024-01-01T00:00") + np.arange(6) * np.timedelta64(15, "m")
    assert "a.csv:3: " in refusal(read, table(*(f"{time},1" for time in quarters)), trained=hourly)
    assert "trained on month start steps" in refusal(read, table(*daily(1, 2, 3)), trained=parse_frequency("MS"))
    assert "expected hourly times" in refusal(read, "y\n1\n2\n", trained=hourly)
    assert read(table("2024-01-05,1"), trained=parse_frequency("W-SUN"))[0].frequency.alias == "W-FRI"
    panel, _ = read(table("1998,1", "1999,2"), trained=Frequency("integer", 1))
    assert panel.starts.tolist() == [1998]


# Local time


def clock(first: str, hours: int, zone: str) -> list[str]:
    return (
        pandas.date_range(first, periods=hours, freq="h", tz="UTC").tz_convert(zone).strftime("%Y-%m-%d %H:%M").tolist()
    )


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin"])
@pytest.mark.parametrize("first", ["2024-03-08", "2024-10-24"])
def test_local_times_with_their_zone_have_neither_gaps_nor_duplicates(read, zone, first):
    local = clock(first, 400, zone)
    text = table(*(f"{name},{time},{hour}" for name in "ab" for hour, time in enumerate(local)), header="id,ds,y")
    panel, findings = read(text, timezone=zone)
    assert panel.values.tolist() == [*range(400)] * 2 and findings == []
    assert panel.frequency.timezone == zone and first_times(panel)[0].startswith(local[0])


def test_hours_that_clocks_show_twice_are_told_apart_in_rows_that_begin_with_the_latest_too(read):
    rows = [f"{time},{hour}" for hour, time in enumerate(clock("2024-10-26", 60, "Europe/Berlin"))]
    panel, _ = read(table(*rows[::-1]), timezone="Europe/Berlin")
    assert panel.values.tolist() == list(range(60))


def test_clock_changes_without_a_zone_are_named_with_their_mend(read):
    spring = table(*(f"{time},1.5" for time in clock("2024-03-30", 60, "Europe/Berlin")))
    assert "clocks put forward: 1, first 2024-03-31 02:00:00, a Sunday. Set timezone" in message(read(spring)[1], "dst")
    autumn = table(*(f"{time},1.5" for time in clock("2024-10-26", 60, "Europe/Berlin")))
    assert "clocks put back in autumn: set timezone" in refusal(read, autumn)


def test_a_time_that_clocks_skip_is_moved_on_and_told(read):
    text = table(*(f"2024-03-31 0{hour}:00,{hour}" for hour in (0, 1, 2, 4)))
    panel, findings = read(text, timezone="Europe/Berlin")
    assert panel.values.tolist() == [0, 1, 2, 4] and "2024-03-31 02:00:00; they were moved an hour on" in message(
        findings, "dst"
    )


def test_times_with_offsets_are_read_to_utc(read):
    text = table("2024-01-01T00:00:00Z,1", "2024-01-01T02:00:00+01:00,2", "2024-01-01T02:00:00Z,3")
    panel, findings = read(text)
    assert panel.values.tolist() == [1, 2, 3] and first_times(panel) == ["2024-01-01 00:00:00+00:00"] and findings == []
    assert first_times(read(text, timezone="Asia/Kolkata")[0]) == ["2024-01-01 05:30:00+05:30"]


def test_days_follow_the_calendar_of_the_place(read):
    text = table(
        *(f"{day}T00:00:00+0{offset}:00,1" for day, offset in [("2024-03-30", 1), ("2024-03-31", 1), ("2024-04-01", 2)])
    )
    panel, findings = read(text)
    assert (
        panel.frequency == parse_frequency("D")
        and first_times(panel) == ["2024-03-30"]
        and kinds(findings) == ["constant"]
    )
    six = table(*(f"2024-03-{day} {hour:02d}:00,{hour}" for day in (30, 31) for hour in (0, 6, 12, 18)))
    assert read(six, timezone="Europe/Berlin")[0].frequency == parse_frequency("6h")


# Panels


def small(read) -> Panel:
    rows = [*daily("1,10", "2,20", "3,30", name="a"), *daily("5,50", "6,60", name="b", first="2024-01-04")]
    return read(table(*rows, header="id,ds,y,heat"), covariates=("heat",))[0]


def test_taking_series_keeps_each_whole(read):
    panel = small(read).take(np.array([1, 0, 1]))
    assert panel.ids == ("b", "a", "b") and panel.offsets.tolist() == [0, 2, 5, 7] and panel.ends.tolist() == [2, 5, 7]
    assert panel.values.tolist() == [5, 6, 1, 2, 3, 5, 6] and panel.covariates["heat"].tolist() == [
        50,
        60,
        10,
        20,
        30,
        50,
        60,
    ]
    assert first_times(panel) == ["2024-01-04", "2024-01-01", "2024-01-04"]


def test_another_cutoff_moves_the_history_and_shares_the_values(read):
    panel = small(read)
    earlier = panel.at(panel.ends - 1)
    assert histories(earlier) == {"a": [1, 2], "b": [5]} and earlier.values is panel.values
    with pytest.raises(ValueError, match="inside its own series"):
        panel.at(np.array([4, 5]))


def test_the_future_fills_covariates_past_the_cutoff_only(read):
    panel = small(read)
    rows = ["b,2024-01-06,61", "b,2024-01-07,62", "a,2024-01-03,99", "a,2024-01-05,32", "c,2024-01-05,7"]
    future, findings = read(
        table(*rows, header="id,ds,heat"), covariates=("heat",), covariates_only=True, trained=panel.frequency
    )
    assert "all_missing" not in kinds(findings)
    both = panel.with_future(future)
    np.testing.assert_array_equal(both.covariates["heat"], [10, 20, 30, NAN, 32, 50, 60, 61, 62])
    assert (
        histories(both) == histories(panel) and both.offsets.tolist() == [0, 5, 9] and np.isnan(both.values[3:5]).all()
    )


def test_a_future_without_names_is_that_of_all_series(read):
    future, _ = read(
        table(*daily(7, 8, 9, first="2024-01-04"), header="ds,heat"), covariates=("heat",), covariates_only=True
    )
    both = small(read).with_future(future)
    np.testing.assert_array_equal(both.covariates["heat"], [10, 20, 30, 7, 8, 9, 50, 60, 9])


def test_a_future_that_does_not_fit_is_refused(read):
    panel = small(read)
    for rows, told in (
        (["a,2024-01-04 00:00,1", "a,2024-01-04 01:00,1"], "found hourly steps, expected daily"),
        (["x,2024-01-04,1", "z,2024-01-05,1", "x,2024-01-05,1"], "found the series x, z"),
        (["a,2924-01-04,1", "a,2924-01-05,1"], "far away"),
    ):
        future, _ = read(table(*rows, header="id,ds,heat"), covariates=("heat",), covariates_only=True)
        with pytest.raises(DataError, match=told):
            panel.with_future(future)


# The fast path


CELLS = st.sampled_from(["", "NA", "1", "2.5", " 3 ", "-4e3", "inf", "nan", "0.1"])
NAMES = st.sampled_from(["a", " a", "b", "ä b", "7"])
STYLES = st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%b %d, %Y"])
WORDS = st.sampled_from(["rain", "sun", "", "NA"])


def equal(one: Panel, other: Panel) -> None:
    assert (one.ids, one.frequency, one.categories) == (other.ids, other.frequency, other.categories)
    for name in ("starts", "offsets", "ends", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("covariates", "statics"):
        assert getattr(one, name).keys() == getattr(other, name).keys()
        for column, values in getattr(one, name).items():
            np.testing.assert_array_equal(values, getattr(other, name)[column])


@given(
    rows=st.lists(st.tuples(NAMES, st.integers(0, 40), CELLS, WORDS), min_size=1, max_size=60),
    style=STYLES,
    mark=st.sampled_from(",;\t"),
    parquet=st.booleans(),
)
def test_the_fast_path_reads_what_the_plain_one_does(tmp_path_factory, rows, style, mark, parquet):
    days = pandas.Timestamp("2024-01-20") + pandas.to_timedelta([day for _, day, _, _ in rows], unit="D")
    frame = pandas.DataFrame(
        {"id": [row[0] for row in rows], "ds": days.strftime(style), "y": [row[2] for row in rows]}
    )
    frame["sky"] = [row[3] for row in rows]
    path = tmp_path_factory.mktemp("fast") / ("a.parquet" if parquet else "a.csv")
    if parquet:
        frame["y"] = pandas.to_numeric(frame["y"], errors="coerce")
        frame["ds"] = days
        if not frame["sky"].any():
            frame["sky"] = None  # what is blank throughout is no text, and "" no number
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_csv(index=False, sep=mark))
    source = SeriesSource(str(path), duplicates="mean", covariates=("sky",))
    results, tables = [], []
    fast = series_tables.read_fast
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_tables, "read_fast", lambda *args: tables.append(fast(*args)) or tables[-1])
        for large, block in ((False, 0), (True, 1 << 20), (True, 300)):
            patch.setattr(series_tables, "is_large", lambda source, large=large: large)
            patch.setattr(arrow_tables, "_BLOCK", block)
            try:
                results.append(read_panel(source))
            except DataError as error:
                results.append(str(error))
    assert len(tables) == 2 and None not in tables
    for result in results[1:]:
        if isinstance(results[0], str):
            assert result == results[0]
        else:
            equal(result[0], results[0][0])
            assert result[1] == results[0][1]


def test_a_large_plain_file_takes_the_fast_path_and_others_do_not(read, monkeypatch):
    taken = []
    fast = series_tables.read_fast
    monkeypatch.setattr(series_tables, "read_fast", lambda *args: taken.append(fast(*args)) or taken[-1])
    text = table(*daily(1, 2, 3, name="a"), header="id,ds,y")
    read(text)
    assert taken == []
    monkeypatch.setattr(arrow_tables, "LARGE", 0)
    read(text)
    assert len(taken) == 1 and taken[0] is not None and taken[0].rows == 3
    read(text.replace(",2\n", ',"2,5"\n'))  # a decimal comma is left to the plain path
    assert taken[1:] == [None]


def test_the_fast_path_names_the_line_of_what_is_wrong(read, monkeypatch):
    monkeypatch.setattr(arrow_tables, "LARGE", 0)
    assert "a.csv:4: found 'x' in column 'y'" in refusal(read, table(*daily(1, 2, "x")))
    assert "a.csv:4: found '2024-01-99', which is no time" in refusal(
        read, "\n" + table("2024-01-01,1", "2024-01-99,1")
    )
    assert "a.csv:3: rows of a time" in refusal(read, table(*daily(1, 2, 3), "2024-01-02,1"))
    assert ":3: found 3 cells, expected 2" in refusal(read, "ds,y\n2024-01-01,1\n2024-01-02,1,5\n")
    assert ":3: there is no name in column 'id'" in refusal(
        read, table("a,2024-01-01,1", ",2024-01-02,1", header="id,ds,y")
    )


def test_wide_files_and_files_without_names_take_the_fast_path_too(read, monkeypatch):
    for text in (table(*daily("1,5", "2,", "3,7"), header="ds,a,b"), "2024-01-01,5\n2024-01-02,6\n2024-01-03,9\n"):
        plain = read(text)
        with monkeypatch.context() as patch:
            patch.setattr(arrow_tables, "LARGE", 0)
            fast = read(text)
        equal(fast[0], plain[0])
        assert fast[1] == plain[1]


def test_large_unsorted_files_are_gridded_as_pandas_does(read, monkeypatch):
    monkeypatch.setattr(arrow_tables, "LARGE", 0)
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"id": random.integers(0, 50, 4000), "day": random.integers(0, 200, 4000), "y": random.normal(size=4000)}
    )
    frame["ds"] = pandas.Timestamp("2024-01-01") + pandas.to_timedelta(frame.day, unit="D")
    panel, _ = read(frame[["id", "ds", "y"]].rename(columns={"id": "unique_id"}).to_csv(index=False), duplicates="sum")
    for k, name in enumerate(panel.ids):
        expected = frame[frame.id == int(name)].groupby("ds").y.sum().asfreq("D")
        np.testing.assert_allclose(panel.history(k), expected.to_numpy())


# Real files


@needs_data
@pytest.mark.parametrize(
    ("name", "ids", "alias", "first", "steps", "told"),
    [
        ("airline-passengers", 1, "MS", "1949-01-01", 144, []),
        ("co2", 1, "W-SAT", "1958-03-29", 2284, ["missing"]),
        ("daily-min-temperatures", 1, "D", "1981-01-01", 3652, ["gaps"]),
        ("daily_peyton_manning", 1, "D", "2007-12-10", 2964, ["gaps"]),
        ("monthly-sunspots", 1, "MS", "1749-01-01", 2820, []),
        ("seattle-temps", 1, "h", "2010-01-01 00:00:00", 8760, ["gaps", "dst"]),
        ("seattle-weather", 4, "D", "2012-01-01", 4 * 1461, ["layout"]),
        ("sf-temps", 1, "h", "2010-01-01 00:00:00", 8760, ["gaps", "dst"]),
    ],
)
def test_real_series_are_read_as_a_person_would(name, ids, alias, first, steps, told):
    panel, findings = read_panel(SeriesSource(str(SHARED / "series" / f"{name}.csv")))
    assert (len(panel), panel.frequency.alias, first_times(panel)[0], len(panel.values)) == (ids, alias, first, steps)
    assert kinds(findings) == told and (panel.ends == panel.offsets[1:]).all()


@needs_data
def test_the_files_of_the_m4_competition_are_read_whole():
    panel, _ = read_panel(SeriesSource(str(SHARED / "m4" / "Hourly-test.csv")))
    assert (
        len(panel) == 414 and (np.diff(panel.offsets) == 48).all() and panel.history(0)[:3].tolist() == [619, 565, 532]
    )
    panel, _ = read_panel(SeriesSource(str(SHARED / "m4" / "Weekly-train.csv"), layout="rows"))
    assert len(panel) == 359 and np.diff(panel.offsets).min() == 80 and not np.isnan(panel.values).any()


def test_steps_of_some_hours_that_are_regular_in_utc_alone_are_those_of_utc(read):
    days = pandas.date_range("2024-03-29", "2024-04-02", freq="2h", tz="UTC").tz_convert("Europe/Berlin")
    panel, findings = read(table(*(f"{each.isoformat()},1" for each in days)))
    assert (
        panel.frequency.title == "every 2 hours" and len(panel.values) == len(days) and kinds(findings) == ["constant"]
    )
    local = pandas.date_range("2024-03-29", "2024-04-02", freq="D", tz="Europe/Berlin")
    panel, _ = read(table(*(f"{each.isoformat()},1" for each in local)))
    assert panel.frequency == Frequency("second", 86_400) and len(panel.values) == len(local)
    odd = [*(f"{each.isoformat()},1" for each in days), "2024-04-03T00:17:00+02:00,1"]
    assert "is between the steps" in refusal(read, table(*odd))


@pytest.mark.parametrize("rule", ["sum", "mean"])
def test_first_and_last_steps_that_rows_do_not_fill_are_left_out(read, rule):
    text = table(*daily(*[1] * 336, first="2023-01-05"))  # until 6 December
    panel, findings = read(text, frequency="MS", duplicates=rule)
    assert first_times(panel) == ["2023-02-01"] and len(panel.values) == 10
    assert panel.values.tolist() == ([28, 31, 30, 31, 30, 31, 31, 30, 31, 30] if rule == "sum" else [1] * 10)
    assert message(findings, "partial").startswith("steps that the file begins or ends inside of: 2, first 2023-01-01")
    assert "missing" not in kinds(findings)  # the rows had values
    panel, findings = read(text, frequency="MS", duplicates="last")
    assert len(panel.values) == 12 and "partial" not in kinds(findings)


def test_whole_steps_stay_whole(read):
    panel, findings = read(table(*daily(*[1] * 365, first="2023-01-01")), frequency="MS", duplicates="sum")
    assert panel.values.sum() == 365 and "partial" not in kinds(findings)
    weekdays = [str(each.date()) for each in pandas.bdate_range("2023-01-02", "2023-06-30")]
    panel, findings = read(table(*(f"{each},1" for each in weekdays)), frequency="MS", duplicates="sum")
    assert panel.values.sum() == len(weekdays) and "partial" not in kinds(findings)


def test_a_last_step_that_only_covariates_fill_is_not_whole(read):
    rows = [f"{line},0" for line in daily(*[1] * 50, first="2023-01-01")]
    rows += [f"{np.datetime64('2023-02-20') + k},,1" for k in range(9)]
    options = {"frequency": "MS", "duplicates": "sum", "covariates": ("x",), "value": "y"}
    panel, findings = read(table(*rows, header="ds,y,x"), **options)
    assert histories(panel) == {"y": [31]} and "partial" in kinds(findings)


def test_opening_hours_and_single_sales_fill_their_steps(read):
    hours = [f"2024-01-{day:02d} {hour:02d}:00,1" for day in range(1, 6) for hour in range(9, 18)]
    panel, findings = read(table(*hours), frequency="D", duplicates="sum")
    assert panel.values.tolist() == [9] * 5 and "partial" not in kinds(findings)
    panel, findings = read(table(*hours[:-4]), frequency="D", duplicates="sum")
    assert panel.values.tolist() == [9] * 4 and "partial" in kinds(findings)
    rows = [*daily(*[1] * 31, name="a", first="2024-01-01"), "b,2024-01-09,5", "c,2024-01-30,2"]
    panel, findings = read(table(*rows, header="id,ds,y"), frequency="W-SUN", duplicates="sum")
    assert histories(panel) == {"a": [7, 7, 7], "b": [5], "c": [2]} and "partial" in kinds(findings)


def test_a_model_of_steps_of_some_hours_in_utc_reads_later_files_in_utc(read):
    def rows(begin: str, end: str) -> str:
        days = pandas.date_range(begin, end, freq="6h", tz="UTC").tz_convert("Europe/Berlin")
        return table(*(f"{each.isoformat()},{each.hour}" for each in days))

    trained, _ = read(rows("2024-03-25", "2024-04-10"))
    later, _ = read(rows("2024-05-01", "2024-05-20"), trained=trained.frequency)
    assert later.frequency == trained.frequency and first_times(later) == ["2024-05-01 00:00:00+00:00"]


def test_columns_that_were_read_as_no_times_are_named_where_rows_are_counted(read):
    _, findings = read("period,branch,sales\nlast week,a,1\nthis week,a,2\nnext week,a,3\n")
    told = message(findings, "layout")
    assert "'period' (such as 'last week'), 'branch' (such as 'a')" in told and "Write times such as" in told


@pytest.mark.parametrize("large", [False, True])
def test_months_before_their_years_are_times_whatever_the_column_is_called(read, monkeypatch, large):
    if large:
        monkeypatch.setattr(arrow_tables, "LARGE", 0)
    panel, _ = read("Monat;Umsatz\n" + "".join(f"{i % 12 + 1:02d}.20{19 + i // 12};{i},5\n" for i in range(24)))
    assert (panel.frequency.alias, panel.ids, first_times(panel)) == ("MS", ("Umsatz",), ["2019-01-01"])
    assert panel.values[:2].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("write", ["{1}{0:02d}", "{0:02d}.{1}"])
def test_months_as_names_of_columns_are_the_times_of_a_series_a_row(read, write):
    times = [write.format(i % 12 + 1, 2019 + i // 12) for i in range(24)]
    panel, findings = read(f"id;{';'.join(times)}\n" + "".join(f"{id}{';7' * 24}\n" for id in "ab"))
    assert (panel.frequency.alias, panel.ids, first_times(panel)) == ("MS", ("a", "b"), ["2019-01-01"] * 2)
    assert f"{times[0]} to {times[-1]}" in message(findings, "layout")


def test_numbers_that_are_months_are_times_whatever_the_column_is_called(read):
    panel, findings = read("period,sales\n" + "".join(f"20{19 + i // 12}{i % 12 + 1:02d},{i}\n" for i in range(24)))
    assert panel.frequency.alias == "MS" and panel.ids == ("sales",)
    assert "read as year and month" in message(findings, "dates")
    panel, _ = read("order,sales\n" + "".join(f"{201_900 + 7 * i},{i}\n" for i in range(24)))
    assert panel.frequency.unit == "integer"


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["48.70%", "-3 %", "", "N/A", "0"], [48.7, -3, np.nan, np.nan, 0]),
        (["$1,234.50", "-$5.00", "$-7"], [1234.5, -5, -7]),
        (["1.234,50 €", "5 €", "-0,5 €"], [1234.5, 5, -0.5]),
        (["1 234 567 ₽", "12 ₽"], [1234567, 12]),
        (["R$ 5", "R$ 7,25"], [5, 7.25]),
    ],
)
def test_signs_of_currencies_and_of_per_cent_stand_with_numbers(read, cells, values):
    for options in ({}, {"value": "y"}):
        panel, findings = read(table(*(f'2024-01-0{day + 1},"{cell}"' for day, cell in enumerate(cells))), **options)
        np.testing.assert_array_equal(panel.history(0), values)
        assert "numbers of column 'y' were read without their" in message(findings, "decimals")
    panel, _ = read("name,1,2,3\n" + "".join(f'{name},$5.50,$6,"$1,000.50"\n' for name in "ab"))
    np.testing.assert_array_equal(panel.history(1), [5.5, 6, 1000.5])


def test_names_of_quantiles_are_no_numbers(read):
    panel, findings = read("10%,50%,90%\n1,2,3\n2,3,4\n3,4,5\n")
    assert panel.ids == ("10%", "50%", "90%") and "first row" not in message(findings, "layout")


@pytest.mark.parametrize(("cell", "number"), [("5.5 kg", "5.5"), ("$5 kg", "5"), ("7 EUR", "7")])
def test_numbers_with_a_unit_are_told_without_it(read, cell, number):
    for options in ({}, {"value": "y"}):
        told = refusal(read, table(*daily(cell, cell, cell)), **options)
        assert cell in told and f"Write {number}, without what stands around it." in told
    told = refusal(read, table(*daily("(2)", "(2)", "closed")), value="y")
    assert "without what" not in told


def test_a_comma_after_a_leading_zero_is_a_decimals(read):
    panel, _ = read("ds;y\n2024-01-01;0,978\n2024-01-02;1,978\n2024-01-03;2,125\n")
    assert panel.values.tolist() == [0.978, 1.978, 2.125]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nds;y\n2024-01-01;2\n2024-01-02;3\n2024-01-03;5\n",
        "\n\nds;y, all\n2024-01-01;2\n2024-01-02;3\n2024-01-03;5\n",
        "ds, local;y, all, net\n2024-01-01;2,5\n2024-01-02;3,5\n2024-01-03;5,5\n",
    ],
)
def test_large_files_have_the_same_separator_as_small_ones(read, monkeypatch, text):
    plain, _ = read(text)
    monkeypatch.setattr(arrow_tables, "LARGE", 0)
    fast, _ = read(text)
    assert plain.values.tolist() == fast.values.tolist() and plain.ids == fast.ids


@pytest.mark.parametrize("name", ["s", "store_", "d_"])
def test_columns_that_are_counted_beside_times_are_series(read, name):
    header = "date," + ",".join(f"{name}{column}" for column in range(8))
    panel, _ = read(table(*(f"2024-01-{day:02d}{',1' * 8}" for day in range(1, 10)), header=header))
    assert len(panel) == 8 and first_times(panel)[0] == "2024-01-01"
    panel, _ = read(
        table(*(f"2024-01-{day:02d},a{',1' * 8}" for day in range(1, 10)), header=header.replace(",", ",shop,", 1))
    )
    assert len(panel) == 8


@pytest.mark.parametrize("mark", [":", "..", "***", "n/e", "n.a."])
@pytest.mark.parametrize("fast", [False, True])
def test_marks_for_nothing_of_statistics_offices_are_missing_values(read, monkeypatch, mark, fast):
    monkeypatch.setattr(arrow_tables, "LARGE", 0 if fast else 1 << 30)
    panel, findings = read(table(*daily(1, mark, 3)))
    np.testing.assert_array_equal(panel.values, [1, NAN, 3])
    assert message(findings, "missing").startswith("values missing: 1,")


@pytest.mark.parametrize("first", ["# year and month", "      Jan  Feb", "1990  0.51  0.58"])
def test_blanks_that_separate_cells_are_named_as_what_is_wrong(read, first):
    told = refusal(read, first + "\n1991  0.52  0.59\n1992  0.53  0.60\n", "a.txt")
    assert "Blanks are no separators: write commas between the cells" in told
    assert "Write 0.52, without" in refusal(read, "y\n0.52 kg\n0.53 kg\n")


def test_a_column_of_numbers_that_a_few_words_keep_from_being_values_is_told(read):
    rows = [f"2024-01-{day:02d},{'<1' if day == 7 else day},{day}" for day in range(1, 12)]
    panel, findings = read(table(*rows, header="ds,skiing,snow"))
    assert panel.ids == ("snow",) and "'skiing' was left out, for '<1' (" in message(findings, "layout")
    assert not read(table(*rows, header="ds,skiing,snow"), value="snow")[1]


def test_counted_steps_may_stand_behind_several_columns_that_name_the_series(read):
    """As in the files of M5 without their first column."""
    rows = [f"{item},{store}{f',{n}' * 8}" for n, (item, store) in enumerate(["ac", "ad", "bc", "bd"])]
    panel, _ = read(table(*rows, header="item_id,store_id," + ",".join(f"d_{day}" for day in range(1, 9))))
    assert panel.ids == ("a|c", "a|d", "b|c", "b|d") and panel.lengths.tolist() == [8] * 4


def test_numbers_of_rows_before_the_times_are_no_series(read):
    rows = [f"{day},2024-01-{day:02d},{day * day},{day}" for day in range(1, 10)]
    panel, findings = read(table(*rows, header="instant,dteday,cnt,riders"))
    assert panel.ids == ("cnt", "riders") and "'instant' only counts the rows" in message(findings, "layout")
    assert read(table(*(f"{day},{day * day}" for day in range(1, 10)), header="instant,cnt"))[0].ids == (
        "instant",
        "cnt",
    )


# One row a year


@pytest.mark.parametrize(
    ("header", "frequency"),
    [
        ("Year,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec", "MS"),
        ("Jahr,Januar,Februar,März,April,Mai,Juni,Juli,August,September,Oktober,November,Dezember", "MS"),
        ("year,Q1,Q2,Q3,Q4", "QS-JAN"),
    ],
)
def test_a_year_a_row_is_one_series(read, header, frequency):
    parts = header.count(",")
    numbers = np.arange(5.0 * parts).reshape(5, parts)
    rows = [f"{2000 + k}," + ",".join(f"{number:g}" for number in row) for k, row in enumerate(numbers)]
    last = 2 - parts  # the year is not over
    text = table(*rows[:-1], rows[-1].rsplit(",", -last)[0] + "," * -last, header=header)
    panel, findings = read(text)
    assert (panel.frequency.alias, panel.ids, first_times(panel)) == (frequency, ("value",), ["2000-01-01"])
    np.testing.assert_array_equal(panel.history(0), numbers.ravel()[:last])
    assert "every row was read as a year" in message(findings, "layout")
    assert "a.csv:4: found 'x'" in refusal(read, table(*rows[:2], f"2002,x{',1' * (parts - 1)}", header=header))
    text = table(*rows, f"Total{',1' * parts}", header=header)
    assert "a.csv:7: found 'Total', which is no time. Delete rows of totals." in refusal(read, text)


def test_years_of_several_series_are_rows_with_their_names(read):
    rows = [f"{place},{year},{year}.5,1,2,3,4,9" for place in ("AT", "DE") for year in range(2000, 2006)]
    panel, findings = read(table(*rows, header="country,year,gdp,Q1,Q2,Q3,Q4,total"))
    assert panel.ids == ("AT", "DE") and panel.history(1).tolist() == [1, 2, 3, 4] * 6
    assert "Left out: 'gdp', 'total'" in message(findings, "layout")
    twice = read(table(*rows, *rows[:1], header="country,year,gdp,Q1,Q2,Q3,Q4,total"), duplicates="mean")
    assert "every row was read as a year" not in message(twice[1], "layout") or twice[0].ids != ("AT", "DE")


def test_months_are_columns_where_there_is_no_year_or_where_one_of_them_is_asked_for(read):
    header = "Year,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec"
    rows = [f"{2000 + k}{',1' * 12}" for k in range(5)]
    assert read(table(*rows, header=header), value="Jan")[0].frequency.alias == "YS-JAN"
    assert read(table(*rows, header=header), layout="wide")[0].ids == tuple(header.split(",")[1:])
    assert len(read(table(*rows, header=header.replace("Dec", "Rest")))[0].ids) == 12
