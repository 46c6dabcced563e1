"""What the build promised, what was measured later, and the quality of an image search."""

from __future__ import annotations

from pocketknn.export.report import outcome_words as words
from pocketknn.export.report.blocks import Section, Table
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import sentence


def promise(study: Study) -> Section | None:
    """Promise and outcome side by side; None without held-out photos."""
    found = study.outcome
    if found is None or study.held_out is None:
        return None
    texts = (
        *words.told_apart(found),
        words.verdict(found),
        *words.reasons(found, study.manifest),
        words.weakest(found),
    )
    table = Table(
        caption="Share of pictures whose true class won"
        if study.fit.head.CLASSES
        else "Share of pictures whose nearest reference is in their class",
        columns=words.COLUMNS,
        rows=tuple(words.rows(found)),
    )
    return Section("promise", "Promise and outcome", (table, *filter(None, texts)))


def search(study: Study) -> Section | None:
    """How good the neighbours of an image search are; None for other heads."""
    if not study.search:
        return None
    lines = tuple(f"{sentence(one)}." for one in words.image_search(study.manifest["references"]))
    return Section("search", "How good is the search?", lines)
