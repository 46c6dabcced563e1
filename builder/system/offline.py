"""Libraries that speak to their makers, or write into the home folder, are told not to.

Each reads its environment when it is imported, so this comes before.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in pocketknn.builder

if TYPE_CHECKING:
    from pathlib import Path

# Where these libraries keep their settings and lists of fonts: folders of a cache.
SETTINGS = {"KERAS_HOME": "keras-settings", "MPLCONFIGDIR": "matplotlib-settings"}


def send_nothing() -> None:
    """Switch off what libraries send of their own; who has set a switch is not overruled.

    onnxruntime 1.31 sends events with the name of the model, and keeps a number of the device in
    the home folder; its function `disable_telemetry_events` is too late for the first of them.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def write_below(folder: Path | None) -> None:
    """Have Keras and matplotlib keep their settings in a folder of ours where they have none yet.

    Args:
        folder: where caches lie; without one nothing is changed.
    """
    if folder is None:
        return
    from pathlib import Path

    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # without a home it stays "~"
    for name, usual in (("KERAS_HOME", ".keras"), ("MPLCONFIGDIR", ".config/matplotlib")):
        if not (home / usual).exists():
            os.environ.setdefault(name, str(folder / SETTINGS[name]))
