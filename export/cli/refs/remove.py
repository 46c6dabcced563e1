"""pocketknn refs remove: references that go, by id, class or path."""

from __future__ import annotations

from pocketknn.builder.errors import InputError

from .arguments import File, Force, New, Which


def remove(file: File, *, out: New, which: Which, force: Force = False) -> None:
    """Leave references out, by id, class or path."""
    from .files import opened_for, save_change

    if not which:
        raise InputError("say what to remove, by --id, --class or --path")
    refs = opened_for(out, file, force)
    save_change(refs, refs.remove(which.ids_of(refs), which.classes or ()), out, force)
