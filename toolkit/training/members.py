"""Several networks from seeds of their own: one after the other, and once more on more rows."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from toolkit.training.checkpoints import Progress
from toolkit.training.fit import StoppedError

Network = TypeVar("Network")
Config = TypeVar("Config", bound=Any)
Trained = tuple[Network, Progress]


def fit_members(count: int, fit: Callable[[int], Trained[Network]]) -> list[Trained[Network]]:
    """What `fit` gives for each member's number; after Ctrl-C those members that there are.

    Raises:
        StoppedError: there is none.
    """
    members: list[Trained[Network]] = []
    for member in range(count):
        try:
            members.append(fit(member))
        except StoppedError:
            if not members:
                raise
            break
        if not members[-1][1].finished:
            break
    return members


def complete(members: Sequence[Trained[Network]], count: int) -> bool:
    """Whether there are so many, and Ctrl-C did not end the last."""
    return len(members) == count and members[-1][1].finished


def refit_members(
    members: Sequence[Trained[Network]], fit: Callable[[int, int], Trained[Network]]
) -> list[Trained[Network]] | None:
    """As many again: what `fit` gives for a member's number and the epochs after which it was best.

    None after Ctrl-C, when the members that there are must do.
    """
    again: list[Trained[Network]] = []
    for member, (_, progress) in enumerate(members):
        try:
            again.append(fit(member, progress.best_epoch + 1))
        except StoppedError:
            return None
        if not again[-1][1].finished:
            return None
    return again


def lasting(config: Config, epochs: int) -> Config:
    """A pipeline's config with so many epochs of training, however long they take."""
    training = config.training.model_copy(update={"epochs": epochs, "seconds": None})
    return config.model_copy(update={"training": training})


def steps_told(steps: int, training: Any) -> str:
    """How many steps all epochs of one network are, said in `check`."""
    again = ", then as many again with all that was held back (training.refit)" if training.refit else ""
    return f"{steps * training.epochs:,} in all at most{again}"
