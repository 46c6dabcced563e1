"""Each choice of a spec defines the names that its protocol lists."""

import pytest

from pocketknn.builder import InputError, Spec
from pocketknn.builder.choices.heads import HEADS, classify
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.metrics.minkowski import Minkowski
from pocketknn.builder.choices.protocols import Head, Metric, Search, Vote
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.votes import VOTES


@pytest.mark.parametrize(
    ("table", "protocol"), [(METRICS, Metric), (VOTES, Vote), (HEADS, Head), (SEARCHES, Search)]
)
def test_each_choice_has_the_names_of_its_protocol(table, protocol):
    """The type checker compares their types."""
    wanted = {name for name in (*vars(protocol), *protocol.__annotations__) if name[0] != "_"}
    assert len(wanted) > 3
    for name, one in table.items():
        assert wanted <= {*dir(one)}, name
        assert all(callable(getattr(one, part)) != part.isupper() for part in wanted), name


@pytest.mark.parametrize("p", [0, 0.5, 2, 4])
def test_a_distance_that_the_graph_cannot_compute_is_refused(p):
    with pytest.raises(ValueError, match=rf"for p = 1 and 3, not {p}$"):
        Minkowski(p, "negative minkowski distance")


def test_a_refusal_names_each_head_that_would_do(monkeypatch):
    monkeypatch.setitem(HEADS, "largest", classify)
    with pytest.raises(InputError, match="needs the head 'classify' or 'largest', not 'regress'"):
        Spec(projection="classes", head="regress")
