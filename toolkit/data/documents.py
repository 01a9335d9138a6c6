"""Documents of a folder or an archive that has a sub-folder for each label."""

import os
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.data.files import decode, read_whole, require
from toolkit.errors import DataError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")
Document = tuple[str, Callable[[], Any]]  # its name, and what opens it


def read_labelled(path: Path, part: str, encoding: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the label and the text of each document, label by label in a folder.

    Args:
        part: the folder inside it that holds the folders of the labels; empty: it does so itself.

    Raises:
        DataError: a document lies elsewhere, is binary or too long, or a link leads in a circle.
    """
    if path.is_dir():
        base, part = f"{path / part}/", ""
        documents = _files(Path(base))
    else:
        base = f"{path}#"
        documents = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)
    warned = False
    for name, opened in documents:
        place = PurePosixPath(name.lstrip("/"))
        if not place.is_relative_to(part):
            continue
        label, *inner = place.relative_to(part).parts
        if not inner or any(each.startswith(".") for each in (label, *inner)):
            continue
        if len(inner) > 1:
            folder = place.parent.parent
            beside = Path(base, folder).parent.glob("*train*/") if path.is_dir() else ()  # of test and train, train
            folder = folder.with_name(min((each.name for each in beside), default=folder.name))
            mend = f"Name the folder that holds the folders of the labels, such as {base}{folder}."
            raise DataError("lies too deep; expected label/document.", where=f"{base}{place}", mend=mend)
        with opened() as stream:
            text, guess = decode(read_whole(stream, f"{base}{place}"), encoding, f"{base}{place}")
        if guess and not warned:
            warnings.warn(f"{guess} Others may be like it.", stacklevel=2)
            warned = True
        yield f"{base}{place}", label, text


def _files(root: Path) -> Iterator[Document]:
    require(root)
    for folder, folders, names in os.walk(root, onerror=_raise, followlinks=True):  # a label may be a link to a folder
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for link in filter(Path.is_symlink, (Path(folder, each) for each in folders)):
            refuse_circle(link, root)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path.relative_to(root).as_posix(), partial(path.open, "rb")


def refuse_circle(link: Path, root: Path) -> None:
    """Raise a DataError when a link, met on the way down from `root`, leads to a folder that it lies in."""
    met = (folder.resolve() for folder in link.parents if folder.is_relative_to(root))
    if any(folder.is_relative_to(link.resolve()) for folder in met):
        raise DataError("this link leads to a folder that it lies in.", where=str(link), mend="Remove it.")


def _raise(error: OSError) -> None:
    raise error


def _tar_members(path: Path) -> Iterator[Document]:
    with tarfile.open(path, "r|*") as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # a list of all members would take growing memory
            if member.isreg():
                yield member.name, partial(archive.extractfile, member)


def _zip_members(path: Path) -> Iterator[Document]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG):
                yield info.filename, partial(archive.open, info)
