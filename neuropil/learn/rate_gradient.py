r"""Differentiation on spike representation: forward in spikes, backward through a static map of rates.

With the weighted rate $r(z) = \sum_t w_t z_t / \sum_t w_t$, $w_t = e^{-(T - t) dt / \tau}$, a LIF cell
that resets by subtraction maps rates nearly as $r(out) = \mathrm{clip}(r(I) / \tau, 0, \theta / dt)$. The
gradient of that map is used: the time axis only averages, and no surrogate is needed.

Source: Meng, Xiao, Yan, Wang, Lin, Luo (2022), CVPR, arXiv:2205.00459; constants as in the official
code of Xiao et al. (2024), arXiv:2402.11984.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from neuropil.core import param


def rate_weights(steps: int, tau: Array | float, dt: Array | float) -> Float[Array, " time"]:
    r"""Normalised weights of the steps in a weighted rate, $w_t \propto e^{-(T - t) dt / \tau}$."""
    w = jnp.exp(-(steps - 1 - jnp.arange(steps)) * dt / tau)
    return w / w.sum()


def weighted_rate(
    z: Float[Array, "time *n"], tau: Array | float, dt: Array | float
) -> Float[Array, "*n"]:
    """The weighted rate of a sequence: late steps, of which the membrane still knows, count more.

    >>> weighted_rate(jnp.full((4, 1), 2.0), tau=1.0, dt=0.5).tolist()
    [2.0]
    """
    return jnp.tensordot(rate_weights(z.shape[0], tau, dt), z, 1)


@jax.custom_vjp
def _spikes(current, threshold, tau, dt, fire_at):
    b = jnp.exp(-dt / tau)

    def tick(u, now):
        u = b * u + (1 - b) * now
        s = jnp.where(u >= fire_at * threshold, threshold, 0.0)
        return u - s, s / dt

    return lax.scan(tick, jnp.zeros_like(current[0]), current)[1]


def _spikes_forward(current, threshold, tau, dt, fire_at):
    rate = weighted_rate(current, tau, dt)
    kept = (rate, threshold, tau, dt, fire_at, current.shape[0])
    return _spikes(current, threshold, tau, dt, fire_at), kept


def _spikes_backward(kept, g):
    rate, threshold, tau, dt, fire_at, steps = kept
    g, top = steps * weighted_rate(g, tau, dt), threshold * tau / dt
    each = jnp.where((rate > 0) & (rate < top), g, 0.0) / tau / steps
    to_threshold = jnp.sum(jnp.where(rate > top, g, 0.0)) * dt
    zero = jnp.zeros_like
    spread = jnp.broadcast_to(each, (steps, *each.shape))
    return spread, to_threshold.astype(threshold.dtype), zero(tau), zero(dt), zero(fire_at)


_spikes.defvjp(_spikes_forward, _spikes_backward)


class RateLIF(eqx.Module):
    r"""A population of LIF cells over a whole sequence, differentiated on its spike representation.

    Forward: $u \leftarrow b u + (1 - b) I_t$, $b = e^{-dt/\tau}$; where u reaches `fire_at` x threshold
    the cell emits threshold / dt (an impulse of area `threshold`) and u falls by `threshold`, so it
    can be negative. Backward, for an error $g_t$: with $G = T\, r(g)$,

    $$dI_t = \frac{G}{\tau T} [0 < r(I) < \theta \tau / dt], \qquad
    d\theta = dt \sum G\, [r(I) > \theta \tau / dt]$$

    **Arguments**: `threshold` $\theta$ (one trained number for the population), `tau` and the dt of
    the call in the same unit of time. A map over a finished sequence, so no `System`.

    >>> cells = RateLIF()
    >>> cells(jnp.full((20, 1), 6.0), dt=0.05)[:3, 0].round(4).tolist()      # 0.3 / 0.05 at every step
    [6.0, 6.0, 6.0]
    """

    threshold: Array = param(0.3, unit="1", bounds=(0, None), source="Xiao et al. 2024, code")
    tau: Array = param(1.0, unit="as dt", bounds=(0, None), source="Xiao et al. 2024, code")
    fire_at: Array = param(0.3, unit="threshold", source="Xiao et al. 2024, code")

    def __check_init__(self):
        if jnp.ndim(self.threshold) != 0:
            raise ValueError(
                f"RateLIF: threshold has shape {jnp.shape(self.threshold)} but the population has one"
            )

    def __call__(
        self, current: Float[Array, "time *n"], dt: float | Array
    ) -> Float[Array, "time *n"]:
        dt = jnp.asarray(dt, current.dtype)
        return _spikes(current, self.threshold, self.tau, dt, self.fire_at)
