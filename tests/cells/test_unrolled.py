"""A LIF over the whole time axis: equal to its steps in value and gradient, by the kernel and without it."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import native
from neuropil.cells import (
    LIF,
    ATan,
    Boxcar,
    Gaussian,
    NoGradient,
    NoReset,
    Sigmoid,
    StraightThrough,
    SubtractReset,
    SuperSpike,
    Triangle,
    ValueReset,
)
from neuropil.core import Batched, System
from neuropil.core.random import tick_keys
from neuropil.core.system import Tick

TICKS, BATCH, CELLS = 9, 5, 3
CASES = [
    (SubtractReset(), SuperSpike(3.0), "current"),
    (SubtractReset(detach=True), ATan(2.0), "jump"),
    (ValueReset(0.2), Triangle(0.5), "current"),
    (ValueReset(-0.1, detach=True), Sigmoid(4.0), "jump"),
    (NoReset(), Boxcar(0.7), "jump"),
    (ValueReset(0.0), Gaussian(1.0), "jump"),
    (SubtractReset(), StraightThrough(closed=True), "jump"),
    (ValueReset(0.3), NoGradient(), "current"),
]


def ticks(first=4, n=TICKS):
    i = first + jnp.arange(n, dtype=jnp.int32)
    return Tick(i, jnp.asarray(0.7, jnp.result_type(float)), tick_keys(jr.key(0), i))


def problem(reset, bump, drive, seed=0):
    """A batch of cells with parameters of their own, in mid-run, and weights of its outputs."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: jnp.asarray(rng.normal(0, 1, shape), jnp.result_type(float))
    cell = LIF(
        CELLS,
        tau=3 + jnp.abs(draw(CELLS)),
        threshold=0.6 + 0.2 * jnp.abs(draw(CELLS)),
        v_rest=0.1 * draw(CELLS),
        resistance=2 + 0.1 * draw(CELLS),
        reset=jax.tree.map(lambda a: jnp.asarray(a, jnp.result_type(float)), reset),
        surrogate=bump,
        drive=drive,
    )
    at = (cell, {"v": 0.5 * draw(BATCH, CELLS)}, 0.4 + draw(TICKS, BATCH, CELLS))
    return at, (draw(TICKS, BATCH, CELLS), draw(BATCH, CELLS))


def by_steps(cell, state, xs):
    run = lambda s, x: System.unroll(cell, s, x, ticks())
    end, ys = jax.vmap(run, (0, 1), (0, 1))(state, xs)
    return end["v"], ys


def at_once(cell, state, xs):
    end, ys = Batched(cell, BATCH).unroll(state, xs, ticks())
    return end["v"], ys


def dot(a, b):
    return sum((p * q).sum() for p, q in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def slopes(way, weights):
    """Value and gradient with respect to everything: parameters, state, inputs."""

    def total(at):
        end, ys = way(*at)
        return (ys * weights[0]).sum() + (end * weights[1]).sum() + (end**2).sum(), (end, ys)

    return jax.jit(jax.grad(total, has_aux=True))


def close(a, b, bound):
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=bound, atol=bound)


@pytest.mark.parametrize(
    ("case", "bits"), [(case, 64) for case in CASES] + [(case, 32) for case in CASES[:3]]
)
def test_values_and_gradients_are_those_of_the_steps(case, bits):
    with jax.enable_x64(bits == 64):
        at, weights = problem(*case)
        wanted = slopes(by_steps, weights)(at)
        assert 0.1 < float(wanted[1][1].mean()) < 0.9, "the cells must fire, and not always"
        bound = 1e-11 if bits == 64 else 2e-4
        close(slopes(at_once, weights)(at), wanted, bound)
        with native.pure():
            close(slopes(at_once, weights)(at), wanted, bound)


def test_forward_mode_second_derivatives_and_samples_apart(x64):
    """jvp, a gradient of a gradient, and one gradient a sample, as through the steps."""
    at, weights = problem(SubtractReset(), ATan(2.0), "current")
    rng = np.random.default_rng(3)
    along = jax.tree.map(lambda a: jnp.asarray(rng.normal(0, 1, a.shape)), at)

    def total(way, at):
        end, ys = way(*at)
        return (ys * weights[0]).sum() + (end**2).sum()

    def apart(way):
        def one(v, x):  # of one sample alone, with respect to the cell's parameters
            go = LIF.unroll if way is at_once else System.unroll
            run = lambda cell: (go(cell, {"v": v}, x, ticks())[1] * weights[0][:, 0]).sum()
            return jax.grad(run)(at[0])

        return jax.vmap(one, (0, 1))(at[1]["v"], at[2])

    def steps(at):
        f = lambda at: total(by_steps, at)
        forward = lambda at: jax.jvp(f, (at,), (along,))[1]
        return forward(at), jax.grad(forward)(at), apart(by_steps)

    def once(at):
        f = lambda at: total(at_once, at)
        slope = lambda at: dot(jax.grad(f)(at), along)
        return (slope(at), jax.grad(slope)(at), apart(at_once)), jax.jvp(
            jax.grad(f), (at,), (along,)
        )

    wanted, (found, (first, second)) = jax.jit(steps)(at), jax.jit(once)(at)
    close(found, wanted, 1e-9)
    close(
        second, wanted[1], 1e-9
    )  # through the steps themselves this order differs: JAX drops terms
    np.testing.assert_allclose(dot(first, along), wanted[0], rtol=1e-9)


def test_seeds_with_parameters_of_their_own(x64):
    """vmap over cells, states and inputs; over cells only; over inputs only."""
    a, weights = problem(ValueReset(0.2), SuperSpike(3.0), "current", seed=1)
    b, _ = problem(ValueReset(0.2), SuperSpike(3.0), "current", seed=2)
    both = jax.tree.map(lambda p, q: jnp.stack([p, q]), a, b)

    def all_of(way):
        f = lambda *at: jax.grad(lambda at: (way(*at)[1] * weights[0]).sum())(at)
        return (
            jax.vmap(f)(*both),
            jax.vmap(f, (0, None, None))(both[0], a[1], a[2]),
            jax.vmap(f, (None, None, 0))(a[0], a[1], both[2]),
        )

    found, wanted = (jax.jit(all_of, static_argnums=0)(way) for way in (at_once, by_steps))
    close(found, wanted, 1e-11)


def test_a_population_of_many_pieces_and_remainders():
    """More cells than the kernel takes at a time, not a multiple of anything; one tick; against the scan."""
    rng = np.random.default_rng(0)
    for shape, batch, n in (((3, 37), 301, 3), ((9001,), 3, 1)):
        cell = LIF(shape, tau=5.0, reset=ValueReset(0.1))
        xs = jnp.asarray(rng.normal(1.0, 2.0, (n, batch, *shape)), jnp.float32)
        state = {"v": jnp.zeros((batch, *shape), jnp.float32)}
        both = Batched(cell, batch)
        whole = lambda s, x, n=n, both=both: both.unroll(s, x, ticks(0, n))
        end, ys = jax.jit(whole)(state, xs)
        with native.pure():
            end2, ys2 = jax.jit(whole)(state, xs)
        close((end, ys), (end2, ys2), 1e-6)
        assert 0 < float(ys.mean()) < 1


def test_what_is_no_plain_membrane_goes_by_steps():
    cell = LIF(2, tau=5.0)
    v = {"v": jnp.zeros(2)}
    _, ys = cell.unroll(v, None, ticks())
    assert ys.shape == (TICKS, 2)
    _, ys = cell.unroll(v, jnp.ones((TICKS, 2), bool), ticks())  # any dtype counts as current
    close(ys, System.unroll(cell, v, jnp.ones((TICKS, 2)), ticks())[1], 0)
