"""Block models: the length by hand, planted labels at its bottom, one block where there is none."""

import itertools
from math import comb, factorial, log

import numpy as np
import pytest

from neuropil.fit.blockmodel import _Graph, block_model, description_length

RNG = np.random.default_rng(0)


def exponential(mean):
    """Symmetric weights drawn around their means."""
    w = np.triu(RNG.exponential(1.0, mean.shape) * mean, 1)
    return w + w.T


LABELS = np.repeat([0, 1], 12)
PLANTED = exponential(np.where(LABELS[:, None] == LABELS, 4.0, 1.0))


def by_hand(w, labels, edges, degrees):
    """The docstring, pair by pair."""
    n, blocks, total = len(w), labels.max() + 1, 0.0
    k = (w > 0).sum(1)
    for r, s in itertools.combinations_with_replacement(range(blocks), 2):
        pairs = [(i, j) for i, j in itertools.combinations(range(n), 2)
                 if sorted((labels[i], labels[j])) == [r, s]]  # fmt: skip
        weights = [w[i, j] for i, j in pairs if w[i, j] > 0 or not edges]
        e = len(weights)
        total += e * (1 + log(sum(weights) / e)) if e else 0
        if degrees:
            total -= log(factorial(e) * (2**e if r == s else 1))
        elif edges:
            total += log(comb(len(pairs), e))
        total += (1 if not edges else 2) * 0.5 * log(n * (n - 1) / 2)
    sizes = np.bincount(labels)
    total += log(factorial(n)) + log(comb(n - 1, blocks - 1)) + log(n)
    total -= sum(log(factorial(m)) for m in sizes)
    if degrees:
        for r in range(blocks):
            e = int(k[labels == r].sum())
            total += log(factorial(e)) + log(comb(int(sizes[r]) + e - 1, e))
        total -= sum(log(factorial(int(d))) for d in k)
    return total


@pytest.mark.parametrize(("edges", "degrees"), [(False, False), (True, False), (True, True)])
def test_length_against_the_sum_over_pairs(edges, degrees):
    w = PLANTED[:9, :9] + 0.1 * ~np.eye(9, dtype=bool)
    if edges:
        w = w * (np.triu(u := RNG.random((9, 9)) < 0.6, 1) | np.triu(u, 1).T)
    labels = np.array([0, 0, 1, 2, 1, 0, 2, 2, 1])
    found = description_length(w, labels, edges=edges, degrees=degrees)
    assert found == pytest.approx(by_hand(w, labels, edges, degrees))


def test_planted_labels_are_a_bottom_and_are_found():
    graph = _Graph(PLANTED, False, False)
    least = graph.length(*graph.counts(LABELS))
    for i in range(len(LABELS)):
        moved = LABELS.copy()
        moved[i] = 1 - moved[i]
        assert graph.length(*graph.counts(moved)) > least
    found = block_model(PLANTED, most=5)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.length == pytest.approx(description_length(PLANTED, LABELS))
    assert found.path[2] == found.length < found.path[1]


def test_moves_keep_their_books():
    """The length that the moves see is that of labels counted anew: a refined partition is a bottom."""
    graph = _Graph(PLANTED * (PLANTED > 1), True, True)
    labels = graph.refined(RNG.permutation(np.arange(24) % 3), 20, RNG)
    least = graph.length(*graph.counts(labels))
    for i, to in itertools.product(range(24), range(3)):
        moved = labels.copy()
        moved[i] = to
        if len(set(moved)) == 3:
            assert graph.length(*graph.counts(moved)) > least - 1e-6


def test_nothing_to_find_is_one_block():
    same = exponential(np.ones((24, 24)))
    assert set(block_model(same, most=4).labels) == {0}
    assert set(block_model(same * (same > 0.7), edges=True, most=4).labels) == {0}


def test_degrees_alone_are_no_communities():
    """Hubs and the rest: blocks without degrees, none with them, and those are shorter."""
    want = np.where(np.arange(40) < 8, 0.95, 0.3)
    there = np.triu(RNG.random((40, 40)) < want[:, None] * want, 1)
    w = exponential(np.ones((40, 40))) * (there | there.T)
    with_degrees = block_model(w, edges=True, degrees=True, most=4)
    assert set(with_degrees.labels) == {0}
    plain = block_model(w, edges=True, degrees=False, most=4)
    assert len(set(plain.labels)) > 1
    assert block_model(w, edges=True, most=4).length == min(plain.length, with_degrees.length)


@pytest.mark.parametrize(
    ("w", "more", "says"),
    [
        (np.zeros((3, 3)), {}, "all weights are 0"),
        (np.triu(np.ones((3, 3)), 1), {}, "symmetric"),
        (np.ones((3, 3)), dict(degrees=True), "edges=True"),
        (np.ones((3, 3)), dict(most=0), "at least 1"),
    ],
)
def test_refusals(w, more, says):
    with pytest.raises(ValueError, match=says):
        block_model(w, **more)
