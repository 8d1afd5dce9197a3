"""Generators of wiring: degrees, clustering and path lengths against closed forms; time and memory of edges."""

import tracemalloc

import jax
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path

from neuropil.wiring import (
    Edges,
    blocks,
    distance_dependent,
    fixed_in_degree,
    fixed_out_degree,
    fixed_probability,
    from_table,
    scale_free,
    signs,
    small_world,
    together,
)
from neuropil.wiring.random import distinct
from neuropil.worlds import datasets

KEY = jr.key(0)
DATA = datasets.data_folder()
SIGNS = DATA and DATA / "celegans-connectome" / "synapse_sign_prediction_fenyves_2020.csv"


def matrix(edges):
    return csr_matrix((np.ones(len(edges)), (edges.pre, edges.post)), (edges.n_pre, edges.n_post))


def codes(edges):
    return edges.pre * edges.n_post + edges.post


def clustering(edges):
    """Mean over cells of the share of neighbours that are neighbours of each other."""
    a = matrix(edges)
    triangles = (a @ a).multiply(a).sum(1).A1 / 2
    degree = edges.out_degree()
    return (triangles / (degree * (degree - 1) / 2)).mean()


def paths(edges):
    d = shortest_path(matrix(edges), unweighted=True)
    return d[np.isfinite(d) & (d > 0)].mean()


def test_fixed_probability_has_binomial_degrees_and_no_pair_twice():
    edges = fixed_probability(400, 3000, 0.05, KEY)
    assert len(np.unique(codes(edges))) == len(edges)
    assert len(edges) == pytest.approx(60_000, abs=4 * np.sqrt(60_000 * 0.95))
    for degree, n in ((edges.in_degree(), 400), (edges.out_degree(), 3000)):
        assert degree.mean() == pytest.approx(0.05 * n, rel=0.02)
        assert degree.var() == pytest.approx(0.05 * 0.95 * n, rel=0.25)
    # every pair is as likely: counts over 200 draws of a small one
    count = sum(
        np.bincount(codes(fixed_probability(3, 4, 0.3, jr.key(s))), minlength=12)
        for s in range(200)
    )
    assert ((count - 60) ** 2 / (200 * 0.3 * 0.7)).sum() < 32.9  # chi-square, 12, 0.1 %


@pytest.mark.parametrize("p", [0.0, 1e-12, 1.0])
def test_fixed_probability_at_its_ends(p):
    assert len(fixed_probability(20, 30, p, KEY)) == (600 if p == 1 else 0)
    full = fixed_probability(5, 5, p, KEY, loops=False)
    assert len(full) == (20 if p == 1 else 0)
    assert not (full.pre == full.post).any()


def test_fixed_degrees_are_exact_distinct_and_uniform():
    out = fixed_out_degree(300, 50, 7, KEY, loops=True)
    assert (out.out_degree() == 7).all()
    assert len(np.unique(codes(out))) == len(out)
    assert out.in_degree().mean() == 42
    assert out.in_degree().var() == pytest.approx(300 * 0.14 * 0.86, rel=0.5)
    into = fixed_in_degree(60, 200, 45, KEY)  # more than half: the shuffled branch
    assert (into.in_degree() == 45).all()
    assert len(np.unique(codes(into))) == len(into)
    own = fixed_in_degree(40, 40, 39, KEY, loops=False)
    assert len(own) == 40 * 39
    assert not (own.pre == own.post).any()
    drawn = distinct(np.random.default_rng(0), 6000, 4, 2)  # each of the 6 pairs as often
    pairs = np.unique(np.sort(drawn, 1) @ [4, 1], return_counts=True)[1]
    assert len(pairs) == 6
    assert ((pairs - 1000) ** 2 / 1000).sum() < 20.5  # chi-square, 5, 0.1 %


def test_wiring_over_distance_follows_its_profile():
    at = np.random.default_rng(1).random((1500, 2))
    profile = lambda d: 0.5 * np.exp(-d / 0.1)
    edges, length = distance_dependent(at, at, profile, 0.3, KEY, box=1.0, loops=False)
    apart = at[edges.pre] - at[edges.post]
    np.testing.assert_allclose(length, np.linalg.norm(apart - np.round(apart), axis=1), atol=1e-12)
    assert not (edges.pre == edges.post).any()
    # in a periodic square: n (n - 1) x integral of p over a disk
    r = np.linspace(0, 0.3, 2000)
    expected = 1500 * 1499 * np.trapezoid(2 * np.pi * r * profile(r), r)
    assert len(edges) == pytest.approx(expected, rel=0.02)
    near = (length < 0.05).sum() / (1500 * 1499 * np.pi * 0.05**2)
    r = np.linspace(0, 0.05, 500)
    assert near == pytest.approx(np.trapezoid(2 * r * profile(r), r) / 0.05**2, rel=0.05)
    ball, _ = distance_dependent(at, at, lambda d: 1.0, 0.1, KEY)
    back = {(j, i) for i, j in zip(ball.pre, ball.post, strict=True)}
    assert back == set(zip(ball.pre, ball.post, strict=True))  # certain edges are symmetric


def test_small_world_between_ring_and_random_graph():
    n, k = 600, 10
    ring, some, random = (small_world(n, k, beta, KEY) for beta in (0.0, 0.1, 1.0))
    for edges in (ring, some, random):
        assert len(edges) == n * k  # n k / 2 edges, each both ways, none twice, no loop
        assert len(np.unique(codes(edges))) == len(edges)
        assert not (edges.pre == edges.post).any()
        assert (matrix(edges) != matrix(edges).T).nnz == 0
    assert clustering(ring) == pytest.approx(3 * (k - 2) / (4 * (k - 1)))
    assert set(ring.out_degree().tolist()) == {k}
    hops = np.minimum(np.arange(1, n), n - np.arange(1, n))
    assert paths(ring) == pytest.approx(np.ceil(hops / (k / 2)).mean())
    assert clustering(some) == pytest.approx(
        clustering(ring) * 0.9**3, rel=0.06
    )  # Barrat, Weigt 2000
    assert paths(some) < paths(ring) / 5
    assert clustering(random) == pytest.approx(k / n, abs=0.015)
    assert paths(random) == pytest.approx(np.log(n) / np.log(k), rel=0.15)
    directed = small_world(n, k, 0.3, KEY, directed=True)
    assert (directed.out_degree() == k).all()
    assert len(np.unique(codes(directed))) == len(directed) == n * k
    assert directed.in_degree().std() > 1


def test_scale_free_degrees_follow_the_law():
    n, m = 6000, 3
    edges = scale_free(n, m, KEY)
    assert len(edges) == 2 * (6 + (n - 4) * m)
    assert len(np.unique(codes(edges))) == len(edges)
    assert (matrix(edges) != matrix(edges).T).nnz == 0
    degree = edges.out_degree()
    law = lambda k: 2 * m * (m + 1) / (k * (k + 1) * (k + 2))
    for k in (3, 4, 5, 8):
        assert (degree == k).mean() == pytest.approx(law(k), abs=0.02)
    tail = m * (m + 1) / (30 * 31)  # P(degree >= 30)
    assert (degree >= 30).mean() == pytest.approx(tail, rel=0.3)
    assert degree[:20].mean() > 10 * degree[-2000:].mean()  # the old are the hubs
    assert (scale_free(50, 2, KEY, directed=True).out_degree()[3:] == 2).all()


def test_a_seed_is_a_key_and_another_key_is_another_draw():
    for make in (
        lambda k: fixed_probability(50, 50, 0.1, k),
        lambda k: fixed_out_degree(50, 50, 5, k),
        lambda k: small_world(50, 4, 0.5, k),
        lambda k: scale_free(50, 3, k),
    ):
        one, two, other = make(jr.key(1)), make(jr.key(1)), make(jr.key(2))
        assert (codes(one) == codes(two)).all()
        assert codes(one).tolist() != codes(other).tolist()


def test_memory_goes_with_edges_and_never_with_pairs_of_cells():
    n = 200_000  # pairs of cells: 40 GB as bits alone
    makes = [
        lambda: fixed_probability(n, n, 5 / n, KEY),
        lambda: fixed_in_degree(n, n, 5, KEY),
        lambda: small_world(n, 6, 0.1, KEY),
    ]
    for make in makes:
        tracemalloc.start()
        edges = make()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(edges) > 4 * n
        assert peak < 150 * len(edges)


def test_blocks_and_their_signs():
    sizes = {"E": 80, "I": 20}
    ring = lambda n, m, key: Edges(np.arange(n), (np.arange(n) + 1) % m, n, m)
    net = blocks(sizes, {"E>E": 0.2, "E>I": 0.5, "I>E": 1.0, "I>I": ring}, KEY)
    kinds = signs(sizes)
    assert kinds.sum() == 60
    assert (net.n_pre, net.n_post) == (100, 100)
    from_i, to_i = net.pre >= 80, net.post >= 80
    assert (from_i & ~to_i).sum() == 1600
    assert (from_i & to_i).sum() == 20
    assert (~from_i & to_i).sum() == pytest.approx(800, abs=80)
    assert (~from_i & ~to_i).sum() == pytest.approx(0.2 * 80 * 79, abs=130)
    assert not (net.pre == net.post).any()
    wires = net.wiring(0.1 * kinds[net.pre])
    x = np.zeros(100, np.float32)
    x[85] = 1
    y = np.asarray(wires.forward(jax.numpy.asarray(x)))
    assert (y[:80] == np.float32(-0.1)).all()


def test_wiring_of_edges_equals_its_matrix():
    edges = together(fixed_probability(30, 20, 0.2, KEY), fixed_out_degree(30, 20, 3, KEY))
    weight = np.random.default_rng(0).normal(size=len(edges)).astype(np.float32)
    wires = edges.wiring(weight)
    dense = np.zeros((20, 30))
    np.add.at(dense, (edges.post, edges.pre), weight)
    x, y = jax.numpy.ones(30), jax.numpy.arange(20.0)
    np.testing.assert_allclose(wires.forward(x), dense @ x, atol=1e-5)
    np.testing.assert_allclose(wires.transpose(y), dense.T @ y, atol=1e-4)
    turned = edges.reversed().wiring(weight)
    np.testing.assert_allclose(turned.forward(y), dense.T @ y, atol=1e-4)


def test_table_of_synapses(tmp_path):
    rows = pd.DataFrame(
        {
            "a": ["x", "y", "x", "z"],
            "b": ["y", "z", "y", "w"],
            "n": [3, 2, 1, 9],
            "s": ["-", "?", "+", "+"],
        }
    )
    rows.to_csv(tmp_path / "t.csv", index=False, sep=";")
    names = dict(pre="a", post="b", weight="n", sign="s")
    brain = from_table(tmp_path / "t.csv", sep=";", names=["y", "x", "z"], **names)
    assert brain.names == ("y", "x", "z")  # w is left out
    found = {
        (brain.names[i], brain.names[j])
        for i, j in zip(brain.edges.pre, brain.edges.post, strict=True)
    }
    assert found == {("x", "y"), ("y", "z")}
    at = brain.edges.pre == brain.number("x")
    assert brain.weight[at].tolist() == [4.0]  # two rows of one pair
    assert brain.sign[at].tolist() == [-1]  # of the larger
    assert brain.sign[~at].tolist() == [0]
    wires = brain.wiring(0.5, unknown=1)
    assert wires.forward(jax.numpy.ones(3)).tolist() == [-2.0, 0.0, 1.0]
    for bad, error, says in (
        (dict(names, weight="q"), KeyError, "no column 'q'"),
        (dict(names, names=["q"]), ValueError, "no row"),
    ):
        with pytest.raises(error, match=says):
            from_table(rows, **bad)
    with pytest.raises(ValueError, match="negative"):
        from_table(rows.assign(n=-1), **names)
    with pytest.raises(KeyError, match="no cell"):
        brain.number("q")


@pytest.mark.skipif(
    not datasets.available("celegans-connectome"), reason="needs the C. elegans connectome"
)
def test_the_worm_has_the_counts_of_its_publication():
    worm = datasets.load("celegans-connectome")
    assert (len(worm.cook), len(worm.white)) == (7379, 2961)
    chemical = {
        name: t[t["type"] == "chemical"] for name, t in vars(worm).items() if name != "about"
    }
    cook, white = (from_table(t, weight="synapses", names=worm.neurons) for t in chemical.values())
    assert len(from_table(chemical["cook"], weight="synapses").edges) == 4681  # with muscles
    assert white.edges.in_degree()[white.number("AVAL")] > 40  # a hub
    matrices = [np.zeros((len(b.names),) * 2) for b in (cook, white)]
    for m, b in zip(matrices, (cook, white), strict=True):
        m[b.edges.pre, b.edges.post] = b.weight
    right, turned = (
        np.corrcoef(matrices[0].ravel(), m.ravel())[0, 1] for m in (matrices[1], matrices[1].T)
    )
    assert len(worm.neurons) == 300  # all but CANL and CANR
    assert right > 0.5  # two reconstructions, the same way round
    assert turned < 0.2


@pytest.mark.skipif(
    not (SIGNS and SIGNS.exists()), reason="needs the predicted signs of the connectome"
)
def test_signs_of_the_worm_are_read_beside_its_weights():
    brain = from_table(SIGNS, weight="weight", sign="predicted_polarity")
    assert len(brain.edges) == 3638  # pairs of neurons with chemical synapses
    assert brain.weight.sum() == 20_589
    assert np.bincount(brain.sign + 1).tolist() == [425, 471 + 1415, 1327]  # -, complex or none, +


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fixed_probability(3, 4, 1.5, KEY), "1.5"),
        (lambda: fixed_probability(3, 4, 0.5, KEY, loops=False), "loops=False"),
        (lambda: fixed_out_degree(3, 4, 5, KEY), "k = 5"),
        (lambda: fixed_in_degree(3, 4, 5, KEY), "k = 5"),
        (lambda: small_world(10, 3, 0.1, KEY), "even"),
        (lambda: small_world(10, 4, 1.1, KEY), "beta"),
        (lambda: scale_free(3, 3, KEY), "below n"),
        (lambda: Edges(np.array([0]), np.array([3]), 3, 3), "0..2"),
        (lambda: Edges(np.array([0, 1]), np.array([1]), 3, 3), "one length"),
        (lambda: blocks({"E": 3}, {"E>I": 0.1}, KEY), "populations"),
        (lambda: signs({"E": 3}), "no populations"),
        (lambda: distance_dependent(np.ones((2, 2)), np.ones((2, 3)), lambda d: d, 1.0, KEY), "cell, axis"),
        (lambda: distance_dependent(np.ones((2, 2)), np.ones((2, 2)), lambda d: d + 2, 1.0, KEY), "0..1"),
    ],
)  # fmt: skip
def test_what_cannot_be_wired_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
