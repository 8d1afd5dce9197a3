"""The tokeniser of brainomni.py, what its arms change in it, and a step of its training."""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float, Int

from neuropil.blocks import moved_or_learned
from neuropil.fit.sensorcodes import SensorEmbedding, SensorTokeniser
from neuropil.fit.sensortokens import Montage


class Sensors(eqx.Module):
    """What a device's sensors are, and their rows in the table of the control arm."""

    montage: Montage
    rows: Int[Array, " channel"]


class Described(eqx.Module):
    """A vector for each sensor: from place, direction and kind, or (`indexed` 1) a row of a table.

    The table has rows for the channels of new devices too: nothing ever teaches them. `indexed` is an array, so
    that both arms share a compiled program.
    """

    sensor: SensorEmbedding
    table: Float[Array, "row width"]
    indexed: Float[Array, ""]

    def __call__(self, sensors: Sensors) -> Float[Array, "channel width"]:
        on = jax.lax.stop_gradient(self.indexed) > 0
        return jnp.where(on, self.table[sensors.rows], self.sensor(sensors.montage))


@eqx.filter_jit
def untrained(sizes, rows, key, indexed) -> SensorTokeniser:
    """A tokeniser as it begins, in one program."""
    a, b, c = jr.split(key, 3)
    embedding = Described(
        SensorEmbedding.init(sizes["width"], key=a), jr.normal(b, (rows, sizes["width"])), indexed
    )
    return SensorTokeniser.init(**sizes, embedding=embedding, key=c)


@lru_cache(maxsize=4)
def descent(rate: float, steps: int) -> optax.GradientTransformation:
    """AdamW after a warm-up of a tenth of the steps; codebooks are moving averages."""
    warm = optax.linear_schedule(0.1 * rate, rate, max(steps // 10, 1))
    learn = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(warm, b1=0.5, b2=0.9, eps=1e-5, weight_decay=1e-2),
    )
    return optax.multi_transform({"learn": learn, "average": optax.sgd(1.0)}, moved_or_learned)


@eqx.filter_jit
def began(model, x, sensors, key):
    """Codebooks at the means of a first batch."""
    return model.begun(x, sensors.montage.kinds, sensors, key)


@eqx.filter_jit
def update(model, memory, x, sensors, key, rate, steps):
    """One step on a batch of one device."""

    def loss(model):
        return model.loss(x, sensors.montage.kinds, sensors, key)

    (_, told), slope = jax.value_and_grad(loss, has_aux=True)(model)
    change, memory = descent(rate, steps).update(slope, memory, model)
    return optax.apply_updates(model, change), memory, told
