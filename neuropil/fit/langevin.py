r"""Latent signals that move by the underdamped Langevin equation, and the autoencoder built on them.

Source: Song, Keller, Yue, Perona, Welling (2025), arXiv:2507.11531; code: KingJamesSong/LangevinFlow_CCN.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int, Key, UInt

from neuropil.blocks.dropout import dropout
from neuropil.blocks.transformer import TransformerLayer
from neuropil.cells import GRU
from neuropil.fit.sequential import drawn, gaussian_divergence
from neuropil.wiring import Dense


def langevin_step(
    z: Array,
    v: Array,
    force: Array,
    *,
    step: float | int = 0.01,
    friction: float | int = 0.55,
) -> tuple[Array, Array]:
    r"""Position and mean velocity after a step of $\dot z = v,\ \dot v = -\nabla U - \gamma v + $ noise.

    $$z' = z + \epsilon v, \qquad \bar v' = (1 - \gamma)(v - \epsilon \nabla U(z))$$

    `force` is $\nabla U(z)$. The velocity itself is $\bar v' + \sqrt{2 \gamma}\, n$ with n ~ N(0, 1). The
    position moves by the old velocity (explicit Euler), and friction and noise act a whole bin at once.

    >>> [round(float(a), 4) for a in langevin_step(jnp.array(1.0), jnp.array(2.0), jnp.array(3.0))]
    [1.02, 0.8865]
    """
    return z + step * v, (1 - friction) * (v - step * force)


class CoupledOscillators(eqx.Module):
    r"""Potential of groups of units on a line, each coupled to its neighbours in all groups.

    With z in G groups of units $z_g$, kernels $k_{gh}$ of three taps of unit norm and zeros beyond the ends,
    $$U(z) = \sum_{g, g'} \langle \sum_h k_{gh} * z_h,\ z_{g'} \rangle.$$
    A quadratic form of both signs: it is not bounded below. U depends on the kernels summed over g alone.

    >>> U = CoupledOscillators.init_normal(2, key=jr.key(0))
    >>> bool(jnp.allclose(U(2 * jnp.ones(6)), 4 * U(jnp.ones(6)), rtol=1e-5))
    True

    Raises ValueError where the groups do not divide the units.
    """

    kernel: Float[Array, "out group tap"]

    @staticmethod
    def init_normal(groups: int = 4, *, scale: float = 1e-3, key: Key[Array, ""]):
        """Kernels normal and small: their norm is divided out, so only their shape counts."""
        return CoupledOscillators(scale * jr.normal(key, (groups, groups, 3)))

    def __call__(self, z: Float[Array, " unit"]) -> Float[Array, ""]:
        groups = self.kernel.shape[0]
        if z.size % groups:
            raise ValueError(f"CoupledOscillators: {z.size} units cannot make {groups} groups")
        # the added constant keeps the gradient finite at a kernel of zeros
        norm = jnp.sqrt((self.kernel**2).sum(-1, keepdims=True) + 1e-12)
        kernel = (self.kernel / norm).sum(0)
        rows = z.reshape(groups, -1)
        wide = jnp.pad(rows, ((0, 0), (1, 1)))
        near = jnp.stack([wide[:, k : k + rows.shape[1]] for k in range(3)], axis=1)
        return jnp.einsum("hk,hki,i->", kernel, near, rows.sum(0))


class LangevinFlow(eqx.Module):
    r"""Autoencoder of one trial whose latents follow the Langevin equation in a learned potential.

    A GRU reads the counts (dropout on its states); its first state says $q(z_0)\, q(v_0)$; from there z and
    v move by `langevin_step`. A transformer layer over time without a mask reads [z, v, h] of all bins, so
    rates depend on the whole trial, and a linear map gives log rates. KL divergence: of z_0 and v_0 from
    N(0, 1), and of every later v, given the bin before, from N(0, 0.1).

    **Arguments** (by `LangevinFlow.of`): `inputs`, `outputs` (units read, units predicted); `hidden` units of
    the GRU and of z and of v, a multiple of the four groups; `feedforward` of the transformer; `friction`
    $\gamma$ in (0, 1], `step` $\epsilon$; `rate` of dropout. Ablations in one compiled program: `pull` 0
    leaves the potential out, `shown` 0 hides z and v from the decoder.

    >>> net = LangevinFlow.of(5, 6, hidden=8, feedforward=16, key=jr.key(0))
    >>> log_rates, kl = net(jnp.ones((10, 5)), jr.key(1))
    >>> log_rates.shape, kl.shape
    ((10, 6), ())

    Raises ValueError for widths that cannot be shared by groups and heads, and friction out of range.
    """

    cell: GRU
    begin: Dense
    potential: Callable
    decoder: TransformerLayer
    readout: Dense
    pull: Int[Array, ""]
    shown: Int[Array, ""]
    step: float = eqx.field(static=True)
    friction: float = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    @staticmethod
    def of(
        inputs: int,
        outputs: int,
        *,
        key: Key[Array, ""],
        hidden: int = 64,
        feedforward: int = 256,
        heads: int = 2,
        step: float | int = 0.01,
        friction: float | int = 0.55,
        rate: float | int = 0.05,
        pull: Array | int = 1,
        shown: Array | int = 1,
    ) -> LangevinFlow:
        """A network with random weights (see the class)."""
        if hidden % 4 or not 0 < friction <= 1 or step <= 0:
            raise ValueError(
                f"LangevinFlow: hidden = {hidden} must be a multiple of 4, friction = {friction} "
                f"in (0, 1], step = {step} positive"
            )
        a, b, c, d, e = jr.split(key, 5)
        return LangevinFlow(
            GRU.init_uniform(inputs, hidden, a),
            Dense.init_uniform(hidden, 4 * hidden, b, bias=True),
            CoupledOscillators.init_normal(key=c),
            TransformerLayer.init_normal(3 * hidden, heads, key=d, hidden=feedforward),
            Dense.init_uniform(3 * hidden, outputs, e, bias=True),
            jnp.asarray(pull, jnp.int32),
            jnp.asarray(shown, jnp.int32),
            float(step),
            float(friction),
            float(rate),
        )

    def latents(
        self, x: Float[Array, "bin unit"], key: Key[Array, ""], seed: UInt[Array, ""] | None = None
    ) -> tuple[Array, Array, Array, Float[Array, ""]]:
        """z, v, h (bin, hidden) and the divergence (nats); a `seed` turns dropout on."""
        h = self.cell.unroll(self.cell.rest(), x, None)[1]
        h = dropout(h, self.rate, seed)
        mean_z, log_z, mean_v, log_v = jnp.split(self.begin.forward(h[0]), 4)
        a, b, c = jr.split(key, 3)
        z, v = drawn(mean_z, log_z, a), drawn(mean_v, log_v, b)
        kl = gaussian_divergence(mean_z, log_z) + gaussian_divergence(mean_v, log_v)
        noise = jnp.sqrt(2 * self.friction) * jr.normal(c, (x.shape[0] - 1, z.size))
        slope, how = jax.grad(self.potential), {"step": self.step, "friction": self.friction}

        def move(state, n):
            z, v = state
            z, mean = langevin_step(z, v, self.pull * slope(z), **how)
            return (z, mean + n), (z, mean + n, mean)

        _, (zs, vs, means) = lax.scan(move, (z, v), noise)
        later = gaussian_divergence(means, jnp.log(2 * self.friction), 0.1)
        return jnp.vstack([z[None], zs]), jnp.vstack([v[None], vs]), h, kl + later

    def decode(self, z: Array, v: Array, h: Array) -> Float[Array, "bin output"]:
        """Log rates of all bins."""
        joined = jnp.concatenate([self.shown * z, self.shown * v, h], axis=1)
        return jax.vmap(self.readout.forward)(self.decoder(joined))

    def __call__(
        self, x: Float[Array, "bin unit"], key: Key[Array, ""], seed: UInt[Array, ""] | None = None
    ) -> tuple[Float[Array, "bin output"], Float[Array, ""]]:
        """Log rates and divergence of a trial, of one draw of the latents."""
        z, v, h, kl = self.latents(x, key, seed)
        return self.decode(z, v, h), kl
