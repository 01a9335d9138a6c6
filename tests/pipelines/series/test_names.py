"""Tables whose series are named by several columns: from a first look to forecasts that hold these columns again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keywords import seqloom
from sales import HORIZON, Sales, day, make_sales, read_table, write_config, write_table

from pipelines.forecasting.inspect import inspect
from pipelines.forecasting.output import Forecasts, write
from toolkit.data.sources import SeriesSource
from toolkit.data.windows import at_ends
from toolkit.stored import from_json, to_json

HEADER = ("promotion", "date", "shop", "good", "sales")
NAMES = [["1", "tea"], ["1", "oil"], ["2", "tea"], ["2", "oil"]]


@pytest.fixture(scope="module")
def sales() -> Sales:
    return make_sales(4, 120)


@pytest.fixture
def table(sales: Sales, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shops of two goods each, with a number for a shop, and a column of numbers before that of the sales."""
    monkeypatch.chdir(tmp_path)
    rows = [
        [int(sales.promotions[k, t]), day(t), *names, sales.values[k, t]]
        for t in range(120)
        for k, names in enumerate(NAMES)
    ]
    return write_table(Path("shops.csv"), rows, HEADER)


@pytest.fixture
def run(table: Path) -> Path:
    data = {"known": ["promotion"], "id": ["shop", "good"], "value": "sales", "static": ["good"]}
    config = write_config(Path("a.yaml"), table, data=data, model={"kind": "network"}, training={"epochs": 1})
    result = seqloom("run", config, "--out", "run")
    assert result.code == 0, result.err
    return Path("run")


def test_a_look_finds_what_names_the_series_and_what_their_values_are(table: Path, sales: Sales) -> None:
    look = inspect(table)
    assert look.panel.ids == tuple("|".join(names) for names in NAMES)
    np.testing.assert_array_equal(look.panel.history(2), sales.values[2])
    told = "'shop' and 'good' together tell the rows of a time apart and were read as the names of series"
    assert look.facts["layout"] == f"{told}; of the columns of numbers 'sales' was read, not 'promotion'."
    assert look.facts["duplicates"] == "no time is there twice."


def test_a_column_that_counts_the_rows_is_not_what_to_forecast(table: Path) -> None:
    header, *rows = (line.replace("sales", "sold").split(",") for line in table.read_text().splitlines())
    look = inspect(write_table(Path("shops.csv"), [[n, *row] for n, row in enumerate(rows)], ("sale", *header)))
    assert look.source.value == "sold" and look.others == ("promotion",)


def test_a_column_that_counts_the_rows_of_each_series_is_not_what_to_forecast(tmp_path: Path, sales: Sales) -> None:
    """As in the air quality of Beijing's stations, whose files go one below the other."""
    rows = [[t + 1, day(t), shop, sales.values[k, t]] for k, shop in enumerate(("north", "south")) for t in range(120)]
    look = inspect(write_table(tmp_path / "shops.csv", rows, ("No", "date", "shop", "sold")))
    assert look.source.value == "sold" and look.others == ("No",)


@pytest.mark.parametrize("shops", ["ns", "12"])
def test_a_column_that_is_called_like_names_may_need_another_beside_it(
    sales: Sales, shops: str, tmp_path: Path
) -> None:
    names = [(good, shop) for good in ("tea", "oil") for shop in shops]
    rows = [[day(t), *names[k], sales.values[k, t]] for t in range(120) for k in range(4)]
    look = inspect(write_table(tmp_path / "shops.csv", rows, ("date", "item_id", "shop", "sales")))
    assert look.source.id == ("item_id", "shop") and look.panel.ids == tuple("|".join(each) for each in names)
    np.testing.assert_array_equal(look.panel.history(2), sales.values[2])


@pytest.mark.parametrize("names", [("AAPL",), ("AAPL", "MSFT")])
def test_of_prices_those_at_the_close_are_forecast_be_it_of_one_share_or_of_several(
    sales: Sales, names: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [[day(t), name, t, sales.values[k, t], 2 * t] for k, name in enumerate(names) for t in range(120)]
    path = write_table(tmp_path / "prices.csv", rows, ("Date", "Ticker", "Open", "Close", "Volume"))
    look = inspect(path)
    assert look.source.value == "Close" and look.others == ("Open", "Volume")
    np.testing.assert_array_equal(look.panel.history(0), sales.values[0])
    assert look.panel.ids == names and "'Close' was read, not 'Open', 'Volume'." in look.facts["layout"]
    config = tmp_path / "a.yaml"
    config.write_text(seqloom("init", "forecast", path).out)
    assert seqloom("check", config).code == 0


def test_without_a_name_they_are_series_and_the_close_is_proposed(sales: Sales, tmp_path: Path) -> None:
    rows = [[day(t), t, sales.values[0, t]] for t in range(120)]
    path = write_table(tmp_path / "prices.csv", rows, ("Date", "Open", "Close"))
    text = seqloom("init", "forecast", path).out
    assert "  # value: Close  " in text and "  # past: [Open]  " in text


def test_shares_that_follow_one_another_are_not_one_series(sales: Sales, tmp_path: Path) -> None:
    rows = [[day(120 * k + t), name, t % 7, sales.values[k, t]] for k, name in enumerate("ab") for t in range(120)]
    look = inspect(write_table(tmp_path / "shares.csv", rows, ("date", "id", "open", "paid")))
    assert look.panel.ids == ("a", "b") and look.source.value == "paid"


def test_of_a_pipe_the_values_are_still_to_be_told(table: Path) -> None:
    rows = [row.split(",") for row in table.read_text().splitlines()]
    text = "".join(",".join(row[:3] + row[4:]) + "\n" for row in rows if row[2:4] == ["1", "tea"])
    result = seqloom("inspect", "-", stdin=f"promotion,date,id,sales\n{text}".encode())
    assert result.code == 1 and "the columns 'promotion', 'sales' all hold numbers" in result.err


def test_the_first_config_names_them_and_passes_its_check(table: Path) -> None:
    text = seqloom("init", "forecast", table).out
    assert "  id: [shop, good]  " in text and "  value: sales  " in text and "  # past: [promotion]  " in text
    Path("a.yaml").write_text(text)
    result = seqloom("check", "a.yaml")
    assert result.code == 0 and "4, daily, of 120 steps" in result.out


def test_forecasts_hold_the_columns_and_so_does_the_skeleton_of_the_future(run: Path, table: Path) -> None:
    assert seqloom("forecast", table, "--model", run, "--skeleton", "future.csv").code == 0
    skeleton = Path("future.csv").read_text()
    assert skeleton.startswith(f"shop,good,ds,promotion\n1,tea,{day(120)},\n")
    Path("future.csv").write_text(skeleton.replace(",\n", ",0\n"))
    result = seqloom("forecast", table, "--model", run, "--future", "future.csv", "--out", "out.jsonl")
    assert result.code == 0, result.err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert list(rows[0])[:4] == ["unique_id", "shop", "good", "ds"]
    assert [[row["shop"], row["good"]] for row in rows[::HORIZON]] == NAMES
    assert [row["unique_id"] for row in rows[::HORIZON]] == ["1|tea", "1|oil", "2|tea", "2|oil"]
    result = seqloom("backtest", table, "--model", run, "--windows", 1, "--out", "past.csv")
    assert result.code == 0, result.err
    past = read_table(Path("past.csv").read_text())
    assert list(past[0])[:6] == ["unique_id", "shop", "good", "ds", "cutoff", "y"] and len(past) == 4 * HORIZON


def test_columns_of_the_name_of_another_are_left_to_the_name_of_the_series(table: Path) -> None:
    panel = inspect(table).panel
    for columns, told in ((("shop", "good"), ["shop", "good"]), (("shop", "y"), []), (("ds", "good"), [])):
        quantiles = np.ones((4, 1, 3))
        forecasts = Forecasts(replace(panel, id_columns=columns), at_ends(panel), (0.1, 0.5, 0.9), quantiles)
        write(forecasts, Path("out.csv"), None)
        row = read_table(Path("out.csv").read_text())[1]
        assert list(row) == ["unique_id", *told, "ds", "seqloom", "seqloom-lo-80", "seqloom-hi-80"]
        assert row["unique_id"] == "1|oil" and row["ds"] == day(120)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"id": []}, "data.id is [], expected a string or at least 1 item"),
        ({"id": ["shop", "shop"]}, "the column 'shop' is named twice"),
        ({"id": ["shop", "good"], "value": "good"}, "the column 'good' is named twice"),
        ({"id": "shop", "static": ["shop"]}, "the column 'shop' is named twice"),
    ],
)
def test_names_of_no_sense_are_refused(table: Path, data: dict[str, Any], told: str) -> None:
    result = seqloom("check", write_config(Path("a.yaml"), table, data=data))
    assert result.code == 2 and told in result.err


def test_runs_of_one_column_of_names_are_read_as_before() -> None:
    for id in (None, "shop", ("shop", "good")):
        stored = json.loads(json.dumps(to_json(SeriesSource("a.csv", id=id))))
        assert from_json(SeriesSource, stored) == SeriesSource("a.csv", id=id)
    with pytest.raises(ValueError, match="expected a value of type str"):
        from_json(SeriesSource, {"path": "a.csv", "id": 5})
