"""Training and scoring of the spike transformer, shared by the two experiments of neuroformer.py.

A batch is a tuple of groups: windows of one length, so that the few long windows do not make the
many short ones pay for their padding. Everything that fixes a compiled function (loss, optimiser,
shapes) comes from caches or settings, so all arms and seeds of a process share it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from neuropil.core import run
from neuropil.fit.spikelikelihood import (
    attention_mass,
    batched,
    contrastive_loss,
    log_probability,
    next_token_loss,
)
from neuropil.fit.spiketransformer import SpikeTransformer
from neuropil.fit.tokens import Windows
from neuropil.learn import Trainer


class Group(eqx.Module):
    """Windows of one length with behaviour to attend to, behaviour to predict, and their weight."""

    windows: Windows
    attend: dict[str, Array]
    predict: dict[str, Array]
    weight: Array


@lru_cache
def objective(align: float, spikes: float):
    """Loss over groups: `spikes` times the paper's token loss (3/5 id + 2/5 time), a share `align`
    of it given to the contrastive loss, plus the mean squared error of predicted behaviour."""

    def loss(model: SpikeTransformer, groups: tuple[Group, ...], key):
        ids = times = total = square = rows = 0.0
        features: dict[str, list] = {}
        for i, group in enumerate(groups):
            w = group.windows
            out = batched(model, w, group.attend or None, key=jax.random.fold_in(key, i))
            n = jnp.sum(w.ids[..., 1:] != model.tokens.pad) * group.weight
            one, two = next_token_loss(out, w, model.tokens)
            ids, times, total = ids + n * one, times + n * two, total + n
            for name, feature in out.features.items():
                features.setdefault(name, []).append(model.align(feature))
            for name, value in group.predict.items():
                square = square + group.weight * jnp.sum((out.behaviour[name] - value) ** 2)
            rows = rows + group.weight * w.ids.shape[0]
        value = spikes * (0.6 * ids + 0.4 * times) / total
        if align:
            joined = {name: jnp.concatenate(parts) for name, parts in features.items()}
            value = (1 - align) * value + align * contrastive_loss(joined)
        return value + square / rows

    return loss


@lru_cache
def optimiser(rate: float, decay: float, steps: int):
    """AdamW (0.9, 0.95) with weight decay on weights of linear maps only, clipped at norm 1, warmed
    up over a twentieth of the steps, then a cosine to a tenth of the rate."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, rate, max(1, steps // 20), max(2, steps), rate / 10
    )
    linear = lambda tree: jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path).endswith(".weight"), tree
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b1=0.9, b2=0.95, weight_decay=decay, mask=linear),
    )


def trainer(
    model: SpikeTransformer,
    rate: float,
    decay: float,
    steps: int,
    patience: int,
    align: float = 0.0,
    spikes: float = 1.0,
) -> Trainer:
    """A trainer that keeps the best model on the validation block."""
    tx = optimiser(rate, decay, steps)
    return Trainer(model, objective(align, spikes), tx, patience=patience)


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
    model: SpikeTransformer, windows: Windows, attend: dict[str, Array], repeats: bool
) -> dict[str, Array]:
    """Per window: log-probability (with and without order) and predicted behaviour; summed over
    windows: attention mass to the past and the number of its opportunities."""
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
    model: SpikeTransformer,
    windows: Windows,
    index: np.ndarray,
    lengths: tuple[int, ...],
    attend: dict[str, np.ndarray] | None = None,
    repeats: bool = False,
    batch: int = 512,
) -> dict[str, np.ndarray]:
    """`judge` over rows `index` in batches of one shape for each length; windows go to the shortest
    length that holds them. Values per window come back in the order of `index`."""
    need = np.sum(windows.ids[index] != model.tokens.pad, axis=1)
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
            ids = jnp.where(blank, part.windows.ids, model.tokens.pad)
            part = eqx.tree_at(lambda g: g.windows.ids, part, ids)
            for name, value in judge(model, part.windows, part.attend, repeats).items():
                value = np.asarray(value, np.float64)
                if name in ("mass", "count"):
                    sums[name] = sums.get(name, 0.0) + value
                else:
                    made.setdefault(name, np.full(len(index), np.nan))[rows] = value[: len(rows)]
    return {**made, **sums}
