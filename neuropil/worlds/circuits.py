"""Spiking circuits whose wiring is known: the ground truth for every method that infers one.

Time runs in bins. Given everything before bin t, the units of bin t are independent, with

    eta_i(t) = bias_i + sum_{j,l} k_ijl s_j(t - l) + sum_c w_c A_c(t) + gain_i z(t)

where A_c(t) is 1 when both sources of conjunction c fired in the last `window` bins, and z is an
Ornstein-Uhlenbeck process of unit variance that stands for behaviour. `s_i(t)` is Bernoulli with
probability sigmoid(eta) or Poisson with mean exp(eta). So the exact probability of a recording is
known, and no model of it can do better than `Circuit.log_likelihood` on average.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neuropil.stats.likelihood import log_probability, mean_of

Family = Literal["bernoulli", "poisson"]


class Simulation(eqx.Module):
    """What a circuit did: `spikes` (counts per bin), behaviour `z`, and the true `rates`, that is
    the mean of every bin given all that came before it."""

    spikes: Float[Array, "time unit"]
    z: Float[Array, " time"]
    rates: Float[Array, "time unit"]


class Circuit(eqx.Module):
    """A circuit with planted history kernels, conjunctions and modulation (equation above).

    - `kernels[i, j, l - 1]` is the weight of unit j onto unit i at lag l bins;
    - `conjunctions` has rows (target, source, source), with one weight each;
    - `tau` is the time constant of z in bins; `dt` the length of a bin in ms.

    >>> import jax.numpy as jnp, jax.random as jr
    >>> pair = Circuit(bias=jnp.full(2, -3.0), kernels=jnp.zeros((2, 2, 3)).at[1, 0, 2].set(2.0))
    >>> pair.adjacency().tolist()
    [[False, False], [True, False]]
    >>> pair.simulate(100, jr.key(0)).spikes.shape
    (100, 2)
    """

    bias: Float[Array, " unit"]
    kernels: Float[Array, "post pre lag"]
    conjunctions: Int[Array, "pair 3"]
    weights: Float[Array, " pair"]
    gain: Float[Array, " unit"]
    tau: float = eqx.field(static=True)
    window: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    family: str = eqx.field(static=True)

    def __init__(
        self,
        bias: Float[Array, " unit"],
        kernels: Float[Array, "post pre lag"],
        conjunctions=(),
        weights=(),
        gain=None,
        tau: float = 100.0,
        window: int = 3,
        dt: float = 10.0,
        family: str = "bernoulli",
    ):
        if family not in ("bernoulli", "poisson"):
            raise ValueError(f"family must be 'bernoulli' or 'poisson', not {family!r}")
        n = bias.shape[0]
        if kernels.shape[:2] != (n, n) or kernels.shape[2] < 1:
            raise ValueError(
                f"kernels must have shape ({n}, {n}, lags >= 1) for {n} biases, not {kernels.shape}"
            )
        if tau <= 0 or dt <= 0 or window < 1:
            raise ValueError(f"tau, dt and window must be positive, not {tau}, {dt}, {window}")
        self.bias, self.kernels = bias, kernels
        self.conjunctions = jnp.asarray(conjunctions, dtype=int).reshape(-1, 3)
        self.weights = jnp.asarray(weights, dtype=bias.dtype).reshape(-1)
        if len(self.weights) != len(self.conjunctions):
            raise ValueError(
                f"{len(self.conjunctions)} conjunctions need as many weights, not "
                f"{len(self.weights)}"
            )
        self.gain = jnp.zeros(n, bias.dtype) if gain is None else jnp.asarray(gain, bias.dtype)
        self.tau, self.window, self.dt, self.family = float(tau), window, float(dt), family

    @property
    def units(self) -> int:
        return self.bias.shape[0]

    def adjacency(self) -> Bool[np.ndarray, "post pre"]:
        """True where the unit of the column drives the unit of the row (also by conjunction)."""
        a = np.any(np.asarray(self.kernels) != 0, axis=2)
        for target, one, other in np.asarray(self.conjunctions):
            a[target, [one, other]] = True
        return a

    def lags(self) -> Int[np.ndarray, "post pre"]:
        """Lag in bins of the strongest kernel weight of each pair, 0 where there is none."""
        k = np.abs(np.asarray(self.kernels))
        return np.where(k.max(2) > 0, k.argmax(2) + 1, 0)

    def simulate(self, bins: int, key: PRNGKeyArray) -> Simulation:
        """Run `bins` bins from an empty past; a pure function of the key. ValueError if a Poisson
        circuit runs away."""
        if bins < 1:
            raise ValueError(f"bins must be at least 1, not {bins}")
        done = _simulate(self, int(bins), key)
        if self.family == "poisson" and not isinstance(done.rates, jax.core.Tracer):
            top = float(jnp.max(done.rates))
            if not top < 1000:
                raise ValueError(
                    f"the circuit runs away (a rate of {top:.0f} spikes per bin): its excitation "
                    "feeds itself, so use smaller weights, fewer edges or 'bernoulli'"
                )
        return done

    def rates(
        self, spikes: Float[Array, "time unit"], z: Float[Array, " time"] | None = None
    ) -> Float[Array, "time unit"]:
        """Mean of each bin given the bins before it (an empty past before the first), as
        `simulate` used it: the true generator's prediction for any recording."""
        bins, lags = spikes.shape[0], self.kernels.shape[2]
        past = jnp.pad(spikes.astype(self.bias.dtype), ((max(lags, self.window), 0), (0, 0)))
        start = past.shape[0] - bins

        def at(lag):
            return past[start - lag : start - lag + bins]

        eta = jnp.broadcast_to(self.bias, (bins, self.units))
        for lag in range(1, lags + 1):
            eta = eta + at(lag) @ self.kernels[:, :, lag - 1].T
        if len(self.weights):
            seen = sum(at(lag) for lag in range(1, self.window + 1)) > 0
            eta = eta + self._conjoined(seen)
        if z is not None:
            eta = eta + z[:, None] * self.gain[None, :]
        return mean_of(self.family, eta)

    def log_likelihood(
        self, spikes: Float[Array, "time unit"], z: Float[Array, " time"] | None = None
    ) -> Float[Array, " unit"]:
        """Mean log-probability in nats per bin of each unit under the true generator (ceiling)."""
        return jnp.mean(log_probability(self.family, spikes, self.rates(spikes, z)), axis=0)

    def _conjoined(self, seen):
        target, one, other = self.conjunctions.T
        both = (seen[..., one] & seen[..., other]).astype(self.bias.dtype)
        drive = both * jnp.broadcast_to(self.weights, both.shape)
        return jnp.zeros(seen.shape, self.bias.dtype).at[..., target].add(drive)


def ornstein_uhlenbeck(bins: int, tau: float, key: PRNGKeyArray) -> Float[Array, " time"]:
    """Stationary OU process of unit variance sampled exactly at every bin:
    z' = a z + sqrt(1 - a^2) noise with a = exp(-1 / tau), tau in bins."""
    a = jnp.exp(-1.0 / jnp.asarray(tau, float))
    noise = jr.normal(key, (bins,))

    def step(z, e):
        z = a * z + jnp.sqrt(1 - a**2) * e
        return z, z

    _, z = jax.lax.scan(step, noise[0], noise[1:])
    return jnp.concatenate([noise[:1], z])


@eqx.filter_jit
def _simulate(circuit, bins, key):
    dtype = circuit.bias.dtype
    key_z, key_s = jr.split(key)
    z = ornstein_uhlenbeck(bins, circuit.tau, key_z).astype(dtype)
    n, lags = circuit.units, circuit.kernels.shape[2]
    depth = max(lags, circuit.window)
    # one matrix product a bin: the past is a flat vector, newest bin first
    flat = jnp.transpose(circuit.kernels, (2, 1, 0)).reshape(lags * n, n)
    if circuit.family == "bernoulli":  # drawing all noise at once is far cheaper than per bin
        noise = jr.uniform(key_s, (bins, n), dtype)
    else:
        noise = jr.split(key_s, bins)

    def step(past, now):
        e, drive = now
        eta = circuit.bias + past[:lags].reshape(-1) @ flat + circuit.gain * drive
        if len(circuit.weights):
            eta = eta + circuit._conjoined(jnp.any(past[: circuit.window] > 0, axis=0))
        rate = mean_of(circuit.family, eta)
        if circuit.family == "bernoulli":
            s = (e < rate).astype(dtype)
        else:
            s = jr.poisson(e, rate).astype(dtype)
        return jnp.concatenate([s[None], past[:-1]]), (s, rate)

    _, (spikes, rates) = jax.lax.scan(step, jnp.zeros((depth, n), dtype), (noise, z))
    return Simulation(spikes, z, rates)


def _logit(p):
    return np.log(p) - np.log1p(-p)


HUBS, ADDITIVE, CONJUNCTION, LONE = range(4)
KINDS = ("hub", "additive", "conjunction", "unconnected")


def hub_circuit(
    key: PRNGKeyArray,
    *,
    hubs: int = 3,
    additive: int = 10,
    conjunction: int = 10,
    unconnected: int = 7,
    hub_rate: float = 8.0,
    rate: float = 3.0,
    weight: float = 1.2,
    pair_weight: float = 3.0,
    max_lag: int = 5,
    window: int = 3,
    modulated: int = 8,
    gain: float = 0.8,
    tau: float = 1000.0,
    dt: float = 10.0,
) -> Circuit:
    """A few hubs drive the rest: the simulated circuit on which Neuroformer is judged.

    Hubs fire at `hub_rate` Hz, the others at a base of `rate` Hz. Each additive target listens to
    one hub (`weight`, one lag drawn from 1..`max_lag`), each conjunction target to a pair of hubs
    (`pair_weight` when both fired in the last `window` bins), `modulated` units that are no hubs
    to the behaviour z (`gain`; `tau` in ms). Units stand in the order of `KINDS`; wiring, lags and
    modulated units are drawn from the key. The paper (Antoniades et al. 2023, figure 2) has no
    public simulator; the conjunctions are ours, since on an additive circuit a GLM is the truth.

    >>> import jax.random as jr
    >>> hub_circuit(jr.key(0)).adjacency().sum().item()
    30
    """
    n = hubs + additive + conjunction + unconnected
    if hubs < 2 and conjunction:
        raise ValueError("conjunction targets need at least 2 hubs; pass conjunction=0 or hubs=2")
    if modulated > n - hubs:
        raise ValueError(f"modulated must be at most {n - hubs} (units that are no hubs)")
    for r in (hub_rate, rate):
        if not 0 < r * dt / 1000 < 1:
            raise ValueError(f"a rate of {r} Hz has no probability in bins of {dt} ms")
    k_hub, k_lag, k_pair, k_mod = jr.split(key, 4)
    base = np.where(np.arange(n) < hubs, hub_rate, rate) * dt / 1000
    kernels = np.zeros((n, n, max_lag))
    targets = hubs + np.arange(additive)
    source = np.asarray(jr.randint(k_hub, (additive,), 0, hubs))
    lag = np.asarray(jr.randint(k_lag, (additive,), 0, max_lag))
    kernels[targets, source, lag] = weight
    pairs = np.array([(a, b) for a in range(hubs) for b in range(a + 1, hubs)]).reshape(-1, 2)
    chosen = pairs[np.asarray(jr.randint(k_pair, (conjunction,), 0, max(len(pairs), 1)))]
    rows = np.concatenate([hubs + additive + np.arange(conjunction)[:, None], chosen], axis=1)
    gains = np.zeros(n)
    gains[hubs + np.asarray(jr.permutation(k_mod, n - hubs))[:modulated]] = gain
    return Circuit(
        bias=jnp.asarray(_logit(base), float),
        kernels=jnp.asarray(kernels, float),
        conjunctions=rows,
        weights=np.full(conjunction, pair_weight),
        gain=gains,
        tau=tau / dt,
        window=window,
        dt=dt,
    )


def kinds(
    hubs: int = 3, additive: int = 10, conjunction: int = 10, unconnected: int = 7
) -> Int[np.ndarray, " unit"]:
    """Index into `KINDS` of each unit of a `hub_circuit` with these numbers of units."""
    return np.repeat(np.arange(4), [hubs, additive, conjunction, unconnected])


def random_circuit(
    key: PRNGKeyArray,
    units: int = 20,
    *,
    density: float = 0.1,
    weight: float = 1.0,
    inhibitory: float = 0.0,
    lags: int = 5,
    decay: float = 2.0,
    rate: float = 5.0,
    dt: float = 10.0,
    refractory: float = 0.0,
    family: Family = "bernoulli",
) -> Circuit:
    """A sparse random circuit whose truth is a coupled GLM.

    Every directed pair is connected with probability `density`; its kernel is
    `weight` exp(-(l - 1) / decay) over lags l = 1..`lags`, with the sign of its source (a share
    `inhibitory` of units is negative, Dale's law). `refractory` is subtracted at lag 1 of each
    unit's own history.

    >>> import jax.random as jr
    >>> random_circuit(jr.key(0), 6, density=0.3).kernels.shape
    (6, 6, 5)
    """
    if not 0 <= density <= 1 or not 0 <= inhibitory <= 1:
        raise ValueError("density and inhibitory are shares between 0 and 1")
    if not 0 < rate * dt / 1000 < 1:
        raise ValueError(f"a rate of {rate} Hz has no probability in bins of {dt} ms")
    k_edge, k_sign = jr.split(key)
    edge = np.asarray(jr.uniform(k_edge, (units, units)) < density) & ~np.eye(units, dtype=bool)
    sign = np.where(np.asarray(jr.uniform(k_sign, (units,))) < inhibitory, -1.0, 1.0)
    kernels = (edge * sign[None, :])[:, :, None] * weight * np.exp(-np.arange(lags) / decay)
    kernels[np.arange(units), np.arange(units), 0] -= refractory
    p = rate * dt / 1000
    bias = np.full(units, _logit(p) if family == "bernoulli" else np.log(p))
    return Circuit(jnp.asarray(bias, float), jnp.asarray(kernels, float), dt=dt, family=family)
