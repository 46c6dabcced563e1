"""Photos to embeddings, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pocketknn.builder.embedding.cache import Embeddings
from pocketknn.builder.embedding.local import embed

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.embedding.embedded import Embedded
    from pocketknn.builder.embedding.ray.connection import Cluster
    from pocketknn.builder.photos.photo import Photo
    from pocketknn.builder.photos.pixels.decode import Squares
    from pocketknn.builder.system.cache import Cache

    from .request import Watch


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
    """Photos to embeddings, here or on a cluster, with what the cache remembers."""
    known = None if cluster else Embeddings.of(cache, backbone, crop)
    run = partial(embed, cache=known, squares=squares)
    if cluster:
        from pocketknn.builder.embedding.ray import embed as ray

        run = partial(ray.embed, cluster=cluster, cache=cache, note=watch.remark)
    done = run(photos, backbone, crop, strict=strict, progress=watch.done)
    for line in known.notes if known else backbone.engine.notes:
        watch.remark(line)
    return done
