"""Saving a model, the same bytes each time: without what Keras numbers and dates."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pocketknn.export.formats.options import Options
from pocketknn.export.formats.zip_texts import DATE, member

if TYPE_CHECKING:
    import keras

_SHARED = re.compile(r'"shared_object_id": (\d+)')


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Save the model."""
    model.save(path)
    rewrite(path)


def rewrite(path: Path) -> None:
    """Write a .keras archive again: no time of day, objects numbered as they come.

    Nor choices that a layer leaves to its default, which earlier versions of Keras do not know.

    The date inside is that of SOURCE_DATE_EPOCH (https://reproducible-builds.org), or a zip's first
    day.
    """
    part = path.with_suffix(".part")
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(part, "w") as made:
        for info in given.infolist():
            content = given.read(info)
            if info.filename == "metadata.json":
                said = json.loads(content) | {"date_saved": date()}
                content = json.dumps(said).encode()
            if info.filename == "config.json":
                content = json.dumps(_plain(json.loads(_numbered(content.decode())))).encode()
            made.writestr(member(info.filename), content)
    part.replace(path)


def _numbered(text: str) -> str:
    """Addresses of objects, by which Keras tells shared ones, in the order they come."""
    seen: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: f'"shared_object_id": {seen.setdefault(found[1], len(seen))}', text
    )


def _plain(config: Any) -> Any:  # noqa: ANN401  # JSON
    """A model's configuration without the keys of its objects that are not set."""
    if isinstance(config, list):
        return [_plain(one) for one in config]
    if not isinstance(config, dict):
        return config
    config = {key: _plain(value) for key, value in config.items()}
    own = config.get("config")
    # The ends of a slice stand for themselves.
    if isinstance(own, dict) and config.get("class_name") != "__slice__":
        if own.get("renorm") is False:
            own = {key: value for key, value in own.items() if not key.startswith("renorm")}
        config["config"] = {key: value for key, value in own.items() if value is not None}
    return config


def date() -> str:
    """The date that Keras writes, as it writes it."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime(*DATE)
    return f"{when:%Y-%m-%d@%H:%M:%S}"
