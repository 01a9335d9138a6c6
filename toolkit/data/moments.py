"""When the rows of a file were: their times, in UTC or as clocks show them, in order and on a grid."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from toolkit.data.frequency import DAY, HOUR, Frequency, parse_frequency
from toolkit.data.grids import aligned, infer_frequency
from toolkit.data.panel import Finding
from toolkit.data.regular import by_series, looks_like_clock_change, place_after
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Words
from toolkit.data.times import Times, parse_times
from toolkit.data.zones import require_zone, shown_twice, skipped, to_local, to_utc
from toolkit.errors import DataError


@dataclass(frozen=True)
class Moments:
    """Rows on a grid, in the order of series and time.

    Args:
        order: (rows,) positions of the rows, a slice of all when they are in order.
        ordinals: (rows,) in that order.
        advice: what duplicates of these times may come from; "" or a sentence.
        edges: where rows are summed or averaged to the source's frequency, whether each is the first, and the last,
            that there can be in its step, (2, rows); else None.
        day_first: see `Times`.
    """

    frequency: Frequency
    order: np.ndarray | slice
    ordinals: np.ndarray
    advice: str
    edges: np.ndarray | None = None
    day_first: bool | None = None


def read_moments(
    source: SeriesSource,
    words: Words | None,
    series: np.ndarray,
    place: Callable[[int], str],
    trained: Frequency | None,
    usual: bool | None,
) -> tuple[Moments, list[Finding]]:
    """Put every row on the grid.

    Local times become UTC where the time zone is known and steps are an hour or less: of a time that clocks show
    twice, the second row of a series is the second time, or the first where rows begin with the latest. Longer steps
    follow the calendar of the place, but those of some hours that are regular in UTC alone.

    Args:
        words: the times as written; None when rows are counted.
        series: (rows,) which series each is of.
        place: from the position of a row to where it stands.
        trained: the grid that a model was trained on, which the times must fit.
        usual: whether its dates had the day first, which decides where nothing in these tells.

    Raises:
        DataError: a text is no time, nothing tells the frequency, or times do not fit it.
    """
    if words is None:
        return _counted(series, trained, source), []
    findings: list[Finding] = []
    given = trained or (parse_frequency(source.frequency) if source.frequency else None)
    grids = _Grids(source, series, place, trained, given, findings)
    zone = source.timezone
    if zone:
        require_zone(zone)
    parsed = _parse(source, words, place, given, usual)
    if parsed.note:
        findings.append(Finding("dates", f"{source.path}: {parsed.note}"))
    zone = zone or (trained.timezone if trained else None) or ("UTC" if parsed.offsets is not None else None)
    timed = parsed.values.dtype.kind == "M" and bool((parsed.values.astype("datetime64[D]") != parsed.values).any())
    if zone and timed:
        utc = _utc(parsed, words.codes, series, zone)
        longest = max(HOUR, trained.step) if trained and trained.timezone else HOUR
        if moments := grids.put(*utc, zone, longest):
            if parsed.offsets is None and (gone := skipped(parsed.values, zone)).any():
                first = _shown(parsed.values[np.argmax(gone)])
                found = f"times that do not exist in {zone}: {gone.sum()}, first {first}"
                findings.append(Finding("dst", f"{found}; they were moved an hour on."))
                advice = f" Among them are {found}: leave timezone out, or name the right one."
                moments = replace(moments, advice=advice)
            return replace(moments, day_first=parsed.day_first), findings
    local = parsed.values
    if parsed.offsets is not None and source.timezone and timed:
        local = to_local(parsed.values - parsed.offsets.astype("timedelta64[s]"), source.timezone)
    try:
        moments = grids.put(local, words.codes)
    except DataError:  # clocks that are put forward may be what is wrong with steps of some hours
        moments = None
        if parsed.offsets is not None and timed:
            with contextlib.suppress(DataError):
                moments = grids.put(*utc, zone, DAY - 1)
        if moments is None:
            raise
    assert moments is not None  # only times in UTC can turn out not to be meant in UTC
    return replace(moments, day_first=parsed.day_first), findings


def _counted(series: np.ndarray, trained: Frequency | None, source: SeriesSource) -> Moments:
    if trained and trained.unit != "integer":
        found = f"there is no column of times; expected {trained.title} times, as the model was trained on."
        raise DataError(found, where=source.path, mend="Add a column of times, or name it with time.")
    order, _ = by_series(series, np.zeros(len(series), np.int8))
    begins = np.searchsorted(series[order], series[order])
    return Moments(Frequency("integer", 1), order, np.arange(len(series)) - begins, "")


def _parse(
    source: SeriesSource, words: Words, place: Callable[[int], str], given: Frequency | None, usual: bool | None
) -> Times:
    def place_of(word: int) -> str:
        return place(int(np.argmax(words.codes == word)))

    integers = given is not None and given.unit == "integer"
    return parse_times(words.words, place_of, day_first=source.day_first, usual=usual, integers=integers)


def _utc(parsed: Times, codes: np.ndarray, series: np.ndarray, zone: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (points,) in UTC, and which of them every row (rows,) has."""
    if parsed.offsets is not None:
        return parsed.values - parsed.offsets.astype("timedelta64[s]"), codes
    rows = np.flatnonzero(shown_twice(parsed.values, zone)[codes])
    passing = np.where(_latest_first(parsed.values, codes, series)[series[rows]], -rows, rows)
    order = rows[np.lexsort((passing, codes[rows], series[rows]))]
    repeated = (codes[order][1:] == codes[order][:-1]) & (series[order][1:] == series[order][:-1])
    second = order[1:][repeated]
    again, places = np.unique(codes[second], return_inverse=True)
    codes = codes.copy()
    codes[second] = len(parsed.values) + places
    moved = to_utc(parsed.values[again], zone, again=True)
    return np.concatenate([to_utc(parsed.values, zone), moved]), codes


def _latest_first(points: np.ndarray, codes: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Whether the first row of each series is later than its last one. Shapes: codes, series (rows,) -> (series,)"""
    first, last = np.zeros((2, int(series.max(initial=-1)) + 1), np.int64)
    last[series] = codes  # of a series that is there several times, the last to be written stays
    first[series[::-1]] = codes[::-1]
    return points[first] > points[last]


class _Rows(NamedTuple):
    """Rows of a file in the order of series and time.

    Attributes:
        points: the distinct times, ascending.
        codes: (rows,) which of them each row has.
        series: (rows,) which series each is of.
        place: from the position of a row in this order to where it stands.
    """

    points: np.ndarray
    codes: np.ndarray
    series: np.ndarray
    place: Callable[[int], str]

    @property
    def times(self) -> np.ndarray:
        return self.points[self.codes]

    @property
    def same(self) -> np.ndarray:
        """(rows - 1,) whether the next row is of the same series."""
        return self.series[1:] == self.series[:-1]

    def frequency(self) -> Frequency:
        """The grid that most of the times show."""
        return infer_frequency(self.times, np.searchsorted(self.series, np.arange(self.series[-1] + 2)), self.points)


class _Grids(NamedTuple):
    """Puts the rows of a file on a grid; tries go by different times.

    Args:
        series, place, trained: as of `read_moments`.
        given: the frequency that there must be; None finds it out.
        findings: to which is added what was found and done.
    """

    source: SeriesSource
    series: np.ndarray
    place: Callable[[int], str]
    trained: Frequency | None
    given: Frequency | None
    findings: list[Finding]

    def put(
        self, points: np.ndarray, codes: np.ndarray, zone: str | None = None, longest: int = HOUR
    ) -> Moments | None:
        """Rows of which each is at `points[codes]`, all of them used.

        None when the points are in UTC, of a `zone`, but steps turn out to be longer than `longest` seconds.
        """
        points, ranks = np.unique(points, return_inverse=True)
        codes = ranks.astype(np.int32)[codes]
        order, late = by_series(self.series, codes)
        rows = _Rows(points, codes[order], self.series[order], place_after(self.place, order, len(codes)))
        try:
            frequency = self.given or rows.frequency()
        except DataError as error:
            raise DataError(str(error), where=self.source.path) from None
        if zone and not (frequency.unit == "second" and frequency.step <= longest):
            return None
        frequency = replace(frequency, timezone=zone)
        if (frequency.unit == "integer") != (points.dtype.kind != "M"):
            found = "integers" if points.dtype.kind != "M" else "dates"
            raise DataError(f"the times are {found}; expected {frequency.title} times.", where=self.source.path)
        frequency = self._anchored(frequency, rows)
        self._tell_other_days(frequency, rows)
        if late:
            told = f"rows behind a later one of their series: {late}; rows were sorted by time."
            self.findings.append(Finding("disorder", told))
        pooled = self.source.frequency and self.source.duplicates in ("sum", "mean")
        edges = _edges(frequency, rows) if pooled else None
        return Moments(frequency, order, frequency.floor(points)[rows.codes], _advice(frequency, rows), edges)

    def _anchored(self, frequency: Frequency, rows: _Rows) -> Frequency:
        """The grid as the model was trained on it, as the source asks for it, or as it was found."""
        if self.trained and not self.source.frequency:
            frequency = _fitted(frequency, rows)
        elif self.given:
            frequency = self._moved(frequency, rows)
        elif not (on := frequency.on_grid(rows.points)).all():
            row, most = int(np.argmin(on[rows.codes])), 2 * on.sum() > len(on)
            steps = "most times lie on" if most else "would suit times best"
            found = f"{_shown(rows.times[row])} is between the steps that {steps} ({frequency.title})."
            mend = f"Set data.frequency in a config to have times moved back to its steps, such as {frequency.alias}."
            if not most:
                mend = "If rows are events, such as orders, data.frequency: D with data.duplicates: sum adds up days."
            raise DataError(found, where=rows.place(row), mend=mend)
        if self.trained:
            _refuse_coarser(frequency, rows)
        return frequency

    def _moved(self, frequency: Frequency, rows: _Rows) -> Frequency:
        """The frequency that the source asks for; where its anchor is open, as the times have it."""
        points = rows.points
        if "-" not in (self.source.frequency or ""):
            frequency = aligned(frequency, points) or frequency
        off = ~frequency.on_grid(points)
        if off.any():
            first = points[np.argmax(off)]
            moved = frequency.text(frequency.floor(np.array([first])))[0]
            told = f"times between the steps of {frequency.alias} ({frequency.title}): {off[rows.codes].sum()}"
            told += f"; they were moved back, first {_shown(first)} to {moved}."
            self.findings.append(Finding("frequency", told))
        return frequency

    def _tell_other_days(self, frequency: Frequency, rows: _Rows) -> None:
        """Tell of dates that are on other days of their month than the frequency has."""
        if frequency.unit != "month":
            return
        steps = frequency.floor(rows.points)
        off = rows.points.astype("datetime64[D]") != frequency.times(steps).astype("datetime64[D]")
        if off.any():
            first = int(np.argmax(off))
            told = f"dates on other days than those of the {frequency.title}: {off[rows.codes].sum()}"
            meant = f"first {_shown(rows.points[first])} as {frequency.text(steps[first : first + 1])[0]}"
            self.findings.append(Finding("dates", f"{told}; each counts as that of its month, {meant}."))


def _edges(frequency: Frequency, rows: _Rows) -> np.ndarray | None:
    """See `Moments`; the steps of the rows themselves are those that most of them show."""
    try:
        own = rows.frequency()
    except DataError:
        return None
    at, step = own.floor(rows.points), frequency.floor(rows.points)
    before, after = (frequency.floor(own.times(at + moved)) for moved in (-1, 1))
    return np.stack([before < step, after > step])[:, rows.codes]


def _fitted(trained: Frequency, rows: _Rows) -> Frequency:
    """The grid of a trained model, beginning where these times do."""
    times, mend = rows.times, "Give the model the steps that it was trained on."
    frequency = aligned(trained, times)
    if frequency is None:
        row = int(np.argmin(trained.on_grid(times)))
        found = f"{_shown(times[row])} is not on the {trained.title} steps that the model was trained on."
        raise DataError(found, where=rows.place(row), mend=mend)
    finer = rows.same & (np.diff(frequency.floor(times)) == 0) & (times[1:] != times[:-1])
    if finer.any():
        row = int(np.argmax(finer))
        found = f"{_shown(times[row])} and {_shown(times[row + 1])} are less than a step apart"
        found += f"; the model was trained on {trained.title} steps."
        raise DataError(found, where=rows.place(row + 1), mend=mend)
    return frequency


def _refuse_coarser(trained: Frequency, rows: _Rows) -> None:
    """Refuse series of which no two times are as near to each other as the model's."""
    steps = np.diff(trained.floor(rows.times))
    gaps = steps[rows.same & (steps > 0)]
    if len(gaps) >= 3 and gaps.min() > 1:
        found = f"times are {gaps.min()} or more steps apart; the model was trained on {trained.title} steps."
        raise DataError(found, where=rows.place(0), mend="Give the model the steps that it was trained on.")


def _advice(frequency: Frequency, rows: _Rows) -> str:
    """A sentence for duplicates that all look like the hour that clocks show twice."""
    if frequency.unit != "second" or frequency.step > HOUR or frequency.timezone:
        return ""
    twice = rows.codes[1:][rows.same & (rows.codes[1:] == rows.codes[:-1])]
    if not len(twice) or not looks_like_clock_change(rows.points[twice]).all():
        return ""
    return " They look like clocks put back in autumn: set timezone to the name of the place to tell both hours apart."


def _shown(time: np.generic) -> str:
    return str(time).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")
