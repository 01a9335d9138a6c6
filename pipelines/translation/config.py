"""What a user can say about a translator."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config import Stanza
from toolkit.stanzas import Cell, EncoderConfig, TrainingConfig, is_a_share

Paths = str | Annotated[list[str], Field(min_length=1)]


class PhrasesConfig(Stanza):
    """Pairs that need no file: dates, times, numbers and amounts, written in two languages by Unicode's locale data."""

    source: str = "en"
    """Locale of the source, such as en."""
    target: str = "es"
    """Locale of the target, such as es, fr or hi."""
    rows: int = Field(30_000, ge=100, le=1_000_000)
    """How many pairs to write."""


class DataConfig(Stanza):
    """Where the text pairs are. Paths start at the folder that the command runs in."""

    train: Paths | None = None
    """Training file or list of files: a table, or two parallel files as train.{en,de}.gz, the source first."""
    phrases: PhrasesConfig | None = None
    """Write pairs instead of reading them."""
    validation: Paths | float = 0.1
    """Validation files, or the share of the training pairs to set aside; all choices are made on them."""
    test: Paths | float = 0.1
    """Test files, or the share of the training pairs to set aside; they are scored once, at the end."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet"] = "auto"
    """Table format; auto goes by the file name."""
    header: bool = True
    """Whether CSV and TSV files begin with column names; without, columns are "0", "1" and so on."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; found out when left empty."""
    source: str = "source"
    """Column of the texts to translate."""
    target: str = "target"
    """Column of the translations; a list holds several references."""
    layout: bool = False
    """Keep line breaks and levels of indentation, as code needs them; without, a text is one line."""
    database: str | None = None
    """SQLite file that the targets, queries, are executed on to score them; opened to read only."""

    _are_shares = field_validator("validation", "test")(is_a_share)

    @model_validator(mode="after")
    def _has_pairs(self) -> "DataConfig":
        if (self.train is None) == (self.phrases is None):
            raise ValueError("name the training pairs with either train, a file, or phrases, which writes them.")
        shares = [share for share in (self.validation, self.test) if isinstance(share, float)]
        if sum(shares) >= 1:
            raise ValueError("validation and test are shares that leave no pairs to train on. Lower them.")
        if self.source == self.target:
            raise ValueError(f"source and target are the same column, {self.source!r}. Name the one to translate to.")
        return self


class TokensConfig(Stanza):
    """How texts become pieces, and pieces texts."""

    kind: Literal["bpe", "unigram", "words", "dotted", "characters"] = "bpe"
    """Pieces of words (bpe or unigram), whole words and signs, the same with names such as table.column whole (dotted),
    or characters."""
    vocabulary: int = Field(8000, ge=10, le=1_000_000)
    """The most different pieces of a side."""
    joint: bool = True
    """One vocabulary for both sides."""
    lowercase_source: bool = False
    """Lower-case what is read; what is written keeps its case."""
    min_count: int = Field(1, ge=1)
    """Rarer words or characters count as unknown."""
    merge_count: int = Field(0, ge=0, le=1_000_000)
    """Words of the target that come together at least so often become one piece, but for words that can be copied, so
    that fixed phrases, as of queries, are written at once; 0: none. For words and dotted, with joint: false."""
    max_source: int = Field(100, ge=1, le=10_000)
    """Pieces of a source beyond this many are a case for long_sources."""
    max_target: int = Field(100, ge=1, le=10_000)
    """The most pieces to write; training pairs with a longer target are left out."""
    long_sources: Literal["truncate", "split"] = "truncate"
    """What becomes of a longer source: its rest is not read, or its parts are translated one after the other."""

    @model_validator(mode="after")
    def _sides_have_what_they_need(self) -> "TokensConfig":
        if self.joint and self.lowercase_source:
            raise ValueError("lowercase_source needs a vocabulary for each side. Set joint: false.")
        if self.merge_count and self.kind not in ("words", "dotted"):
            raise ValueError("merge_count joins words. Set kind: words, or dotted for names such as table.column.")
        if self.merge_count and self.joint:
            raise ValueError("merge_count needs a vocabulary for each side. Set joint: false.")
        return self


class TranslationEncoder(EncoderConfig):
    """The encoder."""

    cell: Cell = "gru"
    units: int = Field(256, ge=1, le=4096)
    """Size of the hidden state, for each direction; of a transformer, size of its outputs, with a head for each 32."""


class DecoderConfig(Stanza):
    """The recurrent decoder."""

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The recurrent cell: rnn, lstm or gru."""
    units: int = Field(256, ge=1, le=4096)
    """Size of the hidden state."""
    layers: int = Field(1, ge=1, le=16)
    """How many recurrent layers are stacked."""
    attention: Literal["none", "bahdanau", "dot", "general"] = "bahdanau"
    """How source positions are scored; none: all that is known of the source is the encoder's final state."""
    attend_from: Literal["top", "bottom"] = "top"
    """The layer whose state asks; bottom: all layers above it read the answer, as in GNMT."""
    input_feeding: bool = True
    """Read the last step's attention in the next one; without, training is parallel over the target."""
    residual: bool = False
    """Add each layer's input to its output, from the third layer on."""
    normalization: Literal["none", "layer"] = "none"
    """Normalise each layer's output: none or layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of features dropped between layers and of what is fed back."""


class VectorsConfig(Stanza):
    """Pre-trained word vectors to start from, for kind: words and dotted."""

    source: str | None = None
    """Vectors file or gensim-data name for the source side; empty: random."""
    extra_words: int = Field(0, ge=0, le=500_000)
    """The most words of the source side to know from its vectors alone, the first in the file, so that a word that
    training lacks is read as others of its meaning."""
    target: str | None = None
    """The same for the target side."""


class ModelConfig(Stanza):
    """What surrounds encoder and decoder."""

    embedding: int = Field(256, ge=1, le=4096)
    """Size of the vector of a piece."""
    tie: Literal["none", "output", "all"] = "none"
    """Share vectors: of the target's pieces with the output layer, or with the source's pieces too."""
    copy_words: bool = False
    """Let the decoder copy pieces of the source, known or not (pointer-generator)."""
    value_columns: bool = False
    """Read words of the source that are values in data.database as the columns that hold them; needs copy_words."""
    word_forms: bool = False
    """Read how each word of the source is written (small, Capital, CAPITALS, digits) besides which it is, so that names
    and numbers that are rare or unknown are read as such."""
    members: int = Field(1, ge=1, le=16)
    """Networks trained from different seeds whose probabilities are averaged; more are better, slower and larger."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of features dropped from embedded pieces and before the output layer."""
    word_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of pieces, read or written before, that are replaced by the unknown piece while training."""


class TranslationTraining(TrainingConfig):
    """How weights are fitted."""

    batch_tokens: int = Field(1024, ge=1, le=1_000_000)
    """Target pieces in a training batch."""
    compile: bool = False
    """Compile training steps with XLA, a few seconds for each batch shape: faster where a decoder of several layers
    reads its last attention, or where no kernel was built; nothing else is compiled."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all pieces."""
    scheduled_sampling: float = Field(0.0, ge=0, lt=1)
    """Share of the decoder's inputs that are its own guesses while training."""
    concatenate: float = Field(0.0, ge=0, le=10)
    """For each training pair so many more that are two of them, one after the other, which teaches the decoder to look
    only where it should."""
    monitor: Literal["bleu", "exact_match", "loss"] = "bleu"
    """The validation score that chooses the best epoch; bleu and exact_match are of greedy translations."""
    refit: bool = False
    """Once all choices are made on validation pairs, train again on training and validation pairs together, as many
    epochs as were best; takes twice as long, and is worth it where pairs are few."""


class SearchConfig(Stanza):
    """How translations are looked for."""

    beam: int = Field(5, ge=1, le=100)
    """Hypotheses that go on together; 1 is greedy, but where n-grams are blocked."""
    length_penalty: Annotated[float, Field(ge=0, le=10)] | Literal["auto"] = 1.0
    """Alpha of Wu et al. 2016: 0 prefers short translations, 1 about the best mean; auto: chosen on validation."""
    coverage_penalty: float = Field(0.0, ge=0, le=10)
    """Beta of the same, of a beam above 1: asks for every source position to be looked at."""
    block_ngrams: int = Field(0, ge=0, le=20)
    """Write no sequence of so many pieces twice; 0: allow it."""
    replace_unknown: bool = True
    """Write the source word that was looked at most where the unknown word would stand."""


class Config(Stanza):
    """A translation run."""

    pipeline: Literal["translation"]
    """translation"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Of every random choice."""
    data: DataConfig
    """Where the text pairs are."""
    tokens: TokensConfig = TokensConfig()
    """How texts become pieces, and pieces texts."""
    vectors: VectorsConfig = VectorsConfig()
    """Pre-trained word vectors to start from."""
    model: ModelConfig = ModelConfig()
    """What surrounds encoder and decoder."""
    encoder: TranslationEncoder = TranslationEncoder()
    """The encoder."""
    decoder: DecoderConfig = DecoderConfig()
    """The recurrent decoder."""
    training: TranslationTraining = TranslationTraining()
    """How weights are fitted."""
    search: SearchConfig = SearchConfig()
    """How translations are looked for."""
    compare: list[str] = Field(default_factory=list, max_length=6)
    """Folders of other runs to draw beside this one in the report, such as one without attention."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Config":
        if self.data.layout and self.tokens.long_sources == "split":
            raise ValueError("data.layout is of whole texts. Set tokens.long_sources: truncate.")
        attends = self.decoder.attention != "none"
        for wanted, needs in (
            (self.model.copy_words, "model.copy_words"),
            (self.search.coverage_penalty > 0, "search.coverage_penalty"),
            (self.decoder.attend_from == "bottom", "decoder.attend_from: bottom"),
        ):
            if wanted and not attends:
                raise ValueError(f"{needs} needs attention. Set decoder.attention.")
        if self.model.value_columns and not (self.model.copy_words and self.data.database):
            raise ValueError("model.value_columns needs data.database, and model.copy_words to write the values.")
        if (self.model.value_columns or self.model.word_forms) and self.tokens.kind not in ("words", "dotted"):
            raise ValueError(
                "model.value_columns and model.word_forms are of words. Set tokens.kind: words, or dotted."
            )
        if self.decoder.attention == "dot" and self.decoder.units != self.encoder.width:
            raise ValueError(
                f"decoder.attention: dot needs decoder.units ({self.decoder.units}) to be the width of the encoder"
                f" ({self.encoder.width}). Use general."
            )
        if self.model.tie != "none" and self.decoder.units != self.model.embedding:
            raise ValueError("model.tie needs model.embedding and decoder.units to be the same number.")
        if self.model.tie == "all" and not self.tokens.joint:
            raise ValueError("model.tie: all needs one vocabulary for both sides. Set tokens.joint: true.")
        if self.model.tie == "all" and self.vectors.source and self.vectors.target:
            raise ValueError("model.tie: all has one table of vectors. Leave out vectors.source or vectors.target.")
        if (self.vectors.source or self.vectors.target) and self.tokens.kind not in ("words", "dotted"):
            raise ValueError("vectors are of words. Set tokens.kind: words.")
        if self.vectors.extra_words and (self.tokens.joint or not self.vectors.source):
            raise ValueError("vectors.extra_words needs vectors.source, and tokens.joint: false.")
        return self
