"""A run's folder: written so that half of it is never mistaken for the whole, and checked before it is read."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import numpy as np

from toolkit.data.files import split_part
from toolkit.errors import COPY_AGAIN, ArtifactError, ConfigError, SeqloomError, intact
from toolkit.stored import from_json, to_json

if TYPE_CHECKING:
    from toolkit.config import Stanza

Config = TypeVar("Config", bound="Stanza")
SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 16 << 20  # bytes
WEIGHTS = "weights.safetensors"  # to fine-tune and to look into
OTHER_NAME = "Choose another name."
_STATE = re.compile(r"\..*|epoch\d+\.(json|safetensors)")  # of `Checkpoints`, or what a killed write left
GOES_ON = "What `seqloom run` began goes on with --resume."  # what `forecast` or `update` began does not
FREE_SPACE = f"Free some space and run again. {GOES_ON}"


def _mode(path: Path) -> int:
    """Permissions of a file that takes the name `path`: those of the one that stands there, or of any new file."""
    if path.exists():
        return path.stat().st_mode & 0o777
    os.umask(umask := os.umask(0o077))  # there is no other way to ask for it
    return 0o666 & ~umask


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file of a run, or nothing. A link in a run folder is replaced: it may be a stranger's.

    Raises:
        SeqloomError: the disk is full or the folder cannot be written; what stood at `path` is still there.
    """
    with _replaced(path, "wb") as stream:
        stream.write(data)


def write_output(out: Path, data: bytes | memoryview | str) -> None:
    """Write a whole file that a user names, or nothing; see `opened`.

    Raises:
        SeqloomError: as for `write_bytes`.
    """
    with _replaced(out, "wb", follow=True) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextlib.contextmanager
def _replaced(path: Path, mode: str, *, follow: bool = False, **options: Any) -> Iterator[Any]:
    """A new file beside `path` that takes its name once it is whole and on the disk.

    Args:
        follow: replace what a link leads to, and write to what is no file, such as /dev/null, as it stands.
    """
    temporary = None
    try:
        if follow and path.exists() and not path.is_file():
            with path.open(mode, **options) as stream:
                yield stream
            return
        target = path.resolve() if follow else path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, mode, **options) as stream:
            yield stream
            stream.flush()
            os.fsync(handle)
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except OSError as error:
        mend = FREE_SPACE if error.errno == errno.ENOSPC else None
        raise SeqloomError(f"cannot be written: {error.strerror}.", where=str(path), mend=mend) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write what `json.dumps` takes, or a dataclass that `Artifact.read_stored` reads."""
    write_text(path, json.dumps(to_json(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    write_bytes(path, save({name: np.asarray(array, order="C") for name, array in weights.items()}))


def check_outputs(paths: Iterable[str | Path], *outs: Path | None) -> None:
    """Refuse to write what cannot be written, or what would cost a file: before the work, not after it.

    Raises:
        ConfigError: one of `outs` is read too, or stands in a folder that is, belongs to a finished run, is another of
            them, or is in no folder that can be written.
    """
    given = [out for out in outs if out is not None]
    for out in given:
        try:
            out.resolve()
        except (OSError, RuntimeError):
            raise ConfigError("this link leads to itself.", where=str(out), mend=OTHER_NAME) from None
    read = [path for path in (split_part(str(path))[0] for path in paths) if path.exists()]
    for place, out in enumerate(given):
        if out.resolve() in [other.resolve() for other in given[:place]]:
            raise ConfigError("this is to be written twice.", where=str(out), mend="Give each a name of its own.")
        if out.is_dir():
            raise ConfigError("this is a folder, expected a file.", where=str(out), mend=OTHER_NAME)
        if out.exists() and not out.is_file():  # such as /dev/null
            continue
        above = next(folder for folder in out.resolve().parents if folder.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise ConfigError(f"nothing can be written in {above}.", where=str(out), mend=OTHER_NAME)
        if not out.exists():
            continue
        around = {*out.resolve().parents, *out.absolute().parents}  # of a linked folder, the one and the other
        if any(out.samefile(path) or not around.isdisjoint((path.resolve(), path.absolute())) for path in read):
            raise ConfigError("this is an input too, and would be lost.", where=str(out), mend=OTHER_NAME)
        if out.resolve().name in _parts(out.resolve().parent):
            raise ConfigError("this is a part of a finished run, and would be lost.", where=str(out), mend=OTHER_NAME)


def _parts(folder: Path) -> set[str]:
    """The files of a finished run; none of another folder."""
    with contextlib.suppress(SeqloomError):
        return {MANIFEST, *read_manifest(folder)["files"]}
    return set()


@contextlib.contextmanager
def opened(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that a user names, which appears once it is whole.

    A link stays one, and so does what is no file, such as /dev/null.
    """
    if out is None:
        yield sys.stdout
        return
    with _replaced(out, "w", follow=True, encoding="utf-8", errors="backslashreplace", newline="") as stream:
        yield stream


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name.

    Raises:
        ArtifactError: the file is missing, cut short or not safetensors.
    """
    return _weights_of(_read(path), path)


def _read(path: Path, most: int | None = None) -> bytes:
    """A whole file of a run. A stranger's may be a link to /dev/zero, or a pipe that nobody writes to.

    Raises:
        ArtifactError: it cannot be read, is no file, or has more than `most` bytes.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            state = os.fstat(stream.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ArtifactError("damaged: this is no file.", where=str(path), mend=COPY_AGAIN)
            if most is not None and state.st_size > most:
                told = f"damaged: {state.st_size:,} bytes, expected at most {most:,}."
                raise ArtifactError(told, where=str(path), mend=COPY_AGAIN)
            return stream.read()
    except OSError as error:
        mend = "Copy the whole run folder again."
        raise ArtifactError(f"cannot be read: {error.strerror}.", where=str(path), mend=mend) from error


def _weights_of(data: bytes, path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError) as error:  # KeyError: numbers of a kind that NumPy lacks
        raise ArtifactError(f"these weights cannot be read: {error}.", where=str(path)) from error


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(folder: Path, pipeline: str, facts: Mapping[str, Any]) -> None:
    """Write the manifest, last of all: with it the folder is an artifact."""
    # What begins with a dot is a lock, or was left by a write that was killed.
    names = {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")} - {MANIFEST}
    files = [folder / name for name in sorted(names)]
    for name in (*names, MANIFEST):  # what a write that was killed left
        for left in folder.glob(f".{glob.escape(name)}.????????"):
            left.unlink()
    entries = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "pipeline": pipeline, **facts, "files": entries})


class Artifact:
    """A sealed folder, opened for one pipeline. Each file is checked against the manifest when it is read.

    Raises:
        ArtifactError: no manifest, another version or pipeline, a missing or altered file.
    """

    def __init__(self, folder: str | Path, pipeline: str):
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if self.manifest["pipeline"] != pipeline:
            raise ArtifactError(
                f"this run was made by the {self.manifest['pipeline']} pipeline, expected {pipeline}.",
                where=str(self.folder),
            )

    def read_bytes(self, name: str) -> bytes:
        path, entry = self.folder / name, self.manifest["files"].get(name)
        if entry is None:
            raise ArtifactError(f"{name} is not part of this run.", where=str(self.folder))
        data = _read(path, entry["bytes"])
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise ArtifactError(
                f"damaged: {len(data):,} bytes that do not match the manifest ({entry['bytes']:,} bytes).",
                where=str(path),
                mend=COPY_AGAIN,
            )
        return data

    def read_weights(self, name: str = WEIGHTS) -> dict[str, np.ndarray]:
        return _weights_of(self.read_bytes(name), self.folder / name)

    def read_config(self, model: type[Config]) -> Config:
        """The config that the run was made with."""
        from toolkit.config import parse, validate  # which only some commands need

        text = self.read_bytes("config.yaml").decode("utf-8", "replace")
        return validate(parse(text, str(self.folder / "config.yaml")), model)

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.read_bytes(name))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"this is not JSON: {error}.", where=str(self.folder / name)) from error

    def read_stored(self, name: str, kind: Any) -> Any:
        """A value of the type `kind` from a JSON file; see `from_json`."""
        with intact("this is not what was stored", str(self.folder / name)):
            return from_json(kind, self.read_json(name))


def read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ArtifactError(
            "there is no such run folder.", where=str(folder), mend="Train one with `seqloom run CONFIG --out DIR`."
        )
    path = folder / MANIFEST
    if not path.exists():
        begun = f"Its training did not finish. {GOES_ON}"
        mend = begun if _is_begun(folder) else "Give the folder that `seqloom run` wrote."
        raise ArtifactError(f"there is no {MANIFEST} in this folder.", where=str(folder), mend=mend)
    try:
        manifest = json.loads(_read(path, LARGEST_MANIFEST))
        version, entries = manifest["schema_version"], manifest["files"].values()
        whole = isinstance(manifest["pipeline"], str) and all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str) for entry in entries
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ArtifactError("damaged: this is not a manifest.", where=str(path))
    if version != SCHEMA_VERSION:
        raise ArtifactError(
            f"schema version {version}, expected {SCHEMA_VERSION}.",
            where=str(path),
            mend="Use the version of seqloom that made it, or train again.",
        )
    return manifest


def _is_begun(folder: Path) -> bool:
    """Whether a run was begun here. Other programs call a folder checkpoints too, and theirs would be removed."""
    checkpoints = folder / "checkpoints"
    return checkpoints.is_dir() and all(path.is_dir() or _STATE.fullmatch(path.name) for path in checkpoints.rglob("*"))


def refuse_foreign(folder: Path, resume: bool) -> None:
    """Raise unless the folder is new, empty, or that of a run to go on with."""
    if folder.is_symlink() and not folder.exists():
        raise SeqloomError("this link leads nowhere.", where=str(folder), mend="Choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise SeqloomError("this is a file, expected a folder.", where=str(folder), mend="Choose another folder.")
    if not folder.exists() or (resume and _is_begun(folder)):
        return
    names = {path.name for path in folder.iterdir()} - {".lock"}
    if MANIFEST in names:
        raise SeqloomError("this folder holds a finished run.", where=str(folder), mend="Choose another folder.")
    if names and resume:
        raise SeqloomError("this folder holds no run to go on with.", where=str(folder), mend="Choose another folder.")
    if names:
        mend = "Choose another folder." + (f" {GOES_ON}" if _is_begun(folder) else "")
        raise SeqloomError("this folder is not empty.", where=str(folder), mend=mend)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process alone, so that two runs never write to one folder."""
    import fcntl

    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW  # a link may be a stranger's
        stream = os.fdopen(os.open(folder / ".lock", flags, 0o666), "w")
    except OSError as error:
        raise SeqloomError(f"cannot be written: {error.strerror}.", where=str(folder)) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(stream.fileno()), os.stat(folder / ".lock")):
                raise FileNotFoundError  # its last holder removed it between our opening and locking it
        except OSError as error:
            raise SeqloomError("another run is writing to this folder.", where=str(folder)) from error
        try:
            yield
        finally:
            (folder / ".lock").unlink(missing_ok=True)
            if new:  # a run that failed before it wrote anything leaves nothing
                with contextlib.suppress(OSError):
                    folder.rmdir()
