"""The E/I network with conductances against its equations written out in NumPy, with a full matrix."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neuropil import native
from neuropil.cells import LIF, Refractory, ValueReset
from neuropil.core import Chain, Network, To, fold, put, run, start
from neuropil.synapses import Conductance, Receptors
from neuropil.wiring import fixed_probability

SIZES, WEIGHT, PORT = {"E": 64, "I": 16}, {"E": 1.5, "I": 15.0}, {"E": "exc", "I": "inh"}
DT, TICKS = 0.1, 400


def network():
    key = jax.random.key(0)

    def cell(n):
        lif = LIF(n, 20.0, -50.0, -60.0, reset=ValueReset(-60.0), refractory=Refractory(5.0))
        return Receptors(lif, exc=Conductance(n, 5.0, 0.0), inh=Conductance(n, 10.0, -80.0))

    def wire(a, b):
        edges = fixed_probability(SIZES[a], SIZES[b], 0.2, fold(key, a + b))
        return Chain(edges.wiring(WEIGHT[a], shared=True), To(PORT[a]))

    net = Network(
        {name: cell(n) for name, n in SIZES.items()},
        {f"{a}>{b}": wire(a, b) for a in "EI" for b in "EI"},
    )
    carry = start(net, DT, key)
    for name, n in SIZES.items():
        carry = put(carry, f"state.nodes.{name}.exc", jnp.linspace(2.0, 8.0, n))
    return net, carry


def by_hand(net):
    """Spikes (tick, cell) of E, then I."""
    block = lambda a, b: np.asarray(net.edges[f"{a}>{b}"].parts["0"].dense(), np.float64)
    matrix = {a: np.concatenate([block(a, "E"), block(a, "I")]) for a in "EI"}
    n, ne = sum(SIZES.values()), SIZES["E"]
    v, left, s = np.full(n, -60.0), np.zeros(n, int), np.zeros(n)
    ge = np.concatenate([np.linspace(2, 8, k) for k in SIZES.values()])
    gi, spikes = np.zeros(n), []
    for _ in range(TICKS):
        ge, gi = ge + matrix["E"] @ s[:ne], gi + matrix["I"] @ s[ne:]
        total = 1 + ge + gi
        end = (-60 - 80 * gi) / total
        moved = end + (v - end) * np.exp(-DT * total / 20)
        v = np.where(left > 0, v, moved)
        s = ((v > -50) & (left <= 0)).astype(float)
        left = np.where(s > 0, round(5 / DT), np.maximum(left - 1, 0))
        v = np.where(s > 0, -60.0, v)
        ge, gi = ge * np.exp(-DT / 5), gi * np.exp(-DT / 10)
        spikes.append(s)
    return np.array(spikes)


def test_spikes_are_those_of_the_equations_compiled_or_not():
    net, carry = network()
    want = by_hand(net)
    assert want.sum() > 50
    assert want[:, SIZES["E"] :].any()
    ways = [native.pure()] if not native.available("events") else [native.pure(), None]
    for way in ways:
        if way is None:
            _, have = run(net, carry, n=TICKS)
        else:
            with way:
                _, have = run(net, carry, n=TICKS)
        np.testing.assert_array_equal(np.concatenate([have["E"], have["I"]], 1), want)


def test_the_rate_has_a_gradient_in_one_shared_weight():
    net, carry = network()
    weight = lambda net: net.edges["E>I"].parts["0"].weight
    rate = lambda w: run(eqx.tree_at(weight, net, w), carry, n=150)[1]["I"].mean()
    slope = jax.jit(jax.grad(rate))(weight(net))
    assert np.isfinite(slope)
    assert slope > 0  # more excitation, more spikes
