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
        description="The recurrent cell: rnn, lstm or gru; transformer: self-attention in its place, which reads from"
        " both ends, with residual connections and layer normalisation, whatever the keys for these say."
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
    """Size of the hidden state, for each direction; of a transformer, size of its outputs, with a head for each 32."""
    layers: int = Field(1, ge=1, le=16)
    """How many layers, or blocks of a transformer, are stacked."""
    bidirectional: bool | Literal["first"] = True
    """Read each sequence from both ends and concatenate the states; first: in the first layer only, as GNMT does."""
    residual: bool = False
    """Add each layer's input to its output, from the second layer on; where only the first is bidirectional, from the
    third."""
    normalization: Literal["none", "layer"] = "none"
    """Normalise each layer's output: none or layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features dropped between layers; of a transformer, from what each of its parts adds."""
    variational: bool = False
    """Use one dropout mask for all steps of a sequence."""

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
    """The most passes over the training data."""
    learning_rate: float = Field(1e-3, gt=0, le=10)
    """The largest step size of Adam."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls from its peak to zero over all epochs: constant (it does not), linear or cosine."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from zero to its peak."""
    weight_decay: float = Field(0.0, ge=0, lt=1)
    """Decoupled weight decay (AdamW)."""
    gradient_clip: float = Field(1.0, gt=0)
    """The largest global norm of a gradient."""
    patience: int = Field(5, ge=1)
    """Stop after this many epochs without a better validation score."""
    average: int = Field(1, ge=1, le=50)
    """Keep the mean of the weights after this many epochs in a row."""
    seconds: float | None = Field(None, gt=0)
    """Begin no epoch after this much training; the learning rate falls by steps or by time, whichever is further on."""
    mixed_precision: Literal["none", "float16", "bfloat16"] = "none"
    """Compute in half precision; worth it on a GPU only."""
    lazy_embeddings: bool = False
    """Update only those rows of an embedding that occur in a batch (TensorFlow only). Faster where the vocabulary is
    large, but not the same as Adam: other rows keep their value and their moments."""
