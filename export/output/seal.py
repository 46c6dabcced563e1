"""The seal of an artefact: it tells what was damaged since it was written.

Two lines: sha256 of the texts in the file, and sha256 of the part that a native runtime reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pocketknn.builder.errors import InputError

from .names import LABELS, MANIFEST, SEAL, SLOTS, TABLE


def sealed(texts: Mapping[str, str], runtime: str = "") -> dict[str, str]:
    """The texts of an artefact by name, with their seal.

    Args:
        texts: the texts.
        runtime: sha256 of the part of the file that a native runtime will read, if one will.
    """
    return {**texts, SEAL: f"{hash_of(texts)}\n{runtime}\n"}


def check_texts(texts: Mapping[str, str], source: str) -> None:
    """Refuse texts that are not the ones that were sealed.

    Args:
        texts: the texts by name, their seal among them.
        source: what the message calls the file.

    Raises:
        InputError: they are others.
    """
    if texts.get(SEAL, "").partition("\n")[0] != hash_of(texts):
        raise InputError(f"{source} is damaged: its manifest is not the one that was written")


def check_runtime(texts: Mapping[str, str], found: str, source: str) -> None:
    """Refuse a damaged file before a native runtime, which may crash on it, sees it.

    Args:
        texts: the texts by name, their seal among them.
        found: sha256 of what the runtime would read.
        source: what the message calls the file.

    Raises:
        InputError: the content is not the one that was sealed.
    """
    if found != texts.get(SEAL, "").partition("\n")[2].strip():
        raise InputError(f"{source} is damaged: the model in it is not the one that was built")


def hash_of(texts: Mapping[str, str]) -> str:
    """sha256 of the texts that are sealed."""
    parts = [texts.get(name, "") for name in (MANIFEST, TABLE, LABELS, SLOTS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
