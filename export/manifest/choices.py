"""The choices the user made for a build, in its folder's manifest, so that it can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.options import Options

from .metadata import spec_of

_OF_REFERENCES = ("backbone", "weights", "alpha", "size", "input_range", "crop")


def choices_of(spec: Spec, options: Options) -> dict[str, Any]:
    """All choices that are not the default, except those that references record themselves."""
    return {"spec": _changed(spec), "options": _changed(options)}


def chosen(manifest: Mapping[str, Any]) -> tuple[Spec, Options]:
    """The choices in a folder's manifest, for a build from other references.

    Earlier versions recorded no choices; for their builds, the resolved ones are returned.

    Raises:
        InputError: the manifest is broken.
    """
    if (found := manifest.get("choices")) is None:
        return spec_of(manifest), Options(pixels=manifest["input"].get("dtype", "float32"))
    try:
        options = found["options"] | {"outputs": tuple(found["options"].get("outputs", ()))}
        return Spec(**found["spec"]), Options(**options)
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(
            f"the choices in the manifest are broken: {first_line(error)}", "manifest-broken"
        ) from error


def _changed(choices: Spec | Options) -> dict[str, Any]:
    usual, found = asdict(type(choices)()), asdict(choices)
    names = [one.name for one in fields(choices) if one.name not in _OF_REFERENCES]
    return {name: found[name] for name in names if found[name] != usual[name]}
