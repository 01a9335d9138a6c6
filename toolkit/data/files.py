"""Files as text: opened, decompressed and decoded, with a sentence for whatever is wrong with them."""

import bz2
import codecs
import difflib
import gzip
import io
import itertools
import lzma
import os
import re
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from toolkit.errors import ConfigError, DataError

STANDARD_INPUT = "-"  # as a path; it can be read once
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}

_DAMAGED = (EOFError, UnicodeError, lzma.LZMAError, zlib.error, tarfile.TarError, zipfile.BadZipFile)
_CHUNK = 1 << 18
_SAMPLE = 1 << 16
_FOREIGN = ["cp1250", "cp1251", "koi8_r", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "euc_kr"]
FEW_TEXTS = 10  # to score on
# Characters: enough for any document, and so few that a quote which is never closed does not swallow a large file.
LONGEST_LINE = 1 << 26
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ESCAPED = re.compile(r"[\udc80-\udcff]")
_STRAY = "seqloom.stray"  # the error handler by which single bytes that are not UTF-8 are read as cp1252


def _read_stray(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_STRAY, _read_stray)


def bounded_lines(text: TextIO, name: str) -> Iterator[str]:
    """The lines of a text with their ends. A compressed file may hold one that no memory does.

    Raises:
        DataError: a line is longer than any cell may be.
    """
    number = 1
    while line := text.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            mend = "See that it is a text, with an end to its lines."
            raise DataError(f"a line of more than {LONGEST_LINE:,} characters.", where=f"{name}:{number}", mend=mend)
        yield line
        number += 1


def read_text_lines(stream: BinaryIO, encoding: str | None, name: str) -> Iterator[str]:
    """Yield every line of a stream that cannot be read twice, empty ones too, without its line break.

    Bytes that are not in the encoding (UTF-8, or UTF-16 with a mark, unless given) are read as cp1252, with a warning;
    control characters become spaces. Holds one line at a time.

    Raises:
        DataError: it begins with what has a NUL; one far into it, after hours perhaps, is a control character.
    """
    peek = getattr(stream, "peek", None)
    head = peek(1) if peek else b""
    codec = _codec(encoding) or _marked(head)
    wide = codec.startswith(("utf-16", "utf-32"))
    if b"\0" in head and not wide:
        line = head[: head.index(b"\0")].count(b"\n") + 1
        raise _binary(f"{name}:{line}")
    errors = "replace" if wide else "surrogateescape"  # where bytes have no units
    text = io.TextIOWrapper(stream, codec, errors=errors, newline="\n")
    warned = False
    try:
        for number, line in enumerate(bounded_lines(text, name), 1):
            line = line.removesuffix("\n").removesuffix("\r")
            if _ESCAPED.search(line):
                line = _ESCAPED.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), line)
                if not warned:
                    told = f"{name}:{number}: not {encoding or 'UTF-8'}; such bytes are read as cp1252."
                    warnings.warn(f"{told} Give the encoding if that is wrong.", stacklevel=2)
                    warned = True
            yield _CONTROL.sub(" ", line)
    finally:
        if not stream.closed:
            text.detach()  # else the wrapper would close it, and it is the caller's


def read_text(stream: BinaryIO, encoding: str | None, name: str) -> str:
    """All lines of a stream that cannot be read twice, as one text; as `read_text_lines`."""
    lines, left = list[str](), LONGEST_LINE
    for line in read_text_lines(stream, encoding, name):
        lines.append(line)
        left -= len(line) + 1
        if left < 0:
            raise _too_long(name)
    return "\n".join(lines)


def read_whole(stream: BinaryIO, where: str) -> bytes:
    """All of a stream that holds one text. A compressed file may hold more than any memory does.

    Raises:
        DataError: it is longer than any text may be.
    """
    data = stream.read(LONGEST_LINE + 1)
    if len(data) > LONGEST_LINE:
        raise _too_long(where)
    return data


def _too_long(where: str) -> DataError:
    mend = "Of many texts make lines (--lines) or a table."
    return DataError(f"more than {LONGEST_LINE:,} bytes, too long for one text.", where=where, mend=mend)


def read_document(path: str | Path, encoding: str | None = None) -> str:
    """The text of one file; DataError when it is missing, binary or too long."""
    with explained(str(path)), open_binary(Path(path)) as stream:
        text, guess = decode(read_whole(stream, str(path)), encoding, str(path))
    if guess:
        warnings.warn(guess, stacklevel=2)
    return text


def split_part(source: str) -> tuple[Path, str]:
    """`data.json#train` as the file and the part inside it; a file that has # in its own name stays whole."""
    path, _, part = source.rpartition("#")
    return (Path(path), part.strip("/")) if path and not os.path.exists(source) else (Path(source), "")


def ending(source: str) -> str:
    """Of the file's name beneath its compression, in lower case: .csv of `News.CSV.gz`."""
    file = split_part(source)[0]
    return (file.with_suffix("") if file.suffix.lower() in OPENERS else file).suffix.lower()


def tell_learned(data: str, *learned: object) -> None:
    """Warn when a file that a run is scored on is one that it has learned from or was chosen by.

    Args:
        learned: paths or lists of them from its config; anything else, such as a share, is no file.
    """
    own, part = split_part(data)
    paths = [path for each in learned for path in (each if isinstance(each, list) else [each]) if isinstance(path, str)]
    for path, other in map(split_part, paths):
        if path.resolve() == own.resolve() and part == other:  # which tells two files as train.{en,de} too
            told = "this run has learned from this file or was chosen by it, so these scores are too good."
            warnings.warn(f"{data}: {told} Its report.json has those of rows that it had not seen.", stacklevel=2)
            return


def tell_few(data: str, texts: int) -> None:
    """Warn of scores that mean little."""
    if texts < FEW_TEXTS:
        few = f"only {texts} text{'s' * (texts != 1)} could be scored"
        warnings.warn(f"{data}: {few}, so the scores mean little. Is it what was meant?", stacklevel=2)


def require(path: Path) -> None:
    """Raise a DataError that names what is spelled like `path` when nothing is there."""
    if path.exists() or str(path) == STANDARD_INPUT:
        return
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent}.", where=str(path), mend="Check the path.")
    near = difflib.get_close_matches(path.name, os.listdir(path.parent))
    mend = f"Did you mean {' or '.join(near)}?" if near else f"Check the name; the folder is {path.parent.resolve()}."
    if not near and " " in path.name and not path.suffix[1:].isalnum():
        mend = 'A text itself goes through standard input: echo "..." | seqloom ... -'
    raise DataError("there is no such file.", where=str(path), mend=mend)


def open_binary(path: Path) -> BinaryIO:
    """Open a file to read, decompressing on the fly by its name; DataError when it is missing or a folder."""
    require(path)
    if str(path) == STANDARD_INPUT:
        return io.BytesIO(sys.stdin.buffer.read())  # whole, for it is gone through again to tell its encoding
    if path.is_dir():
        raise DataError("found a folder, expected a file.", where=str(path), mend="Name a file inside it.")
    return cast(BinaryIO, OPENERS.get(path.suffix.lower(), open)(path, "rb"))


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Say in one sentence what the standard library raises about damaged and unreadable files."""
    try:
        yield
    except (*_DAMAGED, OSError, RuntimeError) as error:  # RuntimeError: an encrypted member of a .zip
        reason = getattr(error, "strerror", None) or error
        mend = "Check that it is whole, of the format that its name says, and yours to read."
        raise DataError(f"cannot be read ({reason}).", where=where, mend=mend) from error


def _codec(encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        " ".encode(encoding)  # also refuses codecs that are no text encodings, such as base64
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        mend = "Use a name such as utf-8, cp1252 or utf-16-le."
        raise ConfigError(f"there is no text encoding {encoding!r}.", mend=mend) from None
    return "utf-8-sig" if name == "utf-8" else name


def _marked(head: bytes) -> str:
    """The codec of text that begins so."""
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def foreign(suffix: str) -> str:
    """How to mend a file of another program, which is no text; "" for any other."""
    match suffix.lower():
        case ".xlsx" | ".xls" | ".xlsm" | ".ods":
            return "Save the sheet as CSV (UTF-8)."
        case ".docx" | ".doc" | ".odt" | ".pdf" | ".rtf" | ".pptx":
            return "Save it as plain text (UTF-8)."
        case ".eml" | ".mbox":
            return "Save the subject and the text of each mail as plain text (UTF-8)."
        case ".tmx" | ".po" | ".xliff" | ".xlf":
            return "Write its pairs as a table, a source and a target a row."
        case ".srt" | ".vtt" | ".xml" | ".sgm" | ".sgml" | ".html" | ".htm":
            return "Write its texts without times and tags, one a line or a row."
        case ".zip" | ".tar" | ".tgz":
            return "Unpack it, and name a file that was in it."
    return ""


def _binary(where: str) -> DataError:
    """Of a file and a line, such as `sheet.xlsx:1`."""
    mend = foreign(Path(where.rpartition(":")[0]).suffix) or (
        "If it is UTF-16 without a byte order mark, set the encoding utf-16-le or utf-16-be."
    )
    return DataError("found a NUL, so this looks binary; expected text.", where=where, mend=mend)


def _choose_codec(stream: BinaryIO, encoding: str | None, where: str) -> tuple[str, str, str]:
    """The codec that reads all of a stream, its error handler, and a warning when it is a guess. Rewinds the stream."""
    codec = _codec(encoding) or _marked(stream.read(2))
    bad = _first_bad_byte(stream, codec, where)
    errors, guess = "strict", ""
    if bad:
        line, offset, byte = bad
        found = f"byte 0x{byte:02x} at offset {offset} is not {encoding or codec.removesuffix('-sig').upper()}"
        if encoding or codec == "utf-16":
            mend = "Set the encoding that it was written in."
            raise DataError(f"{found}.", where=f"{where}:{line}", mend=mend)
        if _is_mostly_utf_8(stream, where):
            errors, guess = _STRAY, f"{where}:{line}: {found}; such bytes are read as cp1252."
        else:
            codec = _guess_codec(stream, offset, where)
            guess = f"{where}:{line}: {found}; read as {codec}."
        guess += " Set the encoding if that is wrong."
    stream.seek(0)
    return codec, errors, guess


def _decoded(stream: BinaryIO, codec: str, errors: str, where: str) -> Iterator[str]:
    """All of a stream, piece by piece; DataError where there is a NUL."""
    decoder, line = codecs.getincrementaldecoder(codec)(errors), 1
    stream.seek(0)
    for chunk in itertools.chain(iter(partial(stream.read, _CHUNK), b""), [b""]):
        text = decoder.decode(chunk, final=not chunk)
        if "\0" in text:
            line += text[: text.index("\0")].count("\n")
            raise _binary(f"{where}:{line}")
        yield text
        line += text.count("\n")


def _is_mostly_utf_8(stream: BinaryIO, where: str) -> bool:
    """Whether more characters beyond ASCII are UTF-8 than there are bytes that are not."""
    beyond, strays = 0, 0
    for text in _decoded(stream, "utf-8", "surrogateescape", where):
        strays += len(_ESCAPED.findall(text))
        beyond += len(text) - len(text.encode("ascii", "ignore"))  # strays too
    return beyond > 2 * strays


def _first_bad_byte(stream: BinaryIO, codec: str, where: str) -> tuple[int, int, int] | None:
    """Line, offset and value of the first byte that the codec cannot read, in constant memory."""
    line = 1
    try:
        for text in _decoded(stream, codec, "strict", where):
            line += text.count("\n")
    except UnicodeDecodeError as error:
        held = error.object  # the last chunk, after what the decoder kept of the one before
        line += held[: error.start].count(b"\n")
        return line, stream.tell() - len(held) + error.start, held[error.start]
    return None


def _guess_codec(stream: BinaryIO, offset: int, where: str) -> str:
    """A codec for text that is not UTF-8 from `offset` on.

    Statistics tell scripts apart but not the western code pages: charset-normalizer takes TREC, Latin-1 with a few
    bytes beyond ASCII, for cp1250. So it is asked only where much of the text is beyond ASCII.
    """
    stream.seek(offset)
    sample = stream.read(_SAMPLE)
    beyond = sum(byte > 127 for byte in sample)
    candidates = ["cp1252", "latin-1"]
    if beyond > 32 and beyond > len(sample) / 3:
        import charset_normalizer

        whole_lines = sample[: sample.rfind(b"\n") + 1] or sample  # a cut character would rule its encoding out
        best = charset_normalizer.from_bytes(whole_lines, cp_isolation=_FOREIGN).best()
        candidates = [best.encoding, *candidates] if best else candidates
    return next(codec for codec in candidates if not _first_bad_byte(stream, codec, where))


def decode(data: bytes, encoding: str | None, where: str) -> tuple[str, str]:
    """The text of a document, and a warning when its encoding is a guess. Tells of files that hold more than a text."""
    codec, errors, guess = _choose_codec(io.BytesIO(data), encoding, where)
    suffix = Path(where).suffix.lower()
    if mend := foreign(suffix):  # the same of all files, so that it is told once
        warnings.warn(f"of {suffix} files, headers, tags and codes are read as words too. {mend}", stacklevel=2)
    return data.decode(codec, errors), guess


@contextmanager
def open_text(path: Path, encoding: str | None, newline: str) -> Iterator[TextIO]:
    """A file to be read as text, in the encoding that it was written in."""
    with open_binary(path) as stream:
        if stream.seekable():
            codec, errors, guess = _choose_codec(stream, encoding, str(path))
            if guess:
                warnings.warn(guess, stacklevel=2)
        else:  # a pipe is read once, so what it holds is only known when it comes
            codec, errors = _codec(encoding) or "utf-8-sig", "strict"
        with io.TextIOWrapper(stream, codec, errors, newline=newline) as text:
            yield text
