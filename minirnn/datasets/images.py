"""Images and their labels: MNIST, CIFAR-10, and the small digits that come with the package."""

from __future__ import annotations

import csv
import gzip
import io
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import numpy as np

from minirnn import checks
from minirnn.datasets.files import find, local, open_archive, unzipped
from minirnn.protocol import Array

Images: TypeAlias = tuple[Array, Array]  # and their labels
IDX_IMAGES, IDX_LABELS = 0x0803, 0x0801  # magic numbers: bytes, and 3 axes or 1


def mnist(progress: bool | None = None) -> tuple[Images, Images]:
    """Training and test set of MNIST (LeCun et al. 1998): images (N, 28, 28) uint8, labels (N,).

    N is 60000 and 10000. Raises ValueError for a file that is not an MNIST file.
    """
    parts = []
    for part in ("train", "t10k"):
        names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        files = [find(f"mnist/{name}", progress) for name in names]
        images, labels = read_idx(files[0], IDX_IMAGES), read_idx(files[1], IDX_LABELS)
        if images.shape[1:] != (28, 28) or not len(images):
            raise ValueError(f"{files[0]}: expected images (N, 28, 28), got {images.shape}")
        if len(images) != len(labels) or labels.max() > 9:
            got = f"{len(labels)} up to {labels.max(initial=0)}"
            raise ValueError(f"{files[1]}: expected {len(images)} labels 0..9, got {got}")
        parts.append((images, labels.astype(np.int64)))
    return parts[0], parts[1]


def read_idx(path: Path, magic: int) -> Array:
    """A gzipped IDX file of bytes: a magic number, the size of each axis, the values."""
    data = unzipped(path)
    axes = magic & 0xFF
    header = np.frombuffer(data[: 4 + 4 * axes], ">u4") if len(data) >= 4 + 4 * axes else None
    if header is None or header[0] != magic:
        raise ValueError(f"{path}: expected an IDX file that begins with {magic:#010x} at offset 0")
    shape = tuple(int(n) for n in header[1:])
    expected = 4 + 4 * axes + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        raise ValueError(f"{path}: expected {expected} bytes for {shape}, got {len(data)}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def digits() -> tuple[Images, Images]:
    """The UCI optical digits (Alpaydin & Kaynak 1998): images (N, 8, 8) of 0..16, labels (N,).

    All 1797 come with the package: the first 1297 for training, the last 500 for testing.
    """
    file = resources.files("minirnn.datasets").joinpath("digits.csv.gz")
    text = gzip.decompress(file.read_bytes()).decode("ascii")
    rows = np.array(list(csv.reader(io.StringIO(text))), np.float64).astype(np.int64)
    images, labels = rows[:, :64].reshape(-1, 8, 8).astype(np.uint8), rows[:, 64]
    return (images[:1297], labels[:1297]), (images[1297:], labels[1297:])


def cifar10(progress: bool | None = None) -> tuple[Images, Images]:
    """CIFAR-10 (Krizhevsky 2009) in the binary form: images (N, 32, 32, 3) uint8, labels (N,).

    The whole archive if it is on this machine, else the sample of 3500 and 500 images if that is,
    else the archive is downloaded.
    """
    whole, sample = "cifar10/cifar-10-binary.tar.gz", "cifar10/cifar-10-binary-sample.tar.gz"
    return read_cifar10(local(whole) or local(sample) or find(whole, progress))


def read_cifar10(path: Path) -> tuple[Images, Images]:
    """Both sets from the archive, which is read but not unpacked."""
    parts: dict[str, list[Images]] = {"data_batch": [], "test_batch": []}
    seen: set[str] = set()
    with open_archive(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            kind = member.name.rsplit("/", 1)[-1][:10]
            if kind in parts and member.name.endswith(".bin") and member.isfile():
                base = member.name.rsplit("/", 1)[-1]
                if base in seen:
                    raise ValueError(f"{path}: {base} is there twice")
                seen.add(base)
                content = archive.extractfile(member)
                data = b"" if content is None else content.read()
                parts[kind].append(_records(data, f"{path}: {member.name}"))
    for kind, found in parts.items():
        if not found:
            raise ValueError(f"{path}: expected a file {kind}*.bin in it, found none")
    train, test = (tuple(np.concatenate(a) for a in zip(*p, strict=True)) for p in parts.values())
    return train, test  # type: ignore[return-value]


def _records(data: bytes, name: str) -> Images:
    if not data or len(data) % 3073:
        raise ValueError(f"{name}: expected records of 3073 bytes, got {len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        at = 3073 * int(np.argmax(labels > 9))
        raise ValueError(f"{name}: expected a label 0..9 at offset {at}, got {labels.max()}")
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def smaller(images: Array, size: int) -> Array:
    """Square images (N, S, S) reduced to (N, size, size), by the exact average over areas."""
    images, size = checks.array(images, "images", ("N", "S", "S"), None), checks.size(size, "size")
    S = images.shape[1]
    if images.shape[2] != S:
        raise ValueError(f"images: expected square ones, got shape {images.shape}")
    # Weight of each old row in each new one: the length of their overlap, as a share.
    edges, old = np.arange(size + 1) * S / size, np.arange(S)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    share = np.maximum(overlap, 0) * size / S
    return share @ images.astype(np.float64) @ share.T
