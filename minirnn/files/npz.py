"""Files of arrays: NumPy's own ``.npz``, with a header in JSON and a checksum over all of it.

No pickle is written or read, so a file cannot run code. A file is written under another name beside
its target and then renamed: whatever happens, there is either the old file or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.protocol import Array

VERSION = 1
HEADER = "minirnn.json"  # no array has this name
LARGEST_HEADER = 1 << 20  # bytes


def write_arrays(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write arrays by name, and a header that JSON can hold."""
    header = {"format": "minirnn", "version": VERSION} | header
    header["sha256"] = checksum(header, arrays)
    content = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    whole = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    np.savez(content, **{HEADER: text}, **whole)  # type: ignore[arg-type]
    write(path, content.getvalue())


def checksum(header: dict[str, Any], arrays: Mapping[str, Array]) -> str:
    """SHA-256 of the header (without its entry sha256) and of each array's name, kind, shape and
    bytes."""
    sha = hashlib.sha256()
    rest = {name: value for name, value in header.items() if name != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        a = arrays[name]
        sha.update(f"{name} {a.dtype.str} {a.shape}".encode())
        sha.update(np.ascontiguousarray(a).tobytes())
    return sha.hexdigest()


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file that ``write_arrays`` has written.

    Raises OSError, and ValueError for a file that is cut off, changed, of another kind, or of a
    later version.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                limit = LARGEST_HEADER if name == HEADER else os.path.getsize(path)
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > limit:
                    raise ValueError(f"{name} is compressed, or larger than the file")
                arrays[name] = _array(archive.read(member), name)
        if HEADER not in arrays:
            raise ValueError("it has no header")
        header = json.loads(arrays.pop(HEADER).tobytes())
        if not isinstance(header, dict) or header.get("format") != "minirnn":
            raise ValueError("its header is of another kind")
        if header.get("version") != VERSION:
            version = header.get("version")
            raise ValueError(f"its format has version {version}, this minirnn reads {VERSION}")
        if header.get("sha256") != checksum(header, arrays):
            raise ValueError("its checksum is wrong: it was changed or damaged")
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: not a file that minirnn can read: {error}") from None
    return header, arrays


def _array(data: bytes, name: str) -> Array:
    """One array in NumPy's format, whose declared size must be that of its data."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
    if read_header is None:
        raise ValueError(f"{name} is of an unknown form")
    shape, fortran, dtype = read_header(file)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or fortran or size != len(data) - file.tell():
        raise ValueError(f"{name} does not hold the numbers that it declares")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all; its folder exists."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
