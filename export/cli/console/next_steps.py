"""What to do after a build: how to try it, and how to improve it, as the report advises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pocketknn.export.formats.files import fastest
from pocketknn.export.output.names import REPORT, SNIPPETS
from pocketknn.export.report.wording import command_line

if TYPE_CHECKING:
    from pocketknn.export.pipeline.export import Export
    from pocketknn.export.report.sections.advice import Step

    Again = Callable[..., str]  # the command that built, with other values of some options

_MOST = 2  # steps, besides eval


def next_steps(result: Export, steps: Sequence[Step] = (), again: Again | None = None) -> list[str]:
    """What the build wrote, and the commands to type next.

    Args:
        result: the build.
        steps: the steps that its report advises.
        again: makes the command for building again; None to print no advice.
    """
    kept = [result.out / one.name for one in result.written if one.parity.agrees]
    if not kept:
        return [f"no file agrees with the exact k-NN; {result.out} holds only the references"]
    out = str(result.out)
    report = f"; how good it is: {result.out / REPORT}" if (result.out / REPORT).exists() else ""
    file = "its file" if len(kept) == 1 else "its fastest file"
    lines = [f"{out} is ready; {file} is {fastest(kept).name}{report}"]
    if again and (found := [*_advised(out, steps, again)]):
        lines += ["What to do next:", *found]
    if result.manifest["input"]["name"] != "image":
        if names := sorted(path.name for path in (result.out / SNIPPETS).glob("*")):
            lines.append(
                f"For an app: {', '.join(names)} in {result.out / SNIPPETS}; the app must compute"
                " its vectors with the network that computed the build's"
            )
        return [*lines, "Try it:", f"  {command_line('pocketknn', 'predict', out, 'VECTORS.npy')}"]
    lines += ["Try it:", f"  {command_line('pocketknn', 'predict', out, 'PICTURE.jpg')}"]
    if any(path.suffix == ".onnx" for path in kept):  # which the page runs
        lines.append(f"  {command_line('pocketknn', 'web', out, '--open')}")
    return lines


def _advised(out: str, steps: Sequence[Step], again: Again) -> Iterator[str]:
    """The first steps that can be taken, each with its command; `eval` is always included."""
    from pocketknn.export.cli.make.again import free
    from pocketknn.export.report.sections.advice import typed

    able = [step for step in steps if step.command]
    first = [step for step in able if step.command != "eval"][:_MOST]
    for step in [*first, *(step for step in able if step.command == "eval")]:
        yield f"  {step.words}"
        if step.command == "build":
            yield f"    {again(**step.options)}"
        else:
            yield f"    {typed(step, out, free(out))}"
