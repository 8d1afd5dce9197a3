"""Distributed memory and sparse codes against exact counts and simulation."""

import itertools
import math

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import hypergeom

from neuropil.core import run, start
from neuropil.memory import (
    SparseDistributedMemory,
    Willshaw,
    access_probability,
    critical_distance,
    expected_distance,
    false_match_of_many,
    false_match_of_union,
    false_match_probability,
    overlap_probability,
    radius_for,
    shared_probability,
    sparse_codes,
    union_density,
)


def test_overlaps_against_the_hypergeometric_law_and_full_enumeration():
    n, a, b = 12, 5, 4
    ours = [overlap_probability(n, a, b, k) for k in range(6)]
    np.testing.assert_allclose(ours, hypergeom(n, a, b).pmf(range(6)), atol=1e-14)
    assert math.isclose(sum(ours), 1.0)
    codes = list(itertools.combinations(range(7), 3))
    hits = np.mean([len(set(c) & {0, 1, 2, 3}) >= 2 for c in codes])
    assert false_match_probability(7, 3, 4, 2) == pytest.approx(hits, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "a", "s", "theta", "p"),
    [
        (100_000, 2000, 6, 6, 6.35308872941916e-11),  # Hawkins, Ahmad (2016), table 1B
        (100_000, 2000, 10, 10, 1.00163216178113e-17),
        (100_000, 2000, 12, 6, 5.29386836275369e-8),  # table 1C
        (100_000, 2000, 24, 12, 8.58694100276592e-15),
        (10_000, 300, 24, 12, 8.37584522709849e-13),
    ],
)
def test_false_matches_of_published_tables(n, a, s, theta, p):
    assert false_match_probability(n, a, s, theta) == pytest.approx(p, rel=1e-12)


def test_unions_and_many_codes_against_simulation():
    n, a, stored = 100, 6, 15
    rng = np.random.default_rng(0)
    density, hit, shared = [], 0, 0
    for _ in range(2000):
        union, best = np.zeros(n, bool), 0
        new = set(rng.choice(n, a, replace=False).tolist())
        for _ in range(stored):
            code = rng.choice(n, a, replace=False)
            union[code] = True
            best = max(best, len(new & set(code.tolist())))
        density.append(union.mean())
        hit += best >= 3
        shared += union[list(new)].sum() >= 5
    assert np.mean(density) == pytest.approx(union_density(n, a, stored), abs=0.002)
    p = false_match_of_many(n, a, a, 3, stored)
    assert hit / 2000 == pytest.approx(p, abs=4 * math.sqrt(p / 2000))
    q = false_match_of_union(n, a, 5, stored)
    assert shared / 2000 == pytest.approx(q, abs=4 * math.sqrt(q / 2000))


def test_sparse_codes_are_uniform():
    codes = sparse_codes(jr.key(0), 3000, 12, 3)
    assert (codes.sum(1) == 3).all()
    np.testing.assert_allclose(codes.mean(0), 0.25, atol=0.035)


def test_access_and_shared_locations_by_enumeration():
    words = np.array(list(itertools.product([0, 1], repeat=9)))
    far = lambda a: (words != a).sum(1)
    a, b = np.zeros(9), np.array([1] * 4 + [0] * 5)
    assert access_probability(9, 3) == pytest.approx((far(a) <= 3).mean())
    both = ((far(a) <= 3) & (far(b) <= 3)).mean()
    assert shared_probability(9, 3, 4) == pytest.approx(both)
    assert access_probability(1000, 451) >= 0.001 > access_probability(1000, 450)


def test_reading_distance_and_critical_distance_against_a_memory():
    """Words read at a distance from a stored one are as far from it as the theory says; inside the critical
    distance they are nearer than the cue, outside further away."""
    n, m, T = 200, 2000, 80
    r = radius_for(n, 0.02)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2, (T, n))
    memory = SparseDistributedMemory.random(m, n, r, jr.key(0))
    distances = (20, 60)
    cues = []
    for d in distances:
        flipped = words.copy()
        for row in flipped:
            at = rng.choice(n, d, replace=False)
            row[at] = 1 - row[at]
        cues.append(flipped)
    address = np.concatenate([words, *cues])
    write = np.concatenate([np.ones(T), np.zeros(T * len(distances))])
    xs = {"address": address, "word": np.concatenate([words] * 3), "write": write}
    xs = {k: jnp.asarray(v, jnp.int32) for k, v in xs.items()}
    y = np.array(run(memory, start(memory, 1.0, jr.key(0)), xs)[1]["word"])
    c = critical_distance(n, m, r, T)
    assert 20 < c < 60
    for k, d in enumerate(distances):
        off = (y[T * (k + 1) : T * (k + 2)] != words).sum(1)
        assert off.mean() == pytest.approx(expected_distance(n, m, r, T, d), abs=3.5)
        assert (off.mean() < d) == (d < c)


def test_critical_distance_of_full_and_nearly_empty_memories():
    assert critical_distance(256, 4000, 112, 10_000) == 0
    assert critical_distance(256, 4000, 112, 1) == 128
    falling = [critical_distance(256, 4000, 112, T) for T in (20, 50, 100)]
    assert falling == sorted(falling, reverse=True)


def test_willshaw_density_and_that_it_does_not_forget():
    n, a, stored = 60, 6, 40
    cue, content = sparse_codes(jr.key(0), stored, n, a), sparse_codes(jr.key(1), stored, n, a)
    net = Willshaw(n, n)
    xs = {"cue": cue, "content": content, "write": jnp.ones(stored)}
    carry, _ = run(net, start(net, 1.0, jr.key(0)), xs)
    density = union_density(n * n, a * a, stored)
    assert float(carry.state.mean()) == pytest.approx(density, abs=0.02)
    xs = {"cue": cue, "content": jnp.roll(content, 1, 0), "write": jnp.ones(stored)}
    carry, y = run(net, carry, xs)
    assert (y["content"] >= content).all()  # nothing stored is missed
    _, y = run(net, carry, {**xs, "write": jnp.zeros(stored)})
    assert (y["content"] >= jnp.maximum(content, jnp.roll(content, 1, 0))).all()
    none = {"cue": jnp.zeros((1, n)), "content": content[:1], "write": jnp.zeros(1)}
    assert float(run(net, carry, none)[1]["content"].sum()) == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SparseDistributedMemory(jnp.ones(3), 1), "locations"),
        (lambda: SparseDistributedMemory(jnp.ones((2, 3)), 4), "radius"),
        (lambda: radius_for(10, 1.0), "within 0..1"),
        (lambda: shared_probability(5, 2, 6), "distance"),
        (lambda: false_match_probability(10, 11, 3, 2), "active"),
        (lambda: sparse_codes(jr.key(0), 1, 3, 4), "active"),
        (lambda: Willshaw(0, 2), "cells"),
        (lambda: Willshaw(2, 2, 1.5), "share"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
