"""Machine code on disk, so that kernels are compiled once and not in each process.

Numba keeps a kernel's machine code beside its source file, and uses it again as long as *this* file
has not changed. Two things are added here.

What one edits is what runs: a kernel contains functions of other files too, such as the derivatives
of ``activations.py``. So its code on disk counts only as long as no file with kernels, or with
functions that they call, has changed.

Damaged files are harmless: an empty, cut or changed file (after a crash, or on a full disk) means
that the kernel is compiled again. Numba would raise an error, or even run damaged code.

Both need parts of Numba that it does not document. Where they are missing, its own rule holds.
"""

import contextlib
import functools
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

try:
    from numba.core.caching import IndexDataCacheFile as NumbasCacheFile
except ImportError:
    NumbasCacheFile = object  # type: ignore[assignment,misc]

PACKAGE = Path(__file__).parents[1]
# Folders; and the files of the root.
WITH_KERNELS = ("engine", "cells", "layers", "training", "experiments")


@functools.cache
def stamp_of_sources() -> tuple[tuple[str, int, int], ...]:
    """The name, time of change and size of every file that can be part of a kernel."""
    folders = (PACKAGE, *(PACKAGE / name for name in WITH_KERNELS))
    files = (file for folder in folders for file in os.scandir(folder))
    sources = sorted((f.path, f.stat()) for f in files if f.name.endswith(".py"))
    return tuple((path, s.st_mtime_ns, s.st_size) for path, s in sources)


class CacheFile(NumbasCacheFile):
    """Numba's two kinds of files, an index and the code, each read with care."""

    def _load_index(self):
        try:
            return super()._load_index()
        except Exception:  # whatever a damaged pickle may raise
            return {}

    def _save_data(self, name, data):
        code = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(code).digest() + code)

    def _load_data(self, name):
        content = Path(self._data_path(name)).read_bytes()
        digest, code = content[:32], content[32:]
        if hashlib.sha256(code).digest() != digest:
            raise OSError(f"{name} is damaged")  # upon which Numba compiles again
        return pickle.loads(code)

    def save(self, key, data):
        with contextlib.suppress(OSError):  # a full disk: the next process compiles again
            super().save(key, data)


def guarded(kernel: Any) -> Any:
    """The kernel, whose machine code on disk is now read and written with care."""
    cache: Any = getattr(kernel, "_cache", None)
    file: Any = getattr(cache, "_cache_file", None)
    if file is not None and type(file) is NumbasCacheFile:
        base = file._index_name.removesuffix(".nbi")
        cache._cache_file = CacheFile(file._cache_path, base, stamp_of_sources())
    return kernel
