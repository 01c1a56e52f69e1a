"""Write a file whole or not at all, and one process at a time.

The content is written under another name beside the file, and then renamed: whatever happens, there
is either the old file or the new one. What the path already is stays as it is: a link leads to the
same place, a file keeps its mode and its other names, a pipe or a device gets the bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# The open files of a process under their names: not to be replaced, even if one leads to a file.
OPEN_FILE = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/.*/fd/\d+")

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock(file: IO[bytes]) -> bool:
    """Whether nobody else had this open file locked; then it is locked until it is closed.

    The end of a process, of any kind, ends its locks. Raises OSError where there are no locks, as
    on some network drives.
    """
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """``with alone(path):`` only one process or thread at a time is in the block; others wait.

    The file ``path`` is there as long as the block takes. Gives False where there are no locks.
    """
    while True:
        with open(path, "ab") as file:
            try:
                locked, known = lock(file), True
            except OSError:
                locked, known = True, False
            if locked and _is_at(file, path):
                try:
                    yield known
                finally:
                    if os.name == "nt":
                        file.close()  # Windows does not remove an open file
                    with contextlib.suppress(OSError):
                        path.unlink()
                return
        time.sleep(0.05)


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one of this name. Who locked it before has removed it, and
    another process may have made a new one."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file whole or not at all; its folder exists. Raises OSError."""
    path = os.fspath(path)
    if not os.path.basename(path):
        raise FileNotFoundError(errno.ENOENT, "expected the name of a file", path)
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    target = os.path.realpath(path)
    if old is None:
        _replace(target, content, None)
    elif stat.S_ISFIFO(old.st_mode) or stat.S_ISCHR(old.st_mode) or OPEN_FILE.fullmatch(path):
        _append(path, content)
    elif not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "expected a file, or the name of a new one", path)
    elif not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    elif old.st_nlink > 1:
        _overwrite(target, content)
    else:
        _replace(target, content, old)


def _append(path: str, content: bytes | memoryview) -> None:
    """Write into a pipe or a device. A pipe that nobody reads is an OSError, not a long wait."""
    not_waiting = getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | not_waiting)
    with open(descriptor, "wb") as file:
        if not_waiting:
            os.set_blocking(descriptor, True)
        file.write(content)


def _overwrite(target: str, content: bytes | memoryview) -> None:
    """Write into a file that has other names (hard links), since renaming would part it from them.
    If it fails, the old content is put back."""
    with open(target, "r+b", buffering=0) as file:
        old = file.read()
        try:
            _put(file, content)
        except BaseException:
            _put(file, old)
            raise


def _put(file: IO[bytes], content: bytes | memoryview) -> None:
    file.seek(0)
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    file.truncate()
    os.fsync(file.fileno())


def _replace(target: str, content: bytes | memoryview, old: os.stat_result | None) -> None:
    """Write a new file and give it the name of the old one, its mode and, if allowed, its owner."""
    folder, name = os.path.split(target)
    _remove_leftovers(Path(folder), stem(name))
    temporary, file = _new_file(Path(folder), stem(name), 0o666 if old is None else 0o600)
    try:
        with file:
            file.write(content)
            file.flush()
            if old is not None:
                if hasattr(os, "chown"):
                    with contextlib.suppress(OSError):
                        os.chown(temporary, old.st_uid, old.st_gid)
                os.chmod(temporary, stat.S_IMODE(old.st_mode))
            os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # Windows does not rename an open file
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)


def stem(name: str) -> str:
    """How the other name begins: short, whatever the length of the file's own name."""
    return f".minirnn-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}-"


def _new_file(folder: Path, stem: str, mode: int) -> tuple[Path, IO[bytes]]:
    """A new file that is locked, so that no other process takes it for a leftover."""
    while True:
        path = folder / f"{stem}{secrets.token_hex(4)}"
        file = open(path, "xb", opener=lambda p, flags: os.open(p, flags, mode))  # noqa: SIM115
        with contextlib.suppress(OSError):  # without locks leftovers stay
            if not lock(file):
                file.close()
                continue
        if path.exists():
            return path, file
        file.close()  # removed by another process before it was locked


def _remove_leftovers(folder: Path, stem: str) -> None:
    """Remove what a process has left that was killed while it wrote this file."""
    for path in folder.glob(f"{stem}*"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if lock(file):
                path.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder on disk, so that a new file survives a power cut."""
    with contextlib.suppress(OSError):  # Windows cannot, nor can some network drives
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
