"""Errors that users see as one sentence instead of a traceback."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

COPY_AGAIN = "Copy the whole run folder again, or train again."


class SeqloomError(Exception):
    """Something that the user can mend: where it is, what was found, what was expected and what to do.

    Args:
        message: what was found and what was expected, as a sentence.
        where: the place, such as `data.csv:14` or `my.yaml:3`.
        mend: what to do about it, as a sentence.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, mend: str | None = None):
        parts = (f"{where}:" if where else "", message, mend or "")
        super().__init__(" ".join(part for part in parts if part))


class ConfigError(SeqloomError):
    """A config or command line that cannot be used."""

    exit_code = 2


class DataError(SeqloomError):
    """A data file that cannot be used."""


class ArtifactError(SeqloomError):
    """A run folder that is damaged, foreign or of another version."""


def try_all(attempts: Iterable[Callable[[], object]]) -> None:
    """Call all of them, so that all that is broken is told at once. Warnings are not: what comes later repeats them.

    Raises: a SeqloomError with a line for each that was raised, of the kind of the worst.
    """
    problems = []
    with warnings.catch_warnings(action="ignore"):
        for attempt in attempts:
            try:
                attempt()
            except SeqloomError as error:
                problems.append(error)
    if problems:
        worst = max(problems, key=lambda error: error.exit_code)
        raise type(worst)("\n".join(dict.fromkeys(map(str, problems))))


@contextmanager
def intact(damage: str, where: str) -> Iterator[None]:
    """Tell what goes wrong with the content of a run's file as an ArtifactError, after the sentence `damage`."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ArtifactError(f"{damage}: {error}.", where=where, mend=COPY_AGAIN) from error


def expect(condition: bool, expectation: str) -> None:
    """Raises ValueError unless the condition holds; see `intact`."""
    if not condition:
        raise ValueError(expectation)
