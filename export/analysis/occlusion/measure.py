"""Hide each part of a picture in turn, and follow how the answer changes.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014, section 4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.manifest.artefact import Artefact
from pocketknn.export.manifest.metadata import Metadata, Row

from .explanation import Explanation, Near, Occlusion, Patches

if TYPE_CHECKING:
    from pocketknn.export.manifest.reopen import Scorer

_TOGETHER = 32


def explain(
    file: Artefact,
    table: Sequence[Row],
    picture: NDArray[np.uint8],
    patches: Patches,
    *,
    scorer: Scorer | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Explanation:
    """Hide each part of a picture, and follow the winner's vote and the nearest reference's score.

    Parts are covered with the picture's mean colour, which removes both shape and colour and keeps
    the brightness; a blurred patch would keep the colour, which separates many photos.

    Args:
        file: the artefact.
        table: its references.
        picture: (S, S, 3), at the model's size.
        patches: its parts.
        scorer: computes the exact score of the nearest reference when it is no longer among the k
            nearest, because an artefact outputs only their scores. Without a scorer, the score is
            bounded by that of the k-th neighbour.
        progress: called with the number of pictures run since the last call.
    """
    corners, colour = patches.corners, np.rint(picture.mean(axis=(0, 1))).astype(np.uint8)
    plain, blocks = file.run(picture[None]), []
    for start in range(0, len(corners), _TOGETHER):
        some = corners[start : start + _TOGETHER]
        blocks.append(file.run(patches.hidden(picture, colour, some)))
        progress(len(some))
    answers = {name: np.concatenate([block[name] for block in blocks]) for name in plain}
    near = tuple(
        Near(
            index=index,
            id=str(table[index]["id"]),
            label=str(table[index]["label"]),
            path=str(table[index]["path"]),
            score=float(score),
        )
        for index, score in zip(plain["indices"][0].tolist(), plain["scores"][0], strict=True)
    )
    scores, bounded = _scores(answers, near[0].index)
    gone = np.flatnonzero(bounded)
    if scorer is not None and len(gone):
        some = [corners[place] for place in gone]
        exact = scorer(patches.hidden(picture, colour, some), near[0].index)
        search = file.metadata.manifest["search"]
        if not SEARCHES[search["by"]].SCANS and search["references_precision"] == "float32":
            # The file's own answer is a bound: not above the last of its k.
            exact = np.minimum(exact, scores[gone])
        scores[gone] = exact
        bounded[:] = False
    label, others = _winners(plain, answers, file.metadata.labels)
    square = (len(patches.starts),) * 2
    score = Occlusion(
        what="score",
        of=near[0].name,
        plain=near[0].score,
        hidden=scores.reshape(square),
        bounded=bounded.reshape(square),
    )
    return Explanation(
        picture=picture,
        patches=patches,
        colour=(int(colour[0]), int(colour[1]), int(colour[2])),
        label=label,
        maps=(*_answer_maps(plain, answers, file.metadata, square), score),
        near=near,
        left=len(gone),
        others=others,
    )


def _scores(answers: Outputs, index: int) -> tuple[Floats, NDArray[np.bool_]]:
    """A reference's scores (q,), and which are only upper bounds, from the last neighbour."""
    found = answers["indices"] == index
    bounded = ~found.any(axis=1)
    rank = np.where(bounded, found.shape[1] - 1, found.argmax(axis=1))
    scores = np.take_along_axis(answers["scores"].astype(np.float64), rank[:, None], axis=1)
    return scores[:, 0], bounded


def _winners(plain: Outputs, answers: Outputs, labels: list[str]) -> tuple[str, dict[str, int]]:
    if "probabilities" not in plain:
        return "", {}
    winner = labels[winners(plain["probabilities"])[0]]
    won = Counter(labels[number] for number in winners(answers["probabilities"]))
    return winner, {label: count for label, count in won.most_common() if label != winner}


def _answer_maps(
    plain: Outputs, answers: Outputs, metadata: Metadata, square: tuple[int, int]
) -> list[Occlusion]:
    """The vote of the winner, or the values."""
    followed = []
    if "probabilities" in plain:
        winner = int(winners(plain["probabilities"])[0])
        followed = [("vote", metadata.labels[winner], "probabilities", winner)]
    elif "value" in plain:
        names = metadata.manifest["targets"]
        followed = [("value", name, "value", column) for column, name in enumerate(names)]
    return [
        Occlusion(
            what=what,
            of=of,
            plain=float(plain[output][0, column]),
            hidden=answers[output][:, column].astype(np.float64).reshape(square),
            bounded=np.zeros(square, np.bool_),
        )
        for what, of, output, column in followed
    ]
