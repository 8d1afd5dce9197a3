r"""Recursive least squares, and FORCE: a recurrent network taught through its own output.

A linear readout y = W r learns from one sample after the other. P is the inverse of the (penalised,
weighted) second moment of the features r seen so far, so every step lands on the least-squares solution.

Sources: Haykin (2014), Adaptive Filter Theory, 5th ed., ch. 10 (with forgetting); Sussillo, Abbott (2009),
Neuron 63, 544 (FORCE).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import Chain, Every, Feedback, Managed, Parallel, System, lift, param


class RecursiveLeastSquares(System):
    r"""Least squares one sample at a time; a slow rule for `Managed` that owns a readout's weight.

    $$q = P r, \qquad k = \frac{g\, q}{\lambda + g\, r^\top q}, \qquad W \leftarrow W + (y^* - W r)\, k^\top,
    \qquad P \leftarrow (P - k q^\top) / \lambda$$

    with P = I / ridge at the start. After every sample W minimises
    $\sum_i \lambda^{n-i} g_i |y^*_i - W r_i|^2 + \lambda^n \text{ridge}\, |W - W_0|^2$: batch ridge regression
    (around the weight at the start). It is the update of FORCE, W - e P r with the *new* P.

    Reads "pre", the features r (n,) or a batch of them (b, n), and "target", y* (m,) or (b, m); where it also
    reads "gate", the weight g of a sample (or one for each of a batch), a number from 0: at 0 nothing changes,
    nothing is forgotten. Owns W of shape (m, n). State: P (n, n).

    **Arguments**: `features` n; `ridge`, the penalty; `forget` $\lambda$, 1 for never (below 1, P grows in
    directions in which nothing arrives). There is no bias: let one feature be constant.

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> from neuropil.wiring import Dense
    >>> readout = Chain(lambda x: x["r"], wire=Dense(jnp.zeros((1, 2))))
    >>> rule = RecursiveLeastSquares(2, ridge=1e-3)
    >>> reads = {"pre": "input.r", "target": "input.y"}
    >>> learner = Managed(readout, rule, "parts.wire.weight", reads)
    >>> r = jr.normal(jr.key(0), (50, 2))
    >>> xs = {"r": r, "y": r @ jnp.array([[3.0], [-1.0]])}
    >>> run(learner, start(learner, 1.0, jr.key(1)), xs)[0].state.theta.round(2).tolist()
    [[3.0, -1.0]]

    Raises ValueError for a penalty or a forgetting factor that is not positive, and for fewer than 1 feature.
    """

    features: int = eqx.field(static=True)
    ridge: Array = param(1.0, bounds=(0, None), about="initial penalty: P starts at I / ridge")
    forget: Array = param(1.0, bounds=(0, 1), about="what a sample counts for a step later")

    def __check_init__(self):
        if self.features < 1:
            raise ValueError(f"RecursiveLeastSquares: features = {self.features}; give 1 or more")
        for name in ("ridge", "forget"):
            value = getattr(self, name)
            if not isinstance(value, jax.core.Tracer) and not (value > 0).all():
                raise ValueError(f"RecursiveLeastSquares.{name} = {value} but it must be positive")

    def init(self, dt, key):
        return jnp.eye(self.features, dtype=self.ridge.dtype) / self.ridge

    def learn(
        self, weight: Array, p: Array, r: Array, target: Array, gate: Any = None
    ) -> tuple[Array, Array]:
        """(new weight, new P) after a sample (n,) or a batch (b, n)."""
        error = target - r @ weight.T
        forget, weighted = self.forget, r
        if gate is not None:
            gate = jnp.asarray(gate, r.dtype)
            forget = jnp.where((gate > 0).any(), forget, 1.0)
            weighted = gate[..., None] * r
        if r.ndim == 1:
            q = p @ r
            gain = p @ weighted / (forget + weighted @ q)
            return weight + error[:, None] * gain[None, :], (
                p - gain[:, None] * q[None, :]
            ) / forget
        q = r @ p  # (b, n); P is symmetric
        size = forget * jnp.eye(len(r), dtype=p.dtype) + weighted @ q.T
        gain = jnp.linalg.solve(size, weighted @ p)
        p = (p - q.T @ gain) / forget
        return weight + error.T @ gain, (p + p.T) / 2

    def step(self, state, x, tick):
        reads = x.reads
        weight, p = self.learn(x.theta, state, reads["pre"], reads["target"], reads.get("gate"))
        return p, weight


def force(
    reservoir: System,
    readout: System,
    feedback: System,
    rule: System | None = None,
    *,
    every: int = 1,
    ridge: float | int = 1.0,
) -> Managed:
    r"""FORCE: the readout of a reservoir is fed back into it while it learns by recursive least squares.

    $$z_t = W r_t, \qquad \text{input of the reservoir} = x_t + B z_{t-1}, \qquad
    W \leftarrow W - (z - y^*)\, (P r)^\top$$

    **Arguments**

    - `reservoir`: any system whose output is its features r (n,);
    - `readout`: wiring n -> m whose `weight` is learned (`Dense(jnp.zeros((m, n)))`); `feedback`: m -> the
      reservoir's input;
    - `rule`: what owns the readout; default `RecursiveLeastSquares(n, ridge)`; `every`: it acts at every
      k-th tick.

    Input of a tick: {"input": what drives the reservoir, "target": y* (m,), "gate": 1 to learn, 0 to run on
    its own}. Output: {"features": r, "readout": z}, z from the weight before the tick's update. Where the
    reservoir has no other input, "input" is zeros of its size.

    Source: Sussillo, Abbott (2009), Neuron 63, 544. Nicola, Clopath (2017) take P r with the P before the
    update, a larger step: not this one.

    >>> import jax.random as jr
    >>> from neuropil.cells import Rate
    >>> from neuropil.core import run, start
    >>> from neuropil.wiring import Dense
    >>> loop = force(Rate(3), Dense(jnp.zeros((1, 3))), Dense(jnp.ones((3, 1))))
    >>> xs = {"input": jnp.ones((99, 3)), "target": jnp.ones((99, 1)), "gate": jnp.ones(99)}
    >>> run(loop, start(loop, 1.0, jr.key(0)), xs)[1]["readout"][-1].round(1).tolist()
    [1.0]

    Raises ValueError for `every` below 1.
    """
    read = Parallel({"features": lambda r: r, "readout": readout})
    forward = Chain(merge=_merge, reservoir=reservoir, read=read)
    loop = Feedback(forward, Chain(pick=_readout, back=lift(feedback)))
    if rule is None:
        rule = RecursiveLeastSquares(readout.weight.shape[1], ridge)
    reads = {"pre": "output.features", "target": "input.target", "gate": "input.gate"}
    owned = "forward.parts.read.parts.readout.weight"
    return Managed(loop, rule if every == 1 else Every(rule, every), owned, reads)


def _merge(pair):
    x, back = pair
    return x["input"] + back


def _readout(y):
    return y["readout"]
