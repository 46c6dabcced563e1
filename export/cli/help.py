"""Help texts: headings over commands and options, whole sentences, and examples at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

    Row = tuple[str, str]  # what is typed, and what it does
    Headings = Mapping[str, Sequence[str]]  # the names below each heading, in their order

NAMES = {"help_option_names": ["-h", "--help"]}  # settings of a context, for commands below it too
COMMANDS: Headings = {
    "Make": ("build", "teach", "tune", "demo"),
    "Ask": ("predict", "explain", "web"),
    "Judge": ("verify", "eval", "bench", "inspect"),
    "Change": ("edit", "diff"),
    "Keep": ("refs", "cache"),
}
# Of build and tune: the first are those that most people need.
OPTIONS: Headings = {
    "Options": (
        *("out", "backbone", "formats", "reject", "strangers", "occasions", "budget"),
        *("plan", "force", "help"),
    ),
    "Advanced: backbone and input": ("weights", "alpha", "size", "input_range", "crop"),
    "Advanced: neighbours and vote": (
        *("k", "metric", "projection", "vote", "temperature", "balanced", "head"),
    ),
    "Advanced: unknown pictures": ("false_rejection", "learn_strangers"),
    "Advanced: files that grow": ("grow", "spare"),
    "Advanced: which photos": (
        *("exclude", "limit", "strict", "path_column", "label_column", "target_column", "labels"),
    ),
    "Advanced: size and speed": (
        *("condense", "condense_by", "loss", "agreement", "references_precision", "search"),
        *("recall", "candidates"),
    ),
    "Advanced: files": (
        *("precision", "pixels", "outputs", "ios", "author", "license", "no_names", "no_report"),
        "thumbnails",
    ),
    "Advanced: run": ("seed", "folds", "no_cache", "engine", "ray_address"),
}
_EXAMPLES = "\nExamples:\n"


def examples(text: str | None) -> list[str]:
    """The examples at the end of a docstring, one command each."""
    return [line.strip() for line in (text or "").partition(_EXAMPLES)[2].splitlines()]


class _WithExamples:
    """A help text that may end in examples."""

    help: str | None
    headings: ClassVar[Headings] = {}

    def format_help_text(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write what precedes the examples, in paragraphs."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text((self.help or "").partition(_EXAMPLES)[0])

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples as they are, since a wrapped command cannot be copied."""
        if lines := examples(self.help):
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in lines))


class Command(_WithExamples, TyperCommand):
    """A command whose options may have headings."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments, then options below their headings."""
        params = [(one, one.get_help_record(ctx)) for one in self.get_params(ctx)]
        rows = {str(one.name): row for one, row in params if row}
        options = {one.name for one, _ in params if one.param_type_name == "option"}
        arguments = {"Arguments": [name for name in rows if name not in options]}
        _write(formatter, rows, {**arguments, "Options": (), **self.headings}, "Options")


class Grouped(Command):
    """A command with many options."""

    headings = OPTIONS


class Group(_WithExamples, TyperGroup):
    """A group that shows the whole first sentence of each command's help."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands below their headings."""
        rows = {name: (name, _sentence(one.help)) for name, one in self.commands.items()}
        _write(formatter, rows, {"Commands": (), **self.headings}, "Commands")


class Front(Group):
    """All commands."""

    headings = COMMANDS


def _write(
    formatter: HelpFormatter, rows: Mapping[str, Row], headings: Headings, others: str
) -> None:
    """Write rows below their headings; rows without a heading go below `others`."""
    named = {name for names in headings.values() for name in names}
    rest = [name for name in rows if name not in named]
    for heading, names in headings.items():
        order = [*names, *rest] if heading == others else names
        if below := [rows[name] for name in order if name in rows]:
            with formatter.section(heading):
                formatter.write_dl(below)


def _sentence(text: str | None) -> str:
    """The first sentence of a help text."""
    first = " ".join((text or "").partition("\n\n")[0].split())
    return first.partition(". ")[0].removesuffix(".") + "."
