"""Files of arrays: NumPy's own ``.npz``, with a header in JSON and a checksum over all of it.

No pickle is written or read, so a file cannot run code. Before a file is written its content is
read back, by the same function as later: what cannot be read is not written, and the old file
stays.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from minirnn.files.atomic import write
from minirnn.protocol import Array

VERSION = 1
HEADER = "minirnn.json"  # no array has this name
LARGEST_HEADER = 1 << 24  # bytes; the history of some 100 000 epochs

# What NumPy writes before the numbers: their kind, a plain one, the order of axes, the shape.
ARRAY_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,19}, ?){0,64}(?:\d{1,19})?)\),? ?\} *\n"
)


def write_arrays(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write arrays by name, and a header that JSON can hold.

    Raises ValueError for what ``read_arrays`` would refuse, and OSError; then an old file stays.
    """
    header = {"format": "minirnn", "version": VERSION} | header
    content = io.BytesIO()
    try:
        header = json.loads(json.dumps(header, default=_plain))
        whole = {name: _whole(name, a) for name, a in arrays.items()}
        header["sha256"] = checksum(header, whole)
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with zipfile.ZipFile(content, "w") as archive:
            for name, a in {HEADER: text, **whole}.items():
                member = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(member, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, a, (1, 0), allow_pickle=False)
        _parse(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{os.fsdecode(path)}: cannot be saved: {error}") from error
    write(path, content.getbuffer())


def _plain(value: Any) -> Any:
    """A number or an array of NumPy as JSON holds it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"expected a number or a text, got {value!r:.80}")


def _whole(name: str, a: Array) -> Array:
    if not isinstance(a, np.ndarray) or isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array, got {type(a).__name__}")
    return np.asarray(a, order="C")


def checksum(header: dict[str, Any], arrays: Mapping[str, Array]) -> str:
    """SHA-256 of the header (without its entry sha256) and of each array's name, kind, shape and
    bytes."""
    sha = hashlib.sha256()
    rest = {name: value for name, value in header.items() if name != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        a = arrays[name]
        sha.update(f"{name} {a.dtype.str} {a.shape}".encode())
        sha.update(np.ascontiguousarray(a).data)
    return sha.hexdigest()


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file that ``write_arrays`` has written. It takes no more memory than
    the file has bytes, and a little.

    Raises OSError, and ValueError for a file that is cut off, changed, of another kind, or of a
    later version.
    """
    path = os.fsdecode(path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # a device may have no end
        raise ValueError(f"{path}: expected a file, got a folder, a pipe or a device")
    with open(path, "rb") as file:
        try:
            return _parse(file)
        except Exception as error:  # a damaged file may raise anything within zipfile or JSON
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # not a place before 0
                raise OSError(error.errno, error.strerror, path) from None
            reason = str(error) or repr(error)
            raise ValueError(f"{path}: not a file that minirnn can read: {reason}") from None


def _parse(file: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of an open file. A wrong one raises an error of any kind."""
    size = file.seek(0, os.SEEK_END)
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        # Each byte of the file is used once, at most, and more than 64 describe an array.
        if sum(max(m.file_size, m.compress_size) + 64 for m in members) > size:
            raise ValueError("what it declares is larger than the file")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name == HEADER and member.file_size > LARGEST_HEADER:
                raise ValueError(f"its header has more than {LARGEST_HEADER} bytes")
            if name == member.filename or name in arrays:
                raise ValueError(f"{name!r:.80} is there twice, or is no array")
            arrays[name] = _array(archive.read(member), name)
    if HEADER not in arrays:
        raise ValueError("it has no header")
    header = json.loads(arrays.pop(HEADER).tobytes())
    if not isinstance(header, dict) or header.get("format") != "minirnn":
        raise ValueError("its header is of another kind")
    if header.get("version") != VERSION:
        version = header.get("version")
        raise ValueError(f"its format has version {version!r:.80}, this minirnn reads {VERSION}")
    if header.get("sha256") != checksum(header, arrays):
        raise ValueError("its checksum is wrong: it was changed or damaged")
    return header, arrays


def _array(data: bytes, name: str) -> Array:
    """One array in NumPy's format, whose declared size must be that of its data."""
    # Not NumPy's own reader, which evaluates the header as Python and may fail in any way.
    length = 10 + int.from_bytes(data[8:10], "little")
    found = ARRAY_HEADER.fullmatch(data[10:length])
    if data[:8] == b"\x93NUMPY\x01\x00" and found is not None:
        dtype = np.dtype(found[1].decode())
        shape = tuple(int(n) for n in found[2].replace(b",", b" ").split())
        if math.prod(shape) * dtype.itemsize == len(data) - length:
            return np.frombuffer(data, dtype, offset=length).reshape(shape)
    raise ValueError(f"{name!r:.80} does not hold the numbers that it declares")
