"""Training and scoring of the spike transformer, shared by the two experiments of neuroformer.py.

A batch is a tuple of groups: windows of one length, so that the few long windows do not make the
many short ones pay for their padding. Everything that fixes a compiled function (loss, optimiser,
shapes) comes from caches or settings, so all arms and seeds of a process share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from neuropil.core import System, Tick, run
from neuropil.fit.spikelikelihood import (
    attention_mass,
    batched,
    contrastive_loss,
    log_probability,
    next_token_loss,
)
from neuropil.fit.spiketransformer import Behaviour, SpikeTransformer
from neuropil.fit.tokens import SpikeTokens, Windows
from neuropil.learn import Trainer


class Group(eqx.Module):
    """Windows of one length with behaviour to attend to, behaviour to predict, and their weight."""

    windows: Windows
    attend: dict[str, Array]
    predict: dict[str, Array]
    weight: Array


@dataclass(frozen=True)
class Spec:
    """What fixes a network, but for its weights."""

    tokens: SpikeTokens
    width: int
    heads: int
    state: int
    history: int
    behaviours: tuple[Behaviour, ...]
    dropout: float
    scale: float

    def build(self, key) -> SpikeTransformer:
        return SpikeTransformer(
            self.tokens,
            key=key,
            width=self.width,
            heads=self.heads,
            layers={"state": self.state, "history": self.history},
            behaviours=self.behaviours,
            rate=self.dropout,
            scale=self.scale,
        )


@dataclass(frozen=True, eq=False)
class _Shape:
    unravel: Any
    static: Any
    linear: np.ndarray  # 1 where a weight of a linear map stands
    drawn: np.ndarray  # 1 where first weights are drawn from a normal
    ones: np.ndarray  # 1 where they are 1 (gains of norms); else they are 0


@lru_cache(maxsize=8)
def _shape(spec: Spec) -> _Shape:
    blank = eqx.filter_eval_shape(spec.build, jr.key(0))
    arrays, static = eqx.partition(blank, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    zeros = jax.tree.map(lambda a: np.zeros(a.shape, np.float32), arrays)
    paths, leaves = zip(*jax.tree_util.tree_flatten_with_path(zeros)[0], strict=True)
    names = [jax.tree_util.keystr(path) for path in paths]
    mark = lambda *ends: np.concatenate(
        [np.full(a.size, n.endswith(ends), np.float32) for n, a in zip(names, leaves, strict=True)]
    )
    drawn = mark(".weight", ".ids")
    return _Shape(ravel_pytree(zeros)[1], static, mark(".weight"), drawn, mark(".gain"))


class Flat(eqx.Module):
    """A network whose weights are one array: an optimiser then is a few operations, not a few for
    each of a hundred arrays, and compiles ten times faster."""

    theta: Float[Array, " weight"]
    spec: Spec = eqx.field(static=True)

    def __call__(self) -> SpikeTransformer:
        shape = _shape(self.spec)
        return eqx.combine(shape.unravel(self.theta), shape.static)


def fresh(spec: Spec, key=None) -> Flat:
    """A network with first weights drawn from the key, or only a place for weights."""
    shape = _shape(spec)
    if key is None:
        return Flat(jnp.zeros(shape.ones.shape), spec)
    # one draw for all: drawing a hundred arrays one by one costs seconds of compilation
    normal = jr.normal(key, shape.ones.shape)
    return Flat(spec.scale * normal * shape.drawn + shape.ones, spec)


@lru_cache
def objective(align: float):
    """Loss over groups: the paper's token loss (3/5 id + 2/5 time), a share `align` of it given to
    the contrastive loss, plus the mean squared error of predicted behaviour (NaN: no label)."""

    def loss(flat: Flat, groups: tuple[Group, ...], key):
        model = flat()
        ids = times = total = square = rows = 0.0
        features: dict[str, list] = {}
        for i, group in enumerate(groups):
            w = group.windows
            out = batched(model, w, group.attend or None, key=jr.fold_in(key, i))
            n = jnp.sum(w.ids[..., 1:] != model.tokens.pad) * group.weight
            one, two = next_token_loss(out, w, model.tokens)
            ids, times, total = ids + n * one, times + n * two, total + n
            for name, feature in out.features.items():
                features.setdefault(name, []).append(model.align(feature))
            for name, value in group.predict.items():
                known = jnp.isfinite(value)
                miss = jnp.where(known, out.behaviour[name] - jnp.where(known, value, 0.0), 0.0)
                square = square + group.weight * jnp.sum(miss**2)
            rows = rows + group.weight * w.ids.shape[0]
        value = (0.6 * ids + 0.4 * times) / total
        if align:
            joined = {name: jnp.concatenate(parts) for name, parts in features.items()}
            value = (1 - align) * value + align * contrastive_loss(joined)
        return value + square / rows

    return loss


@lru_cache
def optimiser(spec: Spec, rate: float, decay: float, steps: int):
    """AdamW (0.9, 0.95) with weight decay on weights of linear maps only, clipped at norm 1, warmed
    up over a twentieth of the steps, then a cosine to a tenth of the rate (0 steps: warmed up over
    20, then constant, so that runs of any length share one compiled function)."""
    linear = jnp.asarray(_shape(spec).linear)
    decayed = optax.stateless(
        lambda updates, flat: jax.tree.map(lambda u, p: u + decay * linear * p, updates, flat)
    )
    if steps:
        warm, rest = max(1, steps // 20), max(2, steps)
        schedule = optax.warmup_cosine_decay_schedule(0.0, rate, warm, rest, rate / 10)
    else:
        schedule = optax.linear_schedule(0.0, rate, 20)
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b1=0.9, b2=0.95),
        decayed,
        optax.scale_by_learning_rate(schedule),
    )


def trainer(
    model: Flat,
    rate: float,
    decay: float,
    steps: int,
    patience: int,
    align: float = 0.0,
) -> Trainer:
    """A trainer that keeps the best model on the validation block."""
    tx = optimiser(model.spec, rate, decay, steps)
    return Trainer(model, objective(align), tx, patience=patience)


def train(trainer: Trainer, carry: Any, groups: tuple[Group, ...]) -> tuple[Any, float]:
    """One pass over batches, (step, batch, ...) in every array; nothing once patience ran out."""
    if trainer.stopped(carry):
        return carry, float("nan")
    carry, loss = run(trainer, carry, groups, record="output.loss")
    return carry, float(jnp.mean(loss))


def deal(rng: np.random.Generator, items: np.ndarray, steps: int, size: int) -> np.ndarray:
    """(steps, size) of the items in random order, dealt again from the start when they run out."""
    rounds = -(-steps * size // len(items))
    order = np.concatenate([rng.permutation(items) for _ in range(rounds)])
    return order[: steps * size].reshape(steps, size)


def group(
    windows: Windows,
    index: np.ndarray,
    length: int,
    attend: dict[str, np.ndarray] | None = None,
    predict: dict[str, np.ndarray] | None = None,
    weight: float = 1.0,
) -> Group:
    """Rows `index` (any shape) of host arrays, current sequences cut to `length` tokens."""
    cut = Windows(
        windows.ids[index][..., :length],
        windows.times[index][..., :length],
        windows.past_ids[index],
        windows.past_times[index],
    )
    pick = lambda values: {name: jnp.asarray(v[index]) for name, v in (values or {}).items()}
    weights = jnp.full(index.shape[:-1], weight, float)
    return Group(jax.tree.map(jnp.asarray, cut), pick(attend), pick(predict), weights)


@eqx.filter_jit
def judge(
    flat: Flat, windows: Windows, attend: dict[str, Array], repeats: bool
) -> dict[str, Array]:
    """Per window: log-probability (with and without order) and predicted behaviour; summed over
    windows: attention mass to the past and the number of its opportunities."""
    model = flat()
    out = batched(model, windows, attend or None)
    mass, count = attention_mass(out, windows, model.tokens)
    return {
        "ordered": log_probability(out, windows, model.tokens, repeats=repeats),
        "raw": log_probability(out, windows, model.tokens, ordered=False),
        "mass": mass,
        "count": count,
        **{f"said.{name}": value for name, value in out.behaviour.items()},
    }


def judge_all(
    flat: Flat,
    windows: Windows,
    index: np.ndarray,
    lengths: tuple[int, ...],
    attend: dict[str, np.ndarray] | None = None,
    repeats: bool = False,
    batch: int = 512,
) -> dict[str, np.ndarray]:
    """`judge` over rows `index` in batches of one shape for each length; windows go to the shortest
    length that holds them. Values per window come back in the order of `index`."""
    tokens = flat.spec.tokens
    need = np.sum(windows.ids[index] != tokens.pad, axis=1)
    made, sums, before = {}, {}, 0
    for length in sorted(lengths):
        chosen = np.flatnonzero((need > before) & (need <= length))
        before = length
        for start in range(0, len(chosen), batch):
            rows = chosen[start : start + batch]
            # fill up with windows that hold nothing at all: no token, so no score
            full = np.pad(index[rows], (0, batch - len(rows)), mode="edge")
            part = group(windows, full, length, attend)
            blank = jnp.arange(batch)[:, None] < len(rows)
            ids = jnp.where(blank, part.windows.ids, tokens.pad)
            part = eqx.tree_at(lambda g: g.windows.ids, part, ids)
            for name, value in judge(flat, part.windows, part.attend, repeats).items():
                value = np.asarray(value, np.float64)
                if name in ("mass", "count"):
                    sums[name] = sums.get(name, 0.0) + value
                else:
                    made.setdefault(name, np.full(len(index), np.nan))[rows] = value[: len(rows)]
    return {**made, **sums}


class Stages(System):
    """Experiments one after the other: part `name` gets the next `ticks[name]` ticks, all with the
    seed's key. What a part puts out (`part.puts`: name -> shape) is NaN while another one runs."""

    parts: dict[str, System]
    ticks: dict[str, int] = eqx.field(static=True)

    def init(self, dt, key):
        return {name: part.init(dt, key) for name, part in self.parts.items()}

    def step(self, state, x, tick):
        at, state, found = int(tick.i), dict(state), {}
        for name, part in self.parts.items():
            found |= {put: np.full(shape, np.nan) for put, shape in part.puts.items()}
            if 0 <= at < self.ticks[name]:
                now = Tick(jnp.int32(at), tick.dt, tick.key)
                state[name], new = part.step(state[name], x, now)
                found |= {put: np.asarray(value, float) for put, value in new.items()}
            at -= self.ticks[name]
        return state, found
