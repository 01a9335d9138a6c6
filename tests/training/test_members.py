"""Several networks, one after the other and once more, without training any."""

from types import SimpleNamespace

import pytest

from toolkit.stanzas import TrainingConfig
from toolkit.training.checkpoints import Progress
from toolkit.training.fit import StoppedError
from toolkit.training.members import complete, fit_members, lasting, refit_members, steps_told


def trained(name: str, *, finished: bool = True, best: int = 2) -> tuple[str, Progress]:
    return name, Progress("x", best_epoch=best, finished=finished)


def stopped(*_: int) -> tuple[str, Progress]:
    raise StoppedError("stopped")


def test_as_many_members_as_are_asked_for_are_trained() -> None:
    members = fit_members(3, lambda member: trained(str(member)))
    assert [name for name, _ in members] == ["0", "1", "2"]
    assert complete(members, 3) and not complete(members, 4) and not complete([], 1)


def test_ctrl_c_keeps_the_members_that_there_are() -> None:
    halfway = fit_members(3, lambda member: trained(str(member), finished=member < 1))
    assert [name for name, _ in halfway] == ["0", "1"]
    assert not complete(halfway, 2)
    before_an_epoch = fit_members(3, lambda member: stopped() if member else trained("0"))
    assert [name for name, _ in before_an_epoch] == ["0"]
    with pytest.raises(StoppedError):
        fit_members(3, stopped)


def test_members_are_trained_again_for_the_epochs_that_were_best() -> None:
    members = [trained("a", best=4), trained("b", best=0)]
    again = refit_members(members, lambda member, epochs: trained(f"{member} for {epochs}"))
    assert again and [name for name, _ in again] == ["0 for 5", "1 for 1"]


def test_ctrl_c_in_the_second_training_gives_none() -> None:
    members = [trained("a"), trained("b")]
    assert refit_members(members, lambda member, _: stopped() if member else trained("a")) is None
    assert refit_members(members, lambda member, _: trained("a", finished=member < 1)) is None


def test_a_second_training_takes_its_epochs_whatever_the_time() -> None:
    class Config(SimpleNamespace):
        def model_copy(self, update: dict) -> "Config":
            return Config(**{**vars(self), **update})

    config = Config(training=TrainingConfig(epochs=20, seconds=60.0, learning_rate=0.5), seed=3)
    changed = lasting(config, 7)
    assert (changed.training.epochs, changed.training.seconds, changed.training.learning_rate) == (7, None, 0.5)
    assert (changed.seed, config.training.epochs) == (3, 20)


@pytest.mark.parametrize("refit", [False, True])
def test_check_counts_the_steps_of_both_trainings(refit: bool) -> None:
    told = steps_told(1_000, SimpleNamespace(epochs=3, refit=refit))
    assert told.startswith("3,000 in all at most")
    assert ("training.refit" in told) == refit
