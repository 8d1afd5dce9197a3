"""Two layers of cells whose internal constants may learn, and the tempotron of such cells.

Constants are held in free coordinates, the logarithm of those that are positive.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.cells import LIF, MetaNeuron, ValueReset
from neuropil.core import Batched, Chain, Drive, Euler, Managed, Tick, run, start
from neuropil.plasticity import HardBounds, PairSTDP, tempotron_potential
from neuropil.wiring import Dense

POSITIVE = ("tau", "threshold", "leak")
NORMAL = {
    "lif": {"tau": 20.0, "threshold": 1.0},
    "meta": {"coupling": -0.172, "leak": 0.529, "v_reset": 0.021, "kick": 0.132, "threshold": 0.5},
}
RESISTANCE = 20.0  # of the LIF cell: at tau = 20 ms a unit of charge moves it by about 1
TOP = {
    "lif": 0.08,
    "meta": 0.3,
}  # largest weight under STDP: mean drive then lies about the threshold
A_PLUS, A_MINUS, TAU_STDP = 0.01, 0.012, 20.0


def constants(kind: str, cells: int, spread: Array, key: Array, given: Any = None) -> dict:
    """Constants of cells in free coordinates: the normal ones (or those `given`), each times
    e^{spread N(0, 1)}."""
    normal = {name: jnp.asarray(v) for name, v in NORMAL[kind].items()} | (given or {})
    out = {}
    for n, name in enumerate(sorted(normal)):
        noise = spread * jr.normal(jr.fold_in(key, n), (cells,))
        if name in POSITIVE:
            out[name] = jnp.log(normal[name]) + noise
        else:
            out[name] = normal[name] * jnp.exp(noise)
    return out


def bounded(free: dict) -> dict:
    """The constants themselves."""
    return {n: jnp.exp(v) if n in POSITIVE else v for n, v in free.items()}


def cell(kind: str, free: dict) -> Any:
    """A population of cells with these constants."""
    c = bounded(free)
    n = c["threshold"].shape[0]
    if kind == "lif":
        return LIF(n, c["tau"], c["threshold"], resistance=RESISTANCE, reset=ValueReset())
    reset = ValueReset(c.pop("v_reset"))
    return MetaNeuron(n, **c, reset=reset, method=Euler())


def network(kind: str, theta: dict) -> Chain:
    """inputs -> hidden cells -> output cells."""
    return Chain(
        w1=Dense(theta["w1"]),
        hidden=cell(kind, theta["hidden"]),
        w2=Dense(theta["w2"]),
        out=cell(kind, theta["out"]),
    )


def begin(kind: str, sizes: tuple[int, int, int], spread: Array, key: Array, given: Any) -> dict:
    """Parameters before training; the weights are the same for both kinds of cell."""
    inputs, hidden, out = sizes
    a, b, c, d = jr.split(key, 4)
    return {
        "w1": jr.normal(a, (hidden, inputs)) / jnp.sqrt(inputs),
        "w2": jr.normal(b, (out, hidden)) / jnp.sqrt(hidden),
        "hidden": constants(kind, hidden, spread, c, given),
        "out": constants(kind, out, spread, d, given),
    }


def ticks(n: int) -> Tick:
    """n ticks of 1 ms; nothing here is random in time."""
    return Tick(jnp.arange(n, dtype=jnp.int32), jnp.float32(1.0), jr.split(jr.key(0), n))


def output_spikes(kind: str, theta: dict, x: Array) -> Array:
    """Spikes of the output cells, (sample, time, class)."""
    net = network(kind, theta)
    state = net.init(1.0, jr.key(0))
    return jax.vmap(lambda one: net.unroll(state, one.astype(jnp.float32), ticks(len(one)))[1])(x)


def peaks(kind: str, theta: dict, x: Array) -> Array:
    """Highest potential of output cells that are kept from spiking, minus their threshold, (sample, class).

    LIF: double-exponential postsynaptic potentials with tau_s = tau / 4, as in the tempotron; since they are
    linear they come after the weights. Meta neuron: its own equation without spike and reset.
    """
    c = bounded(theta["out"])
    currents = x.astype(jnp.float32) @ theta["w"].T  # (sample, time, class)
    if kind == "lif":
        potential = lambda current: tempotron_potential(current, c["tau"], c["tau"] / 4, 1.0)
    else:
        own = {name: c[name] for name in ("coupling", "leak", "kick")}
        bare = MetaNeuron(currents.shape[2], **own, threshold=1.0, method=Euler())

        def move(y, current):
            y = bare.method(bare.field, 0.0, y, Drive(current, None), 1.0)
            return y, y["v"]

        zero = jnp.zeros(currents.shape[2])
        potential = lambda current: lax.scan(move, {"v": zero, "u": zero}, current)[1]
    return jax.vmap(lambda current: potential(current).max(0) - c["threshold"])(currents)


def cross_entropy(kind: str, theta: dict, x: Array, y: Array, classes: Array) -> Array:
    """Of the output cells' spike counts, a tenth of a count being one nat of evidence."""
    return softmax_loss(output_spikes(kind, theta, x).sum(1) / 10, y, classes)


def softmax_loss(logits: Array, y: Array, classes: Array) -> Array:
    """Cross entropy over the first `classes` outputs."""
    logits = jnp.where(jnp.arange(logits.shape[1])[None] < classes, logits, -1e9)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def tempotron_cost(kind: str, theta: dict, x: Array, y: Array, classes: Array) -> Array:
    """Mean of |potential's peak - threshold| over the cells that were wrong: the tempotron's cost. The cell of
    the true class should spike, the others should not."""
    above = peaks(kind, theta, x)
    cells = jnp.arange(above.shape[1])[None]
    target = y[:, None] == cells
    wrong = ((above > 0) != target) & (cells < classes)
    return jnp.where(wrong, jnp.abs(above), 0.0).sum(1).mean()


def stdp_weights(kind: str, theta: dict, x: Array) -> Array:
    """Hidden weights after unsupervised pair STDP on samples (batch, time, input), shown side by side.

    They begin uniform in 0 .. top and stay there; the changes of the samples are averaged.
    """
    top = TOP[kind]
    w = top * jax.scipy.stats.norm.cdf(theta["w1"] * jnp.sqrt(theta["w1"].shape[1]))
    batch, _, inputs = x.shape
    hidden = w.shape[0]
    layer = Batched(Chain(wire=Dense(w), cell=cell(kind, theta["hidden"])), batch)
    rule = PairSTDP(
        inputs, hidden, A_PLUS, A_MINUS, TAU_STDP, TAU_STDP, HardBounds(0.0, top), batch=batch
    )
    learner = Managed(layer, rule, "part.parts.wire.weight", {"pre": "input", "post": "output"})
    carry = start(learner, 1.0, jr.key(0))
    xs = jnp.moveaxis(x, 1, 0).astype(jnp.float32)
    carry, _ = run(learner, carry, xs, record=None)
    return carry.state.theta


class Rates(eqx.Module):
    """Step sizes of the parts of the parameters, 0 for what is fixed."""

    hidden: Array
    readout: Array
    constants: Array

    def of(self, theta: dict) -> dict:
        """A step size for every array."""
        kinds = {"w1": self.hidden, "w2": self.readout, "w": self.readout}
        return {
            name: jax.tree.map(lambda a, n=name: kinds.get(n, self.constants), value)
            for name, value in theta.items()
        }
