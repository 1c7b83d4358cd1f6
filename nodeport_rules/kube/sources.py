"""The one place of this room that touches files and standard input.

`-f` names a file, a folder or `-`. What comes out is bytes with a name for messages; what they
mean is for `kube.documents`.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from nodeport_rules.errors import Fault, quote

SUFFIXES = (".json", ".yaml", ".yml")
STANDARD_INPUT = "standard input"


class SourceText(msgspec.Struct, frozen=True):
    """The content of one file, or of standard input.

    `name` is the path as the user gave it (and the way down from there, inside a folder), made
    safe to print. `in_folder` is true for what was found rather than named: there, what is plainly
    no Kubernetes object may be passed over.
    """

    name: str
    content: bytes
    in_folder: bool


def read_texts(sources: Sequence[str], stdin: BinaryIO | None) -> Iterator[SourceText | Fault]:
    """The content of every source in order; a `Fault` in the place of what cannot be read.

    One file is in memory at a time, as far as this function goes. `stdin` stands for `-`; None
    means the process's own. Folders are walked in the order of their names.
    """
    stdin_taken = False
    for source in sources:
        if source == "-":
            if stdin_taken:
                yield _fault(STANDARD_INPUT, 'is named twice; "-" can be given once')
                continue
            stdin_taken = True
            yield _read_stdin(stdin)
        elif not source:
            yield _fault('""', "is an empty name; give a file, a folder or -")
        elif Path(source).is_dir():
            yield from _read_folder(Path(source))
        else:
            yield _read_file(Path(source), in_folder=False)


def _read_stdin(stdin: BinaryIO | None) -> SourceText | Fault:
    try:
        content = (stdin if stdin is not None else sys.stdin.buffer).read()
    except OSError as error:
        return _fault(STANDARD_INPUT, f"cannot be read: {_reason(error)}")
    return SourceText(STANDARD_INPUT, content, in_folder=False)


def _read_file(path: Path, *, in_folder: bool) -> SourceText | Fault:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        return _fault(shown_path(path), f"cannot be read: {_reason(error)}")
    return SourceText(shown_path(path), content, in_folder)


def _read_folder(folder: Path) -> Iterator[SourceText | Fault]:
    found = False
    for entry in _walk(folder, seen=set()):
        found = True
        yield entry if isinstance(entry, Fault) else _read_file(entry, in_folder=True)
    if not found:
        yield _fault(shown_path(folder), "is a folder without any .yaml, .yml or .json file")


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path | Fault]:
    """The manifest files below `folder`, in the order of their names.

    Hidden entries (.git, .github, and the ..data of a mounted ConfigMap) are left out. `seen` holds
    (device, inode) of everything visited, so that no file is read twice through symbolic links and
    no loop of them is followed. Pipes and devices are left out: reading one might never end.
    """
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield _fault(shown_path(folder), f"cannot be read: {_reason(error)}")
        return
    for path in paths:
        name = path.name
        if name.startswith("."):
            continue
        try:
            status = path.stat()
        except OSError as error:
            if name.endswith(SUFFIXES):
                yield _fault(shown_path(path), f"cannot be read: {_reason(error)}")
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(path, seen)
        elif (
            stat.S_ISREG(status.st_mode)
            and name.endswith(SUFFIXES)
            and (status.st_dev, status.st_ino) not in seen
        ):
            seen.add((status.st_dev, status.st_ino))
            yield path


def shown_path(path: Path) -> str:
    """The path for messages; quoted when it holds anything that could not be printed as it is."""
    text = str(path)
    return text if text.isprintable() else quote(text)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _fault(where: str, message: str) -> Fault:
    return Fault(where=where, subject="", field="", message=message)
