"""What a user can say about a text classifier."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config import Stanza
from toolkit.stanzas import EncoderConfig, TrainingConfig, is_a_share

Paths = str | Annotated[list[str], Field(min_length=1)]


class DataConfig(Stanza):
    """Where the labelled texts are. Paths are relative to the folder that the command runs in."""

    train: Paths
    """Training file, folder or archive, or a list of them."""
    validation: Paths | float = 0.1
    """Validation files, or the share of the training rows to set aside; everything is chosen on them."""
    test: Paths | float = 0.1
    """Test files, or the share of the training rows to set aside; they are scored once, at the end."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "folder", "lines"] = "auto"
    """File format; auto: by the file name. lines: on each line the label, a space, the text."""
    header: bool = True
    """Whether CSV and TSV files begin with column names; if not, the columns are "0", "1" and so on."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; empty: detected."""
    text: str = "text"
    """Column of the text."""
    label: str | Annotated[list[str], Field(min_length=2)] = "label"
    """Column of the label, or of several labels; or a list of columns of 0 and 1, one for each label."""
    label_separator: str | None = None
    """Makes the task multi-label: the separator between a row's labels, such as a semicolon; an empty cell has none."""
    label_names: str | None = None
    """File with one label name per line, if the label column holds numbers, counted from 0."""
    out_of_scope: str | None = None
    """The label that means none of the others (out of scope)."""

    _are_shares = field_validator("validation", "test")(is_a_share)

    @model_validator(mode="after")
    def _has_rows_and_labels(self) -> "DataConfig":
        shares = [share for share in (self.validation, self.test) if isinstance(share, float)]
        if sum(shares) >= 1:
            raise ValueError("validation and test are shares that leave no rows to train on. Lower them.")
        several = isinstance(self.label, list)
        if self.text in (self.label if several else [self.label]):
            raise ValueError(f"text and label are the same column, {self.text!r}. Name the one with the labels.")
        if several and (self.label_separator is not None or self.label_names):
            raise ValueError("columns of 0 and 1 need no label_separator and no label_names. Leave them out.")
        return self


class TokensConfig(Stanza):
    """How texts are split into tokens."""

    lowercase: bool = True
    """Lower-case texts, as GloVe's words are."""
    capitals: bool = False
    """Put a marker token before each word that is capitalised or all in capitals, so that lower-casing loses nothing;
    the linear model of model.linear reads the markers too."""
    punctuation: bool = True
    """Keep punctuation marks as tokens of their own; if false, only !, ? and $ are kept."""
    max_tokens: int = Field(256, ge=1, le=100_000)
    """Longer texts are truncated to this many tokens."""
    min_count: int = Field(1, ge=1)
    """Training words that occur less often count as unknown, unless vectors.extra_words adds them."""
    max_words: int = Field(50_000, ge=1, le=2_000_000)
    """The largest vocabulary to take from the training texts."""


class VectorsConfig(Stanza):
    """Where word vectors come from."""

    source: str | None = None
    """File of word vectors, a gensim-data name, or word2vec or fasttext to train them on the training texts; empty:
    random."""
    units: int = Field(100, ge=1, le=2000)
    """Size of a word vector, unless the file determines it."""
    training: Literal["frozen", "tuned", "frozen_then_tuned"] = "tuned"
    """Whether the vectors of training words are fine-tuned."""
    frozen_epochs: int = Field(2, ge=1)
    """For frozen_then_tuned: epochs before fine-tuning begins."""
    ngram_buckets: int = Field(20_000, ge=0, le=10_000_000)
    """Rows in the table of hashed character n-grams, whose learned embeddings are added to each word's vector, so that
    unseen words have one too; 0: no n-grams."""
    extra_words: int = Field(100_000, ge=0)
    """The most words that training lacks to add from the vectors file, the first in the file."""


class ModelConfig(Stanza):
    """What surrounds the encoder: pooling, dropout, ensembles."""

    pooling: list[Literal["last", "mean", "max", "attention"]] = Field(["max", "attention"], min_length=1)
    """How the encoder's outputs become one vector; several are concatenated."""
    word_skip: bool = True
    """Pool over each word's vector as well as its state (RCNN, Lai et al. 2015)."""
    segment: int | None = Field(None, ge=8, le=100_000)
    """Encode long texts in independent segments of this many words; empty: in one piece."""
    members: int = Field(1, ge=1, le=32)
    """Ensemble size: networks trained from different seeds whose logits are averaged; more are better, slower and
    larger."""
    linear: bool = False
    """Average the networks with a TF-IDF logistic regression on words and word pairs, and where rows are few on pieces
    of words too, weighted on validation rows."""
    word_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of words replaced by the unknown word during training."""
    input_dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout rate of word-vector features, the same ones throughout a text."""
    output_dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout rate of the pooled features."""

    @model_validator(mode="after")
    def _last_has_one_end(self) -> "ModelConfig":
        if self.segment and "last" in self.pooling:
            raise ValueError("pooling last needs texts in one piece. Leave segment empty, or pool otherwise.")
        return self


class ClassificationTraining(TrainingConfig):
    """How the networks are trained."""

    batch_size: int = Field(32, ge=1, le=65_536)
    """Rows in a training batch."""
    bucketing: bool = True
    """Batch rows of similar length together, so that little padding is computed."""
    learning_rate: float = Field(2e-3, gt=0, le=10)
    """Peak learning rate of Adam."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all training steps over which the learning rate rises from zero to its peak."""
    monitor: Literal["accuracy", "macro_f1", "loss"] = "accuracy"
    """The validation score that chooses the best epoch; with many labels, accuracy is exact match."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability spread evenly over all labels; with many labels, over yes and no of each."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weight rows inversely to the frequency of their labels, so that all labels count the same."""
    refit: bool = False
    """Once everything is chosen on validation rows, train again on training and validation rows together, for as many
    epochs as were best; takes twice as long, and pays off where rows are few."""


class NoneConfig(Stanza):
    """When to answer none of the above (out-of-scope detection)."""

    score: Literal["max_probability", "entropy", "energy", "centroid"] = "max_probability"
    """The confidence score that is compared with the threshold; entropy only with one label per row."""
    target: Literal["recall", "precision", "keep"] = "keep"
    """What the threshold must reach on validation rows: recall or precision of out-of-scope rows, or the share of
    in-scope rows that keep their labels (keep)."""
    value: float = Field(0.95, gt=0, le=1)
    """The value that target must reach."""


class DecisionConfig(Stanza):
    """How probabilities become labels. All thresholds are fitted on validation rows."""

    cutoff: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] | None = None
    """Besides the best label, give every label that is at least this probable; auto: for the best micro F1."""
    margin: float | None = Field(None, ge=0, lt=1)
    """Besides the best label, give the second best if its probability is at most this much lower."""
    none_of_the_above: NoneConfig | None = None
    """When to give no label; empty: never, or with many labels when none passes its threshold."""


class Config(Stanza):
    """A text classification run."""

    pipeline: Literal["text_classification"]
    """text_classification"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Random seed."""
    data: DataConfig
    """Where the labelled texts are."""
    tokens: TokensConfig = TokensConfig()
    """How texts are split into tokens."""
    vectors: VectorsConfig = VectorsConfig()
    """Where word vectors come from."""
    encoder: EncoderConfig = EncoderConfig()
    """The encoder."""
    model: ModelConfig = ModelConfig()
    """What surrounds the encoder: pooling, dropout, ensembles."""
    training: ClassificationTraining = ClassificationTraining()
    """How the networks are trained."""
    decision: DecisionConfig = DecisionConfig()
    """How probabilities become labels."""
