"""A memory that is a network, trained while it is used: by surprise, with momentum and forgetting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key

from neuropil.blocks import unit_silu
from neuropil.blocks.attention import check_heads, join_heads, split_heads
from neuropil.core import System, Tick, param
from neuropil.memory.chunks import in_chunks, products
from neuropil.wiring import Dense

Weights = tuple[Array, ...]


def recall(
    weights: Weights,
    x: Float[Array, "*time key"],
    *,
    activation: Callable = jax.nn.gelu,
    residual: bool = False,
) -> Float[Array, "*time value"]:
    r"""What a memory of these weights (out, in) says: $W_L \phi(\dots \phi(W_1 x))$, plus x where `residual`.

    >>> recall((jnp.array([[2.0, 0.0]]),), jnp.array([3.0, 1.0])).tolist()
    [6.0]
    """
    return _through(weights, x, activation, residual)[0]


def _through(weights, x, activation, residual):
    """(output, inputs of the layers, what enters their activations)."""
    h, inputs, before = x, [], []
    for level, w in enumerate(weights):
        inputs.append(h)
        z = h @ w.T
        before.append(z)
        h = activation(z) if level < len(weights) - 1 else z
    return (h + x if residual else h), inputs, before


def surprise(
    weights: Weights,
    k: Float[Array, "time key"],
    v: Float[Array, "time value"],
    *,
    activation: Callable = jax.nn.gelu,
    residual: bool = False,
) -> list[tuple[Array, Array]]:
    r"""Gradients of $|M(k_t) - v_t|^2$ by every weight, as the two factors of outer products.

    Layer by layer (delta (time, out), h (time, in)): the gradient of token t is $\delta_t h_t^\top$.

    >>> (delta, h), = surprise((jnp.zeros((1, 2)),), jnp.array([[1.0, 0.0]]), jnp.array([[3.0]]))
    >>> (delta[0, :, None] * h[0][None]).tolist()
    [[-6.0, -0.0]]
    """
    y, inputs, before = _through(weights, k, activation, residual)
    delta, found = 2 * (y - v), []
    for level in reversed(range(len(weights))):
        found.append((delta, inputs[level]))
        if level:
            back = jax.vjp(activation, before[level - 1])[1]
            (delta,) = back(delta @ weights[level])
    return found[::-1]


def largest_step(chunk: int, momentum: float = 0.0) -> float:
    r"""A step with which a memory written in chunks does not overshoot: $(1 - \eta) / b$.

    All b gradients of a chunk are taken at its anchor and momentum draws each out by $1 / (1 - \eta)$: a chunk
    that repeats one pair acts as one step of $2 \theta b / (1 - \eta)$ before it hears of itself. For a linear
    memory and a key of length 1 the error e and the momentum s after a chunk are, with
    $p = (1 - \eta^b) / (1 - \eta)$ and $g = (b - \eta p) / (1 - \eta)$,

    $$e' = (1 - 2 \theta g)\, e + \eta p\, s, \qquad s' = -2 \theta p\, e + \eta^b s.$$

    Both eigenvalues lie within 1 (Jury) where $\theta < (1 + \eta^b) / ((1 + \eta^b) g - \eta p^2)$ and
    $2 \theta (\eta p^2 - \eta^b g) < 1 - \eta^b$. The step returned here meets both for every b and $\eta < 1$,
    since $g \le b / (1 - \eta)$ and $2 \eta p < b (1 + \eta^b)$; without momentum it is the bound itself.
    In a deep memory a step also grows with the squared length of the hidden layers, which nothing bounds: there
    it is a scale and no guarantee.

    >>> largest_step(16, 0.5)
    0.03125

    Raises ValueError unless the chunk holds a token and 0 <= momentum < 1.
    """
    if chunk < 1 or not 0 <= momentum < 1:
        raise ValueError(
            f"largest_step: chunk = {chunk}, momentum = {momentum}; give 1 token or more, 0 <= momentum < 1"
        )
    return (1 - momentum) / chunk


class NeuralMemory(System):
    r"""Long-term memory that learns at test time: the weights of a small network are the state.

    $$S_t = \eta_t S_{t-1} - \theta_t \nabla_M |M(k_t) - v_t|^2, \qquad
      M_t = (1 - \alpha_t) M_{t-1} + S_t, \qquad y_t = M_t(q_t)$$

    per head: what surprises (a large gradient of the associative loss) is written, surprise lingers (momentum
    eta), and the past is forgotten (alpha). $q, k = \varphi(W x)$ of length 1, $v = \mathrm{SiLU}(W x)$; step,
    momentum and forgetting are $\ell \sigma(w \cdot x + b)$ of the present token, with the largest values
    `limits` (constants; a step above `largest_step` can overshoot within a chunk, and the memory diverges
    with it). The memory begins as `initial`, which is learned outside, by backpropagation
    through the writing.

    `chunk` b: the gradient is taken at the weights at the last tick number divisible by b, so that a chunk
    is done at once, as masked matrix products, without the weights of every tick being formed. b = 1 is the
    rule as it stands. `step` is the same rule token by token: both forms agree, from any state.

    `clip` c: no token's gradient, over all layers of a head, counts as longer than c (None: the rule as it
    stands). The error of a deep memory feeds back on its hidden layers, so that no step is safe for every
    input; clipped, a chunk moves the weights by at most $\theta b c / (1 - \eta)$, which is c at the
    `largest_step`.

    One layer, no momentum, no forgetting and b = 1 is the delta rule of `blocks.FastWeights`
    with beta = 2 theta.

    Input: (width,). Output: (values,), the heads side by side. State: {"weights", "anchor" (at the chunk's
    begin), "momentum"}, each a tuple of (head, out, in), one array a layer.

    >>> from neuropil.core import run, start
    >>> part = NeuralMemory.init_normal(8, hidden=(16,), chunk=4, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 8)))[1].shape
    (5, 8)

    Source: Behrouz, Zhong, Mirrokni (2024), arXiv 2501.00663, equations 12 to 18; matrix products instead
    of a weight for every tick: Sun et al. (2024), arXiv 2407.04620. The order (forgetting after the gradient)
    is the source's; a gated delta rule forgets first.

    Raises ValueError where heads do not divide the widths, layers do not fit, or the chunk holds no token.
    """

    query: Dense
    key: Dense
    value: Dense
    gates: Dense  # step, momentum, forgetting: a row a head
    initial: Weights
    limits: Array = param((1.0, 1.0, 1.0), bounds=(0, 1), axes=("gate",))
    heads: int = eqx.field(static=True, default=1)
    chunk: int = eqx.field(static=True, default=16)
    features: Callable = eqx.field(static=True, default=unit_silu)
    activation: Callable = eqx.field(static=True, default=jax.nn.gelu)
    residual: bool = eqx.field(static=True, default=False)
    clip: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        super().__check_init__()
        keys, values = self.key.weight.shape[0], self.value.weight.shape[0]
        check_heads("NeuralMemory", self.heads, keys=keys, values=values)
        if self.chunk < 1:
            raise ValueError(f"NeuralMemory: chunk = {self.chunk}; give 1 token or more")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"NeuralMemory: clip = {self.clip}; give a positive length, or None")
        ends = [keys // self.heads, *(w.shape[1] for w in self.initial)]
        begins = [*(w.shape[2] for w in self.initial), values // self.heads]
        if ends != begins or (self.residual and ends[0] != begins[-1]):
            raise ValueError(
                f"NeuralMemory: layers {[w.shape for w in self.initial]} (head, out, in) do not lead from"
                f" keys of {ends[0]} to values of {begins[-1]}"
                + (", which a residual needs equal" if self.residual else "")
            )

    @staticmethod
    def init_normal(
        width: int,
        *,
        key: Key[Array, ""],
        hidden: Sequence[int] = (),
        heads: int = 1,
        chunk: int = 16,
        residual: bool = False,
        limits: tuple[float, float, float] | None = None,
        begin: tuple[float, float, float] = (0.5, 0.5, 0.01),
        clip: float | None = None,
    ) -> NeuralMemory:
        """Maps normal with deviation 1 / sqrt(inputs); the memory has layers of `hidden` units between keys
        and values (none: it is linear and begins at 0); the gates are near `begin` times the limits. `limits`
        None: momentum to 0.5, the `largest_step` of it and of the chunk, forgetting to 1."""
        if limits is None:
            limits = (largest_step(chunk, 0.5), 0.5, 1.0)
        q, k, v, g, m = jr.split(key, 5)
        dense = lambda key: Dense.init_normal(width, width, key)
        bias = jnp.asarray([math.log(p / (1 - p)) for p in begin])
        gates = Dense(
            jr.normal(g, (3 * heads, width)) / math.sqrt(width) / 2, jnp.repeat(bias, heads)
        )
        sizes = [width // heads, *hidden, width // heads]
        initial = tuple(
            jr.normal(jr.fold_in(m, i), (heads, b, a)) / math.sqrt(a)
            for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
        if not hidden or residual:  # says nothing, or what it is asked, until it has learned
            initial = (*initial[:-1], jnp.zeros_like(initial[-1]))
        form = dict(heads=heads, chunk=chunk, residual=residual, clip=clip)
        return NeuralMemory(dense(q), dense(k), dense(v), gates, initial, limits, **form)

    def queries(self, xs: Float[Array, "time width"]) -> Float[Array, "head time key"]:
        """What each token asks for."""
        return self.features(split_heads(self.query.unroll((), xs, None)[1], self.heads))

    def project(self, xs: Float[Array, "time width"]) -> tuple[Array, ...]:
        """Keys, values (head, time, part); step, momentum and forgetting (gate, head, time)."""
        rows = lambda part: split_heads(part.unroll((), xs, None)[1], self.heads)
        gates = jax.nn.sigmoid(self.gates.unroll((), xs, None)[1].T)
        limits = jax.lax.stop_gradient(self.limits)  # a constant of the model, whatever learns
        gates = limits[:, None, None] * gates.reshape(3, self.heads, -1)
        return self.features(rows(self.key)), jax.nn.silu(rows(self.value)), gates

    def look(
        self, weights: Weights, q: Float[Array, "head time key"]
    ) -> Float[Array, "head time value"]:
        """What a memory says to queries, without learning."""
        form = dict(activation=self.activation, residual=self.residual)
        return jax.vmap(lambda w, q: recall(w, q, **form))(weights, q)

    def _clipped(self, square: Array) -> Array:
        """What to multiply a gradient of squared length `square` with: it then has at most length `clip`."""
        if self.clip is None:
            return jnp.ones_like(square)
        return jax.lax.rsqrt(jnp.maximum(1.0, square / self.clip**2))  # its slope at 0 is finite

    def init(self, dt, key):
        nothing = jax.tree.map(jnp.zeros_like, self.initial)
        return {"weights": self.initial, "anchor": self.initial, "momentum": nothing}

    def step(self, state: dict[str, Weights], x: Float[Array, " width"], tick: Tick):
        q = self.queries(x[None])
        k, v, (theta, eta, alpha) = self.project(x[None])

        def loss(weights):
            return jnp.sum((self.look(weights, k) - v) ** 2)

        each = lambda gate, w: gate.reshape(-1, 1, 1) * w
        change = jax.grad(loss)(state["anchor"])
        theta = theta * self._clipped(sum(jnp.sum(g**2, (1, 2)) for g in change))[:, None]
        momentum = jax.tree.map(
            lambda s, g: each(eta, s) - each(theta, g), state["momentum"], change
        )
        weights = jax.tree.map(lambda w, s: each(1 - alpha, w) + s, state["weights"], momentum)
        ends = (tick.i + 1) % self.chunk == 0
        anchor = jax.tree.map(lambda new, old: jnp.where(ends, new, old), weights, state["anchor"])
        y = join_heads(self.look(weights, q))[0]
        return {"weights": weights, "anchor": anchor, "momentum": momentum}, y

    def absorb(
        self,
        state: dict[str, Weights],
        q: Float[Array, "head time key"],
        k: Float[Array, "head time key"],
        v: Float[Array, "head time value"],
        gates: Float[Array, "gate head time"],
        mask: Bool[Array, " time"],
        ends: Bool[Array, ""],
    ) -> tuple[dict[str, Weights], Float[Array, "head time value"]]:
        """One chunk at once: learn every token that the mask shows, and tell each what it asks.

        With A and H the products of 1 - alpha and of eta, and x_s the gradient step of token s at the anchor,
        $M_t = A_{t0} M_0 + (A e)_t S_0 + \\sum_s (A H)_{ts} x_s$; a query meets the sum as
        $\\sum_s (AH)_{ts} \\theta_s \\delta_s (h_s \\cdot q_t)$, layer by layer.
        """
        form = dict(activation=self.activation, residual=self.residual)

        def head(weights, anchor, momentum, q, k, v, gates):
            there = mask.astype(q.dtype)
            theta = there * gates[0]
            eta = jnp.where(mask, gates[1], 1.0)
            keep = jnp.where(mask, 1 - gates[2], 1.0)
            (kept, base), (lasting, since) = products(keep), products(eta)
            kept = kept * there[None]
            woven, past = kept @ lasting, kept @ since
            steps = surprise(anchor, k, v, **form)
            theta = theta * self._clipped(
                sum(jnp.sum(d**2, -1) * jnp.sum(h**2, -1) for d, h in steps)
            )
            h, new, moved = q, [], []
            for level, (w, s) in enumerate(zip(weights, momentum, strict=True)):
                delta, heard = steps[level]
                x = -theta[:, None] * delta
                z = base[:, None] * (h @ w.T) + past[:, None] * (h @ s.T)
                z = z + (woven * (h @ heard.T)) @ x
                h = self.activation(z) if level < len(weights) - 1 else z
                sums = lambda row, x=x, heard=heard: (row[:, None] * x).T @ heard
                new.append(base[-1] * w + past[-1] * s + sums(woven[-1]))
                moved.append(since[-1] * s + sums(lasting[-1]))
            return tuple(new), tuple(moved), (h + q if self.residual else h)

        old = (state["weights"], state["anchor"], state["momentum"])
        axes = (0, 0, 0, 0, 0, 0, 1)
        weights, momentum, y = jax.vmap(head, axes)(*old, q, k, v, gates)
        anchor = jax.tree.map(lambda new, old: jnp.where(ends, new, old), weights, state["anchor"])
        return {"weights": weights, "anchor": anchor, "momentum": momentum}, y

    def unroll(self, state: dict[str, Weights], xs: Float[Array, "time width"], ticks: Tick):
        k, v, gates = self.project(xs)
        first = lambda a, axis: jnp.moveaxis(a, axis, 0)  # time goes in front
        parts = (first(self.queries(xs), 1), first(k, 1), first(v, 1), first(gates, 2))

        def body(state, now, mask, ends):
            q, k, v = (jnp.moveaxis(a, 0, 1) for a in now[:3])
            state, y = self.absorb(state, q, k, v, jnp.moveaxis(now[3], 0, 2), mask, ends)
            return state, join_heads(y)

        return in_chunks(body, state, parts, ticks.i[0], self.chunk)

    def rest(self):
        return jnp.zeros(self.value.weight.shape[0], self.value.weight.dtype)
