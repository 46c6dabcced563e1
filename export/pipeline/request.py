"""What to build, and callbacks that report its progress."""

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
    from pocketknn.builder.references.references import References
    from pocketknn.builder.selection.condense import Condense
    from pocketknn.builder.spec import Spec
    from pocketknn.export.sizes.budget import Budget, Variant


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which photos of a place to use, and how its table or labels are read.

    Attributes:
        photos: a folder, a table or an archive; or, as text, an address.
        path_column: a table's column of paths.
        label_column: a table's column of classes, or None for "label" if present.
        target_columns: a table's columns of numbers, for regression.
        occasions: how photos of one occasion are grouped, as for `find`.
        labels: a file of class names, one per line, that fixes their order; None for sorted.
        exclude: patterns of names to leave out.
        limit: maximum number of photos per class.
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
        """The photos; `note` takes a message for the user about anything noticed.

        Raises:
            InputError: for the reasons of `builder.find`, or `labels` orders classes, but the
                photos have none.
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
                " the photos of each class in a folder of their own, or leave out --labels",
                "no-classes",
            )
        return found

    def classes(self) -> list[str] | None:
        """The order of the classes; None if none is given.

        Raises:
            InputError: the file cannot be read, or does not name each class exactly once.
        """
        from pocketknn.builder.photos.limits import MOST_TEXT
        from pocketknn.builder.photos.readers import read_file

        path = self.labels
        if path is None:
            return None
        try:
            labels = read_file(path, MOST_TEXT).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the labels file {path} cannot be read: {error}", "unreadable-file"
            ) from error
        if not labels or "" in labels or len(set(labels)) < len(labels):
            raise InputError(
                f"the labels file {path} must name each class once, one per line",
                "labels-file-invalid",
            )
        return labels


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to build from photos, or from references that are already embedded.

    Attributes:
        selection: the photos, or the file of references.
        references: what the file of references holds, if that was read before, and perhaps changed.
        spec: the choices.
        options: how the files are written.
        formats: names in `FORMATS`; None for all that can be written here.
        strangers: photos that show none of the classes, to measure how many are called unknown.
        learn_strangers: whether half of them become references of the class unknown.
        within: the budget that the smallest variant must meet; None for no limit.
        fewer: which references to keep; None for all.
        cluster: where photos are embedded; None for this process.
        strict: refuse photos that cannot be read, or are in two classes.
        with_names: False keeps photos' names out of every file.
        thumbnails: maximum bytes of small pictures of the references; None for no such pictures.
    """

    selection: Selection
    spec: Spec
    references: References | None = None
    options: Options = field(default_factory=Options)
    formats: tuple[str, ...] | None = None
    strangers: Path | None = None
    learn_strangers: bool = False
    within: Budget | None = None
    fewer: Condense | None = None
    cluster: Cluster | None = None
    strict: bool = False
    with_names: bool = True
    thumbnails: int | None = None


def skipped_lines(skipped: Sequence[Skipped], most: int = 10, all_in: str = "") -> list[str]:
    """Which photos were left out, and why, one per line; if there are many, only the first."""
    named = [f"  {one.name}: {one.reason}" for one in skipped[:most]]
    more = [f"  … and {len(skipped) - most} more{all_in}"] if len(skipped) > most else []
    return [f"{len(skipped)} skipped:", *named, *more] if skipped else []


def _nobody(*given: Any) -> None:  # noqa: ANN401
    """Ignore what is reported."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Callbacks that report progress.

    Attributes:
        note: takes a message for the user, to be shown at once.
        remark: takes a message for the user that belongs to the result.
        step: called when a step begins, with its name and its length, which is None if unknown or
            unchanged.
        done: takes the progress in the step since the last call.
        variants: takes the variants measured for a budget, and the number of photos used.
    """

    note: Callable[[str], None] = _nobody
    remark: Callable[[str], None] = _nobody
    step: Callable[[str, int | None], None] = _nobody
    done: Callable[[int], None] = _nobody
    variants: Callable[[Sequence[Variant], int], None] = _nobody
