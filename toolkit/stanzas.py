"""Config stanzas that mean the same in all three pipelines. A field's description is its documentation."""

from typing import Literal

from pydantic import Field

from toolkit.config import Stanza


class EncoderConfig(Stanza):
    """The recurrent encoder."""

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The recurrent cell: rnn, lstm or gru."""
    units: int = Field(128, ge=1, le=4096)
    """Size of the hidden state, for each direction."""
    layers: int = Field(1, ge=1, le=16)
    """How many recurrent layers are stacked."""
    bidirectional: bool | Literal["first"] = True
    """Read each sequence from both ends and concatenate the states; first: in the first layer only, as GNMT does."""
    residual: bool = False
    """Add each layer's input to its output, from the second layer on; where only the first is bidirectional, from the
    third."""
    normalization: Literal["none", "layer"] = "none"
    """Normalise each layer's output: none or layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features dropped between layers."""
    variational: bool = False
    """Use one dropout mask for all steps of a sequence."""


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
    seconds: float | None = Field(None, gt=0)
    """Begin no epoch after this much training; the learning rate falls by steps or by time, whichever is further on."""
    mixed_precision: Literal["none", "float16", "bfloat16"] = "none"
    """Compute in half precision; worth it on a GPU only."""


class RowTraining(TrainingConfig):
    """How weights are fitted, from batches of so many rows."""

    batch_size: int = Field(32, ge=1, le=65_536)
    """Rows in a training batch."""
    bucketing: bool = True
    """Put rows of like length into a batch, so that little padding is computed."""
