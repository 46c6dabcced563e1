"""Saving a model, the same bytes each time: without what Keras numbers and dates."""

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
    """Save the model; `fill` makes of it the same bytes each time."""
    model.save(path)


def canonical(config: str) -> Any:  # noqa: ANN401  # JSON
    """A model's configuration with its objects numbered as they come.

    Without choices that a layer leaves to its default, which earlier versions of Keras do not know.
    """
    return _plain(parse_json(_numbered(config)))


def date() -> str:
    """The date of a file, as Keras writes it.

    It is that of SOURCE_DATE_EPOCH (https://reproducible-builds.org), or a zip's first day.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime(*DATE)
    return f"{when:%Y-%m-%d@%H:%M:%S}"


def _numbered(text: str) -> str:
    """Addresses of objects, by which Keras tells shared ones, in the order they come."""
    seen: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: f'"shared_object_id": {seen.setdefault(found[1], len(seen))}', text
    )


def _plain(config: Any) -> Any:  # noqa: ANN401  # JSON
    """Without the keys of its objects that are not set."""
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
