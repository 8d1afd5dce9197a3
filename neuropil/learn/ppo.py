"""A policy gradient method: many worlds at once, and a surrogate that does not let the policy run away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.agents.temporal import advantages
from neuropil.core import System, Tick, param
from neuropil.core.random import tick_keys
from neuropil.learn.trainer import Trainer


class Actor(eqx.Module):
    """A policy (`agents.Gaussian`, `agents.Categorical`) and the value of an observation, learned together."""

    policy: Any
    value: Callable


@dataclass(frozen=True)
class ClippedSurrogate:
    r"""The loss of proximal policy optimisation on a batch of transitions.

    $$L = -\Big\langle \min\big(\rho A,\ \text{clip}(\rho, 1 - c, 1 + c)\, A\big) \Big\rangle
      + v \Big\langle \tfrac12 (V - R)^2 \Big\rangle - h \langle H(\pi) \rangle, \qquad
      \rho = \frac{\pi(a \mid o)}{\pi_{\text{old}}(a \mid o)}$$

    - `clip` c, `value` v, `entropy` h. A batch: {"observation", "action", "log_prob" (old), "advantage",
      "return", "weight"}; weight 0 leaves a transition out (an ignored action).

    Source: Schulman, Wolski, Dhariwal, Radford, Klimov (2017), arXiv:1707.06347.
    """

    clip: float = 0.2
    value: float = 0.5
    entropy: float = 0.0

    def __call__(self, model: Actor, batch: dict, key: Any) -> tuple[Array, dict]:
        mean = lambda a: jnp.sum(batch["weight"] * a) / jnp.maximum(batch["weight"].sum(), 1)
        log_prob = jax.vmap(model.policy.log_prob)(batch["observation"], batch["action"])
        ratio = jnp.exp(log_prob - batch["log_prob"])
        near = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        gain = mean(jnp.minimum(ratio * batch["advantage"], near * batch["advantage"]))
        values = jax.vmap(model.value)(batch["observation"])
        miss = mean(0.5 * (values - batch["return"]) ** 2)
        spread = mean(jax.vmap(model.policy.entropy)(batch["observation"]))
        loss = -gain + self.value * miss - self.entropy * spread
        return loss, {"value_loss": miss, "entropy": spread}


class PPO(System):
    r"""Proximal policy optimisation as a System: one tick is `horizon` actions in n worlds, then learning.

    Learning is `epochs` passes over the transitions in `batches` minibatches each, by a `Trainer`, whose model
    is an `Actor`. Advantages are generalised (`agents.advantages`) and normalised over the tick; actions that
    began an episode are left out.

    **Arguments**

    - `trainer`: `Trainer(Actor(policy, value), ClippedSurrogate(), tx)`; - `world`: action -> `Outcome`, such
      as `Episodes(world, limit)`; a tick of the world lasts `dt` of the run; - `worlds` n, `horizon`.

    Output of a tick: {"reward" (mean of an action), "loss"}. It takes no input.

    >>> import optax
    >>> from neuropil.agents import Categorical
    >>> from neuropil.core import run, start
    >>> from neuropil.worlds.control import CartPole
    >>> from neuropil.worlds.world import Episodes
    >>> class Line(eqx.Module):
    ...     w: Array
    ...     def __call__(self, o): return self.w @ o
    >>> actor = Actor(Categorical(Line(jnp.zeros((2, 4)))), Line(jnp.zeros(4)))
    >>> trainer = Trainer(actor, ClippedSurrogate(), optax.adam(1e-2))
    >>> ppo = PPO(trainer, Episodes(CartPole(), 200), worlds=2, horizon=8, epochs=1, batches=2)
    >>> run(ppo, start(ppo, 20.0, jr.key(0)), n=2)[1]["reward"].shape
    (2,)

    Raises ValueError where the transitions of a tick do not divide into the batches.
    """

    trainer: Trainer
    world: System
    worlds: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=128)
    epochs: int = eqx.field(static=True, default=4)
    batches: int = eqx.field(static=True, default=8)
    gamma: Array = param(0.99, bounds=(0, 1), about="discount an action")
    lam: Array = param(0.95, bounds=(0, 1), about="lambda of the advantages")

    def __check_init__(self):
        if min(self.worlds, self.horizon, self.epochs, self.batches) < 1:
            raise ValueError("PPO: worlds, horizon, epochs and batches must each be at least 1")
        if self.worlds * self.horizon % self.batches:
            raise ValueError(
                f"PPO: {self.worlds} worlds x {self.horizon} actions do not divide into {self.batches}"
            )

    def init(self, dt, key):
        one, two = jr.split(key)
        worlds = jax.vmap(lambda k: self.world.init(dt, k))(jr.split(one, self.worlds))
        wide = lambda a: jnp.broadcast_to(a, (self.worlds, *jnp.shape(a)))
        heard = jax.tree.map(wide, self.world.rest())
        return {"trainer": self.trainer.init(dt, two), "worlds": worlds, "heard": heard}

    def actor(self, state: dict) -> Actor:
        """The actor with the parameters it has now."""
        inner = self.trainer.inner
        return eqx.combine(state["trainer"]["inner"].theta, inner.fast.fixed)

    def step(self, state, x, tick):
        actor = self.actor(state)
        worlds, heard, path = self._lived(actor, state, tick)
        data, reward = self._judged(actor, heard, path)
        trained, loss = self._learned(state["trainer"], data, tick)
        return {"trainer": trained, "worlds": worlds, "heard": heard}, {
            "reward": reward,
            "loss": loss,
        }

    def _lived(self, actor, state, tick):
        """(worlds, last outcome, what happened: (horizon, n))."""
        policy = actor.policy

        def one(world, heard, i, key):
            action = policy.sample(heard.observation, jr.fold_in(key, 0))
            old = policy.log_prob(heard.observation, action)
            now = Tick(i, tick.dt, jr.fold_in(key, 1))
            world, after = self.world.step(world, action, now)
            return world, after, (heard.observation, action, old)

        def together(carry, now):
            i, key = now
            worlds, heard = carry
            keys = jr.split(key, self.worlds)
            worlds, after, did = jax.vmap(one, (0, 0, None, 0))(worlds, heard, i, keys)
            kept = (after.reward, after.terminated, after.over, after.first)
            return (worlds, after), (*did, *kept)

        i = tick.i * self.horizon + jnp.arange(self.horizon, dtype=jnp.int32)
        keys = tick_keys(tick.child("worlds").key, i)
        (worlds, heard), path = lax.scan(together, (state["worlds"], state["heard"]), (i, keys))
        return worlds, heard, path

    def _judged(self, actor, heard, path):
        """Transitions with their advantages, in one row; the mean reward of an action."""
        seen, action, old, reward, terminated, over, first = path
        last = jax.vmap(actor.value)(heard.observation)
        values = jnp.concatenate([jax.vmap(jax.vmap(actor.value))(seen), last[None]])
        # an ignored action changes nothing: no error of its own, and nothing later counts for it
        each = lambda r, v, t, o: advantages(r, v, t, o, self.gamma, self.lam)
        found = jax.vmap(each, 1, 1)(reward, values, terminated, over | first)
        weight = jnp.where(first, 0.0, 1.0)
        count = jnp.maximum(weight.sum(), 1)
        mean = jnp.sum(weight * found) / count
        spread = jnp.sqrt(jnp.sum(weight * (found - mean) ** 2) / count)
        data = {
            "observation": seen,
            "action": action,
            "log_prob": old,
            "advantage": (found - mean) / (spread + 1e-8),
            "return": found + values[:-1],
            "weight": weight,
        }
        flat = lambda a: a.reshape(-1, *a.shape[2:])
        return jax.tree.map(flat, data), jnp.sum(weight * reward) / count

    def _learned(self, state, data, tick):
        n, count = self.worlds * self.horizon, self.epochs * self.batches
        keys = jr.split(tick.child("order").key, self.epochs)
        order = jax.vmap(lambda k: jr.permutation(k, n))(keys).reshape(count, -1)
        i = tick.i * count + jnp.arange(count, dtype=jnp.int32)

        def learn(state, now):
            rows, i, key = now
            batch = jax.tree.map(lambda a: a[rows], data)
            state, out = self.trainer.step(state, batch, Tick(i, tick.dt, key))
            return state, out["loss"]

        state, loss = lax.scan(learn, state, (order, i, tick_keys(tick.child("learn").key, i)))
        return state, loss.mean()

    def children(self):
        return {"trainer": "trainer"}
