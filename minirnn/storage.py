"""Save a model to one file, and load it in another process.

The file is NumPy's own ``.npz``: an array for each parameter, and one with a text in JSON that says
what the model is made of, the version of this format, and a checksum over all of it. No pickle is
written or read, so that a file cannot bring code along. A file is written under another name beside
its target and then renamed: whatever happens, there is the old one or the new one.
"""

import hashlib
import inspect
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.protocol import Layer

VERSION = 1
KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        mr.RNN, mr.LSTM, mr.GRU, mr.LSTMVariant, mr.OutputRNN, mr.Linear, mr.Embedding,
        mr.Activation, mr.Dropout, mr.Last, mr.CausalConv, mr.Sequential, mr.Bidirectional,
        mr.Checkpoint, mr.LuongAttention, mr.BahdanauAttention, mr.AttentionPool, mr.Hierarchical,
        mr.Seq2Seq,
    )
}  # fmt: skip
ELSEWHERE = {  # arguments that a layer keeps under another name
    ("Bidirectional", "forward_layer"): "forward",
    ("Bidirectional", "backward_layer"): "backward",
    ("AttentionPool", "input_size"): "memory_size",
}
HEADER = "minirnn.json"  # no parameter has this name
LARGEST_HEADER = 1 << 20  # bytes


def save(model: Layer, path: str | os.PathLike) -> None:
    """Write a model to ``path``: its layers, their sizes and options, and all parameters.

    Raises TypeError for a layer that is not one of minirnn's own, and OSError.
    """
    arrays = {name: np.ascontiguousarray(p) for name, p in model.params.items()}
    header: dict[str, Any] = {"format": "minirnn", "version": VERSION, "model": describe(model)}
    header["sha256"] = checksum(header, arrays)
    content = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(content, **{HEADER: text}, **arrays)  # type: ignore[arg-type]
    write(path, content.getvalue())


def load(path: str | os.PathLike) -> Layer:
    """The model that ``save`` has written.

    Raises ValueError for a file that is cut off, changed, of another kind, or of a later version,
    and OSError.
    """
    header, arrays = read(path)
    try:
        model = build(header["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no model can be built of it ({error!r})") from None
    expected = {name: (p.shape, p.dtype) for name, p in model.params.items()}
    if {name: (a.shape, a.dtype) for name, a in arrays.items()} != expected:
        raise ValueError(f"{path}: its parameters do not fit its model")
    for name, p in model.params.items():
        p[...] = arrays[name]
    return model


def describe(layer: Any) -> dict[str, Any]:
    """What a layer was made with, as JSON; its parameters' values are left out."""
    kind = type(layer).__name__
    if KINDS.get(kind) is not type(layer):
        raise TypeError(f"model: expected minirnn's own layers, got {type(layer)!r}")
    own: dict[str, Any] = {"kind": kind}
    for name, argument in inspect.signature(type(layer)).parameters.items():
        if name in ("rng", "forget_bias"):  # of the values at the start
            continue
        if argument.kind is argument.VAR_POSITIONAL:
            own[name] = [describe(part) for part in layer.layers]
            continue
        name_there = ELSEWHERE.get((kind, name), name)
        value = getattr(layer, "parts", {}).get(name_there)
        value = getattr(layer, name_there, None) if value is None else value
        if (kind, name) == ("LSTMVariant", "variant"):
            value = str(value).removeprefix("variant ")
        if hasattr(value, "forward"):
            own[name] = describe(value)
        else:
            own[name] = str(value) if name == "dtype" else value
    return own


def build(own: dict[str, Any]) -> Any:
    """The layer that ``describe`` has described."""
    own = dict(own)
    kind = KINDS[own.pop("kind")]
    names = inspect.signature(kind).parameters
    if unknown := own.keys() - names.keys():
        raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
    positional: list[Any] = []
    for name, value in own.items():
        if names[name].kind is inspect.Parameter.VAR_POSITIONAL:
            positional = [build(part) for part in value]
        elif isinstance(value, dict):
            own[name] = build(value)
    named = {n: v for n, v in own.items() if names[n].kind is not inspect.Parameter.VAR_POSITIONAL}
    return kind(*positional, **named, **({"rng": 0} if "rng" in names else {}))


def checksum(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over the header but for itself, and every array's name, kind, shape and bytes."""
    sha = hashlib.sha256()
    rest = {name: value for name, value in header.items() if name != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        a = arrays[name]
        sha.update(f"{name} {a.dtype.str} {a.shape}".encode())
        sha.update(np.ascontiguousarray(a).tobytes())
    return sha.hexdigest()


def read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file whose checksum is right."""
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


def _array(data, name):
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


def write(path: str | os.PathLike, content: bytes) -> None:
    """Write a file whole or not at all; its folder exists."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
