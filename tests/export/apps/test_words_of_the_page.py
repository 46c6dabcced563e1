"""What the page of `web` says of an answer, in Node: no browser is needed for its words."""

import json
import shutil

import pytest
from node import run
from support import ROOT

STATIC = ROOT / "export/apps/web/static"
CODE = """
import { summary } from "./view.js";
const near = [{ score: 0.9, label: "a", path: "", id: "1" }];
const answer = { winner: "a", votes: [{ label: "a", share: 1 }], neighbors: near, known: true };
const of = (k) => summary(answer, { metric: "cosine", k, references: new Array(60) }).join(", ");
console.log(JSON.stringify([of(5), of(60)]));
"""


def test_all_references_are_called_so(tmp_path):
    if not shutil.which("node"):
        pytest.skip("node is not on this machine")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for page in STATIC.glob("*.js"):
        shutil.copy(page, tmp_path)
    (tmp_path / "words.js").write_text(CODE)
    done = run(tmp_path, "words.js")
    assert done.returncode == 0, done.stderr
    few, all_ = json.loads(done.stdout)
    assert "of the vote of the 5 neighbours;" in few
    assert "of the vote of all 60 references;" in all_
