"""The spiking reservoir of what-when-reservoir, its trials, and what it is asked to foretell."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Float, Int

from neuropil.cells import Izhikevich
from neuropil.core import Batched, Chain, Feedback, System, Trial, run, start
from neuropil.synapses import DoubleExponential
from neuropil.wiring import Dense

# pF, nS/mV, mV, mV, nS of the usual spiking FORCE reservoir (ModelDB 190565)
CAPACITY, STEEP, REST, COUPLING = 250.0, 2.5, -60.0, -2.0
TOP = REST + 40 - COUPLING / STEEP  # where the quadratic turns up, mV
RISE, DECAY = 2.0, 20.0  # of the synapses, ms
DT, BIN = 0.5, 5.0  # ms
CUE_AT, CUE_FOR, LENGTH, WINDOW = (
    50.0,
    50.0,
    600.0,
    550.0,
)  # ms; the window of attention ends at the last
PULSE = 20.0  # sd of an outcome's pulse, ms
CUES, OUTCOMES = 2, 2
LATENCIES = jnp.array([[200.0, 350.0], [350.0, 200.0]])  # of outcome k after cue c, ms
CHANCES = jnp.array([[0.8, 0.2], [0.5, 0.5]])
CHANGED = jnp.array([[0.3, 0.7], [0.7, 0.3]])  # after a change of probability


def izhikevich(n: int, key: Array) -> Izhikevich:
    r"""Heterogeneous cells $C \dot v = k (v - v_r)(v - v_t) - u + I$, $\dot u = a (b (v - v_r) - u)$; v and u
    are in mV, everything else over C, as `Izhikevich` takes it."""
    a, b = jr.split(key)
    slope = STEEP / CAPACITY
    return Izhikevich(
        n,
        a=jr.uniform(a, (n,), minval=0.005, maxval=0.03),
        b=COUPLING / CAPACITY,
        c=-65.0,
        d=jr.uniform(b, (n,), minval=50.0, maxval=250.0) / CAPACITY,
        square=slope,
        linear=-slope * (REST + TOP),
        constant=slope * REST * TOP,
        v_u=REST,
        v_start=REST,
        u_start=0.0,
    )


def wires(n: int, gain: float, key: Array, p: float = 0.1) -> Array:
    """Sparse normal weights G N(0, 1) / (p sqrt n), every row's mean removed over its synapses (pA ms)."""
    a, b = jr.split(key)
    there = jr.uniform(a, (n, n)) < p
    w = gain / (p * n**0.5) * jr.normal(b, (n, n)) * there
    return (w - there * (w.sum(1) / jnp.maximum(there.sum(1), 1))[:, None]).astype(float)


class Reservoir(eqx.Module):
    """Cells, recurrent weights (pA ms), biases and the currents of every cue (pA)."""

    cells: Izhikevich
    weight: Float[Array, "post pre"]
    bias: Float[Array, " cell"]
    cues: Float[Array, "cue cell"]

    @staticmethod
    def draw(n: int, gain: float, key: Array) -> Reservoir:
        """Biases 1000 +- 50 pA, at rheobase; each cue reaches its own 30 % of the cells with 500 to 2000 pA."""
        a, b, c, d, e = jr.split(key, 5)
        heard = jr.uniform(d, (CUES, n)) < 0.3
        return Reservoir(
            izhikevich(n, a),
            wires(n, gain, b),
            1000 + 50 * jr.normal(c, (n,)),
            heard * jr.uniform(e, (CUES, n), minval=500.0, maxval=2000.0),
        )

    def system(self) -> System:
        """Spikes back through synapses and weights, one tick late; out come filtered rates (spikes a ms)."""
        n = len(self.bias)
        synapse = lambda: DoubleExponential(n, RISE, DECAY, unit_area=True)
        back = Chain(synapse=synapse(), wire=Dense(self.weight / CAPACITY))
        loop = Feedback(self.cells, back, merge="add")
        return Chain(loop=loop, rates=synapse())

    def trials(self, cue: Int[Array, " trial"], noise: float, key: Array) -> Array:
        """Filtered rates (trial, bin, cell) of trials that begin at rest, plus `noise` (mV) in each."""
        bins, ticks = round(LENGTH / BIN), round(BIN / DT)
        system = Batched(Trial(self.system(), ticks, keep=("",), output="last"), len(cue))
        carry = start(system, BIN, key)
        at = lambda c: c.state["now"]["loop"]["forward"]["v"]
        moved = at(carry) + noise * jr.normal(key, at(carry).shape)
        carry = eqx.tree_at(at, carry, moved)
        t = DT * jnp.arange(bins * ticks).reshape(bins, ticks)
        on = (t >= CUE_AT) & (t < CUE_AT + CUE_FOR)
        current = self.cues[cue]

        def bin_(carry, on):
            drive = self.bias[None, None] + on[None, :, None] * current[:, None]
            carry, r = run(system, carry, drive[None] / CAPACITY)
            return carry, r[0]

        return lax.scan(bin_, carry, on)[1].swapaxes(0, 1)


class Session(NamedTuple):
    """Trials in order: what is shown and what happens.

    `target` (trial, bin, 3): pulses of both outcomes and of any outcome; `truth`: the same, weighted by
    probability instead of drawn; `times`, `chances` (trial, cue, outcome): what is true at that trial.
    """

    cue: Int[Array, " trial"]
    target: Float[Array, "trial bin 3"]
    truth: Float[Array, "trial bin 3"]
    times: Float[Array, "trial cue outcome"]
    chances: Float[Array, "trial cue outcome"]


def pulses(at: Array) -> Array:
    """Pulse of height 1 at the given times after the cue (ms): (..., bin)."""
    t = BIN * (jnp.arange(round(LENGTH / BIN)) + 1)
    return jnp.exp(-0.5 * ((t.reshape(*[1] * at.ndim, -1) - CUE_AT - at[..., None]) / PULSE) ** 2)


def session(trials: int, change: Array, shuffled: Array, key: Array) -> Session:
    """`trials` trials, and as many after a change: of latencies (swapped) at `change` 0, of probabilities at 1.

    `shuffled`: outcomes come at random times, so that there is no time to learn.
    """
    a, b, c = jr.split(key, 3)
    n = 2 * trials
    late = (jnp.arange(n) >= trials)[:, None, None]
    times = jnp.where(late & (change == 0), LATENCIES[:, ::-1][None], LATENCIES[None])
    chances = jnp.where(late & (change == 1), CHANGED[None], CHANCES[None])
    cue = jr.bernoulli(a, 0.5, (n,)).astype(jnp.int32)
    mine = lambda x: x[jnp.arange(n), cue]  # (trial, outcome)
    outcome = (jr.uniform(b, (n,)) >= mine(chances)[:, 0]).astype(jnp.int32)
    happens = jax.nn.one_hot(outcome, OUTCOMES)
    when = jnp.where(
        shuffled, jr.uniform(c, (n, OUTCOMES), minval=100.0, maxval=450.0), mine(times)
    )
    shapes = pulses(when)  # (trial, outcome, bin)
    both = lambda weight: jnp.swapaxes(weight[:, :, None] * shapes, 1, 2)
    joined = lambda w: jnp.concatenate([both(w), both(w).sum(2, keepdims=True)], 2)
    return Session(cue, joined(happens), joined(mine(chances)), times, chances)
