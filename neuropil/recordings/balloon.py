"""The balloon model: blood flow, volume and oxygen behind the BOLD signal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.core import RK4, Flow, Integrated, check_bounds, param, run, start


class Balloon(Flow):
    r"""Haemodynamics of `units` regions driven by neural activity x.

    $$\dot s = \epsilon x - \kappa s - \gamma (f - 1), \quad \dot f = s, \quad \tau \dot v = f -
    v^{1/\alpha}, \quad \tau \dot q = f \frac{1 - (1 - \rho)^{1/f}}{\rho} - v^{1/\alpha} \frac{q}{v}$$
    $$y = 100\, V_0\, [k_1 (1 - q) + k_2 (1 - q / v) + k_3 (1 - v)], \quad k_1 = 7 \rho,\ k_2 = 2,\ k_3 = 2
    \rho - 0.2$$

    y is the percent signal change. It is a `Flow`: `Integrated(Balloon(3), RK4())` is a System that a network
    may drive. At constant x: f = 1 + eps x / gamma, v = f^alpha, q = v E(f) / rho. `efficacy` and the scale
    of x are identifiable only as their product.

    Sources: Buxton et al. (1998) Magn. Reson. Med. 39:855; Friston et al. (2000) NeuroImage 12:466; Friston,
    Harrison, Penny (2003) NeuroImage 19:1273 (the defaults).

    **Arguments**: `units`; `efficacy` per s and unit of x; `decay` kappa and `feedback` gamma in 1/s; `tau` the
    transit time, 980 ms; `stiffness` alpha; `extraction` rho at rest; `volume` V0.
    """

    units: int = 1
    efficacy: Array = param(1.0, unit="1/s", bounds=(0, None))
    decay: Array = param(0.65, unit="1/s", bounds=(0, None), source="Friston et al. 2003")
    feedback: Array = param(0.41, unit="1/s", bounds=(0, None), source="Friston et al. 2003")
    tau: Array = param(980.0, unit="ms", bounds=(0, None), source="Friston et al. 2003")
    stiffness: Array = param(0.32, bounds=(0, None), source="Friston et al. 2003")
    extraction: Array = param(0.34, bounds=(0, 1), source="Friston et al. 2003")
    volume: Array = param(0.02, bounds=(0, 1), source="Friston et al. 2003")

    def __check_init__(self):
        check_bounds(self)

    def init(self, key):
        """At rest: s = 0, f = v = q = 1."""
        one = jnp.ones(self.units)
        return {"s": jnp.zeros(self.units), "f": one, "v": one, "q": one}

    def field(self, t, y, x):
        """d/dt per ms."""
        f = jnp.maximum(y["f"], 1e-3)  # flow cannot be negative; a wild input would make it so
        out = y["v"] ** (1 / self.stiffness)
        taken = f * (1 - (1 - self.extraction) ** (1 / f)) / self.extraction
        return {
            "s": (self.efficacy * x - self.decay * y["s"] - self.feedback * (y["f"] - 1)) / 1000,
            "f": y["s"] / 1000,
            "v": (f - out) / self.tau,
            "q": (taken - out * y["q"] / y["v"]) / self.tau,
        }

    def jump(self, y, x):
        """The state goes on; out comes the percent signal change."""
        rho, q, v = self.extraction, y["q"], y["v"]
        signal = 7 * rho * (1 - q) + 2 * (1 - q / v) + (2 * rho - 0.2) * (1 - v)
        return y, 100 * self.volume * signal

    def steady(self, x: Float[Array, " unit"]) -> Float[Array, " unit"]:
        """The signal that constant x leads to."""
        f = 1 + self.efficacy * x / self.feedback
        v = f**self.stiffness
        q = v * (1 - (1 - self.extraction) ** (1 / f)) / self.extraction
        return self.jump({"q": q, "v": v}, None)[1]


def bold(
    balloon: Balloon, x: Float[Array, "*batch time unit"], dt: float | int
) -> Float[Array, "*batch time unit"]:
    """Percent signal change of activity x, from rest, by Runge and Kutta's fourth order at steps of dt ms.

    Steps over 200 ms are divided into equal ones below that (x is held), so that a scan of 2 s is safe.
    """
    parts = max(1, -(-int(dt) // 200))
    model = Integrated(Balloon(x.shape[-1], *(getattr(balloon, n) for n in _NAMES)), RK4())

    def one(series):
        held = jnp.repeat(series, parts, axis=0)
        _, y = run(model, start(model, dt / parts, jax.random.key(0)), held)
        return y[parts - 1 :: parts]

    flat = x.reshape(-1, *x.shape[-2:])
    return jax.vmap(one)(flat).reshape(x.shape)


_NAMES = ("efficacy", "decay", "feedback", "tau", "stiffness", "extraction", "volume")
