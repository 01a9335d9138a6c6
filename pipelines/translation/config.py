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
    """How many pairs to generate."""


class DataConfig(Stanza):
    """Where the text pairs are. Paths are relative to the folder that the command runs in."""

    train: Paths | None = None
    """Training file or list of files: a table, or two parallel files as train.{en,de}.gz, the source first."""
    phrases: PhrasesConfig | None = None
    """Generate pairs instead of reading them."""
    validation: Paths | float = 0.1
    """Validation files, or the share of the training pairs to set aside; everything is chosen on them."""
    test: Paths | float = 0.1
    """Test files, or the share of the training pairs to set aside; they are scored once, at the end."""
    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet"] = "auto"
    """Table format; auto: by the file name."""
    header: bool = True
    """Whether CSV and TSV files begin with column names; if not, the columns are "0", "1" and so on."""
    encoding: str | None = None
    """Text encoding, such as utf-8 or latin-1; empty: detected."""
    source: str = "source"
    """Column of the texts to translate."""
    target: str = "target"
    """Column of the translations; a list in it holds several references."""
    layout: bool = False
    """Keep line breaks and levels of indentation, as code needs; if false, every text becomes one line."""
    database: str | None = None
    """SQLite file to execute target queries on, for execution accuracy; opened read-only."""

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
    """How texts are split into pieces (sub-words, words or characters) and joined again."""

    kind: Literal["bpe", "unigram", "words", "dotted", "characters"] = "bpe"
    """Sub-words (bpe or unigram), whole words and punctuation (words), the same with names such as table.column in one
    piece (dotted), or characters."""
    vocabulary: int = Field(8000, ge=10, le=1_000_000)
    """Largest vocabulary per side."""
    joint: bool = True
    """One vocabulary for both sides."""
    lowercase_source: bool = False
    """Lower-case the source; the target keeps its case."""
    min_count: int = Field(1, ge=1)
    """Words or characters that occur less often count as unknown."""
    merge_count: int = Field(0, ge=0, le=1_000_000)
    """Target words that occur together at least this often are merged into one piece, so that fixed phrases, as in
    queries, are one step of the decoder; words that can be copied stay apart. 0: no merges. For words and dotted, with
    joint: false."""
    max_source: int = Field(100, ge=1, le=10_000)
    """The most pieces of a source to read at once; long_sources decides what happens to longer ones."""
    max_target: int = Field(100, ge=1, le=10_000)
    """The most pieces to generate; training pairs with a longer target are left out."""
    long_sources: Literal["truncate", "split"] = "truncate"
    """What happens to a longer source, or one of more sentences than nearly all of training have: truncate what is too
    long, or split it and translate the parts one after the other."""

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
    """Size of the hidden state per direction; of a transformer, the model size, in attention heads of at least 32."""


class DecoderConfig(Stanza):
    """The recurrent decoder."""

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The recurrent cell: rnn, lstm or gru."""
    units: int = Field(256, ge=1, le=4096)
    """Size of the hidden state."""
    layers: int = Field(1, ge=1, le=16)
    """Number of stacked recurrent layers."""
    attention: Literal["none", "bahdanau", "dot", "general"] = "bahdanau"
    """Attention score; none: the decoder sees nothing of the source but the encoder's final state."""
    attend_from: Literal["top", "bottom"] = "top"
    """The decoder layer whose state is the query; bottom: all layers above read the context vector, as in GNMT."""
    input_feeding: bool = True
    """Feed each step's attention into the next (Luong et al. 2015); if false, training is parallel over time."""
    residual: bool = False
    """Add each layer's input to its output, from the third layer on."""
    normalization: Literal["none", "layer"] = "none"
    """Layer normalisation of each layer's output: none or layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate between layers, and of the attention that is fed back."""


class VectorsConfig(Stanza):
    """Pre-trained word vectors to start from, for kind: words and dotted."""

    source: str | None = None
    """File of word vectors, or gensim-data name, for the source side; empty: random."""
    extra_words: int = Field(0, ge=0, le=500_000)
    """The most source words that training lacks to add from the vectors file, the first in the file, so that an unseen
    word is read like others of similar meaning. Words are added as the file writes them: where it has lower-case words
    alone, as GloVe's files do, set tokens.lowercase_source."""
    target: str | None = None
    """The same for the target side."""


class ModelConfig(Stanza):
    """What surrounds encoder and decoder: embeddings, copying, dropout, ensembles."""

    embedding: int = Field(256, ge=1, le=4096)
    """Size of the embedding of a piece."""
    tie: Literal["none", "output", "all"] = "none"
    """Weight tying: share the target embeddings with the output layer (output), and the source embeddings too (all)."""
    copy_words: bool = False
    """Let the decoder copy pieces of the source, in the vocabulary or not (pointer-generator network)."""
    value_columns: bool = False
    """Read words of the source that are values in data.database as the columns that hold them; needs copy_words."""
    word_forms: bool = False
    """Embed how each source word is written (small, Capital, CAPITALS, digits) as well as the word, so that rare and
    unknown names and numbers are recognised as such."""
    members: int = Field(1, ge=1, le=16)
    """Ensemble size: networks trained from different seeds whose probabilities are averaged; more are better, slower
    and larger."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout rate of the embeddings and before the output layer."""
    word_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the input pieces of encoder and decoder replaced by the unknown piece during training."""


class TranslationTraining(TrainingConfig):
    """How the networks are trained."""

    batch_tokens: int = Field(1024, ge=1, le=1_000_000)
    """Target pieces per training batch."""
    compile: bool = False
    """Compile training steps with XLA, which takes some seconds per batch shape: faster for a decoder of several layers
    with input feeding, or where no kernel was built."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target probability spread evenly over all pieces."""
    scheduled_sampling: float = Field(0.0, ge=0, lt=1)
    """Share of the decoder's inputs during training that are its own predictions (Bengio et al. 2015)."""
    concatenate: float = Field(0.0, ge=0, le=10)
    """Data augmentation: add this many pairs per training pair, each two pairs one after the other, which teaches the
    decoder to attend only where it should."""
    monitor: Literal["bleu", "exact_match", "loss"] = "bleu"
    """The validation score that chooses the best epoch; bleu and exact_match are of greedy translations."""
    refit: bool = False
    """Once everything is chosen on validation pairs, train again on training and validation pairs together, for as many
    epochs as were best; takes twice as long, and pays off where pairs are few."""


class SearchConfig(Stanza):
    """How translations are searched for."""

    beam: int = Field(5, ge=1, le=100)
    """Beam size; 1 is greedy search, unless n-grams are blocked."""
    length_penalty: Annotated[float, Field(ge=0, le=10)] | Literal["auto"] = 1.0
    """Alpha of Wu et al. 2016: 0 favours short translations, 1 nearly the best mean log-probability; auto: 1, unless
    another is better on validation pairs by more than chance."""
    coverage_penalty: float = Field(0.0, ge=0, le=10)
    """Beta of the same, for a beam above 1: rewards translations that attend to every source position."""
    block_ngrams: int = Field(0, ge=0, le=20)
    """Never repeat an n-gram of this many pieces; 0: no limit."""
    replace_unknown: bool = True
    """Replace the unknown word by the source word with the highest attention."""


class Config(Stanza):
    """A translation run."""

    pipeline: Literal["translation"]
    """translation"""
    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Random seed."""
    data: DataConfig
    """Where the text pairs are."""
    tokens: TokensConfig = TokensConfig()
    """How texts are split into pieces (sub-words, words or characters) and joined again."""
    vectors: VectorsConfig = VectorsConfig()
    """Pre-trained word vectors to start from."""
    model: ModelConfig = ModelConfig()
    """What surrounds encoder and decoder: embeddings, copying, dropout, ensembles."""
    encoder: TranslationEncoder = TranslationEncoder()
    """The encoder."""
    decoder: DecoderConfig = DecoderConfig()
    """The recurrent decoder."""
    training: TranslationTraining = TranslationTraining()
    """How the networks are trained."""
    search: SearchConfig = SearchConfig()
    """How translations are searched for."""
    compare: list[str] = Field(default_factory=list, max_length=6)
    """Folders of other runs to plot beside this one in the report, such as one without attention."""

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
