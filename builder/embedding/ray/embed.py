"""Embed pictures on all nodes of a Ray cluster, shard by shard.

Each shard is one Ray Data task: it reads its pictures where it runs, embeds them as the local
engine does, and returns a Parquet file. If a worker dies, its task is run again from the start, so
that no picture is lost or duplicated. Shards arrive in order, a few at a time; complete ones are
cached, so that an interrupted run can resume.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.embedding.embedded import Embedded, Outcome, collect
from pocketknn.builder.embedding.local import Look, attempt, chunks
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.photo import Photo, UnreadError
from pocketknn.builder.system.cache import Cache, write
from pocketknn.builder.wording import counted

from . import shards
from .connection import Cluster, connected, versions
from .shards import Shard

if TYPE_CHECKING:
    import ray

_RETRIES = 5  # of a task after its worker died

Row = dict[str, Any]


def embed(
    photos: Sequence[Photo],
    backbone: Backbone,
    crop: str,
    *,
    cluster: Cluster,
    strict: bool = False,
    cache: Cache | None = None,
    progress: Callable[[int], None] = lambda done: None,
    note: Callable[[str], None] = lambda line: None,
) -> Embedded:
    """Read pictures and run the backbone on a Ray cluster, with the same result as local `embed`.

    Args:
        photos: from `find`, in a folder that all nodes can read or at an address.
        backbone: gives embeddings (batch, d). It is sent to the nodes, which need no weights.
        crop: `center`, `stretch` or `fit`.
        cluster: the cluster.
        strict: raise for the first unreadable picture, instead of skipping it.
        cache: stores the shards; existing ones are not embedded again. None for no cache.
        progress: called with the number of pictures done since the last call.
        note: called with messages for the user.

    Raises:
        InputError: for the same reasons as local `embed`; or the cluster is unavailable, one of its
            nodes cannot embed, or the backbone runs in Keras.
    """
    if backbone.engine.name == "keras":
        raise InputError(
            f"{backbone.name} runs in Keras, which a cluster does not support; omit --engine ray",
            "keras-on-cluster",
        )
    look = Look(backbone.engine, backbone.size, crop)
    place = cache.drawer("shards") if cache else None

    def attempts(wanted: Sequence[Photo]) -> Generator[Outcome, None, None]:
        cuts = shards.cut(wanted, backbone, crop)
        cached = {one.name for one in cuts if place and (place / one.name).is_file()}
        if cached:
            were, all_ = "were" if len(cached) > 1 else "was", counted(len(cuts), "shard")
            note(f"{len(cached)} of {all_} {were} embedded by an earlier run")
        missing = [one for one in cuts if one.name not in cached]
        with closing(_embedded(missing, look, backbone.dim, cluster)) as fresh:
            for shard in cuts:
                if place and shard.name in cached:
                    found = shards.load(place / shard.name, shard.photos)
                    if found is None:  # one shard needs no cluster
                        note(f"the shard {shard.name} was damaged; embedding it here")
                        found = _outcomes(shard.photos, look)
                        if not any(isinstance(one, UnreadError) for one in found):
                            content = shards.encode(shard.photos, found, backbone.dim)
                            _keep(place / shard.name, content, note)
                else:
                    content, node = next(fresh)
                    found = shards.decode(content, shard.photos)
                    if found and any(isinstance(one, UnreadError) for one in found):
                        found = _read_here(shard.photos, found, look, node)
                    elif place:
                        _keep(place / shard.name, content, note)
                if found is None:
                    raise InputError(
                        f"the shard {shard.name} from {node} is damaged; try again", "damaged-shard"
                    )
                yield from found

    return collect(photos, backbone, crop, attempts, strict=strict, progress=progress)


def _keep(path: Path, content: bytes, note: Callable[[str], None]) -> None:
    """Cache a shard; if that fails, the run goes on."""
    try:
        write(path, content)
    except OSError as error:
        note(f"the shards in {path.parent} cannot be cached: {error.strerror}")


class _Job(NamedTuple):
    """The data common to all tasks, sent to each node once."""

    look: Look
    dim: int
    versions: dict[str, str]


def _embedded(
    wanted: Sequence[Shard], look: Look, dim: int, cluster: Cluster
) -> Generator[tuple[bytes, str], None, None]:
    """The files of some shards, in order, and the nodes that they come from."""
    if not wanted:
        return
    import ray

    rows = [{"photos": pickle.dumps(shard.photos)} for shard in wanted]
    with connected(cluster) as by_client:
        job = [ray.put(_Job(look, dim, versions()))]  # in a list, so that Ray does not resolve it
        try:
            for row in _from_actor(rows, job) if by_client else _stream(rows, job):
                if row["fault"]:
                    raise InputError(row["fault"], "node-cannot-embed")
                yield row["content"], row["node"]
        except (ray.exceptions.RayError, RuntimeError) as error:
            raise InputError(
                f"the Ray cluster failed: {_cause(error)}; run the same command again to resume",
                "cluster-failed",
            ) from error


def _stream(rows: Sequence[Row], job: list[ray.ObjectRef[_Job]]) -> Iterator[Row]:
    """Embed shards with Ray Data: from their pictures to their files."""
    import ray.data

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    # A data set keeps the context that it was made in; the caller's context is unchanged.
    with ray.data.DataContext.current(context), warnings.catch_warnings(action="ignore"):
        given = ray.data.from_items(list(rows), override_num_blocks=len(rows))
        # Without a limit, a task whose worker dies is retried for ever; setting one is deprecated
        # since 2.60, without a replacement.
        files = given.map(_file_of, fn_kwargs={"job": job}, num_cpus=1, max_retries=_RETRIES)
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield from files.iter_rows()
    finally:
        log.setLevel(level)


def _from_actor(rows: Sequence[Row], job: list[ray.ObjectRef[_Job]]) -> Iterator[Row]:
    """Like `_stream`, but in a cluster actor, as Ray Data does not work through the Ray Client."""
    import ray

    actor = ray.remote(num_cpus=0)(_Stream).remote(rows, job)
    for _ in rows:
        yield ray.get(actor.take.remote())


class _Stream:
    """`_stream` as an actor."""

    def __init__(self, rows: Sequence[Row], job: list[ray.ObjectRef[_Job]]) -> None:
        self._rows = _stream(rows, job)

    def take(self) -> Row:
        """The next row."""
        return next(self._rows)


def _file_of(row: Row, job: list[ray.ObjectRef[_Job]]) -> Row:
    """A shard's file; runs on a node of the cluster."""
    import ray

    node, content, fault = ray.util.get_node_ip_address(), b"", ""
    look, dim, wanted = _fetched(job[0])
    others = [name for name, theirs in versions().items() if theirs != wanted[name]]
    if others:
        theirs, ours = versions()[others[0]], wanted[others[0]]
        fault = (
            f"the node {node} has {others[0]} {theirs}, but this machine has {ours};"
            f" install {ours} on the node"
        )
    else:
        try:
            photos = pickle.loads(row["photos"])
            content = shards.encode(photos, _outcomes(photos, look), dim)
        except Exception as error:  # Ray Data would wrap it twice
            fault = f"the node {node} cannot embed: {type(error).__name__}: {first_line(error)}"
    return {"content": content, "node": node, "fault": fault}


@lru_cache(maxsize=1)
def _fetched(job: ray.ObjectRef[_Job]) -> _Job:
    """The job; a worker fetches it and opens the network once for all its tasks."""
    import ray

    found: _Job = ray.get(job)
    return found


def _outcomes(photos: Sequence[Photo], look: Look) -> list[Outcome]:
    """Embed a shard's pictures on this machine."""
    return [one for chunk in chunks(photos) for one in attempt(chunk, look)]


def _read_here(
    photos: Sequence[Photo], found: Sequence[Outcome], look: Look, node: str
) -> list[Outcome]:
    """Retry unreadable pictures on this machine: they are skipped only if unreadable here too.

    Raises:
        InputError: the node could read none of the pictures, but this machine can.
    """
    again = [
        attempt([photo], look)[0] if isinstance(one, UnreadError) else one
        for photo, one in zip(photos, found, strict=True)
    ]
    if all(isinstance(one, UnreadError) for one in found):
        for photo, before, now in zip(photos, found, again, strict=True):
            if not isinstance(now, UnreadError):
                raise InputError(
                    f"the node {node} cannot read {photo.name} ({before}), but this machine can;"
                    " give a folder that all nodes can read, or an address such as"
                    " s3://bucket/photos",
                    "node-cannot-read",
                )
    return again


def _cause(error: BaseException) -> str:
    """The root cause of a Ray error, in one line."""
    # Ray Data wraps some errors in an uninformative exception.
    while error.__cause__ is not None and str(error.__cause__):
        error = error.__cause__
    return first_line(getattr(error, "cause", None) or error)
