"""What is to be built, and who is told how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn.builder.errors import InputError
from pocketknn.export.formats.options import Options

if TYPE_CHECKING:
    from pocketknn.builder.embedding.embedded import Skipped
    from pocketknn.builder.embedding.ray.connection import Cluster
    from pocketknn.builder.photos.photo import Photo
    from pocketknn.builder.selection.condense import Condense
    from pocketknn.builder.spec import Spec
    from pocketknn.export.sizes.budget import Budget, Variant


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which photos of a place, and how its table or labels are read.

    Attributes:
        photos: a folder, a table or an archive; or, as text, an address.
        path_column: of a table.
        label_column: of a table, or None for "label" where there is one.
        target_columns: of a table, for regression.
        occasions: how photos of one occasion are told, as `find` takes it.
        labels: a file of classes, one a line, that fixes their order; or None for sorted.
        exclude: patterns of names to leave out.
        limit: at most so many photos of each class.
    """

    photos: Path | str
    path_column: str = "path"
    label_column: str | None = None
    target_columns: tuple[str, ...] = ()
    occasions: str | None = None
    labels: Path | None = None
    exclude: tuple[str, ...] = ()
    limit: int | None = None

    def find(self, note: Callable[[str], None] = lambda line: None) -> list[Photo]:
        """The photos; a note is a line for people on what was noticed on the way.

        Raises:
            InputError: as `builder.find`; or there is an order of classes, but there are none.
        """
        from pocketknn.builder.photos.find import find

        found = find(
            self.photos,
            path_column=self.path_column,
            label_column=self.label_column,
            target_columns=self.target_columns,
            occasions=self.occasions,
            exclude=self.exclude,
            limit=self.limit,
            note=note,
        )
        if self.labels and not any(photo.label for photo in found):
            raise InputError(
                f"{self.labels} orders classes, but the photos of {self.photos} have none: put"
                " those of each class in a folder, or leave out --labels"
            )
        return found

    def classes(self) -> list[str] | None:
        """The order of the classes; None where none was given.

        Raises:
            InputError: the file cannot be read, or does not name each class once.
        """
        from pocketknn.builder.photos.limits import MOST_TEXT
        from pocketknn.builder.photos.readers import read_file

        path = self.labels
        if path is None:
            return None
        try:
            labels = read_file(path, MOST_TEXT).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the labels file {path} cannot be read: {error}") from error
        if not labels or "" in labels or len(set(labels)) < len(labels):
            raise InputError(f"the labels file {path} must name each class once, one a line")
        return labels


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be built of photos, or of references that were embedded before.

    Attributes:
        selection: the photos, or the file of references.
        spec: the choices.
        options: how the files are written.
        formats: names in `FORMATS`; None for all that can be written here.
        strangers: photos of no class, to measure what is called unknown.
        learn_strangers: half of them become references of the class unknown.
        within: take the smallest variant that is good enough.
        fewer: which references to keep; None for all.
        cluster: where photos are embedded; None for this process.
        strict: refuse photos that cannot be read, or are in two classes.
        with_names: False lets no file say what a photo was called.
    """

    selection: Selection
    spec: Spec
    options: Options = field(default_factory=Options)
    formats: tuple[str, ...] | None = None
    strangers: Path | None = None
    learn_strangers: bool = False
    within: Budget | None = None
    fewer: Condense | None = None
    cluster: Cluster | None = None
    strict: bool = False
    with_names: bool = True


def skipped_lines(skipped: Sequence[Skipped], most: int = 10, all_in: str = "") -> list[str]:
    """Which photos were left out, and why, a line each; the first of many, and where all are."""
    named = [f"  {one.name}: {one.reason}" for one in skipped[:most]]
    more = [f"  … and {len(skipped) - most} more{all_in}"] if len(skipped) > most else []
    return [f"{len(skipped)} skipped:", *named, *more] if skipped else []


def _nobody(*told: Any) -> None:  # noqa: ANN401
    """Nobody is told."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told how the work goes on.

    Attributes:
        note: takes a line for people, at once.
        remark: takes a line for people that belongs to the result.
        step: a step begins; how much there is of it, or None where that is not known or as before.
        done: so much more of the step is done.
        variants: what was measured for a budget, and on how many photos.
    """

    note: Callable[[str], None] = _nobody
    remark: Callable[[str], None] = _nobody
    step: Callable[[str, int | None], None] = _nobody
    done: Callable[[int], None] = _nobody
    variants: Callable[[Sequence[Variant], int], None] = _nobody
