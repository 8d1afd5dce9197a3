"""Figures of ncap-swimmer: curves over steps, bodies, and a film of the circuit that has learned."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

from neuropil.core import Tick
from neuropil.papers.build._ncap_circuit import NCAP, STEP
from neuropil.worlds.film import film
from neuropil.worlds.swimmer import Swimmer

LOOKS = {
    "ncap": ("#0072b2", "-"), "ncap-unshared": ("#56b4e9", "-"), "ncap-random": ("#0072b2", "--"),
    "ncap-unconstrained": ("#cc79a7", "--"), "ncap-cut": ("#999999", "-"), "sine": ("#009e73", "-"),
    "mlp-64": ("#d55e00", "-"), "mlp-8": ("#e69f00", "-"), "mlp-128": ("#8c3b00", "-"),
    "ppo-ncap": ("#0072b2", ":"), "ppo-mlp": ("#d55e00", ":"),
}  # fmt: skip


def curves(results):
    """Return over steps, mean over seeds with the range."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True, constrained_layout=True)
    for arm in results.history:
        colour, style = LOOKS[arm]
        returns, steps = results.stacked(arm, "return"), results.stacked(arm, "steps")[0]
        final = results.stacked(arm, "final")[:, -1:]
        each = steps[1] - steps[0] if len(steps) > 1 else 1
        returns, steps = np.concatenate([returns, final], 1), np.append(steps, steps[-1] + each)
        axis = axes[0] if "mlp" in arm or "ppo" in arm or arm == "ncap" else axes[1]
        axis.plot(steps / 1e3, returns.mean(0), style, color=colour, label=arm)
        axis.fill_between(
            steps / 1e3, returns.min(0), returns.max(0), color=colour, alpha=0.15, lw=0
        )
    for axis, title in zip(
        axes, ("against layers (dotted: PPO)", "ablations and controls"), strict=True
    ):
        axis.axhline(900, color="0.8", lw=1, zorder=0)
        axis.set(xlabel="steps (thousands)", title=title, ylim=(0, 1000))
        axis.legend(
            frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16)
        )
    axes[0].set_ylabel("return of 1,000")
    return figure


def bodies(results):
    """Returns in MuJoCo of controllers that learned on 5 joints."""
    names = ("transfer-4", "mujoco", "transfer-10")
    figure, axis = plt.subplots(figsize=(6, 3.2), constrained_layout=True)
    for arm in results.history:
        found = [np.mean(results.values.get(n, {}).get(arm, [np.nan])) for n in names]
        colour, style = LOOKS[arm]
        axis.plot([4, 5, 10], found, style, marker="o", ms=4, color=colour, label=arm)
    axis.set(
        xlabel="joints (learned on 5)", ylabel="return in MuJoCo", xticks=[4, 5, 10], ylim=(0, 1000)
    )
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def swimming(weights: np.ndarray, joints: int, ticks: int) -> bytes:
    """A film of a body with these weights of the circuit, from rest; its head is red."""
    model, world = NCAP(jnp.asarray(weights), jnp.ones(()), jnp.ones(())), Swimmer(joints + 1)

    def step(state, i):
        now = Tick(i, jnp.asarray(1000 * STEP, jnp.float32), jr.key(0))
        return world.move(state, model(world.observe(state)), now)[0], state

    states = jax.lax.scan(step, world.begin(jr.key(0)), jnp.arange(ticks))[1]
    return film(world, states, every=4, seconds=4 * STEP, width=360)


def figures(results) -> dict:
    """Figures and films by name."""
    weights = results.history["ncap"][results.seeds[0]]["weights"][-1]
    settings = results.settings
    return {
        "returns": curves(results),
        "bodies": bodies(results),
        "swimming": swimming(weights, settings["joints"], min(settings["horizon"], 400)),
    }
