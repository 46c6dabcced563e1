"""How references are stored and searched; `protocols.Search` says what a search is asked for."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Search

from . import exact, ivf, rerank

SEARCHES: dict[str, Search] = {"exact": exact, "rerank": rerank, "ivf": ivf}
