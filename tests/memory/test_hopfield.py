"""Hopfield networks: energies fall, the capacity and overlaps of mean-field theory, attention."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import attention
from neuropil.core import run, start
from neuropil.memory import (
    DenseHopfield,
    Exponential,
    Hopfield,
    ModernHopfield,
    Polynomial,
    dilute,
    hebb_weights,
    hopfield_capacity,
    hopfield_energy,
    projection_weights,
    retrieval_overlap,
)


def signs(seed, m, n):
    return jnp.asarray(np.random.default_rng(seed).choice([-1.0, 1.0], (m, n)))


def recalled(net, cue, sweeps=8):
    """States from a cue that is set at the first tick."""
    xs = jnp.zeros((sweeps, cue.shape[0])).at[0].set(1e6 * cue)
    return run(net, start(net, 1.0, jr.key(0)), xs)[1]


def test_capacity_and_overlaps_of_mean_field_theory():
    """alpha_c = 0.138 with m = 0.967 there (Amit, Gutfreund, Sompolinsky 1985); 2 / pi where diluted."""
    a = hopfield_capacity()
    assert a == pytest.approx(0.1379, abs=1e-4)
    assert retrieval_overlap(a - 1e-5) == pytest.approx(0.967, abs=2e-3)
    assert retrieval_overlap(a + 1e-5) == 0.0
    assert retrieval_overlap(2 / math.pi + 0.01, diluted=True) == 0.0
    assert 0 < retrieval_overlap(2 / math.pi - 0.01, diluted=True) < 0.3
    assert retrieval_overlap(0.0) == 1.0


def test_energy_never_rises_and_ends_in_a_fixed_point():
    """Also with a field and with symmetric dilution; the second state cue is no stored pattern."""
    n = 60
    W = dilute(hebb_weights(signs(0, 12, n)), 0.6, jr.key(1))
    field = jnp.asarray(np.random.default_rng(1).normal(size=n))
    net = Hopfield(W)
    states = run(net, start(net, 1.0, jr.key(2)), jnp.broadcast_to(field, (10, n)))[1]
    energy = jax.vmap(lambda s: hopfield_energy(W, s, field))(states)
    assert (jnp.diff(energy) <= 1e-5).all()
    assert (states[-1] == states[-2]).all()
    assert (jnp.sign(W @ states[-1] + field) == states[-1]).all()


def test_all_at_once_may_end_in_a_cycle_of_two():
    net = Hopfield(jnp.array([[0.0, -1.0], [-1.0, 0.0]]), "synchronous")
    ys = recalled(net, jnp.ones(2), 3)
    assert ys.tolist() == [[1, 1], [-1, -1], [1, 1]]


def test_projection_stores_more_than_hebb():
    patterns = signs(2, 20, 40)
    W = projection_weights(patterns)
    np.testing.assert_allclose(patterns @ W, patterns, atol=1e-4)
    H = hebb_weights(patterns)
    assert (jnp.sign(patterns @ H) != patterns).any()


@pytest.mark.slow
def test_recall_below_and_above_the_capacity():
    """1,000 cells from the pattern itself: the predicted overlap at 0.1, breakdown at 0.2; the diluted one."""
    n = 1000
    for load, low, high in ((0.1, 0.985, 1.0), (0.2, 0.0, 0.75)):
        patterns = signs(3, round(load * n), n)
        net = Hopfield(hebb_weights(patterns))
        m = np.mean([recalled(net, patterns[k], 20)[-1] @ patterns[k] / n for k in range(8)])
        assert low <= m <= high
        if load == 0.1:
            assert m == pytest.approx(retrieval_overlap(load), abs=0.01)
    n, keep, load = 4000, 0.02, 0.4  # 80 synapses a cell, 32 patterns
    patterns = signs(4, round(load * keep * n), n)
    W = dilute(hebb_weights(patterns), keep, jr.key(5), symmetric=False)
    s = patterns[0]
    for _ in range(30):
        s = jnp.where(W @ s >= 0, 1.0, -1.0)
    assert float(s @ patterns[0] / n) == pytest.approx(
        retrieval_overlap(load, diluted=True), abs=0.08
    )


def test_degree_two_is_the_classical_network():
    patterns, s = signs(5, 4, 30), signs(6, 1, 30)[0]
    classical, dense = Hopfield(hebb_weights(patterns)), DenseHopfield(patterns, Polynomial(2))
    assert (recalled(classical, s, 4) == recalled(dense, s, 4)).all()
    # the two energies differ by the constant diagonal
    e = [
        float(dense.energy(x)) - 2 * float(hopfield_energy(classical.weight, x)) / 30
        for x in patterns
    ]
    np.testing.assert_allclose(e, e[0], atol=1e-5)


@pytest.mark.parametrize("separation", [Polynomial(3, rectified=True), Exponential()])
def test_dense_energies_fall_and_more_patterns_than_cells_are_held(separation):
    n, m = 30, 60 if isinstance(separation, Exponential) else 25
    net = DenseHopfield(signs(7, m, n), separation)
    start_at = net.patterns[3].at[:3].multiply(-1)
    ys = recalled(net, start_at, 5)
    assert (ys[-1] == net.patterns[3]).all()
    energy = jax.vmap(net.energy)(recalled(net, signs(8, 1, n)[0], 5))
    assert (jnp.diff(energy) <= 1e-6).all()


def test_one_step_of_the_modern_network_is_attention():
    rng = np.random.default_rng(9)
    X, cue = jnp.asarray(rng.normal(size=(7, 5))), jnp.asarray(rng.normal(size=5))
    net = ModernHopfield(X, beta=0.7)
    ys = run(net, start(net, 1.0, jr.key(0)), jnp.zeros((6, 5)).at[0].set(cue))[1]
    np.testing.assert_allclose(ys[0], attention(cue[None], X, X, scale=0.7)[0], rtol=1e-5)
    by_hand = jax.nn.softmax(0.7 * X @ cue) @ X
    np.testing.assert_allclose(ys[0], by_hand, rtol=1e-5)
    energy = jax.vmap(net.energy)(jnp.concatenate([cue[None], ys]))
    assert (jnp.diff(energy) <= 1e-6).all()


def test_error_of_a_well_separated_pattern_falls_exponentially():
    """|xi - x| <= 2 (M - 1) exp(-beta Delta) max |x| (Ramsauer et al. 2021, theorem 5, at a pattern)."""
    X = signs(10, 6, 24)
    G = np.array(X @ X.T)
    apart = G[0, 0] - G[0, 1:].max()
    for beta in (0.2, 0.4):
        net = ModernHopfield(X, beta)
        y = run(net, start(net, 1.0, jr.key(0)), X[:1])[1][0]
        bound = 2 * 5 * math.exp(-beta * apart) * math.sqrt(24)
        assert float(jnp.linalg.norm(y - X[0])) <= bound


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Hopfield(jnp.ones((2, 3))), r"must be \(n, n\)"),
        (lambda: Hopfield(jnp.ones((2, 2)), "random"), "asynchronous"),
        (lambda: Polynomial(1), "degree"),
        (lambda: DenseHopfield(jnp.ones(3)), "patterns"),
        (lambda: ModernHopfield(jnp.ones((2, 2)), -1.0), "beta"),
        (lambda: dilute(jnp.ones((2, 2)), 0.0, jr.key(0)), "keep"),
        (lambda: retrieval_overlap(-1.0), "load"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
