"""Several networks from seeds of their own: one after the other, and once more on more rows."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from toolkit.stanzas import TrainingConfig
from toolkit.training.checkpoints import Checkpoints, Progress
from toolkit.training.fit import StoppedError, Task, fit
from toolkit.training.watch import Watch

Network = TypeVar("Network")
Whole = TypeVar("Whole")
Config = TypeVar("Config", bound=Any)
Trained = tuple[Network, Progress]


def fit_network(
    network: Network, task: Task, training: TrainingConfig, folder: Path, fingerprint: str, *, choose: bool
) -> Trained[Network]:
    """Train one network, with a line an epoch; without `choose` it keeps its last epoch, not its best.

    Args:
        fingerprint: of all that its weights depend on.
    """
    task = task if choose else replace(task, evaluate=None)
    with Watch(training, task.steps) as watch:
        return network, fit(network, task, training, Checkpoints(folder), fingerprint, watch)


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
    last = members[-1][1]
    if not last.finished:
        warnings.warn(f"stopped: the last network keeps the best of its {last.epoch} epochs.", stacklevel=2)
    if len(members) < count:
        warnings.warn(f"stopped: {len(members)} of {count} networks were trained (model.members).", stacklevel=2)
    return members


class Refitted(NamedTuple, Generic[Network, Whole]):
    """Networks that were trained again, and what they learned from."""

    prepared: Whole
    members: list[Trained[Network]]


@dataclass(frozen=True)
class Fitted(Generic[Network, Whole]):
    """The networks of a run with how their training went, and those that were trained again in their place."""

    members: list[Trained[Network]]
    again: Refitted[Network, Whole] | None = None

    @property
    def networks(self) -> list[Network]:
        """Those that the run keeps."""
        return networks_of(self.again.members if self.again else self.members)

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch in which there was something to choose."""
        return [{"member": i, **row} for i, (_, progress) in enumerate(self.members, 1) for row in progress.history]

    @property
    def seconds(self) -> float:
        return sum(progress.seconds for _, progress in [*self.members, *(self.again.members if self.again else [])])


def networks_of(members: Sequence[Trained[Network]]) -> list[Network]:
    return [network for network, _ in members]


def refit_members(
    config: Config,
    members: Sequence[Trained[Network]],
    learn: Callable[[], Whole],
    fit: Callable[[Config, Whole, int], Trained[Network]],
) -> Refitted[Network, Whole] | None:
    """As many again, each for the epochs after which it was best, however long they take.

    None after Ctrl-C, then or before, with a warning, when the members that there are must do.

    Args:
        config: of a pipeline; `fit` is given it with those epochs.
        learn: gives what `fit` is to learn from, the validation part included.
        fit: is given the config, that, and the member's number.
    """
    if len(members) == config.model.members and members[-1][1].finished:
        whole, again = learn(), list[Trained[Network]]()
        with contextlib.suppress(StoppedError):
            for member, (_, progress) in enumerate(members):
                training = config.training.model_copy(update={"epochs": progress.best_epoch + 1, "seconds": None})
                again.append(fit(config.model_copy(update={"training": training}), whole, member))
                if not again[-1][1].finished:
                    break
            else:
                return Refitted(whole, again)
    if members:
        warnings.warn("stopped: no network was trained again (training.refit).", stacklevel=2)
    return None


def memory_told(floats: float) -> str:
    """How much memory training takes, roughly, said in `check`; of the libraries, TensorFlow takes most.

    Args:
        floats: how many numbers it keeps.
    """
    return f"about {4e-6 * floats:,.0f} MB to train, beside the data and some 1,000 MB for libraries"


def steps_told(steps: int, training: Any) -> str:
    """How many steps all epochs of one network are, said in `check`."""
    again = ", then as many epochs again with the validation part (training.refit)" if training.refit else ""
    return f"{steps * training.epochs:,} in all at most{again}"
