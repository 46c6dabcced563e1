"""Entry point of `pocketknn`: Ctrl-C ends it with one line, even during imports."""

import gc
import sys

from pocketknn.export.cli import INTERRUPTED


def main() -> None:
    """Import the command line and run it."""
    gc.set_threshold(50_000, 20)  # what imports make stays: looking for garbage is rarely of use
    try:
        from .app import main as run

        run()
    except KeyboardInterrupt:
        print("pocketknn: interrupted", file=sys.__stderr__)
        sys.exit(INTERRUPTED)
    except ImportError as error:  # needed to read the command line; `run` handles later ones
        from pocketknn.export.formats.requirements import missing

        if not (line := missing(error)):
            raise
        print(f"pocketknn: {line}", file=sys.__stderr__)
        sys.exit(2)
    finally:
        from .console.signals import end_at_once

        end_at_once()
