"""Learning from one transition to the next: values with eligibility traces, actor and critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from neuropil.core import System, param


def advantages(
    rewards: Float[Array, " time"],
    values: Float[Array, " time+1"],
    terminated: Any,
    over: Any,
    gamma: float | Array = 0.99,
    lam: float | Array = 0.95,
) -> Float[Array, " time"]:
    r"""Generalised advantages of a stretch of transitions, from the last to the first.

    $$\delta_t = r_t + \gamma\,(1 - \text{terminated}_t)\, V_{t+1} - V_t, \qquad
      A_t = \delta_t + \gamma \lambda\,(1 - \text{over}_t)\, A_{t+1}$$

    `values` has one entry more than there are rewards: of every observation, the last one included.
    Source: Schulman, Moritz, Levine, Jordan, Abbeel (2016), ICLR, arXiv:1506.02438.

    >>> no = jnp.zeros(3, bool)
    >>> advantages(jnp.ones(3), jnp.zeros(4), no, no, 0.5, 1.0).tolist()
    [1.75, 1.5, 1.0]
    """
    delta = rewards + gamma * jnp.where(terminated, 0.0, values[1:]) - values[:-1]

    def back(later, now):
        delta, over = now
        here = delta + gamma * lam * jnp.where(over, 0.0, later)
        return here, here

    _, out = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, over), reverse=True)
    return out


class TDLambda(System):
    r"""Values learned from differences in time, with eligibility traces: outcome -> value and error.

    $$\delta = r + \gamma\,(1 - \text{terminated})\, w^\top \phi' - w^\top \phi, \qquad
      e \leftarrow \gamma \lambda e + \phi, \qquad w \leftarrow w + \alpha\, \delta\, e$$

    $\phi$ = `features`(observation), `size` numbers; the trace is cleared where an episode begins.
    State: `w`, `e` (the trace, already with $\phi$ of the last observation), `phi`. Output: {"value": of this
    observation, "error": $\delta$ (0 where an episode begins)}.

    With $\lambda = 1$ and one update an episode the change is that of Monte Carlo returns; see the tests.
    Source: Sutton (1988), Machine Learning 3, 9; Sutton, Barto (2018), Reinforcement Learning, 12.2.
    """

    features: Callable
    size: int = eqx.field(static=True)
    rate: Array = param(0.05, bounds=(0, None), about="alpha")
    gamma: Array = param(0.99, bounds=(0, 1), about="discount a tick")
    lam: Array = param(0.9, bounds=(0, 1), about="lambda, how long a trace lasts")

    def init(self, dt, key):
        zero = jnp.zeros(self.size)
        return {"w": zero, "e": zero, "phi": zero}

    def step(self, state, x, tick):
        phi, w = self.features(x.observation), state["w"]
        delta = x.reward + self.gamma * jnp.where(x.terminated, 0.0, w @ phi) - w @ state["phi"]
        delta = jnp.where(x.first, 0.0, delta)
        w = w + self.rate * delta * state["e"]
        e = jnp.where(x.first, 0.0, self.gamma * self.lam) * state["e"] + phi
        return {"w": w, "e": e, "phi": phi}, {"value": w @ phi, "error": delta}


class ActorCritic(System):
    r"""Learns what to do from the critic's error, with a trace for each of the two: outcome -> action.

    $$\pi(a) = \text{softmax}(\Theta \phi)_a, \quad
      e^\theta \leftarrow \gamma \lambda e^\theta + (\mathbb 1_a - \pi)\,\phi^\top, \quad
      \Theta \leftarrow \Theta + \alpha_\theta\, \delta\, e^\theta$$

    with the critic's $\delta$ and $w$ as in `TDLambda`. The power of $\gamma$ that the policy gradient theorem
    puts in front of late steps is left out, as is usual. Three factors change a weight of the actor: activity
    of the feature, the choice, and one number for all, the error.

    State: `actor` (actions, size), `critic` (size), their traces, and the last features.
    Source: Barto, Sutton, Anderson (1983), IEEE Trans. SMC 13, 834; Sutton, Barto (2018), 13.5.
    """

    features: Callable
    size: int = eqx.field(static=True)
    actions: int = eqx.field(static=True)
    actor_rate: Array = param(0.05, bounds=(0, None))
    critic_rate: Array = param(0.1, bounds=(0, None))
    gamma: Array = param(0.99, bounds=(0, 1))
    lam: Array = param(0.9, bounds=(0, 1))

    def __check_init__(self):
        if self.actions < 2:
            raise ValueError(f"ActorCritic: actions = {self.actions}; there must be at least 2")

    def init(self, dt, key):
        wide, zero = jnp.zeros((self.actions, self.size)), jnp.zeros(self.size)
        names = {"actor": wide, "actor_trace": wide, "critic": zero, "critic_trace": zero}
        return {**names, "phi": zero}

    def step(self, state, x, tick):
        phi, w = self.features(x.observation), state["critic"]
        delta = x.reward + self.gamma * jnp.where(x.terminated, 0.0, w @ phi) - w @ state["phi"]
        delta = jnp.where(x.first, 0.0, delta)
        w = w + self.critic_rate * delta * state["critic_trace"]
        actor = state["actor"] + self.actor_rate * delta * state["actor_trace"]
        logits = actor @ phi
        action = jr.categorical(tick.key, logits).astype(jnp.int32)
        score = (jnp.arange(self.actions) == action) - jax.nn.softmax(logits)
        decay = jnp.where(x.first, 0.0, self.gamma * self.lam)
        new = {
            "actor": actor,
            "actor_trace": decay * state["actor_trace"] + score[:, None] * phi[None],
            "critic": w,
            "critic_trace": decay * state["critic_trace"] + phi,
            "phi": phi,
        }
        return new, action
