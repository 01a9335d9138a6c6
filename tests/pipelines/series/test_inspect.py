"""What is told about series before training: every oddity named, costs bounded, and a config that reads the same."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.forecasting import facts
from pipelines.forecasting import inspect as inspecting
from pipelines.forecasting.config import Config
from pipelines.forecasting.data import source
from pipelines.forecasting.init import init, suggest
from pipelines.forecasting.inspect import Look, inspect, suggest_horizon
from pipelines.forecasting.inspect_page import render
from toolkit.config import parse, validate
from toolkit.data.frequency import parse_frequency
from toolkit.data.panel import Panel
from toolkit.data.series import read_panel
from toolkit.errors import DataError

DATA = Path(__file__).parents[4] / "shared" / "data" / "series"
HOSTILE = "<script>alert(1)</script> \x1b[31m {0} ☃"


def write(path: Path, series: dict[str, np.ndarray], *, start: str = "2024-01-01", step: str = "h") -> Path:
    """A long file; NaN as an empty cell."""
    lines = ["unique_id,ds,y"]
    for name, values in series.items():
        times = np.datetime64(start, step) + np.arange(len(values))
        cells = ("" if np.isnan(value) else f"{value:.6g}" for value in values)
        lines += [f'"{name}",{str(time).replace("T", " ")},{cell}' for time, cell in zip(times, cells, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def daily_wave(steps: int, seed: int = 0) -> np.ndarray:
    """Hourly values with a day in them."""
    noise = np.random.default_rng(seed).standard_normal(steps)
    return 10 + 5 * np.sin(np.arange(steps) * 2 * np.pi / 24) + 0.5 * noise


def walk(steps: int, seed: int = 0) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).standard_normal(steps))


def read_again(look: Look, text: str) -> Panel:
    """The panel that a run with this config would read."""
    return read_panel(source(validate(parse(text, "my.yaml"), Config).data))[0]


def same(one: Panel, other: Panel) -> bool:
    arrays = zip((one.values, one.offsets, one.ends), (other.values, other.offsets, other.ends), strict=True)
    return one.ids == other.ids and all(np.array_equal(a, b, equal_nan=True) for a, b in arrays)


def test_a_clean_series_is_described_in_reading_order(here):
    look = inspect(write(here / "a.csv", {"kiosk": daily_wave(500)}))
    assert list(look.facts)[:4] == ["series", "rows", "frequency", "span"]
    assert list(look.facts)[-1] == "horizon"
    assert look.facts["series"] == "1 series: kiosk."
    assert look.facts["rows"] == "500 steps, 500 of them with a value."
    assert look.facts["frequency"] == "hourly (h)."
    assert look.facts["span"] == "2024-01-01 00:00:00 to 2024-01-21 19:00:00."
    assert look.facts["missing"] == "no value is missing."
    assert look.facts["season"].startswith("24 steps, a day; it explains 9")
    assert look.facts["random walk"] == "no: there is a season."
    assert look.facts["constant series"] == look.facts["short series"] == "none."
    assert (look.season, look.horizon) == (24, 48)
    assert all(sentence.endswith(".") for sentence in look.facts.values())


def test_gaps_duplicates_and_disorder_are_told(here):
    path = write(here / "a.csv", {"kiosk": daily_wave(300)})
    lines = path.read_text().splitlines()
    lines[5], lines[9] = lines[9], lines[5]
    path.write_text("\n".join([*lines[:50], lines[49], *lines[52:]]) + "\n")
    look = inspect(path)
    assert look.facts["gaps"] != inspect(write(here / "b.csv", {"kiosk": daily_wave(300)})).facts["gaps"]
    assert {"gaps", "duplicates", "disorder"} <= {finding.kind for finding in look.findings}
    for kind, name in (("gaps", "gaps"), ("duplicates", "duplicates"), ("disorder", "order")):
        (message,) = (finding.message for finding in look.findings if finding.kind == kind)
        assert look.facts[name] in message
    assert "duplicates: last" in suggest(look)
    assert same(read_again(look, suggest(look)), look.panel)


def test_a_clock_change_leads_to_the_time_zone(here):
    path = write(here / "a.csv", {"kiosk": daily_wave(200)}, start="2024-03-28")
    path.write_text("\n".join(line for line in path.read_text().splitlines() if ",2024-03-31 02" not in line))
    look = inspect(path)
    assert "clock" in look.facts["clock changes"]
    zoned = suggest(look).replace("# timezone:", "timezone:")
    assert len(read_again(look, zoned).values) == 199


def test_missing_values_are_counted_and_the_worst_series_is_named(here):
    holes = daily_wave(200)
    holes[10:30] = np.nan
    look = inspect(write(here / "a.csv", {"whole": daily_wave(200), "holes": holes}))
    assert look.facts["missing"].startswith("5.0 % of the steps have no value (20), most in holes (10.0 %).")
    assert "first 2024-01-01 10:00:00" in look.facts["missing"]
    assert look.facts["missing"].endswith("They are masked in what the network reads and in its loss.")


def test_rows_without_a_value_at_the_end_are_told_where_no_other_value_is_missing(here):
    ends = daily_wave(200)
    ends[-3:] = np.nan
    look = inspect(write(here / "a.csv", {"kiosk": ends}))
    assert look.facts["missing"].startswith("rows without a value at the end: 3") and len(look.panel.values) == 197


def test_a_random_walk_is_warned_of_and_a_season_is_not_one(here):
    look = inspect(write(here / "a.csv", {"stock": walk(600, 1)}, step="D"))
    assert look.facts["random walk"].startswith("not to be told from one (variance ratios")
    assert "repeating the last value" in look.facts["random walk"]
    assert look.facts["stationarity"].startswith("not stationary")
    assert look.season == 1
    rising = inspect(write(here / "r.csv", {"stock": walk(600, 1) + np.arange(600)}, step="D"))
    assert "noise around a drift: hardly anything will beat going on with that." in rising.facts["random walk"]
    mixed = {"stock": walk(600, 1), **{f"tide {i}": daily_wave(600, i) for i in range(3)}}
    several = inspect(write(here / "b.csv", mixed))
    assert several.season == 24
    assert several.facts["random walk"].startswith("1 of 1 series without a season looks like one: stock.")
    white = inspect(write(here / "c.csv", {"noise": np.random.default_rng(0).standard_normal(600)}, step="D"))
    assert white.facts["random walk"].startswith("no (")
    assert white.facts["stationarity"].startswith("stationary")


def test_what_comes_back_to_a_level_is_no_random_walk_however_few_values_there_are(here):
    random = np.random.default_rng(1)
    noise = random.standard_normal(70)
    for step in range(1, 70):
        noise[step] += 0.5 * noise[step - 1]
    look = inspect(write(here / "a.csv", {"level": noise}, step="D"))
    assert look.facts["stationarity"].startswith("stationary")
    assert look.facts["random walk"].startswith("no (")


def test_series_that_are_constant_empty_or_short_are_named(here):
    series = {"long": daily_wave(400), "flat": np.full(400, 3.0), "single": np.array([7.0]), "void": np.full(9, np.nan)}
    look = inspect(write(here / "a.csv", series))
    assert "flat" in look.facts["constant series"]
    assert "single" in look.facts["short series"] and "long" not in look.facts["short series"]
    assert "void" in look.facts["empty series"]
    assert look.season == 24
    assert "3 series of 4 end earlier, such as" not in look.facts["rows"]
    assert "2 series of 4 end earlier, such as single at 2024-01-01 00:00:00" in look.facts["span"]


def test_outliers_are_placed(here):
    values = daily_wave(500)
    values[123] = 999
    fact = inspect(write(here / "a.csv", {"kiosk": values})).facts["outliers"]
    assert fact == "1 value stands alone far from those around it: 999 at 2024-01-06 03:00:00. It is kept."


def test_of_many_series_a_bounded_number_is_examined(here, monkeypatch):
    monkeypatch.setattr(inspecting, "EXAMINED", 20)
    monkeypatch.setattr(facts, "TESTED", 5)
    calls = []
    monkeypatch.setattr(facts, "stationarity", lambda values: calls.append(values))
    look = inspect(write(here / "a.csv", {f"s{i}": daily_wave(100, i) for i in range(50)}))
    assert look.facts["examined"].startswith("20 of 50 series")
    assert look.examined[0] == 0 and look.examined[-1] == 49 and len(look.examined) == 20
    assert len(calls) == 5
    assert look.facts["series"] == "50 series: s0, s1, s2 and 47 others."
    assert "in the median series, from" in look.facts["season"]


@given(st.integers(0, 10_000))
def test_sizes_equal_those_of_a_loop(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 6, 8)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.where(random.random(offsets[-1]) < 0.3, np.nan, random.standard_normal(offsets[-1]))
    ends = offsets[:-1] + random.integers(0, lengths + 1)
    names = tuple(f"s{k}" for k in range(8))
    panel = Panel(names, parse_frequency("h"), np.zeros(8, int), offsets, ends, values, {}, {}, {})
    sizes = facts.measure(panel)
    for k in range(8):
        history = panel.history(k)
        known = history[~np.isnan(history)]
        assert (sizes.steps[k], sizes.known[k]) == (len(history), len(known))
        assert sizes.low[k] == (known.min() if len(known) else np.inf)
        assert sizes.high[k] == (known.max() if len(known) else -np.inf)


@pytest.mark.parametrize(
    ("alias", "season", "steps", "expected"),
    [
        ("h", 24, 5000, 48),
        ("15min", 96, 5000, 96),
        ("min", 1440, 90_000, 96),
        ("6h", 4, 5000, 8),
        ("D", 7, 5000, 14),
        ("B", 5, 5000, 10),
        ("W-SUN", 52, 5000, 13),
        ("MS", 12, 5000, 18),
        ("QE", 4, 5000, 8),
        ("YE", 1, 5000, 6),
        ("1", 24, 5000, 48),
        ("1", 1, 5000, 12),
        ("h", 24, 100, 20),
        ("h", 1, 1, 1),
    ],
)
def test_the_suggested_horizon_suits_the_frequency_and_the_length(alias, season, steps, expected):
    assert suggest_horizon(parse_frequency(alias), season, steps) == expected


@pytest.mark.parametrize(
    ("alias", "steps", "expected"),
    [("h", 24, "day"), ("h", 168, "week"), ("15min", 4, "hour"), ("D", 365, "year"), ("W-SUN", 52, "year")]
    + [("MS", 12, "year"), ("QS", 4, "year"), ("B", 5, "week"), ("1", 24, ""), ("h", 23, ""), ("MS", 6, "")],
)
def test_seasons_have_names(alias, steps, expected):
    assert facts.span_of(parse_frequency(alias), steps) == expected


def test_integer_times_get_the_season_of_their_autocorrelation(here):
    path = here / "a.csv"
    path.write_text("y\n" + "\n".join(f"{value:.4f}" for value in np.tile(daily_wave(24), 20)) + "\n")
    look = inspect(path)
    assert look.season == 24
    assert look.facts["season"].startswith("24 steps; it explains")
    assert "calendar" not in suggest(look)
    assert same(read_again(look, suggest(look)), look.panel)


def test_a_file_of_an_odd_name_is_named_so_that_it_is_read(here):
    look = inspect(write(here / 'a "b" # c.csv', {"kiosk": daily_wave(100)}))
    assert same(read_again(look, suggest(look)), look.panel)


def test_a_wide_file_is_told_how_to_forecast_one_column(here):
    path = here / "a.csv"
    rows = "\n".join(f"2024-01-{day:02d},{day},{day * 2}" for day in range(1, 29))
    path.write_text(f"ds,sales,visits\n{rows}\n")
    text = init(path)
    assert "# value: sales" in text and "# past: [visits]" in text
    uncommented = text.replace("# value: sales", "value: sales").replace("# past: [visits]", "past: [visits]")
    config = validate(parse(uncommented, "my.yaml"), Config)
    assert (config.data.value, config.data.past, config.season) == ("sales", ["visits"], "auto")


@pytest.mark.parametrize(("steps", "step", "told"), [(2000, "D", False), (2300, "D", True), (500, "W", False)])
def test_the_calendar_is_told_where_there_are_years_of_days(here, steps, step, told):
    config = validate(parse(init(write(here / "a.csv", {"a": walk(steps)}, step=step)), "my.yaml"), Config)
    assert config.data.calendar is told


@pytest.mark.parametrize(
    ("values", "bounded"),
    [(np.arange(60.0), True), (np.append(np.zeros(9), daily_wave(50)), True), (daily_wave(60), False)]
    + [(np.arange(60.0) - 1, False), (np.arange(5.0, 65.0), True)],
)
def test_counts_and_amounts_get_a_lower_bound(here, values, bounded):
    config = validate(parse(init(write(here / "a.csv", {"a": values})), "my.yaml"), Config)
    assert config.model.lower == (0 if bounded else None)


def test_the_page_shows_six_of_many_and_escapes_their_names(here):
    series = {HOSTILE.format(i): daily_wave(150, i) for i in range(9)}
    look = inspect(write(here / "a.csv", series))
    page = render(look)
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert page.count("<figure") == 3
    assert "6 of 9 series." in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert not [text for text in look.facts.values() if "\x1b" in text]


@pytest.mark.parametrize("values", [[1.0, 1.0], [np.nan, 2.0], [1.0, 2.0, 4.0], [np.nan, np.nan], [5.0] * 80])
def test_next_to_nothing_can_be_looked_at(here, values):
    look = inspect(write(here / "a.csv", {"a": np.array(values)}))
    assert look.season == 1
    assert validate(parse(suggest(look), "my.yaml"), Config).horizon == look.horizon >= 1
    assert len(render(look)) > 1000


def test_a_file_that_is_not_there_is_a_sentence(here):
    with pytest.raises(DataError, match="nowhere"):
        inspect(here / "nowhere.csv")


@pytest.mark.skipif(not DATA.exists(), reason="the series are not here")
@pytest.mark.parametrize(
    ("file", "season", "frequency"),
    [
        ("airline-passengers.csv", 12, "month start (MS)."),
        ("co2.csv", 52, "weekly (Saturday) (W-SAT)."),
        ("daily-min-temperatures.csv", 365, "daily (D)."),
        ("daily_peyton_manning.csv", 7, "daily (D)."),
        ("seattle-temps.csv", 24, "hourly (h)."),
        ("sf-temps.csv", 24, "hourly (h)."),
    ],
)
def test_real_series_are_seen_as_people_see_them(here, file, season, frequency):
    look = inspect(DATA / file)
    assert look.season == season
    assert look.facts["frequency"] == frequency
    assert same(read_again(look, suggest(look)), look.panel)
    assert len(render(look)) < 400_000


def test_a_column_that_tells_the_series_apart_is_in_the_first_config(here):
    rows = [f"{np.datetime64('2024-01-01') + day},{name},{day}" for day in range(60) for name in ("bread", "milk")]
    (here / "a.csv").write_text("date,product,sales\n" + "\n".join(rows))
    text = suggest(look := inspect(here / "a.csv"))
    assert "id: product" in text and "duplicates" not in text
    assert read_again(look, text).ids == ("bread", "milk")
