r"""Weight changes that leave old activity alone: the presynaptic factor goes through a projection.

Nearly every rule changes a weight by an outer product, $\Delta W = -\eta \langle \delta z^\top \rangle$,
with an error or signal $\delta$ and a presynaptic activity, rate or trace z. Put
$z_\perp = z - H^\top H z$ in place of z: then $\Delta W v = 0$ for every v in the span of orthonormal
rows H, so old inputs are answered as before, whatever $\delta$ is and wherever it came from.

Source: Xiao, Meng, Zhang, He, Lin (2024), ICLR, arXiv:2402.11984; the same projection with an SVD:
Saha, Garg, Roy (2021), ICLR, arXiv:2103.09762.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.core import Event, System
from neuropil.plasticity.subspace import orthogonal_part


@jax.custom_vjp
def _linear(x, weight, trace, back):
    return x @ weight.T


def _linear_forward(x, weight, trace, back):
    return x @ weight.T, (x, weight, trace, back)


def _linear_backward(kept, g):
    x, weight, trace, back = kept
    factor = x if trace is None else trace
    flat = lambda a: a.reshape(-1, a.shape[-1])
    return (
        g @ (weight if back is None else back),
        flat(g).T @ flat(factor),
        None if trace is None else jnp.zeros_like(trace),
        None if back is None else jnp.zeros_like(back),
    )


_linear.defvjp(_linear_forward, _linear_backward)


def guarded_linear(
    x: Float[Array, "*b pre"],
    weight: Float[Array, "post pre"],
    trace: Float[Array, "*b pre"] | None = None,
    back: Float[Array, "post pre"] | None = None,
) -> Float[Array, "*b post"]:
    r"""$W x$ whose gradient has a presynaptic factor and a way back of your choice.

    Backward, for an error g at the output: $dW = \langle g\, trace^\top \rangle$ (default: x) and
    $dx = back^\top g$ (default: W). So `trace=orthogonal_part(x, H)` protects what the rows H span, an
    eligibility trace in place of x gives an online rule, and fixed random weights as `back` give
    feedback alignment; neither changes the value. No gradient goes into `trace` or `back`.

    >>> W, x = jnp.ones((1, 2)), jnp.array([[1.0, 2.0]])
    >>> protect = orthogonal_part(x, jnp.array([[1.0, 0.0]]))
    >>> jax.grad(lambda W: guarded_linear(x, W, protect).sum())(W).tolist()
    [[0.0, 2.0]]
    """
    return _linear(x, weight, trace, back)


def project_update(
    update: Float[Array, "post pre"], rows: Float[Array, "m pre"]
) -> Float[Array, "post pre"]:
    r"""A finished weight change through the projection: $\Delta W (I - H^\top H)$.

    The projection is linear, so this equals projecting the presynaptic factor of every sample and
    every time step; it is cheaper where samples x steps outnumber the postsynaptic cells.
    """
    return orthogonal_part(update, rows)


class Projected(System):
    """Any rule of the form signal x presynaptic activity, with that activity projected first.

    - `rule`: the slow system of a `Managed`; - `rows`: H, what is to be left alone (m, n);
    - `name`: which of the rule's reads is the presynaptic factor.

    >>> from neuropil.core import Managed, System, run, start
    >>> from neuropil.wiring import Dense
    >>> class Hebb(System):
    ...     def init(self, dt, key): return ()
    ...     def step(self, state, event, tick):
    ...         return state, event.theta + jnp.outer(event.y, event.reads["pre"])
    >>> rule = Projected(Hebb(), jnp.array([[1.0, 0.0]]))
    >>> net = Managed(Dense(jnp.ones((1, 2))), rule, "weight", {"pre": "input"})
    >>> carry, _ = run(net, start(net, 1.0, jax.random.key(0)), jnp.array([[2.0, 1.0]]))
    >>> carry.state.theta.tolist()
    [[1.0, 4.0]]

    Raises KeyError, naming the reads there are, where the rule reads no such thing.
    """

    rule: System
    rows: Float[Array, "m n"]
    name: str = eqx.field(static=True, default="pre")

    def init(self, dt, key):
        return self.rule.init(dt, key)

    def step(self, state: Any, x: Any, tick: Any) -> tuple[Any, Any]:
        """`x` is the `Event` of a `Managed`."""
        if self.name not in x.reads:
            raise KeyError(
                f"Projected: the rule reads {sorted(x.reads)}, not {self.name!r};"
                f" write Managed(..., reads={{{self.name!r}: 'input'}})"
            )
        reads = {**x.reads, self.name: orthogonal_part(x.reads[self.name], self.rows)}
        return self.rule.step(state, Event(x.theta, reads, x.x, x.y), tick)

    def children(self):
        return {"rule": ""}
