"""Every rule there is: at two lengths of the tick, managed by a second-level system, bounded, signs kept.

A new rule needs a line here. `vmap`, resume to the bit, two precisions and nonsense values are checked of each
by the contract suite.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import plasticity
from neuropil.core import Chain, Managed, System, run, start
from neuropil.plasticity import (
    BCM,
    HardBounds,
    Hebb,
    Homeostat,
    InhibitoryBalance,
    InTurn,
    Normalise,
    Oja,
    OjaSubspace,
    OrderedSTDP,
    PairSTDP,
    RecursiveLeastSquares,
    Rewire,
    SoftBounds,
    Tempotron,
    ThreeFactor,
    Triplet,
)
from neuropil.wiring import Dense
from tests.plasticity.ends import Ends

PRE, POST, TICKS = 3, 2, 12
ENDS = ("pre", "post")
LOW, HIGH = (
    jnp.array([[0.0, -1.0, 0.0]]),
    jnp.array([[1.0, 0.0, 0.5]]),
)  # Dale: a sign a presynaptic cell
MIXED = jnp.array([[0.4, -0.3, 0.2], [0.6, -0.7, 0.3]])
NOT = {System, plasticity.Rule, plasticity.Surprise}  # of which no weight is owned


@dataclasses.dataclass(frozen=True)
class Case:
    """A rule, what it reads, which of its parameters a second-level system owns.

    `same`: what it does to spikes does not depend on how finely time is cut between them; `limits`: where its
    weights stay; `signs`: whether they keep theirs. Rules without either have none by their definition.
    """

    rule: System
    owns: str
    reads: tuple[str, ...] = ENDS
    same: bool = True
    limits: tuple | None = None
    signs: bool = False
    weight: Any = None
    net: Callable = Ends
    path: str = "weight"


def cases() -> dict[str, Case]:
    hard, soft = HardBounds(LOW, HIGH), SoftBounds(LOW, HIGH)
    row = dict(limits=(LOW, HIGH), signs=True)
    size = dict(weight=abs(MIXED), signs=True)  # of weights whose sign stands elsewhere
    pair = lambda **more: PairSTDP(PRE, POST, 0.3, 0.2, **more)
    trial = lambda w: Chain(pick=lambda x: x["psp"], wire=Dense(w))
    return {
        "hebb": Case(Hebb(PRE, POST, 0.3, tau_pre=5.0, bounds=hard), "rate", **row),
        "oja": Case(Oja(PRE, POST, 0.3, bounds=hard), "rate", **row),
        "bcm": Case(BCM(PRE, POST, 0.3, tau=20.0, bounds=hard), "rate", same=False, **row),
        "pair": Case(pair(bounds=hard), "a_minus", **row),
        "triplet, soft": Case(pair(bounds=soft, triplet=Triplet(0.3, 0.3)), "a_plus", **row),
        "by events": Case(pair(bounds=hard, events=3), "a_plus", **row),
        "ordered": Case(
            OrderedSTDP(PRE, POST, 0.3, 0.2), "a_plus", limits=(0 * LOW, 1.0), **size
        ),
        "three factors": Case(
            ThreeFactor(pair(bounds=hard), ("reward",), 20.0), "rate", (*ENDS, "reward"), **row
        ),
        "in turn": Case(
            InTurn(stdp=pair(bounds=soft), scale=Normalise(1.0)), "rules.scale.total", signs=True
        ),
        "normalise": Case(Normalise(1.0), "total", (), signs=True),
        "scaling": Case(
            Homeostat(POST, 0.9, 20.0, 0.05, form="scale", of="level"), "gain", ("activity",),
            same=False, signs=True,
        ),
        "homeostat": Case(
            Homeostat(POST, 0.9, 20.0, 0.2, of="level", low=LOW, high=HIGH), "gain", ("activity",),
            same=False, **row,
        ),
        "rewire": Case(
            Rewire(np.array([[1, 1, 0], [0, 1, 1]]), 0.5, 4.0), "newborn", (), same=False, **size
        ),
        "inhibitory balance": Case(
            InhibitoryBalance(np.ones((POST, PRE)), 0.9, 0.2), "rate", ("post",), same=False, **size
        ),
        "subspace": Case(OjaSubspace((POST, PRE), rate=0.1), "rate", ("pre",), same=False),
        "least squares": Case(RecursiveLeastSquares(PRE), "forget", ("pre", "target")),
        "tempotron": Case(
            Tempotron(PRE, POST, 0.5), "rate", ("psp", "target"), same=False, net=trial,
            path="parts.wire.weight",
        ),
    }  # fmt: skip


def first(name: str) -> np.ndarray:
    """The weight before the first tick."""
    weight = cases()[name].weight
    return np.asarray(MIXED if weight is None else weight)


class Push(System):
    """Second level: multiplies what it owns by what is read as "push", at every tick."""

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, x.theta * x.reads["push"]


def given(dt: float, push: float) -> dict:
    """The same spikes at the same times, cut into ticks of 1 or 0.5 ms; then silence."""
    rng, every = np.random.default_rng(0), round(1 / dt)

    def spread(a):
        out = np.zeros((TICKS, *a.shape[1:]), np.float32)
        out[: 6 * every : every] = a
        return jnp.asarray(out)

    spikes = lambda n: spread(rng.random((6, n)) < 0.6)
    x = {"pre": spikes(PRE), "post": spikes(POST), "target": spikes(POST)}
    x |= {"reward": spread(rng.normal(size=6)), "psp": abs(spread(rng.normal(size=(6, 4, PRE))))}
    return x | {"activity": x["post"], "push": jnp.full(TICKS, push)}


@functools.cache
def ran() -> dict[str, dict[str, jax.Array]]:
    """Weights of every rule after each tick: at 1 ms, at 0.5 ms, and with a parameter that is moved."""
    systems = {}
    for name, case in cases().items():
        slow = Managed(case.rule, Push(), case.owns, {"push": "input.reads.push"})
        reads = {r: f"input.{r}" for r in (*case.reads, "push")}
        systems[name] = Managed(case.net(jnp.asarray(first(name))), slow, case.path, reads)

    @jax.jit  # all rules in one program
    def go(carries, xs):
        kept = {"weight": "theta", "own": "slow.theta"}
        return {n: run(s, carries[n], xs, record=kept)[1] for n, s in systems.items()}

    results = {}
    for name, dt, push in (("coarse", 1.0, 1.0), ("fine", 0.5, 1.0), ("pushed", 1.0, 0.9)):
        carries = {n: start(s, dt, jr.key(0)) for n, s in systems.items()}
        for rule, out in go(carries, given(dt, push)).items():
            results.setdefault(rule, {})[name] = jax.tree.map(np.asarray, out)
    return results


def test_every_public_rule_is_here():
    named = {c for c in vars(plasticity).values() if inspect.isclass(c) and issubclass(c, System)}
    assert named - NOT == {type(case.rule) for case in cases().values()}


@pytest.mark.parametrize("name", cases())
def test_two_lengths_of_the_tick(name):
    out = ran()[name]
    for kind in ("coarse", "fine"):
        assert np.isfinite(out[kind]["weight"]).all()
        assert np.abs(out[kind]["weight"] - first(name)).max() > 1e-3, "nothing was learned"
    if cases()[name].same:
        ends = [out[kind]["weight"][-1] for kind in ("coarse", "fine")]
        np.testing.assert_allclose(*ends, atol=2e-6)


@pytest.mark.parametrize("name", cases())
def test_a_second_level_system_owns_a_parameter_of_the_rule(name):
    still, pushed = (ran()[name][kind] for kind in ("coarse", "pushed"))
    assert (still["own"] == still["own"][0]).all()
    ratio = pushed["own"] / still["own"]
    np.testing.assert_allclose(
        ratio.T, np.broadcast_to(0.9 ** np.arange(1, 13), ratio.T.shape), rtol=1e-5
    )
    assert np.abs(pushed["weight"] - still["weight"]).max() > 1e-3, "the rule does not use it"


@pytest.mark.parametrize("name", [n for n, case in cases().items() if case.signs or case.limits])
def test_weights_stay_in_bounds_and_keep_their_signs(name):
    case = cases()[name]
    for kind in ("coarse", "fine", "pushed"):
        w = ran()[name][kind]["weight"]
        if case.limits:
            low, high = map(np.asarray, case.limits)
            assert (w >= low - 1e-6).all()
            assert (w <= high + 1e-6).all()
        if case.signs:
            assert (w * np.sign(first(name)) >= 0).all()


def test_sparse_updates_obey_bounds_that_differ_between_synapses():
    """Rows and columns of the cells that spiked meet the bounds of their own synapses: the full update."""
    for kind in ("coarse", "fine"):
        sparse, full = (ran()[name][kind]["weight"] for name in ("by events", "pair"))
        np.testing.assert_allclose(sparse, full, atol=1e-6)


@pytest.mark.parametrize("name", cases())
def test_what_is_wrong_is_told_before_the_run(name):
    """A path that is not there, a second owner, an end that is not read."""
    case = cases()[name]
    net, reads = case.net(jnp.asarray(first(name))), {r: f"input.{r}" for r in case.reads}
    with pytest.raises(KeyError, match="nowhere"):
        Managed(net, case.rule, case.path.replace("weight", "nowhere"), reads)
    once = Managed(net, case.rule, case.path, reads)
    with pytest.raises(ValueError, match="owned already"):
        Managed(once, case.rule, f"fast.{case.path}", reads)
    if getattr(case.rule, "needs", ()):
        with pytest.raises(ValueError, match="must read"):
            Managed(net, case.rule, case.path)
