"""Files that are read whole, and written whole or not at all."""

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from typing import IO

from fastbp.check.message import shown
from fastbp.error import ModelFormatError

try:
    import fcntl
except ImportError:  # no such locks: what a killed process leaves behind stays
    fcntl = None  # type: ignore[assignment]

PathLike = str | os.PathLike[str]

# What a file is called until it is complete.  Whoever writes it holds a lock on it, which the
# system gives up with the process: one without a lock is what a killed process left behind.
_TEMPORARY = ".fastbp-{}.tmp"
_IS_TEMPORARY = re.compile(r"\.fastbp-[0-9a-f]{8}\.tmp")


def check_path(path: object) -> None:
    """The system's calls take a number too, for a file that is open."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a str or an os.PathLike, got {shown(path)}")


def read_file(path: PathLike | IO[bytes]) -> bytes:
    """All bytes of a regular file, or of an open one.  A FIFO would block, and a device might never
    end.
    """
    if hasattr(path, "read"):
        found: object = path.read()
        if not isinstance(found, bytes):
            raise TypeError(f"a model is read from a binary file, got {shown(path)}")
        return found
    check_path(path)
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder, `open` says so
        raise ModelFormatError(f"{os.fspath(path)!r} is not a regular file")
    with open(path, "rb") as stream:
        return stream.read()


def check_target(path: PathLike) -> None:
    """Raise what `replace_file` would raise of `path` alone."""
    check_path(path)
    target = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"{os.fspath(path)!r} is not a regular file")
    if not os.access(os.path.dirname(target), os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))


def replace_file(path: PathLike, data: bytes) -> None:
    """Put `data` in the place of the file at `path` in one step that a crash cannot split.

    What killed processes left in its folder is removed.
    """
    check_target(path)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        _replace(target, folder, data)
    except OSError as error:
        if error.filename is None:  # of a file that is open, the system names none
            error.filename = os.fspath(path)
        raise
    _remove_orphans(folder)
    if hasattr(os, "O_DIRECTORY"):  # make the new name durable where a folder can be opened
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(target: str, folder: str, data: bytes) -> None:
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    temporary = ""
    try:
        while True:
            temporary = os.path.join(folder, _TEMPORARY.format(secrets.token_hex(4)))
            # 0o666 is cut by the process's mask, as for any new file.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with open(descriptor, "wb") as stream:
                _lock(descriptor)
                if not os.fstat(descriptor).st_nlink:
                    continue  # taken for an orphan before it was locked
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
                if mode is not None:
                    os.chmod(temporary, stat.S_IMODE(mode))
                os.replace(temporary, target)
                return
    except BaseException:
        with suppress(FileNotFoundError):  # a signal handler may raise once it is replaced
            os.unlink(temporary)
        raise


def _lock(descriptor: int) -> None:
    """Where the file system has locks; where it has none, nobody takes a file for an orphan."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _remove_orphans(folder: str) -> None:
    """What nobody writes any more; a folder that cannot be listed is left alone."""
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _IS_TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_orphan(entry.path)


def _remove_orphan(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where somebody writes it
        os.unlink(path)
    finally:
        os.close(descriptor)
