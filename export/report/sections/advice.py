"""What to do next. All advice is decided here; the other sections show the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pocketknn.builder.knn.validation import promise
from pocketknn.export.report import outcome_words, unknown_words
from pocketknn.export.report.blocks import Block, Command, Section
from pocketknn.export.report.statistics.curves import UNEVEN
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import NO_MISTAKES, command_line, plural, sentence

_MOST_CLASSES = 3  # that are named
_RARE = 0.05  # significance level of a weak class, over all classes
_SMALL, _BETTER = "bundled", "efficientnet_lite0"


class Step(NamedTuple):
    """A step worth taking.

    Attributes:
        words: what to do, and why; without a command, what not to expect.
        command: the command that does it or comes after it: "build" again, "edit" to add photos,
            "eval" or "tune"; "" for none.
        options: options of that command; for "build", the changes to the command of the build, with
            None for an option to leave out.
    """

    words: str
    command: str = ""
    options: Mapping[str, str | bool | None] = {}


_AGAIN = {"force": True}  # the same build, of other photos
_YOURS = "Words in capitals stand for your own folders."
_OPTIONS = " Also give build the options that this build was made with."


def typed(step: Step, out: str, new: str = "NEW") -> str:
    """A step's command, with capitals for folders that are not known.

    Args:
        step: a step with a command.
        out: the build's folder.
        new: the folder of another build.
    """
    if step.command == "eval":
        return command_line("pocketknn", "eval", out, "OTHER-PHOTOS")
    if step.command == "edit":
        return command_line("pocketknn", "edit", out, "--add", "MORE-PHOTOS", "-o", new)
    words = [] if step.command == "tune" else ["-o", out if "force" in step.options else new]
    for name, value in step.options.items():
        option = f"--{name.replace('_', '-')}"
        if value is not None:
            words += [option] if value is True else [option, str(value)]
    return command_line("pocketknn", step.command, "PHOTOS", *words)


def following(study: Study) -> Section | None:
    """The steps worth taking, each with its command."""
    blocks: list[Block] = []
    commands = set()
    for step in steps(study):
        blocks.append(step.words)
        if step.command:
            blocks.append(Command(typed(step, study.out)))
            commands.add(step.command)
    if commands:
        blocks.append(_YOURS + _OPTIONS * ("build" in commands))
    return Section("next", "What to do next", tuple(blocks)) if blocks else None


def advice(study: Study) -> list[str]:
    """The steps in words."""
    return [step.words for step in steps(study)]


def steps(study: Study) -> list[Step]:
    """The steps, the most useful first; none without classes."""
    if not study.fit.references.labels or study.regress:
        return []
    if study.search:
        return [*_eval(study)]
    if len(study.fit.references.labels) < 2:
        words = (
            "Add photos of a second class, or build with --reject auto: with one class alone, every"
            " picture is assigned to it."
        )
        return [Step(words, "build", {"reject": "auto"})]
    if not study.manifest["references"]["leave_one_out"]:
        several = max(study.fit.references.counts.values()) > 1
        one = "one of each" if not several else "near-copies of one photo of each, which count once"
        words = (
            f"Take more{' and different' if several else ''} photos of each class: with {one},"
            " nothing can be held out, so neither the accuracy nor what would raise it can be"
            " measured."
        )
        return [_with_more(study, words)]
    return [
        *(*_outcome(study), *_labels(study), *_backbone(study)),
        *(*_rejection(study), *_photos(study), *_neighbours(study), *_eval(study)),
    ]


def _with_more(study: Study, words: str) -> Step:
    """A step that needs more photos; they are added with `edit` if that gives the same build."""
    manifest = study.manifest
    settled = manifest.get("condensed") or manifest.get("strangers")
    grouped = manifest["references"].get("occasions")  # which photos that are added do not have
    if manifest["input"]["name"] != "image" or settled or grouped:
        return Step(words, "build", _AGAIN)
    return Step(words, "edit")


def _outcome(study: Study) -> Iterator[Step]:
    """Advice from photos that were measured after the build."""
    if study.outcome and (words := outcome_words.advice(study.outcome, study.manifest)):
        yield _with_more(study, sentence(words))


def _rejection(study: Study) -> Iterator[Step]:
    """Advice if the build measured that too many strangers pass."""
    reject = study.manifest["reject"]
    if not reject or (weak := unknown_words.weakness(reject)) is None:
        return
    if reject["strangers_asked"] < unknown_words.FEW_STRANGERS:
        yield Step(
            f"{weak} Measure this on photos of other things that the camera may see.",
            *("build", {"strangers": "STRANGE-PHOTOS"}),
        )
        return
    yield Step(
        f"{weak} If you have not tried it, --learn-strangers instead of --reject may stop more.",
        *("build", {"learn_strangers": True, "reject": None, "false_rejection": None}),
    )


def _labels(study: Study) -> Iterator[Step]:
    if found := study.suspects:
        pictures = plural(len(found), "picture")
        yield Step(
            f"Look at the {pictures} under “Likely mislabelled”, and move those in a wrong folder.",
            *("build", _AGAIN),
        )


def _backbone(study: Study) -> Iterator[Step]:
    backbone = study.manifest["backbone"]
    if "budget" in study.manifest:  # a larger network would not meet it
        return
    if _verdict(study) != "good" and backbone and backbone["name"] == _SMALL:
        yield Step(
            f"Try --backbone {_BETTER}: its files are larger, but it separates most kinds of photos"
            f" better than {_SMALL}.",
            *("build", {"backbone": _BETTER}),
        )


def _photos(study: Study) -> Iterator[Step]:
    found = study.forecast
    if study.outcome and not study.outcome.kept and study.outcome.difference < 0:
        return  # the curve is of photos like the references, and others were measured
    if study.manifest["references"].get("occasions"):
        if _verdict(study) != "good":
            yield _with_more(
                study,
                "Photograph each class on more occasions: for new occasions, that helps more than"
                " further photos from the same ones.",
            )
        return
    if study.flawless:
        yield Step(NO_MISTAKES)
        return
    if found is None:
        yield from _few(study)
        return
    if found.helps:
        weak = weak_classes(study)
        first = f", {' and '.join(weak)} first" if weak else ""
        yield _with_more(
            study,
            f"Take more photos of each class{first}: twice as many would likely raise the"
            f" accuracy by about {100 * found.gain:.0f} points.",
        )
    elif found.little:
        yield Step("Twice as many photos of the same kind would likely help little.")
    elif _verdict(study) != "good":
        yield _with_more(
            study,
            "These photos are too few to tell whether more would help; a few more of each class"
            " would show it.",
        )


def _few(study: Study) -> Iterator[Step]:
    """Advice if classes differ in size."""
    counts = study.fit.references.counts
    most = max(counts.values())
    few = [name for name in counts if UNEVEN * counts[name] <= most]
    few.sort(key=counts.__getitem__)
    if few and _verdict(study) != "good":
        names = ", ".join(f"{name} ({counts[name]})" for name in few[:_MOST_CLASSES])
        yield _with_more(study, f"Take more photos of the small classes, such as {names}.")


def _neighbours(study: Study) -> Iterator[Step]:
    found = study.by_k
    if found and found.clear:
        yield Step(
            f"Compare --k {found.best} with k = {study.fit.k} using pocketknn tune.",
            *("tune", {"k": f"{found.best},{study.fit.k}"}),
        )


def _eval(study: Study) -> Iterator[Step]:
    if study.held_out is None and study.manifest["input"]["name"] == "image":
        yield Step(
            "Measure the model on photos from another place and day with pocketknn eval: future"
            " photos may be less like the references than the references are like each other.",
            "eval",
        )


def _verdict(study: Study) -> str | None:
    """The verdict on the held-out photos if there are some, else the build's."""
    loo = study.manifest["references"]["leave_one_out"]
    if study.outcome and loo.get("chance") is not None:
        right = study.outcome.right
        return promise.verdict(right.value, right.interval, loo["chance"])
    word: str | None = loo.get("verdict")
    return word


def weak_classes(study: Study) -> list[str]:
    """Classes whose accuracy is too low to be explained by chance, the weakest first."""
    from scipy.special import bdtr  # scipy.stats takes a second to import

    if study.own is None:
        return []
    usual, found = study.own.right.value, study.own.recalls
    rare = [
        study.own.labels[one.label]
        for one in found
        if bdtr(one.right.count, one.right.of, usual) < _RARE / len(found)
    ]
    return rare[:_MOST_CLASSES]
