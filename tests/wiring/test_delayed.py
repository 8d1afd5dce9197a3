"""Sparse wiring with a delay for every synapse."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Network, run, start
from neuropil.wiring import DelayedSparse, Sparse


def test_every_spike_arrives_after_the_delay_of_its_synapse(x64):
    rng = np.random.default_rng(0)
    pre, post = rng.integers(0, 6, 20), rng.integers(0, 5, 20)
    weight, delay = rng.standard_normal(20), 0.5 * rng.integers(0, 8, 20)
    order = np.argsort(pre, kind="stable")
    wire = Sparse.from_edges(pre[order], post[order], weight[order], 6, 5)
    late = DelayedSparse(wire, delay[order])
    xs = rng.standard_normal((30, 6))
    want = np.zeros((30, 5))
    for j, i, w, n in zip(pre, post, weight, np.round(delay / 0.5).astype(int), strict=True):
        want[n:, i] += w * xs[: 30 - n, j]
    carry, parts = start(late, 0.5, jr.key(0)), []
    for a, b in ((0, 3), (3, 30)):
        carry, ys = run(late, carry, jnp.asarray(xs[a:b]))
        parts.append(ys)
    np.testing.assert_allclose(np.concatenate(parts), want, atol=1e-12)


def test_all_cells_at_once_and_one_weight_for_all():
    wire = Sparse(jnp.array([[0, 1], [0, 1], [0, 1]]), jnp.asarray(2.0), 2, indptr=[0, 2, 4, 6])
    late = DelayedSparse(wire, [[0.0, 1.0]] * 3)
    ys = run(late, start(late, 1.0, jr.key(0)), jnp.ones((3, 3)))[1]
    assert ys.tolist() == [[6.0, 0.0], [6.0, 6.0], [6.0, 6.0]]


def test_on_an_edge_the_tick_that_has_passed_is_counted():
    wire = Sparse.from_edges(np.array([0]), np.array([0]), 1.0, 1, 1)
    same, zero = lambda x: x, jnp.zeros(1)
    nodes, rest = {"a": same, "b": same}, {"a": zero, "b": zero}
    net = Network(nodes, {"a>b": DelayedSparse(wire, [3.0])}, rest=rest)
    xs = {"a": jnp.zeros((8, 1)).at[1].set(1.0), "b": jnp.zeros((8, 1))}
    assert np.flatnonzero(run(net, start(net, 1.0, jr.key(0)), xs)[1]["b"]).tolist() == [4]
    with pytest.raises(ValueError, match="network edge"):
        start(Network(nodes, {"a>b": DelayedSparse(wire, [0.0])}, rest=rest), 1.0, jr.key(0))


def test_nonsense_is_refused():
    wire = Sparse.from_edges(np.array([0]), np.array([0]), 1.0, 1, 1)
    with pytest.raises(ValueError, match=r"delay = -1 ms"):
        DelayedSparse(wire, [-1.0])
    with pytest.raises(ValueError, match="the synapses are"):
        DelayedSparse(wire, [1.0, 2.0])
    with pytest.raises(ValueError, match="no multiple of dt"):
        start(DelayedSparse(wire, [0.25]), 0.1, jr.key(0))
