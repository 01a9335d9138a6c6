"""What a user can say about a forecaster."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config import Stanza
from toolkit.stanzas import Cell, EncoderConfig, TrainingConfig, is_a_share

Columns = list[Annotated[str, Field(min_length=1)]]
Steps = Annotated[int, Field(ge=1, le=1_000_000)]
Companion = Literal["naive", "seasonal_naive", "drift", "seasonal_profile", "theta", "ets", "ridge"]


class DataConfig(Stanza):
    """Where the series are. Paths start at the folder that the command runs in."""

    path: str
    """File of the series."""
    layout: Literal["auto", "long", "wide", "rows"] = "auto"
    """long: a row a value; wide: a column a series; rows: a row a series, its name first."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet"] = "auto"
    """File format; auto goes by the file name."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; found out when left empty."""
    id: str | None = None
    """Column of the series' names; found out when left empty."""
    time: str | None = None
    """Column of the times; found out when left empty."""
    value: str | None = None
    """Column of the values; found out when left empty."""
    frequency: str | None = None
    """Time between steps, such as h, 15min, D, W, ME; found out over all series when left empty. Values at a finer one
    are brought to it by the rule in duplicates."""
    timezone: str | None = None
    """Zone of times that have none, such as Europe/Berlin, when its clocks change."""
    day_first: bool | None = None
    """Whether 01/02/2024 is in February; found out when left empty."""
    duplicates: Literal["error", "last", "mean", "sum"] = "error"
    """What to do when a series has several values at one time."""
    known: Columns = Field([])
    """Columns whose future is known when a forecast is made, such as a price that has been set."""
    past: Columns = Field([])
    """Columns that are known for the past only."""
    static: Columns = Field([])
    """Columns with one value a series."""
    calendar: bool = False
    """Give the network the hour, the day of the week and so on."""
    holidays: str | None = None
    """Country whose holidays the network is told, such as US or DE."""


class SplitConfig(Stanza):
    """What is held back. Choices are made on validation windows; test windows are scored once, at the end."""

    train: Steps | None = None
    """Steps at the start of each series to train on; validation and test steps follow, and what comes after them is not
    used. Empty: all that the other two leave."""
    validation: Steps | float | None = None
    """Steps before the test part, or a share of those; empty: a fifth, but one horizon at least
    and 3 to 20 horizons or two seasons at most."""
    test: Steps | float | str | None = None
    """Steps at the end of each series, or a share of them, or a file with the values that follow; empty: as for
    validation."""
    drop: int = Field(0, ge=0, le=1_000_000)
    """Steps at the end of each series to leave out, as if they had not come yet."""
    step: Steps | None = None
    """Steps between the cutoffs of two windows; empty: a horizon, or less where there would be fewer than 200."""
    standardized: bool = False
    """Train and score in units of each series' standard deviation in training."""
    mase_season: Steps | None = None
    """Season of the scale in MASE, and of Naive2 in OWA, where it is another one than the season."""

    _are_shares = field_validator("validation", "test")(is_a_share)

    @model_validator(mode="after")
    def _parts_follow_one_another(self) -> "SplitConfig":
        if self.train and not (isinstance(self.validation, int) and isinstance(self.test, int)):
            raise ValueError("with train, give validation and test in steps too.")
        return self


class ModelConfig(Stanza):
    """What forecasts."""

    kind: Literal["auto", "network"] | Companion = "auto"
    """auto: the network and its companions, weighed on validation windows; network, or a companion: that alone."""
    network: Literal["segment", "direct", "attention", "smoothing"] = "segment"
    """segment: segments of a season and a parallel decoder; direct: one output layer for the whole horizon; attention:
    a recurrent decoder with attention over the past; smoothing: exponential smoothing, and on what it leaves dilated
    layers of encoder.cell with residual connections, whatever encoder.residual says."""
    history: Steps | None = None
    """Steps that the network reads; empty: up to 14 seasons (2 of more than 60 steps; for network: smoothing 4) and 2
    horizons at least (3), where the series are long enough."""
    segment: Steps | None = None
    """Steps in a segment; empty: the longest whole part of a season within the horizon and 60 steps; without a season
    the square root of the horizon; 1 for all networks but segment."""
    log: bool = False
    """Model logarithms, for series whose swings grow with their level; all values must be above 0."""
    scaling: Literal["window", "series"] = "window"
    """What a value is divided by: the deviation inside its own window, or in its series' training part."""
    center: Literal["last", "mean"] = "last"
    """What is subtracted from a window before: its last value, or its mean (reversible normalisation)."""
    anchor: Literal["center", "season"] = "center"
    """What the network's outputs are added to: that centre, or the values a season before."""
    series_vectors: int = Field(0, ge=0, le=1024)
    """Size of a learned vector for each series of the training data; 0: none."""
    members: int = Field(1, ge=1, le=32)
    """Networks trained from different seeds whose forecasts are averaged."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of features dropped before the output layer while training."""
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] = Field([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    """Levels of the forecast quantiles, rising, with 0.5 among them."""
    intervals: Literal["validation", "recent"] = "validation"
    """What intervals are calibrated on: validation windows, or what the run would have forecast of late, after its
    training: in the last 2 horizons or 40 seasons, whichever is longer, as far as it has come by the time."""
    lower: float | None = None
    """No forecast is below this, such as 0 for sales."""
    upper: float | None = None
    """No forecast is above this."""

    @model_validator(mode="after")
    def _fit_together(self) -> "ModelConfig":
        if self.network == "smoothing" and self.segment not in (None, 1):
            raise ValueError("network: smoothing reads single steps. Leave segment out.")
        if self.network == "smoothing" and self.anchor == "season":
            raise ValueError("network: smoothing has a season of its own. Leave anchor out.")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"lower is {self.lower:g} and upper {self.upper:g}; expected lower to be below upper.")
        return self

    @field_validator("quantiles")
    @classmethod
    def _rise_and_hold_the_median(cls, levels: list[float]) -> list[float]:
        if 0.5 not in levels or sorted(set(levels)) != levels or len(levels) < 3:
            raise ValueError("expected rising levels with 0.5 among them, such as [0.1, 0.5, 0.9].")
        pairs = {round(1 - level, 6) for level in levels}
        if pairs != {round(level, 6) for level in levels}:
            raise ValueError("expected pairs around 0.5, such as [0.1, 0.5, 0.9], to make intervals of.")
        return levels


class ForecastEncoder(EncoderConfig):
    """The encoder."""

    cell: Cell = "gru"
    bidirectional: bool = False
    """Read each sequence from both ends and concatenate the states."""


class ForecastTraining(TrainingConfig):
    """How weights are fitted."""

    batch_size: int = Field(64, ge=1, le=65_536)
    """Windows in a training batch."""
    bucketing: bool = True
    """Changes nothing: windows are of one length."""
    windows: int = Field(20_000, ge=1, le=100_000_000)
    """The most windows in an epoch; of more, each epoch takes others."""
    refit: bool = True
    """Once the number of epochs is chosen, train again with the validation part."""


class Config(Stanza):
    """A forecasting run."""

    pipeline: Literal["forecasting"]
    """forecasting"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Of every random choice."""
    horizon: Steps | str
    """Steps to forecast, or a time such as 3d."""
    season: Steps | Literal["auto"] = "auto"
    """Steps in a season, 1 for none; auto: found out on the training part."""
    data: DataConfig
    """Where the series are."""
    split: SplitConfig = SplitConfig()
    """What is held back."""
    model: ModelConfig = ModelConfig()
    """What forecasts."""
    encoder: ForecastEncoder = ForecastEncoder()
    """The encoder."""
    training: ForecastTraining = ForecastTraining()
    """How weights are fitted."""

    @model_validator(mode="after")
    def _smoothing_reads_forward(self) -> "Config":
        if self.model.network == "smoothing" and self.encoder.cell == "transformer":
            raise ValueError("network: smoothing has recurrent layers. Set encoder.cell to lstm, gru or rnn.")
        if self.model.network == "smoothing" and self.encoder.bidirectional:
            raise ValueError("network: smoothing reads forward only. Leave encoder.bidirectional out.")
        return self

    @model_validator(mode="after")
    def _columns_have_one_use(self) -> "Config":
        data = self.data
        named = [*data.known, *data.past, *data.static, *filter(None, (data.id, data.time, data.value))]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"the column {twice[0]!r} is named twice. Remove one.")
        return self
