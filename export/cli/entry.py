"""Where the command `pocketknn` begins: Ctrl-C ends it in a line, also while it is imported."""

import sys

from pocketknn.export.cli import INTERRUPTED


def main() -> None:
    """Import the command line and run it."""
    try:
        from .app import main as run

        run()
    except KeyboardInterrupt:
        print("pocketknn: interrupted", file=sys.__stderr__)
        sys.exit(INTERRUPTED)
    except ImportError as error:  # of what reads the command line; later ones are met there
        from pocketknn.export.formats.requirements import missing

        if not (line := missing(error)):
            raise
        print(f"pocketknn: {line}", file=sys.__stderr__)
        sys.exit(2)
