"""Voltage-gated channels as parts of a cable."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from neuropil.core import Part, param


def _linoid(x: Array) -> Array:
    """x / (1 - e^{-x}), also at x = 0."""
    small = jnp.abs(x) < 1e-4
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 + x / 2, safe / -jnp.expm1(-safe))


class Kinetics(Part):
    r"""Gates that open and close at rates per ms which depend on the voltage.

    $$\dot x = \alpha_x(v)(1 - x) - \beta_x(v)\,x, \qquad \text{open} = \prod_x x^{p_x}$$

    A subclass gives `gates(v) -> {name: (alpha, beta, power)}`.
    """

    def gates(self, v: Array) -> dict[str, tuple[Array, Array, int]]:
        """{name: (alpha, beta (1/ms), power)} at voltages v (mV)."""
        raise TypeError(f"{type(self).__name__} has no gates(v)")


class SquidSodium(Kinetics):
    """m^3 h of the squid axon at 6.3 degrees, resting potential -65 mV.

    alpha_m = 0.1 (v + 40) / (1 - e^{-(v + 40) / 10}), beta_m = 4 e^{-(v + 65) / 18},
    alpha_h = 0.07 e^{-(v + 65) / 20}, beta_h = 1 / (1 + e^{-(v + 35) / 10}).

    Source: Hodgkin, Huxley (1952), J. Physiol. 117, 500.
    """

    def gates(self, v):
        opens = _linoid((v + 40) / 10), 4 * jnp.exp(-(v + 65) / 18), 3
        shuts = 0.07 * jnp.exp(-(v + 65) / 20), 1 / (1 + jnp.exp(-(v + 35) / 10)), 1
        return {"m": opens, "h": shuts}


class SquidPotassium(Kinetics):
    """n^4 of the squid axon at 6.3 degrees, resting potential -65 mV.

    alpha_n = 0.01 (v + 55) / (1 - e^{-(v + 55) / 10}), beta_n = 0.125 e^{-(v + 65) / 80}.

    Source: Hodgkin, Huxley (1952), J. Physiol. 117, 500.
    """

    def gates(self, v):
        return {"n": (0.1 * _linoid((v + 55) / 10), 0.125 * jnp.exp(-(v + 65) / 80), 4)}


class CorticalSodium(Kinetics):
    """m^3 h of a cortical or hippocampal pyramidal cell at 36 degrees, shifted by `shift` (mV).

    With u = v - shift: alpha_m = 0.32 (u - 13) / (1 - e^{-(u - 13) / 4}), beta_m = 0.28 (u - 40) /
    (e^{(u - 40) / 5} - 1), alpha_h = 0.128 e^{-(u - 17) / 18}, beta_h = 4 / (1 + e^{-(u - 40) / 5}).

    Source: Traub, Miles (1991), as in Pospischil et al. (2008), Biol. Cybern. 99, 427.
    """

    shift: Array = param(-56.2, unit="mV", source="Pospischil et al. (2008), regular spiking")

    def gates(self, v):
        u = v - self.shift
        opens = 1.28 * _linoid((u - 13) / 4), 1.4 * _linoid(-(u - 40) / 5), 3
        shuts = 0.128 * jnp.exp(-(u - 17) / 18), 4 / (1 + jnp.exp(-(u - 40) / 5)), 1
        return {"m": opens, "h": shuts}


class CorticalPotassium(Kinetics):
    """n^4 of a cortical or hippocampal pyramidal cell at 36 degrees, shifted by `shift` (mV).

    With u = v - shift: alpha_n = 0.032 (u - 15) / (1 - e^{-(u - 15) / 5}), beta_n = 0.5 e^{-(u - 10) / 40}.

    Source: Traub, Miles (1991), as in Pospischil et al. (2008), Biol. Cybern. 99, 427.
    """

    shift: Array = param(-56.2, unit="mV", source="Pospischil et al. (2008), regular spiking")

    def gates(self, v):
        u = v - self.shift
        return {"n": (0.16 * _linoid((u - 15) / 5), 0.5 * jnp.exp(-(u - 10) / 40), 4)}


class Channel(Part):
    r"""A population of ion channels in the membrane of a cable.

    $$I_k = A_k\,\bar g_k\,\text{open}(v_k)\,(E - v_k)$$

    Gates relax exactly along their rates at the voltage of the tick's beginning.

    **Arguments**: `kinetics`, its gates; `density` (mS/cm2), one number or one a compartment (0 where there
    are none: `density=120 * tree.of_kind(SOMA)`); `reversal` E (mV); `speed`, a factor on all rates
    (3^((T - 6.3) / 10) for squid channels at T degrees).

    >>> sodium = Channel(SquidSodium(), 120.0, 50.0)
    >>> sorted(sodium.start(jnp.array([-65.0])))
    ['h', 'm']
    """

    kinetics: Kinetics
    density: Array = param(unit="mS/cm2", bounds=(0, None), axes=("compartment",))
    reversal: Array = param(unit="mV")
    speed: Array = param(1.0, bounds=(0, None))

    def start(self, v: Array) -> dict[str, Array]:
        """Every gate at its steady state for voltages v."""
        return {name: a / (a + b) for name, (a, b, _) in self.kinetics.gates(v).items()}

    def moved(self, gates: dict[str, Array], v: Array, dt: Array) -> dict[str, Array]:
        """Gates after dt (ms) at voltages v."""
        new = {}
        for name, (a, b, _) in self.kinetics.gates(v).items():
            end, rate = a / (a + b), self.speed * (a + b)
            new[name] = end + (gates[name] - end) * jnp.exp(-rate * dt)
        return new

    def conductance(self, gates: dict[str, Array], v: Array) -> Array:
        """Open conductance (mS/cm2) of each compartment."""
        opening = self.density
        for name, (_, _, power) in self.kinetics.gates(v).items():
            opening = opening * gates[name] ** power
        return opening
