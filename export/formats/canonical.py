"""The same bytes on every run: what Keras, tf2onnx and coremltools number, date or shuffle."""

from __future__ import annotations

import json
import os
import re
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

DATE = (1980, 1, 1, 0, 0, 0)  # a zip's first day
_SHARED = re.compile(r'"shared_object_id": (\d+)')


def keras_archive(path: Path) -> None:
    """Write a .keras archive again: no time of day, objects numbered as they come.

    Nor choices that a layer leaves to its default, which earlier versions of Keras do not know.

    The date inside is that of SOURCE_DATE_EPOCH (https://reproducible-builds.org), or a zip's first
    day.
    """
    part = path.with_suffix(".part")
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(part, "w") as made:
        for info in given.infolist():
            content = given.read(info)
            if info.filename == "metadata.json":
                said = json.loads(content) | {"date_saved": date()}
                content = json.dumps(said).encode()
            if info.filename == "config.json":
                content = json.dumps(_plain(json.loads(_numbered(content.decode())))).encode()
            made.writestr(member(info.filename), content)
    part.replace(path)


def member(name: str) -> zipfile.ZipInfo:
    """A member of an archive, of no time of day."""
    return zipfile.ZipInfo(name, DATE)


def onnx_graph(graph: onnx.GraphProto) -> None:
    """Name each value after the node that makes it, and each constant after its first user.

    tf2onnx shares equal constants and nodes under the name of any of them, in any order.
    """
    graph.ClearField("doc_string")  # the number of the function that was converted
    kept = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    names: dict[str, str] = {}
    for number, node in enumerate(graph.node):
        if "__" in node.name or not node.name:  # made by tf2onnx, and one of several equal ones
            node.name = f"{node.op_type}_{number}"
        for place, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"{node.name}/input_{place}"
            node.input[place] = names.get(name, name)
        for place, name in enumerate(node.output):
            if name and name not in kept:
                names[name] = f"{node.name}:{place}"
            node.output[place] = names.get(name, name)
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    ordered = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    for tensor in ordered:  # an append copies: one at a time, never the matrix twice and more
        graph.initializer.append(tensor)
        del graph.initializer[0]
    _check_unique([node.name for node in graph.node])


def coreml_package(path: Path, specification: Any) -> None:  # noqa: ANN401  # has no stubs
    """Write a package's specification and list again: maps in order, items named by their paths."""
    manifest = path / "Manifest.json"
    listed = json.loads(manifest.read_text("utf-8"))
    items = listed["itemInfoEntries"]
    ids = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])) for old, item in items.items()}
    root = listed["rootModelIdentifier"]
    model = path / "Data" / items[root]["path"]
    model.write_bytes(specification.SerializeToString(deterministic=True))
    listed["rootModelIdentifier"] = ids[root]
    listed["itemInfoEntries"] = {ids[old]: items[old] for old in sorted(ids, key=ids.__getitem__)}
    manifest.write_text(json.dumps(listed, indent=4) + "\n", "utf-8", newline="")


def _numbered(text: str) -> str:
    """Addresses of objects, by which Keras tells shared ones, in the order they come."""
    seen: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: f'"shared_object_id": {seen.setdefault(found[1], len(seen))}', text
    )


def _plain(config: Any) -> Any:  # noqa: ANN401  # JSON
    """A model's configuration without the keys of its objects that are not set."""
    if isinstance(config, list):
        return [_plain(one) for one in config]
    if not isinstance(config, dict):
        return config
    config = {key: _plain(value) for key, value in config.items()}
    own = config.get("config")
    # The ends of a slice stand for themselves.
    if isinstance(own, dict) and config.get("class_name") != "__slice__":
        if own.get("renorm") is False:
            own = {key: value for key, value in own.items() if not key.startswith("renorm")}
        config["config"] = {key: value for key, value in own.items() if value is not None}
    return config


def date() -> str:
    """The date that Keras writes, as it writes it."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime(*DATE)
    return f"{when:%Y-%m-%d@%H:%M:%S}"


def _check_unique(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("two nodes of the graph have one name")
