"""One small construction or more of every public System. A System without one fails the suite.

To add a part: write an `Example` here whose `of` names its class. `make(key)` builds it small; `xs()`
gives `TICKS` inputs, stacked over time (or None).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from neuropil import belief, blocks, cells, core, learn, plasticity, synapses, wiring
from neuropil.learn.projection import Projected

TICKS = 6
ABSTRACT = {core.System, wiring.Wiring}


@dataclass(frozen=True)
class Example:
    """`of`: the classes it stands for; `no_gradient`: why a gradient is not asked for, where it is not."""

    make: Callable[[Any], core.System]
    xs: Callable[[], Any]
    of: tuple[type, ...]
    dt: float = 1.0
    no_gradient: str = ""


def normal(*shape: int, scale: float = 1.0) -> Callable:
    """Normal inputs of a shape, at every tick (from NumPy: nothing is compiled for them)."""
    return lambda: in_precision(scale * np.random.default_rng(0).standard_normal((TICKS, *shape)))


def in_precision(x) -> np.ndarray:
    """In the floating-point type of the test."""
    return np.asarray(x, jnp.result_type(float))


def nothing() -> None:
    """No input."""


class Hebb(core.System):
    """A rule for the examples of Managed: growth with the product of both ends."""

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        return state + 1, x.theta + 0.01 * jnp.outer(x.y, x.reads["pre"])


class Decay(core.Flow):
    """Two coupled variables for the example of Integrated."""

    def init(self, key):
        return {"a": jnp.ones(2), "b": jnp.zeros(2)}

    def field(self, t, y, x):
        return {"a": -y["a"] / 5 + x, "b": (y["a"] - y["b"]) / 10}


def dense(pre: int, post: int, key, **more) -> wiring.Dense:
    """Dense wiring, large enough that cells spike."""
    return wiring.Dense.init_normal(pre, post, key, gain=2.0, **more)


def _lif_network(key):
    a, b = jr.split(key)
    nodes = {"E": cells.LIF(3, drive="jump"), "I": cells.LIF(2, drive="jump")}
    edges = {
        "E>I": core.Chain(wire=dense(3, 2, a), delay=synapses.Delay(3.0, 2)),
        "I>E": core.Chain(wire=dense(2, 3, b), syn=synapses.Exponential(3)),
    }
    return core.Network(nodes, edges)


def _trainer(key):
    loss = lambda model, batch, key: jnp.mean((jax.vmap(model.forward)(batch) - 1.0) ** 2)
    return learn.Trainer(dense(3, 2, key, bias=True), loss, optax.adam(0.1), patience=2)


def _managed(rule: Callable[[], core.System]):
    """A wire whose weight a rule owns; `rule()` builds it, in the precision of the test."""
    return lambda key: core.Managed(dense(3, 2, key), rule(), "weight", {"pre": "input"})


def _all_parts(key):
    """A LIF population with every part there is."""
    return cells.LIF(
        3,
        tau=jnp.array([2.0, 5.0, 9.0]),
        drive="jump",
        refractory=cells.Refractory(2.0),
        adaptation=cells.Adaptation(),
        noise=cells.Noise(0.5, block=4),
    )


def _affine(w, a):
    return jnp.tanh(w @ a)


def _learner(key):
    a, b = jr.split(key)
    layer = lambda k, m, n: learn.Descender(_affine, jr.normal(k, (m, n)), 0.1, "target")
    return layer(a, 4, 3) >> layer(b, 2, 4)


def _pairs():
    """Inputs (3,) and targets (2,) of a learner."""
    return normal(3)(), normal(2)()


def _wired(key):
    one = learn.LinearSystem(0.5 * jnp.eye(1), jnp.ones((1, 1)), jnp.ones((1, 1)))
    inner = 0.3 * jr.normal(key, (2, 2))
    return learn.Wired(
        learn.beside(one, one), learn.Diagram(inner, jnp.ones((2, 1)), jnp.ones((1, 2)))
    )


def spikes(n: int) -> Callable:
    """Spikes (0.0 or 1.0) of n cells, half of them at every tick."""
    return lambda: in_precision(np.random.default_rng(0).random((TICKS, n)) < 0.5)


def _stdp(**more):
    def make(key):
        net = core.Chain(wire=dense(3, 2, key), cell=cells.LIF(2, drive="jump"))
        rule = plasticity.PairSTDP(3, 2, a_plus=0.1, a_minus=0.1, **more)
        return core.Managed(net, rule, "parts.wire.weight", {"pre": "input", "post": "output"})

    return make


EXAMPLES: dict[str, Example] = {
    # cells
    "lif": Example(lambda k: cells.LIF(3, tau=5.0), normal(3, scale=3.0), (cells.LIF,)),
    "lif of all parts": Example(_all_parts, normal(3), (cells.LIF,)),
    "lif without input": Example(
        lambda k: cells.LIF(3, v_rest=2.0, reset=cells.ValueReset(0.5)), nothing, (cells.LIF,)
    ),
    "leaky": Example(lambda k: cells.LeakyIntegrator(3), normal(3), (cells.LeakyIntegrator,)),
    "rate": Example(lambda k: cells.Rate((2, 2), phi=jnp.tanh), normal(2, 2), (cells.Rate,)),
    "rnn": Example(lambda k: cells.SimpleRNN.init_uniform(2, 3, k), normal(2), (cells.SimpleRNN,)),
    "gru": Example(lambda k: cells.GRU.init_uniform(2, 3, k), normal(2), (cells.GRU,)),
    "lstm": Example(lambda k: cells.LSTM.init_uniform(2, 3, k), normal(2), (cells.LSTM,)),
    # synapses
    "delay": Example(lambda k: synapses.Delay(2.0, 3), normal(3), (synapses.Delay,)),
    "delays": Example(
        lambda k: synapses.Delay((0.0, 1.25, 2.0), 3, interpolate=True),
        normal(3),
        (synapses.Delay,),
    ),
    "exponential": Example(lambda k: synapses.Exponential(3), normal(3), (synapses.Exponential,)),
    "alpha": Example(lambda k: synapses.Alpha(3), normal(3), (synapses.Alpha,)),
    # wiring
    "dense": Example(lambda k: dense(3, 2, k, bias=True), normal(3), (wiring.Dense,)),
    "low rank": Example(
        lambda k: wiring.LowRank.init_normal(4, 3, 2, k), normal(4), (wiring.LowRank,)
    ),
    "sparse": Example(lambda k: wiring.Sparse.random(4, 5, 2, k), normal(4), (wiring.Sparse,)),
    "conv": Example(
        lambda k: wiring.Conv.init_uniform(2, 3, (3,), k), normal(2, 5), (wiring.Conv,)
    ),
    # combinators
    "chain": Example(
        lambda k: core.Chain(wire=dense(3, 2, k), cell=cells.LIF(2), double=lambda s: 2 * s),
        normal(3),
        (core.Chain, core.Lift),
    ),
    "parallel": Example(
        lambda k: core.Parallel({"a": dense(3, 2, k), "b": jnp.tanh}, join="concatenate"),
        normal(3),
        (core.Parallel,),
    ),
    "residual": Example(lambda k: core.Residual(cells.Rate(3)), normal(3), (core.Residual,)),
    "feedback": Example(
        lambda k: core.Feedback(cells.LIF(3, drive="jump"), dense(3, 3, k), merge="add"),
        normal(3),
        (core.Feedback,),
    ),
    "network": Example(_lif_network, lambda: {"E": normal(3)()}, (core.Network,)),
    "every": Example(lambda k: core.Every(cells.Rate(3), 2), normal(3), (core.Every,)),
    "trial": Example(
        lambda k: core.Trial(cells.Rate(3), 4, keep=("",), output="last"),
        normal(4, 3),
        (core.Trial,),
    ),
    "vmapped": Example(
        lambda k: core.Vmapped.build(lambda j: dense(3, 2, j), 2, k), normal(2, 3), (core.Vmapped,)
    ),
    "batched": Example(
        lambda k: core.Batched(core.Chain(wire=dense(3, 2, k), cell=cells.LIF(2)), 4),
        normal(4, 3),
        (core.Batched,),
    ),
    "integrated": Example(
        lambda k: core.Integrated(Decay(), core.RK4()), normal(2), (core.Integrated,)
    ),
    "managed": Example(_managed(Hebb), normal(3), (core.Managed,)),
    "managed, slowly": Example(_managed(lambda: core.Every(Hebb(), 2)), normal(3), (core.Managed,)),
    # blocks
    "attention": Example(
        lambda k: blocks.Attention.init_normal(4, key=k, heads=2, capacity=4),
        normal(4),
        (blocks.Attention,),
    ),
    "linear attention": Example(
        lambda k: blocks.LinearAttention.init_normal(4, key=k, heads=2),
        normal(4),
        (blocks.LinearAttention,),
    ),
    "diagonal ssm": Example(
        lambda k: blocks.DiagonalSSM.init_linear(4, 3, key=k), normal(4), (blocks.DiagonalSSM,)
    ),
    "s6": Example(lambda k: blocks.S6.init_normal(4, 3, key=k), normal(4), (blocks.S6,)),
    "ssd": Example(
        lambda k: blocks.SSD.init_normal(4, 3, key=k, heads=2), normal(4), (blocks.SSD,)
    ),
    "qlstm, gated": Example(
        lambda k: blocks.Gated.init_normal(4, 6, blocks.QLSTM.init_normal(6, key=k), key=k),
        normal(4),
        (blocks.QLSTM, blocks.Gated),
    ),
    "rg-lru": Example(lambda k: blocks.RGLRU.init_normal(4, key=k), normal(4), (blocks.RGLRU,)),
    "positions": Example(
        lambda k: blocks.Positions(blocks.sinusoids(TICKS, 4)), normal(4), (blocks.Positions,)
    ),
    "short convolution": Example(
        lambda k: blocks.ShortConvolution.init_uniform(4, 3, key=k),
        normal(4),
        (blocks.ShortConvolution,),
    ),
    # belief
    "kalman": Example(
        lambda k: belief.Kalman(
            A=[[0.9, 0.1], [0.0, 0.8]],
            C=[[1.0, 0.5]],
            Q=0.1 * jnp.eye(2),
            R=[[0.5]],
            mean=jnp.zeros(2),
            cov=jnp.eye(2),
        ),
        normal(1),
        (belief.Kalman,),
    ),
    "hmm": Example(
        lambda k: belief.HMM(
            [0.3, 0.7], [[0.9, 0.1], [0.2, 0.8]], belief.Normal([[0.0], [1.0]], [[1.0], [0.5]])
        ),
        normal(1),
        (belief.HMM,),
    ),
    # rules and learning
    "pair stdp": Example(_stdp(), spikes(3), (plasticity.PairSTDP,)),
    "pair stdp, sparse": Example(_stdp(events=2), spikes(3), (plasticity.PairSTDP,)),
    "oja": Example(
        _managed(lambda: plasticity.OjaSubspace((2, 3), frozen=1, repeats=2)),
        normal(3),
        (plasticity.OjaSubspace,),
    ),
    "projected": Example(
        _managed(lambda: Projected(Hebb(), jnp.eye(3)[:1])), normal(3), (Projected,)
    ),
    "learner": Example(lambda k: learn.AsSystem(_learner(k)), _pairs, (learn.AsSystem,)),
    "learner, nested": Example(
        lambda k: learn.as_managed(_learner(k)), _pairs, (learn.Implements, learn.Updates)
    ),
    "linear system": Example(
        lambda k: learn.LinearSystem(0.5 * jnp.eye(2), jr.normal(k, (2, 3)), jnp.ones((1, 2))),
        normal(3),
        (learn.LinearSystem,),
    ),
    "wired": Example(_wired, normal(1), (learn.Wired,)),
    "trainer": Example(_trainer, normal(5, 3), (learn.Trainer, learn.Gradient, learn.Optimiser)),
}
