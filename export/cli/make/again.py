"""The command that the user typed, with a few changes, for typing it again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import typer

from pocketknn.export.cli.inapplicable import is_typed
from pocketknn.export.report.wording import command_line


def again(context: typer.Context, **changes: object) -> str:
    """The command line of a context, with other values of some options.

    The new build goes into a new folder, unless it is to replace the earlier one.
    """
    if not changes.get("force"):
        changes |= {"out": free(str(context.params["out"])), "force": False}
    words = context.command_path.split()
    for one in context.command.params:
        name = str(one.name)
        given = context.params[name] if is_typed(context, name) else None
        value = changes.get(name, given)
        if one.param_type_name == "argument":
            words.append(str(context.params[name]))
        elif isinstance(value, bool):
            words += one.opts[:1] if value else one.secondary_opts[:1]
        else:
            words += _words(one.opts[0], value)
    return command_line(*words)


def _words(option: str, value: object) -> Iterator[str]:
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    for one in values:
        yield from (option, str(one))


def free(out: str) -> str:
    """The first of OUT-2, OUT-3 and so on that does not exist yet."""
    return next(name for number in count(2) if not Path(name := f"{out}-{number}").exists())
