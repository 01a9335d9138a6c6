"""What a user can say about a text classifier."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config import Stanza
from toolkit.stanzas import EncoderConfig, TrainingConfig, is_a_share

Paths = str | Annotated[list[str], Field(min_length=1)]


class DataConfig(Stanza):
    """Where the labelled texts are. Paths start at the folder that the command runs in."""

    train: Paths
    """Training file, folder or archive, or a list of them."""
    validation: Paths | float = 0.1
    """Validation files, or the share of the training rows to set aside; all choices are made on them."""
    test: Paths | float = 0.1
    """Test files, or the share of the training rows to set aside; they are scored once, at the end."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "folder", "lines"] = "auto"
    """File format; auto goes by the file name. lines: the label, a space, the text."""
    header: bool = True
    """Whether CSV and TSV files begin with column names; without, columns are "0", "1" and so on."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; found out when left empty."""
    text: str = "text"
    """Column of the text."""
    label: str = "label"
    """Column of the label or labels."""
    label_separator: str | None = None
    """What stands between labels when a row may have many, such as a semicolon; an empty cell has none."""
    label_names: str | None = None
    """File with a label a line, when the label column holds their numbers, counted from 0."""
    out_of_scope: str | None = None
    """The label that means none of the others."""

    _are_shares = field_validator("validation", "test")(is_a_share)

    @model_validator(mode="after")
    def _shares_leave_rows(self) -> "DataConfig":
        shares = [share for share in (self.validation, self.test) if isinstance(share, float)]
        if sum(shares) >= 1:
            raise ValueError("validation and test are shares that leave no rows to train on. Lower them.")
        return self


class TokensConfig(Stanza):
    """How texts become words."""

    lowercase: bool = True
    """Lower-case texts; GloVe's words are."""
    capitals: bool = False
    """Read a sign before each word that has a capital, or is in capitals, so that lower-case words keep what these
    tell; the linear model of model.linear reads them too."""
    punctuation: bool = True
    """Read commas and other signs as words of their own; without, only !, ? and $ are."""
    max_tokens: int = Field(256, ge=1, le=100_000)
    """Words beyond this many are not read."""
    min_count: int = Field(1, ge=1)
    """Rarer words of the training texts count as unknown, unless the vectors know them."""
    max_words: int = Field(50_000, ge=1, le=2_000_000)
    """The most words of the training texts to keep."""


class VectorsConfig(Stanza):
    """Where word vectors come from."""

    source: str | None = None
    """Vectors file, a gensim-data name, or word2vec or fasttext to train them on the training texts; empty: random."""
    units: int = Field(100, ge=1, le=2000)
    """Size of a word vector where it is not given by the file."""
    training: Literal["frozen", "tuned", "frozen_then_tuned"] = "tuned"
    """Whether the vectors of training words change."""
    frozen_epochs: int = Field(2, ge=1)
    """For frozen_then_tuned: epochs before they do."""
    ngram_buckets: int = Field(20_000, ge=0, le=10_000_000)
    """Rows of hashed character n-grams, learned and added to each word's vector, so that words never seen have one too;
    0: no n-grams."""
    extra_words: int = Field(100_000, ge=0)
    """The most words to know from the vectors file alone, the first in the file."""


class ModelConfig(Stanza):
    """What surrounds the encoder."""

    pooling: list[Literal["last", "mean", "max", "attention"]] = Field(["max", "attention"], min_length=1)
    """Summaries of the encoder's outputs that the classifier reads, one or more."""
    word_skip: bool = True
    """Let pooling read each word's vector beside its state (RCNN, Lai et al. 2015)."""
    segment: int | None = Field(None, ge=8, le=100_000)
    """Read long texts in independent pieces of this many words; empty: in one piece."""
    members: int = Field(1, ge=1, le=32)
    """Networks trained from different seeds whose logits are averaged; more are better, slower and larger."""
    linear: bool = False
    """Average the networks with a linear model of words and pairs of words, weighed on validation rows."""
    word_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of words replaced by the unknown word while training."""
    input_dropout: float = Field(0.3, ge=0, lt=1)
    """Share of vector features dropped from a whole text while training."""
    output_dropout: float = Field(0.5, ge=0, lt=1)
    """Share of pooled features dropped while training."""

    @model_validator(mode="after")
    def _last_has_one_end(self) -> "ModelConfig":
        if self.segment and "last" in self.pooling:
            raise ValueError("pooling last needs texts in one piece. Leave segment empty, or pool otherwise.")
        return self


class ClassificationTraining(TrainingConfig):
    """How weights are fitted."""

    batch_size: int = Field(32, ge=1, le=65_536)
    """Rows in a training batch."""
    bucketing: bool = True
    """Put rows of like length into a batch, so that little padding is computed."""
    learning_rate: float = Field(2e-3, gt=0, le=10)
    """The largest step size of Adam."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from zero to its peak."""
    monitor: Literal["accuracy", "macro_f1", "loss"] = "accuracy"
    """The validation score that chooses the best epoch; accuracy with many labels is exact match."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread over all labels."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: rare labels weigh more, so that each label weighs the same in all."""
    refit: bool = False
    """Once all choices are made on validation rows, train again on training and validation rows together, as many
    epochs as were best; takes twice as long, and is worth it where rows are few."""


class NoneConfig(Stanza):
    """When to answer none of the above."""

    score: Literal["max_probability", "entropy", "energy", "centroid"] = "max_probability"
    """What is compared with the threshold; entropy for one label a row only."""
    target: Literal["recall", "precision", "keep"] = "keep"
    """What the threshold must reach on validation rows: recall or precision of out-of-scope rows, or the share of
    other rows that keep their labels."""
    value: float = Field(0.95, gt=0, le=1)
    """How much of it."""


class DecisionConfig(Stanza):
    """From probabilities to labels. All thresholds are fitted on validation rows."""

    cutoff: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] | None = None
    """Besides the best label, give every label that is at least this probable; auto: what gives the best micro F1."""
    margin: float | None = Field(None, ge=0, lt=1)
    """Besides the best label, give every label at most this behind it."""
    none_of_the_above: NoneConfig | None = None
    """When to give no label; empty: never (with many labels: when none passes its threshold)."""


class Config(Stanza):
    """A text classification run."""

    pipeline: Literal["text_classification"]
    """text_classification"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Of every random choice."""
    data: DataConfig
    """Where the labelled texts are."""
    tokens: TokensConfig = TokensConfig()
    """How texts become words."""
    vectors: VectorsConfig = VectorsConfig()
    """Where word vectors come from."""
    encoder: EncoderConfig = EncoderConfig()
    """The encoder."""
    model: ModelConfig = ModelConfig()
    """What surrounds the encoder."""
    training: ClassificationTraining = ClassificationTraining()
    """How weights are fitted."""
    decision: DecisionConfig = DecisionConfig()
    """From probabilities to labels."""
