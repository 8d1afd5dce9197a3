"""The trained half: an E/I network of GIF cells that remembers a direction over a delay."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool, Float

from neuropil.cells import LIF, AdaptationCurrent, SubtractReset, Surrogate
from neuropil.core import Batched, Chain, Network, System, To, advance, run, start
from neuropil.learn import Trainer
from neuropil.synapses import Exponential
from neuropil.wiring import Dense, Signed
from neuropil.worlds.matching import DelayedMatch

CELLS, EXCITATORY, ANSWERS = 100, 80, 2


class Damped(Surrogate):
    r"""Triangle of height 0.3, $g(u) = 0.3 \max(0, 1 - |u|)$: gradients through many spikes stay bounded.

    Source: Bellec et al. (2018), NeurIPS.
    """

    def shape(self, u):
        return 0.3 * jnp.maximum(0.0, 1 - jnp.abs(u))


class OutOf(eqx.Module):
    """The output of the network's one node."""

    def __call__(self, y: dict[str, Array]) -> Array:
        return y["R"]


def model(key: Array, units: int, slow: Array, tau: Array) -> Chain:
    """24 inputs -> 100 recurrent cells (80 E, 20 I) -> 2 leaky outputs: 12,802 numbers to learn.

    `slow` scales the slow negative current that a spike leaves behind, of time constant `tau` (ms) in every
    cell: 1, or 0 for cells without it.
    """
    a, b, c = jr.split(key, 3)
    kinds = np.where(np.arange(CELLS) < EXCITATORY, 1.0, -1.0)
    # excitatory cells are four times as many, and each a quarter as strong: balanced
    size = (
        jnp.sqrt(0.4 / CELLS) * jr.normal(b, (CELLS, CELLS)) * np.where(kinds > 0, 0.25, 1.0)[None]
    )
    fast = AdaptationCurrent(10.0, jump=(kinds < 0).astype(float), replace=True, detach=True)
    cell = LIF(
        CELLS,
        20.0,
        reset=SubtractReset(),
        surrogate=Damped(),
        currents=(fast, AdaptationCurrent(tau, jump=-0.6 * slow)),
    )
    wires = Signed.dale(Dense(size, jnp.zeros(CELLS)), kinds, loops=False)
    return Chain(
        inputs=Dense.init_normal(units, CELLS, a, gain=0.4**0.5, bias=True),
        into=To("R"),
        # the leaky sum of everything that arrives; it is not scaled by dt / tau (see DIFFERS)
        net=Network({"R": Chain(sum=Exponential(CELLS, 100.0), cell=cell)}, {"R>R": wires}),
        out_of=OutOf(),
        outputs=Dense.init_normal(CELLS, ANSWERS, c, gain=0.4**0.5, bias=True),
        leak=Exponential(ANSWERS, 10.0),
    )


def too_far(v: Array) -> Array:
    """Squared mean of what the potentials go beyond 1.4 and below -1, in mV^2."""
    u = v - 1
    return (jax.nn.relu(u - 0.4) ** 2 + jax.nn.relu(-(u + 2)) ** 2).mean() ** 2


def answer(net: Chain, spikes: Float[Array, "time trial unit"], task: DelayedMatch, key: Array):
    """(mean output during the test, outputs during the test, penalty of the potentials, rate in Hz)."""
    system = Batched(net, spikes.shape[1])
    record = {"y": "output", "v": "net.nodes.R.cell.v", "s": "net.outputs.R"}
    _, kept = run(system, start(system, task.dt, key), spikes, record=record)
    late = kept["y"][-task.test :]
    return late.mean(0), late, too_far(kept["v"]), kept["s"].mean() * 1000 / task.dt


class Memory(System):
    """A tick is `updates` steps of training on fresh trials, then a test on other fresh trials.

    Output of a tick: loss (mean over updates), accuracy on the test trials, that of the best observer on the
    same trials, and the rate (Hz). `slow`, `recurrent`: whether the cells have their slow current, and whether
    all weights learn or the readout alone; arrays, so that all arms are one program.
    """

    task: DelayedMatch
    slow: Bool[Array, ""]
    recurrent: Bool[Array, ""]
    updates: int = eqx.field(static=True, default=50)
    batch: int = eqx.field(static=True, default=32)
    tested: int = eqx.field(static=True, default=256)
    rate: float = eqx.field(static=True, default=1e-3)

    def trainer(self, net: Chain) -> Trainer:
        """The trainer of a network."""

        def loss(net, batch, key):
            a, b = jr.split(key)
            trials = self.task.draw(a, self.batch)
            _, late, far, hz = answer(self._freed(net), trials.spikes, self.task, b)
            target = jnp.broadcast_to(trials.match, late.shape[:2])
            cross = optax.softmax_cross_entropy_with_integer_labels(late, target)
            return cross.mean() + far, {"rate": hz}

        return Trainer(net, loss, optax.adam(self.rate))

    def _freed(self, net: Chain) -> Chain:
        """The network, through which gradients reach all weights or the readout alone."""
        stop = lambda a: jnp.where(self.recurrent, a, jax.lax.stop_gradient(a))
        frozen = lambda part: jax.tree.map(
            lambda a: stop(a) if eqx.is_inexact_array(a) else a, part
        )
        for name in ("inputs", "net"):
            net = eqx.tree_at(lambda n, k=name: n.parts[k], net, frozen(net.parts[name]))
        return net

    def init(self, dt, key):
        a, b = jr.split(key)
        tau = jr.uniform(a, (CELLS,), minval=100.0, maxval=3000.0)
        net = model(b, self.task.units, self.slow.astype(float), tau)
        return {"tau": tau, "carry": start(self.trainer(net), 1.0, b)}

    def step(self, state, x, tick):
        # weights are in the carry: of this network only what does not learn is used
        like = model(jr.key(0), self.task.units, self.slow.astype(float), state["tau"])
        trainer = self.trainer(like)

        def update(carry, _):
            carry, out = advance(trainer, carry, None)
            return carry, out["loss"]

        carry, loss = jax.lax.scan(update, state["carry"], None, length=self.updates)
        a, b = jr.split(tick.key)
        trials = self.task.draw(a, self.tested)
        logits, _, _, hz = answer(trainer.model(carry), trials.spikes, self.task, b)
        ideal = (self.task.observer(trials.spikes) > 0) == (trials.match > 0)
        return {**state, "carry": carry}, {
            "loss": loss.mean(),
            "accuracy": (logits.argmax(-1) == trials.match).mean(),
            "observer": ideal.mean(),
            "hz": hz,
        }
