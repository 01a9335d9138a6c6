"""What a user can say about a forecaster."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config import Stanza
from toolkit.stanzas import Cell, EncoderConfig, TrainingConfig, is_a_share

Columns = list[Annotated[str, Field(min_length=1)]]
Steps = Annotated[int, Field(ge=1, le=1_000_000)]
Companion = Literal["naive", "seasonal_naive", "drift", "seasonal_profile", "theta", "ets", "ridge"]


class DataConfig(Stanza):
    """Where the series are. Paths are relative to the folder that the command runs in."""

    path: str
    """File of the series."""
    layout: Literal["auto", "long", "wide", "rows"] = "auto"
    """long: one row per value; wide: one column per series; rows: one row per series, its name first."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet"] = "auto"
    """File format; auto: by the file name."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; empty: detected."""
    id: str | Annotated[Columns, Field(min_length=1)] | None = None
    """Column of the series' names, or a list of columns that together name one, such as [store, product]; empty:
    detected."""
    time: str | None = None
    """Column of the times; empty: detected."""
    value: str | None = None
    """Column of the values; empty: detected."""
    frequency: Steps | str | None = None
    """Time between steps, such as h, 15min, D, W, ME, or 1 for times that only count; empty: detected over all series.
    Values at a finer frequency are aggregated by the rule in duplicates."""
    timezone: str | None = None
    """Time zone of times that state none, such as Europe/Berlin, if its clocks change."""
    day_first: bool | None = None
    """Whether 01/02/2024 is in February; empty: detected."""
    duplicates: Literal["error", "last", "mean", "sum"] = "error"
    """What to do when a series has several values at one time."""
    known: Columns = Field([])
    """Covariates whose future values are known when a forecast is made, such as a price that has been set."""
    past: Columns = Field([])
    """Covariates that are known for the past only."""
    static: Columns = Field([])
    """Covariates with one value per series; where it is missing, it counts as average."""
    calendar: bool = False
    """Give the network calendar features: the hour, the day of the week and, if the training part is 4 years long,
    the day of the month and of the year."""
    holidays: str | None = None
    """Country whose holidays become a feature of the network, such as US or DE."""


class SplitConfig(Stanza):
    """What is held out. Everything is chosen on validation windows; test windows are scored once, at the end."""

    train: Steps | None = None
    """Steps at the start of each series to train on; validation and test steps follow, and what comes after them is not
    used. Empty: all that validation and test leave."""
    validation: Steps | float | None = None
    """Steps before the test part, or a share of them; empty: a fifth, but at least one horizon, and at most 3 to 20
    horizons or two seasons."""
    test: Steps | float | str | None = None
    """Steps at the end of each series, or a share of them, or a file with the values that follow; empty: as for
    validation."""
    drop: int = Field(0, ge=0, le=1_000_000)
    """Steps to drop from the end of each series, as if they had not happened yet."""
    step: Steps | None = None
    """Steps between the cutoffs of two windows; empty: the horizon, or less where there would be fewer than 200."""
    standardized: bool = False
    """Train and score in units of the standard deviation of each series' training part."""
    mase_season: Steps | None = None
    """Season of the scale in MASE, and of Naive2 in OWA, if it differs from season."""

    _are_shares = field_validator("validation", "test")(is_a_share)

    @model_validator(mode="after")
    def _parts_follow_one_another(self) -> "SplitConfig":
        if self.train and not (isinstance(self.validation, int) and isinstance(self.test, int)):
            raise ValueError("with train, give validation and test in steps too.")
        return self


class ModelConfig(Stanza):
    """The network and the simple methods that forecast."""

    kind: Literal["auto", "network"] | Companion = "auto"
    """auto: the network and seven simple methods, combined with weights fitted on validation windows; or one alone."""
    network: Literal["segment", "direct", "attention", "smoothing"] = "segment"
    """segment: an encoder over segments of a season and a parallel decoder (SegRNN); direct: one output layer for the
    whole horizon; attention: a recurrent decoder with attention over the past; smoothing: exponential smoothing and, on
    its residuals, dilated layers of encoder.cell with residual connections (ES-RNN), whatever encoder.residual says."""
    history: Steps | None = None
    """Steps that the network reads; empty: up to 14 seasons (2 of more than 60 steps; for network: smoothing 4), or 8
    horizons where there is no season, and at least 2 horizons (3), where the series are long enough; half of what they
    have room for where all together would give fewer than 2,000 windows."""
    segment: Steps | None = None
    """Steps in a segment; empty: the longest divisor of the season within the horizon and 60 steps; without a season,
    the horizon, within 60 steps and an eighth of the median training part; 1 for all networks but segment."""
    log: bool = False
    """Model the logarithms, for series whose fluctuations grow with their level; all values must be above 0."""
    scaling: Literal["window", "series"] = "window"
    """Scale of the normalisation: the deviation within each window, or within the series' training part."""
    center: Literal["last", "mean"] = "last"
    """What is subtracted from each window: its last value, or its mean (reversible normalisation)."""
    anchor: Literal["center", "season"] = "center"
    """What the network's outputs are added to: that centre, or the values one season before."""
    series_vectors: int = Field(0, ge=0, le=1024)
    """Size of a learned embedding of each training series; 0: none."""
    members: int = Field(1, ge=1, le=32)
    """Ensemble size: networks trained from different seeds whose forecasts are averaged."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout rate before the output layer."""
    point: Literal["median", "mean"] = "median"
    """What is forecast between the intervals: the median, which half of all values exceed, or the mean, whose sum over
    steps and series is right. Where most values are 0, as in sales of spare parts, their median is 0 too."""
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] = Field([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    """Levels of the forecast quantiles, ascending, in pairs around 0.5, which is among them."""
    intervals: Literal["validation", "recent"] = "validation"
    """What prediction intervals are calibrated on: validation windows, or what the run would have forecast
    recently: after its training, in the last 2 horizons or 40 seasons, whichever is longer, as far as the actual values
    are known by then."""
    lower: float | None = None
    """Lower bound of all forecasts, such as 0 for sales."""
    upper: float | None = None
    """Upper bound of all forecasts."""

    @model_validator(mode="after")
    def _fit_together(self) -> "ModelConfig":
        if self.network == "smoothing" and self.segment not in (None, 1):
            raise ValueError("network: smoothing reads single steps. Leave segment out.")
        if self.network == "smoothing" and self.anchor == "season":
            raise ValueError("network: smoothing has a season of its own. Leave anchor out.")
        if self.point == "mean" and self.log:
            raise ValueError("the mean of logarithms is not the logarithm of the mean. Leave point or log out.")
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
    """Read each sequence in both directions and concatenate the states."""


class ForecastTraining(TrainingConfig):
    """How the networks are trained."""

    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Windows per training batch; empty: 8 to 64, so that an epoch has some 40 steps, or more."""
    bucketing: bool = True
    """Has no effect: all windows have the same length."""
    windows: int = Field(20_000, ge=1, le=100_000_000)
    """The most windows per epoch; if there are more, each epoch draws others."""
    refit: bool = True
    """Once the number of epochs is chosen, train again on the training and validation parts together."""


class Config(Stanza):
    """A forecasting run."""

    pipeline: Literal["forecasting"]
    """forecasting"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Random seed."""
    horizon: Steps | str
    """Steps to forecast, or a time such as 3d."""
    season: Steps | Literal["auto"] = "auto"
    """Steps in a season, 1 for none; auto: detected on the training part."""
    data: DataConfig
    """Where the series are."""
    split: SplitConfig = SplitConfig()
    """What is held out for validation and test."""
    model: ModelConfig = ModelConfig()
    """The network and the simple methods that forecast."""
    encoder: ForecastEncoder = ForecastEncoder()
    """The encoder."""
    training: ForecastTraining = ForecastTraining()
    """How the networks are trained."""

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
        names = [data.id] if isinstance(data.id, str) else data.id or []
        static = [name for name in data.static if len(names) < 2 or name not in names]  # a part of names may be both
        named = [*data.known, *data.past, *static, *names, *filter(None, (data.time, data.value))]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"the column {twice[0]!r} is named twice. Remove one.")
        return self
