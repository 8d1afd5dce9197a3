r"""A layer of excitatory and inhibitory cells that keeps itself in balance: no batch statistics are needed.

Source of the circuit, its start (E-I Init) and its gradient (E-I Prop): Liu, Ding, Yu (2026), Training deep
normalization-free spiking neural networks with lateral inhibition, ICLR, arXiv 2509.23253.
"""

from __future__ import annotations

import functools
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Float, Key

from neuropil.core import fold, param
from neuropil.wiring import Conv, Dense, Wiring


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def scaled_gradient(x: Array, factor: float) -> Array:
    """x itself, whose gradient is multiplied by `factor`.

    >>> float(jax.grad(lambda x: scaled_gradient(x, 0.5) ** 2)(3.0))
    3.0
    """
    return x


@scaled_gradient.defjvp
def _scaled(factor, primals, tangents):
    return primals[0], factor * tangents[0]


def nonzero_floor(x: Array) -> Array:
    """Zeros replaced by the smallest positive entry of the sample (by 1 where all are 0).

    The gradient passes as if nothing were replaced (straight-through).

    >>> nonzero_floor(jnp.array([0.0, 3.0, 2.0])).tolist()
    [2.0, 3.0, 2.0]
    """
    least = jnp.min(jnp.where(x > 0, x, jnp.inf))
    floor = jnp.where(jnp.isfinite(least), least, 1.0).astype(x.dtype)
    return x + lax.stop_gradient(jnp.where(x > 0, 0.0, floor - x))


class EICircuit(eqx.Module):
    r"""Excitatory drive, from which fast inhibitory cells subtract, and which they divide.

    $$I_{EE} = W_{EE} x, \quad s_I = W_{IE} x, \quad I_{sub} = W_{EI} s_I, \quad
    I_{div} = W_{EI} (g_I \odot s_I)$$
    $$I = g_E \odot (I_{EE} - I_{sub}) / I_{div} + b_E$$

    Inhibitory cells are graded and follow at once; everything but b_E is to stay at or above 0 (Dale's law:
    `keep_signs(EICircuit.signs)` of `neuropil.learn` in a trainer). Entries of I_div that are 0 become the
    smallest positive one of the sample; a sample without input gives b_E. With `divide=False` (an output
    layer) I = I_EE - I_sub.

    The result does not change when x is scaled by a positive number. The gradient of W_EI is divided by the
    fan-in d (E-I Prop), all else is the plain gradient.

    **Arguments**: `excite`, `recruit`: wiring from the input to the E and the I cells, dense or convolutional
    (then W_EI acts at every place, as a 1 x 1 convolution); `inhibit` W_EI (n_E, n_I); `gain_i`
    (n_I,), `gain_e`, `bias` (n_E,). Input: one sample, as the wiring takes it. Start: `EICircuit.balanced`.

    >>> x = jr.bernoulli(jr.key(0), 0.3, (256, 400)).astype(float)
    >>> layer = EICircuit.balanced(x, 100, jr.key(1))
    >>> current = jax.vmap(layer)(x)
    >>> current.shape, bool(abs(current.var() - 1.04 / 1.7) < 0.1)
    ((256, 100), True)

    Raises ValueError where the shapes of the parts do not fit each other.
    """

    excite: Wiring
    recruit: Wiring
    inhibit: Array = param(bounds=(0, None), axes=("excitatory", "inhibitory"))
    gain_i: Array = param(bounds=(0, None), axes=("inhibitory",))
    gain_e: Array = param(bounds=(0, None), axes=("excitatory",))
    bias: Array = param(axes=("excitatory",))
    divide: bool = eqx.field(static=True, default=True)

    signs: ClassVar = {
        f"*{n}": 1 for n in ("excite.weight", "recruit.weight", "inhibit", "gain_i", "gain_e")
    }

    def __check_init__(self):
        n_e, n_i = self.excite.weight.shape[0], self.recruit.weight.shape[0]
        shapes = (self.inhibit.shape, self.gain_i.shape, self.gain_e.shape, self.bias.shape)
        if shapes != ((n_e, n_i), (n_i,), (n_e,), (n_e,)):
            raise ValueError(
                f"EICircuit: {n_e} excitatory and {n_i} inhibitory cells, but inhibit, gain_i, gain_e, bias "
                f"have shapes {shapes}"
            )

    @property
    def fan_in(self) -> int:
        """Inputs of a cell, d."""
        return math.prod(self.excite.weight.shape[1:])

    def __call__(self, x: Array) -> Array:
        w = scaled_gradient(self.inhibit, 1 / self.fan_in)
        drive, s = self.excite.forward(x), self.recruit.forward(x)
        across = (1,) * (s.ndim - 1)  # space, in a convolution
        balanced = drive - jnp.tensordot(w, s, 1)
        if not self.divide:
            return balanced
        whole = lambda v: v.reshape(-1, *across)
        divided = balanced / nonzero_floor(jnp.tensordot(w, whole(self.gain_i) * s, 1))
        return whole(self.gain_e) * divided + whole(self.bias)

    @staticmethod
    def of(
        pre: int,
        post: int,
        key: Key[Array, ""],
        *,
        size: float | Array,
        gain: float | Array = 1.0,
        ratio: int = 4,
        kernel: tuple[int, ...] = (),
        divide: bool = True,
    ) -> EICircuit:
        """Exponential weights of mean `size`, W_EI = 1 / n_I, inhibitory gains `gain`, g_E = 1, b_E = 0.

        The other arguments are those of `balanced`, which chooses size and gain.
        """
        n_i = post // ratio
        if n_i < 1:
            raise ValueError(
                f"EICircuit: {post} excitatory cells and a ratio of {ratio} leave no inhibitory cell"
            )
        make = Conv if kernel else Dense
        draw = lambda n, name: make(size * jr.exponential(fold(key, name), (n, pre, *kernel)))
        wires = draw(post, "excite"), draw(n_i, "recruit")
        inhibit = jnp.full((post, n_i), 1 / n_i)
        return EICircuit(
            *wires, inhibit, jnp.full(n_i, gain), jnp.ones(post), jnp.zeros(post), divide
        )

    @staticmethod
    def balanced(
        x: Float[Array, "sample pre *space"],
        post: int,
        key: Key[Array, ""],
        *,
        ratio: int = 4,
        kernel: tuple[int, ...] = (),
        divide: bool = True,
    ) -> EICircuit:
        r"""E-I Init: a circuit in balance for inputs like these, with gain so that Var(I) is of order 1.

        $$W_{EE}, W_{IE} \sim \mathrm{Exp}\Big(\text{mean} \sqrt{\tfrac{s^2}{d (q + s^2)}}\Big), \quad
        W_{EI} = \frac{1}{n_I}, \quad g_I = \frac{\sqrt{q + s^2}}{m \sqrt d}$$

        m and q are the mean and the mean square of all inputs, s^2 the variance across samples of each input,
        averaged. Then E[I_EE] = E[I_sub] and E[I_div] = sd(I_EE). For binary input of rate p, Var(I) =
        (1 + 1 / n_I) / (2 - p).

        **Arguments**: `x`: inputs of a first batch, (sample, pre) or (sample, channel, *space); `post`:
        excitatory cells; `ratio`: excitatory cells for one inhibitory; `kernel`: of a convolution; `key`.

        Raises ValueError where no inhibitory cell is left.
        """
        d = x.shape[1] * math.prod(kernel)
        mean, square, spread = jnp.mean(x), jnp.mean(x**2), jnp.mean(jnp.var(x, axis=0))
        tiny = jnp.finfo(x.dtype).tiny  # a batch without input: weights of 0
        size = jnp.sqrt(spread / (d * jnp.maximum(square + spread, tiny)))
        gain = jnp.sqrt(square + spread) / (jnp.maximum(mean, tiny) * math.sqrt(d))
        more = dict(ratio=ratio, kernel=kernel, divide=divide)
        return EICircuit.of(x.shape[1], post, key, size=size, gain=gain, **more)
