"""The vision transformers of brain_model_convergence.py and their training."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from neuropil.blocks import VisionTransformer
from neuropil.core import run, start
from neuropil.core.random import fold
from neuropil.learn import Branch, Distilled, PrototypeHead, SelfDistillation, Trainer, distilling
from neuropil.worlds.views import RandomViews

SIDE, STRIDE = 48, 4  # pixels that a network sees; steps compiled together
LOSS = SelfDistillation(
    RandomViews(SIDE), momentum=0.97
)  # one object: a loss is part of what a program is compiled for


def fresh(settings: dict, width: int, key):
    """(carry, trainer) of a network that has not learned."""
    s = settings
    shape = dict(side=SIDE, patch=s["patch"], depth=s["depth"], heads=s["heads"])
    net = VisionTransformer.init_normal(width, key=fold(key, "network"), **shape)
    head = PrototypeHead.init_normal(width, s["prototypes"], key=fold(key, "head"))
    trainer = Trainer(Distilled.of(Branch(net, head)), LOSS, _optimiser(s["steps"][-1], s["step"]))
    return start(trainer, 1.0, fold(key, "training")), trainer


_OPTIMISERS: dict = {}


def _optimiser(steps: int, peak: float):
    """AdamW, warmed up over a tenth of the steps and led down to a tenth; one object for the same numbers."""
    if (steps, peak) not in _OPTIMISERS:
        rate = optax.warmup_cosine_decay_schedule(
            0.0, peak, max(1, steps // 10), max(2, steps), peak / 10
        )
        tx = optax.chain(optax.clip_by_global_norm(3.0), optax.adamw(rate, weight_decay=0.04))
        _OPTIMISERS[steps, peak] = distilling(tx)
    return _OPTIMISERS[steps, peak]


@eqx.filter_jit(donate="all-except-first")
def _steps(given, carry):
    trainer, images = given
    return run(trainer, carry, images)


def trained(trainer, carry, images: np.ndarray, begin: int, end: int, batch: int):
    """Steps `begin` to `end`; the images of a step depend on the run's key and the step's number alone."""
    carry = jax.tree.map(jnp.array, carry)
    key = fold(carry.key, "batches")
    for first in range(begin, end, STRIDE):
        steps = range(first, min(first + STRIDE, end))
        rows = np.stack(
            [np.asarray(jr.choice(jr.fold_in(key, i), len(images), (batch,), False)) for i in steps]
        )
        carry, out = _steps((trainer, jnp.asarray(images[rows])), carry)
        if not np.isfinite(np.asarray(out["loss"])).all():
            raise FloatingPointError(f"self-distillation: the loss was not finite in steps {steps}")
    return carry


@eqx.filter_jit
def _levels(net, images):
    return jax.vmap(net.levels)(images)


def tokens(net: VisionTransformer, images: np.ndarray, batch: int = 64) -> list[np.ndarray]:
    """Tokens (image, 1 + patch, width) of each level; the last batch is filled up: one program serves."""
    rows = np.arange(-(-len(images) // batch) * batch) % len(images)
    parts = [
        np.asarray(_levels(net, jnp.asarray(images[part]))) for part in rows.reshape(-1, batch)
    ]
    return list(np.moveaxis(np.concatenate(parts)[: len(images)], 1, 0))
