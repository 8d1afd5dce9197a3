"""Gated recurrent cells: GRU and LSTM."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from neuropil.cells.rate import check_gates, drive_all, uniform_gates
from neuropil.core import System, param


class GRU(System):
    r"""Gated recurrent unit.

    $$r = \sigma(W_r x + b_r + U_r h), \quad z = \sigma(W_z x + b_z + U_z h)$$
    $$n = \tanh(W_n x + b_n + r \odot (U_n h + b_h)), \qquad h \leftarrow (1 - z) \odot n + z \odot h$$

    Gates are stacked r, z, n, as in torch and equinox: `weight` W (3 unit, input), `recurrent` U
    (3 unit, unit), `bias` b (3 unit), `bias_hidden` b_h (unit). State and output: h (unit,).

    Source: Cho et al. (2014), EMNLP, in the form with the reset gate after the matrix (as in cuDNN).

    >>> from neuropil.core import run, start
    >>> cell = GRU.init_uniform(3, 4, jax.random.key(0))
    >>> run(cell, start(cell, 1.0, jax.random.key(0)), jnp.ones((5, 3)))[1].shape
    (5, 4)

    Raises ValueError for weights whose shapes do not fit.
    """

    weight: Array = param(axes=("gate", "input"))
    recurrent: Array = param(axes=("gate", "unit"))
    bias: Array = param(axes=("gate",))
    bias_hidden: Array = param(axes=("unit",))

    def __check_init__(self):
        check_gates("GRU", self.weight, self.recurrent, self.bias, 3)
        if self.bias_hidden.shape != (self.recurrent.shape[1],):
            raise ValueError(
                f"GRU: bias_hidden {self.bias_hidden.shape} but there are "
                f"{self.recurrent.shape[1]} units"
            )

    @staticmethod
    def init_uniform(pre: int, post: int, key: Array) -> GRU:
        """All uniform on +-1/sqrt(post), as torch and equinox do."""
        a, b = jax.random.split(key)
        bound = post**-0.5
        hidden = jax.random.uniform(b, (post,), minval=-bound, maxval=bound)
        return GRU(*uniform_gates(pre, post, 3, a), hidden)

    def init(self, dt, key):
        return self.rest()

    def _next(self, driven, h):
        own_r, own_z, own_n = jnp.split(self.recurrent @ h, 3)
        r, z, n = jnp.split(driven, 3)
        r, z = jax.nn.sigmoid(r + own_r), jax.nn.sigmoid(z + own_z)
        n = jnp.tanh(n + r * (own_n + self.bias_hidden))
        return n + z * (h - n)

    def step(self, state, x, tick):
        h = self._next(self.weight @ x + self.bias, state)
        return h, h

    def unroll(self, state, xs, ticks):
        def body(h, driven):
            h = self._next(driven, h)
            return h, h

        return lax.scan(body, state, drive_all(self.weight, self.bias, xs))

    def rest(self):
        return jnp.zeros(self.recurrent.shape[1], self.recurrent.dtype)


class LSTM(System):
    r"""Long short-term memory with a forget gate.

    $$i, f, o = \sigma(W x + U h + b), \quad g = \tanh(W_g x + U_g h + b_g)$$
    $$c \leftarrow f \odot c + i \odot g, \qquad h \leftarrow o \odot \tanh(c)$$

    Gates are stacked i, f, g, o, as in torch and equinox: `weight` W (4 unit, input), `recurrent` U
    (4 unit, unit), `bias` b (4 unit). State: {"h", "c"}, each (unit,); output: h.

    Source: Hochreiter, Schmidhuber (1997), Neural Comput. 9, 1735; forget gate: Gers et al. (2000),
    Neural Comput. 12, 2451.

    >>> from neuropil.core import run, start
    >>> cell = LSTM.init_uniform(3, 4, jax.random.key(0))
    >>> run(cell, start(cell, 1.0, jax.random.key(0)), jnp.ones((5, 3)))[1].shape
    (5, 4)

    Raises ValueError for weights whose shapes do not fit.
    """

    weight: Array = param(axes=("gate", "input"))
    recurrent: Array = param(axes=("gate", "unit"))
    bias: Array = param(axes=("gate",))

    def __check_init__(self):
        check_gates("LSTM", self.weight, self.recurrent, self.bias, 4)

    @staticmethod
    def init_uniform(pre: int, post: int, key: Array, *, forget: float | int = 0.0) -> LSTM:
        """All uniform on +-1/sqrt(post), as torch and equinox do; `forget` is added to the forget bias."""
        weight, recurrent, bias = uniform_gates(pre, post, 4, key)
        return LSTM(weight, recurrent, bias.at[post : 2 * post].add(forget))

    @staticmethod
    def init_chrono(pre: int, post: int, key: Array, *, horizon: float | int) -> LSTM:
        """Units that remember for 1 to `horizon` ticks: b_f = log U(1, horizon - 1), b_i = -b_f, else 0.

        Weights are uniform on +-1/sqrt(post).

        Source: Tallec, Ollivier (2018), ICLR, arXiv:1804.11188.
        """
        if horizon <= 2:
            raise ValueError(f"LSTM.init_chrono: horizon = {horizon} ticks but it must be above 2")
        a, b = jax.random.split(key)
        weight, recurrent, _ = uniform_gates(pre, post, 4, a)
        spans = jnp.log(jax.random.uniform(b, (post,), minval=1, maxval=horizon - 1))
        still = jnp.zeros(2 * post)
        return LSTM(weight, recurrent, jnp.concatenate([-spans, spans, still]))

    def init(self, dt, key):
        return {"h": self.rest(), "c": self.rest()}

    def _next(self, driven, state):
        i, f, g, o = jnp.split(driven + self.recurrent @ state["h"], 4)
        c = jax.nn.sigmoid(f) * state["c"] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return {"h": h, "c": c}, h

    def step(self, state, x, tick):
        return self._next(self.weight @ x + self.bias, state)

    def unroll(self, state, xs, ticks):
        body = lambda state, driven: self._next(driven, state)
        return lax.scan(body, state, drive_all(self.weight, self.bias, xs))

    def rest(self):
        return jnp.zeros(self.recurrent.shape[1], self.recurrent.dtype)
