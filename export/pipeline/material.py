"""Prepare what artefacts are made from: embed photos or read references, and select some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.load import backbone_of, load_backbone
from pocketknn.builder.choices import room
from pocketknn.builder.embedding.cache import Embeddings
from pocketknn.builder.embedding.embedded import Embedded, Skipped
from pocketknn.builder.embedding.local import embed
from pocketknn.builder.embedding.ray.connection import Cluster
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.memory import check_room, warn_of_converting
from pocketknn.builder.knn.validation import learned_strangers
from pocketknn.builder.knn.validation.occasions import check_occasions
from pocketknn.builder.photos.find import find
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.decode import Squares
from pocketknn.builder.references.files import is_collection, read_collection
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.condense import Condensed, condense
from pocketknn.builder.spec import UNKNOWN, Spec, resolve_k
from pocketknn.builder.system.cache import Cache
from pocketknn.builder.wording import counted
from pocketknn.export.sizes.estimate import check_size

from .request import Request, Watch


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What artefacts are made from.

    Attributes:
        spec: the choices, including those that follow from the references.
        references: the stored examples.
        backbone: the feature extractor; None for vectors of an unknown backbone.
        photos: the photo of each reference; empty if not available.
        squares: the photos as the backbone sees them; None if not available.
        skipped: the photos that were left out.
        strangers: embeddings (s, d) of strangers that are not references, or None.
        condensed: the result of `condense`, if the references come from it, or None.
        strange: all photos that show none of the classes, or None.
    """

    spec: Spec
    references: References
    backbone: Backbone | None
    photos: tuple[Photo, ...] = ()
    squares: Squares | None = None
    skipped: tuple[Skipped, ...] = ()
    strangers: NDArray[np.float32] | None = None
    condensed: Condensed | None = None
    strange: Embedded | None = None


def material(
    request: Request, formats: Sequence[str], cache: Cache | None, watch: Watch
) -> Material:
    """The references of a request, and the photos and backbone they come from.

    Raises:
        InputError: there are no such photos or references, or too many for a file.
    """
    held = request.references is not None or is_collection(request.selection.photos)
    found = (_of_references if held else _of_photos)(request, formats, cache, watch)
    if found.strange is not None:
        found = _with_strangers(request, found, found.strange, watch)
    if not request.with_names:
        found = replace(found, references=found.references.without_names())
    if request.fewer is None:
        return found
    watch.step("choosing references", None)
    condensed = condense(found.spec, found.references, request.fewer)
    return replace(
        found,
        spec=condensed.spec,
        references=condensed.references,
        photos=tuple(found.photos[row] for row in condensed.rows if found.photos),
        condensed=condensed,
    )


def _of_photos(
    request: Request, formats: Sequence[str], cache: Cache | None, watch: Watch
) -> Material:
    """Find photos and embed them."""
    spec, selection = request.spec, request.selection
    classes = selection.classes()
    found = selection.find(watch.note)
    resolve_k(spec.k, len(found))
    room.check_names({photo.label for photo in found}, spec.grow, spec.spare)
    adds = spec.reject is not None or request.learn_strangers
    if adds and any(photo.label == UNKNOWN for photo in found):
        raise InputError(
            f"the class name {UNKNOWN!r} is reserved for pictures that show none of the classes;"
            " rename your class",
            "reserved-class-name",
        )
    others = _strangers(request, watch)
    watch.step("loading the backbone", None)
    backbone = load_backbone(spec, cache)
    check_room(spec, len(found), backbone.dim)
    if request.within is not None:
        from pocketknn.export.sizes import network

        network.check(spec, backbone, request.within, formats, request.options)
    # The embeddings, and the matrix that is made of them.
    warn_of_converting(watch.note, 2 * 4 * len(found) * backbone.dim)
    if request.fewer is None:
        check_size(formats, len(found), backbone.dim, spec)
    watch.step("embedding", len(found) + len(others))
    squares = Squares(backbone.size, spec.crop)
    run = partial(
        embed_photos,
        backbone=backbone,
        crop=spec.crop,
        cache=cache,
        watch=watch,
        strict=request.strict,
        cluster=request.cluster,
    )
    learned = squares if request.learn_strangers else None
    embedded = run(found, squares=squares)
    references = embedded.references(classes, selection.target_columns or None)
    check_occasions(references)
    if request.strict and (pairs := references.contradictions()):
        raise InputError(
            "the same picture is in two classes: {} and {}".format(*pairs[0]),
            "contradicting-classes",
        )
    return Material(
        spec=spec,
        references=references,
        backbone=backbone,
        photos=embedded.photos,
        squares=squares,
        skipped=embedded.skipped,
        strange=run(others, squares=learned) if others else None,
    )


def _of_references(
    request: Request, formats: Sequence[str], cache: Cache | None, watch: Watch
) -> Material:
    """Take references that are already embedded."""
    place = Path(request.selection.photos)
    if request.within is not None:
        raise InputError(
            "a budget is measured on photos; references alone are not enough",
            "option-not-applicable",
        )
    if request.cluster is not None:
        raise InputError(
            f"{place} is already embedded; leave out --engine ray", "option-not-applicable"
        )
    references = request.references or read_collection(place, request.selection.classes())
    warn_of_converting(watch.note, references.vectors.nbytes)
    check_occasions(references)
    others = _strangers(request, watch)
    watch.step("loading the backbone", 1)
    backbone = backbone_of(references, request.spec, cache)
    watch.done(1)
    if others and backbone is None:
        raise InputError(
            "strangers cannot be embedded, as the backbone of these references is unknown",
            "unknown-backbone",
        )
    crop = references.provenance.crop if references.provenance else request.spec.crop
    strange = None
    if others and backbone is not None:
        watch.step("embedding", len(others))
        strange = embed_photos(others, backbone, crop, cache, watch)
    return Material(
        spec=replace(request.spec, crop=crop),
        references=references,
        backbone=backbone,
        strange=strange,
    )


def embed_photos(
    photos: Sequence[Photo],
    backbone: Backbone,
    crop: str,
    cache: Cache | None,
    watch: Watch,
    *,
    strict: bool = False,
    cluster: Cluster | None = None,
    squares: Squares | None = None,
) -> Embedded:
    """Embed photos, here or on a cluster, using the cache."""
    known = None if cluster else Embeddings.of(cache, backbone, crop)
    run = partial(embed, cache=known, squares=squares)
    if cluster:
        from pocketknn.builder.embedding.ray import embed as ray

        run = partial(ray.embed, cluster=cluster, cache=cache, note=watch.remark)
    done = run(photos, backbone, crop, strict=strict, progress=watch.done)
    for line in known.notes if known else backbone.engine.notes:
        watch.remark(line)
    return done


def _strangers(request: Request, watch: Watch) -> list[Photo]:
    """The photos that show none of the classes, all labelled unknown."""
    found = find(request.strangers, note=watch.note) if request.strangers else []
    return [replace(photo, label=UNKNOWN) for photo in found]


def _with_strangers(request: Request, found: Material, strange: Embedded, watch: Watch) -> Material:
    """The material with strangers to measure on; if they are learned, half become references."""
    references, strangers = found.references, strange.references()
    rows = learned_strangers.strange(references, strangers)
    if alike := len(strangers) - len(rows):
        one = "of the strangers is a near-duplicate of a reference and was left out"
        many = "of the strangers are near-duplicates of references and were left out"
        watch.remark(counted(alike, one, many))
    strangers = strangers.select(rows)
    if not request.learn_strangers:
        return replace(found, strangers=strangers.vectors)
    if not references.labels or references.target_names:
        raise InputError("--learn-strangers adds a class, but these photos have none", "no-classes")
    if UNKNOWN in references.labels:
        raise InputError(
            f"strangers become the class {UNKNOWN!r}; rename your class of that name",
            "reserved-class-name",
        )
    learned, held_back = learned_strangers.halves(strangers, request.spec.seed)
    more = tuple(strange.photos[row] for row in rows[learned])
    return replace(
        found,
        references=references.merge(strangers.select(learned)),
        photos=found.photos + more if found.photos else (),
        strangers=strangers.vectors[held_back],
    )
