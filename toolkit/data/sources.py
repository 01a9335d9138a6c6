"""What a person says about a file of series."""

from dataclasses import dataclass
from typing import Literal

from toolkit.data.rows import Format


@dataclass(frozen=True)
class SeriesSource:
    """Where series come from and how they are written; None and () where it is found out.

    Args:
        path: a file of a format that `toolkit.data.rows` reads.
        layout: long has one row a time and series, wide one column a series, rows one row a series: its name first,
            then its values, as the files of the M4 competition have them.
        id: column of the names of series, or columns whose names together name one.
        time: column of times.
        value: column of values.
        frequency: a pandas alias; times between its points are moved back to the grid.
        timezone: of local times.
        day_first: whether 01/02/2024 is 1 February.
        duplicates: what becomes of several rows of one series and time.
        covariates: columns that vary in time.
        statics: columns with one value a series.
        encoding: of the text.
        format: of the file.
        covariates_only: whether no column is one of values, whatever numbers there are.
    """

    path: str
    layout: Literal["auto", "long", "wide", "rows"] = "auto"
    id: str | tuple[str, ...] | None = None
    time: str | None = None
    value: str | None = None
    frequency: str | None = None
    timezone: str | None = None
    day_first: bool | None = None
    duplicates: Literal["error", "last", "mean", "sum"] = "error"
    covariates: tuple[str, ...] = ()
    statics: tuple[str, ...] = ()
    encoding: str | None = None
    format: Format = "auto"
    covariates_only: bool = False

    @property
    def id_columns(self) -> tuple[str, ...]:
        return (self.id,) if isinstance(self.id, str) else self.id or ()
