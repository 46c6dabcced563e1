"""The command line: its commands, and their exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.cache import folder
from pocketknn.builder.system.offline import write_below
from pocketknn.export.cli import CLOSED_PIPE, INTERRUPTED
from pocketknn.export.cli.ask.explain import explain
from pocketknn.export.cli.ask.predict import predict
from pocketknn.export.cli.ask.web import web
from pocketknn.export.cli.change.diff import diff
from pocketknn.export.cli.change.edit import edit
from pocketknn.export.cli.console.quiet import open_closed, quiet
from pocketknn.export.cli.console.signals import Signals
from pocketknn.export.cli.console.text import shown
from pocketknn.export.cli.judge.bench import bench
from pocketknn.export.cli.judge.eval import eval_
from pocketknn.export.cli.judge.inspect import inspect
from pocketknn.export.cli.judge.verify import verify
from pocketknn.export.cli.make.build import build
from pocketknn.export.cli.make.demo import demo
from pocketknn.export.cli.make.teach import teach
from pocketknn.export.cli.make.tune import tune
from pocketknn.export.cli.refs.change import condense, merge, relabel, remove
from pocketknn.export.cli.refs.convert import export_, import_
from pocketknn.export.cli.refs.list import list_
from pocketknn.export.cli.refs.photos import add, new
from pocketknn.export.formats.requirements import missing

from .cache import cache
from .help import NAMES, Command, Front, Group, Grouped
from .options import grouped

app = typer.Typer(
    cls=Front,
    context_settings=NAMES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Photos in folders become one k-nearest-neighbour model file per platform.

    Examples:
        pocketknn build photos -o out
        pocketknn predict out picture.jpg
        pocketknn web out --open
    """,
)
refs = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    help="""Manage references in a file: add, remove, relabel, merge. Each change writes a new file,
    which pocketknn build turns into models.

    Examples:
        pocketknn refs list out
        pocketknn refs add out new-photos -o grown.parquet
        pocketknn build grown.parquet -o out-2
    """,
)
# Each is named after its function, without the underscore that avoids a Python name.
_COMMANDS: tuple[Callable[..., None], ...] = (
    *(
        build,
        teach,
        tune,
        demo,
        predict,
        explain,
        web,
        verify,
        eval_,
        bench,
        inspect,
        edit,
        diff,
        cache,
    ),
)
_OF_REFS: tuple[Callable[..., None], ...] = (
    *(list_, new, add, remove, relabel, merge, condense, import_, export_),
)
app.add_typer(refs, name="refs")
for group, commands in ((app, _COMMANDS), (refs, _OF_REFS)):
    for command in commands:
        kind = Grouped if command in (build, tune) else Command
        # These two say themselves what to do with more than one folder, see `check_one_place`.
        settings = {"allow_extra_args": kind is Grouped}
        name = command.__name__.removesuffix("_")
        group.command(name, cls=kind, context_settings=settings)(grouped(command))


@refs.callback(invoke_without_command=True)
def help_without_command(context: typer.Context) -> None:
    """Print the help if no command is named."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"pocketknn {version('pocketknn')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Photos in folders become one k-nearest-neighbour model file per platform."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake prints one line on stderr and exits with 2."""
    open_closed()
    signals = Signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals without ×
    arguments = sys.argv[1:] if arguments is None else arguments
    write_below(folder())
    with quiet() as stderr:
        code, message = 0, ""
        try:
            command = typer.main.get_command(app)
            words = arguments or ["--help"]
            code = command.main(words, prog_name="pocketknn", standalone_mode=False) or 0
            sys.stdout.flush()  # notices a closed pipe here, not when Python ends
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:  # such as `| head`; Python flushes again on exit
            code = CLOSED_PIPE
            _lost_output()
        except (InputError, OSError) as error:
            code, message = 2, _one_line(error)
            if _lost_output():  # though the command may have written all its files
                message = f"stdout cannot be written: {message}; the files written are complete"
            if isinstance(error, InputError):  # before the line, which may end in a command
                message = f"[{error.code}] {message}"
        except MemoryError as error:
            code, message = 2, f"not enough memory: {error or 'use fewer photos'}"
        except typer.TyperException as error:
            where = getattr(error, "ctx", None)
            asked = where.command_path if where else "pocketknn"
            code, message = 2, f"{error.format_message()} (see {asked} --help)"
        except Exception as error:  # our own bug: show it, unlike converters' chatter
            code, message = (2, why) if (why := missing(error)) else (70, "")
            if not message and not signals.received:  # a signal may leave a library half imported
                traceback.print_exc(file=stderr)
        signals.close()
        if signals.received and code:
            code = INTERRUPTED
        if code == INTERRUPTED:
            message = "interrupted; no half-written file is left behind"
        if message:
            print(f"pocketknn: {shown(message)}", file=stderr)
    sys.exit(code)


def _lost_output() -> bool:
    """Whether stdout could not be written; if so, further output is discarded."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
