"""Turn a page's folder into an app that browsers can install and open without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from pocketknn.export.output.checksums import sha256

_PAGE, _WORKER = "index.html", "service-worker.js"
_LINKS = """\
    <link rel="manifest" href="manifest.webmanifest" />
    <script type="module" src="offline.js"></script>
"""


def make_installable(folder: Path, webgpu: Collection[str] = ()) -> None:
    """Add the files that a browser needs to store the complete page.

    Args:
        folder: the page's folder; its list of files goes into the service worker.
        webgpu: files of the page that only browsers with a graphics card need.
    """
    for source in (files(__package__) / "offline").iterdir():
        if source.name != _WORKER:
            (folder / source.name).write_bytes(source.read_bytes())
    page = folder / _PAGE
    text = page.read_text("utf-8").replace("  </head>", f"{_LINKS}  </head>")
    page.write_text(text, encoding="utf-8", newline="")
    sums = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    version = hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:24]
    facts = {
        "VERSION": version,
        "FILES": ["./", *(name for name in sums if name not in webgpu)],
        "WEBGPU": [*webgpu],
    }
    lines = [f"const {name} = {json.dumps(value)};\n" for name, value in facts.items()]
    code = (files(__package__) / "offline" / _WORKER).read_text("utf-8")
    (folder / _WORKER).write_text("".join([*lines, "\n", code]), encoding="utf-8", newline="")
