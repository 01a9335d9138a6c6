"""The encoders that one stanza chooses among."""

from typing import Any

from toolkit.layers.encoder import RecurrentEncoder
from toolkit.layers.transformer import TransformerEncoder

Encoder = RecurrentEncoder | TransformerEncoder


def build_encoder(
    *, cell: str, units: int, layers: int, dropout: float, variational: bool, name: str, **recurrent: Any
) -> Encoder:
    """The encoder of a kind of cell, or without: transformer.

    Args:
        recurrent: what else RecurrentEncoder takes, and a Transformer has no choice of.
    """
    shared: dict[str, Any] = {"units": units, "layers": layers, "dropout": dropout, "variational": variational}
    if cell == "transformer":
        return TransformerEncoder(**shared, name=name)
    return RecurrentEncoder(cell=cell, **shared, **recurrent, name=name)
