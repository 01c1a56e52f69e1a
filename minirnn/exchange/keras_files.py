"""Files of Keras: ``.keras``, an archive of a description and arrays, or ``.h5``, a file of both.

The arrays are read by the package h5py. Nothing in a file is run.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from minirnn.exchange.keras_models import Described, check_chain


def model_of_file(path: str) -> list[Described] | None:
    """The layers of a model in a file, in their order; None if it has their weights only."""
    with _opened(path) as (config, arrays):
        if config is None:
            return None
        if config.get("class_name") not in ("Sequential", "Functional", "Model"):
            got = config.get("class_name")
            raise TypeError(f"weights: expected a Sequential or Functional model, got {got}")
        inner = config["config"]
        layers = inner if isinstance(inner, list) else inner["layers"]  # a list in Keras 1
        check_chain({"layers": layers})
        groups = _groups(arrays)
        places = _places_of_keras_3(layers, groups) if "layers" in arrays else {}
        found = []
        for one in layers:
            name = one["config"].get("name", "")
            group = groups.get(places.get(name, name))
            weights = [] if group is None else _arrays(group)
            found.append(Described(one["class_name"], one["config"], weights))
        return found


def _places_of_keras_3(layers: Any, groups: Mapping[str, Any]) -> dict[str, str]:
    """Where the arrays of each layer are. A file of Keras 3 has the layer's class there, and a
    number from the second layer of this class on; and since Keras 3.10 the layer's name beside."""
    named = {g["vars"].attrs.get("name"): k for k, g in groups.items() if "vars" in g}
    used: dict[str, int] = {}
    places = {}
    for one in layers:
        own = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", one["class_name"])
        own = re.sub("([a-z])([A-Z])", r"\1_\2", own).lower()
        k = used[own] = used.get(own, -1) + 1
        name = one["config"].get("name", "")
        places[name] = named.get(name, f"{own}_{k}" if k else own)
    return places


def names_in_file(path: str) -> list[str]:
    """The names of the layers whose arrays are in a file."""
    with _opened(path) as (_, arrays):
        return list(_groups(arrays))


def layer_of_file(path: str, layer: str) -> list[Any]:
    """The arrays of one layer, by the name that it has in the file."""
    with _opened(path) as (_, arrays):
        groups = _groups(arrays)
        if layer not in groups:
            names = ", ".join(map(repr, groups))
            raise ValueError(f"layer: expected one of {names:.300}, got {layer!r:.80}")
        return _arrays(groups[layer])


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:
    """The description of the model, None if there is none, and the open file of arrays."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("from_keras needs h5py for files: pip install h5py") from error
    with open(path, "rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
                arrays = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(arrays, "r") as file_of_arrays:
                yield config, file_of_arrays
        else:
            with h5py.File(path, "r") as file_of_arrays:
                text = file_of_arrays.attrs.get("model_config")
                yield None if text is None else json.loads(text), file_of_arrays
    except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        got = f"{path!r:.80} ({error!s:.80})"
        raise ValueError(f"weights: expected a .keras or .h5 file of Keras, got {got}") from None


def _groups(arrays: Any) -> Mapping[str, Any]:
    """The group of each layer, by its name, or in a file of Keras 3 by its class and a number."""
    for name in ("model_weights", "layers"):
        if name in arrays:
            return dict(arrays[name])
    return dict(arrays)


def _arrays(group: Any) -> list[Any]:
    """The arrays of a layer, in the order of ``get_weights()``."""
    names = group.attrs.get("weight_names")
    if names is not None:
        return [group[n.decode() if isinstance(n, bytes) else n][()] for n in names]
    found = []
    for name in ("forward_layer", "backward_layer", "layer", "cell"):
        if name in group:
            found += _arrays(group[name])
    own = group.get("vars", {})
    return found + [own[n][()] for n in sorted(own, key=int)]
