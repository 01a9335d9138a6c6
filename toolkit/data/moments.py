"""When the rows of a file were: their times, in UTC or as clocks show them, in order and on a grid."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from toolkit.data.frequency import DAY, HOUR, Frequency, parse_frequency
from toolkit.data.grids import aligned, infer_frequency
from toolkit.data.panel import Finding
from toolkit.data.regular import by_series, looks_like_clock_change
from toolkit.data.sources import SeriesSource
from toolkit.data.tables import Words
from toolkit.data.times import Times, parse_times
from toolkit.data.zones import require_zone, shown_twice, skipped, to_local, to_utc
from toolkit.errors import DataError


@dataclass(frozen=True)
class Moments:
    """Rows on a grid, in the order of series and time.

    Args:
        order: (rows,) positions of the rows, None when they are in order.
        ordinals: (rows,) in that order.
        advice: what duplicates of these times may come from; "" or a sentence.
        edges: where rows are summed or averaged to the source's frequency, whether each is the first, and the last,
            that there can be in its step, (2, rows); else None.
    """

    frequency: Frequency
    order: np.ndarray | None
    ordinals: np.ndarray
    advice: str
    edges: np.ndarray | None = None


def read_moments(
    source: SeriesSource,
    words: Words | None,
    series: np.ndarray,
    place: Callable[[int], str],
    trained: Frequency | None,
) -> tuple[Moments, list[Finding]]:
    """Put every row on the grid.

    Local times become UTC where the time zone is known and steps are an hour or less: of a time that clocks show
    twice, the second row of a series is the second time. Longer steps follow the calendar of the place, but those of
    some hours that are regular in UTC alone.

    Args:
        words: the times as written; None when rows are counted.
        series: (rows,) which series each is of.
        place: from the position of a row to where it stands.
        trained: the grid that a model was trained on, which the times must fit.

    Raises:
        DataError: a text is no time, nothing tells the frequency, or times do not fit it.
    """
    if words is None:
        return _counted(series, trained, source), []
    integers = _given(source, trained)
    zone = source.timezone
    if zone:
        require_zone(zone)
    parsed = _parse(source, words, place, integers is not None and integers.unit == "integer")
    findings = [Finding("dates", f"{source.path}: {parsed.note}")] if parsed.note else []
    zone = zone or (trained.timezone if trained else None) or ("UTC" if parsed.offsets is not None else None)
    timed = parsed.values.dtype.kind == "M" and bool((parsed.values.astype("datetime64[D]") != parsed.values).any())
    if zone and timed:
        utc = _utc(parsed, words.codes, series, zone)
        longest = max(HOUR, trained.step) if trained and trained.timezone else HOUR
        moments = _placed(source, *utc, series, trained, zone, place, findings, longest)
        if moments:
            if parsed.offsets is None and (gone := skipped(parsed.values, zone)).any():
                found = (
                    f"times that do not exist in {zone}: {gone.sum()}, first {_shown(parsed.values[np.argmax(gone)])}"
                )
                findings.append(Finding("dst", f"{found}; they were moved an hour on."))
                moments = replace(
                    moments, advice=f" Among them are {found}: leave timezone out, or name the right one."
                )
            return moments, findings
    local = parsed.values
    if parsed.offsets is not None and source.timezone and timed:
        local = to_local(parsed.values - parsed.offsets.astype("timedelta64[s]"), source.timezone)
    try:
        moments = _placed(source, local, words.codes, series, trained, None, place, findings)
    except DataError:  # clocks that are put forward may be what is wrong with steps of some hours
        moments = None
        if parsed.offsets is not None and zone and timed:
            with contextlib.suppress(DataError):
                moments = _placed(source, *utc, series, trained, zone, place, findings, DAY - 1)
        if moments is None:
            raise
    assert moments is not None  # only times in UTC can turn out not to be meant in UTC
    return moments, findings


def _given(source: SeriesSource, trained: Frequency | None) -> Frequency | None:
    return trained or (parse_frequency(source.frequency) if source.frequency else None)


def _counted(series: np.ndarray, trained: Frequency | None, source: SeriesSource) -> Moments:
    if trained and trained.unit != "integer":
        found = f"there is no column of times; expected {trained.title} times, as the model was trained on."
        raise DataError(found, where=source.path, mend="Add a column of times, or name it with time.")
    order, _ = by_series(series, np.zeros(len(series), np.int8))
    sorted_series = series if order is None else series[order]
    begins = np.searchsorted(sorted_series, sorted_series)
    return Moments(Frequency("integer", 1), order, np.arange(len(series)) - begins, "")


def _parse(source: SeriesSource, words: Words, place: Callable[[int], str], integers: bool) -> Times:
    def place_of(word: int) -> str:
        return place(int(np.argmax(words.codes == word)))

    return parse_times(words.words, place_of, day_first=source.day_first, integers=integers or None)


def _utc(parsed: Times, codes: np.ndarray, series: np.ndarray, zone: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (points,) in UTC, and which of them every row (rows,) has."""
    if parsed.offsets is not None:
        return parsed.values - parsed.offsets.astype("timedelta64[s]"), codes
    twice = shown_twice(parsed.values, zone)
    rows = np.flatnonzero(twice[codes])
    if not len(rows):
        return to_utc(parsed.values, zone), codes
    order = rows[np.lexsort((rows, codes[rows], series[rows]))]
    repeated = (codes[order][1:] == codes[order][:-1]) & (series[order][1:] == series[order][:-1])
    codes = codes.copy()
    codes[order[1:][repeated]] += len(twice)
    return np.concatenate([to_utc(parsed.values, zone), to_utc(parsed.values, zone, again=twice)]), codes


def _placed(
    source: SeriesSource,
    points: np.ndarray,
    codes: np.ndarray,
    series: np.ndarray,
    trained: Frequency | None,
    zone: str | None,
    place: Callable[[int], str],
    findings: list[Finding],
    longest: int = HOUR,
) -> Moments | None:
    """Rows, of which each is at `points[codes]`, in order and on the grid.

    None when the points are in UTC, but steps turn out to be longer than `longest` seconds.
    """
    points, ranks = np.unique(points, return_inverse=True)
    codes = ranks.astype(np.int32)[codes]
    points, codes = _used(points, codes)
    order, late = by_series(series, codes)
    if order is not None:
        series, codes = series[order], codes[order]
    offsets = np.searchsorted(series, np.arange(series[-1] + 2))
    same = series[1:] == series[:-1]
    given = _given(source, trained)
    try:
        frequency = given or infer_frequency(points[codes], offsets, points)
    except DataError as error:
        raise DataError(str(error), where=source.path) from None
    if zone and not (frequency.unit == "second" and frequency.step <= longest):
        return None
    frequency = replace(frequency, timezone=zone)
    if (frequency.unit == "integer") != (points.dtype.kind != "M"):
        found = "integers" if points.dtype.kind != "M" else "dates"
        raise DataError(f"the times are {found}; expected {frequency.title} times.", where=source.path)

    def refuse(row: int, found: str, mend: str) -> None:
        raise DataError(found, where=place(row if order is None else int(order[row])), mend=mend)

    if trained and not source.frequency:
        frequency = _fitted(frequency, points[codes], same, refuse)
    elif given:
        frequency = _moved(frequency, source, points, codes, findings)
    elif not (on := frequency.on_grid(points)).all():
        row = int(np.argmin(on[codes]))
        found = f"{_shown(points[codes[row]])} is between the steps that most times lie on ({frequency.title})."
        mend = f"Set the frequency in a config to have times moved back to its steps: frequency: {frequency.alias}."
        refuse(row, found, mend)
    if trained:
        _refuse_coarser(frequency, points[codes], same, refuse)
    if (off := _on_other_days(frequency, points)).any():
        first = points[np.argmax(off)]
        meant = frequency.text(frequency.floor(np.array([first])))[0]
        told = f"dates on other days than those of the {frequency.title}: {off[codes].sum()}"
        findings.append(
            Finding("dates", f"{told}; each counts as that of its month, first {_shown(first)} as {meant}.")
        )
    if late:
        told = f"rows behind a later one of their series: {late}; rows were sorted by time."
        findings.append(Finding("disorder", told))
    pooled = source.frequency and source.duplicates in ("sum", "mean")
    edges = _edges(frequency, points, codes, offsets) if pooled else None
    return Moments(frequency, order, frequency.floor(points)[codes], _advice(frequency, series, points, codes), edges)


def _edges(frequency: Frequency, points: np.ndarray, codes: np.ndarray, offsets: np.ndarray) -> np.ndarray | None:
    """See `Moments`; the steps of the rows themselves are those that most of them show."""
    try:
        own = infer_frequency(points[codes], offsets, points)
    except DataError:
        return None
    at, step = own.floor(points), frequency.floor(points)
    before, after = (frequency.floor(own.times(at + moved)) for moved in (-1, 1))
    return np.stack([before < step, after > step])[:, codes]


def _on_other_days(frequency: Frequency, points: np.ndarray) -> np.ndarray:
    """(points,) whether a month's date is not on the day that the frequency has."""
    if frequency.unit != "month":
        return np.zeros(len(points), bool)
    days = points.astype("datetime64[D]")
    return days != frequency.times(frequency.floor(points)).astype("datetime64[D]")


def _moved(
    frequency: Frequency, source: SeriesSource, points: np.ndarray, codes: np.ndarray, findings: list[Finding]
) -> Frequency:
    """The frequency that the source asks for; where its anchor is open, as the times have it."""
    if "-" not in (source.frequency or ""):
        frequency = aligned(frequency, points) or frequency
    off = ~frequency.on_grid(points)
    if off.any():
        first = points[np.argmax(off)]
        moved = frequency.text(frequency.floor(np.array([first])))[0]
        told = f"times between the steps of {frequency.alias} ({frequency.title}): {off[codes].sum()}"
        findings.append(Finding("frequency", f"{told}; they were moved back, first {_shown(first)} to {moved}."))
    return frequency


def _fitted(
    trained: Frequency, times: np.ndarray, same: np.ndarray, refuse: Callable[[int, str, str], None]
) -> Frequency:
    """The grid of a trained model, beginning where these times do.

    Args:
        same: (rows - 1,) whether the next row is of the same series.
    """
    frequency = aligned(trained, times)
    mend = "Give the model the steps that it was trained on."
    if frequency is None:
        row = int(np.argmin(trained.on_grid(times)))
        refuse(row, f"{_shown(times[row])} is not on the {trained.title} steps that the model was trained on.", mend)
        return trained
    steps = np.diff(frequency.floor(times))
    finer = same & (steps == 0) & (times[1:] != times[:-1])
    if finer.any():
        row = int(np.argmax(finer))
        found = f"{_shown(times[row])} and {_shown(times[row + 1])} are less than a step apart"
        refuse(row + 1, f"{found}; the model was trained on {trained.title} steps.", mend)
    return frequency


def _refuse_coarser(
    trained: Frequency, times: np.ndarray, same: np.ndarray, refuse: Callable[[int, str, str], None]
) -> None:
    """Refuse series of which no two times are as near to each other as the model's; `same` as for `_fitted`."""
    steps = np.diff(trained.floor(times))
    gaps = steps[same & (steps > 0)]
    if len(gaps) >= 3 and gaps.min() > 1:
        found = f"times are {gaps.min()} or more steps apart; the model was trained on {trained.title} steps."
        refuse(0, found, "Give the model the steps that it was trained on.")


def _advice(frequency: Frequency, series: np.ndarray, points: np.ndarray, codes: np.ndarray) -> str:
    """A sentence for duplicates that all look like the hour that clocks show twice."""
    if frequency.unit != "second" or frequency.step > HOUR or frequency.timezone:
        return ""
    same = np.flatnonzero((series[1:] == series[:-1]) & (codes[1:] == codes[:-1]))
    if not len(same) or not looks_like_clock_change(points[codes[same]]).all():
        return ""
    return " They look like clocks put back in autumn: set timezone to the name of the place to tell both hours apart."


def _used(points: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the points that some row has."""
    used = np.bincount(codes, minlength=len(points)) > 0
    return (points, codes) if used.all() else (points[used], (np.cumsum(used) - 1).astype(np.int32)[codes])


def _shown(time: np.generic) -> str:
    return str(time).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")
