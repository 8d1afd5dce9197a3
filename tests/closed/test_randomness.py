"""Randomness and clocks: the numbers do not depend on how a run is cut, ordered or vmapped."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, Noise
from neuropil.core import (
    SEEDS,
    Batched,
    Carry,
    Chain,
    Every,
    Lift,
    Network,
    System,
    Tick,
    Trial,
    Vmapped,
    run,
    start,
)
from neuropil.synapses import Delay, Exponential
from neuropil.wiring import Dense


class Draw(System):
    """Three normals a tick, and nothing else."""

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, jr.normal(tick.key, (3,))

    def rest(self):
        return jnp.zeros(3)


def two_draws():
    return Chain(first=Draw(), second=Lift(jnp.sin), third=Draw())


def test_a_run_in_pieces_draws_the_same_numbers():
    system = two_draws()
    begin = start(system, 1.0, jr.key(1))
    _, whole = run(system, begin, n=12)
    carry, a = run(system, begin, n=5)
    _, b = run(system, carry, n=7)
    np.testing.assert_array_equal(whole, np.concatenate([a, b]))
    np.testing.assert_array_equal(whole, run(system, begin, n=12, remat=4, truncate=5)[1])
    assert len(np.unique(whole)) == whole.size


def test_vmapped_seeds_draw_the_same_numbers():
    system = two_draws()
    keys = jr.split(jr.key(2), 4)
    carries = jax.vmap(lambda k: start(system, 1.0, k), out_axes=SEEDS)(keys)
    assert carries.i.shape == ()
    together = jax.vmap(lambda c: run(system, c, n=6)[1], in_axes=(SEEDS,))(carries)
    for k in range(4):
        alone = run(system, start(system, 1.0, keys[k]), n=6)[1]
        np.testing.assert_array_equal(together[k], alone)


def test_a_child_is_chosen_by_its_name():
    tick = Tick(jnp.int32(3), jnp.asarray(1.0), jr.key(0))
    bits = lambda t: np.asarray(jr.key_data(t.key)).tolist()
    assert bits(tick.child("a")) == bits(tick.child("a"))
    assert bits(tick.child("a")) != bits(tick.child("b"))
    alone = Chain(draw=Draw())
    beside = Chain(more=Lift(jnp.sin), draw=Draw())
    ys = [run(s, start(s, 1.0, jr.key(0)), jnp.zeros((4, 3)))[1] for s in (alone, beside)]
    np.testing.assert_array_equal(*ys)


def noisy_network(turned):
    def order(parts):
        return dict(reversed(list(parts.items()))) if turned else parts

    w = {n: jr.normal(jr.key(k), (3, 3)) for k, n in enumerate(["a>b", "b>a", "c>b", "b>c"])}
    edges = {n: Chain(delay=Delay(2.0, 3), wire=Dense(m)) for n, m in w.items()}
    nodes = {n: LIF(3, tau=5.0, noise=Noise(1.0, block=4)) for n in "abc"}
    return Network(order(nodes), order(edges))


def test_a_network_written_in_two_orders_is_the_same_to_the_bit():
    ys = []
    for turned in (False, True):
        net = noisy_network(turned)
        carry, y = run(net, start(net, 1.0, jr.key(4)), {"a": jnp.full((40, 3), 1.2)})
        ys.append((carry.state.nodes["b"]["v"], y["a"], y["b"], y["c"]))
    for one, other in zip(*ys, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 < float(ys[0][1].mean()) < 1


def primitives(jaxpr):
    """Names of all primitives in a jaxpr and the jaxprs inside it."""
    found = set()
    for eqn in jaxpr.eqns:
        found.add(eqn.primitive.name)
        for value in eqn.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    found |= primitives(inner)
    return found


@pytest.mark.parametrize("wrap", ["seeds", "Batched", "Vmapped", "Trial"])
def test_the_clock_is_never_batched(wrap):
    """A batched clock would turn the branch of `Every` into a select that always computes both."""
    slow = Every(Exponential(3), 4)
    system = {
        "seeds": slow,
        "Batched": Batched(slow, 2),
        "Vmapped": Vmapped.build(lambda k: Every(Exponential(3, jr.uniform(k)), 4), 2, jr.key(0)),
        "Trial": Trial(slow, 8),
    }[wrap]
    shape = {"seeds": (8, 3), "Trial": (1, 8, 3)}.get(wrap, (8, 2, 3))
    keys = jr.split(jr.key(0), 2)
    carries = jax.vmap(lambda k: start(system, 1.0, k), out_axes=SEEDS)(keys)
    program = jax.make_jaxpr(
        jax.vmap(lambda c: run(system, c, jnp.ones(shape)), (SEEDS,), (SEEDS, 0))
    )(carries)
    assert "cond" in primitives(program.jaxpr)
    batched = Carry(i=0, dt=None, key=0, state=0)
    carries = Carry(jnp.zeros(2, jnp.int32), carries.dt, carries.key, carries.state)
    program = jax.make_jaxpr(
        jax.vmap(lambda c: run(system, c, jnp.ones(shape)), (batched,), (batched, 0))
    )(carries)
    assert "cond" not in primitives(program.jaxpr)  # so the test above can fail


def test_every_steps_at_multiples_of_k_and_holds_in_between():
    class Count(System):
        def init(self, dt, key):
            assert dt == 2.0 * 3
            return jnp.int32(0)

        def step(self, state, x, tick):
            return state + 1, jnp.stack([state, tick.i, tick.dt.astype(jnp.int32)])

        def rest(self):
            return jnp.zeros(3, jnp.int32)

    system = Every(Count(), 3)
    _, ys = run(system, start(system, 2.0, jr.key(0)), n=8)
    np.testing.assert_array_equal(ys[:, 0], [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(ys[:, 1], ys[:, 0])
    np.testing.assert_array_equal(ys[:, 2], 6)
