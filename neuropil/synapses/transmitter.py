"""Receptors opened by pulses of transmitter, which saturate: two states, and with a second messenger."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param
from neuropil.synapses.kinetics import as_shape

_KINETIC = "Destexhe, Mainen, Sejnowski (1998), in Methods in Neuronal Modeling, 2nd ed., MIT Press"


def _pulse(left: Array, x: Array, pulse: Array, dt: Array) -> tuple[Array, Array]:
    """How long (ms) transmitter is there in this tick, and for how long after it. A spike starts anew."""
    left = x * pulse + (1 - x) * left
    on = jnp.clip(left, 0, dt)
    return on, left - on


class TwoState(System):
    r"""Receptors closed or open: each spike releases transmitter T for `pulse` ms.

    $$\dot r = \alpha T (1 - r) - \beta r$$

    Exact for any dt, also where a pulse ends within a tick. It saturates, so there is one r a presynaptic
    cell: it stands before the wiring, `Chain(TwoState.ampa(n), wire, To("ampa"))`, and what arrives is a
    conductance for `Receptor(reversal)`. Input: spikes (0 or 1). Output: r at the end of the tick, 0 to 1.

    `TwoState.ampa`, `.nmda`, `.gaba_a` have the published rates (1 mM for 1 ms):

    | | alpha (1 / (mM ms)) | beta (1 / ms) | reversal (mV) |
    |---|---|---|---|
    | AMPA | 1.1 | 0.19 | 0 |
    | NMDA | 0.072 | 0.0066 | 0, `MagnesiumBlock` |
    | GABA-A | 5 | 0.18 | -80 |

    Source: Destexhe, Mainen, Sejnowski (1998), in Methods in Neuronal Modeling, 2nd ed., MIT Press.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> synapse = TwoState.ampa(1)
    >>> xs = jnp.array([[1.0], [0.0]])
    >>> ys = run(synapse, start(synapse, 1.0, jax.random.key(0)), xs)[1][:, 0]
    >>> [round(float(y), 3) for y in ys]
    [0.618, 0.511]
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    alpha: Array = param(1.1, unit="1 / (mM ms)", bounds=(0, None), source=_KINETIC)
    beta: Array = param(0.19, unit="1 / ms", bounds=(0, None), source=_KINETIC)
    transmitter: Array = param(1.0, unit="mM", bounds=(0, None), source=_KINETIC)
    pulse: Array = param(1.0, unit="ms", bounds=(0, None), source=_KINETIC)

    @staticmethod
    def ampa(shape: int | tuple[int, ...]) -> TwoState:
        """Fast glutamate receptors."""
        return TwoState(shape, 1.1, 0.19)

    @staticmethod
    def nmda(shape: int | tuple[int, ...]) -> TwoState:
        """Slow glutamate receptors; their `Receptor` has a `MagnesiumBlock`."""
        return TwoState(shape, 0.072, 0.0066)

    @staticmethod
    def gaba_a(shape: int | tuple[int, ...]) -> TwoState:
        """Fast inhibition."""
        return TwoState(shape, 5.0, 0.18)

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.alpha.dtype)
        return {"open": zero, "left": zero}

    def step(self, state, x, tick):
        on, left = _pulse(state["left"], x, self.pulse, tick.dt)
        r = _bound(state["open"], on, tick.dt, self.alpha * self.transmitter, self.beta)[-1]
        return {"open": r, "left": left}, r

    def rest(self):
        return jnp.zeros(self.shape, self.alpha.dtype)


def _bound(r: Array, on: Array, dt: Array, up: Array, down: Array) -> tuple[Array, Array]:
    """Share of bound receptors when the transmitter goes, and at the end of the tick."""
    end = up / (up + down)
    gone = end + (r - end) * jnp.exp(-on * (up + down))
    return gone, gone * jnp.exp(-down * (dt - on))


class SecondMessenger(System):
    r"""GABA-B: bound receptors r make a G-protein s, of which n open a potassium channel.

    $$\dot r = K_1 T (1 - r) - K_2 r, \qquad \dot s = K_3 r - K_4 s, \qquad g = \frac{s^n}{s^n + K_d}$$

    Slow, and far stronger for a burst than for single spikes. Exact for any dt. One a presynaptic cell, before
    the wiring, for a `Receptor` with reversal -95 mV. Input: spikes (0 or 1). Output: g, 0 to 1 (a single
    spike gives some 3e-5, so maximal conductances are large).

    Source: Destexhe, Bal, McCormick, Sejnowski (1996), J. Neurophysiol. 76, 2049, and its mechanism
    `gabab` (0.5 mM for 0.3 ms).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> synapse = SecondMessenger(1)
    >>> burst = jnp.zeros((200, 1)).at[:20:2].set(1.0)
    >>> one = run(synapse, start(synapse, 1.0, jax.random.key(0)), burst.at[1:].set(0.0))[1].max()
    >>> ten = run(synapse, start(synapse, 1.0, jax.random.key(0)), burst)[1].max()
    >>> bool(ten > 1000 * one)
    True
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    bind: Array = param(0.52, unit="1 / (mM ms)", bounds=(0, None), about="K1")
    unbind: Array = param(0.0013, unit="1 / ms", bounds=(0, None), about="K2")
    produce: Array = param(0.098, unit="1 / ms", bounds=(0, None), about="K3")
    decay: Array = param(0.033, unit="1 / ms", bounds=(0, None), about="K4")
    dissociation: Array = param(100.0, bounds=(0, None), about="Kd, in units of s^n")
    sites: int = eqx.field(static=True, default=4)
    transmitter: Array = param(0.5, unit="mM", bounds=(0, None))
    pulse: Array = param(0.3, unit="ms", bounds=(0, None))

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.bind.dtype)
        return {"bound": zero, "messenger": zero, "left": zero}

    def step(self, state, x, tick):
        on, left = _pulse(state["left"], x, self.pulse, tick.dt)
        up, down = self.bind * self.transmitter, self.unbind
        start = state["bound"]
        gone, r = _bound(start, on, tick.dt, up, down)
        end = up / (up + down)
        s = self._made(state["messenger"], end, start - end, up + down, on)
        s = self._made(s, 0.0, gone, down, tick.dt - on)
        power = s**self.sites
        state = {"bound": r, "messenger": s, "left": left}
        return state, power / (power + self.dissociation)

    def _made(self, s, level, off, rate, t):
        """s after t ms in which r = level + off e^{-rate t}."""
        fade = jnp.exp(-self.decay * t)
        z = (self.decay - rate) * t
        small = jnp.abs(z) < 1e-6
        ratio = jnp.where(small, 1 + z / 2, jnp.expm1(z) / jnp.where(small, 1.0, z))
        # both exponentials at once: (e^{-rate t} - e^{-decay t}) / (decay - rate) = t e^{-decay t} phi(z)
        kept = level * -jnp.expm1(-self.decay * t) / self.decay
        return fade * s + self.produce * (kept + off * t * fade * ratio)

    def rest(self):
        return jnp.zeros(self.shape, self.bind.dtype)
