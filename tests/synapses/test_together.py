"""Cell and conductances in one compiled pass: the numbers of the parts one by one, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil import native
from neuropil.cells import (
    LIF,
    Adaptation,
    NoReset,
    Refractory,
    SubtractReset,
    SuperSpike,
    ValueReset,
)
from neuropil.core import Batched, run, start
from neuropil.synapses import Conductance, Receptors

pytestmark = pytest.mark.skipif(
    not native.available("conductance"), reason="there is no C++ compiler on this machine"
)
N, TICKS = 300, 60  # more than one block of the kernel, and a last block that is not full
each = lambda low, high: jnp.linspace(low, high, N)


def cell(reset, refractory=None, surrogate=None, **more):
    lif = LIF(
        N,
        tau=each(10.0, 30.0),
        threshold=-50.0,
        v_rest=each(-61.0, -59.0),
        resistance=1.1,
        reset=reset,
        refractory=refractory,
        surrogate=surrogate or SuperSpike(),
        **more,
    )
    gaba = Conductance(N, each(8.0, 12.0), -80.0)
    return Receptors(lif, ampa=Conductance(N, 5.0, 0.0), gaba=gaba)


def inputs():
    kicks = jax.random.bernoulli(jax.random.key(1), 0.1, (2, TICKS, N)).astype(jnp.float32)
    return {"ampa": kicks[0], "gaba": 2 * kicks[1], "current": jnp.full((TICKS, N), 4.0)}


def both(system, xs, record):
    """The same run by the kernel, and receptor by receptor."""
    carry = start(system, 0.5, jax.random.key(0))
    kernel = run(system, carry, xs, record=record)
    with native.pure():
        return kernel, run(system, carry, xs, record=record)


@pytest.mark.parametrize(
    "system",
    [
        cell(ValueReset(-60.0), Refractory(each(1.0, 3.0))),
        cell(SubtractReset(), surrogate=SuperSpike(closed=True)),
        cell(NoReset(), Refractory(2.0)),
    ],
    ids=["hard", "soft", "none"],
)
def test_one_pass_equals_the_parts_one_by_one(system):
    record = {"s": "output", "v": "cell.v", "g": "gaba"}
    (carry, have), (other, want) = both(system, inputs(), record)
    assert have["s"].sum() > 100
    np.testing.assert_array_equal(have["s"], want["s"])
    np.testing.assert_allclose(have["v"], want["v"], rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(have["g"], want["g"], rtol=1e-5)
    assert jax.tree.structure(carry.state) == jax.tree.structure(other.state)
    for a, b in zip(jax.tree.leaves(carry.state), jax.tree.leaves(other.state), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-4)


def test_derivatives_and_batches_are_those_of_the_parts():
    system, xs = cell(ValueReset(-60.0), Refractory(2.0)), inputs()
    carry = start(system, 0.5, jax.random.key(0))
    loss = lambda system, xs: run(system, carry, xs)[1].mean()
    slope = jax.jit(jax.grad(lambda xs: loss(system, xs)))
    have = slope(xs)
    with native.pure():
        want = slope(xs)
    assert abs(want["ampa"]).max() > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-9), have, want)
    twice = jax.tree.map(lambda a: jnp.stack([a, a], 1), xs)
    batch = Batched(system, 2)
    _, spikes = run(batch, start(batch, 0.5, jax.random.key(0)), twice)
    np.testing.assert_array_equal(spikes[:, 0], run(system, carry, xs)[1])


def test_what_is_not_finite_stays_visible():
    system = cell(ValueReset(-60.0))
    xs = {"ampa": jnp.zeros((1, N)).at[0, 3].set(jnp.nan)}
    (_, have), (_, want) = both(system, xs, "cell.v")
    assert np.isnan(have[0, 3])
    np.testing.assert_array_equal(np.isnan(have), np.isnan(want))


def test_a_cell_with_other_parts_keeps_its_own_step():
    assert cell(NoReset(), adaptation=Adaptation()).cell.leaky(jnp.float32(0.5)) is None
    xs = {"ampa": inputs()["ampa"]}
    (_, have), (_, want) = both(cell(ValueReset(-60.0), adaptation=Adaptation()), xs, "output")
    np.testing.assert_array_equal(have, want)
