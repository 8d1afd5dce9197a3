"""Adaptation plus interaction: two plants in feedback, through a wiring that learns from its traffic.

Plant 1 is to follow a reference r; plant 2 is a bank of low-pass filters that hears r and plant 1. Fixed
wires bring the error k (r - y1) to plant 1, plastic wires w bring it plant 2. An outer system owns the wiring
and changes the plastic wires by what flowed: presynaptic activity times the current that the fixed wires
brought to the same place (feedback-error learning: Kawato, Furukawa, Suzuki (1987), Biol. Cybern. 57, 169).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.core import Managed, System, run, start
from neuropil.learn.wiring_diagram import Diagram, LinearSystem, Wired, beside

GAIN, BACK, BINS = 0.3, 0.2, 80
POLES = (0.0, 0.7, 0.92)


class Hebbian(System):
    """Owner of the wiring: plastic wires grow with pre x (current brought by the fixed wires).

    `until`: no more learning from that tick on; `shuffled`: the product gets a random sign.
    """

    rate: float = eqx.field(static=True)
    until: int = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        y, u = event.reads["y"], event.reads["u"]
        plastic = jnp.zeros_like(event.theta).at[0, 1:].set(1.0)
        taught = u - (event.theta * plastic) @ y
        sign = jr.rademacher(tick.key, (), dtype=y.dtype) if self.shuffled else 1.0
        rate = jnp.where(tick.i < self.until, self.rate, 0.0)
        return state, event.theta + rate * sign * plastic * jnp.outer(taught, y)


class Drift(System):
    """Owner of the plants: at one tick plant 1 becomes `factor` times as strong."""

    at: int = eqx.field(static=True)
    factor: Array

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        changed = event.theta.at[0, 0].multiply(self.factor)
        return state, jnp.where(tick.i == self.at, changed, event.theta)


def plants():
    """Plant 1 (one leaky integrator) beside plant 2 (a filter bank), and who hears whom at first."""
    poles = jnp.asarray(POLES)
    n = poles.size
    one = LinearSystem(jnp.array([[0.8]]), jnp.array([[0.2]]), jnp.eye(1))
    bank = LinearSystem(jnp.diag(poles), jnp.diag(1 - poles), jnp.eye(n))
    inner = jnp.zeros((n + 1, n + 1)).at[0, 0].set(-GAIN).at[1:, 0].set(BACK)
    inward = jnp.ones((n + 1, 1)).at[0, 0].set(GAIN)
    return Wired(beside(one, bank), Diagram(inner, inward, jnp.eye(1, n + 1)))


class Tracking(System):
    """One tick: a whole run with a drift half way; out comes the tracking error over time."""

    length: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    learns: str = eqx.field(static=True)  # "always", "until the drift", "shuffled"

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        a, b, c, d = jr.split(tick.key, 4)
        t, half = jnp.arange(self.length), self.length // 2
        period = jr.uniform(a, (2, 1), minval=30.0, maxval=120.0)
        waves = jnp.sin(2 * jnp.pi * (t[None] / period + jr.uniform(b, (2, 1))))
        r = waves.sum(0)
        until = half if self.learns == "until the drift" else self.length
        rule = Hebbian(self.rate, until, self.learns == "shuffled")
        inner = Managed(plants(), rule, "diagram.inner", {"y": "output.y", "u": "output.u"})
        world = Drift(half, jr.uniform(c, minval=0.3, maxval=0.6))
        system = Managed(inner, world, "fast.boxes.B")
        _, y = run(system, start(system, 1.0, d), r[:, None], record="output.shown")
        error = (y[:, 0] - r) ** 2 / (r**2).mean()
        quarter = self.length // 4
        binned = error.reshape(BINS, -1).mean(1)
        after, before = error[-quarter:].mean(), error[half - quarter : half].mean()
        return state, {"tracking": after, "tracking-before": before, "errors": binned}
