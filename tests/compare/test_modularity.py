"""Modularity against networkx's definition by hand, communities of planted groups, unequal numbers."""

import numpy as np
import pytest

from neuropil.compare.modularity import communities, gini, louvain, modularity


def planted(within, between, n=60, seed=0):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    p = np.where(group[:, None] == group[None], within, between)
    upper = np.triu(rng.random((n, n)) < p, 1)
    return (upper | upper.T).astype(float), group


def test_modularity_is_its_sum_over_pairs():
    a, group = planted(0.5, 0.1)
    m, k = a.sum() / 2, a.sum(1)
    by_group = sum(
        a[np.ix_(group == g, group == g)].sum() / (2 * m) - (k[group == g].sum() / (2 * m)) ** 2
        for g in range(3)
    )
    assert modularity(a, group) == pytest.approx(by_group)
    assert modularity(a, np.zeros(60, int)) == pytest.approx(0.0, abs=1e-12)


def test_planted_groups_are_found_and_random_graphs_have_less():
    a, group = planted(0.6, 0.02)
    found = communities(a)
    assert modularity(a, found) >= modularity(a, group) - 0.02
    assert all(len(set(found[group == g])) == 1 for g in range(3))
    even, _ = planted(0.2, 0.2)
    assert modularity(even, communities(even)) < modularity(a, found) / 2


def test_louvain_reaches_the_planted_groups_and_a_bottom_of_single_moves():
    a, group = planted(0.6, 0.05)
    found = louvain(a)
    pairs = (found[:, None] == found) == (group[:, None] == group)
    assert pairs.all()
    assert len(set(louvain(a, resolution=0.1))) == 1
    assert len(set(louvain(a, resolution=3.0))) > 3
    even, _ = planted(0.2, 0.2, n=30)
    best = louvain(even)
    for i in range(30):
        for to in range(best.max() + 1):
            moved = best.copy()
            moved[i] = to
            assert modularity(even, moved) <= modularity(even, best) + 0.02


def test_gini_and_wrong_weights():
    assert gini(np.arange(1, 4)) == pytest.approx(2 / 9)
    for bad in (np.ones((2, 3)), -np.ones((2, 2)), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="square"):
            modularity(bad, np.zeros(2))
