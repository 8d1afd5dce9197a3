r"""Losses, exact likelihood, generation and attention read-outs of a spike transformer.

The likelihood of a raster. Spikes stand in one canonical order (bin, then unit), so a raster *is* a
sequence, and the model generates as the official code does: draw an id; EOS ends the window; else
draw a time. With $p$ and $q$ the id and time distributions at one position, after a spike of unit u
in bin b only the pairs $A = \{(i, t) : t > b\} \cup \{(i, b) : i > u\}$ continue a sequence, and

$$P(i, t) = p_i q_t / Z, \quad P(\mathrm{EOS}) = p_\mathrm{EOS} / Z, \quad
  Z = p_\mathrm{EOS} + \sum_{(i,t) \in A} p_i q_t.$$

Products of these sum to one over all rasters, so they compare with a Bernoulli GLM on the same
bins. `ordered=False` leaves Z = 1: the model then pays for what it wastes on impossible sequences.
"""

from __future__ import annotations

from itertools import combinations

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from neuropil.fit.spiketransformer import Outputs, SpikeTransformer
from neuropil.fit.tokens import SpikeTokens, Windows

NEVER = -1e9  # finite, so that gradients of masked logits stay finite


def next_token_loss(
    outputs: Outputs, windows: Windows, tokens: SpikeTokens
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean cross-entropies (id, time) of the next token, EOS included, PAD left out (batch)."""
    target, time = windows.ids[..., 1:].astype(int), windows.times[..., 1:].astype(int)
    real = (target != tokens.pad).astype(outputs.id_logits.dtype)
    mean = lambda logits, y: jnp.sum(_cross_entropy(logits, y) * real) / jnp.sum(real)
    return mean(outputs.id_logits, target), mean(outputs.time_logits, time)


def _cross_entropy(logits, target):
    picked = jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - picked


def contrastive_loss(
    features: dict[str, Float[Array, "window width"]], temperature: float = 0.5
) -> Float[Array, ""]:
    r"""InfoNCE averaged over pairs of modalities, one-directional as in the official code:
    for a pair, mean over windows of $-s_{nn} + \log\sum_m e^{s_{nm}}$ with s the cosine over the
    temperature. Rows of the first name (in sorted order) ask, columns of the second answer.

    >>> import jax.numpy as jnp
    >>> same = jnp.eye(4)
    >>> round(float(contrastive_loss({"a": same, "b": same}, 0.5)), 4)
    0.3408
    """
    if len(features) < 2:
        raise ValueError("alignment needs at least two modalities; pass behaviour or frames too")
    unit = {n: f / jnp.linalg.norm(f, axis=-1, keepdims=True) for n, f in features.items()}
    losses = []
    for one, other in combinations(sorted(unit), 2):
        score = unit[one] @ unit[other].T / temperature
        losses.append(jnp.mean(jax.nn.logsumexp(score, axis=1) - jnp.diag(score)))
    return sum(losses) / len(losses)


def pretraining_loss(
    model: SpikeTransformer,
    windows: Windows,
    behaviour: dict[str, Array] | None = None,
    frames: Array | None = None,
    *,
    align: bool = False,
    temperature: float = 0.5,
    key: PRNGKeyArray | None = None,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """3/5 CE(id) + 2/5 CE(time); with `align` 3/4 of that + 1/4 of the contrastive loss.

    Returns (loss, its terms). Batch first in every argument; `key` turns dropout on.
    """
    outputs = batched(model, windows, behaviour, frames, key=key)
    ids, times = next_token_loss(outputs, windows, model.tokens)
    terms = {"id": ids, "time": times}
    loss = 0.6 * ids + 0.4 * times
    if align:
        projected = {name: model.align(f) for name, f in outputs.features.items()}
        terms["align"] = contrastive_loss(projected, temperature)
        loss = 0.75 * loss + 0.25 * terms["align"]
    return loss, terms


def batched(model, windows, behaviour=None, frames=None, *, key=None) -> Outputs:
    """The model over a batch of windows, each with its own dropout."""
    keys = None if key is None else jr.split(key, windows.ids.shape[0])
    call = lambda w, b, f, k: model(w, b, f, key=k)
    axes = tuple(None if a is None else 0 for a in (windows, behaviour, frames, keys))
    return jax.vmap(call, in_axes=axes)(windows, behaviour, frames, keys)


def _ordered(id_logits, time_logits, last_id, last_bin, tokens, repeats):
    """log P(unit, bin) over (.., bins, units) and log P(EOS) of what may follow (module equation)."""
    n = tokens.units
    p = jax.nn.log_softmax(
        jnp.concatenate([id_logits[..., :n], id_logits[..., tokens.eos, None]], axis=-1), axis=-1
    )
    q = jax.nn.log_softmax(time_logits[..., : tokens.bins], axis=-1)
    b, u = last_bin[..., None, None], last_id[..., None, None]
    t, unit = (jax.lax.broadcasted_iota(int, (1,) * last_id.ndim + (tokens.bins, n), last_id.ndim + a)
               for a in (0, 1))  # fmt: skip
    allowed = (t > b) | ((t == b) & ((unit >= u) if repeats else (unit > u)))
    pair = jnp.where(allowed, q[..., :, None] + p[..., None, :n], NEVER)
    z = jax.nn.logsumexp(pair.reshape(*pair.shape[:-2], -1), axis=-1)
    z = jnp.logaddexp(z, p[..., n])
    return pair - z[..., None, None], p[..., n] - z


def log_probability(
    outputs: Outputs,
    windows: Windows,
    tokens: SpikeTokens,
    *,
    ordered: bool = True,
    repeats: bool = False,
) -> Float[Array, "*window"]:
    """Exact log-probability (nats) of the rasters of these windows given their past.

    `ordered` renormalises over tokens that can follow (module equation); `repeats` allows several
    spikes of a unit in one bin (counts instead of a binary raster).
    """
    ids, times = windows.ids.astype(int), windows.times.astype(int)
    target, time = ids[..., 1:], times[..., 1:]
    spike, end = target < tokens.units, target == tokens.eos
    if ordered:
        last_id = jnp.where(ids[..., :-1] < tokens.units, ids[..., :-1], -1)
        pair, stop = _ordered(
            outputs.id_logits, outputs.time_logits, last_id, times[..., :-1], tokens, repeats
        )
        flat = pair.reshape(*pair.shape[:-2], -1)
        where = jnp.where(spike, time * tokens.units + target, 0)
        said = jnp.take_along_axis(flat, where[..., None], axis=-1)[..., 0]
    else:
        said = -_cross_entropy(outputs.id_logits, target) - _cross_entropy(
            outputs.time_logits, time
        )
        stop = -_cross_entropy(outputs.id_logits, target)
    return jnp.sum(jnp.where(spike, said, 0.0) + jnp.where(end, stop, 0.0), axis=-1)


def nucleus(logits: Float[Array, " choice"], mass: float) -> Float[Array, " choice"]:
    """Keep the likeliest choices until they hold `mass`, and the one that crosses it.

    >>> import jax.numpy as jnp
    >>> jnp.isfinite(nucleus(jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05])), 0.7)).tolist()
    [True, True, False, False]
    """
    if not 0 < mass <= 1:
        raise ValueError(f"the mass of a nucleus lies in (0, 1], not {mass}")
    order = jnp.argsort(-logits)
    p = jax.nn.softmax(logits[order])
    keep = jnp.cumsum(p) - p < mass
    return jnp.full_like(logits, -jnp.inf).at[order].set(jnp.where(keep, logits[order], -jnp.inf))


def generate(
    model: SpikeTransformer,
    window: Windows,
    key: PRNGKeyArray,
    *,
    behaviour: dict[str, Array] | None = None,
    frames: Array | None = None,
    mass: float = 0.95,
    ordered: bool = True,
) -> Windows:
    """Draw the current state of one window given its past; the given current state is not read.

    Nucleus sampling of the id, then of the time. `ordered` draws only what may follow (then the
    result decodes to a raster of probability `log_probability`, if `mass` is 1); otherwise times may
    go back, as in the official code.
    """
    tokens, last = model.tokens, window.ids.shape[-1] - 1
    ids = jnp.full_like(window.ids, tokens.pad).at[0].set(tokens.sos)
    times = jnp.full_like(window.times, tokens.time_pad).at[0].set(0)

    def draw(k, state):
        ids, times, done, key = state
        key, one, two = jr.split(key, 3)
        now = Windows(ids, times, window.past_ids, window.past_times)
        out = model(now, behaviour, frames)
        id_logits, time_logits = out.id_logits[k], out.time_logits[k]
        if ordered:
            before = jnp.where(ids[k] < tokens.units, ids[k], -1).astype(int)
            pair, stop = _ordered(
                id_logits, time_logits, before, times[k].astype(int), tokens, False
            )
            by_unit = jax.nn.logsumexp(pair, axis=0)
            id_logits = jnp.full_like(id_logits, NEVER).at[: tokens.units].set(by_unit)
            id_logits = id_logits.at[tokens.eos].set(stop)
        i = jr.categorical(one, nucleus(id_logits, mass))
        if ordered:
            time_logits = pair[:, jnp.minimum(i, tokens.units - 1)]
        t = jr.categorical(two, nucleus(time_logits[: tokens.bins], mass))
        end = (i >= tokens.units) | (k == last - 1)
        i = jnp.where(done, tokens.pad, jnp.where(end, tokens.eos, i))
        t = jnp.where(done, tokens.time_pad, jnp.where(end, tokens.time_eos, t))
        ids = ids.at[k + 1].set(i.astype(ids.dtype))
        return ids, times.at[k + 1].set(t.astype(times.dtype)), done | end, key

    ids, times, _, _ = jax.lax.fori_loop(0, last, draw, (ids, times, jnp.array(False), key))
    return Windows(ids, times, window.past_ids, window.past_times)


def attention_mass(
    outputs: Outputs, windows: Windows, tokens: SpikeTokens, stacks: tuple[str, ...] = ("history",)
) -> tuple[Float[Array, "post pre"], Float[Array, "post pre"]]:
    """Attention from the position that *predicts* unit i to tokens of unit j, summed over windows,
    and the number of such pairs of positions; their ratio is the mean attention per opportunity.

    `stacks`: "history" looks at the past state; "encoder" and "decoder" at earlier spikes of the
    current state. Layers and heads are averaged. Use outputs made without dropout.
    """
    hot = lambda ids: jax.nn.one_hot(jnp.where(ids < tokens.units, ids, -1), tokens.units)
    predicted = hot(windows.ids[..., 1:])
    mass = count = jnp.zeros((tokens.units, tokens.units))
    for stack in stacks:
        source = hot(windows.past_ids if stack == "history" else windows.ids[..., :-1])
        attention = jnp.mean(outputs.attention[stack], axis=(-4, -3))
        seen = jnp.ones_like(attention)
        if stack != "history":
            seen = jnp.tril(seen)
        total = "...ti,...ts,...sj->ij"
        mass = mass + jnp.einsum(total, predicted, attention, source)
        count = count + jnp.einsum(total, predicted, seen, source)
    return mass, count
