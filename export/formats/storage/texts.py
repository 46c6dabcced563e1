"""What a file says about itself: texts by name, of which one is its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.output.names import MANIFEST

_PREFIX = "pocketknn."  # of names where other tools' properties are as well


def ours(texts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts of a file, refused where it is another tool's.

    Args:
        texts: the texts.
        source: what messages call the file.

    Raises:
        InputError: there is no manifest among them.
    """
    if MANIFEST not in texts:
        raise InputError(f"{source} carries no pocketknn manifest: it is broken, or another tool's")
    return dict(texts)


def manifest_in(texts: Mapping[str, str]) -> dict[str, Any]:
    """The manifest among the texts of a file.

    Raises:
        InputError: it is broken.
    """
    try:
        return dict(parse_json(texts[MANIFEST]))
    except (ValueError, TypeError) as error:
        raise InputError(f"the manifest is broken: {first_line(error)}") from error


def as_properties(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts as properties, by names that are ours alone."""
    return {_PREFIX + name: text for name, text in texts.items()}


def of_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The texts among all properties of a file."""
    return {
        name.removeprefix(_PREFIX): text
        for name, text in properties.items()
        if name.startswith(_PREFIX)
    }


def licence(manifest: Mapping[str, Any]) -> str:
    """Under what terms a file may be used: the builder's words, and whose the backbone is."""
    backbone = manifest["backbone"] or {}
    # Builds before there were such backbones do not name any.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))
