"""Reservoirs: fixed random recurrent networks whose activity is read out by a trained linear map.

Echo state networks, and rate reservoirs of excitatory and inhibitory cells. Readouts:
`neuropil.learn.ridge.ridge_readout`, or `neuropil.plasticity.RecursiveLeastSquares` from sample to sample.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from neuropil.core import System, param
from neuropil.wiring import Dense, Sparse
from neuropil.wiring.base import Wiring

SMALL = 200  # units; beyond it one eigenvalue is cheaper to find than all


def spectral_radius(weight: Array | np.ndarray) -> Array:
    """Largest absolute eigenvalue of a square matrix.

    >>> round(float(spectral_radius(jnp.array([[0.0, 2.0], [-2.0, 0.0]]))), 3)
    2.0
    """
    if isinstance(weight, jax.core.Tracer) or len(weight) <= SMALL:
        return jnp.abs(jnp.linalg.eigvals(jnp.asarray(weight))).max()
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    wide = np.asarray(weight, np.float64)
    try:
        start = np.random.default_rng(0).normal(size=len(wide))  # else it differs from call to call
        few = csr_array(wide) if (wide != 0).mean() < 0.2 else wide
        # moduli crowd at the rim: with a narrow subspace a smaller one is taken for the largest
        found = np.abs(eigs(few, 4, ncv=60, tol=1e-7, return_eigenvectors=False, v0=start)).max()
    except ArpackNoConvergence:
        found = np.abs(np.linalg.eigvals(wide)).max()
    return jnp.asarray(found, jnp.result_type(float))


_radius = spectral_radius  # `EchoState.random` has an argument of that name


class EchoState(System):
    r"""An echo state network: leaky units driven by an input and by each other.

    $$r_t = (1 - a)\, r_{t-1} + a\, \phi(W r_{t-1} + W_{in} u_t + b)$$

    **Arguments**: `recurrent` W, wiring unit -> unit (`Dense`, `Sparse`, `Signed`); `input`, wiring from the
    input; `bias` (unit,) or None; `leak` a of a tick (one, or one a unit; 1: no leak); `phi`, default tanh.
    `EchoState.random` draws it with a spectral radius.

    Input: u (input,). State and output: r (unit,).

    Sources: Jaeger (2001), GMD report 148; leaky units: Jaeger et al. (2007), Neural Netw. 20, 335.

    >>> from neuropil.core import run, start
    >>> from neuropil.learn.ridge import ridge_readout
    >>> net = EchoState.random(1, 50, jr.key(0), spectral_radius=0.9)
    >>> u = jr.uniform(jr.key(1), (600, 1))
    >>> _, r = run(net, start(net, 1.0, jr.key(2)), u)
    >>> readout = ridge_readout(r[10:400], u[7:397])                  # what came three ticks ago
    >>> error = jax.vmap(readout.forward)(r[400:]) - u[397:597]
    >>> bool(error.std() < 0.1 * u.std())
    True

    Raises ValueError for a leak outside 0..1.
    """

    recurrent: Wiring
    input: Wiring
    bias: Array | None = param(None, axes=("unit",))
    leak: Array = param(1.0, bounds=(0, 1), axes=("unit",))
    phi: Callable = eqx.field(static=True, default=jnp.tanh)

    @staticmethod
    def random(
        inputs: int,
        units: int,
        key: Array,
        *,
        spectral_radius: ArrayLike = 0.9,
        density: float = 0.1,
        input_scale: ArrayLike = 1.0,
        bias_scale: ArrayLike = 0.0,
        leak: ArrayLike = 1.0,
        sparse: bool = False,
        phi: Callable = jnp.tanh,
    ) -> EchoState:
        """W normal at a share `density` of the places and scaled to its spectral radius; inputs and biases
        uniform on +-their scale. `sparse`: W is held as `Sparse` (by synapse), else as a `Dense` matrix.

        Raises ValueError for a density outside 0..1, or so low that no loop is left.
        """
        if not 0 < density <= 1:
            raise ValueError(f"EchoState: density = {density} but it must be above 0, at most 1")
        a, b, c, d = jr.split(key, 4)
        weight = jr.normal(a, (units, units)) * (jr.uniform(b, (units, units)) < density)
        radius = _radius(weight)
        if not isinstance(radius, jax.core.Tracer) and not radius > 1e-6:
            raise ValueError(
                f"EchoState: {units} units at density {density} have no loops; give a larger density"
            )
        weight = weight * (spectral_radius / radius)
        into = input_scale * jr.uniform(c, (units, inputs), minval=-1.0, maxval=1.0)
        bias = jnp.asarray(bias_scale) * jr.uniform(d, (units,), minval=-1.0, maxval=1.0)
        if sparse:
            post, pre = np.nonzero(np.asarray(weight))
            wires = Sparse.from_edges(pre, post, np.asarray(weight)[post, pre], units, units)
            return EchoState(wires, Dense(into), bias, leak, phi)
        return EchoState(Dense(weight), Dense(into), bias, leak, phi)

    def init(self, dt, key):
        return self.recurrent.rest()

    def _driven(self, u):
        return u if self.bias is None else u + self.bias

    def _next(self, r, driven):
        return r + self.leak * (self.phi(self.recurrent.forward(r) + driven) - r)

    def step(self, state, x, tick):
        r = self._next(state, self._driven(self.input.forward(x)))
        return r, r

    def unroll(self, state, xs, ticks):
        _, driven = self.input.unroll((), xs, ticks)  # one product over the whole time axis

        def body(r, u):
            r = self._next(r, self._driven(u))
            return r, r

        return lax.scan(body, state, driven)

    def rest(self):
        return self.recurrent.rest()


def balanced_wiring(
    units: int, key: Array, *, degree: int = 50, excitatory: float = 0.8, spread: float = 0.2
) -> tuple[Array, Array]:
    r"""Sizes of excitatory and inhibitory weights (post, pre), so that both sums a row are 1 on average.

    The first `excitatory` share of the cells excites. Each pair of cells is joined with probability degree /
    units; sizes are |N(mu, spread mu_E)|, with mu_E = 1 / (degree f), mu_I = mu_E f / (1 - f), f the share.

    Source: Srinivasan, Plenz, Girvan (2025), Nat. Commun., table I.

    >>> excite, inhibit = balanced_wiring(400, jr.key(0))
    >>> [round(float(a.sum(1).mean()), 1) for a in (excite, inhibit)]
    [1.0, 1.0]

    Raises ValueError for a degree that is not from 1 to `units`, or a share outside 0..1.
    """
    if not 1 <= degree <= units or not 0 < excitatory < 1:
        raise ValueError(
            f"balanced_wiring: degree {degree} of {units} units, share {excitatory}; give 1..{units} and a "
            "share between 0 and 1"
        )
    a, b = jr.split(key)
    there = jr.uniform(a, (units, units)) < degree / units
    exciting = jnp.arange(units) < round(excitatory * units)
    mean_e = 1 / (degree * excitatory)
    mean = jnp.where(exciting, mean_e, mean_e * excitatory / (1 - excitatory))
    size = there * jnp.abs(mean[None] + spread * mean_e * jr.normal(b, (units, units)))
    return size * exciting[None], size * ~exciting[None]


def balancing_scale(
    excite: Array, inhibit: Array, drive: Array, rates: Array, gain: ArrayLike, threshold: ArrayLike
) -> Array:
    r"""Factor on every row of the inhibitory weights that makes `rates` a fixed point at a constant drive.

    $$\Omega_i = \frac{d_i + \sum_j A^E_{ij} \rho_j - \theta - \mathrm{logit}(\rho_i) / c}
      {\sum_j A^I_{ij} \rho_j}, \qquad \text{at least } 0$$

    **Arguments**: weights (post, pre); `drive` d (unit,), W_in times the mean input; `rates` rho (unit,); the
    gain c and the threshold of a `BalancedReservoir` without leak. Rows without inhibition keep theirs.

    Derived from its state equation; the one-step design of Srinivasan, Plenz, Girvan (2025), eq. 8.
    """
    wanted = drive + excite @ rates - threshold - (jnp.log(rates) - jnp.log1p(-rates)) / gain
    there = inhibit @ rates
    return jnp.where(there > 0, jnp.maximum(wanted, 0) / jnp.where(there > 0, there, 1), 1.0)


class BalancedReservoir(System):
    r"""Rate cells that excite or inhibit, with a leaky potential and a logistic rate.

    $$V_t = l\, V_{t-1} + (A^E - A^I)\, r_{t-1} + W_{in} u_t, \qquad r_t = \sigma(c\, (V_t - \theta))$$

    **Arguments**: `excite` and `inhibit`, sizes of the weights (post, pre), both >= 0 (`balanced_wiring` draws
    them; `neuropil.plasticity.InhibitoryBalance` adapts the second); `input` W_in (unit, input); `gain` c;
    `threshold` theta (one, or one a unit); `leak` l, what is left of a potential after a tick.

    Input: u (input,). State: {"v", "r"}. Output: r (unit,). Before the first tick V = 0, r = sigma(-c theta).

    Source: Srinivasan, Plenz, Girvan (2025), Nat. Commun.

    >>> from neuropil.core import run, start
    >>> net = BalancedReservoir(*balanced_wiring(60, jr.key(0), degree=20), 0.2 * jnp.ones((60, 1)))
    >>> _, r = run(net, start(net, 1.0, jr.key(1)), jr.uniform(jr.key(2), (30, 1)))
    >>> r.shape, bool((r > 0).all() & (r < 1).all())
    ((30, 60), True)

    Raises ValueError for negative weights and for shapes that do not belong together.
    """

    excite: Array = param(bounds=(0, None), axes=("post", "pre"))
    inhibit: Array = param(bounds=(0, None), axes=("post", "pre"))
    input: Array = param(axes=("unit", "input"))
    gain: Array = param(10.0, bounds=(0, None), source="Srinivasan et al. 2025")
    threshold: Array = param(0.0, axes=("unit",), source="Srinivasan et al. 2025")
    leak: Array = param(0.0, bounds=(0, 1), source="Srinivasan et al. 2025")

    def __check_init__(self):
        shapes = jnp.shape(self.excite), jnp.shape(self.inhibit), jnp.shape(self.input)
        n = shapes[2][0] if shapes[2] else 0
        if len(shapes[2]) != 2 or shapes[0] != (n, n) or shapes[1] != (n, n):
            raise ValueError(
                f"BalancedReservoir: excite {shapes[0]}, inhibit {shapes[1]}, input {shapes[2]}; give "
                "(unit, unit) twice and (unit, input)"
            )

    def init(self, dt, key):
        r = self.rest()
        return {"v": jnp.zeros_like(r), "r": r}

    def step(self, state, x, tick):
        return self._next(self.excite - self.inhibit, state, self.input @ x)

    def _next(self, weight, state, driven):
        v = self.leak * state["v"] + weight @ state["r"] + driven
        r = jax.nn.sigmoid(self.gain * (v - self.threshold))
        return {"v": v, "r": r}, r

    def unroll(self, state, xs, ticks):
        weight = self.excite - self.inhibit
        return lax.scan(lambda s, u: self._next(weight, s, u), state, xs @ self.input.T)

    def rest(self):
        zero = jnp.zeros(self.excite.shape[0], self.excite.dtype)
        return jax.nn.sigmoid(self.gain * (zero - self.threshold))
