"""Policy gradients: the surrogate's gradient at the old policy, a refusal, and a pole that stays up longer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from jax import Array

from neuropil.agents import Categorical
from neuropil.core import run, start
from neuropil.learn import PPO, Actor, ClippedSurrogate, Trainer
from neuropil.worlds.control import CartPole
from neuropil.worlds.world import Episodes


class Line(eqx.Module):
    w: Array

    def __call__(self, o):
        return self.w @ o


def test_at_the_old_policy_the_gradient_is_that_of_the_policy_gradient_theorem(x64):
    rng = np.random.default_rng(0)
    actor = Actor(Categorical(Line(jnp.asarray(rng.normal(size=(3, 2))))), Line(jnp.zeros(2)))
    seen, action = jnp.asarray(rng.normal(size=(6, 2))), jnp.asarray(rng.integers(0, 3, 6))
    gain, weight = jnp.asarray(rng.normal(size=6)), jnp.asarray([1.0, 1, 0, 1, 1, 1])
    log_prob = lambda w: jax.vmap(Categorical(Line(w)).log_prob)(seen, action)
    w = actor.policy.net.w
    batch = {"observation": seen, "action": action, "log_prob": log_prob(w), "advantage": gain}
    batch |= {"return": jnp.zeros(6), "weight": weight}
    found = eqx.filter_grad(lambda a: ClippedSurrogate(value=0.0)(a, batch, None)[0])(actor)
    expected = jax.grad(lambda w: -jnp.sum(weight * gain * log_prob(w)) / 5)(w)
    np.testing.assert_allclose(found.policy.net.w, expected, atol=1e-12)


def test_a_pole_stays_up_longer_after_learning():
    actor = Actor(Categorical(Line(jnp.zeros((2, 4)))), Line(jnp.zeros(4)))
    trainer = Trainer(actor, ClippedSurrogate(), optax.adam(0.03))
    ppo = PPO(trainer, Episodes(CartPole(), 200), worlds=8, horizon=64, epochs=4, batches=4)
    ends = lambda state, out: state["heard"].first.astype(float).mean()
    first = run(ppo, start(ppo, 20.0, jr.key(0)), n=25, record=ends)[1]
    assert float(first[-8:].mean()) < 0.5 * float(first[:2].mean()) + 0.02
    with pytest.raises(ValueError, match="do not divide"):
        PPO(trainer, Episodes(CartPole(), 200), worlds=3, horizon=5, batches=4)
