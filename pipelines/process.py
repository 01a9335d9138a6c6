"""What surrounds a command: its streams and signals, how it ends, and how Keras starts."""

import atexit
import contextlib
import gc
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import typer

from toolkit.errors import SeqloomError

STOPPED = 130  # exit code after Ctrl-C


def run_app(app: typer.Typer) -> int:
    """Run a command; returns the exit code. A mistake that the user can mend is told in a sentence."""
    _open_closed_streams()
    stopped: list[int] = []

    def stop(number: int, _: Any) -> None:
        stopped.append(128 + number)
        sys.exit(stopped[0])

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # which would leave half-written files behind
            signal.signal(number, stop)
    warnings.showwarning = _tell_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # labels and file names may hold what its encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # what Typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        sys.stdout.flush()
    except typer.Exit as end:
        code = end.exit_code
    except BrokenPipeError:  # its reader went away, as in `seqloom ... | head`
        code = 1
    except SystemExit as end:  # how Typer ends a command in the same case
        code = int(end.code or 0)
    except BaseException as error:
        if "SEQLOOM_DEBUG" in os.environ:
            raise
        code = stopped[0] if stopped else _tell(error)  # a library whose import was stopped may say that it is broken
    return code or 0


def leave(code: int) -> NoReturn:
    """End the process with what its end needs and no more: to take apart all that was loaded costs a short command a
    tenth of its time."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # which was told
            stream.flush()
    os._exit(code)


def _open_closed_streams() -> None:
    """A standard stream that is closed is empty, and not the next file that is opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the least number that is free
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _tell(error: BaseException) -> int:
    """Print what happened; returns the exit code."""
    message, code = f"{type(error).__name__}: {error}", 1
    match error:
        case KeyboardInterrupt() | typer.Abort():
            message, code = "stopped.", STOPPED
        case SeqloomError():
            message, code = str(error), error.exit_code
        case _ if explain := getattr(error, "format_message", None):  # of click, or of the copy that Typer may bring
            message, code = explain(), 2
        case OSError(strerror=str(reason)):
            message = f"{error.filename or 'system'}: {reason}."
        case MemoryError():
            message = "there is not enough memory. To train, lower encoder.units and the size of training's batches."
        case _:
            message += "\nThis should not happen. `seqloom --debug ...` shows where."
    if message:  # of a bare `seqloom`, which has printed its help, there is none
        print(f"seqloom: {message}" if "\n" not in message else message, file=sys.stderr)
    return code


def _tell_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if issubclass(category, UserWarning):
        with contextlib.suppress(OSError):  # of a full disk, say: an answer is worth more than a note beside it
            print(f"note: {message}", file=sys.stderr)


@contextlib.contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Inside an import Ctrl-C may be swallowed, or leave half a module that breaks the run later."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as in a shell's background jobs
        yield
        return
    stops: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: stops.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if stops:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _for_good() -> Iterator[None]:
    """No garbage is looked for among what is made inside, neither meanwhile nor later: among what Keras and TensorFlow
    load, each look takes 0.2 s and finds nothing."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


def use_keras() -> None:
    """Import Keras, on TensorFlow unless KERAS_BACKEND says otherwise, without TensorFlow's start-up log."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message="You are using a softmax over axis")  # of a batch of texts of one word
    if "keras" in sys.modules:
        return
    standard_error = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what is logged before the log is set up goes straight to the file descriptor
    try:
        with ctrl_c_waits(), _for_good():
            import keras  # noqa: F401
    finally:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it would tell of every program that is compiled
        os.dup2(standard_error, 2)
        os.close(standard_error)
