"""Small worlds with known answers: a bandit, a random walk, a cart with a pole, a pendulum."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

from neuropil.agents.outcome import Box, Discrete
from neuropil.core import param
from neuropil.worlds.world import World


class Bandit(World):
    """Arms with mean rewards `means` (k,) and normal noise of `sd`; nothing is seen but a 1, nothing ends."""

    means: Array = param(axes=("arm",))
    sd: Array = param(1.0, bounds=(0, None))

    @property
    def actions(self):
        return Discrete(self.means.shape[0])

    def begin(self, key):
        return jnp.ones(1)

    def observe(self, state):
        return state

    def move(self, state, action, tick):
        reward = self.means[action] + self.sd * jr.normal(tick.key, (), self.means.dtype)
        return state, reward, jnp.asarray(False)


class RandomWalk(World):
    r"""A walk over places 0 .. n - 1 from the middle, whatever one does; it ends beyond either end.

    The reward is 1 beyond the right end, else 0. The exact value of place i without discount is
    $(i + 1) / (n + 1)$. Seen is the number of the place (at an end, that of the last place).
    Source: Sutton, Barto (2018), Reinforcement Learning, example 6.2.
    """

    n: int = eqx.field(static=True, default=5)

    @property
    def actions(self):
        return Discrete(1)

    def begin(self, key):
        return jnp.int32(self.n // 2)

    def observe(self, state):
        return state

    def move(self, state, action, tick):
        place = state + jnp.where(jr.bernoulli(tick.key), 1, -1)
        over = (place < 0) | (place >= self.n)
        reward = jnp.where(place >= self.n, 1.0, 0.0)
        return jnp.clip(place, 0, self.n - 1).astype(jnp.int32), reward, over


class CartPole(World):
    r"""A pole on a cart that is pushed left (0) or right (1). Time step: the run's dt (20 ms is usual).

    $$\ddot\theta = \frac{g \sin\theta - \cos\theta\,(F + m l \dot\theta^2 \sin\theta)/M}
      {l\,(4/3 - m \cos^2\theta / M)}, \qquad
      \ddot x = \frac{F + m l (\dot\theta^2 \sin\theta - \ddot\theta \cos\theta)}{M}$$

    l is half the pole, M the mass of both. Explicit Euler, as in the original and in Gymnasium's CartPole-v1,
    with which the tests compare it. State and observation: x (m), its speed, theta (rad, 0 is up), its speed.
    An episode begins with all four uniform in +-0.05; it ends beyond 2.4 m or 12 degrees; reward 1 a tick.
    Source: Barto, Sutton, Anderson (1983), IEEE Trans. SMC 13, 834.
    """

    gravity: Array = param(9.8, unit="m/s2", bounds=(0, None))
    cart: Array = param(1.0, unit="kg", bounds=(0, None))
    pole: Array = param(0.1, unit="kg", bounds=(0, None))
    half: Array = param(0.5, unit="m", bounds=(0, None), about="half the length of the pole")
    push: Array = param(10.0, unit="N", bounds=(0, None))

    @property
    def actions(self):
        return Discrete(2)

    def begin(self, key):
        return jr.uniform(key, (4,), minval=-0.05, maxval=0.05)

    def observe(self, state):
        return state

    def move(self, state, action, tick):
        state = self.moved(state, jnp.where(action == 1, self.push, -self.push), tick.dt / 1000)
        over = (jnp.abs(state[0]) > 2.4) | (jnp.abs(state[2]) > jnp.pi / 15)
        return state, jnp.ones(()), over

    def moved(self, state: Array, force: Array, seconds: Array) -> Array:
        """The state after a time under a force (N)."""
        _, v, angle, spin = state
        total, sin, cos = self.cart + self.pole, jnp.sin(angle), jnp.cos(angle)
        pull = (force + self.pole * self.half * spin**2 * sin) / total
        turn = (self.gravity * sin - cos * pull) / (
            self.half * (4 / 3 - self.pole * cos**2 / total)
        )
        speed = pull - self.pole * self.half * turn * cos / total
        return state + seconds * jnp.stack([v, speed, spin, turn])

    def energy(self, state: Array) -> Array:
        """Kinetic and potential energy (J); without a force it is conserved as the time step goes to 0."""
        _, v, angle, spin = state
        both = 0.5 * (self.cart + self.pole) * v**2
        coupling = self.pole * self.half * v * spin * jnp.cos(angle)
        turning = 2 / 3 * self.pole * self.half**2 * spin**2
        return both + coupling + turning + self.pole * self.gravity * self.half * jnp.cos(angle)

    def lines(self, state: Array) -> Array:
        """What a film draws: (line, end, 2)."""
        x, _, angle, _ = state
        tip = jnp.stack([x + 2 * self.half * jnp.sin(angle), 2 * self.half * jnp.cos(angle)])
        foot, floor = jnp.stack([x, 0 * x]), jnp.array([[-2.4, 0.0], [2.4, 0.0]])
        cart = jnp.stack([foot - jnp.array([0.2, 0.0]), foot + jnp.array([0.2, 0.0])])
        return jnp.stack([floor, cart, jnp.stack([foot, tip])])


class Pendulum(World):
    r"""A rod turned at one end by a weak motor, to be swung up. Time step: the run's dt (50 ms is usual).

    $$\ddot\theta = \frac{3 g}{2 l} \sin\theta + \frac{3 u}{m l^2}, \qquad
      r = -(\theta^2 + 0.1 \dot\theta^2 + 0.001 u^2)$$

    with theta from -pi to pi (0 is up) before the move, u clipped to +-2 N m, the speed to +-8 rad/s;
    semi-implicit Euler, as in Gymnasium's Pendulum-v1, with which the tests compare it. State: theta, its
    speed; observation: cos, sin, speed. It never ends: give `Episodes` a limit (200 is usual).
    """

    gravity: Array = param(10.0, unit="m/s2", bounds=(0, None))
    mass: Array = param(1.0, unit="kg", bounds=(0, None))
    length: Array = param(1.0, unit="m", bounds=(0, None))

    @property
    def actions(self):
        return Box(1, -2.0, 2.0)

    def begin(self, key):
        return jr.uniform(key, (2,), minval=-1.0, maxval=1.0) * jnp.array([jnp.pi, 1.0])

    def observe(self, state):
        return jnp.stack([jnp.cos(state[0]), jnp.sin(state[0]), state[1]])

    def move(self, state, action, tick):
        seconds, u = tick.dt / 1000, jnp.clip(action[0], -2.0, 2.0)
        angle, spin = state
        upright = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        reward = -(upright**2 + 0.1 * spin**2 + 0.001 * u**2)
        turn = 1.5 * self.gravity / self.length * jnp.sin(angle)
        turn = turn + 3 * u / (self.mass * self.length**2)
        spin = jnp.clip(spin + turn * seconds, -8.0, 8.0)
        return jnp.stack([angle + spin * seconds, spin]), reward, jnp.asarray(False)

    def lines(self, state: Array) -> Array:
        """What a film draws: (line, end, 2)."""
        tip = self.length * jnp.stack([jnp.sin(state[0]), jnp.cos(state[0])])
        return jnp.stack([jnp.zeros(2), tip])[None]
