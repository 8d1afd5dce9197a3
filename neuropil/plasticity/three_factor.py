"""Three-factor rules: the two ends of a synapse mark it, a third signal decides what becomes of the mark."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import Event, System, param
from neuropil.plasticity.rule import Rule, bounded, check_weight, sides


class ThreeFactor(System):
    r"""A local rule whose changes wait in an eligibility trace until modulators turn them into weight.

    $$e_{ij} \leftarrow e^{-dt/\tau} e_{ij} + \Delta_{ij}, \qquad
      w_{ij} \leftarrow w_{ij} + \eta\, M_i\, e_{ij}, \qquad M_i = \prod_k m^{(k)}_i$$

    $\Delta$ is what `rule` would have changed (potentiation less depression), its bounds hold for the weight.
    A modulator is what arrives of it in a tick, one number for all cells (a reward, an error of the whole:
    dopamine) or one for each postsynaptic cell (an error of its own, an attention gate between 0 and 1).
    Several multiply: reward x gate. A concentration that lasts is to be given times dt.

    The slow system of a `Managed`; it reads what the rule reads, and every modulator by its name:

    `Managed(net, ThreeFactor(PairSTDP(4, 3), ("reward", "gate"), tau=500.0), "edges.E>I.weight",
             {"pre": "outputs.E", "post": "outputs.I", "reward": "input.reward", "gate": "outputs.gate"})`

    Without a modulator, `modulators=()`, the trace alone drives the weight, which is momentum: a change goes
    on by $e^{-dt/\tau}$ a tick.

    **Arguments**: `rule`, without a batch of its own; `modulators`, names; `tau` (ms) of eligibility; `rate`
    $\eta$; `batch`: number of samples, each with traces of its own, whose changes are averaged.

    >>> import jax.random as jr
    >>> from neuropil.core import Chain, Managed, run, start
    >>> from neuropil.plasticity import Hebb
    >>> from neuropil.wiring import Dense
    >>> rule = ThreeFactor(Hebb(1, 1, rate=1.0), ("reward",), tau=10.0)
    >>> wire = Chain(lambda x: x["pre"], Dense(jnp.ones((1, 1))))
    >>> reads = {"pre": "input.pre", "post": "output", "reward": "input.reward"}
    >>> net = Managed(wire, rule, "parts.1.weight", reads)
    >>> x = {"pre": jnp.array([[1.0], [0.0]]), "reward": jnp.array([0.0, 2.0])}     # rewarded a tick later
    >>> carry, _ = run(net, start(net, 10.0, jr.key(0)), x)
    >>> round(float(carry.state.theta[0, 0]), 3)                                    # 1 + 2 / e
    1.736

    Source: Izhikevich (2007), Cereb. Cortex 17, 2443; Frémaux, Gerstner (2016), Front. Neural Circuits 9, 85;
    gated by attention: Roelfsema, van Ooyen (2005), Neural Comput. 17, 2176.

    Raises ValueError for a rule with a batch or sparse events, a negative rate or time constant.
    """

    rule: Rule
    modulators: tuple[str, ...] = eqx.field(static=True, default=("reward",), converter=tuple)
    tau: Array = param(500.0, unit="ms", bounds=(0, None))
    rate: Array = param(1.0, bounds=(0, None))
    batch: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if getattr(self.rule, "batch", None) is not None:
            raise ValueError(
                f"ThreeFactor: give the batch to ThreeFactor and not to {type(self.rule).__name__}: "
                "every sample has an eligibility trace of its own"
            )
        if getattr(self.rule, "events", None) is not None:
            raise ValueError("ThreeFactor: an eligibility trace is a full matrix; leave out events")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the rule reads, and the modulators."""
        return (*self.rule.needs, *self.modulators)

    def init(self, dt, key):
        one = {"rule": self.rule.init(dt, key)}
        one["eligible"] = jnp.zeros((self.rule.post, self.rule.pre), self.tau.dtype)
        if self.batch is None:
            return one
        return jax.tree.map(lambda a: jnp.broadcast_to(a, (self.batch, *a.shape)), one)

    def _moved(self, state, reads, theta, dt):
        """(state after, change of the weight) of one sample."""
        inner, up, down = self.rule.change(state["rule"], Event(theta, reads, None, None), dt)
        eligible = state["eligible"] * jnp.exp(-dt / self.tau) + up - down
        moved = self.rate * eligible
        for name in self.modulators:
            m = jnp.asarray(reads[name], moved.dtype)
            if m.shape not in ((), (self.rule.post,)):
                raise ValueError(
                    f"ThreeFactor: modulator {name!r} has shape {m.shape}; give one number, or one for "
                    f"each of the {self.rule.post} postsynaptic cells"
                )
            moved = moved * (m[:, None] if m.ndim else m)
        return {"rule": inner, "eligible": eligible}, moved

    def step(self, state, x, tick):
        check_weight(self.rule, x.theta)
        reads = {name: x.reads[name] for name in self.needs}
        if self.batch is None:
            state, moved = self._moved(state, reads, x.theta, tick.dt)
        else:
            each = jax.vmap(lambda s, r: self._moved(s, r, x.theta, tick.dt))
            state, moved = each(state, reads)
            moved = moved.mean(0)
        return state, bounded(self.rule.bounds, x.theta, *sides(moved))

    def children(self):
        return {"rule": "rule"}


class Surprise(System):
    r"""A signal less its running mean, such as the error of predicting reward: $y = r - \bar r$.

    $$\tau \dot{\bar r} = r - \bar r$$

    A third factor for `ThreeFactor`: the mean change then follows the covariance of reward and eligibility,
    so that what is rewarded always, whatever the cell does, teaches nothing.

    **Arguments**: `shape` of the signal, () for one number; `tau` (ms).

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> critic = Surprise((), tau=5.0)
    >>> run(critic, start(critic, 1.0, jr.key(0)), jnp.ones(30))[1][jnp.array([0, 29])].round(2).tolist()
    [1.0, 0.0]

    Source: Frémaux, Sprekeler, Gerstner (2010), J. Neurosci. 30, 13326.
    """

    shape: tuple[int, ...] = eqx.field(static=True, default=())
    tau: Array = param(1000.0, unit="ms", bounds=(0, None))

    def init(self, dt, key):
        return jnp.zeros(self.shape, self.tau.dtype)

    def step(self, state, x, tick):
        return x + (state - x) * jnp.exp(-tick.dt / self.tau), x - state

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)
