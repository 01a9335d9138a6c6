"""Several networks, one after the other and once more, without training any."""

import warnings
from types import SimpleNamespace

import pytest

from toolkit.stanzas import TrainingConfig
from toolkit.training.checkpoints import Progress
from toolkit.training.fit import StoppedError
from toolkit.training.members import fit_members, refit_members, steps_told


class Config(SimpleNamespace):
    def model_copy(self, update: dict) -> "Config":
        return Config(**{**vars(self), **update})


def make_config(members: int) -> Config:
    training = TrainingConfig(epochs=20, seconds=60.0, learning_rate=0.5)
    return Config(model=SimpleNamespace(members=members), training=training, seed=3)


def trained(name: str, *, finished: bool = True, best: int = 2) -> tuple[str, Progress]:
    return name, Progress("x", best_epoch=best, finished=finished)


def stopped(*_: object) -> tuple[str, Progress]:
    raise StoppedError("stopped")


def test_as_many_members_as_are_asked_for_are_trained() -> None:
    assert [name for name, _ in fit_members(3, lambda member: trained(str(member)))] == ["0", "1", "2"]


def test_ctrl_c_keeps_the_members_that_there_are() -> None:
    with pytest.warns(UserWarning, match="2 of 3 networks"):
        halfway = fit_members(3, lambda member: trained(str(member), finished=member < 1))
    assert [name for name, _ in halfway] == ["0", "1"]
    with pytest.warns(UserWarning, match="1 of 3 networks"):
        before_an_epoch = fit_members(3, lambda member: stopped() if member else trained("0"))
    assert [name for name, _ in before_an_epoch] == ["0"]
    with pytest.raises(StoppedError):
        fit_members(3, stopped)


def test_members_are_trained_again_for_the_epochs_that_were_best_whatever_the_time() -> None:
    config, seen = make_config(2), []
    members = [trained("a", best=4), trained("b", best=0)]
    again = refit_members(config, members, lambda: "all", lambda *given: seen.append(given) or trained("c"))
    assert again and again.prepared == "all" and [name for name, _ in again.members] == ["c", "c"]
    assert [(each.training.epochs, whole, member) for each, whole, member in seen] == [(5, "all", 0), (1, "all", 1)]
    changed = seen[0][0]
    assert (changed.training.seconds, changed.training.learning_rate, changed.seed) == (None, 0.5, 3)
    assert config.training.epochs == 20


@pytest.mark.parametrize("members", [[trained("a")], [trained("a"), trained("b", finished=False)]])
def test_members_that_are_not_complete_are_not_trained_again(members: list) -> None:
    with pytest.warns(UserWarning, match="no network was trained again"):
        assert refit_members(make_config(2), members, lambda: pytest.fail("it learned"), stopped) is None


def test_where_there_is_no_network_nothing_is_said(recwarn: pytest.WarningsRecorder) -> None:
    assert refit_members(make_config(2), [], lambda: pytest.fail("it learned"), stopped) is None
    assert not recwarn


def test_ctrl_c_in_the_second_training_gives_none() -> None:
    config, members = make_config(2), [trained("a"), trained("b")]
    assert (
        refit_members(config, members, lambda: 0, lambda _, __, member: stopped() if member else trained("a")) is None
    )
    assert refit_members(config, members, lambda: 0, lambda _, __, member: trained("a", finished=member < 1)) is None


@pytest.mark.parametrize("refit", [False, True])
def test_check_counts_the_steps_of_both_trainings(refit: bool) -> None:
    told = steps_told(1_000, SimpleNamespace(epochs=3, refit=refit))
    assert told.startswith("3,000 in all at most")
    assert ("training.refit" in told) == refit


def test_a_training_that_was_stopped_says_so():
    whole, cut = (Progress("f", epoch=3, finished=finished) for finished in (True, False))
    with pytest.warns(UserWarning, match="the last network keeps the best of its 3 epochs"):
        assert len(fit_members(1, lambda _: (None, cut))) == 1
    with warnings.catch_warnings(action="error"):
        assert len(fit_members(2, lambda _: (None, whole))) == 2
