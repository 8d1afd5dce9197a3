"""Short-term plasticity: what a spike releases depends on the spikes before it."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param
from neuropil.synapses.kinetics import as_shape

REGIMES = {
    # U, recovery (ms), facilitation (ms)
    "facilitating": (0.16, 45.0, 376.0),
    "depressing": (0.25, 706.0, 21.0),
    "recovering": (0.32, 144.0, 62.0),
    "working-memory": (0.2, 200.0, 1500.0),
}
"""Published regimes by name: F1, F2 and F3 of Gupta et al. (2000), and Mongillo et al. (2008)."""


class TsodyksMarkram(System):
    r"""Resources x that a spike uses up, and the share u of them that it uses, which spikes raise.

    $$\dot x = \frac{1 - x}{\tau_{rec}}, \quad \dot u = -\frac{u}{\tau_{fac}}; \qquad \text{at a spike }
    u \leftarrow u + U (1 - u), \quad \text{release } u x, \quad x \leftarrow x - u x$$

    Exact between spikes. One a presynaptic cell (or synapse): it stands before the wiring, whose weight is the
    efficacy of all resources. Input: spikes (0 or 1). Output: u x where there is a spike, else 0.

    Regular spikes every T ms release in the end $u x$ with $u = U / (1 - (1 - U) e^{-T / \tau_{fac}})$ and
    $x = (1 - e^{-T / \tau_{rec}}) / (1 - (1 - u) e^{-T / \tau_{rec}})$: see `steady`.

    `TsodyksMarkram.of(shape, regime)`: "facilitating", "depressing", "recovering" (interneurons' synapses F1,
    F2, F3) and "working-memory".

    Source: Markram, Wang, Tsodyks (1998), PNAS 95, 5323; Gupta, Wang, Markram (2000), Science 287, 273;
    Mongillo, Barak, Tsodyks (2008), Science 319, 1543.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> synapse = TsodyksMarkram.of(1, "depressing")
    >>> xs = jnp.zeros((60, 1)).at[::20].set(1.0)
    >>> ys = run(synapse, start(synapse, 1.0, jax.random.key(0)), xs)[1][::20, 0]
    >>> [round(float(y), 3) for y in ys]
    [0.25, 0.244, 0.181]
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    use: Array = param(0.5, bounds=(0, 1), axes=("synapse",), about="U")
    tau_recovery: Array = param(800.0, unit="ms", bounds=(0, None), axes=("synapse",))
    tau_facilitation: Array = param(20.0, unit="ms", bounds=(0, None), axes=("synapse",))

    @staticmethod
    def of(shape: int | tuple[int, ...], regime: str) -> TsodyksMarkram:
        """With the constants of a published regime. ValueError for a name that is none."""
        if regime not in REGIMES:
            raise ValueError(
                f"TsodyksMarkram: no regime {regime!r}; there are {', '.join(sorted(REGIMES))}"
            )
        return TsodyksMarkram(shape, *REGIMES[regime])

    def steady(self, interval: Array | float | int) -> Array:
        """Release of each spike in the end, for spikes every `interval` ms."""
        faded, missing = (
            jnp.exp(-interval / t) for t in (self.tau_facilitation, self.tau_recovery)
        )
        u = self.use / (1 - (1 - self.use) * faded)
        return u * (1 - missing) / (1 - (1 - u) * missing)

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.use.dtype)
        return {"u": zero, "x": zero + 1}

    def step(self, state, x, tick):
        u, left = state["u"], state["x"]
        u = u + x * self.use * (1 - u)
        release = x * u * left
        left = left - release
        state = {
            "u": u * jnp.exp(-tick.dt / self.tau_facilitation),
            "x": 1 + (left - 1) * jnp.exp(-tick.dt / self.tau_recovery),
        }
        return state, release

    def rest(self):
        return jnp.zeros(self.shape, self.use.dtype)
