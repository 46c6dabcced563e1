"""Find labels that are likely wrong, from the votes on held-out pictures alone."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints

# Priors: as if twenty labels had been found correct, and votes were about as confident as they
# should be. Chosen on flowers and insects at 5 to 40 photos per class, two backbones, clean and
# with 5 % of the labels swapped; confirmed on Caltech 101, pets, objects, signs and PACS.
_SEEN_RIGHT = 20
_SPREAD = 0.4  # standard deviation of the logarithm of the sharpness
_SHARPNESS = np.exp(np.linspace(-1, 1.2, 23))
_SHARES = np.array([0, 0.3, 0.6, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20]) / 100  # of wrong labels


def wrong_labels(votes: Floats, actual: Ints, neighbours: int) -> Floats:
    """The probability (q,) that each label is wrong; 0 if a poor model explains all mistakes.

    A label y is the true class, or, with probability s, another class at random:
    p(y) = (1 - s) q(y) + s (1 - q(y)) / (C - 1), where q is the vote, sharpened or flattened by a
    power. Share s and power are fitted by maximum likelihood with a prior, and the probability that
    a label is wrong follows by Bayes. This is classification under label noise as in Lawrence and
    Schölkopf, Estimating a kernel Fisher discriminant in the presence of label noise, ICML 2001. If
    a model is poor, or classes overlap, the votes are split, which explains the mistakes: s is 0,
    and no label is in doubt. s is above 0 only if votes for another class are confident more often
    than they should be.

    Args:
        votes: (q, C) shares of the classes, C at least 2, each picture held out.
        actual: (q,) labels.
        neighbours: number of neighbours that voted; every class also gets an equal part of one
            more neighbour.
    """
    q, classes = votes.shape
    floor = 1 / (classes * (neighbours + 1))
    given = votes[np.arange(q), actual] + floor
    # At most as many classes have votes as there are neighbours; the others are at the floor.
    voted = min(classes, neighbours)
    largest = np.sort(votes, axis=1)[:, classes - voted :] + floor
    found, best = np.zeros(q), -np.inf
    for power in _SHARPNESS:
        total = (largest**power).sum(axis=1) + (classes - voted) * floor**power
        own = given**power / total
        other = (1 - own) / (classes - 1)
        likely = np.log((1 - _SHARES) * own[:, None] + _SHARES * other[:, None]).sum(axis=0)
        likely += _SEEN_RIGHT * np.log(1 - _SHARES) - (np.log(power) / _SPREAD) ** 2 / 2
        place = int(likely.argmax())
        if likely[place] > best:
            best, share = float(likely[place]), float(_SHARES[place])
            found = share * other / ((1 - share) * own + share * other)
    return found
