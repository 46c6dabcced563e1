"""What a spec chooses among by name: each has the names that its protocol lists."""

import pytest

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.protocols import Head, Metric, Search, Vote
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.votes import VOTES


@pytest.mark.parametrize(
    ("table", "protocol"), [(METRICS, Metric), (VOTES, Vote), (HEADS, Head), (SEARCHES, Search)]
)
def test_each_choice_has_the_names_of_its_protocol(table, protocol):
    """Their types are the type checker's to compare."""
    wanted = {name for name in (*vars(protocol), *protocol.__annotations__) if name[0] != "_"}
    assert len(wanted) > 3
    for name, one in table.items():
        assert wanted <= {*dir(one)}, name
        assert all(callable(getattr(one, part)) != part.isupper() for part in wanted), name
