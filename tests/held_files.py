"""Run commands and print each file that this process moves or removes while it is open.

Windows refuses that; here the kernel lists open files, and an audit hook sees each operation.

    python held_files.py "build photos -o out" "edit out/model.tflite --rename a=b"
"""

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

MOVES = {"os.rename": 2, "os.remove": 1, "os.rmdir": 1, "shutil.rmtree": 1}  # number of paths
looking = False


def held(place):
    """The files at or below a path that are open or mapped."""
    place = Path(os.fsdecode(place)).absolute()
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor that listed them is already closed
            found.append(str(one.readlink()))
    lines = Path("/proc/self/maps").read_text().splitlines()
    found += [line.split(maxsplit=5)[-1] for line in lines if "/" in line]
    return {path for path in found if Path(path).is_relative_to(place)}


def hook(event, arguments):
    global looking
    if looking or event not in MOVES:
        return
    looking = True
    try:
        for place in arguments[: MOVES[event]]:
            if isinstance(place, str | bytes | os.PathLike):
                for path in held(place):
                    print(f"held: {path} ({event})", file=sys.__stdout__, flush=True)
    finally:
        looking = False


if __name__ == "__main__":
    from pocketknn.export.cli.app import main
    from pocketknn.export.manifest import read_back

    read_back.KEEPS_WHAT_IS_MAPPED = True  # as on Windows
    sys.addaudithook(hook)
    for line in sys.argv[1:]:
        try:
            main(shlex.split(line))
        except SystemExit as end:
            if end.code:
                sys.exit(f"{line}: {end.code}")
