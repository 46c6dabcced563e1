"""Entry point of `pocketknn`: Ctrl-C ends it with one line, even during imports."""

import sys

from pocketknn.export.cli import INTERRUPTED


def main() -> None:
    """Import the command line and run it."""
    try:
        import gc

        gc.set_threshold(50_000, 20)  # imports make many objects, and hardly any garbage
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
