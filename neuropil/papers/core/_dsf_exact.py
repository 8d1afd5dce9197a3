"""Part A and B: native code against the common form in float64, and softmax by truncated features."""

from __future__ import annotations

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Key

from neuropil.blocks import QLSTM, RGLRU, S6, SSD, Attention, LinearAttention, LinearRecurrence
from neuropil.core import System, Tick
from neuropil.papers.core._dsf_forms import as_dsf, ssm_as_linear_attention

FAMILIES = {
    "softmax": lambda d, n, k: Attention.init_normal(d, key=k, keys=n, bias=False),
    "linear": lambda d, n, k: LinearAttention.init_normal(d, key=k, keys=n, bias=False),
    "normalised": lambda d, n, k: LinearAttention.init_normalised(d, key=k, keys=n, bias=False),
    "s6": lambda d, n, k: S6.init_normal(d, n, key=k, steps=None),
    "ssd": lambda d, n, k: SSD.init_normal(d, n, key=k, steps=None),
    "qlstm": lambda d, n, k: QLSTM.init_normal(d, key=k),
    "qlstm-reversed": lambda d, n, k: QLSTM.init_normal(d, key=k, reversed=True),
    "rg-lru": lambda d, n, k: RGLRU.init_normal(d, key=k),
}
NAMES = (*FAMILIES, "ssm-is-linear")


def random_parts(key: Key[Array, ""], width: int, n: int) -> dict[str, System]:
    """Every family with all weights and biases normal, deviation 1 / sqrt(width); scalars are 1.

    One draw for all of them: drawing array by array costs more to compile than the rest.
    """
    make = lambda k: {f: make(width, n, k) for f, make in FAMILIES.items()}
    shapes = eqx.filter_eval_shape(make, key)
    arrays, fixed = eqx.partition(shapes, lambda leaf: hasattr(leaf, "shape"))
    leaves, tree = jax.tree.flatten(arrays)
    numbers = jr.normal(key, (sum(leaf.size for leaf in leaves),)) / math.sqrt(width)
    drawn, at = [], 0
    for leaf in leaves:
        piece = numbers[at : at + leaf.size].reshape(leaf.shape)
        drawn.append(piece if leaf.ndim else jnp.ones(()))
        at += leaf.size
    return eqx.combine(jax.tree.unflatten(tree, drawn), fixed)


def native(part: System, us: Float[Array, "time width"]) -> tuple[Array, Array]:
    """The part's own code from rest: step after step, and all at once."""
    if isinstance(part, Attention):
        part = Attention(part.query, part.key, part.value, part.out, part.heads, len(us))
    ticks = Tick(jnp.arange(len(us), dtype=jnp.int32), jnp.ones(()), jr.split(jr.key(0), len(us)))
    state = part.init(1.0, jr.key(0))
    return System.unroll(part, state, us, ticks)[1], part.unroll(state, us, ticks)[1]


def _padded(form: LinearRecurrence, n: int) -> LinearRecurrence:
    """The same recurrence with a state of n entries (the new ones idle) and with a skip."""
    more, (time, out, _) = n - form.decay.shape[1], form.read.shape
    wide = lambda a, axis: jnp.pad(a, [(0, more if i == axis else 0) for i in range(a.ndim)])
    skip = jnp.zeros((time, out, form.write.shape[2])) if form.skip is None else form.skip
    return LinearRecurrence(wide(form.decay, 1), wide(form.write, 1), wide(form.read, 2), skip)


def _three(forms: dict, us) -> dict[tuple[str, bool], tuple[Array, ...]]:
    """The three executions of many recurrences, padded to one shape so that they compile once."""
    size = max(form.decay.shape[1] for form in forms.values())
    stack = jax.tree.map(lambda *a: jnp.stack(a), *(_padded(f, size) for f in forms.values()))
    run = lambda form: (form.scan(us)[1], form.associative(us)[1], form.convolve(us))
    return dict(zip(forms, zip(*jax.vmap(run)(stack), strict=True), strict=True))


def _gap(these, those):
    return jnp.stack([jnp.abs(a - b).max() for a in these for b in those]).max()


def differences(key: Key[Array, ""], length: int, width: int, n: int) -> dict[str, Array]:
    """One draw of weights and inputs: family -> largest difference (right form, wrong form)."""
    us = jr.normal(jr.fold_in(key, 0), (length, width))
    own, forms = {}, {}
    for name, part in random_parts(jr.fold_in(key, 1), width, n).items():
        own[name] = native(part, us)
        forms[name] = {wrong: as_dsf(part, us, wrong) for wrong in (False, True)}
        if name == "linear":
            same = [ssm_as_linear_attention(part, us, wrong) for wrong in (False, True)]
            bridge = jnp.stack([_gap(own[name], (y,)) for y in same])
    long = {"softmax"}  # its state is the cache: many times the others'
    found = {"ssm-is-linear": bridge}
    for group in (long, set(FAMILIES) - long):
        flat = {(f, w): forms[f][w] for f in sorted(group) for w in (False, True)}
        ys = _three(flat, us)
        found |= {f: jnp.stack([_gap(own[f], ys[f, w]) for w in (False, True)]) for f in group}
    return {name: found[name] for name in NAMES}


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _draws(key, draws, length, width, n):
    return jax.lax.map(lambda k: differences(k, length, width, n), jr.split(key, draws))


class Equivalence(System):
    """One chunk: `draws` draws; for each family the worst right and the mildest wrong difference."""

    wrong: bool = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    n: int = eqx.field(static=True)

    def init(self, dt, key):
        return jnp.int32(0)

    def step(self, state, x, tick):
        with jax.enable_x64(True):  # the recall arms of this study stay in float32
            found = _draws(tick.key, self.draws, self.length, self.width, self.n)
            found = {name: np.asarray(v) for name, v in found.items()}
        pick = (lambda v: v[:, 1].min()) if self.wrong else (lambda v: v[:, 0].max())
        return state + 1, {f"error-{name}": pick(v) for name, v in found.items()}


def state_size(width: int, order: int) -> int:
    """Features of the truncated exponential: 1 + m + ... + m^order.

    >>> [state_size(4, p) for p in range(4)]
    [1, 5, 21, 85]
    """
    return sum(width**p for p in range(order + 1))


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def taylor_errors(
    key: Key[Array, ""], draws: int, length: int, width: int, orders: int, largest: float | Array
) -> Float[Array, "draw order"]:
    """Relative error of causal softmax attention when exp is cut after order 0, 1, ... orders - 1.

    Queries and keys are normal, scaled so that the largest |q.k| of a draw is `largest`. (The powers
    of q.k are what the features `neuropil.blocks.taylor` compute by products.)
    """

    def one(key):
        q, k, v = jr.normal(key, (3, length, width))
        score = q @ k.T
        score = score * largest / jnp.abs(score).max()
        seen = jnp.tril(jnp.ones_like(score))

        def output(kernel):
            kernel = kernel * seen
            return (kernel @ v) / kernel.sum(-1, keepdims=True)

        exact = output(jnp.exp(score))
        terms = jnp.stack([score**p / math.factorial(p) for p in range(orders)])
        cut = jax.vmap(output)(jnp.cumsum(terms, axis=0))
        return jnp.linalg.norm(cut - exact[None], axis=(1, 2)) / jnp.linalg.norm(exact)

    return jax.lax.map(one, jr.split(key, draws))


class Truncation(System):
    """One chunk: median over draws of the error by order, for logits up to 3 and up to 12."""

    draws: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    orders: int = eqx.field(static=True)

    def init(self, dt, key):
        return jnp.int32(0)

    def step(self, state, x, tick):
        shape = (self.draws, self.length, self.width, self.orders)
        with jax.enable_x64(True):
            found = {
                f"taylor-{largest}": np.median(
                    taylor_errors(tick.key, *shape, float(largest)), axis=0
                )
                for largest in (3, 12)
            }
        return state + 1, found
