"""Build what the page was taught: one build at a time, by the command line in its own process.

A build therefore cannot harm the server, and can be ended at any time; the command line leaves no
half-written file behind.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.files import paths_of
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.checksums import size
from pocketknn.export.output.names import MODEL, PARITY, REPORT

from . import PLACE, STEPS
from .upload import PHOTOS, TAUGHT, Upload, unpack

if TYPE_CHECKING:
    from .embedder import Embedder

_ENDS = "from pocketknn.builder.system import parent; parent.end_with_it()\n"
_CODE = "from pocketknn.export.cli.app import main; main()"
_MOST_LINES, _LONGEST_LINE = 400, 500
_SECONDS = 3600  # for a build
_PATIENCE = 60  # seconds for a build to clean up once it was told to end
_MISTAKE = re.compile(r"pocketknn: (?:\[[\w-]+\] )?(.+)")  # the line about one, with its code
_ADVICE = "What to do next"  # its commands name what was sent, which is gone after the build
_ZIP = ".zip"
_CANCELLED = "the build was stopped"


class Builds:
    """The builds of one page.

    Attributes:
        folder: where builds are written; the first build creates it, and later ones replace it.
        work: a private folder for what is sent, and for packed files.
    """

    def __init__(
        self, out: Path, models: Mapping[str, Embedder], work: Path, more: Sequence[str] = ()
    ) -> None:
        """Start without a build.

        Args:
            out: the folder that holds the build; created with the first one.
            models: the page's backbones by name, the preferred one first.
            work: a private folder that exists.
            more: further options of `pocketknn build`.
        """
        self._out = out
        self.folder = _free(out)
        self.work = work
        self._packed = work / "packed"
        self._packed.mkdir()
        self._models, self._more = models, more
        self._lock = threading.Lock()  # held from when photos are sent until they are built
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._ending = ""  # why the build is told to end
        self._lesson = ""  # what the page calls that which is, or was, built
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._done: dict[str, Any] | None = None
        self._built = False  # the folder is ours

    def reserve(self, lesson: str = "") -> bool:
        """Reserve the next build; returns whether it may begin now.

        If it may, `start` or `release` must follow.

        Args:
            lesson: an id by which a page recognises its own build.
        """
        if not self._lock.acquire(blocking=False):
            return False
        self._lesson, self._ending, self._done = lesson, "", None
        self._lines.clear()
        return True

    def release(self) -> None:
        """Let others build, because no build could be started."""
        self._lock.release()

    def start(self, sent: Path, name: str) -> None:
        """Begin to build.

        Args:
            sent: the zip; it is not needed after this call.
            name: name of the model that the page uses; "" for the preferred one.

        Raises:
            InputError: the zip cannot be used, or there is no such model.
        """
        place = Path(tempfile.mkdtemp(dir=self.work))
        if not self._built:  # a build that was stopped too late may be there
            self.folder = _free(self._out)
        try:
            name = name or next(iter(self._models))
            if name not in self._models:
                raise InputError(f"the page has no model {name[:40]!r}", "unknown-choice")
            upload = unpack(sent, place, self._models[name].stand_in())
            commands = [*self._commands(upload, self._models[name])]
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._thread = threading.Thread(target=self._run, args=(commands, place))
        self._thread.start()

    def stop(self, why: str = _CANCELLED) -> None:
        """End a running build."""
        self._ending = why
        if (process := self._process) is not None:
            process.terminate()

    def close(self) -> None:
        """End a running build, and wait until it has cleaned up."""
        self.stop()
        if self._thread is not None:
            try:
                self._thread.join(_PATIENCE)
            finally:  # also after a second Ctrl-C
                if (process := self._process) is not None:
                    process.kill()
            self._thread.join()

    def state(self) -> dict[str, Any]:
        """The state of the build, for the page to show."""
        return {
            "building": self._lock.locked(),
            "lines": list(self._lines),
            "done": self._done,
            "lesson": self._lesson,
        }

    def path_of(self, name: str) -> Path:
        """The folder that holds a file of the build; before there is a build, one without files."""
        if not self._built:
            return self.work / "nothing"
        return self._packed if name.endswith(_ZIP) else self.folder

    def _commands(self, upload: Upload, model: Embedder) -> Iterator[list[str]]:
        """The command lines, in order, to be run in the folder of the unpacked zip."""
        source, options = PHOTOS, [*model.options()]
        apart = ["--occasions", "folders"] if upload.occasions else []
        if upload.taught:
            source, options = TAUGHT, []  # which records its backbone
            if upload.photos:
                source = "all.parquet"
                yield ["refs", "add", TAUGHT, PHOTOS, "-o", source, *apart]
            apart = []
        rejects = ["--reject", "auto"] if upload.rejects else []
        again = ["--force"] if self._built else []
        written = ["-o", str(self.folder.absolute()), "--grow", "256", "--spare", "8"]
        yield ["build", source, *written, *options, *apart, *rejects, *again, *self._more]

    def _run(self, commands: list[list[str]], place: Path) -> None:
        timer = threading.Timer(_SECONDS, self.stop, ["the build took more than an hour"])
        timer.start()
        try:
            code = next((code for words in commands if (code := self._call(words, place))), 0)
            self._done = self._result(code)
        except (OSError, InputError) as error:
            self._done = _failed(str(error))
        finally:
            timer.cancel()
            shutil.rmtree(place, ignore_errors=True)
            self._lock.release()

    def _call(self, words: list[str], place: Path) -> int:
        """Run a command in a folder, and collect its lines; returns its exit code."""
        if self._ending:
            return 1
        # -P: nothing in that folder is imported. Advice names what is in it by a short name.
        command = [sys.executable, "-P", "-u", "-c", _ENDS + _CODE, *words]
        with subprocess.Popen(
            command,
            cwd=place,
            stdin=subprocess.PIPE,  # closed with this process at the latest, even by SIGKILL
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=os.environ
            | {"PYTHONIOENCODING": "utf-8", STEPS: "1"}
            | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(place)),  # which goes in any case
        ) as process:
            self._process = process
            assert process.stdout is not None
            if self._ending:  # meanwhile
                process.terminate()
            told = True
            for line in process.stdout:
                told = told and not line.startswith(_ADVICE)
                if told and (line := line.rstrip()[:_LONGEST_LINE]):
                    self._lines.append(line)
            process.wait()  # with its stdin open
        self._process = None
        return process.returncode

    def _result(self, code: int) -> dict[str, Any]:
        """The result of a build that ended with this exit code."""
        if self._ending:
            return _failed(self._ending)
        # 1: not every file agrees, and those that do not are left out; or Python's own, for a crash
        error = self._left_out() if code == 1 else None
        if code and not error:
            said = [match[1] for one in self._lines if (match := _MISTAKE.fullmatch(one))]
            if code < 0:
                said = ["the system ended the build; perhaps it ran out of memory"]
            why = said[-1] if said else f"the build ended with the exit code {code}"
            if os.strerror(errno.ENOSPC) in why:
                why = f"{why}: make room for {self._out.absolute()} and {self.work}"
            return _failed(why)
        self._built = True
        files = [self._file(path) for path in paths_of(self.folder)]
        report = f"{PLACE}/{REPORT}" if (self.folder / REPORT).exists() else None
        found = {"folder": str(self.folder), "files": files, "report": report}
        return {"ok": True, "error": error, **found}

    def _left_out(self) -> str:
        """Which files are missing, why, and what to do; "" if none is."""
        written = self.folder / PARITY
        parity = parse_json(written.read_text("utf-8")) if written.exists() else {}
        missing = [
            f"{MODEL}{FORMATS[name].SUFFIX} ({'; '.join(one['failures'])})"
            for name, one in parity.items()
            if not one["agrees"]
        ]
        if not missing:
            return ""
        others = "The other files are right. " if len(missing) < len(parity) else ""
        return (
            f"Left out, as its answers are not exact enough: {', '.join(missing)}. {others}Build"
            " again; if that does not help, please report it with the output of the build."
        )

    def _file(self, path: Path) -> dict[str, Any]:
        """A file for the page to offer; a folder is packed into a zip."""
        name = path.name
        if path.is_dir():
            path = Path(shutil.make_archive(str(self._packed / name), "zip", path.parent, name))
            name = path.name
        return {"name": name, "url": f"{PLACE}/{name}", "bytes": size(path)}


def _free(out: Path) -> Path:
    """A folder for a build in `out` that does not exist yet."""
    names = (PLACE if number == 1 else f"{PLACE}-{number}" for number in count(1))
    return next(out / name for name in names if not os.path.lexists(out / name))


def _failed(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error, "folder": None, "files": [], "report": None}
