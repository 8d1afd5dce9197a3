"""The tempotron: a cell learns to spike for some patterns of spikes and to stay silent for others."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from neuropil.core import System, param


def tempotron_peak(tau_m: ArrayLike, tau_s: ArrayLike) -> tuple[Array, Array]:
    r"""When the kernel $e^{-t/\tau_m} - e^{-t/\tau_s}$ is largest (ms), and its value there.

    >>> t, top = tempotron_peak(20.0, 5.0)
    >>> round(float(t), 3), round(1 / float(top), 3)
    (9.242, 2.117)
    """
    t = tau_m * tau_s / (tau_m - tau_s) * jnp.log(tau_m / tau_s)
    return t, jnp.exp(-t / tau_m) - jnp.exp(-t / tau_s)


def tempotron_potential(spikes: Array, tau_m: ArrayLike, tau_s: ArrayLike, dt: ArrayLike) -> Array:
    r"""Postsynaptic potentials of trains: $\sum_k K(t - t_k)$, $K(t) = V_0 (e^{-t/\tau_m} - e^{-t/\tau_s})$.

    V_0 makes the peak of K one. Exact at the bins' times; K(0) = 0, so a spike shows one bin later.
    Since it is linear, it may be taken before the weights (of each input) or after them (of a weighted sum).

    **Arguments**: `spikes` (time, *unit), any amounts; `tau_m` > `tau_s` (ms), numbers or one a unit.
    Returns an array of the shape of `spikes`.

    >>> psp = tempotron_potential(jnp.zeros(30).at[0].set(1.0), 20.0, 5.0, 1.0)
    >>> int(psp.argmax()), float(psp[0]), round(float(psp.max()), 2)
    (9, 0.0, 1.0)
    """
    _, top = tempotron_peak(tau_m, tau_s)
    slow, fast = jnp.exp(-dt / tau_m), jnp.exp(-dt / tau_s)

    def bin_(traces, x):
        a, b = slow * traces[0] + x, fast * traces[1] + x
        return (a, b), (a - b) / top

    zero = jnp.zeros(spikes.shape[1:], jnp.result_type(float))
    return lax.scan(bin_, (zero, zero), spikes)[1]


class Tempotron(System):
    r"""After a wrong answer, weights follow what each input gave to the potential at its peak.

    $$\Delta w_{oi} = \pm \lambda \sum_{t_i^k < t_{max}} K(t_{max} - t_i^k)$$

    with + where cell o should have spiked but its potential stayed below `threshold`, - where it spiked and
    should not have. It is gradient descent on $\pm(\vartheta - V(t_{max}))$ over the trials that went wrong.

    The slow system of a `Managed` on a weight (post, pre), for a fast system whose tick is a whole trial and
    whose output is the potential (time, post) without spikes, V = psp W^T. It reads "psp", the inputs'
    postsynaptic potentials (time, pre) (`tempotron_potential`), and "target" (post,), 1 where the cell
    should spike. With a batch axis in front of both (and of the output) the mean change is taken.

    >>> from neuropil.core import Chain, Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> cell = Chain(psp=lambda x: x["psp"], wire=Dense(jnp.zeros((1, 2))))
    >>> reads = {"psp": "input.psp", "target": "input.target"}
    >>> learner = Managed(cell, Tempotron(2, 1, rate=0.5), "parts.wire.weight", reads)
    >>> trial = {"psp": jnp.ones((1, 4, 2)), "target": jnp.ones((1, 1))}     # one trial of 4 bins
    >>> carry, _ = run(learner, start(learner, 4.0, jax.random.key(0)), trial)
    >>> carry.state.theta.tolist()
    [[0.5, 0.5]]

    **Arguments**: `pre`, `post`, numbers of cells; `rate` lambda, `threshold`, `momentum` (what the last
    change adds again, times momentum).

    Source: Gütig, Sompolinsky (2006), Nat. Neurosci. 9, 420.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    rate: Array = param(1e-3, bounds=(0, None))
    threshold: Array = param(1.0)
    momentum: Array = param(0.0, bounds=(0, 1))

    needs = ("psp", "target")

    def init(self, dt, key):
        return jnp.zeros((self.post, self.pre), self.rate.dtype)

    def change(self, potential: Array, psp: Array, target: Array) -> Array:
        """Change of the weight (post, pre) by one trial, without rate: `psp` at the peak where wrong."""
        at = potential.argmax(0)
        spiked = (potential.max(0) > self.threshold).astype(psp.dtype)
        return (target.astype(psp.dtype) - spiked)[:, None] * psp[at]

    def step(self, state, event, tick):
        change = self.change
        if event.y.ndim > 2:
            each = jax.vmap(self.change)
            change = lambda *arrays: each(*arrays).mean(0)
        moved = self.rate * change(event.y, event.reads["psp"], event.reads["target"])
        moved = moved + self.momentum * state
        return moved, event.theta + moved
