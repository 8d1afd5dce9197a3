"""A study that learns nothing much, quickly: a noisy walk with a drift. Used by the runner's tests."""

import dataclasses
import os
import time

import jax
import jax.numpy as jnp
import jax.random as jr

from neuropil.core import System
from neuropil.studies import Arm, Metric, Study


class Walk(System):
    """x <- x + drift + noise; a chunk can be made slow, or poisoned, from outside."""

    drift: jax.Array
    poison: int = -1
    nap: float = 0.0
    bulk: int = 0

    def init(self, dt, key):
        bulk = jr.normal(key, (self.bulk,))
        x, best = jr.normal(key, (3,)), jnp.array(jnp.inf)
        return {"x": x, "key": jr.fold_in(key, 1), "best": best, "bulk": bulk}

    def step(self, state, x, tick):
        now = state["x"] + self.drift + 0.1 * jr.normal(tick.key, (3,))
        now = jnp.where(tick.i == self.poison, jnp.nan, now)
        best = jnp.minimum(state["best"], now.min())
        if self.nap:
            jax.debug.callback(lambda: time.sleep(self.nap), ordered=True)
        state = {**state, "x": now, "best": best}
        return state, {"height": jnp.where(tick.i == self.poison, 0.0, now.sum()), "row": now}


def build(drift):
    nap = float(os.environ.get("TOY_NAP", "0"))
    poison = int(os.environ.get("TOY_POISON", "-1"))

    def arm(settings, data):
        drift_now = jnp.asarray(drift * settings["gain"]) + data
        return Walk(drift_now, poison, nap, settings["bulk"])

    return arm


def draw(results):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    for arm in results.study.arms:
        axes.plot(results.stacked(arm, "height").T, label=arm)
    axes.legend()
    return {"heights": figure}


def load(settings):
    if settings["data"] == "broken":
        raise ValueError("toy.gz is cut short")
    if settings["data"] == "killed":
        os.kill(os.getpid(), 9)
    return jnp.zeros(())


SCALES = {
    "smoke": {"seeds": 2, "ticks": 3, "gain": 1.0, "bulk": 0, "data": "none"},
    "small": {"seeds": 3, "ticks": 4, "gain": 1.0, "bulk": 0, "data": "none"},
}

STUDY = Study(
    slug="toy-walk",
    arms={
        "up": Arm(build(1.0), "system", "drifts <up> & away"),
        "still": Arm(build(0.0), "baseline", "does not drift"),
    },
    scales=SCALES,
    load=load,
    ticks=lambda settings: settings["ticks"],
    score=lambda settings, history: {"height": history["height"][-1]},
    metrics={"height": Metric("height <of> the walk", "m", paper={"up": 12.0}, where="Table 1")},
    figures=draw,
    cite="@article{toy, title={A <walk> & more}}",
    mechanism="x <- x + drift + noise",
    claim="it goes up",
    differs=("smaller",),
    cost="seconds",
)

VMAPPED = dataclasses.replace(
    STUDY,
    arms={name: dataclasses.replace(arm, vmap=True) for name, arm in STUDY.arms.items()},
)
