"""Parameters of a model from data: by gradient, and with their uncertainty by Markov chain Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.core import get, put
from neuropil.core.param import param_fields, to_bound, to_free


class Free(eqx.Module):
    """Named parameters of a model as one vector u without bounds; all else of the model is held.

    Bounds are those of the `param` a path points to: x = low + softplus(u), low + (high - low) sigmoid(u), or
    u itself where there is none.

    >>> from neuropil.belief import binary_hgf
    >>> free = Free(binary_hgf(), ["nodes.x2.volatility", "nodes.x2.precision"])
    >>> u = free.pack()
    >>> [round(float(v), 3) for v in free.values(u).values()], u.shape
    ([-4.0, 1.0], (2,))

    Raises KeyError for a path that is not there, ValueError for a value on its bound or no float parameter.
    """

    model: Any
    paths: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, model: Any, paths: list[str] | tuple[str, ...]):
        if not paths:
            raise ValueError('fit: no parameters named; write paths=["nodes.x2.volatility"]')
        self.model, self.paths = model, tuple(paths)
        for path in self.paths:
            value = get(model, path)
            if not eqx.is_inexact_array(value):
                raise ValueError(f"fit: {path!r} is no array of floats; name a parameter")
        u = self.pack()
        if not isinstance(u, jax.core.Tracer) and not bool(jnp.isfinite(u).all()):
            raise ValueError(f"fit: one of {self.paths} lies on its bound; begin inside it")

    def _bounds(self, path: str):
        parent, _, name = path.rpartition(".")
        return param_fields(get(self.model, parent)).get(name, {"bounds": (None, None)})["bounds"]

    def pack(self, model: Any = None) -> Array:
        """u of a model (by default the one given at first)."""
        model = self.model if model is None else model
        return jnp.concatenate([
            jnp.ravel(to_free(get(model, path), *self._bounds(path))) for path in self.paths
        ])  # fmt: skip

    def values(self, u: Array) -> dict[str, Array]:
        """{path: value} at u."""
        found, at = {}, 0
        for path in self.paths:
            like = get(self.model, path)
            piece = u[at : at + like.size].reshape(like.shape).astype(like.dtype)
            found[path], at = to_bound(piece, *self._bounds(path)), at + like.size
        return found

    def unpack(self, u: Array) -> Any:
        """The model at u."""
        model = self.model
        for path, value in self.values(u).items():
            model = put(model, path, value)
        return model

    def log_jacobian(self, u: Array) -> Array:
        """log |dx / du|: what a density of x gains as a density of u."""
        flat = lambda u: jnp.concatenate([jnp.ravel(v) for v in self.values(u).values()])
        slopes = jax.jvp(flat, (u,), (jnp.ones_like(u),))[1]  # each x depends on its own u alone
        return jnp.log(jnp.abs(slopes)).sum()


FEW = 4  # parameters up to which slopes are carried forward with the run: nothing of it is kept for a way back


class Fit(NamedTuple):
    """What `fit` found: the `model`, its `loss`, and the `losses` of every start at every step."""

    model: Any
    loss: Array
    losses: Array


def fit(
    model: Any,
    loss: Callable[[Any], Array],
    paths: list[str] | tuple[str, ...],
    *,
    steps: int = 300,
    rate: float = 0.05,
    starts: int = 1,
    spread: float = 1.0,
    key: Array | None = None,
) -> Fit:
    """The named parameters at which `loss(model)` is least: Adam in coordinates without bounds.

    **Arguments**

    - `loss`: a function of the model, such as the negative log-likelihood (less a log prior: then the fit is
      the most probable parameters).
    - `paths`: parameters to fit, such as "nodes.x2.volatility".
    - `starts`: the first begins at the model's own values, the others `spread` (standard deviation in u) around
      them, drawn with `key`; the best value met by any is kept.

    Works under `jit` and `vmap` (many subjects at once: `vmap` a function of the data that calls `fit`).

    >>> from neuropil.belief import binary_hgf
    >>> far = lambda m: (m.nodes["x2"].precision - 3.0) ** 2
    >>> round(float(fit(binary_hgf(), far, ["nodes.x2.precision"]).model.nodes["x2"].precision), 2)
    3.0

    Raises ValueError for no steps or starts, or several starts without a key.
    """
    if steps < 1 or starts < 1 or (starts > 1 and key is None):
        raise ValueError(
            f"fit: steps = {steps}, starts = {starts}; both at least 1, and several starts need key="
        )
    free, adam = Free(model, paths), optax.adam(rate)
    first = jnp.tile(free.pack(), (starts, 1))
    if starts > 1:
        noise = spread * jr.normal(key, first.shape, first.dtype)
        first = first + noise.at[0].set(0.0)
    value = lambda u: loss(free.unpack(u))
    ahead = first.shape[1] <= FEW

    def slope_of(u):
        if not ahead:
            return jax.value_and_grad(value)(u)
        along = lambda e: jax.jvp(value, (u,), (e,))
        now, slope = jax.vmap(along)(jnp.eye(u.size, dtype=u.dtype))
        return now[0], slope

    def one(u):
        def step(carry, _):
            u, state, best, least = carry
            now, slope = slope_of(u)
            better = now < least  # False where it is NaN
            best, least = jnp.where(better, u, best), jnp.where(better, now, least)
            sound = jnp.isfinite(slope).all() & jnp.isfinite(now)
            # a step into the dark goes back to the best place known, and is not taken again
            change, state = adam.update(jnp.where(sound, slope, 0.0), state)
            u = jnp.where(sound, u + change, best)
            return (u, state, best, least), now

        inf = jnp.full((), jnp.inf, u.dtype)
        (u, _, best, least), path = lax.scan(step, (u, adam.init(u), u, inf), None, length=steps)
        last = value(u)
        better = last < least
        return jnp.where(better, u, best), jnp.where(better, last, least), path

    us, ends, losses = jax.vmap(one)(first)
    best = jnp.argmin(jnp.where(jnp.isnan(ends), jnp.inf, ends))
    return Fit(free.unpack(us[best]), ends[best], losses)


class Posterior(NamedTuple):
    """Draws from a posterior.

    - `draws`: {path: (chain, draw, ...)}, in the parameters' own units;
    - `divergent` (chain, draw): steps whose energy went wrong; `acceptance` (chain, draw);
    - `r_hat`, `ess`: {path: ...}, potential scale reduction and effective number of draws.
    """

    draws: dict[str, Array]
    divergent: Array
    acceptance: Array
    r_hat: dict[str, Array]
    ess: dict[str, Array]


def sample_posterior(
    model: Any,
    log_density: Callable[[Any], Array],
    paths: list[str] | tuple[str, ...],
    key: Array,
    *,
    chains: int = 4,
    warmup: int = 500,
    draws: int = 500,
    spread: float = 0.5,
) -> Posterior:
    """Draws of the named parameters from the density that `log_density(model)` gives, by NUTS.

    **Arguments**

    - `log_density`: log-likelihood plus log prior, a density in the parameters' own units; what the change to
      coordinates without bounds adds is added here.
    - `chains` begin `spread` (standard deviation in those coordinates) around the model's values, such as those
      of a `fit`; each finds its step size and scales in `warmup` steps, which are thrown away.

    Works under `jit` and `vmap`. Needs blackjax: `pip install neuropil[bayes]`.

    Source: Hoffman and Gelman (2014), JMLR 15, 1593.
    """
    if chains < 2 or draws < 4:
        raise ValueError(
            f"sample_posterior: chains = {chains} (2 or more), draws = {draws} (4 or more)"
        )
    blackjax = _blackjax()
    free = Free(model, paths)

    def density(u):
        value = log_density(free.unpack(u)) + free.log_jacobian(u)
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    def chain(key):
        begin, adapt, go = jr.split(key, 3)
        u = free.pack()
        u = u + spread * jr.normal(begin, u.shape, u.dtype)
        tune = blackjax.window_adaptation(blackjax.nuts, density)
        (state, found), _ = tune.run(adapt, u, num_steps=warmup)
        move = blackjax.nuts(density, **found).step

        def step(state, key):
            state, info = move(key, state)
            return state, (state.position, info.is_divergent, info.acceptance_rate)

        return lax.scan(step, state, jr.split(go, draws))[1]

    us, divergent, acceptance = jax.vmap(chain)(jr.split(key, chains))
    values = jax.vmap(jax.vmap(free.values))(us)
    r_hat = {k: blackjax.diagnostics.potential_scale_reduction(v) for k, v in values.items()}
    ess = {k: blackjax.diagnostics.effective_sample_size(v) for k, v in values.items()}
    return Posterior(values, divergent, acceptance, r_hat, ess)


def _blackjax():
    """The sampler's library, imported only here."""
    try:
        import blackjax
    except ImportError as error:
        raise ImportError("sample_posterior needs blackjax: pip install neuropil[bayes]") from error
    return blackjax
