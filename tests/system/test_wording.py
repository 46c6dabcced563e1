"""Numbers in sentences: right for one and for two."""

import ast
import re
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
from test_layout import OURS

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError, readable
from pocketknn.builder.spec import resolve_k
from pocketknn.builder.wording import counted
from pocketknn.export.cli.change.diff import _lines
from pocketknn.export.cli.judge.outcome import among_references
from pocketknn.export.parity.metrics import foreign_lines
from pocketknn.export.report import outcome_words, unknown_words, wording

NOUNS = "answers|caches|classes|files|names|pairs|photos|pictures|references|rows|shards|strangers"
# A number, then "photos are", or "of the photos are": wrong for one.
PLURAL = re.compile(rf" (of (the|them)\b[\w' ]*?|({NOUNS}) )\b(are|were|have)\b")
MANY = {  # sentences whose number is never one
    "outcome_words.py": "near-duplicates come in pairs",
    "pictures.py": "of more classes than are shown",
}


def test_no_sentence_puts_a_plain_number_before_a_plural_that_does_something():
    found = Counter()
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for number, after in pairwise(parts):
                text = getattr(after, "value", None)
                if not (isinstance(number, ast.FormattedValue) and isinstance(text, str)):
                    continue
                share = ast.unparse(number.value).startswith("percent(")
                found[path.name] += bool(PLURAL.match(text)) and not share
    assert +found == Counter(MANY.keys())


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (1200, "1200 classes")]
)
def test_a_number_with_its_noun(number, said):
    assert counted(number, "class", "classes") == said


def references(count):
    return [{"id": str(i), "label": "a", "path": "", "from": "b"} for i in range(count)]


def differences(count):
    rows = references(count)
    none = {"choices": {}, "labels": {}, "removed": rows, "added": [], "relabelled": []}
    return _lines(none | {"other_vectors": [], "moved": count})


@pytest.mark.parametrize(
    ("say", "one", "two"),
    [
        (
            lambda n: foreign_lines(["a"], [Photo(name="", label="b", content=b"")] * n)[0],
            "1 of the photos is in a class",
            "2 of the photos are in classes",
        ),
        (among_references, "photos is a reference itself", "photos are references themselves"),
        (lambda n: differences(n)[0], "1 reference removed", "2 references removed"),
        (lambda n: differences(n)[-1], "1 reference has a different", "2 references have a"),
        (
            lambda n: wording.projected({"by": "classes", "directions": n}),
            "1 value per picture, along the direction that separates",
            "2 values per picture, along the directions that separate",
        ),
        (
            lambda n: "".join(
                unknown_words._of_learned(
                    {
                        **{"learned": n, "held_back": 20, "strangers": 0.9, "known": None},
                        "threshold_strangers": None,
                    }
                )
            ),
            "1 stranger is a reference of",
            "2 strangers are references of",
        ),
        (
            lambda n: outcome_words.found_class(
                SimpleNamespace(queries=n, first=1, chance=0.5, k=2, among=1, chance_among=0.7),
                "photo",
            ),
            "1 photo:",
            "2 photos:",
        ),
        (lambda n: refusal(resolve_k, 9, n, None), "is only 1 reference", "are only 2 references"),
        (lambda n: refusal(unreadable, n), "the only file is not", "none of the 2 files is"),
    ],
)
def test_sentences_are_right_for_one_and_for_two(say, one, two):
    assert one in say(1)
    assert two in say(2)


def refusal(function, *arguments):
    with pytest.raises(InputError) as refused:
        function(*arguments)
    return str(refused.value)


def unreadable(count):
    def read(photo):
        raise PictureError("broken")

    photos = [Photo(name="x.jpg", label="", content=b"")] * count
    list(readable(photos, read, range(count)))
