"""Where the command `pocketknn` begins: Ctrl-C ends it in a line, also while it is imported."""

import sys

INTERRUPTED = 130  # as shells have it: 128 and the number of the signal


def main() -> None:
    """Import the command line and run it."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        print("pocketknn: interrupted", file=sys.__stderr__)
        sys.exit(INTERRUPTED)
