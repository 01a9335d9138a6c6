"""Config stanzas that mean the same in all three pipelines. A field's description is its documentation."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from toolkit.config import Stanza

STATES_PER_WEIGHT = 5  # the weight, its gradient, two moments of Adam and the best so far
FLOATS_PER_UNIT = 24  # kept for the backward pass, for each unit and step of a layer (measured, LSTM)
FLOATS_PER_PAIR = 4  # the same, for each head and pair of steps of self-attention
T = TypeVar("T")
Cell = Annotated[
    Literal["rnn", "lstm", "gru", "transformer"],
    Field(
        description="The recurrent cell: rnn, lstm or gru; transformer: self-attention instead, bidirectional, with"
        " residual connections and layer normalisation, whatever the keys for these say."
    ),
]


def is_a_share(value: T) -> T:
    """Validates what may be files, steps or a share."""
    if isinstance(value, float) and not 0 < value < 1:
        raise ValueError(f"{value:g} is not a share between 0 and 1, such as 0.1.")
    return value


class EncoderConfig(Stanza):
    """The encoder."""

    cell: Cell = "lstm"
    units: int = Field(128, ge=1, le=4096)
    """Size of the hidden state per direction; of a transformer, the model size, in attention heads of at least 32."""
    layers: int = Field(1, ge=1, le=16)
    """Number of stacked layers, or of transformer blocks."""
    bidirectional: bool | Literal["first"] = True
    """Read each sequence in both directions and concatenate the states; first: in the first layer only, as in GNMT."""
    residual: bool = False
    """Add each layer's input to its output, from the second layer on; where only the first is bidirectional, from the
    third."""
    normalization: Literal["none", "layer"] = "none"
    """Layer normalisation of each layer's output: none or layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout rate between layers; in a transformer, of each residual branch."""
    variational: bool = False
    """Variational dropout: the same mask at all steps of a sequence."""

    @model_validator(mode="after")
    def _transformers_read_from_both_ends(self) -> "EncoderConfig":
        ignored = (True, type(self).model_fields["bidirectional"].default)
        if self.cell == "transformer" and self.bidirectional not in ignored:
            raise ValueError("a transformer reads from both ends. Leave bidirectional out.")
        return self

    @property
    def width(self) -> int:
        """Size of the outputs."""
        if self.cell == "transformer":
            return self.units
        both = self.bidirectional is True or (self.bidirectional == "first" and self.layers == 1)
        return self.units * (2 if both else 1)

    def floats_kept(self, time: int) -> int:
        """How many numbers training keeps of a sequence for its gradient, roughly."""
        if self.cell == "transformer":
            pairs = FLOATS_PER_PAIR * max(self.units // 32, 1) * time
            return time * self.layers * (FLOATS_PER_UNIT * self.units + pairs)
        return time * self.layers * FLOATS_PER_UNIT * self.units * (2 if self.bidirectional else 1)


class TrainingConfig(Stanza):
    """How weights are fitted."""

    epochs: int = Field(20, ge=1, le=10_000)
    """The most epochs, passes over the training data."""
    learning_rate: float = Field(1e-3, gt=0, le=10)
    """Peak learning rate of Adam."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate decays from its peak to zero over all epochs: constant (it does not), linear or cosine."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of all training steps over which the learning rate rises from zero to its peak."""
    weight_decay: float = Field(0.0, ge=0, lt=1)
    """Decoupled weight decay (AdamW)."""
    gradient_clip: float = Field(1.0, gt=0)
    """Gradients are clipped to this global norm."""
    patience: int = Field(5, ge=1)
    """Early stopping: end after this many epochs without a better validation score or a lower validation loss."""
    average: int = Field(1, ge=1, le=50)
    """Weight averaging: validate and keep the mean of the weights of the last so many epochs; 1: no averaging."""
    seconds: float | None = Field(None, gt=0)
    """Start no epoch after this many seconds of training; the learning rate then decays by steps or by time, whichever
    is further on."""
    mixed_precision: Literal["none", "float16", "bfloat16"] = "none"
    """Train in mixed half precision; only worth it on a GPU."""
    lazy_embeddings: bool = False
    """Update only the embedding rows that occur in the batch (lazy Adam; TensorFlow only). Faster with a large
    vocabulary, but not quite Adam: other rows and their moments stay as they are."""
