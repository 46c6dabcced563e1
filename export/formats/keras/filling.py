"""Locate the references in a .keras archive, and replace them."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.slots import Content, Place, Slots
from pocketknn.export.formats.storage.texts import append_files, member
from pocketknn.export.output.checksums import sealed

from .conversion import canonical, date

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_AT_ONCE = 1 << 16  # numbers copied at a time, in whole rows


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: paths into the configuration, and names of weights."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        leaves = list(_leaves(parse_json(archive.read(_CONFIG))))
        with archive.open(_WEIGHTS) as stream, h5py.File(stream, "r") as weights:
            tensors = [([name], values[()]) for name, values in _datasets(weights)]
    tensors += [(place, np.array(leaf)) for place, leaf in leaves if isinstance(leaf, float)]
    tensors += [
        (place, np.array(leaf["value"], leaf["dtype"]))
        for place, leaf in leaves
        if isinstance(leaf, dict)
    ]
    numbers = [(place, leaf) for place, leaf in leaves if isinstance(leaf, int)]
    return slots.locate(content, tensors, numbers)


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Do nothing: `fill` writes numbers in their own type, and Keras reads them as float32."""
    return places


def constants(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as stored."""
    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive:
        config = parse_json(archive.read(_CONFIG))
        with archive.open(_WEIGHTS) as stream, h5py.File(stream, "r") as weights:
            for name, (place, *_) in places.constants.items():
                if _is_weight(place):
                    found[name] = weights[place[0]][()].ravel()
                else:
                    leaf = _at(config, place)
                    found[name] = np.array(
                        leaf["value"] if isinstance(leaf, dict) else leaf, np.float32
                    ).ravel()
    return found


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Rewrite a saved model with other content, without Keras' object numbers and dates.

    The texts become additional members of the archive, which Keras ignores.
    """
    weights: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(source) as archive:
        config = canonical(archive.read(_CONFIG).decode())
        for _, place, values in slots.filled(places, content):
            if _is_weight(place):
                weights[place[0]] = values
                continue
            old = _at(config, place)
            new = old | {"value": values.tolist()} if isinstance(old, dict) else values.item()
            _at(config, place[:-1])[place[-1]] = new
        for place, size in slots.resized(places, content):
            _at(config, place[:-1])[place[-1]] = size
        with zipfile.ZipFile(path, "w") as made:
            metadata = parse_json(archive.read(_METADATA)) | {"date_saved": date()}
            made.writestr(member(_METADATA), json.dumps(metadata))
            made.writestr(member(_CONFIG), json.dumps(config))
            file = io.BytesIO()  # on a full disk HDF5 would crash instead of raising
            with archive.open(_WEIGHTS) as stream:
                _copy_weights(stream, file, weights)
            with made.open(member(_WEIGHTS), "w", force_zip64=True) as target:
                target.write(file.getbuffer())
    append_files(path, sealed(texts))


def _leaves(config: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Place, Any]]:  # noqa: ANN401
    """Numbers in a model's configuration, and arrays as {"value", "dtype"}, with their paths."""
    if isinstance(config, dict):
        if config.get("class_name") == "__numpy__":
            yield [*place, "config"], config["config"]
            return
        for key, value in config.items():
            if key != "shared_object_id":
                yield from _leaves(value, (*place, key))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            yield from _leaves(value, (*place, number))
    elif isinstance(config, int | float) and not isinstance(config, bool):
        yield [*place], config


def _is_weight(place: Place) -> bool:
    return len(place) == (2 if place[-1] == "T" else 1)


def _at(config: Any, place: Sequence[Any]) -> Any:  # noqa: ANN401
    for key in place:
        config = config[key]
    return config


def _datasets(weights: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    import h5py

    found: list[tuple[str, Any]] = []
    weights.visititems(
        lambda name, one: found.append((name, one)) if isinstance(one, h5py.Dataset) else None
    )
    return found


def _copy_weights(
    source: Any,  # noqa: ANN401
    target: io.BytesIO,
    changed: Mapping[str, NDArray[Any]],
) -> None:
    """Rewrite a weights file with some weights replaced, a few rows at a time."""
    import h5py

    with h5py.File(source, "r") as given, h5py.File(target, "w") as made:

        def copy(name: str, one: Any) -> None:  # noqa: ANN401
            if isinstance(one, h5py.Group):
                copied = made.create_group(name)
            else:
                values = changed.get(name, one)
                # int8 and float16 stay so in the file; Keras' variables read them as float32.
                small = values.dtype.itemsize < one.dtype.itemsize
                dtype = values.dtype if small else one.dtype
                copied = made.create_dataset(name, values.shape, dtype)
                rows = max(1, _AT_ONCE // max(1, math.prod(values.shape[1:])))
                for start in range(0, len(values) if values.ndim else 0, rows):
                    copied[start : start + rows] = values[start : start + rows]
                if not values.ndim:
                    copied[()] = values[()]
            for key, value in one.attrs.items():
                copied.attrs[key] = value

        given.visititems(copy)
