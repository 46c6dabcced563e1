"""Keep libraries from sending telemetry and from writing into the home folder.

Each reads its environment on import, so this must come first.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in pocketknn.builder

if TYPE_CHECKING:
    from pathlib import Path

# Cache folders for the libraries' settings and font lists.
SETTINGS = {"KERAS_HOME": "keras-settings", "MPLCONFIGDIR": "matplotlib-settings"}


def send_nothing() -> None:
    """Disable the telemetry of libraries, unless the user has set the variable.

    onnxruntime 1.31 sends events with the name of the model, and stores a device id in the home
    folder; its function `disable_telemetry_events` comes too late for the first event.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def write_below(folder: Path | None) -> None:
    """Make Keras and matplotlib keep settings in our folder, unless they already have settings.

    Args:
        folder: the cache folder; None changes nothing.
    """
    if folder is None:
        return
    from pathlib import Path

    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # without a home it stays "~"
    for name, usual in (("KERAS_HOME", ".keras"), ("MPLCONFIGDIR", ".config/matplotlib")):
        if not (home / usual).exists():
            os.environ.setdefault(name, str(folder / SETTINGS[name]))
