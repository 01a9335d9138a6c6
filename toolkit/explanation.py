"""What a run answered and what it looked at, and what is read of its first network to tell."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from toolkit.artifact import WEIGHTS, Artifact
from toolkit.config import Stanza
from toolkit.errors import intact
from toolkit.gates import Direction

S = TypeVar("S", bound=Stanza)
NO_GATES = "This encoder is a Transformer, which has no gates."


@dataclass(frozen=True)
class Explanation:
    """What a run answered, and what it looked at.

    Attributes:
        answer: a sentence.
        steps: what the encoder read, as people read it.
        layers: what each layer and direction of the run's first network did.
        parts, effects: what was hidden, one after the other, and how far that moved the answer, (parts,).
        effect: what effects are, such as "fall of the probability of refund".
        hiding: how parts were hidden, and how to read the effects, in sentences.
        attention: (written, steps), or None; `written` is empty where it is one row.
        notes: what else a reader must know, in sentences.
    """

    answer: str
    steps: Sequence[str]
    layers: Sequence[Direction]
    parts: Sequence[str]
    effects: np.ndarray
    effect: str
    hiding: str
    attention: np.ndarray | None = None
    written: Sequence[str] = ()
    notes: Sequence[str] = ()

    def most(self, count: int = 3) -> list[tuple[str, float]]:
        """The parts that moved the answer most, either way."""
        order = np.argsort(-np.abs(self.effects), kind="stable")[:count]
        return [(self.parts[place], float(self.effects[place])) for place in order]


class Vectors(NamedTuple):
    """Sources, such as "a.txt:3", the beginnings of what they hold, vectors (rows, features), and what groups them."""

    sources: list[str]
    texts: list[str]
    vectors: np.ndarray
    groups: list[str]


def read_network(artifact: Artifact, model: type[S]) -> tuple[S, dict[str, np.ndarray]]:
    """The config of a run, and the weights of its first network by name; those of its encoder begin with "encoder/".

    Raises:
        SeqloomError: a file is missing, damaged or foreign.
    """
    config, arrays = artifact.read_config(model), artifact.read_weights()
    # A segmented encoder stands before its encoder's name, with a number that Keras gave it.
    first = re.compile(r"member0/(segmented_encoder\w*/)?")
    return config, {first.sub("", name, count=1): array for name, array in arrays.items() if first.match(name)}


def fitting(folder: str | Path) -> contextlib.AbstractContextManager[None]:
    """Tell what goes wrong with weights of another shape or name as an ArtifactError."""
    return intact("these weights are not those of the run's config", str(Path(folder) / WEIGHTS))
