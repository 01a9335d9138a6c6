"""What is known of each recurrent cell without its layer, which is in `toolkit.layers.recurrent`. Imports nothing."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A cell.

    Attributes:
        title: as people call it.
        blocks: what the columns of its weights are for, `units` of them each, in Keras' order; all but a candidate are
            gates.
        states: arrays that it carries from step to step, (units,) each.
        operator, order, attributes: of ONNX' operator, where those blocks stand in its order, and what it is told.
    """

    title: str
    blocks: tuple[str, ...]
    states: int
    operator: str
    order: tuple[int, ...]
    attributes: Mapping[str, Any] = {}

    @property
    def gates(self) -> tuple[str, ...]:
        """Those of its blocks that are from 0 to 1."""
        return tuple(block for block in self.blocks if block != "candidate")


CELLS = {
    "rnn": Cell("vanilla RNN", ("candidate",), 1, "RNN", (0,)),
    "gru": Cell("GRU", ("update", "reset", "candidate"), 1, "GRU", (0, 1, 2), {"linear_before_reset": 1}),
    "lstm": Cell("LSTM", ("input", "forget", "candidate", "output"), 2, "LSTM", (0, 3, 1, 2)),
}
