"""STDP by its events is the full update: for any number of spikes, in place, and when differentiated."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import native
from neuropil.cells import LIF
from neuropil.core import Chain, Managed, run, start
from neuropil.plasticity import HardBounds, NoBounds, PairSTDP, SoftBounds
from neuropil.wiring import Dense
from tests.plasticity.ends import Ends

PRE, POST, T = 37, 21, 40
READS = {"pre": "input.pre", "post": "input.post"}


def trains(share):
    """Spikes of both ends, from none to all of the cells at a tick."""
    a, b = jr.split(jr.key(0))
    draw = lambda key, n: (jr.uniform(key, (T, n)) < share[:, None]).astype(float)
    return {"pre": draw(a, PRE), "post": draw(b, POST)}


def learned(rule, xs, w):
    system = Managed(Ends(w), rule, "weight", READS)
    state = run(system, start(system, 0.5, jr.key(0)), xs, record=None)[0].state
    return state.theta, state.slow


@pytest.mark.parametrize(
    ("bounds", "pairs", "together"),
    [
        (HardBounds(-0.1, 0.8), "all", False),
        (HardBounds(), "nearest", True),
        (NoBounds(), "all", True),
        (SoftBounds(), "nearest", False),
    ],
)
def test_events_are_the_full_update_for_any_number_of_spikes(bounds, pairs, together, x64):
    bounds = jax.tree.map(lambda a: jnp.asarray(a, float), bounds)
    share = jnp.linspace(0.0, 1.0, T).at[20].set(0.0)  # silence, single spikes, all at once
    xs = trains(share)
    assert float(xs["pre"][-1].min()) == float(xs["post"][-1].min()) == 1.0, (
        "a tick in which all fire"
    )
    w = jnp.asarray(np.random.default_rng(0).uniform(0.0, 0.8, (POST, PRE)))
    make = lambda events: PairSTDP(
        PRE, POST, 0.03, 0.02, 17.0, 29.0, bounds, events, pairs=pairs, together=together
    )
    wanted = learned(make(None), xs, w)
    found = learned(make(True), xs, w)
    for p, q in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(p, q, atol=1e-13, rtol=1e-13)
    assert float(jnp.abs(found[0] - w).max()) > 1e-2


def test_a_nearest_pair_and_one_of_the_same_tick(x64):
    """Two pre spikes 4 ms apart, then a post spike with the second: A+ once, for the distance 0."""
    pre = jnp.zeros((3, 1)).at[jnp.array([0, 2])].set(1.0)
    post = jnp.zeros((3, 1)).at[2].set(1.0)
    change = {}
    for pairs in ("all", "nearest"):
        for together in (False, True):
            rule = PairSTDP(1, 1, 0.1, 0.0, bounds=NoBounds(), pairs=pairs, together=together)
            system = Managed(Ends(jnp.zeros((1, 1))), rule, "weight", READS)
            carry, _ = run(system, start(system, 2.0, jr.key(0)), {"pre": pre, "post": post})
            change[pairs, together] = float(carry.state.theta[0, 0])
    before = 0.1 * np.exp(-4 / 20)
    wanted = {("all", False): before, ("all", True): before + 0.1}
    wanted |= {("nearest", False): before, ("nearest", True): 0.1}
    assert change == pytest.approx(wanted)


def plastic(events):
    weight = np.random.default_rng(1).uniform(0.0, 0.06, (POST, PRE))
    wire = Dense(jnp.asarray(weight), events=bool(events))
    net = Chain(wire=wire, cell=LIF(POST, tau=10.0, drive="jump"))
    rule = PairSTDP(PRE, POST, 0.02, 0.01, events=events)
    return Managed(net, rule, "parts.wire.weight", {"pre": "input", "post": "output"})


def test_a_network_learns_the_same_and_its_weight_stays_in_place():
    xs = trains(jnp.full(T, 0.3))["pre"]
    spikes, weights = [], []
    for events in (None, True):
        system = plastic(events)
        loop = jax.jit(lambda c, xs, system=system: run(system, c, xs), donate_argnums=0)
        program = loop.lower(start(system, 1.0, jr.key(0)), xs).compile()
        carry, ys = program(start(system, 1.0, jr.key(0)), xs)
        spikes.append(np.asarray(ys))
        weights.append(np.asarray(carry.state.theta))
    assert 0 < spikes[0].mean() < 1
    np.testing.assert_array_equal(*spikes)
    np.testing.assert_allclose(*weights, atol=1e-6)
    if native.available("stdp"):
        text = program.as_text()
        bodies = [
            text[text.index(f"{name} (") :].split("\n}")[0]
            for name in re.findall(r"body=(%[\w.]+)", text)
        ]
        assert any(f"f32[{POST},{PRE}]" in b for b in bodies)
        copies = [c for b in bodies for c in re.findall(rf"f32\[{POST},{PRE}\]\S* copy\(.*", b)]
        assert not copies, "the weight is copied at every tick"


def test_gradients_and_vmap_are_those_of_the_full_update(x64):
    xs = trains(jnp.full(T, 0.3))["pre"]

    def end(rate, events):
        system = eqx.tree_at(lambda s: s.slow.a_plus, plastic(events), rate)
        carry, _ = run(system, start(system, 1.0, jr.key(0)), xs)
        return (carry.state.theta**2).sum()

    both = [
        jax.jit(
            lambda a, e=e: (
                jax.grad(end)(a, e),
                jax.vmap(lambda a: end(a, e))(jnp.stack([a, 2 * a])),
            )
        )
        for e in (None, True)
    ]
    wanted, found = (f(jnp.asarray(0.02)) for f in both)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-9)
