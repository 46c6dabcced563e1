"""Save a model deterministically, without Keras' object numbers and dates."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.storage.texts import DATE

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
    """Save the model; `fill` makes it deterministic."""
    model.save(path)


def canonical(config: str) -> Any:  # noqa: ANN401  # JSON
    """A model's configuration with its objects numbered in order of appearance.

    Options that a layer leaves at their default are dropped, as older Keras may not know them.
    """
    return _plain(parse_json(_numbered(config)))


def date() -> str:
    """The date of a file, as Keras writes it.

    It is SOURCE_DATE_EPOCH (https://reproducible-builds.org), or the earliest date of a zip.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime(*DATE)
    return f"{when:%Y-%m-%d@%H:%M:%S}"


def _numbered(text: str) -> str:
    """Number shared objects in order of appearance; Keras uses their addresses."""
    seen: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: f'"shared_object_id": {seen.setdefault(found[1], len(seen))}', text
    )


def _plain(config: Any) -> Any:  # noqa: ANN401  # JSON
    """The configuration without unset keys."""
    if isinstance(config, list):
        return [_plain(one) for one in config]
    if not isinstance(config, dict):
        return config
    config = {key: _plain(value) for key, value in config.items()}
    own = config.get("config")
    # In a slice, None is meaningful.
    if isinstance(own, dict) and config.get("class_name") != "__slice__":
        if own.get("renorm") is False:
            own = {key: value for key, value in own.items() if not key.startswith("renorm")}
        config["config"] = {key: value for key, value in own.items() if value is not None}
    return config
