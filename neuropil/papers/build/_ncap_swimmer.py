"""ncap-swimmer: learning by evolution strategies and by policy gradients, and how a controller is judged."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array, lax

from neuropil.agents import Acts, Gaussian
from neuropil.core import Carry, System, Tick, start
from neuropil.core.random import tick_keys
from neuropil.learn import PPO, Actor, ClippedSurrogate, Trainer, evolution_strategies
from neuropil.papers.build._ncap_circuit import STEP, count
from neuropil.worlds.host import live, needed
from neuropil.worlds.mujoco import MujocoSwimmer
from neuropil.worlds.swimmer import Swimmer
from neuropil.worlds.world import Episodes

DT = 1000 * STEP  # ms


def lived(model: Any, world: Swimmer, key: Array, ticks: int) -> Array:
    """Return of one episode, as if it had 1,000 ticks."""
    first = world.begin(key)

    def body(i, carry):
        state, total = carry
        now = Tick(i, jnp.asarray(DT, total.dtype), key)
        state, reward, _ = world.move(state, model(world.observe(state)), now)
        return state, total + reward

    return 1000 / ticks * lax.fori_loop(0, ticks, body, (first, jnp.zeros(())))[1]


def judged(model: Any, world: Swimmer, key: Array, episodes: int, ticks: int) -> Array:
    """Mean return over fresh episodes."""
    return jax.vmap(lambda k: lived(model, world, k, ticks))(jr.split(key, episodes)).mean()


@dataclass(frozen=True)
class Lost:
    """The loss of evolution: minus the return of an episode, the same start for a whole generation."""

    links: int
    inner: int
    ticks: int

    def __call__(self, model: Any, batch: Any, key: Array) -> tuple[Array, dict]:
        return -lived(model, Swimmer(self.links, self.inner), key, self.ticks), {}


adam = functools.cache(optax.adam)  # one object a rate, so that arms share compiled programs


class Value(eqx.Module):
    """A critic as a number; returns of 1 a tick at a discount of 0.99 are worth 100 at most."""

    net: Any

    def __call__(self, observation: Array) -> Array:
        return self.net(observation)[0]


class Swims(System):
    """A controller that learns to swim; a tick is `block` updates, with an evaluation before them.

    Output: "return" before the block, "steps" taken so far, and at the last tick (else NaN) "final" and the
    returns in MuJoCo on the bodies `bodies` (numbers of joints; NaN where the controller cannot have them).
    Host code: each block is one compiled function, MuJoCo is stepped from Python.
    """

    learner: Any  # a Trainer (evolution) or a PPO
    low: Any  # first weights are drawn between low and high
    high: Any
    world: Swimmer
    block: int = eqx.field(static=True)
    ticks: int = eqx.field(static=True)
    per_update: int = eqx.field(static=True)  # control steps
    episodes: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)  # ticks of an episode that judges
    bodies: tuple[int, ...] = eqx.field(static=True)
    mujoco: int = eqx.field(static=True)  # episodes a body; 0: MuJoCo is not asked

    @property
    def trainer(self) -> Trainer:
        """What holds the weights."""
        return self.learner.trainer if isinstance(self.learner, PPO) else self.learner

    def init(self, dt, key):
        one, two = jr.split(key)
        state = start(self.learner, DT, one)
        draw = lambda a, b, k: a + (b - a) * jr.uniform(k, jnp.shape(a))
        leaves, tree = jax.tree.flatten(self.low)
        keys = jr.split(two, len(leaves))
        weights = [
            draw(*each) for each in zip(leaves, jax.tree.leaves(self.high), keys, strict=True)
        ]
        path = (
            (lambda s: s.state["trainer"]) if isinstance(self.learner, PPO) else (lambda s: s.state)
        )
        # bounds are those of the controller; what learns beside it (a critic) begins as it is
        where = lambda s: _controller(path(s)["inner"].theta).weights
        return eqx.tree_at(where, state, tree.unflatten(weights))

    def controller(self, state: Carry) -> Any:
        """The controller with the weights it has now; of a policy, its mean."""
        inner = state.state["trainer"] if isinstance(self.learner, PPO) else state.state
        model = eqx.combine(inner["inner"].theta, self.trainer.inner.fast.fixed)
        return _controller(model)

    def step(self, state, x, tick):
        keys = tick.child("judge").key
        judge = lambda key: _judge(
            self.controller(state), self.world, key, self.episodes, self.horizon
        )
        last = int(tick.i) == self.ticks - 1
        each = self.block * self.per_update
        found = {"return": judge(keys), "steps": jnp.asarray(int(tick.i) * each)}
        found["budget"] = jnp.asarray(self.ticks * each)
        state = _learn(self, state)
        nan = jnp.asarray(jnp.nan)
        found["final"] = judge(jr.fold_in(keys, 1)) if last else nan
        model = self.controller(state)
        found["parameters"] = jnp.asarray(count(model))
        for joints in self.bodies:
            able = last and self.mujoco and _fits(model, joints)
            found[f"mujoco-{joints}"] = self.swum(model, joints) if able else nan
        if eqx.is_array(model.weights):
            found["weights"] = model.weights  # few enough to be read
        return state, found

    def swum(self, model: Any, joints: int) -> Array:
        """Return in MuJoCo on a body of so many joints."""
        world = MujocoSwimmer(joints + 1, self.mujoco, seed=0, limit=self.horizon)
        agent = Acts(Gaussian(model, jnp.zeros(joints)), explore=False)
        _, out = live(agent, world, self.horizon, jr.key(0), dt=DT)
        return jnp.asarray(1000 * np.mean(out["reward"]), jnp.result_type(float))


def _controller(model: Any) -> Any:
    return model.policy.net if isinstance(model, Actor) else model


def _fits(model: Any, joints: int) -> bool:
    size = jax.ShapeDtypeStruct((4 * joints + 4,), jnp.result_type(float))
    try:
        return jax.eval_shape(model, size).shape == (joints,)
    except (TypeError, ValueError):
        return False


@eqx.filter_jit
def _judge(model: Any, world: Swimmer, key: Array, episodes: int, ticks: int) -> Array:
    return judged(model, world, key, episodes, ticks)  # one program for both ways to learn


@eqx.filter_jit
def _learn(system: Swims, state: Carry) -> Carry:
    def once(carry, _):
        now = Tick(carry.i, carry.dt, tick_keys(carry.key, carry.i))
        inner, _ = system.learner.step(carry.state, None, now)
        return Carry(carry.i + 1, carry.dt, carry.key, inner), None

    return lax.scan(once, state, length=system.block)[0]


def _learned(model: Any) -> tuple[str, ...]:
    names = [jax.tree_util.keystr(p, simple=True, separator=".") for p, a in
             jax.tree_util.tree_flatten_with_path(model)[0] if eqx.is_inexact_array(a)]  # fmt: skip
    return tuple(n for n in names if "weights" in n.split("."))


def by_evolution(model: Any, low: Any, high: Any, settings: dict, updates: int) -> Swims:
    """A controller that learns by evolution strategies: `updates` generations in all."""
    world = Swimmer(settings["joints"] + 1, settings["inner"])
    trainer = Trainer(
        model,
        Lost(world.links, world.inner, settings["episode"]),
        adam(settings["es_rate"]),
        learn=_learned(model),
        credit=evolution_strategies(settings["sigma"], settings["pairs"]),
    )  # fmt: skip
    members = 2 * settings["pairs"] + 1
    return _swims(trainer, low, high, world, settings, updates, members * settings["episode"])


def by_gradient(
    model: Any, low: Any, high: Any, critic: Any, log_sd: float, fixed: bool, settings: dict
) -> Swims:
    """A controller that learns by proximal policy optimisation; `fixed`: its noise does not learn."""
    world = Swimmer(settings["joints"] + 1, settings["inner"])
    noise = jnp.full(settings["joints"], log_sd, jnp.result_type(float))
    actor = Actor(Gaussian(model, noise, fixed), Value(critic))
    learn = _learned(actor) + (() if fixed else ("policy.log_sd",))
    trainer = Trainer(actor, ClippedSurrogate(), adam(settings["ppo_rate"]), learn=learn)
    ppo = PPO(
        trainer, Episodes(world, settings["horizon"]), worlds=settings["worlds"],
        horizon=settings["stretch"], epochs=settings["epochs"], batches=settings["batches"],
    )  # fmt: skip
    steps = settings["worlds"] * settings["stretch"]
    return _swims(ppo, low, high, world, settings, settings["ppo_updates"], steps)


def _swims(learner, low, high, world, settings, updates, steps) -> Swims:
    chunks = settings["chunks"]
    return Swims(
        learner, low, high, world, updates // chunks, chunks, steps, settings["tests"], settings["horizon"],
        tuple(settings["bodies"]), settings["mujoco"],
    )  # fmt: skip


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together, or for MuJoCo where it is not installed."""
    for name in ("generations", "generations_mlp", "ppo_updates"):
        if settings[name] % settings["chunks"]:
            raise ValueError(
                f"{name} = {settings[name]} does not divide into {settings['chunks']} chunks"
            )
    if settings["mujoco"]:
        try:
            needed("mujoco", "ncap-swimmer")
        except ImportError as error:
            raise ValueError(f"{error}; or go without it: --set mujoco=0") from error
